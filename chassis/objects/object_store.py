"""The port of objects: chunks, manifests, saves. Adapters: chassis.objects.s3_store, and chassis.objects.directory_store,
which keeps the same promises, presigned URLs included. Promises: tests/contract/test_object_store.py.

Keys are `/`-separated segments of letters, digits and `._~-=+@`, never empty, never beginning with a dot; at most 512 bytes.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from chassis.errors import DomainError, Kind

MAX_KEY_BYTES = 512
MAX_SEGMENT_BYTES = 200
CHECKSUM_HEADER = "x-amz-checksum-sha256"
"""The header that binds the bytes of an upload, spelled as S3 does, so that clients need not know the store."""

_SEGMENT = re.compile(r"[A-Za-z0-9_~=+@-][A-Za-z0-9._~=+@-]*")


class KeyInvalid(ValueError):
    """The text cannot be the key of an object: a mistake of the program, or an attempt to leave the store."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """The facts known of an object without reading it; `etag` is quoted and strong."""

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class SignedUpload:
    """The signed request by which the client puts one object: exactly these bytes, exactly once."""

    url: str
    method: str = "PUT"
    headers: Mapping[str, str] = field(default_factory=dict)


class ObjectStore(Protocol):
    """Whole objects by key. An object is there completely or not at all.

    Raises:
        KeyInvalid: the key breaks the rules.
        DomainError: FILE_NOT_FOUND from `get`; SERVICE_UNAVAILABLE when the store cannot be reached.
    """

    async def put(self, key: str, content: bytes | Path) -> None:
        """Stores the bytes, or a copy of the file, in place of what was there. Safe on disk when it returns."""
        ...

    async def get(self, key: str) -> bytes:
        """The whole object."""
        ...

    async def head(self, key: str) -> ObjectInfo | None:
        """Return the object's information, or None when there is no such object."""
        ...

    async def sha256(self, key: str) -> str | None:
        """The SHA-256 of the object's bytes, in hex, as the store knows it or after reading them all; None without the object."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object whose key begins so, in no order; what comes or goes meanwhile may be missing."""
        ...

    async def delete(self, key: str) -> None:
        """Removes the object if it is there."""
        ...

    def presign_get(self, key: str, *, expires_in_seconds: float, filename: str = "") -> str:
        """A URL that reads the object by GET, or ranges of it, until it expires; a browser saves it under the filename, if there
        is one, which is signed too. No network.
        """
        ...

    def presign_put(self, key: str, *, size_bytes: int, sha256: str, expires_in_seconds: float) -> SignedUpload:
        """A URL and headers that store exactly the bytes of this size and SHA-256 (hex), if nothing is there yet."""
        ...


def check_key(key: str) -> str:
    """The key, if it is one.

    Raises:
        KeyInvalid: it is not.
    """
    segments = key.split("/")
    good = all(_SEGMENT.fullmatch(segment) and len(segment) <= MAX_SEGMENT_BYTES for segment in segments)
    if not good or len(key) > MAX_KEY_BYTES:
        raise KeyInvalid(f"not an object key: {key[:80]!r}")
    return key


def content_disposition(filename: str) -> str:
    """The header that has a browser save what it gets under this name (RFC 6266; names in any script by RFC 8187)."""
    plain = "".join(one if one.isascii() and one.isprintable() and one not in '"\\%;' else "_" for one in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def object_not_found(key: str) -> DomainError:
    """The error of an object that is not there."""
    return DomainError(Kind.NOT_FOUND, "FILE_NOT_FOUND", details={"key": key})
