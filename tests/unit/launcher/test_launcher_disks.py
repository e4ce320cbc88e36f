"""Games on disks that are not as Linux has them (tests/unit/launcher/other_disks.py)."""

import errno
import os
import subprocess
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest
from other_disks import (
    blind_to_case,
    mode_of,
    not_to_be_written,
    of_two_disks,
    unreadable,
    without_links,
    without_modes,
)
from test_launcher_updates import Version, bring, on_disk, publish

from depot import manifest as depot_manifest
from launcher.disk.verification import Issue, IssueKind, damage, inspect_tree
from launcher.disk.workspace import Workspace
from launcher.failures import ExitCode, LauncherError

A, B = b"a" * 40, b"b" * 40


def released(tree: Mapping[str, bytes | str | None], *, executables: Collection[str] = ()) -> Version:
    version = publish(tree)
    manifest = depot_manifest.parse(version.stored)
    for entry in manifest.entries:
        if entry.path in executables:
            entry.mode = 0o755
    return Version(depot_manifest.serialise(manifest), version.chunks)


def issues_of(folder: Path, version: Version) -> Sequence[Issue]:
    workspace = Workspace.open_to_read(folder)
    assert workspace is not None
    try:
        return inspect_tree(workspace, version.plan, threading.Event()).issues
    finally:
        workspace.close()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, None])
def test_a_disk_without_modes_holds_a_game_and_modes_are_not_demanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
):
    version = released({"run": A, "data": B}, executables=("run",))
    with monkeypatch.context() as patched:
        without_modes(patched, number)
        bring(tmp_path, version)
        assert issues_of(tmp_path, version) == []
        not_to_be_written(patched, errno.EROFS)
        assert issues_of(tmp_path, version) == [], "what was noted at the installation counts"
    assert mode_of(tmp_path / "run") == 0o644
    assert not list(tmp_path.rglob("probe"))


def test_a_disk_with_modes_demands_them(tmp_path: Path):
    version = released({"run": A}, executables=("run",))
    bring(tmp_path, version)
    (tmp_path / "run").chmod(0o644)
    assert issues_of(tmp_path, version) == [Issue("run", IssueKind.WRONG_MODE)]
    bring(tmp_path, version)
    assert mode_of(tmp_path / "run") == 0o755


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"Readme.txt": A}, {"README.txt": A}),
        ({"Readme.txt": A}, {"README.txt": B}),
        ({"Data": None, "Data/One": A, "Data/two": B}, {"data": None, "data/one": A, "data/two": B}),
        ({"Stra\u00dfe": A}, {"STRASSE": A}),
        ({"Latest": "Data", "Data": A}, {"latest": "Data", "Data": A}),
    ],
)
@pytest.mark.parametrize("is_blind", [True, False])
def test_files_renamed_by_case_alone_get_their_new_names(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Mapping[str, bytes | str | None],
    after: Mapping[str, bytes | str | None],
    is_blind: bool,  # noqa: FBT001
):
    if is_blind:
        blind_to_case(monkeypatch)
    bring(tmp_path, publish(before))
    update = publish(after)
    brought = bring(tmp_path, update)
    assert on_disk(tmp_path) == after
    assert issues_of(tmp_path, update) == []
    have = set(publish(before).chunks)
    assert not brought.fetched & have, "what lies there under its old name is not fetched"
    assert bring(tmp_path, update).fetched == set()
    assert on_disk(tmp_path) == after


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_disk_without_links_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    workspace = Workspace.open(tmp_path)
    try:
        workspace.require_links()
        without_links(monkeypatch, number)
        with pytest.raises(LauncherError) as caught:
            workspace.require_links()
    finally:
        workspace.close()
    assert (caught.value.code, caught.value.exit_code) == ("LINKS_UNSUPPORTED", ExitCode.DISK)
    assert list(tmp_path.iterdir()) == []


def test_another_disk_mounted_in_the_game_is_filled_by_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").mkdir()
    of_two_disks(monkeypatch, tmp_path / "data")
    first = released(
        {"data": None, "data/run": A, "data/old": B, "data/link": "run", "top": B}, executables=("data/run",)
    )
    bring(tmp_path, first)
    assert issues_of(tmp_path, first) == []
    assert mode_of(tmp_path / "data/run") == 0o755
    second = publish({"data": None, "data/run": B, "data/link": "top", "top": A})
    bring(tmp_path, second)
    assert on_disk(tmp_path) == {"data": None, "data/run": B, "data/link": "top", "top": A}


def test_a_copy_that_finds_no_room_leaves_nothing_and_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tree = {"data": None, "data/run": A, "data/same": B}
    (tmp_path / "data").mkdir()
    bring(tmp_path, released(tree))
    of_two_disks(monkeypatch, tmp_path / "data")
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        is_copy = Path(f"/proc/self/fd/{descriptor}").readlink().name == ".samovar-moving"
        if is_copy and bytes(data).startswith(b"c"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    update = released({"data": None, "data/run": b"c" * 40, "data/same": B}, executables=("data/same",))
    with pytest.raises(LauncherError) as caught:
        bring(tmp_path, update)
    assert caught.value.code == "INSUFFICIENT_CLIENT_DISK_SPACE"
    assert on_disk(tmp_path) == tree


def test_an_update_that_fails_gives_modes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bring(tmp_path, released({"a": A, "run": B}, executables=("run",)))
    update = released({"a": A, "run": B, "z": b"new"}, executables=("a",))
    with monkeypatch.context() as patched:
        rename = os.rename

        def full(name: str, new_name: str, **where: int) -> None:
            if new_name == "z":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rename(name, new_name, **where)

        patched.setattr(os, "rename", full)
        with pytest.raises(LauncherError):
            bring(tmp_path, update)
    assert [mode_of(tmp_path / name) for name in ("a", "run")] == [0o644, 0o755]
    bring(tmp_path, update)
    assert [mode_of(tmp_path / name) for name in ("a", "run")] == [0o755, 0o644]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    version = released({"a": A, "b": B})
    bring(tmp_path, version)
    (tmp_path / "a").write_bytes(B)
    not_to_be_written(monkeypatch, number)
    assert issues_of(tmp_path, version) == [Issue("a", IssueKind.CORRUPTED)]


def test_looking_at_a_folder_without_a_game_makes_nothing(tmp_path: Path):
    assert Workspace.open_to_read(tmp_path) is None
    assert Workspace.open_to_read(tmp_path / "missing") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read_is_one_finding_and_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    version = released({"a": A, "b": B, "c": A})
    bring(tmp_path, version)
    (tmp_path / "c").write_bytes(B)
    with monkeypatch.context() as patched:
        unreadable(patched, "b", number)
        assert issues_of(tmp_path, version) == [Issue("b", IssueKind.CORRUPTED), Issue("c", IssueKind.CORRUPTED)]
        bring(tmp_path, version)
    assert damage(issues_of(tmp_path, version)) == []


def test_a_copy_by_hard_links_can_be_used_and_the_first_stays_as_it_is(tmp_path: Path):
    first, second = released({"a": A, "b": B}), released({"a": B, "b": B, "c": A}, executables=("b",))
    bring(tmp_path / "d", first)
    subprocess.run(["cp", "-al", tmp_path / "d", tmp_path / "copy"], check=True)
    assert issues_of(tmp_path / "copy", first) == []
    bring(tmp_path / "copy", second)
    assert issues_of(tmp_path / "copy", second) == []
    assert issues_of(tmp_path / "d", first) == []
    bring(tmp_path / "d", first)
    assert on_disk(tmp_path / "d") == {"a": A, "b": B}


def test_of_two_copies_by_hard_links_only_one_launcher_works_in_each(tmp_path: Path):
    bring(tmp_path / "d", released({"a": A}))
    subprocess.run(["cp", "-al", tmp_path / "d", tmp_path / "copy"], check=True)
    working = Workspace.open(tmp_path / "copy")
    try:
        Workspace.open(tmp_path / "d").close()
        for opening in (Workspace.open, Workspace.open_to_read):
            with pytest.raises(LauncherError) as caught:
                opening(tmp_path / "copy")
            assert caught.value.code == "FOLDER_IN_USE"
    finally:
        working.close()
