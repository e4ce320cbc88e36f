"""The port of the live updates that users' clients receive: a feed for each user. Adapter: infrastructure/updates.py. Fed by the
consumers of our own events, read by LibraryUpdateService (presentation/updates.py).
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from library_svc.ids import UserId


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """One record of a user's feed. `id` is a place to go on from; the bytes are the presentation's."""

    id: str
    update: bytes


@dataclass(frozen=True, slots=True)
class FeedBreak:
    """Records were lost before this place, from which nothing is missed again.

    Attributes:
        reason: `unknown_id` or `expired`.
    """

    id: str
    reason: str


class LibraryFeed(Protocol):
    """A feed for each user, kept for ten minutes. Hot state: it can be lost, and then its readers are notified.

    Raises:
        SERVICE_UNAVAILABLE: the hot state is unavailable.
    """

    async def append(self, user_id: UserId, update: bytes, *, event_id: str) -> None:
        """Add an event's update; an event that is in the feed already adds nothing."""

    async def watch(self, user_id: UserId, after: str | None) -> AsyncGenerator[FeedRecord | FeedBreak]:
        """The feed after a record, or from now on: from the moment this returns nothing is missed without a break in its place."""
