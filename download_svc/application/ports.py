"""What the use cases need from outside to change something, as protocols; what they read is in readers.py. Adapters:
infrastructure/postgres_*.py and the rest there; memory.py for tests. One contract suite (tests/contract/download) runs over every
adapter of a port.

Transactions: `async with begin() as work: … await work.commit()`. Leaving without commit rolls back. Nothing inside goes over
the network but SQL. Events that sessions collected are written with their rows.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from download_svc.domain.events import Event
from download_svc.domain.installations import Installation, KeptInstallation
from download_svc.domain.manifests import Entry, FileReference, Manifest, Platform
from download_svc.domain.progress import LiveProgress
from download_svc.domain.sessions import Item, Session, SessionMoved
from download_svc.domain.updates import HistoryEntry, Update, UpdateOffered
from download_svc.domain.verifications import Issue, IssueKind, Verification
from download_svc.domain.versions import Version


@dataclass(frozen=True, slots=True)
class Announcement:
    """A version that Catalog says can be downloaded."""

    product_id: UUID
    version_id: UUID
    version_name: str
    platform: Platform
    channel: str
    released_at: datetime
    manifest_url: str
    is_critical: bool
    release_notes_url: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """Signed, for GET with ranges, at one CDN."""

    url: str
    cdn_provider: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """One event of a user's live stream; `payload` is a serialized download.v1.WatchDownloadsResponse without its id."""

    id: str
    payload: bytes


class Sessions(Protocol):
    """Sessions and items of one user, inside a transaction."""

    async def lock(self, user_id: UUID) -> None:
        """Makes other writers of this user's sessions wait until the transaction ends. Taken first by every use case that
        writes, so that slots are counted right and no two transactions wait for each other.
        """

    async def lock_all(self, user_ids: Collection[UUID]) -> None:
        """`lock` for several users, in one order for everybody."""

    async def get(self, user_id: UUID, session_id: UUID) -> Session | None: ...

    async def live(self, user_id: UUID) -> Sequence[Session]:
        """All live sessions of the user, at most MAX_LIVE_SESSIONS_PER_USER."""

    async def add(self, session: Session, files: Sequence[FileReference], item_ids: Sequence[UUID]) -> None:
        """A new session with one pending item per file (`item_ids` in the order of `files`), in one statement.

        Raises:
            DOWNLOAD_ALREADY_ACTIVE: the product is live for this device.
        """

    async def save(self, session: Session) -> None:
        """The session's row as it is now, and its events.

        Raises:
            DOWNLOAD_ALREADY_ACTIVE: it became live while another one is.
        """

    async def items(self, user_id: UUID, session_id: UUID, item_ids: Sequence[UUID]) -> Mapping[UUID, Item]:
        """Those of the items that belong to the session."""

    async def save_items(self, user_id: UUID, items: Sequence[Item]) -> None:
        """The items' rows as they are now, in one statement."""

    async def reset_failed_items(self, user_id: UUID, session_id: UUID) -> None:
        """Makes failed items pending; their retry counts stay."""


class Versions(Protocol):
    """Published versions, inside a transaction."""

    async def get(self, version_id: UUID) -> Version | None:
        """By its id alone: one id names one version on the whole platform."""

    async def add(self, version: Version, manifest: Manifest) -> None:
        """The version with all its entries and chunks; made for 100,000 files."""


class Installations(Protocol):
    """Installations, inside a transaction."""

    async def put(self, installation: Installation, now: datetime) -> int:
        """Adds it or replaces the version of the one on the same device. Answers on how many devices the user has the product."""

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None: ...

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        """What is on the device; None = the one device that has no id."""

    async def save(self, installation: KeptInstallation) -> None:
        """What the user decided about it, as it is now."""

    async def remove(self, installation: KeptInstallation) -> int:
        """Forgets it. Answers on how many devices the user still has the product."""


class Updates(Protocol):
    """Updates and their history, inside a transaction."""

    async def get(self, user_id: UUID, product_id: UUID, to_version_id: UUID) -> Update | None: ...

    async def put(self, update: Update) -> None:
        """Adds it, or replaces the one to the same version, which keeps its id and when it was made."""

    async def remove(self, update: Update) -> None: ...

    async def remove_available(
        self, user_id: UUID, product_id: UUID, *, released_until: datetime | None = None
    ) -> None:
        """Forgets what can be had, to versions that were released until then; None = to all of the product."""

    async def add_history(self, entry: HistoryEntry) -> None: ...


class Announcements(Protocol):
    """How far new versions are announced to those who have an older one, inside a transaction."""

    async def add(self, version: Version) -> None:
        """It is to be announced."""

    async def advance(self, version_id: UUID, after: tuple[UUID, UUID]) -> None:
        """Everybody up to this user and installation is told."""

    async def finish(self, version_id: UUID) -> None: ...


class Verifications(Protocol):
    """Verifications and their issues, inside a transaction."""

    async def add(self, verification: Verification, *, keep: int, keep_of_user: int) -> None:
        """A new one. Of the user's earlier ones the newest stay: `keep` of the same product and device, `keep_of_user` in all."""

    async def get(self, user_id: UUID, verification_id: UUID) -> Verification | None: ...

    async def of_session(self, user_id: UUID, session_id: UUID) -> Verification | None:
        """The one that the session repairs."""

    async def save(self, verification: Verification) -> None: ...

    async def replace_issues(self, verification: Verification, paths: Collection[str], issues: Sequence[Issue]) -> None:
        """These are the issues of these paths now."""

    async def add_missing(self, verification: Verification) -> None:
        """An issue for every entry of the manifest that was not listed; links and folders only of a whole tree."""

    async def count_issues(self, verification: Verification) -> Mapping[IssueKind, int]:
        """How many there are of each kind that there is."""

    async def damaged_paths(self, verification: Verification, *, limit: int) -> Sequence[str]:
        """The first paths that a repair is for, ordered."""


class UnitOfWork(Protocol):
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

    def record(self, event: Event) -> None:
        """An event that is not a session's own, to be committed with the rest."""

    async def first_time(self, consumer: str, event_id: str) -> bool:
        """Records that the consumer handles the event; False if it did before."""

    async def commit(self) -> None: ...


Begin = Callable[[], AbstractAsyncContextManager[UnitOfWork]]


class Access(Protocol):
    """Library's word on who may use what."""

    async def has_access(self, user_id: UUID, product_id: UUID) -> bool:
        """Raises: SERVICE_UNAVAILABLE, DEADLINE_EXCEEDED."""


class ManifestSource(Protocol):
    """Manifests as published."""

    async def fetch(self, announcement: Announcement) -> Manifest:
        """Fetches, checks and keeps a copy of the checked bytes; idempotent.

        Raises:
            MANIFEST_SIGNATURE_INVALID, MANIFEST_INVALID: for good.
            SERVICE_UNAVAILABLE, DEADLINE_EXCEEDED: for now.
        """


class ManifestReader(Protocol):
    """Kept manifests, whole."""

    async def entries(self, version: Version) -> Sequence[Entry]:
        """The version's tree. Raises: SERVICE_UNAVAILABLE: it cannot be read now, or is not what was kept."""


class ManifestLinks(Protocol):
    """Signed links to the kept copies of manifests."""

    def link(self, key: str, now: datetime) -> tuple[str, datetime]:
        """URL, and when it ends. No network."""


class LinkSigner(Protocol):
    """Signs links to objects on the CDNs, without the network."""

    def sign(self, product_id: UUID, sha256s: Sequence[bytes], now: datetime) -> Sequence[Sequence[Link]]:
        """For each chunk of the product its candidates, best first. CPU only; long lists belong in a thread."""


class LiveBoard(Protocol):
    """Live progress and the users' live streams. Hot state: reading what is lost answers nothing."""

    async def progress(self, session: Session, items: Sequence[Item], now: datetime) -> None:
        """Measures the session's speed and tells the user's stream, best effort: a report must not fail for it."""

    async def read(self, session_ids: Sequence[UUID]) -> Mapping[UUID, LiveProgress]:
        """What is known of them now, best effort."""

    async def announce(self, moved: SessionMoved, queue: Sequence[UUID] | None, *, event_id: str) -> None:
        """Tells the user's stream that a session moved, and the new order of the queue if it changed; once for each event.

        Raises:
            SERVICE_UNAVAILABLE: the hot state is away; the caller tries again.
        """

    async def offer(self, offered: UpdateOffered, *, event_id: str) -> None:
        """Tells the user's stream that there is a newer version; once for each event. Raises: SERVICE_UNAVAILABLE, as announce."""

    async def watch(self, user_id: UUID, after: str | None) -> AsyncIterator[FeedRecord]:
        """The user's stream after an event, or from now on: from the moment this returns nothing is missed. When events after it
        are lost, the first record says so (`resync_required`).

        Raises:
            SERVICE_UNAVAILABLE: the hot state is away.
        """
