"""Converts files to chunks: reading, cutting (FastCDC), hashing. Blocking; sandbox.publishing.publisher calls it in threads, all
the heavy parts release the GIL.
"""

import hashlib
import os
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from content.v1 import manifest_pb2 as content
from pyfastcdc import FastCDC

from depot import chunks
from depot.errors import ChunkCorrupt
from depot.paths import shown
from sandbox.publishing.tree import Node, PublishRefused, Stamp

# The cutter's average comes on top of its minimum; these give chunks of 0.9 MiB on average in files of several MiB.
MIN_CHUNK_BYTES = 256 * 1024
AVERAGE_CHUNK_BYTES = 1024 * 1024
MAX_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that become a chunk, with their SHA-256."""

    sha256: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A chunk as the manifest describes it and as the store keeps it."""

    chunk: content.Chunk
    stored: bytes


def is_small(node: Node) -> bool:
    """The cutter would leave the file in one piece."""
    return node.stamp is not None and node.stamp.size_bytes <= MIN_CHUNK_BYTES


def read_small(root: Path, nodes: Sequence[Node]) -> Sequence[Piece]:
    """Whole small files, in order; empty ones too.

    Raises:
        PublishRefused: one changed since it was scanned.
    """
    return [_read_whole(root, node) for node in nodes]


class LargeFile:
    """Cuts one file, whatever its size, holding one piece at a time. Its methods may be called in any thread."""

    def __init__(self, root: Path, node: Node) -> None:
        self._sha256 = hashlib.sha256()
        self._pieces = self._cut(root, node)
        # A cancelled caller closes the file while its last call may still be running in its thread.
        self._lock = threading.Lock()

    def next_piece(self) -> bytes | None:
        """The next bytes of the file; None after the last.

        Raises:
            PublishRefused: it changed since it was scanned.
        """
        with self._lock:
            return next(self._pieces, None)

    def close(self) -> None:
        with self._lock:
            self._pieces.close()

    @property
    def sha256(self) -> bytes:
        """Return the SHA-256 of the whole file, once all pieces were taken."""
        return self._sha256.digest()

    def _cut(self, root: Path, node: Node) -> Generator[bytes, None, None]:
        cutter = FastCDC(
            AVERAGE_CHUNK_BYTES,
            min_size=MIN_CHUNK_BYTES,
            max_size=MAX_CHUNK_BYTES,
            normalized_chunking=2,
        )
        with _open(root, node) as file:
            for cut in cutter.cut_stream(file):
                data = bytes(cut.data)  # the cutter reuses its buffer
                self._sha256.update(data)
                yield data
            _check_untouched(file, node)


def piece_of(data: bytes) -> Piece:
    return Piece(hashlib.sha256(data).digest(), data)


def pack(pieces: Sequence[Piece], *, level: int) -> Sequence[Packed]:
    """Compresses; the same bytes at the same level give the same object."""
    return [_packed(piece, chunks.compress(piece.data, level=level)) for piece in pieces]


def recognise(piece: Piece, stored: bytes) -> Packed | None:
    """The chunk as an earlier publication stored it, perhaps at another level; None where the object is damaged."""
    packed = _packed(piece, stored)
    try:
        data = chunks.decompress(
            stored, size_bytes=len(piece.data), sha256=piece.sha256, stored_sha256=packed.chunk.stored_sha256
        )
    except ChunkCorrupt:
        return None
    return packed if data == piece.data else None


def _packed(piece: Piece, stored: bytes) -> Packed:
    chunk = content.Chunk(
        sha256=piece.sha256,
        size_bytes=len(piece.data),
        stored_sha256=hashlib.sha256(stored).digest(),
        stored_size_bytes=len(stored),
    )
    return Packed(chunk, stored)


def _read_whole(root: Path, node: Node) -> Piece:
    with _open(root, node) as file:
        data = file.read(MIN_CHUNK_BYTES + 1)
        _check_untouched(file, node)
    if node.stamp is None or len(data) != node.stamp.size_bytes:
        raise _changed(node)
    return piece_of(data)


def _open(root: Path, node: Node) -> FileIO:
    # A file that became a link or a pipe since the scan must neither be followed nor waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = FileIO(os.open(root / node.path, flags))
    except FileNotFoundError:
        raise _changed(node) from None
    except OSError as error:
        raise PublishRefused(f"the path {shown(node.path)} cannot be read: {error.strerror}") from error
    try:
        _check_untouched(file, node)
    except PublishRefused:
        file.close()
        raise
    return file


def _check_untouched(file: FileIO, node: Node) -> None:
    if Stamp.of(os.fstat(file.fileno())) != node.stamp:
        raise _changed(node)


def _changed(node: Node) -> PublishRefused:
    return PublishRefused(f"the path {shown(node.path)} changed while it was being read")
