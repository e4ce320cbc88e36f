"""Binary patches: where they lie, what binds one to its two files, how one is created and applied (HDiffPatch's format HDIFF13,
compressed by zstd). Built and tried by Download's worker processes, applied by the launcher, both by this module.

Nothing of a patch is parsed before its own SHA-256 is the one that the service named; the base is hashed before and the result
after. The result's SHA-256 is the one in the signed manifest, so that no patch can put a byte in place that was not published.
"""

import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID

import hdiffpatch

from depot.errors import PatchInvalid

__all__ = ["ALGORITHM", "PatchBinding", "PatchInvalid", "apply", "build", "check_base", "check_binding", "patch_key"]

ALGORITHM = "hdiff13-zstd"
MAX_PATCHED_FILE_BYTES = 128 * 1024 * 1024
"""The size of either file: both are held in memory while a patch is applied. Larger files are fetched by chunks."""
MAX_PATCH_BYTES = 64 * 1024 * 1024
"""The size of a stored patch."""
MAX_WINDOW_LOG = 24
"""The size of zstd's window (16 MiB), which a client that applies a patch must be ready to hold beside the files."""
ZSTD_LEVEL = 20

_MAGIC = b"HDIFF13&zstd\0"
_SHA256_BYTES = 32
_MAX_NUMBER_BYTES = 10


@dataclass(frozen=True, slots=True)
class PatchBinding:
    """The binding of a patch: the exact file that it starts from, the exact file that it produces, and its own bytes."""

    algorithm: str
    from_sha256: bytes
    from_size_bytes: int
    to_sha256: bytes
    to_size_bytes: int
    sha256: bytes
    size_bytes: int


def patch_key(product_id: UUID | str, sha256: bytes) -> str:
    """Key of a patch's object, by its own bytes: equal patches are stored once, and different ones never collide."""
    name = sha256.hex()
    return f"staging/{product_id}/patches/{name[:2]}/{name}"


def may_be_patched(from_size_bytes: int, to_size_bytes: int) -> bool:
    """Return True when two files are small enough for a patch, and not empty."""
    return 0 < from_size_bytes <= MAX_PATCHED_FILE_BYTES and 0 < to_size_bytes <= MAX_PATCHED_FILE_BYTES


def check_binding(binding: PatchBinding) -> None:
    """Every rule that can be checked before a byte is fetched.

    Raises:
        PatchInvalid: it is not for this version of the format, or outside its limits.
    """
    if binding.algorithm != ALGORITHM:
        raise PatchInvalid("the patch is made by an algorithm that is not known")
    if any(len(one) != _SHA256_BYTES for one in (binding.from_sha256, binding.to_sha256, binding.sha256)):
        raise PatchInvalid("the patch is named by a SHA-256 that is not 32 bytes long")
    if not may_be_patched(binding.from_size_bytes, binding.to_size_bytes):
        raise PatchInvalid("the patch is for files of a size outside the limits")
    if not len(_MAGIC) < binding.size_bytes <= MAX_PATCH_BYTES:
        raise PatchInvalid("the patch is of a size outside the limits")


def check_base(base: bytes, binding: PatchBinding) -> None:
    """The file is the one that the patch starts from.

    Raises:
        PatchInvalid: it is another one.
    """
    if len(base) != binding.from_size_bytes or not _is_hash_of(binding.from_sha256, base):
        raise PatchInvalid("the file on the disk is not the one that the patch was made from")


def build(base: bytes, new: bytes) -> bytes:
    """The patch from a file to another. CPU-bound, takes about six times the base in memory: call it in a process of its own.

    Raises:
        PatchInvalid: a file is outside the limits, or no patch can be created.
    """
    if not may_be_patched(len(base), len(new)):
        raise PatchInvalid("a file is of a size outside the limits")
    config = hdiffpatch.ZStdConfig(level=ZSTD_LEVEL, window=MAX_WINDOW_LOG)
    try:
        return hdiffpatch.diff(base, new, config, validate=False)
    except (hdiffpatch.HDiffPatchError, MemoryError) as error:
        raise PatchInvalid(f"no patch can be made: {error}") from error


def apply(base: bytes, stored: bytes | bytearray, binding: PatchBinding) -> bytes:
    """The new file, checked. Holds no more than base, patch, result and zstd's window, whatever the patch claims.

    CPU-bound and releases the GIL: call it in a thread.

    Raises:
        PatchInvalid: wrong base, wrong patch, or a result that is not the file; nothing of it may be used.
    """
    check_binding(binding)
    check_base(base, binding)
    if len(stored) != binding.size_bytes or not _is_hash_of(binding.sha256, stored):
        raise PatchInvalid("the patch received is not the one that was built")
    if _declared_sizes(stored) != (binding.to_size_bytes, binding.from_size_bytes):
        raise PatchInvalid("the patch says that it is for files of other sizes")
    try:
        new = hdiffpatch.apply(base, bytes(stored))
    except (hdiffpatch.HDiffPatchError, MemoryError, ValueError) as error:
        raise PatchInvalid("the patch cannot be applied") from error
    if len(new) != binding.to_size_bytes or not _is_hash_of(binding.to_sha256, new):
        raise PatchInvalid("the patch gives another file than it should")
    return new


def _is_hash_of(sha256: bytes, data: bytes | bytearray) -> bool:
    return hmac.compare_digest(hashlib.sha256(data).digest(), sha256)


def _declared_sizes(stored: bytes | bytearray) -> tuple[int, int]:
    """Return the sizes of the new file and of the old in the patch's head: the decoder allocates these.

    Raises:
        PatchInvalid: the head is not one of this format.
    """
    if not stored.startswith(_MAGIC):
        raise PatchInvalid("the patch does not begin as one")
    new_bytes, position = _number(stored, len(_MAGIC))
    old_bytes, _ = _number(stored, position)
    return new_bytes, old_bytes


def _number(stored: bytes | bytearray, position: int) -> tuple[int, int]:
    """A number in groups of seven bits, the highest first, and where it ends."""
    value = 0
    for byte in stored[position : position + _MAX_NUMBER_BYTES]:
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position
    raise PatchInvalid("the patch's head has no end")
