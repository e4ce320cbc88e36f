"""Verifications: a client lists what lies on its disk, each entry is judged against the manifest, and what was not listed is
missing. Contract section 3, verifications. Used by the application under the user's lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.paging import Page, PageRequest
from download_svc.versions.manifests import Chunk, Entry, EntryType

MAX_EXTRA_ISSUES = 10_000
"""Paths of the user's own that are remembered of one verification."""
MAX_REDOWNLOAD_PATHS = 1_000
"""Paths that a failed repair names in the verification itself; the issues have them all."""


class VerificationStatus(StrEnum):
    """The status of a verification."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED_OK = "completed_ok"
    COMPLETED_ERRORS = "completed_errors"
    FAILED_TO_REPAIR = "failed_to_repair"


OPEN = frozenset({VerificationStatus.PENDING, VerificationStatus.IN_PROGRESS})
REPAIRABLE = frozenset({VerificationStatus.COMPLETED_ERRORS, VerificationStatus.FAILED_TO_REPAIR})


class IssueKind(StrEnum):
    """The kinds of problem that a path can have; `extra` does not count as damage."""

    CORRUPTED = "corrupted"
    MISSING = "missing"
    EXTRA = "extra"
    WRONG_MODE = "wrong_mode"


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """An entry of the tree as a client found it. `sha256` None = not read; `chunk_sha256s` of a file that differs, where the
    manifest has its chunks, as far as the file reaches.
    """

    path: str
    type: EntryType = EntryType.FILE
    size_bytes: int = 0
    sha256: bytes | None = None
    mode: int | None = None
    link_target: str | None = None
    chunk_sha256s: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """An entry of a manifest and its place there, from 0."""

    ordinal: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Issue:
    """A path that is not as published. `right_chunks` are those of a corrupted file's that lie in it as they should, by number."""

    path: str
    kind: IssueKind
    right_chunks: frozenset[int] = frozenset()

    @property
    def is_damage(self) -> bool:
        return self.kind is not IssueKind.EXTRA


@dataclass(frozen=True, slots=True)
class VerificationCompleted:
    """A verification came to an end: the comparison, or a repair after it."""

    user_id: UUID
    product_id: UUID
    version_id: UUID
    device_id: UUID | None
    session_id: UUID | None
    status: VerificationStatus
    corrupted_files: int
    repaired_files: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Verification:
    """One comparison. `seen` has a bit for each entry of the manifest that the client has listed, the first in the lowest bit of
    the first byte: a version may have 100,000 of them.
    """

    id: UUID
    user_id: UUID
    product_id: UUID
    version_id: UUID
    device_id: UUID | None
    is_whole_tree: bool
    started_at: datetime
    status: VerificationStatus = VerificationStatus.PENDING
    seen: bytes = b""
    corrupted_files: int = 0
    repaired_files: int = 0
    requiring_redownload: tuple[str, ...] = ()
    session_id: UUID | None = None
    completed_at: datetime | None = None

    @property
    def checked_files(self) -> int:
        return int.from_bytes(self.seen).bit_count()

    def require_open(self) -> None:
        """Raises: INVALID_STATE_TRANSITION: the last batch has come."""
        if self.status not in OPEN:
            raise _invalid(self.status)

    def require_repairable(self) -> None:
        """Raises: INVALID_STATE_TRANSITION: nothing is damaged, or not everything is listed."""
        if self.status not in REPAIRABLE:
            raise _invalid(self.status)

    def listed(self, ordinals: Iterable[int]) -> "Verification":
        """With these entries of the manifest spoken of."""
        seen = bytearray(self.seen)
        for ordinal in ordinals:
            byte, bit = divmod(ordinal, 8)
            if byte >= len(seen):
                seen.extend(bytes(byte + 1 - len(seen)))
            seen[byte] |= 1 << bit
        return replace(self, status=VerificationStatus.IN_PROGRESS, seen=bytes(seen))

    def completed(self, corrupted_files: int, now: datetime) -> "Verification":
        """With everything listed, and so much found damaged."""
        status = VerificationStatus.COMPLETED_ERRORS if corrupted_files else VerificationStatus.COMPLETED_OK
        return replace(self, status=status, corrupted_files=corrupted_files, completed_at=now)

    def being_repaired(self, session_id: UUID) -> "Verification":
        return replace(self, session_id=session_id)

    def repaired(self, now: datetime) -> "Verification":
        return replace(
            self,
            status=VerificationStatus.COMPLETED_OK,
            repaired_files=self.corrupted_files,
            requiring_redownload=(),
            completed_at=now,
        )

    def repair_failed(self, paths: Sequence[str], now: datetime) -> "Verification":
        """`paths` are those that are still damaged."""
        return replace(
            self,
            status=VerificationStatus.FAILED_TO_REPAIR,
            requiring_redownload=tuple(paths[:MAX_REDOWNLOAD_PATHS]),
            completed_at=now,
        )

    def completion(self, now: datetime) -> VerificationCompleted:
        """Return the event that publishes the completion of the verification in its current state."""
        return VerificationCompleted(
            user_id=self.user_id,
            product_id=self.product_id,
            version_id=self.version_id,
            device_id=self.device_id,
            session_id=self.session_id,
            status=self.status,
            corrupted_files=self.corrupted_files,
            repaired_files=self.repaired_files,
            at=now,
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of a batch: the manifest entries that it listed, and those of its paths that differ from what was published."""

    paths: Sequence[str]
    ordinals: Sequence[int] = ()
    issues: Sequence[Issue] = field(default_factory=tuple)


def judge(
    local: Sequence[LocalEntry], published: Mapping[str, PlacedEntry], chunks: Mapping[str, Sequence[Chunk]]
) -> Judgement:
    """A batch against the manifest. `published` has the manifest's entries at these paths, `chunks` those of files that say what
    their own are. Of a path that comes twice the last word counts.
    """
    last = {one.path: one for one in local}
    issues = []
    for path, one in last.items():
        placed = published.get(path)
        kind = IssueKind.EXTRA if placed is None else _kind(placed.entry, one)
        if kind is not None:
            right = _right_chunks(one, chunks.get(path, ())) if kind is IssueKind.CORRUPTED else frozenset()
            issues.append(Issue(path, kind, right))
    ordinals = [published[path].ordinal for path in last if path in published]
    return Judgement(tuple(last), ordinals, issues)


def verification_not_found(verification_id: UUID) -> DomainError:
    return DomainError(Kind.NOT_FOUND, "VERIFICATION_NOT_FOUND", details={"verification_id": str(verification_id)})


def _kind(entry: Entry, local: LocalEntry) -> IssueKind | None:
    if entry.type is not local.type:
        return IssueKind.CORRUPTED
    if entry.type is EntryType.SYMLINK:
        return None if entry.link_target == local.link_target else IssueKind.CORRUPTED
    if entry.type is EntryType.DIRECTORY:
        return None
    if (entry.size_bytes, entry.sha256) != (local.size_bytes, local.sha256):
        return IssueKind.CORRUPTED
    return None if local.mode in (None, entry.mode) else IssueKind.WRONG_MODE


def _right_chunks(local: LocalEntry, chunks: Sequence[Chunk]) -> frozenset[int]:
    pairs = enumerate(zip(local.chunk_sha256s, chunks, strict=False))
    return frozenset(number for number, (found, chunk) in pairs if found == chunk.sha256)


def _invalid(status: VerificationStatus) -> DomainError:
    return DomainError(Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION", details={"status": status.value})


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
        """Return the number of issues of each kind; a kind without issues is left out."""

    async def damaged_paths(self, verification: Verification, *, limit: int) -> Sequence[str]:
        """The first paths that a repair is for, ordered."""


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
