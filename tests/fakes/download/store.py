"""The database ports in memory, with the promises of tests/contract/download: for unit tests and tools. Transactions run one after
another on a copy of the store, so a rollback is forgetting the copy.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid4

from chassis.errors import DomainError, Kind
from download_svc.events import Event
from download_svc.ids import OwnedId
from download_svc.installations.domain import Installation, KeptInstallation
from download_svc.paging import Page, PageRequest
from download_svc.queue.domain import Queue, already_active
from download_svc.sessions.application import SessionView
from download_svc.sessions.domain import IN_QUEUE, Item, ItemStatus, Session, Status
from download_svc.transaction import Transaction
from download_svc.verifications.domain import PlacedEntry
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Chunk, Entry, EntryType, FileReference, Manifest, derived_ids
from tests.fakes.download.records import MemoryAnnouncements, MemoryPatches, MemoryUpdates, MemoryVerifications, Records


@dataclass(slots=True)
class _State:
    sessions: dict[UUID, Session] = field(default_factory=dict)
    items: dict[UUID, dict[UUID, Item]] = field(default_factory=dict)
    versions: dict[UUID, Version] = field(default_factory=dict)
    entries: dict[UUID, dict[UUID, Entry]] = field(default_factory=dict)
    installations: dict[tuple[UUID, UUID | None, UUID], KeptInstallation] = field(default_factory=dict)
    inbox: set[tuple[str, str, str]] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    records: Records = field(default_factory=Records)

    def copied(self) -> "_State":
        # Versions are replaced, never changed, so only what does change is copied deep.
        return replace(
            self,
            sessions={session_id: session.copy() for session_id, session in self.sessions.items()},
            items=copy.deepcopy(self.items),
            versions=dict(self.versions),
            entries=dict(self.entries),
            installations=dict(self.installations),
            inbox=set(self.inbox),
            events=list(self.events),
            records=self.records.copied(),
        )

    def installation(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None:
        return next(
            (
                kept
                for kept in self.installations.values()
                if kept.id == installation_id and kept.installation.user_id == user_id
            ),
            None,
        )

    def live(self, user_id: UUID) -> Sequence[Session]:
        return [session for session in self.sessions.values() if session.user_id == user_id and session.is_live]


class MemoryStore:
    """The store; `begin` is the port Begin, `events` what its transactions have recorded."""

    def __init__(self) -> None:
        self.state = _State()
        self._lock = asyncio.Lock()

    @property
    def events(self) -> Sequence[Event]:
        return self.state.events

    @property
    def records(self) -> Records:
        return self.state.records

    @property
    def versions(self) -> Mapping[UUID, Version]:
        return self.state.versions

    @property
    def entries(self) -> Mapping[UUID, Mapping[UUID, Entry]]:
        return self.state.entries

    @asynccontextmanager
    async def begin(self, _user_id: UUID | None = None, /) -> AsyncIterator[Transaction]:
        async with self._lock:
            yield MemoryTransaction(self)


class MemoryTransaction:
    """One transaction of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._state = store.state.copied()
        self.sessions = MemorySessions(self._state)
        self.versions = MemoryVersions(self._state)
        self.installations = MemoryInstallations(self._state)
        self.updates = MemoryUpdates(self._state.records, self._state.versions)
        self.announcements = MemoryAnnouncements(self._state.records)
        self.verifications = MemoryVerifications(self._state.records, self._state.entries)
        self.patches = MemoryPatches(self._state.records)

    def record(self, event: Event) -> None:
        self._state.events.append(event)

    async def first_time(self, consumer: str, source: str, event_id: str) -> bool:
        key = (consumer, source, event_id)
        if key in self._state.inbox:
            return False
        self._state.inbox.add(key)
        return True

    async def commit(self) -> None:
        self._store.state = self._state


class MemorySessions:
    """Sessions inside a transaction; the store's own lock is every user's lock."""

    def __init__(self, state: _State) -> None:
        self._state = state

    async def lock(self, user_id: UUID) -> None:
        """Held already: transactions run one after another."""

    async def lock_all(self, user_ids: Collection[UUID]) -> None:
        """Held already."""

    async def get(self, user_id: UUID, session_id: UUID) -> Session | None:
        session = self._state.sessions.get(session_id)
        return session.copy() if session is not None and session.user_id == user_id else None

    async def live(self, user_id: UUID) -> Sequence[Session]:
        return [session.copy() for session in self._state.live(user_id)]

    async def add(self, session: Session, files: Sequence[FileReference], item_ids: Sequence[UUID]) -> None:
        entries = self._state.entries.get(session.version_id, {})
        self._put(session)
        self._state.items[session.id] = {
            item_id: Item(item_id, file.file_metadata_id, file.relative_path, entries[file.file_metadata_id].size_bytes)
            for file, item_id in zip(files, item_ids, strict=True)
        }

    async def save(self, session: Session) -> None:
        self._put(session)

    async def items(self, user_id: UUID, session_id: UUID, item_ids: Sequence[UUID]) -> Mapping[UUID, Item]:
        session = self._state.sessions.get(session_id)
        if session is None or session.user_id != user_id:
            return {}
        items = self._state.items[session_id]
        return {item_id: replace(items[item_id]) for item_id in item_ids if item_id in items}

    async def save_items(self, user_id: UUID, items: Sequence[Item]) -> None:
        for item in items:
            for session_id, known in self._state.items.items():
                if item.id in known and self._state.sessions[session_id].user_id == user_id:
                    known[item.id] = replace(item)

    async def reset_failed_items(self, user_id: UUID, session_id: UUID) -> None:
        for item in self._state.items.get(session_id, {}).values():
            if item.status is ItemStatus.ERROR and self._state.sessions[session_id].user_id == user_id:
                item.status = ItemStatus.PENDING
                item.failure = None

    def _put(self, session: Session) -> None:
        same_place = [
            other
            for other in self._state.live(session.user_id)
            if other.id != session.id
            and other.product_id == session.product_id
            and other.device_id == session.device_id
        ]
        if session.is_live and same_place:
            raise already_active()
        self._state.events.extend(session.take_events())
        self._state.sessions[session.id] = session.copy()


class MemoryVersions:
    """Versions inside a transaction."""

    def __init__(self, state: _State) -> None:
        self._state = state

    async def get(self, version_id: UUID) -> Version | None:
        return self._state.versions.get(version_id)

    async def of_product(self, product_id: UUID) -> Sequence[Version]:
        return [version for version in self._state.versions.values() if version.product_id == product_id]

    async def retire(self, version_id: UUID) -> None:
        if version_id in self._state.versions:
            kept = self._state.versions[version_id]
            self._state.versions[version_id] = replace(kept, state=VersionState.RETIRED)

    async def add(self, version: Version, manifest: Manifest) -> None:
        ids = derived_ids(version.version_id, [entry.path for entry in manifest.entries])
        self._state.versions[version.version_id] = version
        self._state.entries[version.version_id] = dict(zip(ids, manifest.entries, strict=True))


class MemoryInstallations:
    """Installations inside a transaction."""

    def __init__(self, state: _State) -> None:
        self._state = state

    async def put(self, installation: Installation, now: datetime) -> int:
        key = (installation.user_id, installation.device_id, installation.product_id)
        earlier = self._state.installations.get(key)
        if earlier is None:
            self._state.installations[key] = KeptInstallation(uuid4(), installation, False, None, now, now)
        else:
            if installation.installation_path is None:
                installation = replace(installation, installation_path=earlier.installation.installation_path)
            self._state.installations[key] = replace(earlier, installation=installation, updated_at=now)
        return self._count(installation)

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None:
        return self._state.installation(user_id, installation_id)

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        return self._state.installations.get((user_id, device_id, product_id))

    async def save(self, installation: KeptInstallation) -> None:
        one = installation.installation
        self._state.installations[one.user_id, one.device_id, one.product_id] = installation

    async def remove(self, installation: KeptInstallation) -> int:
        one = installation.installation
        del self._state.installations[one.user_id, one.device_id, one.product_id]
        return self._count(one)

    def _count(self, installation: Installation) -> int:
        return sum(
            (kept.installation.user_id, kept.installation.product_id) == (installation.user_id, installation.product_id)
            for kept in self._state.installations.values()
        )


class MemoryInstallationReader:
    """Installations as they are shown."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None:
        return self._store.state.installation(user_id, installation_id)

    async def page(
        self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None, device_id: UUID | None = None
    ) -> Page[KeptInstallation]:
        found = [
            kept
            for kept in self._store.state.installations.values()
            if kept.installation.user_id == user_id
            and product_id in (None, kept.installation.product_id)
            and device_id in (None, kept.installation.device_id)
        ]
        found.sort(key=lambda kept: kept.id)
        found.sort(key=lambda kept: kept.updated_at, reverse=True)
        return Page(found[page.offset : page.offset + page.size], len(found))

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        return self._store.state.installations.get((user_id, device_id, product_id))

    async def behind(
        self, version: Version, *, after: tuple[UUID, UUID] | None, limit: int
    ) -> Sequence[KeptInstallation]:
        older = {
            one.version_id
            for one in self._store.state.versions.values()
            if (one.product_id, one.platform) == (version.product_id, version.platform)
            and one.version_id != version.version_id
            and (one.released_at < version.released_at or one.state is VersionState.RETIRED)
        }
        found = [kept for kept in self._store.state.installations.values() if kept.installation.version_id in older]
        found = [kept for kept in found if after is None or (kept.installation.user_id, kept.id) > after]
        return sorted(found, key=lambda kept: (kept.installation.user_id, kept.id))[:limit]


class MemorySessionReader:
    """Sessions as they are shown."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get(self, user_id: UUID, session_id: UUID) -> SessionView | None:
        session = self._store.state.sessions.get(session_id)
        return self._view(session) if session is not None and session.user_id == user_id else None

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: Status | None = None, product_id: UUID | None = None
    ) -> Page[SessionView]:
        found = [
            session
            for session in self._store.state.sessions.values()
            if session.user_id == user_id
            and status in (None, session.status)
            and product_id in (None, session.product_id)
        ]
        found.sort(key=lambda session: session.id)
        found.sort(key=lambda session: session.created_at, reverse=True)
        shown = found[page.offset : page.offset + page.size]
        return Page([self._view(session) for session in shown], len(found))

    async def items(self, session: Session, page: PageRequest, *, status: ItemStatus | None = None) -> Page[Item]:
        items = self._store.state.items.get(session.id, {}).values()
        found = [replace(item) for item in items if status in (None, item.status)]
        found.sort(key=lambda item: item.relative_path.encode())
        return Page(found[page.offset : page.offset + page.size], len(found))

    async def queue(self, user_id: UUID) -> Sequence[UUID]:
        waiting = [session for session in self._store.state.live(user_id) if session.status in IN_QUEUE]
        return [session.id for session in sorted(waiting, key=lambda session: session.queue_key)]

    async def silent(self, since: datetime, *, after: OwnedId | None, limit: int) -> Sequence[OwnedId]:
        return self._owned(lambda session: session.holds_slot and session.updated_at < since, after, limit)

    async def of_withdrawn_versions(self, *, after: OwnedId | None, limit: int) -> Sequence[OwnedId]:
        versions = self._store.state.versions
        return self._owned(
            lambda session: session.is_live and versions[session.version_id].state is VersionState.RETIRED, after, limit
        )

    def _owned(self, is_meant: Callable[[Session], bool], after: OwnedId | None, limit: int) -> Sequence[OwnedId]:
        found = sorted((one.user_id, one.id) for one in self._store.state.sessions.values() if is_meant(one))
        return [one for one in found if after is None or one > after][:limit]

    def _view(self, session: Session) -> SessionView:
        queue = Queue(self._store.state.live(session.user_id), slots=0)
        return SessionView(session.copy(), queue.position(session))


class MemoryVersionReader:
    """Versions and what they consist of."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def of_product(self, product_id: UUID) -> Sequence[Version]:
        return [version for version in self._store.state.versions.values() if version.product_id == product_id]

    async def of_products(self, product_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Version]]:
        found = {product_id: await self.of_product(product_id) for product_id in product_ids}
        return {product_id: versions for product_id, versions in found.items() if versions}

    async def get(self, product_id: UUID, version_id: UUID) -> Version | None:
        version = self._store.state.versions.get(version_id)
        return version if version is not None and version.product_id == product_id else None

    async def files(self, version_id: UUID) -> Sequence[FileReference]:
        return [FileReference(file_id, entry.path) for file_id, entry in self._files(version_id).items()]

    async def entries_at(self, version_id: UUID, paths: Collection[str]) -> Mapping[str, PlacedEntry]:
        wanted = set(paths)
        entries = self._store.state.entries.get(version_id, {}).values()
        return {
            entry.path: PlacedEntry(ordinal, replace(entry, chunks=()))
            for ordinal, entry in enumerate(entries)
            if entry.path in wanted
        }

    async def chunks(self, version_id: UUID, sha256s: Sequence[bytes]) -> Mapping[bytes, Chunk]:
        known = {chunk.sha256: chunk for entry in self._files(version_id).values() for chunk in entry.chunks}
        return {sha256: known[sha256] for sha256 in sha256s if sha256 in known}

    async def chunks_of_files(
        self, version_id: UUID, file_metadata_ids: Sequence[UUID], *, limit: int
    ) -> Mapping[UUID, Sequence[Chunk]]:
        files = self._files(version_id)
        found: dict[UUID, Sequence[Chunk]] = {}
        for file_id in file_metadata_ids:
            if file_id in files:
                found[file_id] = files[file_id].chunks[:limit]
                limit -= len(found[file_id])
        return found

    def _files(self, version_id: UUID) -> Mapping[UUID, Entry]:
        entries = self._store.state.entries.get(version_id, {})
        return {file_id: entry for file_id, entry in entries.items() if entry.type is EntryType.FILE}


class MemoryManifestReader:
    """Manifests, whole."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def entries(self, version: Version) -> Sequence[Entry]:
        entries = self._store.state.entries.get(version.version_id)
        if entries is None:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        return list(entries.values())
