"""Chunks: where they and the manifests lie in the object store, and how a stored one becomes bytes again. Used by the publisher,
by Download when it signs links, and by the launcher on every chunk it receives.
"""

import hashlib
import hmac
import threading
from uuid import UUID

import zstandard

from depot.errors import ChunkCorrupt

__all__ = ["ChunkCorrupt", "chunk_key", "compress", "decompress", "manifest_key", "signature_key", "unpack"]

MAX_CHUNK_BYTES = 16 * 1024 * 1024
"""The size of a chunk's own bytes that a reader must be ready to hold."""
MAX_STORED_CHUNK_BYTES = MAX_CHUNK_BYTES + MAX_CHUNK_BYTES // 128 + 1024
"""The size of a stored chunk: zstd adds a little to bytes that do not compress."""
ZSTD_LEVEL = 6
"""Measured on a game engine of 168.6 MB: level 3 gives 52.6 MB in 0.8 s of one core, 6 gives 49.9 MB in 2.3 s, 9 gives 49.3 MB in
4.0 s. All decompress alike.
"""

_MAX_WINDOW_BYTES = 1 << 25
_own = threading.local()


def chunk_key(product_id: UUID | str, sha256: bytes) -> str:
    """Key of a chunk's object; shared between versions of one product, never between products."""
    name = sha256.hex()
    return f"content/{product_id}/chunks/{name[:2]}/{name}"


def manifest_key(product_id: UUID | str, version_id: UUID | str) -> str:
    """Key of a manifest as published."""
    return f"content/{product_id}/manifests/{version_id}.manifest"


def signature_key(product_id: UUID | str, version_id: UUID | str) -> str:
    """Key of its signature, a serialised content.v1.ManifestSignature."""
    return manifest_key(product_id, version_id) + ".sig"


def compress(data: bytes | memoryview, *, level: int = ZSTD_LEVEL) -> bytes:
    """The object to store: one zstd frame that declares its size."""
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(data)


def decompress(stored: bytes | bytearray, *, size_bytes: int, sha256: bytes, stored_sha256: bytes) -> bytes:
    """The chunk's bytes, checked before and after. Never makes more than `size_bytes`, whatever the object claims.

    CPU-bound (some ms a MiB) and releases the GIL: call it in a worker thread.

    Raises:
        ChunkCorrupt: the object is not the one named, or does not hold that chunk.
    """
    data = unpack(stored, size_bytes=size_bytes, stored_sha256=stored_sha256)
    if not hmac.compare_digest(hashlib.sha256(data).digest(), sha256):
        raise ChunkCorrupt("the bytes are not those of the chunk")
    return data


def unpack(stored: bytes | bytearray, *, size_bytes: int, stored_sha256: bytes) -> bytes:
    """As `decompress`, but the bytes are not hashed again: for callers that hash the file that contains them.

    Raises:
        ChunkCorrupt: the object is not the one named, or does not hold so many bytes.
    """
    if not hmac.compare_digest(hashlib.sha256(stored).digest(), stored_sha256):
        raise ChunkCorrupt("the object received is not the one stored")
    if not 0 < size_bytes <= MAX_CHUNK_BYTES:
        raise ChunkCorrupt("the declared size is outside the limits")
    try:
        # The frame's own size is what the decoder allocates and where it stops, so it must be the declared one.
        if zstandard.frame_content_size(stored) != size_bytes:
            raise ChunkCorrupt("the zstd frame is of another size than declared")
        data = _decompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError:
        raise ChunkCorrupt("the object is not one whole zstd frame") from None
    if len(data) != size_bytes:
        raise ChunkCorrupt("the bytes are not those of the chunk")
    return data


def _decompressor() -> zstandard.ZstdDecompressor:
    """This thread's own: making one costs as much as a small chunk."""
    found: zstandard.ZstdDecompressor | None = getattr(_own, "decompressor", None)
    if found is None:
        found = _own.decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    return found
