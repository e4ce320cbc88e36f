"""The plan from one version to another: per file, what stays, what is already on the disk and under which path, what must be
fetched, what goes. Pure, from two manifests; the launcher makes the same choice from what really lies on its disk.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from download_svc.patches.domain import OfferedPatch
from download_svc.sessions.domain import UpdateType
from download_svc.verifications.domain import Issue, IssueKind
from download_svc.versions.manifests import Chunk, Entry, EntryType


class FileAction(StrEnum):
    """The ways to get a file of the new version, or the removal of a file."""

    KEEP = "keep"
    COPY = "copy"
    PATCH = "patch"
    CHUNKS = "chunks"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class DiskChunk:
    """A chunk that the old version has, and where in its tree."""

    sha256: bytes
    size_bytes: int
    path: str
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file. `from_path` with `copy` and `patch`; `patch` with the latter; with `chunks`, in the order of the file, those on the
    disk and those to be fetched.

    A chunk that several files need is fetched for the first of them: `fetch` names it there and nowhere else. What a patched file
    has is on the disk for all others.
    """

    path: str
    action: FileAction
    size_bytes: int
    from_path: str | None = None
    on_disk: tuple[DiskChunk, ...] = ()
    fetch: tuple[Chunk, ...] = ()
    patch: OfferedPatch | None = None


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """All files, ordered by path. `fetch_bytes` is what comes over the network, `required_disk_space_bytes` what has to be free
    before the start: new files are built beside the old ones.
    """

    files: tuple[FilePlan, ...]
    fetch_bytes: int
    required_disk_space_bytes: int

    @property
    def update_type(self) -> UpdateType:
        """`full` when nothing of the old version is of use."""
        reused = (FileAction.KEEP, FileAction.COPY, FileAction.PATCH)
        is_of_use = any(one.action in reused or one.on_disk for one in self.files)
        return UpdateType.DELTA if is_of_use else UpdateType.FULL


def plan_versions(old: Sequence[Entry], new: Sequence[Entry], patches: Sequence[OfferedPatch] = ()) -> VersionPlan:
    """The plan from a tree to another; from an empty one it is a whole download. With patches it never fetches more than without.

    CPU-bound: large trees belong in a thread.
    """
    before = {entry.path: entry for entry in old if entry.type is EntryType.FILE}
    by_content: dict[bytes | None, str] = {}
    places: dict[bytes, DiskChunk] = {}
    for path, entry in before.items():
        by_content.setdefault(entry.sha256, path)
        _place_chunks(entry, places)
    fetched: dict[bytes, Chunk] = {}
    wanted = [entry for entry in new if entry.type is EntryType.FILE]
    chosen = _choose_patches(wanted, by_content, places, patches)
    patched = {chunk.sha256 for entry in wanted if entry.path in chosen for chunk in entry.chunks}
    files = [
        _patched_file(entry, chosen[entry.path], by_content)
        if entry.path in chosen
        else _plan_file(entry, before.get(entry.path), by_content, places, fetched, patched)
        for entry in wanted
    ]
    kept = {one.path for one in files}
    leaving = (entry for path, entry in before.items() if path not in kept)
    files.extend(FilePlan(entry.path, FileAction.DELETE, entry.size_bytes) for entry in leaving)
    return _plan(files, fetched)


def plan_repair(entries: Sequence[Entry], issues: Sequence[Issue]) -> VersionPlan:
    """The plan from a damaged tree to the same version whole: what the issues leave right is kept and copied from, the other chunks
    are fetched. What the user added stays. CPU-bound: large trees belong in a thread.
    """
    damaged = {issue.path: issue for issue in issues if issue.kind in (IssueKind.CORRUPTED, IssueKind.MISSING)}
    by_content: dict[bytes | None, str] = {}
    places: dict[bytes, DiskChunk] = {}
    right: dict[str, Entry] = {}
    new = [entry for entry in entries if entry.type is EntryType.FILE]
    for entry in new:
        if entry.path in damaged:
            _place_chunks(entry, places, damaged[entry.path].right_chunks)
        else:
            right[entry.path] = entry
            by_content.setdefault(entry.sha256, entry.path)
            _place_chunks(entry, places)
    fetched: dict[bytes, Chunk] = {}
    return _plan([_plan_file(entry, right.get(entry.path), by_content, places, fetched) for entry in new], fetched)


def _choose_patches(
    files: Sequence[Entry],
    by_content: Mapping[bytes | None, str],
    places: Mapping[bytes, DiskChunk],
    patches: Sequence[OfferedPatch],
) -> Mapping[str, OfferedPatch]:
    """By path the patches that cost less than the chunks they stand for: those that neither the disk nor a patch before has."""
    offered: dict[tuple[str, bytes | None], OfferedPatch] = {}
    for one in sorted(patches, key=lambda patch: patch.size_bytes):
        if one.from_sha256 in by_content:
            offered.setdefault((one.relative_path, one.to_sha256), one)
    chosen: dict[str, OfferedPatch] = {}
    had: set[bytes] = set()
    for entry in files if offered else ():
        patch = offered.get((entry.path, entry.sha256))
        if patch is None or entry.sha256 in by_content:
            continue
        lacking = {one.sha256: one.stored_size_bytes for one in entry.chunks if one.sha256 not in places}
        if patch.size_bytes < sum(size for sha256, size in lacking.items() if sha256 not in had):
            chosen[entry.path] = patch
            had |= lacking.keys()
    return chosen


def _patched_file(entry: Entry, patch: OfferedPatch, by_content: Mapping[bytes | None, str]) -> FilePlan:
    from_path = by_content[patch.from_sha256]
    return FilePlan(entry.path, FileAction.PATCH, entry.size_bytes, from_path=from_path, patch=patch)


def _plan(files: Sequence[FilePlan], fetched: Mapping[bytes, Chunk]) -> VersionPlan:
    return VersionPlan(
        files=tuple(sorted(files, key=lambda one: one.path.encode())),
        fetch_bytes=sum(chunk.stored_size_bytes for chunk in fetched.values())
        + sum(one.patch.size_bytes for one in files if one.patch),
        required_disk_space_bytes=sum(
            one.size_bytes for one in files if one.action not in (FileAction.KEEP, FileAction.DELETE)
        ),
    )


def _plan_file(
    entry: Entry,
    before: Entry | None,
    by_content: Mapping[bytes | None, str],
    places: Mapping[bytes, DiskChunk],
    fetched: dict[bytes, Chunk],
    patched: AbstractSet[bytes] = frozenset(),
) -> FilePlan:
    if before is not None and before.sha256 == entry.sha256:
        return FilePlan(entry.path, FileAction.KEEP, entry.size_bytes)
    if entry.sha256 in by_content:
        return FilePlan(entry.path, FileAction.COPY, entry.size_bytes, from_path=by_content[entry.sha256])
    on_disk: list[DiskChunk] = []
    fetch: list[Chunk] = []
    for chunk in entry.chunks:
        place = places.get(chunk.sha256)
        if place is not None:
            on_disk.append(place)
        elif chunk.sha256 not in fetched and chunk.sha256 not in patched:
            fetched[chunk.sha256] = chunk
            fetch.append(chunk)
    return FilePlan(entry.path, FileAction.CHUNKS, entry.size_bytes, on_disk=tuple(on_disk), fetch=tuple(fetch))


def _place_chunks(entry: Entry, places: dict[bytes, DiskChunk], only: frozenset[int] | None = None) -> None:
    offset_bytes = 0
    for number, chunk in enumerate(entry.chunks):
        if only is None or number in only:
            places.setdefault(chunk.sha256, DiskChunk(chunk.sha256, chunk.size_bytes, entry.path, offset_bytes))
        offset_bytes += chunk.size_bytes
