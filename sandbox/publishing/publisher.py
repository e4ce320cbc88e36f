"""The publisher: puts a folder into the object store as chunks and a signed manifest (contract section 3). Called by
`samovar publish` (sandbox.cli), which has Catalog announce the version afterwards.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.objects.object_store import ObjectStore
from depot import manifest as manifests
from depot import signing
from depot.chunks import ZSTD_LEVEL, chunk_key, manifest_key, signature_key
from depot.errors import ManifestInvalid
from depot.paths import shown
from depot.user_paths import check_user_paths
from sandbox.publishing import packing
from sandbox.publishing.packing import Piece
from sandbox.publishing.tree import Node, PublishRefused, first_difference, scan

T = TypeVar("T")

BATCH_FILES = 64
BATCH_BYTES = 4 * 1024 * 1024
"""Small files that go through the threads together, so that 100,000 of them do not mean 100,000 hand-overs."""
WORKERS = max(2, os.cpu_count() or 1)
CHUNKS_IN_MEMORY = 2 * WORKERS
"""The most chunks of large files in memory, at most 4 MiB each: this bounds the memory, whatever the size of the tree."""

Progress = Callable[[int], None]
"""Told how many bytes of the tree were done since the last call."""


@dataclass(frozen=True, slots=True)
class Version:
    """The target of a publication: the version of a product on a platform."""

    product_id: UUID
    version_id: UUID
    platform: content.Platform


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a publication. Sizes are those of the tree; `new_bytes` is the growth of the store."""

    version: Version
    files: int
    entries: int
    total_size_bytes: int
    chunks: int
    new_chunks: int
    new_bytes: int
    manifest_sha256: str
    manifest_size_bytes: int
    was_published: bool


@dataclass(frozen=True, slots=True)
class Signer:
    """The identity that signs manifests."""

    key_id: str
    key: Ed25519PrivateKey


async def publish_tree(
    root: Path,
    version: Version,
    *,
    store: ObjectStore,
    signer: Signer,
    now: Callable[[], datetime],
    user_paths: Sequence[str] = (),
    level: int = ZSTD_LEVEL,
    progress: Progress = lambda _: None,
) -> Published:
    """Stores what is not there yet, the manifest and its signature last. Idempotent; memory does not grow with sizes of files.
    `user_paths` are patterns of paths that clients leave to the user (depot.user_paths).

    Raises:
        PublishRefused: something in the folder cannot be published, it changed meanwhile, or the version has other content
            already. Chunks stored until then stay unreferenced, and the next try finds them.
    """
    try:
        check_user_paths(user_paths)
    except ManifestInvalid as error:
        raise PublishRefused(error.description) from None
    nodes = await asyncio.to_thread(scan, root, version.platform)
    packer = _Packer(root, version.product_id, store, level, progress)
    entries = await packer.pack(nodes)
    if changed := first_difference(nodes, await asyncio.to_thread(scan, root, version.platform)):
        raise PublishRefused(f"the path {shown(changed)} changed while the folder was being read")
    manifest = content.Manifest(
        format=manifests.FORMAT,
        product_id=str(version.product_id),
        version_id=str(version.version_id),
        platform=version.platform,
        created_at=now(),
        entries=entries,
        user_paths=user_paths,
    )
    stored, was_published = await _write_manifest(manifest, version, store, signer)
    files = sum(node.type == content.ENTRY_TYPE_FILE for node in nodes)
    return Published(
        version=version,
        files=files,
        entries=len(nodes),
        total_size_bytes=manifests.total_size_bytes(manifest),
        chunks=packer.chunk_count,
        new_chunks=packer.new_chunks,
        new_bytes=packer.new_bytes,
        manifest_sha256=hashlib.sha256(stored).hexdigest(),
        manifest_size_bytes=len(stored),
        was_published=was_published,
    )


async def _write_manifest(
    manifest: content.Manifest, version: Version, store: ObjectStore, signer: Signer
) -> tuple[bytes, bool]:
    """Keeps the manifest that is there if it says the same: its date, and so its bytes, stay as they were signed."""
    key = manifest_key(version.product_id, version.version_id)
    try:
        await asyncio.to_thread(
            manifests.check,
            manifest,
            product_id=version.product_id,
            version_id=version.version_id,
            platform=version.platform,
        )
        stored = await asyncio.to_thread(manifests.serialise, manifest)
    except ManifestInvalid as error:
        raise PublishRefused(error.description) from None
    earlier = await store.get(key) if await store.head(key) is not None else None
    if earlier is not None:
        if not await asyncio.to_thread(_says_the_same, earlier, manifest):
            raise PublishRefused("this version was published already, with other content; choose another --version")
        stored = earlier
    else:
        await store.put(key, stored)
    signature = signing.sign(stored, signer.key_id, signer.key)
    await store.put(signature_key(version.product_id, version.version_id), signature.SerializeToString())
    return stored, earlier is not None


def _says_the_same(stored: bytes, manifest: content.Manifest) -> bool:
    earlier = manifests.parse(stored)
    earlier.created_at.CopyFrom(manifest.created_at)
    return earlier == manifest


class _Packer:
    """Turns nodes into entries and stores every chunk once."""

    def __init__(self, root: Path, product_id: UUID, store: ObjectStore, level: int, progress: Progress) -> None:
        self._root = root
        self._product_id = product_id
        self._store = store
        self._level = level
        self._progress = progress
        self._entries: dict[str, content.Entry] = {}
        self._chunks: dict[bytes, asyncio.Future[content.Chunk]] = {}
        self._room = asyncio.Semaphore(CHUNKS_IN_MEMORY)
        self.new_chunks = 0
        self.new_bytes = 0

    @property
    def chunk_count(self) -> int:
        return len(self._chunks)

    async def pack(self, nodes: Sequence[Node]) -> Sequence[content.Entry]:
        units = _units(nodes)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work(units))
        except ExceptionGroup as group:
            raise next(_leaves(group)) from None  # one is enough to say what is wrong
        return [self._entries.get(node.path) or _without_content(node) for node in nodes]

    async def _work(self, units: Iterator[Sequence[Node]]) -> None:
        for unit in units:
            if packing.is_small(unit[0]):
                await self._small_files(unit)
            else:
                await self._large_file(unit[0])

    async def _small_files(self, nodes: Sequence[Node]) -> None:
        pieces = await asyncio.to_thread(packing.read_small, self._root, nodes)
        stored = iter(await self._keep([piece for piece in pieces if piece.data]))
        for node, piece in zip(nodes, pieces, strict=True):
            own_chunks = [next(stored)] if piece.data else []
            self._entries[node.path] = _file(node, piece.sha256, len(piece.data), own_chunks)
        self._progress(sum(len(piece.data) for piece in pieces))

    async def _large_file(self, node: Node) -> None:
        file = packing.LargeFile(self._root, node)
        tasks: list[asyncio.Task[content.Chunk]] = []
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._room.acquire()
                    data = await asyncio.to_thread(file.next_piece)
                    if data is None:
                        self._room.release()
                        break
                    tasks.append(group.create_task(self._one_chunk(data)))
        finally:
            await asyncio.to_thread(file.close)
        own_chunks = [task.result() for task in tasks]
        size_bytes = sum(chunk.size_bytes for chunk in own_chunks)
        self._entries[node.path] = _file(node, file.sha256, size_bytes, own_chunks)

    async def _one_chunk(self, data: bytes) -> content.Chunk:
        try:
            piece = await asyncio.to_thread(packing.piece_of, data)
            (chunk,) = await self._keep([piece])
            self._progress(len(data))
            return chunk
        finally:
            self._room.release()

    async def _keep(self, pieces: Sequence[Piece]) -> Sequence[content.Chunk]:
        """Stores the chunks that no other task stores, then waits for the others: each task first stores its own."""
        own = {piece.sha256: piece for piece in pieces if piece.sha256 not in self._chunks}
        loop = asyncio.get_running_loop()
        self._chunks.update((sha256, loop.create_future()) for sha256 in own)
        try:
            for chunk in await self._write(list(own.values())):
                self._chunks[chunk.sha256].set_result(chunk)
        except BaseException:
            for sha256 in own:
                self._chunks[sha256].cancel()
            raise
        return [await self._chunks[piece.sha256] for piece in pieces]

    async def _write(self, pieces: Sequence[Piece]) -> Sequence[content.Chunk]:
        present = await _together(self._recognised(piece) for piece in pieces)
        missing = [piece for piece, chunk in zip(pieces, present, strict=True) if chunk is None]
        packed = await asyncio.to_thread(packing.pack, missing, level=self._level) if missing else []
        await _together(self._store.put(self._key(one.chunk.sha256), one.stored) for one in packed)
        self.new_chunks += len(packed)
        self.new_bytes += sum(len(one.stored) for one in packed)
        return [*(chunk for chunk in present if chunk is not None), *(one.chunk for one in packed)]

    async def _recognised(self, piece: Piece) -> content.Chunk | None:
        """The chunk as it is in the store, read and checked; a damaged object is written again."""
        key = self._key(piece.sha256)
        if await self._store.head(key) is None:
            return None
        stored = await self._store.get(key)
        packed = await asyncio.to_thread(packing.recognise, piece, stored)
        return packed.chunk if packed is not None else None

    def _key(self, sha256: bytes) -> str:
        return chunk_key(self._product_id, sha256)


def _units(nodes: Iterable[Node]) -> Iterator[Sequence[Node]]:
    """Work to hand out: a large file, or a batch of small ones."""
    batch: list[Node] = []
    batch_bytes = 0
    for node in nodes:
        if node.stamp is None:
            continue
        if not packing.is_small(node):
            yield [node]
            continue
        if batch and (len(batch) == BATCH_FILES or batch_bytes + node.stamp.size_bytes > BATCH_BYTES):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(node)
        batch_bytes += node.stamp.size_bytes
    if batch:
        yield batch


def _file(node: Node, sha256: bytes, size_bytes: int, own_chunks: Sequence[content.Chunk]) -> content.Entry:
    return content.Entry(
        path=node.path, type=node.type, size_bytes=size_bytes, sha256=sha256, mode=node.mode, chunks=own_chunks
    )


def _without_content(node: Node) -> content.Entry:
    return content.Entry(path=node.path, type=node.type, link_target=node.link_target)


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _together(coroutines: Iterable[Coroutine[Any, Any, T]]) -> Sequence[T]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in tasks]
