"""Disks that are not as Linux has them, as a layer over the calls with which the launcher reaches its folders (all by descriptor):
blind to case, without modes, without links, made of two, not to be written. Held against real ones where the machine has them:
`tmpfs` at a folder of the game, `cp -al`, another user's folder.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depot.paths import collision_key


def refusal(number: int) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


def without_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """FAT, exFAT and many network disks."""
    monkeypatch.setattr(os, "symlink", refusal(number))


def without_modes(monkeypatch: pytest.MonkeyPatch, number: int | None) -> None:
    """FAT, and disks of other users: `fchmod` is refused, or changes nothing."""
    monkeypatch.setattr(os, "fchmod", refusal(number) if number else lambda *_: None)


def of_two_disks(monkeypatch: pytest.MonkeyPatch, mounted_at: Path) -> None:
    """Another disk is mounted at a folder of the game."""
    rename = os.rename

    def side(descriptor: int) -> bool:
        return Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(mounted_at)

    def guarded(name: str, new_name: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if side(src_dir_fd) is not side(dst_dir_fd):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        rename(name, new_name, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", guarded)


def not_to_be_written(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Mounted read-only (EROFS), or somebody else's (EACCES)."""
    real_open = os.open

    def guarded(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refusal(number)()
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", guarded)
    for call in ("mkdir", "rename", "unlink", "rmdir", "symlink", "fchmod"):
        monkeypatch.setattr(os, call, refusal(number))


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Opening (EACCES) or reading (EIO) the file of that name fails."""
    real_open, real_pread = os.open, os.pread

    def guarded_open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == name and number == errno.EACCES:
            refusal(number)()
        return real_open(path, flags, mode, dir_fd=dir_fd)

    def guarded_pread(descriptor: int, size: int, offset: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == name:
            refusal(number)()
        return real_pread(descriptor, size, offset)

    monkeypatch.setattr(os, "open", guarded_open)
    monkeypatch.setattr(os, "pread", guarded_pread)


def blind_to_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name finds whatever differs from it in case only, and what is there keeps the name that it has (NTFS, APFS, FAT)."""

    listdir = os.listdir

    def spelt(name: Any, descriptor: int | None) -> Any:
        if descriptor is None or not isinstance(name, str):
            return name
        key = collision_key(name)
        return next((there for there in listdir(descriptor) if collision_key(there) == key), name)

    def one_name(call: Callable[..., Any]) -> Callable[..., Any]:
        def blind(name: Any, *words: Any, dir_fd: int | None = None, **named: Any) -> Any:
            return call(spelt(name, dir_fd), *words, dir_fd=dir_fd, **named)

        return blind

    for name in ("open", "stat", "mkdir", "unlink", "rmdir", "readlink"):
        monkeypatch.setattr(os, name, one_name(getattr(os, name)))
    rename, symlink = os.rename, os.symlink

    def blind_rename(name: str, new_name: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        found = spelt(name, src_dir_fd)
        there = spelt(new_name, dst_dir_fd)
        is_itself = os.fstat(src_dir_fd).st_ino == os.fstat(dst_dir_fd).st_ino and found == there
        rename(found, new_name if is_itself else there, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", blind_rename)
    monkeypatch.setattr(os, "symlink", lambda to, name, *, dir_fd: symlink(to, spelt(name, dir_fd), dir_fd=dir_fd))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
