"""What it takes to get from one version to another: per file, what stays, what is on the disk under which path, what must be
fetched, what goes. Pure, from two manifests; the launcher makes the same choice from what really lies on its disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from download_svc.sessions.domain import UpdateType
from download_svc.verifications.domain import Issue, IssueKind
from download_svc.versions.manifests import Chunk, Entry, EntryType


class FileAction(StrEnum):
    """How a file of the new version is had, or that it goes. A patch (an old file and a difference) will be one more."""

    KEEP = "keep"
    COPY = "copy"
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
    """One file. `from_path` with `copy`; with `chunks`, in the order of the file, those on the disk and those to be fetched.

    A chunk that several files need is fetched for the first of them: `fetch` names it there and nowhere else.
    """

    path: str
    action: FileAction
    size_bytes: int
    from_path: str | None = None
    on_disk: tuple[DiskChunk, ...] = ()
    fetch: tuple[Chunk, ...] = ()


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
        is_of_use = any(one.action in (FileAction.KEEP, FileAction.COPY) or one.on_disk for one in self.files)
        return UpdateType.DELTA if is_of_use else UpdateType.FULL


def plan_versions(old: Sequence[Entry], new: Sequence[Entry]) -> VersionPlan:
    """The plan from a tree to another; from an empty one it is a whole download. CPU-bound: large trees belong in a thread."""
    before = {entry.path: entry for entry in old if entry.type is EntryType.FILE}
    by_content: dict[bytes | None, str] = {}
    places: dict[bytes, DiskChunk] = {}
    for path, entry in before.items():
        by_content.setdefault(entry.sha256, path)
        _place_chunks(entry, places)
    fetched: dict[bytes, Chunk] = {}
    files = [
        _plan_file(entry, before.get(entry.path), by_content, places, fetched)
        for entry in new
        if entry.type is EntryType.FILE
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


def _plan(files: Sequence[FilePlan], fetched: Mapping[bytes, Chunk]) -> VersionPlan:
    return VersionPlan(
        files=tuple(sorted(files, key=lambda one: one.path.encode())),
        fetch_bytes=sum(chunk.stored_size_bytes for chunk in fetched.values()),
        required_disk_space_bytes=sum(
            one.size_bytes for one in files if one.action in (FileAction.COPY, FileAction.CHUNKS)
        ),
    )


def _plan_file(
    entry: Entry,
    before: Entry | None,
    by_content: Mapping[bytes | None, str],
    places: Mapping[bytes, DiskChunk],
    fetched: dict[bytes, Chunk],
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
        elif chunk.sha256 not in fetched:
            fetched[chunk.sha256] = chunk
            fetch.append(chunk)
    return FilePlan(entry.path, FileAction.CHUNKS, entry.size_bytes, on_disk=tuple(on_disk), fetch=tuple(fetch))


def _place_chunks(entry: Entry, places: dict[bytes, DiskChunk], only: frozenset[int] | None = None) -> None:
    offset_bytes = 0
    for number, chunk in enumerate(entry.chunks):
        if only is None or number in only:
            places.setdefault(chunk.sha256, DiskChunk(chunk.sha256, chunk.size_bytes, entry.path, offset_bytes))
        offset_bytes += chunk.size_bytes
