"""From any version, and from a damaged tree, to another version on a real disk: what is copied, fetched, removed."""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
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
from launcher.disk.commit import Placement, remove_tree
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


def publish(tree: Tree) -> Version:
    chunks: dict[bytes, bytes] = {}
    manifest = content.Manifest(
        format=1, product_id=str(PRODUCT), version_id=str(uuid4()), platform=content.PLATFORM_LINUX
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


def bring(folder: Path, version: Version) -> Brought:
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
        removed = Placement(workspace, plan, outdated).place(found.in_place)
        workspace.note_installed(plan)
        workspace.discard()
        return Brought({chunk.sha256 for chunk in missing}, removed)
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


@settings(max_examples=120, deadline=None)
@given(first=TREES, second=TREES, faults=DAMAGE)
def test_any_version_damaged_or_not_becomes_any_other(first: Tree, second: Tree, faults: list[tuple[int, str]]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="samovar-update-", dir=MEMORY))
    try:
        old, new = publish(first), publish(second)
        bring(folder, old)
        assert on_disk(folder) == first
        spoil(folder, first, faults)
        brought = bring(folder, new)
        assert on_disk(folder) == second
        assert checked(folder, new) == {}
        if not faults:
            # Not always all of it: the bytes of a new chunk may lie in the right place of an old file, cut otherwise.
            assert brought.fetched <= set(new.chunks) - set(old.chunks), "only what the old version lacks is fetched"
        spoil(folder, second, faults)
        bring(folder, new)
        assert on_disk(folder) == second
        assert bring(folder, new) == Brought(set(), 0), "what is right is left alone"
    finally:
        shutil.rmtree(folder)


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
    assert len(bring(tmp_path, version).fetched) == 1
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
    bring(tmp_path, version)
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
    assert remove_tree(workspace, workspace.kept_plans()) == 2
    workspace.remove_own()
    workspace.close()
    assert on_disk(tmp_path) == {"saves": None, "saves/mine": b"progress"}
    assert not (tmp_path / ".samovar").exists()
