"""Kept manifests read whole, over every adapter: the tree is what was published, in its order, with its chunks."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from content.v1 import manifest_pb2 as content

from chassis.errors import DomainError, Kind
from chassis.objects.directory_store import DirectoryStore
from depot import manifest as manifests
from download_svc.versions.domain import ManifestReader, Version
from download_svc.versions.manifests import Chunk, Entry, EntryType, Manifest, Platform, StoredManifest
from download_svc.versions.sources import StoredManifests
from tests.fakes.download.store import MemoryManifestReader, MemoryStore
from tests.unit.download.rig import make_version

Keep = Callable[[Manifest], Awaitable[tuple[ManifestReader, Version]]]


def chunk(data: bytes) -> Chunk:
    return Chunk(hashlib.sha256(data).digest(), len(data), hashlib.sha256(b"stored" + data).digest(), len(data) + 9)


def tree() -> tuple[Entry, ...]:
    data = b"one", b"two!"
    return (
        Entry("bin", EntryType.DIRECTORY),
        Entry(
            "bin/game", EntryType.FILE, 7, hashlib.sha256(b"".join(data)).digest(), 0o755, None, (*map(chunk, data),)
        ),
        Entry("bin/run", EntryType.SYMLINK, link_target="game"),
        Entry("empty", EntryType.FILE, 0, hashlib.sha256().digest(), 0o644),
        Entry("уровни", EntryType.DIRECTORY),
    )


def stored_form(entries: tuple[Entry, ...], product_id: str, version_id: str) -> bytes:
    message = content.Manifest(
        format=1,
        product_id=product_id,
        version_id=version_id,
        platform=content.PLATFORM_LINUX,
        created_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    for one in entries:
        entry = message.entries.add(path=one.path, type=getattr(content, f"ENTRY_TYPE_{one.type.name}"))
        if one.type is EntryType.SYMLINK:
            entry.link_target = one.link_target or ""
        if one.type is EntryType.FILE:
            entry.size_bytes, entry.sha256, entry.mode = one.size_bytes, one.sha256 or b"", one.mode
            for part in one.chunks:
                entry.chunks.add(
                    sha256=part.sha256,
                    size_bytes=part.size_bytes,
                    stored_sha256=part.stored_sha256,
                    stored_size_bytes=part.stored_size_bytes,
                )
    return manifests.serialise(message)


@pytest.fixture(params=["memory", "objects"])
async def keep(request: pytest.FixtureRequest, tmp_path: Path) -> Keep:
    if request.param == "memory":
        store = MemoryStore()

        async def in_memory(manifest: Manifest) -> tuple[ManifestReader, Version]:
            version = make_version(manifest)
            async with store.begin() as tx:
                await tx.versions.add(version, manifest)
                await tx.commit()
            return MemoryManifestReader(store), version

        return in_memory
    objects = await asyncio.to_thread(DirectoryStore, tmp_path, "http://objects.test", "k" * 16)

    async def in_objects(manifest: Manifest) -> tuple[ManifestReader, Version]:
        stored = stored_form(manifest.entries, str(manifest.product_id), str(manifest.version_id))
        version = make_version(manifest)
        kept = replace(version.manifest, sha256=hashlib.sha256(stored).digest(), size_bytes=len(stored))
        await objects.put(kept.key, stored)
        return StoredManifests(objects), replace(version, manifest=kept)

    return in_objects


def manifest_of(entries: tuple[Entry, ...]) -> Manifest:
    product_id, version_id = uuid4(), uuid4()
    stored = StoredManifest(f"manifests/{product_id}/{version_id}", b"?" * 32, 1, "key-1", b"s" * 64)
    return Manifest(product_id, version_id, Platform.LINUX, entries, stored)


async def test_the_tree_comes_back_whole_and_in_its_order(keep: Keep) -> None:
    reader, version = await keep(manifest_of(tree()))
    assert tuple(await reader.entries(version)) == tree()
    assert tuple(await reader.entries(version)) == tree(), "and again"


async def test_a_tree_without_anything_is_one(keep: Keep) -> None:
    reader, version = await keep(manifest_of(()))
    assert list(await reader.entries(version)) == []


async def test_a_manifest_that_cannot_be_read_is_a_failure_that_may_pass(keep: Keep) -> None:
    reader, _ = await keep(manifest_of(tree()))
    unknown = make_version(manifest_of(tree()))
    with pytest.raises(DomainError) as failure:
        await reader.entries(unknown)
    assert (failure.value.kind, failure.value.reason) == (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")


async def test_a_kept_manifest_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    objects = await asyncio.to_thread(DirectoryStore, tmp_path, "http://objects.test", "k" * 16)
    manifest = manifest_of(tree())
    stored = stored_form(tree()[:1], str(manifest.product_id), str(manifest.version_id))
    await objects.put(manifest.stored.key, stored)
    with pytest.raises(DomainError) as failure:
        await StoredManifests(objects).entries(make_version(manifest))
    assert failure.value.reason == "SERVICE_UNAVAILABLE"
