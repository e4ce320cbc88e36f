"""A manifest as bytes and as a message, and all rules it must keep (contract section 3, proto content.v1). The publisher writes
only what `check` passes; Download and the launcher check what they read, after the signature (depot.signing).
"""

import hashlib
from collections.abc import Iterable
from uuid import UUID

import zstandard
from content.v1 import manifest_pb2 as content
from google.protobuf.message import DecodeError

from depot.chunks import MAX_CHUNK_BYTES, MAX_STORED_CHUNK_BYTES
from depot.errors import ManifestInvalid, ManifestSignatureInvalid
from depot.paths import check_for_platform, check_tree, shown
from depot.user_paths import check_user_paths

__all__ = ["ManifestInvalid", "ManifestSignatureInvalid", "check", "parse", "serialise", "total_size_bytes"]

FORMAT = 1
MAX_STORED_BYTES = 64 * 1024 * 1024
"""The size of a manifest as stored and fetched."""
MAX_UNCOMPRESSED_BYTES = 256 * 1024 * 1024
MAX_ENTRIES = 1_000_000
MAX_TOTAL_SIZE_BYTES = 1 << 50
"""The size of an installed tree (1 PiB): sums of sizes never come near the end of int64."""
FILE_MODES = frozenset({0o644, 0o755})

_SHA256_BYTES = 32
_EMPTY_SHA256 = hashlib.sha256(b"").digest()
_ZSTD_LEVEL = 9
_MAX_WINDOW_BYTES = 1 << 27
_PLATFORMS = frozenset({content.PLATFORM_WINDOWS, content.PLATFORM_LINUX, content.PLATFORM_MACOS})


def serialise(manifest: content.Manifest) -> bytes:
    """The bytes to sign and store: one zstd frame that declares its size. The same message gives the same bytes."""
    plain = manifest.SerializeToString(deterministic=True)
    if len(plain) > MAX_UNCOMPRESSED_BYTES:
        raise ManifestInvalid(f"the manifest is larger than {MAX_UNCOMPRESSED_BYTES} bytes")
    stored = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True).compress(plain)
    if len(stored) > MAX_STORED_BYTES:
        raise ManifestInvalid(f"the stored manifest is larger than {MAX_STORED_BYTES} bytes")
    return stored


def parse(stored: bytes, *, max_uncompressed_bytes: int = MAX_UNCOMPRESSED_BYTES) -> content.Manifest:
    """Reads stored bytes; memory stays below `max_uncompressed_bytes` plus the message, whatever they claim. Does not `check`.

    Raises:
        ManifestInvalid: not one zstd frame of an acceptable declared size with a content.v1.Manifest in it.
    """
    if len(stored) > MAX_STORED_BYTES:
        raise ManifestInvalid(f"the stored manifest is larger than {MAX_STORED_BYTES} bytes")
    try:
        declared_bytes = zstandard.frame_content_size(stored)
        if declared_bytes < 0:
            raise ManifestInvalid("the zstd frame does not declare its size")
        if declared_bytes > max_uncompressed_bytes:
            raise ManifestInvalid(f"the manifest is larger than {max_uncompressed_bytes} bytes")
        plain = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).decompress(stored, allow_extra_data=False)
        return content.Manifest.FromString(plain)
    except zstandard.ZstdError:
        raise ManifestInvalid("it is not one whole zstd frame") from None
    except DecodeError:
        raise ManifestInvalid("it is not a content.v1.Manifest") from None


def check(manifest: content.Manifest, *, product_id: UUID | str, version_id: UUID | str, platform: int) -> None:
    """Every rule of the format, and that the manifest is for exactly this product, version and platform.

    Raises:
        ManifestInvalid: names the first rule that is broken.
    """
    if manifest.format != FORMAT:
        raise ManifestInvalid(f"its format is {manifest.format}, known is {FORMAT}")
    if manifest.product_id != str(product_id):
        raise ManifestInvalid("it is for another product")
    if manifest.version_id != str(version_id):
        raise ManifestInvalid("it is for another version")
    if manifest.platform not in _PLATFORMS:
        raise ManifestInvalid("it names no platform")
    if manifest.platform != platform:
        raise ManifestInvalid("it is for another platform")
    if not manifest.HasField("created_at"):
        raise ManifestInvalid("it does not say when it was written")
    if len(manifest.entries) > MAX_ENTRIES:
        raise ManifestInvalid(f"it has more than {MAX_ENTRIES} entries")
    check_user_paths(manifest.user_paths)
    check_tree(manifest.entries)
    check_for_platform(manifest.entries, platform)
    check_entries(manifest.entries)


def check_entries(entries: Iterable[content.Entry]) -> None:
    """Check that each entry has the fields of its type, and that a chunk has the same description wherever it occurs.

    Raises:
        ManifestInvalid: names the entry.
    """
    known_chunks: dict[bytes, tuple[int, bytes, int]] = {}
    total_bytes = 0
    for entry in entries:
        if entry.type == content.ENTRY_TYPE_FILE:
            _check_file(entry)
            _check_chunks(entry, known_chunks)
            total_bytes += entry.size_bytes
            if total_bytes > MAX_TOTAL_SIZE_BYTES:
                raise ManifestInvalid(f"the tree is larger than {MAX_TOTAL_SIZE_BYTES} bytes")
        elif entry.type in {content.ENTRY_TYPE_SYMLINK, content.ENTRY_TYPE_DIRECTORY}:
            _check_no_content(entry)
        else:
            raise _wrong(entry, "is of no known type")


def total_size_bytes(manifest: content.Manifest) -> int:
    """Size of the installed tree: the sum of its files."""
    return sum(entry.size_bytes for entry in manifest.entries)


def _wrong(entry: content.Entry, rule: str) -> ManifestInvalid:
    return ManifestInvalid(f"the entry {shown(entry.path)} {rule}")


def _check_file(entry: content.Entry) -> None:
    if entry.size_bytes < 0:
        raise _wrong(entry, "has a negative size")
    if len(entry.sha256) != _SHA256_BYTES:
        raise _wrong(entry, "has a SHA-256 that is not 32 bytes long")
    if entry.mode not in FILE_MODES:
        raise _wrong(entry, f"has the mode {entry.mode:04o}; 0644 and 0755 are allowed")
    if entry.link_target:
        raise _wrong(entry, "is a file with a link target")
    if entry.size_bytes == 0 and entry.sha256 != _EMPTY_SHA256:
        raise _wrong(entry, "is empty, but its SHA-256 is of something else")


def _check_chunks(entry: content.Entry, known: dict[bytes, tuple[int, bytes, int]]) -> None:
    size_bytes = 0
    for chunk in entry.chunks:
        if len(chunk.sha256) != _SHA256_BYTES or len(chunk.stored_sha256) != _SHA256_BYTES:
            raise _wrong(entry, "has a chunk whose SHA-256 is not 32 bytes long")
        if not 0 < chunk.size_bytes <= MAX_CHUNK_BYTES:
            raise _wrong(entry, f"has a chunk of {chunk.size_bytes} bytes; 1 to {MAX_CHUNK_BYTES} are allowed")
        if not 0 < chunk.stored_size_bytes <= MAX_STORED_CHUNK_BYTES:
            raise _wrong(entry, f"has a chunk stored in {chunk.stored_size_bytes} bytes")
        described = (chunk.size_bytes, chunk.stored_sha256, chunk.stored_size_bytes)
        if known.setdefault(chunk.sha256, described) != described:
            raise _wrong(entry, "describes a chunk otherwise than an entry before it")
        size_bytes += chunk.size_bytes
    if size_bytes != entry.size_bytes:
        raise _wrong(entry, f"is {entry.size_bytes} bytes long, its chunks {size_bytes}")
    if len(entry.chunks) == 1 and entry.chunks[0].sha256 != entry.sha256:
        raise _wrong(entry, "has one chunk whose SHA-256 is not the file's")


def _check_no_content(entry: content.Entry) -> None:
    if entry.size_bytes or entry.sha256 or entry.mode or entry.chunks:
        raise _wrong(entry, "is not a file, but has a size, hash, mode or chunks")
    if entry.type == content.ENTRY_TYPE_DIRECTORY and entry.link_target:
        raise _wrong(entry, "is a folder with a link target")
