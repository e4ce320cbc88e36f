"""From any version, and from a damaged tree, to another version on a real disk: what is copied, fetched, removed."""

import hashlib
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from content.v1 import manifest_pb2 as content
from hypothesis import given, settings
from hypothesis import strategies as st

from depot import manifest as depot_manifest
from depot.chunks import compress
from launcher.disk.commit import Placement, Removed, remove_tree
from launcher.disk.keeping import KEPT_PREFIX, recognise
from launcher.disk.plan import Plan, outdated_by, read_kept
from launcher.disk.scan import survey
from launcher.disk.verification import IssueKind, damage, verify_tree
from launcher.disk.workspace import Workspace
from launcher.disk.writer import Writer
from launcher.failures import LauncherError
from launcher.install.pipeline import missing_chunks
from launcher.install.reuse import reuse

CHUNK_BYTES = 16
PRODUCT = uuid4()
MEMORY = next((path for path in ("/dev/shm",) if Path(path).is_dir()), None)
"""Where there is one, a file system in memory: each example waits for the disk a hundred times."""

# Few names and few pieces, so that versions share paths, change kinds and move content about.
NAMES = st.sampled_from(["a", "b", "c", "d"])
PIECES = st.sampled_from([bytes([n]) * CHUNK_BYTES for n in range(6)] + [b"short", b""])
FILES = st.lists(PIECES, max_size=5).map(b"".join)
LEAVES = st.one_of(FILES, st.sampled_from(["nowhere", "elsewhere"]))
Tree = Mapping[str, "bytes | str | None"]
"""Content of a file, target of a link, None for a folder, by path."""


def flatten(node: object, way: str, into: dict[str, bytes | str | None]) -> dict[str, bytes | str | None]:
    if isinstance(node, dict):
        if way:
            into[way] = None
        for name, below in node.items():
            flatten(below, f"{way}/{name}" if way else name, into)
    elif isinstance(node, str | bytes):
        into[way] = node
    return into


TREES = st.dictionaries(
    NAMES, st.recursive(LEAVES, lambda below: st.dictionaries(NAMES, below, max_size=3), max_leaves=12), max_size=4
).map(lambda tree: flatten(tree, "", {}))
DAMAGE = st.lists(
    st.tuples(st.integers(0, 100), st.sampled_from(["flip", "cut", "grow", "drop", "mode", "link"])), max_size=5
)


@dataclass
class Version:
    stored: bytes
    chunks: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        return read_kept(self.stored)


def publish(tree: Tree, *, user_paths: Sequence[str] = ()) -> Version:
    chunks: dict[bytes, bytes] = {}
    manifest = content.Manifest(
        format=1,
        product_id=str(PRODUCT),
        version_id=str(uuid4()),
        platform=content.PLATFORM_LINUX,
        user_paths=user_paths,
    )
    manifest.created_at.FromSeconds(1_700_000_000)
    for path in sorted(tree, key=str.encode):
        value, entry = tree[path], manifest.entries.add(path=path)
        if value is None:
            entry.type = content.ENTRY_TYPE_DIRECTORY
        elif isinstance(value, str):
            entry.type, entry.link_target = content.ENTRY_TYPE_SYMLINK, value
        else:
            entry.type, entry.mode, entry.size_bytes = content.ENTRY_TYPE_FILE, 0o644, len(value)
            entry.sha256 = hashlib.sha256(value).digest()
            for start in range(0, len(value), CHUNK_BYTES):
                data = value[start : start + CHUNK_BYTES]
                stored = chunks.setdefault(hashlib.sha256(data).digest(), compress(data))
                entry.chunks.add(
                    sha256=hashlib.sha256(data).digest(),
                    size_bytes=len(data),
                    stored_sha256=hashlib.sha256(stored).digest(),
                    stored_size_bytes=len(stored),
                )
    return Version(depot_manifest.serialise(manifest), chunks)


@dataclass
class Brought:
    fetched: set[bytes]
    removed: int
    kept: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def bring(folder: Path, version: Version, *, may_overwrite: bool = False) -> Brought:
    """What launcher.install.installation does, the network replaced by a dictionary."""
    stop = threading.Event()
    workspace = Workspace.open(folder)
    try:
        plan = version.plan
        previous = workspace.kept_plans()
        workspace.keep_manifest(plan.manifest_sha256, version.stored)
        journal, recorded = workspace.open_journal(plan.manifest_sha256)
        outdated = outdated_by(plan, previous)
        found = survey(workspace, plan, recorded, outdated, stop)
        writer = Writer(workspace, plan, journal, found, stop)
        reuse(workspace, plan, previous, found, writer, stop)
        missing = missing_chunks(plan, found)
        assert writer.store([(chunk, version.chunks[chunk.sha256]) for chunk in missing]) == [None] * len(missing)
        done = found.in_place | found.ready
        writer.settle([file for file in plan.files.values() if file.index not in done])
        writer.sync()
        workspace.note_incoming(plan)
        to_place = {file.path for file in plan.files.values() if file.index not in found.in_place}
        to_place |= {link.path for link in plan.links}
        ownership = recognise(
            workspace,
            to_place | outdated.leaves,
            (*previous, plan),
            stop,
            given_up=to_place if may_overwrite else (),
        )
        placement = Placement(workspace, plan, outdated, ownership)
        removed = placement.place(found.in_place)
        workspace.note_installed(plan)
        kept = {one.path: one.kept_as for one in workspace.take_kept()}
        workspace.discard()
        return Brought({chunk.sha256 for chunk in missing}, removed, kept, placement.left)
    finally:
        workspace.close()


def on_disk(folder: Path) -> dict[str, bytes | str | None]:
    found: dict[str, bytes | str | None] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == ".samovar":
            continue
        found[name] = str(path.readlink()) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return found


def spoil(folder: Path, tree: Tree, faults: list[tuple[int, str]]) -> None:
    files = sorted(path for path, value in tree.items() if isinstance(value, bytes))
    for number, fault in faults if files else ():
        path = folder / files[number % len(files)]
        if path.is_symlink() or not path.exists():
            continue
        data = path.read_bytes()
        if fault == "flip" and data:
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        elif fault == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif fault == "grow":
            path.write_bytes(data + b"more")
        elif fault == "mode":
            path.chmod(0o755)
        else:
            path.unlink()
            if fault == "link":
                path.symlink_to("elsewhere")


def checked(folder: Path, version: Version) -> dict[str, IssueKind]:
    workspace = Workspace.open(folder)
    try:
        return {issue.path: issue.kind for issue in verify_tree(workspace, version.plan, threading.Event())}
    finally:
        workspace.close()


Disk = Mapping[str, "bytes | str | None"]


def leaves_of(disk: Disk) -> dict[str, bytes | str]:
    return {path: value for path, value in disk.items() if value is not None}


def assert_nothing_of_the_users_is_lost(before: Disk, placed: Tree, after: Disk, brought: Brought) -> None:
    """Whatever is not as it was placed is where it was, or beside with its folder, and reported."""
    for path, value in leaves_of(before).items():
        if placed.get(path) == value or after.get(path) == value:
            continue
        ways = [path[:end] for end, sign in enumerate(f"{path}/") if sign == "/"]
        moved = next((way for way in ways if way in brought.kept), None)
        assert moved is not None, path
        assert after[brought.kept[moved] + path.removeprefix(moved)] == value
        assert brought.kept[moved].rpartition("/")[2].startswith(KEPT_PREFIX)


def without_the_users(after: Disk, tree: Tree, brought: Brought) -> Disk:
    """What is in the folder but for what was kept beside, what stayed, and the folders that are there only for it."""
    users = {path for path in leaves_of(after) if path in brought.left or KEPT_PREFIX in path}
    folders = {path for path, value in after.items() if value is None and path not in tree}
    for folder in folders:
        below = [path for path in after if path.startswith(f"{folder}/")]
        assert KEPT_PREFIX in folder or (below and all(path in users | folders for path in below)), folder
    return {path: value for path, value in after.items() if path not in users | folders}


@settings(max_examples=120, deadline=None)
@given(first=TREES, second=TREES, faults=DAMAGE, more=DAMAGE)
def test_any_version_damaged_or_not_becomes_any_other_and_nothing_of_the_users_is_lost(
    first: Tree, second: Tree, faults: list[tuple[int, str]], more: list[tuple[int, str]]
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="samovar-update-", dir=MEMORY))
    try:
        old, new = publish(first), publish(second)
        bring(folder, old)
        assert on_disk(folder) == first
        spoil(folder, first, faults)
        before = on_disk(folder)
        brought = bring(folder, new)
        after = on_disk(folder)
        assert without_the_users(after, second, brought) == second
        assert_nothing_of_the_users_is_lost(before, first, after, brought)
        assert damage_of(folder, new) == {}
        if not faults:
            assert after == second
            # Not always all of it: the bytes of a new chunk may lie in the right place of an old file, cut otherwise.
            assert brought.fetched <= set(new.chunks) - set(old.chunks), "only what the old version lacks is fetched"
        spoil(folder, second, more)
        bring(folder, new, may_overwrite=True)
        assert damage_of(folder, new) == {}
        assert bring(folder, new) == Brought(set(), 0), "what is right is left alone"
        assert_uninstalled(folder, second)
    finally:
        shutil.rmtree(folder)


def damage_of(folder: Path, version: Version) -> dict[str, IssueKind]:
    return {path: kind for path, kind in checked(folder, version).items() if kind is not IssueKind.EXTRA}


def assert_uninstalled(folder: Path, tree: Tree) -> None:
    before = on_disk(folder)
    workspace = Workspace.open(folder)
    try:
        assert remove_tree(workspace, workspace.kept_plans(), threading.Event()).left == []
    finally:
        workspace.close()
    after = leaves_of(on_disk(folder))
    assert after == {path: value for path, value in leaves_of(before).items() if path not in tree}


def test_a_file_that_moved_is_copied_and_one_that_did_not_change_is_left_untouched(tmp_path: Path) -> None:
    same, moved = os.urandom(100), os.urandom(1000)
    bring(tmp_path, publish({"same": same, "old": None, "old/place": moved, "gone": b"x"}))
    before = (tmp_path / "same").stat()
    brought = bring(tmp_path, publish({"same": same, "new": None, "new/place": moved}))
    assert brought == Brought(set(), 2)
    assert on_disk(tmp_path) == {"same": same, "new": None, "new/place": moved}
    after = (tmp_path / "same").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_of_a_damaged_file_only_the_damaged_chunk_is_fetched(tmp_path: Path) -> None:
    data = os.urandom(CHUNK_BYTES * 20)
    version = publish({"pak": data})
    bring(tmp_path, version)
    (tmp_path / "pak").write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    assert checked(tmp_path, version) == {"pak": IssueKind.CORRUPTED}
    assert len(bring(tmp_path, version, may_overwrite=True).fetched) == 1
    assert on_disk(tmp_path) == {"pak": data}


def test_what_the_user_added_stays_and_is_told_as_extra(tmp_path: Path) -> None:
    version = publish({"saves": None, "dropped": None, "game": b"one"})
    bring(tmp_path, version)
    (tmp_path / "saves" / "mine").write_text("progress")
    (tmp_path / "dropped" / "mod").write_text("mod")
    newer = publish({"saves": None, "game": b"two"})
    bring(tmp_path, newer)
    assert on_disk(tmp_path) == {
        "saves": None,
        "saves/mine": b"progress",
        "dropped": None,
        "dropped/mod": b"mod",
        "game": b"two",
    }
    assert checked(tmp_path, newer) == {"saves/mine": IssueKind.EXTRA, "dropped": IssueKind.EXTRA}


def test_verification_names_every_kind_of_damage(tmp_path: Path) -> None:
    version = publish({"a": b"aaaa", "b": b"bbbb", "c": b"cccc", "d": None, "l": "a"})
    bring(tmp_path, version)
    (tmp_path / "a").write_bytes(b"aaab")
    (tmp_path / "b").unlink()
    (tmp_path / "c").chmod(0o755)
    (tmp_path / "d").rmdir()
    (tmp_path / "l").unlink()
    (tmp_path / "l").symlink_to("b")
    (tmp_path / "mine").touch()
    assert checked(tmp_path, version) == {
        "a": IssueKind.CORRUPTED,
        "b": IssueKind.MISSING,
        "c": IssueKind.WRONG_MODE,
        "d": IssueKind.MISSING,
        "l": IssueKind.CORRUPTED,
        "mine": IssueKind.EXTRA,
    }
    workspace = Workspace.open(tmp_path)
    assert len(damage(verify_tree(workspace, version.plan, threading.Event()))) == 5
    workspace.close()
    bring(tmp_path, version, may_overwrite=True)
    assert checked(tmp_path, version) == {"mine": IssueKind.EXTRA}


def test_an_update_that_something_stands_in_the_way_of_leaves_the_old_version_whole(tmp_path: Path) -> None:
    first: Tree = {"a": b"old a", "gone": b"gone", "d": None, "d/x": b"old x", "l": "a"}
    bring(tmp_path, publish(first))
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "mine").write_text("the user's")
    new = publish({"a": b"new a", "d": b"a file now", "n": None, "n/f": b"more", "z": "a"})
    with pytest.raises(LauncherError) as refusal:
        bring(tmp_path, new)
    assert (refusal.value.code, refusal.value.file) == ("PATH_OBSTRUCTED", "z")
    assert on_disk(tmp_path) == {**first, "z": None, "z/mine": b"the user's"}
    (tmp_path / "z" / "mine").unlink()
    (tmp_path / "z").rmdir()
    assert bring(tmp_path, new).fetched == set(), "what was fetched before is kept"
    assert on_disk(tmp_path) == {"a": b"new a", "d": b"a file now", "n": None, "n/f": b"more", "z": "a"}


def test_an_update_killed_between_two_renames_is_followed_by_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    bring(tmp_path, publish({"a": b"1a", "b": b"1b", "only1": b"1"}))
    renames, rename = [], os.rename

    def dying(*names: Any, **folders: Any) -> None:
        renames.append(names)
        if len(renames) > 4:
            raise Killed
        rename(*names, **folders)

    second = publish({"a": b"2a", "b": b"2b", "only2": b"2"})
    with monkeypatch.context() as patched:
        patched.setattr("launcher.disk.commit.os.rename", dying)
        with pytest.raises(Killed):
            bring(tmp_path, second)
    third: Tree = {"a": b"3a", "b": b"3b", "only3": b"3"}
    bring(tmp_path, publish(third))
    assert on_disk(tmp_path) == third


def test_uninstalling_removes_what_was_installed_and_nothing_else(tmp_path: Path) -> None:
    bring(tmp_path, publish({"bin": None, "bin/game": b"g", "saves": None, "l": "bin"}))
    (tmp_path / "saves" / "mine").write_text("progress")
    workspace = Workspace.open(tmp_path)
    assert workspace.installed() is not None
    assert remove_tree(workspace, workspace.kept_plans(), threading.Event()) == Removed(2, [])
    workspace.remove_own()
    workspace.close()
    assert on_disk(tmp_path) == {"saves": None, "saves/mine": b"progress"}
    assert not (tmp_path / ".samovar").exists()


def test_what_lies_at_a_path_of_the_game_and_is_not_the_games_is_kept_beside(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to("../README.txt")
    (tmp_path / ".samovar-kept-README.txt").write_text("kept before")
    game: Tree = {"README.txt": b"the game's", "data": None, "data/link": b"a file"}
    brought = bring(tmp_path, publish(game))
    assert brought.kept == {
        "README.txt": ".samovar-kept-2-README.txt",
        "data/link": "data/.samovar-kept-link",
    }
    everything = {
        **game,
        ".samovar-kept-README.txt": b"kept before",
        ".samovar-kept-2-README.txt": b"mine",
        "data/.samovar-kept-link": "../README.txt",
    }
    assert on_disk(tmp_path) == everything
    assert bring(tmp_path, publish(game)).kept == {}, "reported once"
    workspace = Workspace.open(tmp_path)
    remove_tree(workspace, workspace.kept_plans(), threading.Event())
    workspace.close()
    assert set(leaves_of(on_disk(tmp_path))) == set(everything) - set(game), "what was kept is the user's"


def test_a_version_that_brings_a_path_where_a_save_lies_and_the_way_back(tmp_path: Path) -> None:
    one, two = publish({"saves": None}), publish({"saves": None, "saves/1": b"an example", "saves/2": b"another"})
    bring(tmp_path, one)
    (tmp_path / "saves" / "1").write_text("mine")
    assert bring(tmp_path, two).kept == {"saves/1": "saves/.samovar-kept-1"}
    (tmp_path / "saves" / "2").write_text("played")
    back = bring(tmp_path, one)
    assert (back.removed, back.left) == (1, ["saves/2"])
    assert on_disk(tmp_path) == {"saves": None, "saves/2": b"played", "saves/.samovar-kept-1": b"mine"}


def test_uninstalling_leaves_what_was_changed_unless_it_is_given_up(tmp_path: Path) -> None:
    bring(tmp_path, publish({"a": b"a", "b": b"b", "l": "a"}))
    (tmp_path / "b").write_bytes(b"!")
    workspace = Workspace.open(tmp_path)
    trees = workspace.kept_plans()
    assert remove_tree(workspace, trees, threading.Event()) == Removed(2, ["b"])
    assert on_disk(tmp_path) == {"b": b"!"}
    assert remove_tree(workspace, trees, threading.Event(), delete_changed=True) == Removed(1, [])
    workspace.close()
    assert on_disk(tmp_path) == {}


def test_paths_that_the_publisher_calls_the_users_are_left_alone_by_everything(tmp_path: Path) -> None:
    users = ("game.ini", "saves/**")
    one = publish({"game": b"1", "game.ini": b"default", "saves": None, "saves/demo": b"demo"}, user_paths=users)
    two = publish({"game": b"2", "game.ini": b"better", "saves": None, "saves/mine": b"theirs"}, user_paths=users)
    bring(tmp_path, one)
    (tmp_path / "game.ini").write_bytes(b"fullscreen")
    (tmp_path / "game.ini").chmod(0o600)
    (tmp_path / "saves" / "mine").write_bytes(b"level 9")
    assert damage_of(tmp_path, one) == {}
    expected = {"game.ini": b"fullscreen", "saves": None, "saves/demo": b"demo", "saves/mine": b"level 9"}
    for version, game, may_overwrite in ((two, b"2", False), (two, b"2", True), (one, b"1", False)):
        brought = bring(tmp_path, version, may_overwrite=may_overwrite)
        assert (brought.kept, brought.left) == ({}, [])
        assert on_disk(tmp_path) == {**expected, "game": game}
        assert stat.S_IMODE((tmp_path / "game.ini").stat().st_mode) == 0o600
    (tmp_path / "game.ini").unlink()
    assert damage_of(tmp_path, one) == {}, "the user may delete it, too"
    workspace = Workspace.open(tmp_path)
    assert remove_tree(workspace, workspace.kept_plans(), threading.Event(), delete_changed=True) == Removed(1, [])
    workspace.close()
    del expected["game.ini"]
    assert on_disk(tmp_path) == expected


def test_a_crash_between_any_two_steps_loses_nothing_and_the_next_run_reports_what_was_kept(tmp_path: Path) -> None:
    """Every change of names and every note is a step; dying before each in turn."""

    class Killed(BaseException):
        pass

    calls = ("rename", "mkdir", "rmdir", "symlink", "open", "write", "unlink")

    def killed_at(step: int, folder: Path, version: Version) -> bool:
        left = step
        with pytest.MonkeyPatch.context() as patched:
            for name in calls:
                real = getattr(os, name)

                def dying(*args: Any, real: Any = real, **named: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise Killed
                    return real(*args, **named)

                patched.setattr(f"launcher.disk.commit.os.{name}", dying)
            try:
                bring(folder, version)
            except Killed:
                return True
        return False

    first = publish({"a": b"1a", "b": b"1b", "only1": b"1", "only1b": b"1b"})
    second: Tree = {"a": b"2a", "b": "a", "c": b"2c"}
    new = publish(second)
    for step in range(10_000):
        folder = Path(tempfile.mkdtemp(prefix="samovar-crash-", dir=MEMORY))
        try:
            bring(folder, first)
            (folder / "a").write_bytes(b"my a")
            (folder / "c").write_bytes(b"my c")
            (folder / "only1").write_bytes(b"my only1")
            mine = {b"my a", b"my c", b"my only1"}
            was_killed = killed_at(step, folder, new)
            assert mine <= set(on_disk(folder).values()), step
            if not was_killed:
                break
            bring(folder, new)
            after = on_disk(folder)
            assert mine <= set(after.values()), step
            assert {path: after[path] for path in second} == second
        finally:
            shutil.rmtree(folder)
    assert step > 20, "there were that many steps"
