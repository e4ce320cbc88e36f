"""Folders: everything below one is reached without following a link."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.disk.folder import Folder, Walker, disk_failure
from launcher.failures import ExitCode


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    opened = Folder.open_root(tmp_path / "root")
    yield opened
    opened.close()


def test_the_walker_makes_folders_and_keeps_no_more_open_than_the_way_is_deep(folder: Folder, tmp_path: Path) -> None:
    walker = Walker(folder)
    before = open_descriptors()
    for path in ("a/b/c/file", "a/b/d/file", "a/file", "e/f/file", "file"):
        parent, name = walker.parent_of(path, create=True)
        assert parent is not None
        os.close(parent.open_file(name, os.O_WRONLY | os.O_CREAT))
        assert open_descriptors() - before <= 3
    walker.close()
    assert open_descriptors() == before
    assert (tmp_path / "root/a/b/d/file").is_file()


def test_the_walker_says_nothing_lies_there_without_making_it(folder: Folder, tmp_path: Path) -> None:
    walker = Walker(folder)
    assert walker.parent_of("x/y/z") == (None, "z")
    assert not (tmp_path / "root/x").exists()
    walker.close()


def test_no_link_is_walked_through_or_opened(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("mine")
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    (tmp_path / "root/file").symlink_to(tmp_path / "outside/file")
    walker = Walker(folder)
    for create in (False, True):
        with pytest.raises(OSError, match=r"Not a directory|symbolic") as refused:
            walker.parent_of("link/file", create=create)
        assert disk_failure(refused.value, "link/file").code == "PATH_OBSTRUCTED"
    with pytest.raises(OSError, match="symbolic"):
        folder.open_file("file", os.O_RDWR | os.O_CREAT)
    walker.close()
    folder.remove("file")
    assert (tmp_path / "outside/file").read_text() == "mine"


def test_a_file_with_a_second_name_and_a_pipe_are_not_written(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    os.link(tmp_path / "other", tmp_path / "root/file")
    os.mkfifo(tmp_path / "root/pipe")
    for name in ("file", "pipe"):
        with pytest.raises(OSError, match="plain file"):
            folder.open_file(name, os.O_RDWR)


def test_a_small_file_is_replaced_whole(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "root/state.new").symlink_to(tmp_path / "outside")
    folder.replace_file("state", b"one")
    folder.replace_file("state", b"two")
    assert folder.read_file("state", max_bytes=10) == b"two"
    assert folder.read_file("none", max_bytes=10) is None
    assert (tmp_path / "outside").read_text() == "mine"
    with pytest.raises(OSError, match="larger"):
        folder.read_file("state", max_bytes=2)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_as_one(number: int) -> None:
    failure = disk_failure(OSError(number, "x"), "data/big")
    assert (failure.code, failure.exit_code, failure.file) == (
        "INSUFFICIENT_CLIENT_DISK_SPACE",
        ExitCode.DISK,
        "data/big",
    )
