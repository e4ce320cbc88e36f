"""The files that get a patch, what becomes of each, and how far a version's are built (contract sections 3 and 7)."""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Chunk, Entry, EntryType

BASE_VERSIONS = 3
"""From so many versions before, on the same platform, patches lead to a new one."""
MIN_SAVED_SHARE = 0.1
"""Of what the chunks cost: a patch that saves less is not offered. Content that is compressed already fails here, by trying."""
MIN_CHUNK_BYTES = 2048
"""A file whose new chunks cost less is not tried."""
MAX_NAMESAKES = 16
"""Files with like names that are looked at for one."""
_NUMBERS = re.compile(r"[0-9a-f]{6,}|[0-9]+")
MAX_PAIRS = 5_000
"""Files of one version that are patched from one version before, those with the most to save first."""


class PatchState(StrEnum):
    """The result of building a patch for a pair of files."""

    OFFERED = "offered"
    USELESS = "useless"
    """It was built and saves too little, or cannot be built within the limits: not tried again."""


@dataclass(frozen=True, slots=True)
class PatchPair:
    """A file of the version before, and the file that it becomes. `chunk_bytes` is what that costs without a patch."""

    relative_path: str
    """Of the new file."""
    old: Entry
    new: Entry
    chunk_bytes: int

    @property
    def key(self) -> tuple[bytes, bytes]:
        assert self.old.sha256 is not None  # noqa: S101  # it is a file
        assert self.new.sha256 is not None  # noqa: S101  # it is a file
        return self.old.sha256, self.new.sha256

    @property
    def max_patch_bytes(self) -> int:
        """A larger one is not worth it."""
        return int(self.chunk_bytes * (1 - MIN_SAVED_SHARE))


@dataclass(frozen=True, slots=True)
class StagedPatch:
    """A patch that was built, tried and stored."""

    sha256: bytes
    size_bytes: int
    object_key: str


@dataclass(frozen=True, slots=True)
class Patch:
    """A pair of files and what became of it; `staged` is None for a useless one."""

    product_id: UUID
    from_version_id: UUID
    to_version_id: UUID
    relative_path: str
    from_sha256: bytes
    from_size_bytes: int
    to_sha256: bytes
    algorithm: str
    staged: StagedPatch | None

    @property
    def state(self) -> PatchState:
        return PatchState.OFFERED if self.staged else PatchState.USELESS


@dataclass(frozen=True, slots=True)
class OfferedPatch:
    """The data of an offered patch that a plan and a link need."""

    relative_path: str
    algorithm: str
    from_sha256: bytes
    from_size_bytes: int
    to_sha256: bytes
    sha256: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PatchBuild:
    """A version whose patches are being built."""

    version_id: UUID
    product_id: UUID


class Patches(Protocol):
    """Patches and how far they are built, inside a transaction."""

    async def request(self, version: Version) -> None:
        """Patches to this version are to be built; asked for before, nothing changes."""

    async def claim(self, now: datetime, until: datetime) -> PatchBuild | None:
        """The next version whose turn it is, for this caller alone until then; None when there is none."""

    async def extend(self, version_id: UUID, until: datetime) -> None:
        """The caller goes on with it."""

    async def release(self, version_id: UUID, now: datetime) -> None:
        """The caller is not done with it, and others may go on; new ones come first."""

    async def add(self, patch: Patch) -> None:
        """Notes what became of a pair. Noted before, the first note stands."""

    async def finish(self, version_id: UUID, now: datetime) -> None: ...

    async def set_aside(self, version_id: UUID, *, until: datetime, reason: str) -> None:
        """Leaves it out for a time, and notes why."""


def bases_of(known: Sequence[Version], new: Version) -> Sequence[Version]:
    """The versions that patches lead from: the newest kept ones before it on its platform, the newest first."""
    before = [
        version
        for version in known
        if version.state is VersionState.KEPT
        and version.platform is new.platform
        and version.version_id != new.version_id
        and version.released_at < new.released_at
    ]
    before.sort(key=lambda version: (version.released_at, version.version_id), reverse=True)
    return before[:BASE_VERSIONS]


def pairs_between(old: Sequence[Entry], new: Sequence[Entry], *, max_file_bytes: int) -> Sequence[PatchPair]:
    """The files worth trying, each pair of contents once, those with the most to save first; at most MAX_PAIRS. CPU-bound.

    A file's base is the one at its path, else one that goes, in the same folder, whose name differs in numbers and hashes only
    (`libSDL2-1a2b3c4d.so.0.2800`): the closest in size.
    """
    before = {entry.path: entry for entry in old if entry.type is EntryType.FILE}
    leaving = _leaving(before, {entry.path for entry in new})
    contents = {entry.sha256 for entry in before.values()}
    chunks = {chunk.sha256 for entry in before.values() for chunk in entry.chunks}
    found: dict[tuple[bytes, bytes], PatchPair] = {}
    for entry in new:
        base = before.get(entry.path) or _closest(leaving.get(_name_key(entry.path), ()), entry)
        if entry.type is not EntryType.FILE or base is None or entry.sha256 in contents:
            continue
        if not (0 < base.size_bytes <= max_file_bytes and 0 < entry.size_bytes <= max_file_bytes):
            continue
        pair = PatchPair(entry.path, base, entry, _missing_bytes(entry.chunks, chunks))
        if pair.chunk_bytes >= MIN_CHUNK_BYTES:
            found.setdefault(pair.key, pair)
    return sorted(found.values(), key=lambda pair: (-pair.chunk_bytes, pair.relative_path))[:MAX_PAIRS]


def _leaving(before: Mapping[str, Entry], new_paths: AbstractSet[str]) -> Mapping[str, Sequence[Entry]]:
    """Files that the new version does not have at their paths, by what their names have in common."""
    found: dict[str, list[Entry]] = {}
    for path, entry in before.items():
        if path not in new_paths:
            found.setdefault(_name_key(path), []).append(entry)
    return {key: entries[:MAX_NAMESAKES] for key, entries in found.items()}


def _name_key(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + _NUMBERS.sub("#", name)


def _closest(entries: Sequence[Entry], to: Entry) -> Entry | None:
    return min(entries, key=lambda entry: abs(entry.size_bytes - to.size_bytes), default=None)


def _missing_bytes(chunks: Sequence[Chunk], there: set[bytes]) -> int:
    missing = {chunk.sha256: chunk.stored_size_bytes for chunk in chunks if chunk.sha256 not in there}
    return sum(missing.values())
