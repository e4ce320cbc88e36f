"""The journal of one installation: which chunks lie in which staged file, which files were found right, which reports were sent.
Append-only; what was appended survives the death of the process at once, and of the machine after `sync`. Used by
launcher.disk.writer.

Fixed-size records, each with its own CRC: a torn tail is cut off, and what it said is simply done again.
"""

import os
import struct
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from launcher.disk.folder import Folder

FILE_NAME = "journal"

_MAGIC = b"samovar journal 1\n"
_MANIFEST_SHA256_BYTES = 32
_HEADER_BYTES = len(_MAGIC) + _MANIFEST_SHA256_BYTES
_BODY = struct.Struct(">cIIq")
_RECORD = struct.Struct(f">{_BODY.size}sI")
_CHUNK = b"C"
_FILE = b"F"
_SEQUENCE = b"S"


@dataclass(slots=True)
class Recorded:
    """The records of a journal: claims to be checked against the disk, not facts."""

    chunks: dict[int, set[int]] = field(default_factory=dict)
    """Chunks written, by file: indexes into the manifest's entries and into the entry's chunks."""
    files: dict[int, int] = field(default_factory=dict)
    """Modification time (ns) of each file when it was found right and made durable."""
    sequence: int = 0
    """The number of the last report."""


class Journal:
    """An open journal. `record_*` may be called from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._unsynced = False

    @classmethod
    def open(cls, folder: Folder, manifest_sha256: bytes) -> tuple["Journal", Recorded | None]:
        """Opens the journal of this manifest, or starts one: then the second value is None and what is staged means nothing."""
        folder.remove_shared(FILE_NAME)
        descriptor = folder.open_file(FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        header = _MAGIC + manifest_sha256
        content = _read_all(descriptor)
        if content[:_HEADER_BYTES] != header:
            os.ftruncate(descriptor, 0)
            _write_all(descriptor, header)
            os.fsync(descriptor)
            return cls(descriptor), None
        recorded, good_bytes = _replay(content)
        os.ftruncate(descriptor, good_bytes)
        return cls(descriptor), recorded

    def record_chunks(self, written: Iterable[tuple[int, int]]) -> None:
        """Record that these chunks are in their staged files: pairs of file and chunk."""
        self._append(b"".join(_record(_CHUNK, file, chunk, 0) for file, chunk in written))

    def record_files(self, checked: Iterable[tuple[int, int]]) -> None:
        """Record that these staged files are complete, correct and durable: pairs of file and modification time (ns)."""
        self._append(b"".join(_record(_FILE, file, 0, mtime_ns) for file, mtime_ns in checked))

    def record_sequence(self, sequence: int) -> None:
        """Record that a report with this number is about to be sent."""
        self._append(_record(_SEQUENCE, 0, 0, sequence))

    def sync(self) -> None:
        """Makes everything recorded so far survive a crash of the machine."""
        with self._lock:
            if self._unsynced:
                os.fsync(self._descriptor)
                self._unsynced = False

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, records: bytes) -> None:
        if not records:
            return
        with self._lock:
            _write_all(self._descriptor, records)
            self._unsynced = True


def _record(kind: bytes, file: int, chunk: int, value: int) -> bytes:
    body = _BODY.pack(kind, file, chunk, value)
    return _RECORD.pack(body, zlib.crc32(body))


def _replay(content: bytes) -> tuple[Recorded, int]:
    """Return the content of the complete records, and the length that they take."""
    recorded = Recorded()
    position = _HEADER_BYTES
    while position + _RECORD.size <= len(content):
        body, crc = _RECORD.unpack_from(content, position)
        if zlib.crc32(body) != crc:
            break
        kind, file, chunk, value = _BODY.unpack(body)
        if kind == _CHUNK:
            recorded.chunks.setdefault(file, set()).add(chunk)
        elif kind == _FILE:
            recorded.files[file] = value
        elif kind == _SEQUENCE:
            recorded.sequence = max(recorded.sequence, value)
        position += _RECORD.size
    return recorded, position


def _read_all(descriptor: int) -> bytes:
    pieces = []
    position = 0
    while piece := os.pread(descriptor, 1 << 20, position):
        pieces.append(piece)
        position += len(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data, or leave no partial record behind when the disk is full."""
    before = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, before)
        raise
