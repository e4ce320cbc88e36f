"""What use cases read outside of transactions, page by page where it may be much, and the shapes that they read. Adapters:
infrastructure/postgres_*.py and memory.py; one contract suite (tests/contract/download) runs over both.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from download_svc.domain.installations import KeptInstallation
from download_svc.domain.manifests import Chunk, FileReference
from download_svc.domain.sessions import Item, ItemStatus, Session, Status
from download_svc.domain.updates import HistoryEntry, Update, UpdateStatus
from download_svc.domain.verifications import Issue, IssueKind, PlacedEntry, Verification
from download_svc.domain.versions import Version

T = TypeVar("T")

MAX_PENDING_ANNOUNCEMENTS = 100
MAX_HISTORY_LOOKED_AT = 100
"""Entries that are searched for the version before one."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page, from 1, and how many on it."""

    number: int = 1
    size: int = 20

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page, and how many there are in all."""

    items: Sequence[T]
    total: int


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as it is shown: with its place in the queue, if it has one."""

    session: Session
    queue_position: int | None


@dataclass(frozen=True, slots=True)
class PendingAnnouncement:
    """A version that is being announced; everybody up to `after`, a user and an installation, is told."""

    version_id: UUID
    product_id: UUID
    after: tuple[UUID, UUID] | None


class SessionReader(Protocol):
    """Sessions as they are shown; each method is a fixed number of statements."""

    async def get(self, user_id: UUID, session_id: UUID) -> SessionView | None: ...

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: Status | None = None, product_id: UUID | None = None
    ) -> Page[SessionView]:
        """Newest first."""

    async def items(self, session: Session, page: PageRequest, *, status: ItemStatus | None = None) -> Page[Item]:
        """Files of a session, ordered by path (bytes of its UTF-8 form)."""

    async def queue(self, user_id: UUID) -> Sequence[UUID]:
        """Sessions that run or wait, first to last."""


class InstallationReader(Protocol):
    """Installations as they are shown; each method is a fixed number of statements."""

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None: ...

    async def page(
        self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None, device_id: UUID | None = None
    ) -> Page[KeptInstallation]:
        """The one changed last first."""

    async def behind(
        self, version: Version, *, after: tuple[UUID, UUID] | None, limit: int
    ) -> Sequence[KeptInstallation]:
        """Of everybody: installations of versions of the same product and platform that were released before it, by user and id
        from behind `after`.
        """

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        """What is on the device; None = the one device that has no id."""


class UpdateReader(Protocol):
    """Updates as they are shown; each method is a fixed number of statements."""

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: UpdateStatus | None = None, product_id: UUID | None = None
    ) -> Page[Update]:
        """The one that changed last first."""

    async def history(self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None) -> Page[HistoryEntry]:
        """Newest first."""

    async def versions_before(self, user_id: UUID, product_id: UUID, version_id: UUID) -> Sequence[UUID]:
        """What the version replaced when it was applied, the last time first; at most MAX_HISTORY_LOOKED_AT."""


class AnnouncementReader(Protocol):
    """Announcements that are not done."""

    async def pending(self) -> Sequence[PendingAnnouncement]:
        """The oldest first, at most MAX_PENDING_ANNOUNCEMENTS."""


class VerificationReader(Protocol):
    """Verifications as they are shown; each method is a fixed number of statements."""

    async def get(self, user_id: UUID, verification_id: UUID) -> Verification | None: ...

    async def of_session(self, user_id: UUID, session_id: UUID) -> Verification | None:
        """The one that the session repairs."""

    async def issues(
        self, verification: Verification, page: PageRequest, *, kind: IssueKind | None = None
    ) -> Page[Issue]:
        """Ordered by path (bytes of its UTF-8 form)."""

    async def damage(self, verification: Verification) -> Sequence[Issue]:
        """All issues that a repair is for, ordered by path."""


class VersionReader(Protocol):
    """Published versions and what they consist of."""

    async def of_product(self, product_id: UUID) -> Sequence[Version]:
        """All, retired ones too, in no order."""

    async def of_products(self, product_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Version]]:
        """`of_product` for several, in one statement; what has no versions is left out."""

    async def get(self, product_id: UUID, version_id: UUID) -> Version | None: ...

    async def files(self, version_id: UUID) -> Sequence[FileReference]:
        """Entries of type file, ordered by path."""

    async def entries_at(self, version_id: UUID, paths: Collection[str]) -> Mapping[str, PlacedEntry]:
        """The entries, without chunks, at those of the paths that the version has."""

    async def chunks(self, version_id: UUID, sha256s: Sequence[bytes]) -> Mapping[bytes, Chunk]:
        """Those of the chunks that the version has."""

    async def chunks_of_files(
        self, version_id: UUID, file_metadata_ids: Sequence[UUID], *, limit: int
    ) -> Mapping[UUID, Sequence[Chunk]]:
        """The chunks of those of the files that the version has, in order; at most `limit` chunks in all."""
