"""The plan of an installation: a manifest turned into files, their places, and each distinct chunk once with all the places that it
goes to. Pure; used by everything that works on an installation.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from content.v1 import manifest_pb2 as content

from depot import manifest as depot_manifest
from depot import signing
from depot.paths import LAUNCHER_FOLDER
from depot.user_paths import UserPaths

STAGING_FOLDER = LAUNCHER_FOLDER
PLATFORMS = {
    "windows": content.PLATFORM_WINDOWS,
    "linux": content.PLATFORM_LINUX,
    "macos": content.PLATFORM_MACOS,
}
_PLATFORM_NAMES = {number: name for name, number in PLATFORMS.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """The destination of a chunk: the file, the number of the chunk in it, and the offset."""

    file: int
    chunk: int
    offset: int


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """A chunk and all its places, possibly in several files."""

    sha256: bytes
    size_bytes: int
    stored_sha256: bytes
    stored_size_bytes: int
    places: tuple[Place, ...]

    @property
    def id(self) -> str:
        return self.sha256.hex()


@dataclass(frozen=True, slots=True)
class PlannedChunkRef:
    """A chunk as one file sees it."""

    sha256: bytes
    size_bytes: int
    offset: int


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file; `index` is its entry's in the manifest, and its name while it is staged."""

    index: int
    path: str
    size_bytes: int
    sha256: bytes
    mode: int
    chunks: tuple[PlannedChunkRef, ...]

    @property
    def staged_name(self) -> str:
        return str(self.index)


@dataclass(frozen=True, slots=True)
class PlannedLink:
    """A symbolic link."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole installation. Files by their entry's index; chunks in the order of the files that need them first."""

    product_id: UUID
    version_id: UUID
    platform: str | None
    manifest_sha256: bytes
    files: dict[int, PlannedFile]
    links: tuple[PlannedLink, ...]
    directories: tuple[str, ...]
    chunks: tuple[PlannedChunk, ...]
    total_bytes: int
    created_at_ns: int = 0
    """The signed time at which the publisher wrote the manifest: nanoseconds since 1970."""
    user_paths: UserPaths = field(default_factory=UserPaths)

    def leaves(self) -> Iterator[str]:
        """Paths of the files and links."""
        yield from (file.path for file in self.files.values())
        yield from (link.path for link in self.links)

    def is_users(self, path: str) -> bool:
        """Return True when the publisher declares that the file belongs to the user (configurations, saves)."""
        return self.user_paths.covers(path)


@dataclass(frozen=True, slots=True)
class Outdated:
    """Entries of earlier versions that the plan no longer has, or has as another kind: paths of files and links, and of folders."""

    leaves: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Return True when the path, or one of its parent folders, is outdated."""
        names = path.split("/")
        ways = ("/".join(names[: depth + 1]) for depth in range(len(names)))
        return any(way in self.leaves or way in self.folders for way in ways)


def outdated_by(plan: Plan, previous: Iterable[Plan]) -> Outdated:
    """Return the entries of the previous trees that must be removed before the plan's tree can be put in place."""
    files = {file.path for file in plan.files.values()}
    links = {link.path for link in plan.links}
    leaves: set[str] = set()
    folders: set[str] = set()
    for tree in previous:
        leaves |= {path for path in tree.leaves() if not (plan.is_users(path) or tree.is_users(path))}
        folders |= set(tree.directories) - set(plan.directories)
    # A file that takes a link's place, or the other way round, simply replaces it.
    return Outdated(frozenset(leaves - files - links), frozenset(folders))


def item_id(session_id: UUID, path: str) -> UUID:
    """The id that Download gives to a file of a session."""
    return uuid5(session_id, path)


def read_manifest(
    stored: bytes,
    *,
    signature: content.ManifestSignature,
    keys: str,
    product_id: UUID,
    version_id: UUID,
    platform: str | None,
) -> Plan:
    """Checks signature, identity and every rule of the format, then plans. CPU-bound: call it in a thread.

    Raises:
        ManifestSignatureInvalid, ManifestInvalid: it must not be used.
    """
    signing.verify(stored, signature, signing.parse_public_keys(keys))
    manifest = depot_manifest.parse(stored)
    expected = PLATFORMS.get(platform or "", manifest.platform)
    depot_manifest.check(manifest, product_id=product_id, version_id=version_id, platform=expected)
    return plan_of(manifest, manifest_sha256=hashlib.sha256(stored).digest())


def read_kept(stored: bytes) -> Plan:
    """The plan of a manifest that this launcher once checked and kept. Every rule of the format is checked again: what it says is
    a hint where bytes may be found, and a list of names that may be removed.

    Raises:
        ManifestInvalid: it is not what was kept.
    """
    manifest = depot_manifest.parse(stored)
    depot_manifest.check(
        manifest, product_id=manifest.product_id, version_id=manifest.version_id, platform=manifest.platform
    )
    return plan_of(manifest, manifest_sha256=hashlib.sha256(stored).digest())


def plan_of(manifest: content.Manifest, *, manifest_sha256: bytes) -> Plan:
    """Plans a checked manifest."""
    files: dict[int, PlannedFile] = {}
    links: list[PlannedLink] = []
    directories: list[str] = []
    chunks: dict[bytes, tuple[content.Chunk, list[Place]]] = {}
    for index, entry in enumerate(manifest.entries):
        if entry.type == content.ENTRY_TYPE_DIRECTORY:
            directories.append(entry.path)
        elif entry.type == content.ENTRY_TYPE_SYMLINK:
            links.append(PlannedLink(entry.path, entry.link_target))
        else:
            files[index] = _planned_file(index, entry, chunks)
    return Plan(
        product_id=UUID(manifest.product_id),
        version_id=UUID(manifest.version_id),
        platform=_PLATFORM_NAMES.get(manifest.platform),
        manifest_sha256=manifest_sha256,
        files=files,
        links=tuple(links),
        directories=tuple(directories),
        chunks=tuple(
            PlannedChunk(sha256, chunk.size_bytes, chunk.stored_sha256, chunk.stored_size_bytes, tuple(places))
            for sha256, (chunk, places) in chunks.items()
        ),
        total_bytes=sum(file.size_bytes for file in files.values()),
        created_at_ns=manifest.created_at.seconds * 1_000_000_000 + manifest.created_at.nanos,
        user_paths=UserPaths(tuple(manifest.user_paths)),
    )


def _planned_file(
    index: int, entry: content.Entry, chunks: dict[bytes, tuple[content.Chunk, list[Place]]]
) -> PlannedFile:
    offset = 0
    refs = []
    for number, chunk in enumerate(entry.chunks):
        refs.append(PlannedChunkRef(chunk.sha256, chunk.size_bytes, offset))
        chunks.setdefault(chunk.sha256, (chunk, []))[1].append(Place(index, number, offset))
        offset += chunk.size_bytes
    return PlannedFile(index, entry.path, entry.size_bytes, entry.sha256, entry.mode, tuple(refs))
