"""Patches built by real worker processes over a real store: what is stored, what is not worth it, what ends a worker."""

import hashlib
import lzma
import random
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.errors import DomainError, Kind
from chassis.objects.directory_store import DirectoryStore
from depot import patches
from depot.chunks import chunk_key, compress
from depot.patches import ALGORITHM, PatchBinding
from download_svc.patches.domain import PatchPair, pairs_between
from download_svc.patches.workers import WorkerPatchBuilder
from download_svc.versions.manifests import Chunk, Entry, EntryType

CHUNK_BYTES = 64 * 1024
PRODUCT = uuid4()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def put(store: DirectoryStore, data: bytes, *, product_id: UUID = PRODUCT) -> Entry:
    """Publishes a file's chunks."""
    chunks = []
    for at in range(0, len(data), CHUNK_BYTES):
        plain = data[at : at + CHUNK_BYTES]
        stored = compress(plain)
        await store.put(chunk_key(product_id, sha256(plain)), stored)
        chunks.append(Chunk(sha256(plain), len(plain), sha256(stored), len(stored)))
    return Entry("a/file", EntryType.FILE, len(data), sha256(data), 0o644, None, tuple(chunks))


async def pair_of(store: DirectoryStore, old: bytes, new: bytes) -> PatchPair:
    [pair] = pairs_between([await put(store, old)], [await put(store, new)], max_file_bytes=1 << 30)
    return pair


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "objects", "http://objects.test", "the key of links to objects")


def versions_of_code() -> tuple[bytes, bytes]:
    dice = random.Random(4)
    old = dice.randbytes(300_000)
    return old, b"".join(old[at : at + 5000] + b"ab" for at in range(0, len(old), 5000))


async def test_a_patch_is_stored_under_its_hash_and_gives_the_new_file(store: DirectoryStore) -> None:
    old, new = versions_of_code()
    pair = await pair_of(store, old, new)
    staged = await WorkerPatchBuilder(store).build(PRODUCT, pair)
    assert staged is not None
    stored = await store.get(patches.patch_key(PRODUCT, staged.sha256))
    assert (staged.object_key, staged.size_bytes) == (patches.patch_key(PRODUCT, staged.sha256), len(stored))
    assert len(stored) < pair.chunk_bytes / 20
    binding = PatchBinding(ALGORITHM, sha256(old), len(old), sha256(new), len(new), staged.sha256, len(stored))
    assert patches.apply(old, stored, binding) == new
    assert await WorkerPatchBuilder(store).build(PRODUCT, pair) == staged, "built again it is the same"


async def test_what_is_compressed_already_is_found_by_trying(store: DirectoryStore) -> None:
    words = [f"{number * 7919 % 104_729} words of a text\n".encode() for number in range(40_000)]
    old = lzma.compress(b"".join(words))
    new = lzma.compress(b"".join([b"first\n", *words]))
    assert await WorkerPatchBuilder(store).build(PRODUCT, await pair_of(store, old, new)) is None


async def test_a_worker_is_ended_at_its_memory_and_at_its_time(store: DirectoryStore) -> None:
    old = random.Random(5).randbytes(30 << 20)
    pair = await pair_of(store, old, old[1000:])
    assert await WorkerPatchBuilder(store, memory_bytes=150 << 20).build(PRODUCT, pair) is None
    assert await WorkerPatchBuilder(store, wall_seconds=0.05).build(PRODUCT, pair) is None


@pytest.mark.parametrize("damage", ["missing", "damaged"])
async def test_a_chunk_that_cannot_be_had_is_for_another_time(store: DirectoryStore, damage: str) -> None:
    old, new = versions_of_code()
    pair = await pair_of(store, old, new)
    key = chunk_key(PRODUCT, pair.new.chunks[1].sha256)
    if damage == "missing":
        await store.delete(key)
    else:
        await store.put(key, b"something else")
    with pytest.raises(DomainError) as caught:
        await WorkerPatchBuilder(store).build(PRODUCT, pair)
    assert caught.value.kind is Kind.UNAVAILABLE


async def test_larger_files_than_the_format_allows_are_never_asked_for(store: DirectoryStore) -> None:
    assert WorkerPatchBuilder(store, max_file_bytes=1 << 40).max_file_bytes == patches.MAX_PATCHED_FILE_BYTES
