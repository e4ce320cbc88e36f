"""sandbox.peers.object_http.choose_range and chassis.objects.directory_store: RFC 9110 ranges, atomic writes."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.objects.directory_store import DirectoryStore
from chassis.objects.factory import open_object_store
from sandbox.peers.object_http import ByteRange, RangeNotSatisfiable, choose_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-9", ByteRange(0, 10)),
        ("bytes=5-7", ByteRange(5, 3)),
        ("bytes=5-", ByteRange(5, 5)),
        ("bytes=5-100", ByteRange(5, 5)),
        ("bytes=9-9", ByteRange(9, 1)),
        ("bytes=-3", ByteRange(7, 3)),
        ("bytes=-100", ByteRange(0, 10)),
        ("BYTES=0-1", ByteRange(0, 2)),
        ("bytes= 0-1", ByteRange(0, 2)),
    ],
)
def test_a_range_is_cut_to_the_object(header: str, expected: ByteRange):
    assert choose_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "items=0-1",
        "bytes=0-1,3-4",
        "bytes=--1",
        "0-1",
        "bytes=1-2-3",
        "bytes=٣-٤",
    ],
)
def test_what_is_no_single_byte_range_is_ignored(header: str | None):
    assert choose_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size_bytes"),
    [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0)],
)
def test_a_range_without_a_byte_is_not_satisfiable(header: str, size_bytes: int):
    with pytest.raises(RangeNotSatisfiable):
        choose_range(header, size_bytes)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_never_leaves_the_object(size_bytes: int, first: int, last: int):
    try:
        part = choose_range(f"bytes={first}-{last}", size_bytes)
    except RangeNotSatisfiable:
        assert first >= size_bytes
        return
    if part is None:
        assert last < first
    else:
        assert part.offset == first
        assert 0 < part.length <= size_bytes - first


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "objects", "http://objects.test/objects", "key")


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_a_write_that_fails_leaves_the_old_object_and_nothing_else(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await store.put("a/b", b"old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        await store.put("a/b", b"new and longer")
    assert await store.get("a/b") == b"old"
    assert files(tmp_path / "objects") == ["a/b"]


async def test_a_write_is_synced_before_it_gets_its_name(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps: list[str] = []
    _watch(monkeypatch, os, "fsync", lambda: steps.append("sync"))
    _watch(monkeypatch, Path, "replace", lambda: steps.append("rename"))
    await store.put("a", b"1")
    assert steps == ["sync", "rename", "sync"]


async def test_a_link_in_the_folder_is_no_object(store: DirectoryStore, tmp_path: Path):
    (tmp_path / "outside").write_bytes(b"secret")
    await store.put("a/b", b"1")
    (tmp_path / "objects" / "a" / "link").symlink_to(tmp_path / "outside")
    assert await store.head("a/link") is None


async def test_of_two_uploads_to_one_key_the_first_wins(store: DirectoryStore):
    first, second = store.work_file(), store.work_file()
    first.write_bytes(b"first")
    second.write_bytes(b"second")
    assert store.publish_new(first, "a/b")
    assert not store.publish_new(second, "a/b")
    assert await store.get("a/b") == b"first"
    assert not first.exists()
    assert not second.exists()


def test_urls_end_when_they_were_told_to(tmp_path: Path):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    store = DirectoryStore(tmp_path, "http://objects.test/objects/", "key", now=lambda: now)
    url = store.presign_get("content/a", expires_in_seconds=60)
    assert url.startswith(f"http://objects.test/objects/content/a?expires={int(now.timestamp()) + 60}&signature=")


def test_an_empty_signing_key_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="empty key"):
        DirectoryStore(tmp_path, "http://objects.test", "")


@pytest.mark.parametrize(
    ("backend", "settings", "named"),
    [
        ("tape", {}, "OBJECTS_BACKEND"),
        ("directory", {"base_url": "http://o", "signing_key": "k"}, "OBJECTS_DIRECTORY"),
        ("directory", {"directory": "/d", "signing_key": "k"}, "OBJECTS_BASE_URL"),
        ("directory", {"directory": "/d", "base_url": "http://o"}, "OBJECTS_SIGNING_KEY"),
    ],
)
async def test_a_store_that_is_not_configured_names_the_setting(backend: str, settings: dict[str, str], named: str):
    with pytest.raises(ValueError, match=named):
        async with open_object_store(backend, **settings):
            pass


async def test_the_directory_store_is_opened_by_its_settings(tmp_path: Path):
    async with open_object_store("directory", directory=str(tmp_path), base_url="http://o", signing_key="k") as store:
        await store.put("a", b"1")
        assert await store.get("a") == b"1"


def _watch(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, note: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def noted(*args: object) -> object:
        note()
        return original(*args)

    monkeypatch.setattr(owner, name, noted)
