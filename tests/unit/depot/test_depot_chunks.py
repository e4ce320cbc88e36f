"""Stored chunks, good and bad."""

import hashlib
import tracemalloc
from uuid import UUID

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from depot.chunks import MAX_CHUNK_BYTES, ChunkCorrupt, chunk_key, compress, decompress, manifest_key, signature_key

DATA = b"samovar " * 1000


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def restored(stored: bytes, data: bytes = DATA, *, size_bytes: int | None = None) -> bytes:
    return decompress(
        stored,
        size_bytes=len(data) if size_bytes is None else size_bytes,
        sha256=digest(data),
        stored_sha256=digest(stored),
    )


@given(st.binary(min_size=1, max_size=5000), st.integers(1, 9))
def test_a_chunk_survives_the_trip(data: bytes, level: int) -> None:
    assert restored(compress(data, level=level), data) == data


def test_keys_are_where_the_contract_puts_them() -> None:
    product, version = UUID(int=1), UUID(int=2)
    name = digest(DATA).hex()
    assert chunk_key(product, digest(DATA)) == f"content/{product}/chunks/{name[:2]}/{name}"
    assert chunk_key(str(product), digest(DATA)) == chunk_key(product, digest(DATA))
    assert manifest_key(product, version) == f"content/{product}/manifests/{version}.manifest"
    assert signature_key(product, version) == f"content/{product}/manifests/{version}.manifest.sig"


@pytest.mark.parametrize("position", [0, 5, 12, -1])
def test_a_flipped_byte_is_found_before_anything_is_decompressed(position: int) -> None:
    stored = compress(DATA)
    bad = bytearray(stored)
    bad[position] ^= 1
    with pytest.raises(ChunkCorrupt, match="FILE_HASH_MISMATCH") as refused:
        decompress(bytes(bad), size_bytes=len(DATA), sha256=digest(DATA), stored_sha256=digest(stored))
    assert "not the one stored" in refused.value.description


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"garbage",
        compress(DATA)[:-1],
        compress(DATA) + b"x",
        compress(DATA) + compress(DATA),
        compress(b"x" * len(DATA)),
        compress(DATA + b"x"),
        compress(DATA[:-1]),
        zstandard.ZstdCompressor(write_content_size=False).compress(DATA),
    ],
    ids=["empty", "garbage", "cut", "longer", "two frames", "other bytes", "one more", "one less", "no declared size"],
)
def test_an_object_that_is_not_the_chunk_is_refused(stored: bytes) -> None:
    with pytest.raises(ChunkCorrupt):
        restored(stored)


@pytest.mark.parametrize("size_bytes", [0, -1, MAX_CHUNK_BYTES + 1])
def test_sizes_outside_the_limits_are_refused(size_bytes: int) -> None:
    with pytest.raises(ChunkCorrupt, match="FILE_HASH_MISMATCH"):
        restored(compress(DATA), size_bytes=size_bytes)


def lying_frame(data: bytes, *, declared_bytes: int) -> bytes:
    """A frame (RFC 8878 section 3.1.1) whose header says another size than its blocks give."""
    frame = compress(data)
    assert frame[4] & 0b1110_0000 == 0b1000_0000, "a window descriptor, then the content size in 4 bytes"
    return frame[:6] + declared_bytes.to_bytes(4, "little") + frame[10:]


@pytest.mark.parametrize("header", ["honest", "lying"])
def test_a_bomb_stops_at_the_declared_size(header: str) -> None:
    """50 MB in a few KB: neither an honest header nor one that lies makes the reader hold more than was declared."""
    bomb = (
        compress(bytes(50_000_000)) if header == "honest" else lying_frame(bytes(50_000_000), declared_bytes=len(DATA))
    )
    assert len(bomb) < 10_000
    tracemalloc.start()
    try:
        with pytest.raises(ChunkCorrupt):
            restored(bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000
