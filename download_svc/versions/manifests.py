"""The contents of a version, as values: entries of its tree and the chunks of its files. Created by infrastructure from a
checked content.v1.Manifest; the rules of the format itself are the package depot's.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Platform(StrEnum):
    """The operating system that a version runs on."""

    WINDOWS = "windows"
    LINUX = "linux"
    MACOS = "macos"


class EntryType(StrEnum):
    """The type of an entry of the tree."""

    FILE = "file"
    SYMLINK = "symlink"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of a file's bytes; `sha256` is of the uncompressed bytes and its identity, `stored_*` of the object as transferred."""

    sha256: bytes
    size_bytes: int
    stored_sha256: bytes
    stored_size_bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, link or folder; what does not apply to its type is None or empty."""

    path: str
    type: EntryType
    size_bytes: int = 0
    sha256: bytes | None = None
    mode: int = 0
    link_target: str | None = None
    chunks: tuple[Chunk, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """The checked bytes in the object store, and who signed them (Ed25519 over exactly these bytes)."""

    key: str
    sha256: bytes
    size_bytes: int
    signed_by: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """A version's tree, ordered by path (bytes of its UTF-8 form)."""

    product_id: UUID
    version_id: UUID
    platform: Platform
    entries: tuple[Entry, ...]
    stored: StoredManifest

    @property
    def total_size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries if entry.type is EntryType.FILE)

    @property
    def file_count(self) -> int:
        return sum(entry.type is EntryType.FILE for entry in self.entries)


@dataclass(frozen=True, slots=True)
class FileReference:
    """One file of a stored version."""

    file_metadata_id: UUID
    relative_path: str


def derived_ids(namespace: UUID, names: Iterable[str]) -> Sequence[UUID]:
    """UUIDs version 5 (RFC 9562 §5.5) of the names in a namespace.

    `file_metadata_id` is that of a path in the version's id, `item_id` that of a path in the session's id, so that whoever holds
    the manifest knows both. The digest of the namespace is taken once: a version may have 100,000 files.
    """
    prefix = hashlib.sha1(namespace.bytes, usedforsecurity=False)
    ids = []
    for name in names:
        digest = prefix.copy()
        digest.update(name.encode())
        ids.append(UUID(bytes=digest.digest()[:16], version=5))
    return ids
