"""The path rules of published trees."""

import time
import unicodedata

import pytest
from content.v1 import manifest_pb2 as content
from hypothesis import given
from hypothesis import strategies as st

from depot.errors import ManifestInvalid
from depot.paths import MAX_LINK_HOPS, check_for_platform, check_path, check_tree, collision_key


def file(path: str) -> content.Entry:
    return content.Entry(path=path, type=content.ENTRY_TYPE_FILE)


def folder(path: str) -> content.Entry:
    return content.Entry(path=path, type=content.ENTRY_TYPE_DIRECTORY)


def link(path: str, target: str) -> content.Entry:
    return content.Entry(path=path, type=content.ENTRY_TYPE_SYMLINK, link_target=target)


def tree(*entries: content.Entry) -> list[content.Entry]:
    return sorted(entries, key=lambda entry: entry.path.encode())


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "bin/game",
        "Данные/уровень 1.pak",
        ".hidden",
        "..more",
        "a...b",
        " leading space",
        "console.txt",
        "com10",
        "auxiliary",
        "日本語/ファイル",
        "emoji 🎮",
        "what?<>|*.txt",
        "x" * 255,
        "no\u00a0break",
        ".samovarish",
        "samovar/.samovar",
        "data/.samovar/config",
        "my.samovar-kept",
    ],
)
def test_a_good_path_passes(path: str) -> None:
    assert check_path(path) is None


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("//server/share", "absolute"),
        ("..", "name '..'"),
        ("a/../b", "name '..'"),
        ("a/..", "name '..'"),
        ("./a", "name '.'"),
        ("a//b", "name ''"),
        ("a/", "name ''"),
        ("C:/windows", "colon"),
        ("c:", "colon"),
        ("file.txt:stream", "colon"),
        ("a\\b", "backslash"),
        ("\\\\server\\share", "backslash"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\x1fb", "control character"),
        ("a\x7fb", "control character"),
        ("a\x85b", "control character"),
        (".samovar", "launcher's own folder"),
        (".samovar/installed.json", "launcher's own folder"),
        (".SamoVar/x", "launcher's own folder"),
        (".sam\u200covar/x", "launcher's own folder"),
        ("\ufeff.samovar", "launcher's own folder"),
        ("SAMOVA~1/x", "launcher's own folder"),
        (".samovar-kept-1", "begins with .samovar-"),
        ("data/.Samovar-kept-readme.txt", "begins with .samovar-"),
        ("a.", "dot or a space"),
        ("a ", "dot or a space"),
        ("folder./x", "dot or a space"),
        ("folder /x", "dot or a space"),
        ("...", "dot or a space"),
        ("con", "Windows"),
        ("CON", "Windows"),
        ("Nul.txt", "Windows"),
        ("nul.tar.gz", "Windows"),
        ("aux .txt", "Windows"),
        ("deep/PRN", "Windows"),
        ("com1", "Windows"),
        ("LPT9.log", "Windows"),
        ("COM¹", "Windows"),
        ("lpt³.x", "Windows"),
        ("conin$", "Windows"),
        ("CONOUT$", "Windows"),
        ("x" * 256, "longer than 255"),
        ("я" * 128, "longer than 255"),
        ("/".join(["d" * 100] * 11), "longer than 1024"),
        ("bad\udc80name", "not UTF-8"),
    ],
)
def test_a_bad_path_is_refused_with_its_rule(path: str, rule: str) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        check_path(path)
    assert rule in refused.value.description
    assert refused.value.reason == "MANIFEST_INVALID"


def test_control_characters_do_not_reach_the_message() -> None:
    with pytest.raises(ManifestInvalid) as refused:
        check_path("evil\x1b[31m\n")
    assert refused.value.description.isprintable()
    assert r"evil\x1b[31m\n" in refused.value.description


def test_a_whole_tree_passes() -> None:
    entries = tree(
        folder("bin"),
        file("bin/game"),
        file("bin-extra"),
        folder("empty"),
        folder("lib"),
        file("lib/libgame.so.1"),
        link("lib/libgame.so", "libgame.so.1"),
        link("lib/back", "../bin/game"),
        link("current", "./lib/"),
        link("dangling", "not/here"),
        folder("Ёлка"),
        file("Ёлка/Иголка.txt"),
    )
    assert check_tree(entries) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README", "readme"),
        ("Данные", "данные"),
        (unicodedata.normalize("NFC", "й"), unicodedata.normalize("NFD", "й")),
        (unicodedata.normalize("NFC", "É.txt"), unicodedata.normalize("NFD", "é.TXT")),
        ("straße", "STRASSE"),
        ("\u212bngstrom", "\u00e5ngstrom"),
    ],
)
def test_names_equal_but_for_case_or_unicode_form_are_refused(one: str, other: str) -> None:
    with pytest.raises(ManifestInvalid, match="case or Unicode form"):
        check_tree(tree(file(one), file(other)))


def test_folders_that_collide_are_refused_with_what_lies_in_them() -> None:
    with pytest.raises(ManifestInvalid, match="case or Unicode form"):
        check_tree(tree(folder("Data"), file("Data/x"), folder("data"), file("data/y")))


def test_a_path_twice_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="twice"):
        check_tree([file("a"), file("a")])


def test_entries_out_of_order_are_refused() -> None:
    with pytest.raises(ManifestInvalid, match="out of order"):
        check_tree([file("b"), file("a")])


def test_a_child_before_its_parent_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="parent folder"):
        check_tree([file("a/b"), folder("c")])


@pytest.mark.parametrize("parents", [[], [folder("a")]])
def test_a_missing_parent_is_refused(parents: list[content.Entry]) -> None:
    with pytest.raises(ManifestInvalid, match="parent folder"):
        check_tree([*parents, file("a/b/c")])


@pytest.mark.parametrize("path", ["a/b", "a/b/c"])
def test_an_entry_below_a_link_is_refused(path: str) -> None:
    with pytest.raises(ManifestInvalid, match="below the link 'a'"):
        check_tree([link("a", "elsewhere"), file(path)])


def test_an_entry_below_a_file_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="below the file 'a'"):
        check_tree([file("a"), file("a/b")])


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("", "nowhere"),
        ("/etc/passwd", "absolute"),
        ("..", "leaves the tree"),
        ("../x", "leaves the tree"),
        ("x/../../y", "leaves the tree"),
        ("C:/x", "colon"),
        ("..\\..\\x", "backslash"),
        ("x\0", "control character"),
        ("con", "Windows"),
        ("x./y", "dot or a space"),
    ],
)
def test_a_bad_link_target_is_refused(target: str, rule: str) -> None:
    with pytest.raises(ManifestInvalid, match=rule) as refused:
        check_tree([link("link", target)])
    assert "'link'" in refused.value.description


def test_a_link_that_leaves_through_another_link_is_refused() -> None:
    """By its letters `a/b/../../..` is the tree's root; on a disk `a/b` is `deep/down`'s parent and it is not."""
    entries = tree(
        folder("a"), link("a/b", "../d"), folder("d"), folder("e"), folder("e/f"), link("e/f/out", "../../a/b/../../x")
    )
    with pytest.raises(ManifestInvalid, match="'e/f/out' is a link that leaves the tree"):
        check_tree(entries)


def test_a_detour_in_another_case_is_seen() -> None:
    entries = tree(folder("a"), link("a/b", "../d"), folder("d"), link("out", "A/B/../../x"))
    with pytest.raises(ManifestInvalid, match="'out' is a link that leaves the tree"):
        check_tree(entries)


def test_links_in_a_circle_are_refused() -> None:
    with pytest.raises(ManifestInvalid, match="circle"):
        check_tree([link("a", "b"), link("b", "a")])


def test_links_that_multiply_are_refused_quickly() -> None:
    """Each link goes twice through the next: without a bound on hops the walk would take 2^40 steps."""
    entries = [link(f"l{i:02}", f"l{i + 1:02}/../l{i + 1:02}") for i in range(MAX_LINK_HOPS)]
    started = time.process_time()
    with pytest.raises(ManifestInvalid, match="circle"):
        check_tree(entries)
    assert time.process_time() - started < 1


NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\:"), min_size=1, max_size=20
).filter(lambda name: name[-1] not in ". " and len(name.encode()) <= 255)


@given(NAMES)
def test_the_collision_key_forgets_unicode_form(name: str) -> None:
    assert collision_key(unicodedata.normalize("NFC", name)) == collision_key(unicodedata.normalize("NFD", name))


@given(st.text(max_size=40))
def test_any_text_is_either_refused_or_lies_below_the_root(path: str) -> None:
    try:
        check_path(path)
    except ManifestInvalid:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert "\\" not in path


@given(st.lists(st.sampled_from(["..", "a", "b", "link", "A", "."]), min_size=1, max_size=8))
def test_an_accepted_link_never_resolves_outside(parts: list[str]) -> None:
    """Compared with a walk of its own through the only other link, `a/link` → `..`."""
    target = "/".join(parts)
    entries = tree(folder("a"), link("a/link", ".."), folder("b"), link("b/probe", target))
    here = ["b"]
    left = False
    for part in parts:
        if part == "..":
            if not here:
                left = True
                break
            here.pop()
        elif part != ".":
            here.append(part.lower())
            if here == ["a", "link"]:
                here = []
    if left:
        with pytest.raises(ManifestInvalid, match="leaves the tree"):
            check_tree(entries)
    else:
        assert check_tree(entries) is None


def test_a_hundred_thousand_entries_take_seconds_at_most() -> None:
    entries = tree(
        *(folder(f"d{i:03}") for i in range(100)), *(file(f"d{i % 100:03}/file {i}.bin") for i in range(100_000))
    )
    started = time.process_time()
    check_tree(entries)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("character", '<>"|?*')
def test_what_windows_cannot_hold_is_refused_for_windows_alone(character: str) -> None:
    entries = tree(folder("data"), file(f"data/what{character}"))
    check_tree(entries)
    for platform in (content.PLATFORM_LINUX, content.PLATFORM_MACOS):
        check_for_platform(entries, platform)
    with pytest.raises(ManifestInvalid, match=r"data/what.* has a character in it that Windows refuses"):
        check_for_platform(entries, content.PLATFORM_WINDOWS)
