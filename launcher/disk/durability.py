"""Making many files survive the machine for less than an fsync each: syncfs(2) and sync_file_range(2) of Linux, which Python has
not. Elsewhere every file is synced by itself. Used by launcher.disk.writer; blocks.
"""

import ctypes
import os
from collections.abc import Callable

_SYNC_FILE_RANGE_WRITE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_syncfs: Callable[..., int] | None = getattr(_libc, "syncfs", None)
_sync_file_range: Callable[..., int] | None = getattr(_libc, "sync_file_range", None)


def can_sync_file_system() -> bool:
    """Return True when all files can be made durable with one call."""
    return _syncfs is not None


def sync_file_system(descriptor: int) -> None:
    """Makes everything written so far to the file system of this open file or folder durable.

    Raises:
        OSError: something could not be written since the descriptor was opened (Linux 5.8 and later say so).
    """
    assert _syncfs is not None  # noqa: S101  # the caller asked
    if _syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def begin_writing_back(descriptor: int, offset: int, size_bytes: int) -> None:
    """Has the kernel begin to write these bytes to the disk, so that a later fsync finds little left. Only a hint: never fails."""
    if _sync_file_range is not None:
        _sync_file_range(
            descriptor, ctypes.c_int64(offset), ctypes.c_int64(size_bytes), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
        )
