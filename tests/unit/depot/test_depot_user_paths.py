"""Patterns of paths that are the user's: what they cover, what a manifest may say, and how much work they make."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depot.errors import ManifestInvalid
from depot.user_paths import MAX_USER_PATHS, UserPaths, check_user_paths


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("game.ini", ["game.ini"], ["data/game.ini", "game.ini.bak", "GAME.INI", "game.ini/x"]),
        ("*.ini", ["a.ini", ".ini"], ["x/a.ini", "a.inix"]),
        ("saves/**", ["saves/1", "saves/a/b/c"], ["saves", "saves2/1", "x/saves/1"]),
        ("**/settings.?ml", ["settings.xml", "a/b/settings.yml"], ["settings.yaml", "settings.xml/z"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a", "z", "a/zz", "b/a/z"]),
        ("a/**/**", ["a/b", "a/b/c"], ["a"]),
        ("**", ["a", "a/b"], []),
        ("**/saves/**", ["saves/1", "a/saves/1", "saves/saves"], ["saves", "a/saves"]),
        ("профиль/*", ["профиль/имя"], ["профиль"]),
        ("a+b(c).{d}", ["a+b(c).{d}"], ["aab(c).{d}"]),
    ],
)
def test_a_pattern_covers_whole_paths(pattern: str, covered: list[str], others: list[str]) -> None:
    check_user_paths([pattern])
    paths = UserPaths((pattern,))
    assert [path for path in covered if not paths.covers(path)] == []
    assert [path for path in others if paths.covers(path)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/./b",
        "a\\b",
        "!a",
        "[ab]",
        "a**",
        "**a/b",
        "c:d",
        "#a",
        "a\x1b",
        "\u202ea",
        "x" * 2000,
    ],
)
def test_a_pattern_that_is_wrong_is_named(pattern: str) -> None:
    with pytest.raises(ManifestInvalid, match="user paths") as refused:
        check_user_paths(["fine", pattern])
    assert refused.value.description.isprintable()


def test_there_is_a_limit_to_patterns() -> None:
    check_user_paths(["a"] * MAX_USER_PATHS)
    with pytest.raises(ManifestInvalid, match="more than"):
        check_user_paths(["a"] * (MAX_USER_PATHS + 1))


NAMES = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5)
PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "?", "a*", "**"]), min_size=1, max_size=5)


@given(names=NAMES, pattern=PATTERNS)
def test_it_means_what_the_same_expression_means(names: list[str], pattern: list[str]) -> None:
    meaning = "".join(
        {"**": "(?:[^/]+/)*", "*": "[^/]*/", "?": "[^/]/", "a*": "a[^/]*/"}.get(part, f"{part}/") for part in pattern
    )
    if pattern[-1] == "**":
        meaning += "[^/]+/"
    assert UserPaths(("/".join(pattern),)).covers("/".join(names)) == bool(re.fullmatch(meaning, "/".join(names) + "/"))


def test_no_pattern_makes_more_work_than_its_length() -> None:
    slow = UserPaths(("/".join(["**", "a"] * 100), "/".join(["*a" * 100] * 2)))
    started = time.perf_counter()
    assert not slow.covers("/".join(["a"] * 90 + ["b"]))
    assert not slow.covers("a" * 255 + "b/" + "a" * 255 + "b")
    assert time.perf_counter() - started < 2
