"""Compares a game's folder with the manifest of what is installed there, by hash. Changes nothing. Used by the commands
`verify` and `repair`; blocks: runs in a thread.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from launcher.disk.folder import Folder, Walker
from launcher.disk.plan import STAGING_FOLDER, Plan, PlannedFile
from launcher.disk.scan import check_stopped, hash_descriptor
from launcher.disk.workspace import Workspace

MAX_EXTRA = 10_000
"""The maximum number of the user's own entries that are listed."""
MAX_CHUNKS_TOLD = 10_000
"""Chunks of a damaged file that are reported to the server; a file with more is fetched whole."""


class IssueKind(StrEnum):
    """The kind of damage at a path (contract section 3, verifications)."""

    CORRUPTED = "corrupted"
    MISSING = "missing"
    EXTRA = "extra"
    WRONG_MODE = "wrong_mode"


@dataclass(frozen=True, slots=True)
class Issue:
    """One path that is not as published."""

    path: str
    kind: IssueKind


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """An entry as it lies on the disk, in the words of the contract (`verifications/{id}/hashes`). `sha256` None: it was not read,
    because its size or kind tells already that it is another one. `chunk_sha256s` of a file that differs, as far as it reaches.
    """

    path: str
    type: str = "file"
    size_bytes: int = 0
    sha256: bytes | None = None
    mode: int | None = None
    link_target: str | None = None
    chunk_sha256s: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Findings:
    """The entries of a tree and the differences from what was published, both ordered by path."""

    entries: list[LocalEntry] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)

    def note(self, path: str, looked: "Look") -> None:
        kind, entry = looked
        if kind is not None:
            self.issues.append(Issue(path, kind))
        if entry is not None:
            self.entries.append(entry)


Look = tuple[IssueKind | None, LocalEntry | None]
"""The issue at a path and the entry there; the entry is None when it is missing."""


def inspect_tree(workspace: Workspace, plan: Plan, stop: threading.Event) -> Findings:
    """Compare the whole tree with the plan. What the user added is `extra`, which is not damage."""
    walker = Walker(workspace.root)
    found = Findings()
    has_modes = workspace.keeps_modes()
    try:
        for file in plan.files.values():
            check_stopped(stop)
            if plan.is_users(file.path):
                # The server does not know whose it is: it is notified of the file as published.
                entry = LocalEntry(file.path, "file", file.size_bytes, file.sha256, file.mode)
                found.note(file.path, (None, entry))
                continue
            found.note(
                file.path, _at(walker, file.path, partial(_look_at_file, file=file, has_modes=has_modes, stop=stop))
            )
        for link in plan.links:
            if plan.is_users(link.path):
                found.note(link.path, (None, LocalEntry(link.path, "symlink", link_target=link.target)))
                continue
            found.note(link.path, _at(walker, link.path, partial(_look_at_link, path=link.path, target=link.target)))
        for path in plan.directories:
            found.note(path, _at(walker, path, partial(_look_at_folder, path=path)))
    finally:
        walker.close()
    for path in _extra(workspace.root, plan):
        found.note(path, (IssueKind.EXTRA, LocalEntry(path)))
    found.issues.sort(key=lambda issue: _bytes_of(issue.path))
    found.entries.sort(key=lambda entry: _bytes_of(entry.path))
    return found


def verify_tree(workspace: Workspace, plan: Plan, stop: threading.Event) -> Sequence[Issue]:
    """Return every difference from the plan, ordered by path."""
    return inspect_tree(workspace, plan, stop).issues


def damage(issues: Sequence[Issue]) -> Sequence[Issue]:
    """Return the issues that a repair mends."""
    return [issue for issue in issues if issue.kind is not IssueKind.EXTRA]


def _at(walker: Walker, path: str, look: Callable[[Folder, str], Look]) -> Look:
    """Look at a path whose parent folders may already differ from the plan."""
    try:
        parent, name = walker.parent_of(path)
        return (IssueKind.MISSING, None) if parent is None else look(parent, name)
    except FileNotFoundError:
        return IssueKind.MISSING, None
    except OSError:
        # A parent is of another kind or unreadable: that is an issue of this path, and no reason to skip the others.
        return IssueKind.CORRUPTED, LocalEntry(path)


def _look_at_file(parent: Folder, name: str, file: PlannedFile, stop: threading.Event, *, has_modes: bool) -> Look:
    status = parent.status(name)
    if status is None:
        return IssueKind.MISSING, None
    if not stat.S_ISREG(status.st_mode):
        return IssueKind.CORRUPTED, _other(parent, name, file.path, status)
    mode = stat.S_IMODE(status.st_mode) if has_modes else file.mode
    descriptor = parent.open_file(name, os.O_RDONLY)
    try:
        sha256 = hash_descriptor(descriptor, stop) if status.st_size == file.size_bytes else None
        is_right = sha256 == file.sha256
        chunks = () if is_right else tuple(_hash_chunks(descriptor, file, stop))
    finally:
        os.close(descriptor)
    entry = LocalEntry(file.path, "file", status.st_size, sha256, mode, None, chunks)
    if not is_right:
        return IssueKind.CORRUPTED, entry
    return (None if mode == file.mode else IssueKind.WRONG_MODE), entry


def _hash_chunks(descriptor: int, file: PlannedFile, stop: threading.Event) -> list[bytes]:
    """Return the hashes of the bytes at the chunks' offsets, so that a repair need not fetch the chunks that are correct."""
    if len(file.chunks) > MAX_CHUNKS_TOLD:
        return []
    found = []
    for chunk in file.chunks:
        check_stopped(stop)
        data = os.pread(descriptor, chunk.size_bytes, chunk.offset)
        if not data:
            break
        found.append(hashlib.sha256(data).digest())
    return found


def _look_at_link(parent: Folder, name: str, path: str, target: str) -> Look:
    status = parent.status(name)
    if status is None:
        return IssueKind.MISSING, None
    entry = _other(parent, name, path, status)
    is_right = (entry.type, entry.link_target) == ("symlink", target)
    return (None if is_right else IssueKind.CORRUPTED), entry


def _look_at_folder(parent: Folder, name: str, path: str) -> Look:
    status = parent.status(name)
    if status is None:
        return IssueKind.MISSING, None
    entry = _other(parent, name, path, status)
    return (None if entry.type == "directory" else IssueKind.CORRUPTED), entry


def _other(parent: Folder, name: str, path: str, status: os.stat_result) -> LocalEntry:
    """Return the entry at the path without its content, for cases in which the bytes do not matter."""
    if stat.S_ISDIR(status.st_mode):
        return LocalEntry(path, "directory")
    if stat.S_ISLNK(status.st_mode):
        return LocalEntry(path, "symlink", link_target=os.readlink(name, dir_fd=parent.descriptor))
    return LocalEntry(path, "file", status.st_size)


def _bytes_of(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _extra(root: Folder, plan: Plan) -> Sequence[str]:
    known = {file.path for file in plan.files.values()} | {link.path for link in plan.links} | set(plan.directories)
    known.add(STAGING_FOLDER)
    extra: list[str] = []
    folders = [""]
    while folders and len(extra) < MAX_EXTRA:
        path = folders.pop()
        walker = Walker(root)
        try:
            folder = walker.folder(path.split("/") if path else [])
            for name in folder.names() if folder is not None else ():
                below = f"{path}/{name}" if path else name
                status = folder.status(name) if folder is not None else None
                if below not in known:
                    extra.append(below)
                elif status is not None and stat.S_ISDIR(status.st_mode) and below != STAGING_FOLDER:
                    folders.append(below)
        except OSError:
            continue  # it cannot be read: whatever of the game lies in it is a finding already
        finally:
            walker.close()
    return extra[:MAX_EXTRA]
