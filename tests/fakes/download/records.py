"""Updates, verifications and what they need, in memory: the rest of infrastructure.memory, which holds their rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from download_svc.ids import OwnedId
from download_svc.paging import Page, PageRequest
from download_svc.patches.domain import OfferedPatch, Patch, PatchBuild
from download_svc.updates.announcements import MAX_PENDING_ANNOUNCEMENTS, PendingAnnouncement
from download_svc.updates.application import MAX_HISTORY_LOOKED_AT
from download_svc.updates.domain import HistoryEntry, Update, UpdateOutcome, UpdateStatus
from download_svc.verifications.domain import Issue, IssueKind, Verification
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Entry, EntryType


@dataclass(slots=True)
class Records:
    """The rows. Their values never change, so a copy need not go deeper than the dictionaries."""

    updates: dict[tuple[UUID, UUID, UUID], Update] = field(default_factory=dict)
    history: dict[UUID, HistoryEntry] = field(default_factory=dict)
    verifications: dict[UUID, Verification] = field(default_factory=dict)
    issues: dict[UUID, dict[str, Issue]] = field(default_factory=dict)
    announcements: dict[UUID, PendingAnnouncement] = field(default_factory=dict)
    set_aside: dict[UUID, tuple[datetime, str]] = field(default_factory=dict)
    patches: dict[tuple[UUID, bytes, bytes], Patch] = field(default_factory=dict)
    builds: dict[UUID, PatchBuild] = field(default_factory=dict)
    leases: dict[UUID, datetime] = field(default_factory=dict)
    build_failures: dict[UUID, str] = field(default_factory=dict)

    def copied(self) -> "Records":
        return Records(
            dict(self.updates),
            dict(self.history),
            dict(self.verifications),
            {verification_id: dict(issues) for verification_id, issues in self.issues.items()},
            dict(self.announcements),
            dict(self.set_aside),
            dict(self.patches),
            dict(self.builds),
            dict(self.leases),
            dict(self.build_failures),
        )

    def verification(self, user_id: UUID, verification_id: UUID) -> Verification | None:
        found = self.verifications.get(verification_id)
        return found if found is not None and found.user_id == user_id else None

    def of_session(self, user_id: UUID, session_id: UUID) -> Verification | None:
        found = [one for one in self.verifications.values() if (one.user_id, one.session_id) == (user_id, session_id)]
        return max(found, key=lambda one: one.started_at, default=None)

    def sorted_issues(self, verification: Verification) -> list[Issue]:
        own = self.verification(verification.user_id, verification.id) is not None
        issues = self.issues.get(verification.id, {}).values() if own else ()
        return sorted(issues, key=lambda issue: issue.path.encode())


class RecordSource(Protocol):
    """A store with these rows, as they are committed."""

    @property
    def records(self) -> Records: ...

    @property
    def versions(self) -> Mapping[UUID, Version]: ...

    @property
    def entries(self) -> Mapping[UUID, Mapping[UUID, Entry]]: ...


class MemoryUpdates:
    """Updates inside a transaction."""

    def __init__(self, records: Records, versions: Mapping[UUID, Version]) -> None:
        self._records = records
        self._versions = versions

    async def get(self, user_id: UUID, product_id: UUID, to_version_id: UUID) -> Update | None:
        return self._records.updates.get((user_id, product_id, to_version_id))

    async def put(self, update: Update) -> None:
        key = (update.user_id, update.product_id, update.to_version_id)
        earlier = self._records.updates.get(key)
        if earlier is not None:
            update = replace(update, id=earlier.id, created_at=earlier.created_at)
        self._records.updates[key] = update

    async def remove(self, update: Update) -> None:
        self._records.updates.pop((update.user_id, update.product_id, update.to_version_id), None)

    async def remove_available(
        self, user_id: UUID, product_id: UUID, *, released_until: datetime | None = None
    ) -> None:
        for key, update in list(self._records.updates.items()):
            is_meant = (update.user_id, update.product_id) == (user_id, product_id)
            is_old = released_until is None or self._versions[update.to_version_id].released_at <= released_until
            if is_meant and is_old and update.status is UpdateStatus.AVAILABLE:
                del self._records.updates[key]

    async def add_history(self, entry: HistoryEntry) -> None:
        self._records.history[entry.id] = entry


class MemoryUpdateReader:
    """Updates as they are shown."""

    def __init__(self, records: RecordSource) -> None:
        self._source = records

    async def of_withdrawn_versions(self, *, after: OwnedId | None, limit: int) -> Sequence[Update]:
        versions = self._source.versions
        found = [
            update
            for update in self._source.records.updates.values()
            if update.status is UpdateStatus.AVAILABLE
            and versions[update.to_version_id].state is VersionState.RETIRED
            and (after is None or (update.user_id, update.id) > after)
        ]
        return sorted(found, key=lambda update: (update.user_id, update.id))[:limit]

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: UpdateStatus | None = None, product_id: UUID | None = None
    ) -> Page[Update]:
        found = [
            update
            for update in self._source.records.updates.values()
            if update.user_id == user_id and status in (None, update.status) and product_id in (None, update.product_id)
        ]
        found.sort(key=lambda update: update.id)
        found.sort(key=lambda update: update.updated_at, reverse=True)
        return Page(found[page.offset : page.offset + page.size], len(found))

    async def history(self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None) -> Page[HistoryEntry]:
        found = [entry for entry in self._newest_first(user_id) if product_id in (None, entry.product_id)]
        return Page(found[page.offset : page.offset + page.size], len(found))

    async def versions_before(self, user_id: UUID, product_id: UUID, version_id: UUID) -> Sequence[UUID]:
        found = [
            entry.previous_version_id
            for entry in self._newest_first(user_id)
            if (entry.product_id, entry.applied_version_id) == (product_id, version_id)
            and entry.outcome is UpdateOutcome.SUCCESS
            and entry.previous_version_id is not None
        ]
        return found[:MAX_HISTORY_LOOKED_AT]

    def _newest_first(self, user_id: UUID) -> list[HistoryEntry]:
        found = [entry for entry in self._source.records.history.values() if entry.user_id == user_id]
        found.sort(key=lambda entry: entry.id)
        return sorted(found, key=lambda entry: entry.applied_at, reverse=True)


class MemoryAnnouncements:
    """Announcements inside a transaction."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, version: Version) -> None:
        self._records.announcements[version.version_id] = PendingAnnouncement(
            version.version_id, version.product_id, None
        )

    async def advance(self, version_id: UUID, after: tuple[UUID, UUID]) -> None:
        pending = self._records.announcements.get(version_id)
        if pending is not None and (pending.after is None or pending.after < after):
            self._records.announcements[version_id] = replace(pending, after=after)

    async def finish(self, version_id: UUID) -> None:
        self._records.announcements.pop(version_id, None)

    async def is_pending(self, version_id: UUID) -> bool:
        return version_id in self._records.announcements

    async def set_aside(self, version_id: UUID, *, until: datetime, reason: str) -> None:
        self._records.set_aside[version_id] = (until, reason)


class MemoryAnnouncementReader:
    """Announcements that are not done."""

    def __init__(self, records: RecordSource) -> None:
        self._source = records

    async def pending(self, now: datetime) -> Sequence[PendingAnnouncement]:
        records = self._source.records
        aside = {version_id for version_id, (until, _) in records.set_aside.items() if until > now}
        pending = [one for one in records.announcements.values() if one.version_id not in aside]
        return pending[:MAX_PENDING_ANNOUNCEMENTS]


class MemoryVerifications:
    """Verifications inside a transaction."""

    def __init__(self, records: Records, entries: Mapping[UUID, Mapping[UUID, Entry]]) -> None:
        self._records = records
        self._entries = entries

    async def add(self, verification: Verification, *, keep: int, keep_of_user: int) -> None:
        self._records.verifications[verification.id] = verification
        own = [one for one in self._records.verifications.values() if one.user_id == verification.user_id]
        own.sort(key=lambda one: (one.started_at, one.id), reverse=True)
        place = (verification.product_id, verification.device_id)
        same = [one for one in own if (one.product_id, one.device_id) == place]
        for forgotten in {one.id for one in (*same[keep:], *own[keep_of_user:])}:
            del self._records.verifications[forgotten]
            self._records.issues.pop(forgotten, None)

    async def get(self, user_id: UUID, verification_id: UUID) -> Verification | None:
        return self._records.verification(user_id, verification_id)

    async def of_session(self, user_id: UUID, session_id: UUID) -> Verification | None:
        return self._records.of_session(user_id, session_id)

    async def save(self, verification: Verification) -> None:
        self._records.verifications[verification.id] = verification

    async def replace_issues(self, verification: Verification, paths: Collection[str], issues: Sequence[Issue]) -> None:
        known = self._records.issues.setdefault(verification.id, {})
        for path in paths:
            known.pop(path, None)
        known.update((issue.path, issue) for issue in issues)

    async def add_missing(self, verification: Verification) -> None:
        known = self._records.issues.setdefault(verification.id, {})
        for ordinal, entry in enumerate(self._entries.get(verification.version_id, {}).values()):
            is_meant = entry.type is EntryType.FILE or verification.is_whole_tree
            is_listed = ordinal < len(verification.seen) * 8 and verification.seen[ordinal // 8] >> ordinal % 8 & 1
            if is_meant and not is_listed:
                known.setdefault(entry.path, Issue(entry.path, IssueKind.MISSING))

    async def count_issues(self, verification: Verification) -> Mapping[IssueKind, int]:
        counts: dict[IssueKind, int] = {}
        for issue in self._records.sorted_issues(verification):
            counts[issue.kind] = counts.get(issue.kind, 0) + 1
        return counts

    async def damaged_paths(self, verification: Verification, *, limit: int) -> Sequence[str]:
        return [issue.path for issue in self._records.sorted_issues(verification) if issue.is_damage][:limit]


class MemoryVerificationReader:
    """Verifications as they are shown."""

    def __init__(self, records: RecordSource) -> None:
        self._source = records

    async def get(self, user_id: UUID, verification_id: UUID) -> Verification | None:
        return self._source.records.verification(user_id, verification_id)

    async def of_session(self, user_id: UUID, session_id: UUID) -> Verification | None:
        return self._source.records.of_session(user_id, session_id)

    async def issues(
        self, verification: Verification, page: PageRequest, *, kind: IssueKind | None = None
    ) -> Page[Issue]:
        found = [one for one in self._source.records.sorted_issues(verification) if kind in (None, one.kind)]
        return Page(found[page.offset : page.offset + page.size], len(found))

    async def damage(self, verification: Verification) -> Sequence[Issue]:
        return [issue for issue in self._source.records.sorted_issues(verification) if issue.is_damage]


class MemoryPatches:
    """Patches and how far they are built, inside a transaction."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def request(self, version: Version) -> None:
        self._records.builds.setdefault(version.version_id, PatchBuild(version.version_id, version.product_id))

    async def claim(self, now: datetime, until: datetime) -> PatchBuild | None:
        leases = self._records.leases
        free = [one for one in self._records.builds.values() if leases.get(one.version_id, now) <= now]
        free.sort(key=lambda one: (one.version_id in leases, leases.get(one.version_id, now)))
        if not free:
            return None
        leases[free[0].version_id] = until
        return free[0]

    async def extend(self, version_id: UUID, until: datetime) -> None:
        self._records.leases[version_id] = until

    async def release(self, version_id: UUID, now: datetime) -> None:
        self._records.leases[version_id] = now

    async def add(self, patch: Patch) -> None:
        self._records.patches.setdefault((patch.product_id, patch.from_sha256, patch.to_sha256), patch)

    async def finish(self, version_id: UUID, now: datetime) -> None:
        self._records.builds.pop(version_id, None)

    async def set_aside(self, version_id: UUID, *, until: datetime, reason: str) -> None:
        self._records.leases[version_id] = until
        self._records.build_failures[version_id] = reason


class MemoryPatchReader:
    """Patches as plans, links and the builder read them."""

    def __init__(self, records: RecordSource) -> None:
        self._source = records

    async def revisions(self, product_ids: Collection[UUID]) -> Mapping[UUID, int]:
        found: dict[UUID, int] = {}
        for patch in self._source.records.patches.values():
            if patch.product_id in product_ids and patch.staged:
                found[patch.product_id] = found.get(patch.product_id, 0) + 1
        return found

    async def offered(self, product_id: UUID, to_sha256s: Collection[bytes]) -> Sequence[OfferedPatch]:
        return [one for one in self._offered(product_id) if one.to_sha256 in to_sha256s]

    async def of_version(
        self, product_id: UUID, version_id: UUID, sha256s: Collection[bytes]
    ) -> Sequence[OfferedPatch]:
        files = {(entry.path, entry.sha256) for entry in self._source.entries.get(version_id, {}).values()}
        return [
            one
            for one in self._offered(product_id)
            if one.sha256 in sha256s and (one.relative_path, one.to_sha256) in files
        ]

    async def tried(self, product_id: UUID, to_sha256s: Collection[bytes]) -> Collection[tuple[bytes, bytes]]:
        return {
            (one.from_sha256, one.to_sha256)
            for one in self._source.records.patches.values()
            if one.product_id == product_id and one.to_sha256 in to_sha256s
        }

    def _offered(self, product_id: UUID) -> list[OfferedPatch]:
        return [
            OfferedPatch(
                one.relative_path,
                one.algorithm,
                one.from_sha256,
                one.from_size_bytes,
                one.to_sha256,
                one.staged.sha256,
                one.staged.size_bytes,
            )
            for one in self._source.records.patches.values()
            if one.product_id == product_id and one.staged
        ]
