"""A folder held open, and everything below it reached name by name without ever following a link: the walls that content from
outside cannot climb (POSIX openat with O_NOFOLLOW). Used by launcher.disk.journal, launcher.disk.scan, launcher.disk.writer.
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from launcher.failures import ExitCode, LauncherError

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_KEEPS_NO_MODES = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM, errno.EIO})
_COPY_BYTES = 1 << 20
_MOVING = ".samovar-moving"
"""The temporary name of a file that is being copied from another disk."""
_OBSTRUCTED = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})


class Folder:
    """An open folder."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def open_root(cls, path: Path) -> "Folder":
        """Open the folder that the user named, created if it is missing. Links are followed only here: the user chose the path."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            return cls(os.open(path.resolve(strict=True), _DIRECTORY_FLAGS))
        except OSError as error:
            raise disk_failure(error, str(path)) from None

    @classmethod
    def open_existing(cls, path: Path) -> "Folder | None":
        """Open the folder that the user named, following links in its path; None when it is missing. Writes nothing."""
        try:
            return cls(os.open(path.resolve(), _DIRECTORY_FLAGS))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_failure(error, str(path)) from None

    def enter(self, name: str, *, create: bool = False) -> "Folder":
        """Open the folder of that name in this one.

        Raises:
            OSError: missing; ELOOP or ENOTDIR for a link or a file.
        """
        if create:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=self.descriptor)
        return Folder(os.open(name, _DIRECTORY_FLAGS, dir_fd=self.descriptor))

    def open_file(self, name: str, flags: int, mode: int = 0o644) -> int:
        """Return a descriptor of the regular file of that name, which has no other hard link.

        Raises:
            OSError: as open(2); ELOOP for a link; EEXIST for anything that is not a plain file with one name.
        """
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode, dir_fd=self.descriptor)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or (found.st_nlink > 1 and flags & (os.O_WRONLY | os.O_RDWR)):
            os.close(descriptor)
            raise OSError(errno.EEXIST, "in the way is something that is not a plain file", name)
        return descriptor

    def status(self, name: str) -> os.stat_result | None:
        """Return the status of the entry itself, not of a link's target; None when there is no such entry."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        return os.listdir(self.descriptor)  # noqa: PTH208  # pathlib knows no descriptors

    def remove(self, name: str) -> None:
        """Removes a file or a link, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def remove_shared(self, name: str) -> None:
        """Removes a file that has other names elsewhere (`cp -al` of a game's folder): it must not be written through."""
        status = self.status(name)
        if status is not None and stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            self.remove(name)

    def replace_file(self, name: str, data: bytes) -> None:
        """Writes a small file so that there is always the old one or the whole new one."""
        beside = f"{name}.new"
        self.remove(beside)
        descriptor = self.open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(beside, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError:
            with suppress(OSError):
                self.remove(beside)
            raise
        self.sync()

    def read_file(self, name: str, *, max_bytes: int) -> bytes | None:
        """Return the bytes of a small file; None when there is none."""
        try:
            descriptor = self.open_file(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise OSError(errno.EFBIG, "larger than it can be", name)
        return data

    def sync(self) -> None:
        """Makes the names in this folder survive a crash of the machine."""
        os.fsync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


def move(source: Folder, name: str, target: Folder, new_name: str) -> None:
    """Renames a file or link. Onto another disk, which may be mounted within a game's folder, it is a copy that is whole and
    durable before it has its name.
    """
    try:
        os.rename(name, new_name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
    except OSError as error:
        status = source.status(name)
        if error.errno != errno.EXDEV or status is None:
            raise
        target.remove(_MOVING)
        try:
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(name, dir_fd=source.descriptor), _MOVING, dir_fd=target.descriptor)
            else:
                _copy(source, name, target)
            os.rename(_MOVING, new_name, src_dir_fd=target.descriptor, dst_dir_fd=target.descriptor)
            target.sync()
        except OSError:
            with suppress(OSError):
                target.remove(_MOVING)
            raise
        source.remove(name)


def _copy(source: Folder, name: str, target: Folder) -> None:
    """Content, mode and modification time, by which an interrupted run recognises what it has placed."""
    reading = source.open_file(name, os.O_RDONLY)
    try:
        status = os.fstat(reading)
        writing = target.open_file(_MOVING, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while piece := memoryview(os.read(reading, _COPY_BYTES)):
                while piece:
                    piece = piece[os.write(writing, piece) :]
            set_mode(writing, stat.S_IMODE(status.st_mode))
            os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def set_mode(descriptor: int, mode: int) -> int | None:
    """Gives an open file its mode; returns the one that it had if that was another. A disk without modes, or an owner who is
    somebody else, keeps the one there is.
    """
    had = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if had == mode:
        return None
    try:
        os.fchmod(descriptor, mode)
    except OSError as error:
        if error.errno not in _KEEPS_NO_MODES:
            raise
        return None
    return had


class Walker:
    """Goes from folder to folder below a root, keeping the way open: cheap for paths in order."""

    def __init__(self, root: Folder) -> None:
        self._root = root
        self._way: list[tuple[str, Folder]] = []

    def parent_of(self, path: str, *, create: bool = False) -> tuple[Folder | None, str]:
        """The folder that the last name of a relative path lies in (None when it is missing), and that name.

        Raises:
            OSError: ELOOP or ENOTDIR when a link or a file lies on the way.
        """
        *parents, name = path.split("/")
        return self.folder(parents, create=create), name

    def folder(self, names: Sequence[str], *, create: bool = False) -> Folder | None:
        """The folder at the end of these names; None when it is missing."""
        shared = 0
        while shared < min(len(names), len(self._way)) and self._way[shared][0] == names[shared]:
            shared += 1
        self._leave(shared)
        for name in names[shared:]:
            here = self._way[-1][1] if self._way else self._root
            try:
                self._way.append((name, here.enter(name, create=create)))
            except FileNotFoundError:
                return None
        return self._way[-1][1] if self._way else self._root

    def close(self) -> None:
        self._leave(0)

    def _leave(self, depth: int) -> None:
        while len(self._way) > depth:
            self._way.pop()[1].close()


def is_obstruction(error: OSError) -> bool:
    """Return True when the error means that an entry of another kind lies where a file or folder was expected."""
    return error.errno in _OBSTRUCTED


def is_unreadable(error: OSError) -> bool:
    """Return True when the error means that the user may not read this file, or that the disk no longer can."""
    return error.errno in _UNREADABLE


def disk_failure(error: OSError, path: str) -> LauncherError:
    """Return a failure that explains an error of the disk: what is in the way, or what the disk lacks."""
    if error.errno in _FULL:
        return LauncherError(
            "INSUFFICIENT_CLIENT_DISK_SPACE",
            "the disk is full; make room and run the command again, it goes on where it stopped",
            ExitCode.DISK,
            file=path,
        )
    if error.errno in _OBSTRUCTED:
        message = "a link or another kind of entry lies where a folder or file belongs; nothing was opened through it"
        return LauncherError("PATH_OBSTRUCTED", message, ExitCode.DISK, file=path)
    return LauncherError("DISK_ERROR", f"the disk refused: {error.strerror or error}", ExitCode.DISK, file=path)
