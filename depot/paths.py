"""The rules of trees to publish and install (contract section 3, Manifests). A tree that passes can be written on Linux,
Windows and macOS without one entry overwriting another and without anything landing outside of it, or in the launcher's own folder.
The one rule set of publishing, of Download's check of an announced version and of the launcher's plan.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from content.v1 import manifest_pb2 as content

from depot.errors import ManifestInvalid

MAX_NAME_BYTES = 255
"""The length of one name in UTF-8 that ext4 and APFS can hold."""
MAX_PATH_BYTES = 1024
"""The length of a whole path or link target in UTF-8: macOS' PATH_MAX, the smallest of the three systems."""
MAX_LINK_HOPS = 40
"""Links followed while one target is resolved, as Linux counts them (path_resolution(7))."""

LAUNCHER_FOLDER = ".samovar"
"""The launcher's own folder in the root of a game; no content may lie there."""
LAUNCHER_PREFIX = ".samovar-"
"""The prefix of the launcher's own files beside a game's files, in any folder."""

_SHORT_LAUNCHER_FOLDER = re.compile(r"samova~[0-9]+")
"""The short names that FAT and NTFS may give to LAUNCHER_FOLDER."""
_WINDOWS_CHARACTERS = re.compile(r'[<>"|?*]')

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: also with an extension, and with superscript digits.
_RESERVED_NAMES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"}
)


def check_path(path: str) -> None:
    """One path of a tree: relative, `/` between names, every name fit for every system.

    Raises:
        ManifestInvalid: names the path and the rule.
    """
    if not path:
        raise ManifestInvalid("a path is empty")
    if path.startswith("/"):
        raise _refused(path, "is absolute")
    _check_characters(path, path)
    names = path.split("/")
    for name in names:
        if name in {"", ".", ".."}:
            raise _refused(path, f"has the name {name!r} in it")
        _check_name(path, name)
    _check_not_the_launchers(path, names)


def collision_key(path: str) -> str:
    """Equal for paths that are one file where case or Unicode form do not count (canonical caseless matching, Unicode D145)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def check_tree(entries: Iterable[content.Entry]) -> None:
    """All path rules of a whole tree: order, parents, collisions, links that stay inside.

    Entries must come in the order of their paths' UTF-8 bytes, every folder as an entry of its own before what lies in it.

    Raises:
        ManifestInvalid: names the first entry that breaks a rule.
    """
    types: dict[str, int] = {}
    spelling: dict[str, str] = {}
    links: dict[str, str] = {}
    previous = ""
    for entry in entries:
        path = entry.path
        check_path(path)
        if path == previous:
            raise _refused(path, "is there twice")
        if path < previous:  # code points and UTF-8 bytes sort alike
            raise _refused(path, f"is out of order after {shown(previous)}")
        previous = path
        key = collision_key(path)
        if key in spelling:
            raise _refused(path, f"is the same name as {shown(spelling[key])} where case or Unicode form do not count")
        spelling[key] = path
        _check_parent(path, types)
        types[path] = entry.type
        if entry.type == content.ENTRY_TYPE_SYMLINK:
            _check_target_form(path, entry.link_target)
            links[key] = entry.link_target
    for key, target in links.items():
        _check_stays_inside(spelling[key], target, links)


def check_for_platform(entries: Iterable[content.Entry], platform: int) -> None:
    """The rules that only one system has: Windows holds no names with `<>"|?*` in them.

    Raises:
        ManifestInvalid: names the first entry that breaks one.
    """
    if platform != content.PLATFORM_WINDOWS:
        return
    for entry in entries:
        if _WINDOWS_CHARACTERS.search(entry.path):
            raise _refused(entry.path, 'has a character in it that Windows refuses: one of < > " | ? *')


def shown(path: str) -> str:
    """A path as messages show it: quoted, control characters escaped."""
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path) + "'"


def _refused(path: str, rule: str) -> ManifestInvalid:
    return ManifestInvalid(f"the path {shown(path)} {rule}")


def _check_characters(path: str, text: str) -> None:
    if len(text) > MAX_PATH_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise _refused(path[:80], f"and more is longer than {MAX_PATH_BYTES} bytes")
    if "\\" in text:
        raise _refused(path, "has a backslash in it")
    if ":" in text:  # drive letters and alternate data streams
        raise _refused(path, "has a colon in it")
    if not text.isprintable():  # nearly every path is printable: the slow look is for the others
        for character in text:
            if unicodedata.category(character) == "Cc":
                raise _refused(path, "has a control character in it")
            if unicodedata.category(character) == "Cs":
                raise _refused(path, "is not UTF-8")


def _check_name(path: str, name: str) -> None:
    if name[-1] in ". ":
        raise _refused(path, "has a name that ends in a dot or a space")
    if len(name) * 4 > MAX_NAME_BYTES and len(name.encode()) > MAX_NAME_BYTES:
        raise _refused(path[:80], f"has a name longer than {MAX_NAME_BYTES} bytes")
    if name.split(".", 1)[0].rstrip(" ").lower() in _RESERVED_NAMES:
        raise _refused(path, "has a name that Windows keeps for a device")


def _check_not_the_launchers(path: str, names: Sequence[str]) -> None:
    if path.isascii() and "samov" not in path.lower():
        return  # nearly every path
    root = _visible(names[0])
    if root == LAUNCHER_FOLDER or _SHORT_LAUNCHER_FOLDER.fullmatch(root):
        raise _refused(path, f"lies in {LAUNCHER_FOLDER}, the launcher's own folder: is this an installed game?")
    if any(_visible(name).startswith(LAUNCHER_PREFIX) for name in names):
        raise _refused(path, f"has a name that begins with {LAUNCHER_PREFIX}, as the launcher names files that it kept")


def _visible(name: str) -> str:
    """The name as HFS+ compares it: without regard to case, form and the characters that it ignores."""
    return "".join(c for c in collision_key(name) if c.isascii() or unicodedata.category(c) != "Cf")


def _check_parent(path: str, types: Mapping[str, int]) -> None:
    parent, slash, _ = path.rpartition("/")
    if not slash or types.get(parent) == content.ENTRY_TYPE_DIRECTORY:
        return
    while parent:
        kind = types.get(parent)
        if kind == content.ENTRY_TYPE_SYMLINK:
            raise _refused(path, f"lies below the link {shown(parent)}")
        if kind == content.ENTRY_TYPE_FILE:
            raise _refused(path, f"lies below the file {shown(parent)}")
        parent = parent.rpartition("/")[0]
    raise _refused(path, "has a parent folder that is no entry before it")


def _check_target_form(path: str, target: str) -> None:
    if not target:
        raise _refused(path, "is a link that leads nowhere")
    if target.startswith("/"):
        raise _refused(path, f"is a link to the absolute path {shown(target)}")
    try:
        _check_characters(target, target)
        for name in target.split("/"):
            if name not in {"", ".", ".."}:
                _check_name(target, name)
    except ManifestInvalid as error:
        raise _refused(path, f"is a link whose target is refused: {error.description}") from None


def _check_stays_inside(path: str, target: str, links: Mapping[str, str]) -> None:
    """Walks the target as a system would, through the tree's own links and without regard to case, so that no detour
    (`a -> deep/folder`, `b -> a/../../..`) leads out. A name that does not exist counts as a folder.
    """
    here = collision_key(path).split("/")[:-1]
    pending = list(reversed(target.split("/")))
    hops = 0
    while pending:
        name = pending.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            if not here:
                raise _refused(path, f"is a link that leaves the tree: {shown(target)}")
            here.pop()
            continue
        here.append(collision_key(name))
        next_target = links.get("/".join(here))
        if next_target is not None:
            hops += 1
            if hops > MAX_LINK_HOPS:
                raise _refused(path, f"is a link that goes in a circle or over more than {MAX_LINK_HOPS} others")
            here.pop()
            pending.extend(reversed(next_target.split("/")))
