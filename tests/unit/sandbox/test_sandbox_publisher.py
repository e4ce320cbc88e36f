"""The publisher against a directory store: what comes back out is what went in, and what cannot be delivered is refused."""

import asyncio
import hashlib
import os
import random
import shutil
import socket
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.objects.directory_store import DirectoryStore
from depot import chunks, manifest, signing
from sandbox.ids import product_id_of, version_id_of
from sandbox.publishing import packing
from sandbox.publishing.publisher import CHUNKS_IN_MEMORY, Published, Signer, Version, publish_tree
from sandbox.publishing.tree import PublishRefused, scan

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer("studio", KEY)
TRUSTED = {"studio": signing.public_key(KEY)}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PRODUCT = product_id_of("game")
LARGE_BYTES = 10_000_000


class WatchedStore(DirectoryStore):
    """A directory store that counts, and lets a test act in the middle of a publication."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "http://127.0.0.1/objects", "key")
        self.puts: list[str] = []
        self.before_put: Callable[[str], object] = lambda _: None

    async def put(self, key: str, content: bytes | Path) -> None:
        self.before_put(key)
        self.puts.append(key)
        await super().put(key, content)


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    return WatchedStore(tmp_path / "store")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


def version(name: str = "1.0", product_id: UUID = PRODUCT) -> Version:
    return Version(product_id, version_id_of(product_id, name, "linux"), content.PLATFORM_LINUX)


async def publish(
    tree: Path, store: WatchedStore, name: str = "1.0", *, now: datetime = NOW, level: int = 3
) -> Published:
    return await publish_tree(tree, version(name), store=store, signer=SIGNER, now=lambda: now, level=level)


async def read_manifest(store: DirectoryStore, name: str = "1.0") -> content.Manifest:
    """As Download reads it: the signature first, then every rule."""
    one = version(name)
    stored = await store.get(chunks.manifest_key(one.product_id, one.version_id))
    signature = await store.get(chunks.signature_key(one.product_id, one.version_id))
    signing.verify(stored, content.ManifestSignature.FromString(signature), TRUSTED)
    found = manifest.parse(stored)
    manifest.check(found, product_id=one.product_id, version_id=one.version_id, platform=one.platform)
    return found


async def restored(store: DirectoryStore, name: str = "1.0") -> Mapping[str, object]:
    """The tree as an installer would make it: bytes and mode of files, target of links, None for folders."""
    result: dict[str, object] = {}
    for entry in (await read_manifest(store, name)).entries:
        if entry.type == content.ENTRY_TYPE_FILE:
            data = b"".join([await restored_chunk(store, chunk) for chunk in entry.chunks])
            assert hashlib.sha256(data).digest() == entry.sha256
            result[entry.path] = (data, entry.mode)
        else:
            result[entry.path] = entry.link_target or None
    return result


async def restored_chunk(store: DirectoryStore, chunk: content.Chunk) -> bytes:
    stored = await store.get(chunks.chunk_key(PRODUCT, chunk.sha256))
    assert len(stored) == chunk.stored_size_bytes
    return chunks.decompress(
        stored, size_bytes=chunk.size_bytes, sha256=chunk.sha256, stored_sha256=chunk.stored_sha256
    )


def random_bytes(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


async def test_everything_that_is_good_comes_back_as_it_was(tree: Path, store: WatchedStore) -> None:
    large = random_bytes(LARGE_BYTES)
    (tree / "bin").mkdir()
    (tree / "bin" / "game").write_bytes(large)
    (tree / "bin" / "game").chmod(0o700)
    (tree / "Данные").mkdir()
    (tree / "Данные" / "уровень ①.pak").write_bytes(b"level")
    (tree / "empty folder" / "nested").mkdir(parents=True)
    (tree / "empty.txt").write_bytes(b"")
    (tree / "link").symlink_to("bin/game")
    (tree / "bin" / "up").symlink_to("../Данные/")
    (tree / "dangling").symlink_to("not/there")
    (tree / "read-only").write_bytes(b"x")
    (tree / "read-only").chmod(0o444)

    published = await publish(tree, store)

    assert await restored(store) == {
        "bin": None,
        "bin/game": (large, 0o755),
        "bin/up": "../Данные/",
        "dangling": "not/there",
        "empty folder": None,
        "empty folder/nested": None,
        "empty.txt": (b"", 0o644),
        "link": "bin/game",
        "read-only": (b"x", 0o644),
        "Данные": None,
        "Данные/уровень ①.pak": (b"level", 0o644),
    }
    assert (published.files, published.entries) == (4, 11)
    assert published.total_size_bytes == LARGE_BYTES + 6
    assert published.new_chunks == published.chunks > 5
    assert not published.was_published


async def test_an_empty_folder_can_be_published(tree: Path, store: WatchedStore) -> None:
    published = await publish(tree, store)
    assert published.entries == published.chunks == published.total_size_bytes == 0
    assert await restored(store) == {}


async def test_chunks_of_a_large_file_keep_their_limits(tree: Path, store: WatchedStore) -> None:
    (tree / "large").write_bytes(random_bytes(LARGE_BYTES))
    await publish(tree, store)
    (entry,) = (await read_manifest(store)).entries
    sizes = [chunk.size_bytes for chunk in entry.chunks]
    assert all(packing.MIN_CHUNK_BYTES <= size <= packing.MAX_CHUNK_BYTES for size in sizes[:-1])
    assert 500_000 < LARGE_BYTES / len(sizes) < 2_000_000


@pytest.mark.parametrize("extra", [-1, 0, 1], ids=["below", "at", "above"])
async def test_files_around_the_smallest_chunk_come_back(tree: Path, store: WatchedStore, extra: int) -> None:
    data = random_bytes(packing.MIN_CHUNK_BYTES + extra)
    (tree / "file").write_bytes(data)
    await publish(tree, store)
    assert await restored(store) == {"file": (data, 0o644)}


@settings(max_examples=20, deadline=None)
@given(size_bytes=st.integers(1, 3_000_000), seed=st.integers(0, 3), repeats=st.integers(1, 3))
def test_the_pieces_of_a_large_file_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, size_bytes: int, seed: int, repeats: int
) -> None:
    """And cutting depends on nothing but the bytes: the same file gives the same pieces."""
    folder = tmp_path_factory.mktemp("cut")
    data = random_bytes(size_bytes, seed) * repeats
    (folder / "file").write_bytes(data)
    (node,) = scan(folder)
    cuts = []
    for _ in range(2):
        file = packing.LargeFile(folder, node)
        cuts.append(list(iter(file.next_piece, None)))
        assert file.sha256 == hashlib.sha256(data).digest()
        file.close()
    assert b"".join(cuts[0]) == data
    assert cuts[0] == cuts[1]


async def test_publishing_twice_changes_nothing(tree: Path, store: WatchedStore) -> None:
    (tree / "large").write_bytes(random_bytes(LARGE_BYTES))
    (tree / "small").write_bytes(b"small")
    first = await publish(tree, store)
    manifest_before = await read_manifest(store)
    store.puts.clear()
    second = await publish(tree, store, now=datetime(2027, 1, 1, tzinfo=UTC))
    assert second.was_published
    assert (second.new_chunks, second.new_bytes) == (0, 0)
    assert second.manifest_sha256 == first.manifest_sha256
    assert await read_manifest(store) == manifest_before
    assert [key for key in store.puts if "/chunks/" in key] == []


async def test_another_compression_level_reuses_what_is_stored(tree: Path, store: WatchedStore) -> None:
    (tree / "file").write_bytes(b"compressible " * 100_000)
    await publish(tree, store, level=3)
    again = await publish(tree, store, level=9)
    assert again.was_published
    assert again.new_chunks == 0


async def test_a_version_never_changes_its_content(tree: Path, store: WatchedStore) -> None:
    (tree / "file").write_bytes(b"one")
    await publish(tree, store)
    (tree / "file").write_bytes(b"two")
    with pytest.raises(PublishRefused, match="published already, with other content"):
        await publish(tree, store)
    assert await restored(store) == {"file": (b"one", 0o644)}


async def test_the_next_version_stores_only_what_changed(tree: Path, store: WatchedStore) -> None:
    data = random_bytes(LARGE_BYTES)
    (tree / "large").write_bytes(data)
    first = await publish(tree, store)
    (tree / "large").write_bytes(data[:5_000_000] + b"inserted" + data[5_000_000:])
    second = await publish(tree, store, "1.1")
    assert second.new_chunks <= 3 < first.chunks
    assert await restored(store, "1.1") == {"large": (data[:5_000_000] + b"inserted" + data[5_000_000:], 0o644)}
    assert await restored(store, "1.0") == {"large": (data, 0o644)}


async def test_the_same_bytes_are_stored_once(tree: Path, store: WatchedStore) -> None:
    for number in range(300):
        (tree / f"copy {number}").write_bytes(b"the same")
    (tree / "zeros").write_bytes(bytes(20_000_000))
    published = await publish(tree, store)
    stored = [key for key in store.puts if "/chunks/" in key]
    assert len(stored) == len(set(stored)) == published.chunks <= 3
    assert len(await restored(store)) == 301


async def test_a_damaged_chunk_is_stored_again(tree: Path, store: WatchedStore) -> None:
    (tree / "file").write_bytes(b"data")
    await publish(tree, store)
    await store.put(chunks.chunk_key(PRODUCT, hashlib.sha256(b"data").digest()), b"damaged")
    published = await publish(tree, store)
    assert published.new_chunks == 1
    assert await restored(store) == {"file": (b"data", 0o644)}


async def test_a_publication_that_broke_off_is_completed(tree: Path, store: WatchedStore) -> None:
    (tree / "file").write_bytes(b"data")

    def fail_at_signature(key: str) -> None:
        if key.endswith(".sig"):
            raise OSError("disk full")

    store.before_put = fail_at_signature
    with pytest.raises(OSError, match="disk full"):
        await publish(tree, store)
    store.before_put = lambda _: None
    await publish(tree, store)
    assert await restored(store) == {"file": (b"data", 0o644)}


async def test_progress_adds_up(tree: Path, store: WatchedStore) -> None:
    (tree / "large").write_bytes(random_bytes(3_000_000))
    (tree / "small").write_bytes(b"small")
    done: list[int] = []
    await publish_tree(tree, version(), store=store, signer=SIGNER, now=lambda: NOW, progress=done.append)
    assert sum(done) == 3_000_005


def add_fifo(tree: Path) -> None:
    os.mkfifo(tree / "bad")


def add_socket(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tree)  # a socket's path is limited to some 100 bytes
        try:
            listener.bind("bad")
        finally:
            os.chdir(here)


@pytest.mark.parametrize(
    ("add", "text"),
    [
        (lambda tree: (tree / "bad").symlink_to("/etc/passwd"), "'bad' is a link to the absolute path '/etc/passwd'"),
        (lambda tree: (tree / "bad").symlink_to("../outside"), "'bad' is a link that leaves the tree: '../outside'"),
        (lambda tree: (tree / "bad").symlink_to("good/../../x"), "'bad' is a link that leaves the tree"),
        (lambda tree: (tree / "GOOD").mkdir(), "is the same name as 'GOOD'"),
        (lambda tree: (tree / "bad:name").touch(), "'bad:name' has a colon"),
        (lambda tree: (tree / "bad\\name").touch(), r"'bad\name' has a backslash"),
        (lambda tree: (tree / "bad\nname").touch(), r"'bad\nname' has a control character"),
        (lambda tree: (tree / "bad.").touch(), "'bad.' has a name that ends in a dot or a space"),
        (lambda tree: (tree / "Aux.txt").touch(), "'Aux.txt' has a name that Windows keeps for a device"),
        (lambda tree: Path(os.fsdecode(os.fsencode(tree) + b"/bad\xff")).touch(), r"'bad\udcff' is not UTF-8"),
        (lambda tree: (tree / "bad").symlink_to(os.fsdecode(b"\xff")), "is not UTF-8"),
        (add_fifo, "'bad' is a named pipe"),
        (add_socket, "'bad' is a socket"),
        (lambda tree: (tree / ".samovar").mkdir(), "'.samovar' lies in .samovar, the launcher's own folder"),
        (lambda tree: (tree / ".samovar-kept-save").touch(), "'.samovar-kept-save' has a name that begins with"),
    ],
    ids=lambda value: value.replace("\n", " ")[:40] if isinstance(value, str) else "",
)
async def test_what_cannot_be_delivered_is_refused_by_name(
    tree: Path, store: WatchedStore, add: Callable[[Path], object], text: str
) -> None:
    (tree / "good").mkdir()
    add(tree)
    with pytest.raises(PublishRefused) as refused:
        await publish(tree, store)
    assert text in str(refused.value)
    assert str(refused.value).isprintable()
    assert store.puts == []


async def test_what_the_versions_system_cannot_hold_is_refused_before_anything_is_stored(
    tree: Path, store: WatchedStore
) -> None:
    (tree / "why?").touch()
    with pytest.raises(PublishRefused, match=r"'why\?' has a character in it that Windows refuses"):
        await publish_tree(
            tree,
            replace(version("1.0"), platform=content.PLATFORM_WINDOWS),
            store=store,
            signer=SIGNER,
            now=lambda: NOW,
        )
    assert store.puts == []


def test_device_files_are_refused() -> None:
    with pytest.raises(PublishRefused, match=r"is a (device file|socket|named pipe)"):
        scan(Path("/dev"))


@pytest.mark.parametrize("name", ["missing", "file"])
def test_only_a_folder_can_be_published(tree: Path, name: str) -> None:
    (tree / "file").touch()
    with pytest.raises(PublishRefused, match=f"{name}' is not a folder"):
        scan(tree / name)


def test_the_folder_itself_may_be_a_link(tree: Path, tmp_path: Path) -> None:
    (tree / "file").touch()
    (tmp_path / "link").symlink_to(tree)
    assert [node.path for node in scan(tmp_path / "link")] == ["file"]


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def replaced(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def became_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def became_a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize("change", [appended, touched, replaced, Path.unlink, became_a_pipe, became_a_link])
async def test_a_small_file_that_changes_before_it_is_read_is_refused(
    tree: Path, change: Callable[[Path], object]
) -> None:
    (tree / "file").write_bytes(b"data")
    nodes = scan(tree)
    change(tree / "file")
    with pytest.raises(PublishRefused, match="'file'"):
        packing.read_small(tree, nodes)


@pytest.mark.parametrize("change", [appended, touched, replaced, Path.unlink])
async def test_a_large_file_that_changes_while_it_is_read_is_refused(
    tree: Path, store: WatchedStore, change: Callable[[Path], object]
) -> None:
    (tree / "file").write_bytes(random_bytes(LARGE_BYTES))
    pending = [change]

    def act(_key: str) -> None:
        if pending:
            pending.pop()(tree / "file")

    store.before_put = act
    with pytest.raises(PublishRefused, match="'file' changed"):
        await publish(tree, store)
    assert not any("/manifests/" in key for key in store.puts)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda tree: (tree / "b new").touch(), "b new"),
        (lambda tree: (tree / "folder").rmdir(), "folder"),
        (lambda tree: (tree / "file").chmod(0o755), "file"),
        (lambda tree: (tree / "file").write_bytes(b"DATA"), "file"),
    ],
    ids=["came", "went", "mode", "content"],
)
async def test_a_folder_that_changes_meanwhile_is_refused(
    tree: Path, store: WatchedStore, change: Callable[[Path], object], name: str
) -> None:
    (tree / "file").write_bytes(b"data")
    (tree / "folder").mkdir()
    pending = [change]

    def act(_key: str) -> None:
        if pending:
            pending.pop()(tree)

    store.before_put = act
    with pytest.raises(PublishRefused, match=f"'{name}' changed"):
        await publish(tree, store)
    assert not any("/manifests/" in key for key in store.puts)


async def test_a_cancelled_publication_ends(tree: Path, store: WatchedStore) -> None:
    (tree / "file").write_bytes(random_bytes(LARGE_BYTES))
    started = asyncio.Event()
    store.before_put = lambda _: started.set()
    task = asyncio.create_task(publish(tree, store))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_memory_does_not_grow_with_the_size_of_a_file(tree: Path, store: WatchedStore) -> None:
    size_bytes = 256_000_000
    with (tree / "sparse").open("wb") as file:
        file.truncate(size_bytes)
    tracemalloc.start()
    try:
        await publish(tree, store)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < (CHUNKS_IN_MEMORY + 4) * packing.MAX_CHUNK_BYTES
    (entry,) = (await read_manifest(store)).entries
    assert entry.size_bytes == size_bytes


async def test_thousands_of_tiny_files_take_seconds(tree: Path, store: WatchedStore) -> None:
    count = 5_000
    for folder in range(50):
        (tree / f"{folder}").mkdir()
    for number in range(count):
        (tree / f"{number % 50}" / f"file {number}").write_bytes(b"%d" % (number % 500))
    started = time.process_time()
    published = await publish(tree, store)
    assert (published.files, published.chunks) == (count, 500)
    assert time.process_time() - started < 20
    entries = (await read_manifest(store)).entries
    assert [entry.path for entry in entries] == sorted(entry.path for entry in entries)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_different_files_come_through(tree: Path, store: WatchedStore) -> None:
    for folder in range(100):
        (tree / f"{folder}").mkdir()
    for number in range(100_000):
        (tree / f"{number % 100}" / f"file {number}").write_bytes(b"%d" % number)
    published = await publish(tree, store)
    assert (published.files, published.new_chunks) == (100_000, 100_000)
    # Left to pytest, so many files would be removed in the middle of some later run.
    shutil.rmtree(tree.parent)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_file_of_more_than_4_gib_comes_through(tree: Path, store: WatchedStore) -> None:
    size_bytes = (4 << 30) + 12_345
    with (tree / "huge").open("wb") as file:
        file.truncate(size_bytes)
        file.seek(4 << 30)
        file.write(b"beyond 32 bits")
    published = await publish(tree, store)
    assert published.total_size_bytes == size_bytes
    (entry,) = (await read_manifest(store)).entries
    digest = hashlib.sha256()
    parts = {chunk.sha256: await restored_chunk(store, chunk) for chunk in entry.chunks}
    for chunk in entry.chunks:
        digest.update(parts[chunk.sha256])
    with (tree / "huge").open("rb") as file:
        assert digest.digest() == hashlib.file_digest(file, "sha256").digest() == entry.sha256


def test_ids_are_stable() -> None:
    assert product_id_of("panda3d") == product_id_of("panda3d") != product_id_of("ursina")
    assert product_id_of(str(PRODUCT)) == PRODUCT
    assert version_id_of(PRODUCT, "1.0", "linux") == version_id_of(PRODUCT, "1.0", "linux")
    assert len({version_id_of(PRODUCT, name, where) for name in ("1.0", "1.1") for where in ("linux", "windows")}) == 4
