"""Tells the launcher's own files in a game's folder from the user's: what it placed and what still has the content that it placed
may be replaced or removed; whatever else lies at a path of the game is renamed beside and reported. Used by launcher.disk.commit;
blocks.
"""

import os
import stat
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from depot.paths import LAUNCHER_PREFIX, MAX_NAME_BYTES
from launcher.disk.folder import Folder, Walker, disk_failure, is_obstruction, is_unreadable
from launcher.disk.plan import Plan
from launcher.disk.scan import hash_descriptor
from launcher.disk.workspace import Workspace

KEPT_PREFIX = f"{LAUNCHER_PREFIX}kept-"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Equal as long as nothing wrote to a file, renamed it or put another in its place."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Ownership:
    """The files and links that the launcher may replace or remove, each as it was when its content was compared."""

    stamps: Mapping[str, Stamp]

    def covers(self, path: str, status: os.stat_result) -> bool:
        """Return True when the entry at the path belongs to the launcher and has not changed since it was compared."""
        return self.stamps.get(path) == Stamp.of(status)


def recognise(
    workspace: Workspace,
    paths: Collection[str],
    trees: Iterable[Plan],
    stop: threading.Event,
    *,
    given_up: Collection[str] = (),
) -> Ownership:
    """Compares, by hash, what lies at these paths with what the versions have there. What cannot be read counts as unknown.
    `given_up` are paths whose content the user does not want, whatever it is.

    Raises:
        LauncherError: the disk refuses.
    """
    contents, targets = _placed(trees, paths)
    stamps: dict[str, Stamp] = {}
    walker = Walker(workspace.root)
    try:
        for path in sorted(paths):
            try:
                parent, name = walker.parent_of(path)
                status = parent.status(name) if parent is not None else None
                if parent is None or status is None:
                    continue
                if path in given_up or _is_placed(
                    parent, name, status, contents.get(path, ()), targets.get(path, ()), stop
                ):
                    stamps[path] = Stamp.of(status)
            except OSError as error:
                if not is_obstruction(error):
                    raise disk_failure(error, path) from None
    finally:
        walker.close()
    return Ownership(stamps)


def free_name(parent: Folder, name: str) -> str:
    """Return a free name under which a file or folder is kept beside: `.samovar-kept-NAME`, numbered when that is taken."""
    number = 1
    while True:
        prefix = KEPT_PREFIX if number == 1 else f"{KEPT_PREFIX}{number}-"
        kept = prefix + _last_bytes(name, MAX_NAME_BYTES - len(prefix))
        if parent.status(kept) is None:
            return kept
        number += 1


Contents = dict[str, set[tuple[int, bytes]]]
Targets = dict[str, set[str]]


def _placed(trees: Iterable[Plan], wanted: Collection[str]) -> tuple[Contents, Targets]:
    """Return the sizes and hashes of the files, and the targets of the links, that any of the trees has at these paths."""
    contents: Contents = {}
    targets: Targets = {}
    for tree in trees:
        for file in tree.files.values():
            if file.path in wanted:
                contents.setdefault(file.path, set()).add((file.size_bytes, file.sha256))
        for link in tree.links:
            if link.path in wanted:
                targets.setdefault(link.path, set()).add(link.target)
    return contents, targets


def _is_placed(
    parent: Folder,
    name: str,
    status: os.stat_result,
    contents: Iterable[tuple[int, bytes]],
    targets: Iterable[str],
    stop: threading.Event,
) -> bool:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(name, dir_fd=parent.descriptor) in targets
    hashes = {sha256 for size_bytes, sha256 in contents if size_bytes == status.st_size}
    if not hashes or not stat.S_ISREG(status.st_mode):
        return False
    try:
        descriptor = parent.open_file(name, os.O_RDONLY)
        try:
            return hash_descriptor(descriptor, stop) in hashes
        finally:
            os.close(descriptor)
    except OSError as error:
        if not is_unreadable(error):
            raise
        return False


def _last_bytes(name: str, size_bytes: int) -> str:
    """Return the end of a name, which holds its extension, in at most so many bytes."""
    data = os.fsencode(name)
    if len(data) <= size_bytes:
        return name
    return data[-size_bytes:].decode("utf-8", "ignore")
