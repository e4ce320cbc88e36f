"""A folder as it will be published: its contents, refused where they cannot be delivered. Blocking; called by
sandbox.publishing.publisher in a thread, before anything is read and once more at the end, to see that nothing moved meanwhile.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from content.v1 import manifest_pb2 as content

from depot.errors import ManifestInvalid
from depot.manifest import MAX_ENTRIES
from depot.paths import check_for_platform, check_tree, shown

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device file",
    stat.S_IFBLK: "a device file",
}


class PublishRefused(Exception):
    """The folder, or the version, cannot be published; the text says why in one line and names the file."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Equal as long as a file was not touched."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of the folder. `path` is relative with `/`; `stamp` is of files only."""

    path: str
    type: content.EntryType
    mode: int = 0
    link_target: str = ""
    stamp: Stamp | None = None


def scan(root: Path, platform: int = content.PLATFORM_UNSPECIFIED) -> Sequence[Node]:
    """Everything below a folder in the manifest's order. Links are not followed, the folder itself may be one.

    Raises:
        PublishRefused: not a folder, unreadable, or with something in it that may not be published.
    """
    if not root.is_dir():
        raise PublishRefused(f"{shown(str(root))} is not a folder")
    nodes: list[Node] = []
    try:
        for node in _walk(os.fspath(root), ""):
            nodes.append(node)
            if len(nodes) > MAX_ENTRIES:
                raise PublishRefused(f"{shown(str(root))} has more than {MAX_ENTRIES} entries")
    except OSError as error:
        raise PublishRefused(f"{shown(str(error.filename))} cannot be read: {error.strerror}") from error
    nodes.sort(key=lambda node: node.path)
    try:
        check_tree(content.Entry(path=node.path, type=node.type, link_target=node.link_target) for node in nodes)
        check_for_platform((content.Entry(path=node.path) for node in nodes), platform)
    except ManifestInvalid as error:
        raise PublishRefused(error.description) from None
    return nodes


def first_difference(before: Sequence[Node], after: Sequence[Node]) -> str | None:
    """Path of the first entry that came, went or was touched between two scans."""
    if before == after:
        return None
    changed = set(before).symmetric_difference(after)
    return min(node.path for node in changed)


def _walk(folder: str, prefix: str) -> Iterator[Node]:
    pending = [(folder, prefix)]
    while pending:
        folder, prefix = pending.pop()
        with os.scandir(folder) as found:
            for item in found:
                node = _node(item, prefix + item.name)
                if node.type == content.ENTRY_TYPE_DIRECTORY:
                    pending.append((item.path, node.path + "/"))
                yield node


def _node(item: os.DirEntry[str], path: str) -> Node:
    if not _is_unicode(path):
        raise PublishRefused(f"the path {shown(path)} is not UTF-8")
    status = item.stat(follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):
        mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        return Node(path, content.ENTRY_TYPE_FILE, mode=mode, stamp=Stamp.of(status))
    if stat.S_ISDIR(status.st_mode):
        return Node(path, content.ENTRY_TYPE_DIRECTORY)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(item.path)  # noqa: PTH115  exactly as it is: Path would tidy it up
        if not _is_unicode(target):
            raise PublishRefused(f"the link {shown(path)} leads to {shown(target)}, which is not UTF-8")
        return Node(path, content.ENTRY_TYPE_SYMLINK, link_target=target)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "of no type that can be delivered")
    raise PublishRefused(f"the path {shown(path)} is {kind}")


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
