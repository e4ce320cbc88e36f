"""Finds the parts of an installation that are on the disk already, staged by an interrupted run or in place. Trusts no claim of the
journal until the bytes are hashed or the file is provably unchanged. Used by launcher.disk.writer; blocks: runs in a thread.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from depot.paths import collision_key
from launcher.disk.folder import Folder, Walker, disk_failure, is_obstruction, is_unreadable
from launcher.disk.journal import Recorded
from launcher.disk.plan import Outdated, Plan, PlannedFile
from launcher.disk.workspace import Workspace

READ_BYTES = 1 << 20


@dataclass(slots=True)
class Found:
    """The content that need not be fetched. A file is in at most one of the three."""

    in_place: set[int] = field(default_factory=set)
    ready: set[int] = field(default_factory=set)
    """Files that are staged, complete, correct and durable."""
    chunks: dict[int, set[int]] = field(default_factory=dict)
    """Correct chunks of staged files."""

    def present_bytes(self, file: PlannedFile) -> int:
        """Return the number of bytes of the file that are present."""
        if file.index in self.in_place or file.index in self.ready:
            return file.size_bytes
        return sum(file.chunks[number].size_bytes for number in self.chunks.get(file.index, ()))


class Stopped(BaseException):
    """The work was cancelled from outside. Like CancelledError it is not a failure, and no caller on the way may catch it."""


def survey(
    workspace: Workspace, plan: Plan, recorded: Recorded | None, outdated: Outdated, stop: threading.Event
) -> Found:
    """Looks at every file of the plan, and removes what is staged and unknown. What is `outdated` is in nobody's way.

    Raises:
        LauncherError: something lies in the way of a file.
    """
    found = Found()
    walker = Walker(workspace.root)
    if recorded is None:
        workspace.clear_staged()
        recorded = Recorded()
    staged = set(workspace.staged.names())
    renamed = {collision_key(path) for path in outdated.leaves}
    try:
        for file in plan.files.values():
            check_stopped(stop)
            try:
                if plan.is_users(file.path) and _lies_there(walker, file.path):
                    found.in_place.add(file.index)  # whatever it is, it is the user's
                    continue
                _survey_file(workspace.staged, walker, file, recorded, staged, found, stop)
                if (
                    file.index in found.in_place
                    and collision_key(file.path) in renamed
                    and not _is_called(walker, file.path)
                ):
                    found.in_place.remove(file.index)  # it is there under the old name: placed anew, it gets its own
            except OSError as error:
                if not (is_obstruction(error) and outdated.covers(file.path)):
                    raise disk_failure(error, file.path) from None
    finally:
        walker.close()
    kept = {str(index) for index in found.ready | found.chunks.keys()}
    for name in staged - kept:
        workspace.staged.remove(name)
    return found


def hash_descriptor(descriptor: int, stop: threading.Event) -> bytes:
    """SHA-256 of a whole file, given up when `stop` is set."""
    digest = hashlib.sha256()
    position = 0
    while piece := os.pread(descriptor, READ_BYTES, position):
        check_stopped(stop)
        digest.update(piece)
        position += len(piece)
    return digest.digest()


def _is_called(walker: Walker, path: str) -> bool:
    """Each folder on the way lists just this name: a disk that is blind to case finds a file under others too."""
    names = path.split("/")
    for depth in range(1, len(names) + 1):
        parent, name = walker.parent_of("/".join(names[:depth]))
        if parent is None or name not in parent.names():
            return False
    return True


def _lies_there(walker: Walker, path: str) -> bool:
    parent, name = walker.parent_of(path)
    return parent is not None and parent.status(name) is not None


def _survey_file(
    staging: Folder,
    walker: Walker,
    file: PlannedFile,
    recorded: Recorded,
    staged: set[str],
    found: Found,
    stop: threading.Event,
) -> None:
    mtime_ns = recorded.files.get(file.index)
    is_staged = file.staged_name in staged
    if mtime_ns is not None and is_staged and _is_same(staging.status(file.staged_name), file, mtime_ns):
        found.ready.add(file.index)
        return
    parent, name = walker.parent_of(file.path)
    status = parent.status(name) if parent is not None else None
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "a folder lies there", file.path)
    if mtime_ns is not None and not is_staged and _is_same(status, file, mtime_ns):
        found.in_place.add(file.index)
        return
    if is_staged and file.index in recorded.chunks:
        right = set(_right_chunks(staging, file, recorded.chunks[file.index], stop))
        if right:
            found.chunks[file.index] = right
            return
    is_candidate = status is not None and _is_candidate(status, file)
    if parent is not None and is_candidate and _has_content(parent, name, file, stop):
        found.in_place.add(file.index)


def _has_content(parent: Folder, name: str, file: PlannedFile, stop: threading.Event) -> bool:
    """Return True when the file has the expected content. An unreadable file counts as different and is fetched anew."""
    try:
        descriptor = parent.open_file(name, os.O_RDONLY)
        try:
            return hash_descriptor(descriptor, stop) == file.sha256
        finally:
            os.close(descriptor)
    except OSError as error:
        if not is_unreadable(error):
            raise
        return False


def _is_same(status: os.stat_result | None, file: PlannedFile, mtime_ns: int) -> bool:
    """Return True when it is the file that was verified and made durable, unchanged since."""
    return status is not None and _is_candidate(status, file) and status.st_mtime_ns == mtime_ns


def _is_candidate(status: os.stat_result, file: PlannedFile) -> bool:
    """Return True for a plain file of the right size. One with several names could change under another: it is fetched anew."""
    return stat.S_ISREG(status.st_mode) and status.st_size == file.size_bytes and status.st_nlink == 1


def _right_chunks(staging: Folder, file: PlannedFile, claimed: set[int], stop: threading.Event) -> Iterator[int]:
    try:
        descriptor = staging.open_file(file.staged_name, os.O_RDWR)
    except OSError:
        staging.remove(file.staged_name)  # what is no plain file of ours is begun anew
        return
    try:
        for number in sorted(claimed):
            check_stopped(stop)
            if number < len(file.chunks):
                chunk = file.chunks[number]
                data = os.pread(descriptor, chunk.size_bytes, chunk.offset)
                if hashlib.sha256(data).digest() == chunk.sha256:
                    yield number
    finally:
        os.close(descriptor)


def check_stopped(stop: threading.Event) -> None:
    """Raises Stopped when the work was cancelled."""
    if stop.is_set():
        raise Stopped
