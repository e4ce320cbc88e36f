"""The ports that use cases need to change something, as protocols; what they read is in readers.py. Adapters:
infrastructure/postgres_*.py and the rest there; memory.py for tests. One contract suite (tests/contract/download) runs over every
adapter of a port.

Transactions: `async with begin() as work: … await work.commit()`. Leaving without commit rolls back. Nothing inside goes over
the network but SQL. Events that sessions collected are written with their rows.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from download_svc.events import Event
from download_svc.installations.domain import Installations
from download_svc.patches.domain import Patches
from download_svc.sessions.domain import Sessions
from download_svc.updates.domain import Updates
from download_svc.verifications.domain import Verifications
from download_svc.versions.domain import Announcements, Versions


class Transaction(Protocol):
    """One transaction."""

    @property
    def sessions(self) -> Sessions: ...

    @property
    def versions(self) -> Versions: ...

    @property
    def installations(self) -> Installations: ...

    @property
    def updates(self) -> Updates: ...

    @property
    def announcements(self) -> Announcements: ...

    @property
    def verifications(self) -> Verifications: ...

    @property
    def patches(self) -> Patches: ...

    def record(self, event: Event) -> None:
        """An event that is not a session's own, to be committed with the rest."""

    async def first_time(self, consumer: str, source: str, event_id: str) -> bool:
        """Records that the consumer handles the event; False if it did before."""

    async def commit(self) -> None: ...


class Begin(Protocol):
    """Begins a transaction. Those that lock one user name them: a few of a user's take connections at once, the others wait."""

    def __call__(self, user_id: UUID | None = None, /) -> AbstractAsyncContextManager[Transaction]: ...
