"""The ports that use cases need to change something, as protocols; what they read is in readers.py. Adapters:
infrastructure/postgres_*.py and the rest there; memory.py for tests. One contract suite (tests/contract/download) runs over every
adapter of a port.

Transactions: `async with begin() as work: … await work.commit()`. Leaving without commit rolls back. Nothing inside goes over
the network but SQL. Events that sessions collected are written with their rows.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from download_svc.sessions.domain import Item, Session, SessionMoved
from download_svc.sessions.progress import LiveProgress
from download_svc.updates.domain import UpdateOffered


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """One event of a user's live stream; `payload` is a serialized download.v1.WatchDownloadsResponse without its id."""

    id: str
    payload: bytes


class ProgressFeed(Protocol):
    """Live progress and the users' live streams. Hot state: reading what is lost answers nothing."""

    async def progress(self, session: Session, items: Sequence[Item], now: datetime) -> None:
        """Measure the session's speed and publish it to the user's stream, best effort: a report must not fail for it."""

    async def read(self, session_ids: Sequence[UUID]) -> Mapping[UUID, LiveProgress]:
        """Return what is known of the sessions now, best effort."""

    async def announce(self, moved: SessionMoved, queue: Sequence[UUID] | None, *, event_id: str) -> None:
        """Publish to the user's stream that a session moved, and the new order of the queue if it changed; once for each event.

        Raises:
            SERVICE_UNAVAILABLE: the hot state is unavailable; the caller tries again.
        """

    async def offer(self, offered: UpdateOffered, *, event_id: str) -> None:
        """Tells the user's stream that there is a newer version; once for each event. Raises: SERVICE_UNAVAILABLE, as announce."""

    async def watch(self, user_id: UUID, after: str | None) -> AsyncIterator[FeedRecord]:
        """The user's stream after an event, or from now on: from the moment this returns nothing is missed. When events after it
        are lost, the first record says so (`resync_required`).

        Raises:
            SERVICE_UNAVAILABLE: the hot state is unavailable.
        """
