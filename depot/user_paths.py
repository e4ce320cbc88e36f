"""Paths of a version that are the user's: configurations, saves. Publishers name them by patterns, as in a .gitignore but always of
the whole path: `*` and `?` within a name, `**` for any folders, also none, or at the end for everything below.
"""

import fnmatch
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from depot.errors import ManifestInvalid
from depot.paths import MAX_PATH_BYTES, shown

MAX_USER_PATHS = 100
_ANY_FOLDERS = "**"
_REFUSED_CHARACTERS = frozenset("\\:!#[]")
"""Characters refused in patterns: those that cannot be in a path, and those with a special meaning in other tools."""


def check_user_paths(patterns: Collection[str]) -> None:
    """The patterns of a manifest.

    Raises:
        ManifestInvalid: names the first that is wrong.
    """
    if len(patterns) > MAX_USER_PATHS:
        raise ManifestInvalid(f"it has more than {MAX_USER_PATHS} patterns of user paths")
    for pattern in patterns:
        if len(pattern) > MAX_PATH_BYTES or len(pattern.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
            raise _refused(pattern[:80], f"is longer than {MAX_PATH_BYTES} bytes")
        if not pattern.isprintable() or _REFUSED_CHARACTERS & set(pattern):
            raise _refused(pattern, "has a character in it that no pattern has")
        names = pattern.split("/")
        if any(name in {"", ".", ".."} for name in names):
            raise _refused(pattern, "is not relative, with `/` between names")
        if any(_ANY_FOLDERS in name and name != _ANY_FOLDERS for name in names):
            raise _refused(pattern, "has `**` beside other characters in a name")


@dataclass(frozen=True, slots=True)
class UserPaths:
    """Checked patterns, ready to be matched."""

    patterns: tuple[str, ...] = ()
    _compiled: tuple[tuple[re.Pattern[str] | None, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", tuple(map(_compiled, self.patterns)))

    def covers(self, path: str) -> bool:
        """Return True when the path belongs to the user."""
        if not self._compiled:
            return False
        names = path.split("/")
        return any(_matches(pattern, names) for pattern in self._compiled)


def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """An expression for each name; None for `**`. `saves/**` is what lies below `saves`, not the folder itself."""
    names = pattern.split("/")
    if names[-1] == _ANY_FOLDERS:
        names.append("*")
    return tuple(None if name == _ANY_FOLDERS else re.compile(fnmatch.translate(name)) for name in names)


def _matches(pattern: tuple[re.Pattern[str] | None, ...], names: list[str]) -> bool:
    """Walks the names once, with every place of the pattern that they may stand for: never more work than names times places."""
    places = _with_skipped({0}, pattern)
    for name in names:
        following = set()
        for place in places:
            if place == len(pattern):
                continue
            one = pattern[place]
            if one is None:
                following.add(place)
            elif one.match(name):
                following.add(place + 1)
        places = _with_skipped(following, pattern)
        if not places:
            return False
    return len(pattern) in places


def _with_skipped(places: set[int], pattern: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    """Return these places, and those after a `**` that matches no folder."""
    reached = set(places)
    for place in sorted(places):
        after = place
        while after < len(pattern) and pattern[after] is None:
            after += 1
            reached.add(after)
    return reached


def _refused(pattern: str, rule: str) -> ManifestInvalid:
    return ManifestInvalid(f"the pattern of user paths {shown(pattern)} {rule}")
