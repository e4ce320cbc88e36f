"""Builders for tests of the Download Service: versions with files, sessions of them, and a world of memory adapters."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from download_svc.access import application as access
from download_svc.events import Event
from download_svc.feed.redis import RedisProgressFeed
from download_svc.links import application as links
from download_svc.links.signing import CdnLinkSigner, CdnProvider
from download_svc.sessions import application as sessions
from download_svc.sessions import reports
from download_svc.sessions.application import SessionView
from download_svc.sessions.domain import Item, ItemReport, ItemStatus, Session, Target
from download_svc.updates.planning import Plans
from download_svc.versions.domain import Announcement, Version, VersionState
from download_svc.versions.manifests import (
    Chunk,
    Entry,
    EntryType,
    FileReference,
    Manifest,
    Platform,
    StoredManifest,
    derived_ids,
)
from tests.fakes.download.records import (
    MemoryAnnouncementReader,
    MemoryPatchReader,
    MemoryUpdateReader,
    MemoryVerificationReader,
)
from tests.fakes.download.store import (
    MemoryInstallationReader,
    MemoryManifestReader,
    MemorySessionReader,
    MemoryStore,
    MemoryVersionReader,
)
from tests.fakes.live_state import MemoryLiveStreams, MemoryLiveValues

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
FILES = {"bin/game": 300, "data/a.pak": 1000, "data/empty": 0}
CHUNK_BYTES = 400
LINK_KEY = "a key of at least sixteen characters"


def digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def file_entry(path: str, size_bytes: int, content: str = "") -> Entry:
    """A file cut into chunks of CHUNK_BYTES; equal `content` makes equal chunks."""
    sizes = [CHUNK_BYTES] * (size_bytes // CHUNK_BYTES) + [size_bytes % CHUNK_BYTES]
    chunks = tuple(
        Chunk(digest(content or path, index), size, digest("stored", content or path, index), size // 2 + 1)
        for index, size in enumerate(filter(None, sizes))
    )
    return Entry(path, EntryType.FILE, size_bytes, digest("file", path, size_bytes), 0o644, None, chunks)


def make_manifest(
    product_id: UUID,
    version_id: UUID,
    files: Mapping[str, int] = FILES,
    *,
    platform: Platform = Platform.LINUX,
    others: Sequence[Entry] = (),
) -> Manifest:
    entries = [file_entry(path, size) for path, size in files.items()] + list(others)
    entries.sort(key=lambda entry: entry.path.encode())
    sha256 = digest("manifest", version_id)
    stored = StoredManifest(f"manifests/{product_id}/{version_id}/{sha256.hex()}", sha256, 123, "key-1", b"s" * 64)
    return Manifest(product_id, version_id, platform, tuple(entries), stored)


def make_version(
    manifest: Manifest,
    *,
    channel: str = "stable",
    released_at: datetime = NOW,
    state: VersionState = VersionState.KEPT,
    name: str = "1.0",
) -> Version:
    return Version(
        product_id=manifest.product_id,
        version_id=manifest.version_id,
        version_name=name,
        platform=manifest.platform,
        channel=channel,
        released_at=released_at,
        total_size_bytes=manifest.total_size_bytes,
        file_count=manifest.file_count,
        is_critical=False,
        release_notes_url=None,
        manifest=manifest.stored,
        state=state,
    )


def file_references(manifest: Manifest) -> Sequence[FileReference]:
    ids = derived_ids(manifest.version_id, [entry.path for entry in manifest.entries])
    return [
        FileReference(file_id, entry.path)
        for file_id, entry in zip(ids, manifest.entries, strict=True)
        if entry.type is EntryType.FILE
    ]


def make_session(
    version: Version | None = None,
    *,
    user_id: UUID | None = None,
    device_id: UUID | None = None,
    priority: int = 5,
    now: datetime = NOW,
) -> Session:
    version = version or make_version(make_manifest(uuid4(), uuid4()))
    return Session.start(
        version,
        Target(device_id, "/games"),
        session_id=uuid4(),
        user_id=user_id or uuid4(),
        priority=priority,
        now=now,
    )


def make_items(session: Session, manifest: Manifest) -> dict[UUID, Item]:
    references = file_references(manifest)
    ids = derived_ids(session.id, [reference.relative_path for reference in references])
    sizes = {entry.path: entry.size_bytes for entry in manifest.entries}
    return {
        item_id: Item(item_id, reference.file_metadata_id, reference.relative_path, sizes[reference.relative_path])
        for item_id, reference in zip(ids, references, strict=True)
    }


@dataclass
class Library:
    """Library's answers: everything is owned but what a test takes away."""

    denied: set[tuple[UUID, UUID]] = field(default_factory=set)
    asked: int = 0

    async def has_access(self, user_id: UUID, product_id: UUID) -> bool:
        self.asked += 1
        return (user_id, product_id) not in self.denied


class World:
    """The application over memory adapters, with a clock that tests move."""

    def __init__(self, *, slots: int = 3) -> None:
        self.now = NOW
        self.store = MemoryStore()
        self.sessions = MemorySessionReader(self.store)
        self.versions = MemoryVersionReader(self.store)
        self.library = Library()
        self.access = access.CachedAccess(self.library)
        self.streams = MemoryLiveStreams(lambda: self.now)
        self.board = RedisProgressFeed(MemoryLiveValues(lambda: self.now), self.streams)
        self.policy = sessions.Policy(slots, 5)
        self.installations = MemoryInstallationReader(self.store)
        self.updates = MemoryUpdateReader(self.store)
        self.verifications = MemoryVerificationReader(self.store)
        self.announcements = MemoryAnnouncementReader(self.store)
        self.patches = MemoryPatchReader(self.store)
        self.manifests = MemoryManifestReader(self.store)
        self.plans = Plans(self.manifests, self.patches, clock=lambda: self.now.timestamp())  # noqa: PLW0108  it moves
        self.signer = CdnLinkSigner([CdnProvider("origin", "http://cdn.test/cdn")], key=LINK_KEY, ttl_seconds=600)
        self.user_id = uuid4()

    async def publish(self, manifest: Manifest | None = None, **version: object) -> Version:
        manifest = manifest or make_manifest(uuid4(), uuid4())
        made = make_version(manifest, **version)  # type: ignore[arg-type]
        async with self.store.begin() as tx:
            await tx.versions.add(made, manifest)
            await tx.commit()
        return made

    async def start(
        self, version: Version | None = None, *, permissions: frozenset[str] = frozenset(), **request: object
    ) -> SessionView:
        version = version or await self.publish()
        request.setdefault("version_id", version.version_id)
        self.now += timedelta(seconds=1)
        return await sessions.start_download(
            self.store.begin,
            self.versions,
            self.access,
            self.policy,
            sessions.StartRequest(version.product_id, **request),  # type: ignore[arg-type]
            user_id=self.user_id,
            permissions=permissions,
            session_id=uuid4(),
            now=self.now,
        )

    async def report(self, session_id: UUID, sequence: int, items: Sequence[ItemReport] = ()) -> SessionView:
        self.now += timedelta(seconds=1)
        return await reports.report_download(
            self.store.begin,
            self.sessions,
            self.board,
            self.policy,
            user_id=self.user_id,
            session_id=session_id,
            sequence=sequence,
            reports=items,
            now=self.now,
        )

    async def links(self, session_id: UUID, ids: Sequence[bytes | UUID]) -> Sequence[links.ChunkLinks]:
        return await links.create_links(
            self.store.begin,
            self.sessions,
            self.versions,
            self.patches,
            self.access,
            self.signer,
            self.policy,
            user_id=self.user_id,
            session_id=session_id,
            ids=ids,
            now=self.now,
        )

    async def view(self, session_id: UUID) -> SessionView:
        view = await self.sessions.get(self.user_id, session_id)
        assert view is not None
        return view

    def items_of(self, session_id: UUID, status: ItemStatus, **report: object) -> Sequence[ItemReport]:
        """The same report for every item of the session."""
        items = self.store.state.items[session_id].values()
        return [ItemReport(item.id, status, item.total_size_bytes, **report) for item in items]  # type: ignore[arg-type]

    def events(self, kind: type[Event]) -> Sequence[Event]:
        return [event for event in self.store.events if isinstance(event, kind)]


def make_announcement(manifest: Manifest, **changes: object) -> Announcement:
    values: dict[str, object] = {
        "product_id": manifest.product_id,
        "version_id": manifest.version_id,
        "version_name": "1.0",
        "platform": manifest.platform,
        "channel": "stable",
        "released_at": NOW,
        "manifest_url": "https://publisher.test/manifest",
        "is_critical": False,
        "release_notes_url": None,
    }
    return Announcement(**{**values, **changes})  # type: ignore[arg-type]
