"""The promises of chassis.objects.object_store, over every adapter, its URLs included: they are used by a real HTTP client."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from adapters import adapters, settings_of
from aiohttp import web

from chassis.errors import DomainError
from chassis.objects.directory_store import DirectoryStore
from chassis.objects.object_store import KeyInvalid, ObjectStore
from chassis.objects.s3_bucket import make_bucket, remove_bucket
from chassis.objects.s3_store import S3Location, open_s3_store
from sandbox.peers.object_http import add_object_routes

KEY = "signing-key-of-the-test"
CONTENT = bytes(range(256)) * 40


@pytest.fixture(params=adapters(__file__))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    opened = directory_store(tmp_path / "objects") if request.param == "directory" else s3_store()
    async with opened as store:
        yield store


@asynccontextmanager
async def directory_store(root: Path) -> AsyncIterator[ObjectStore]:
    app = web.Application()
    runner = web.AppRunner(app)
    add_object_routes(app, "/objects", DirectoryStore(root, "http://unknown.invalid", KEY), KEY, uploads=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield DirectoryStore(root, f"http://127.0.0.1:{port}/objects", KEY)
    await runner.cleanup()


@asynccontextmanager
async def s3_store() -> AsyncIterator[ObjectStore]:
    """A store in a bucket of its own, which is emptied and removed at the end."""
    settings = settings_of("s3")
    location = S3Location(
        endpoint=settings["S3_ENDPOINT"],
        access_key=settings["S3_ACCESS_KEY_ID"],
        secret_key=settings["S3_SECRET_ACCESS_KEY"],
        region=settings.get("S3_REGION", "us-east-1"),
        bucket=f"samovar-test-{uuid.uuid4().hex[:12]}",
        use_ssl=settings.get("S3_USE_SSL", "true") == "true",
    )
    await asyncio.to_thread(make_bucket, location)
    async with open_s3_store(location) as store:
        yield store
    await asyncio.to_thread(remove_bucket, location)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_an_object_is_given_back_as_it_was_put(store: ObjectStore):
    await store.put("content/a/chunk", CONTENT)
    assert await store.get("content/a/chunk") == CONTENT


async def test_an_empty_object_is_an_object(store: ObjectStore):
    await store.put("empty", b"")
    assert await store.get("empty") == b""


async def test_a_file_is_put_by_its_path_and_stays_where_it_is(store: ObjectStore, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    await store.put("from/file", source)
    assert await store.get("from/file") == CONTENT
    assert source.read_bytes() == CONTENT


async def test_a_second_put_replaces_the_object(store: ObjectStore):
    await store.put("a", b"first")
    await store.put("a", b"2nd")
    assert await store.get("a") == b"2nd"


async def test_an_absent_object_is_not_found(store: ObjectStore):
    with pytest.raises(DomainError) as caught:
        await store.get("content/absent")
    assert caught.value.reason == "FILE_NOT_FOUND"
    assert await store.head("content/absent") is None


async def test_a_prefix_of_keys_is_no_object(store: ObjectStore):
    await store.put("content/a/b", b"1")
    assert await store.head("content/a") is None
    with pytest.raises(DomainError) as caught:
        await store.get("content/a")
    assert caught.value.reason == "FILE_NOT_FOUND"


async def test_head_tells_size_and_a_tag_that_changes_with_the_object(store: ObjectStore):
    await store.put("a", b"first")
    first = await store.head("a")
    await store.put("a", b"other")
    second = await store.head("a")
    assert first is not None
    assert second is not None
    assert (first.key, first.size_bytes) == ("a", 5)
    assert first.etag != second.etag
    assert datetime.now(UTC) - first.modified_at < timedelta(minutes=5)


async def test_delete_removes_and_does_not_mind_absence(store: ObjectStore):
    await store.put("a/b", b"1")
    await store.delete("a/b")
    await store.delete("a/b")
    await store.delete("never/was")
    assert await store.head("a/b") is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        ".hidden",
        "a/.b",
        "a\\b",
        "a\0b",
        "a b",
        "a\nb",
        "a%2e",
        "ключ",
        "x" * 201,
        "a/" * 300 + "a",
    ],
)
async def test_what_is_no_key_is_refused_everywhere(store: ObjectStore, key: str):
    with pytest.raises(KeyInvalid):
        await store.put(key, b"1")
    with pytest.raises(KeyInvalid):
        await store.get(key)
    with pytest.raises(KeyInvalid):
        await store.head(key)
    with pytest.raises(KeyInvalid):
        await store.delete(key)
    with pytest.raises(KeyInvalid):
        store.presign_get(key, expires_in_seconds=60)
    with pytest.raises(KeyInvalid):
        store.presign_put(key, size_bytes=1, sha256="00" * 32, expires_in_seconds=60)


async def test_the_sha256_of_an_object_is_told(store: ObjectStore, http: aiohttp.ClientSession):
    expected = hashlib.sha256(CONTENT).hexdigest()
    await store.put("a/put", CONTENT)
    assert await store.sha256("a/put") == expected
    upload = store.presign_put("a/uploaded", size_bytes=len(CONTENT), sha256=expected, expires_in_seconds=60)
    async with http.put(upload.url, data=CONTENT, headers=upload.headers) as answer:
        assert answer.status == 200
    assert await store.sha256("a/uploaded") == expected
    assert await store.sha256("a/nothing") is None
    assert await store.sha256("a") is None


async def test_a_list_names_every_object_with_the_prefix_once(store: ObjectStore):
    keys = [f"one/{number}" for number in range(5)] + ["one/deep/er", "two/1", "three"]
    for key in keys:
        await store.put(key, key.encode())
    assert sorted([info.key async for info in store.list()]) == sorted(keys)
    found = {info.key: info.size_bytes async for info in store.list("one/")}
    assert found == {key: len(key) for key in keys if key.startswith("one/")}
    assert [info.key async for info in store.list("absent/")] == []


async def test_a_presigned_get_reads_the_object_and_parts_of_it(store: ObjectStore, http: aiohttp.ClientSession):
    await store.put("content/a/chunk", CONTENT)
    url = store.presign_get("content/a/chunk", expires_in_seconds=60)
    async with http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)
    async with http.get(url, headers={"Range": "bytes=100-199"}) as answer:
        assert (answer.status, await answer.read()) == (206, CONTENT[100:200])
        assert answer.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"


async def test_a_presigned_get_names_the_file_and_the_name_is_signed(store: ObjectStore, http: aiohttp.ClientSession):
    await store.put("saves/1", CONTENT)
    url = store.presign_get("saves/1", expires_in_seconds=60, filename='мой "save" 100%.zip')
    async with http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)
        disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="___ _save_ 100_.zip"')
    assert disposition.endswith("filename*=UTF-8''%D0%BC%D0%BE%D0%B9%20%22save%22%20100%25.zip")
    async with http.get(url.replace("100", "200")) as answer:
        assert answer.status == 403


async def test_an_expired_url_is_refused(store: ObjectStore, http: aiohttp.ClientSession):
    await store.put("a", b"1")
    async with http.get(store.presign_get("a", expires_in_seconds=-1)) as answer:
        assert answer.status == 403


async def test_a_url_for_reading_does_not_write(store: ObjectStore, http: aiohttp.ClientSession):
    url = store.presign_get("a", expires_in_seconds=60)
    async with http.put(url, data=b"1") as answer:
        assert answer.status == 403
    assert await store.head("a") is None


async def test_a_url_of_one_object_does_not_read_another(store: ObjectStore, http: aiohttp.ClientSession):
    await store.put("content/one/a", b"1")
    await store.put("content/two/a", b"2")
    url = store.presign_get("content/one/a", expires_in_seconds=60)
    async with http.get(url.replace("/one/", "/two/")) as answer:
        assert answer.status == 403


async def test_a_presigned_put_stores_exactly_the_announced_bytes(store: ObjectStore, http: aiohttp.ClientSession):
    upload = store.presign_put(
        "saves/1", size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), expires_in_seconds=60
    )
    assert upload.method == "PUT"
    async with http.put(upload.url, data=CONTENT, headers=upload.headers) as answer:
        assert answer.status == 200, await answer.text()
    assert await store.get("saves/1") == CONTENT


async def test_a_presigned_put_refuses_other_bytes(store: ObjectStore, http: aiohttp.ClientSession):
    upload = store.presign_put(
        "saves/1", size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), expires_in_seconds=60
    )
    other = CONTENT[:-1] + b"?"
    async with http.put(upload.url, data=other, headers=upload.headers) as answer:
        assert answer.status == 400
    assert await store.head("saves/1") is None


async def test_a_presigned_put_refuses_another_length(store: ObjectStore, http: aiohttp.ClientSession):
    upload = store.presign_put(
        "saves/1", size_bytes=4, sha256=hashlib.sha256(b"four").hexdigest(), expires_in_seconds=60
    )
    headers = {name: value for name, value in upload.headers.items() if name != "content-length"}
    async with http.put(upload.url, data=b"four and more", headers=headers) as answer:
        assert answer.status == 403
    assert await store.head("saves/1") is None


@pytest.mark.parametrize("missing", ["x-amz-checksum-sha256", "if-none-match"])
async def test_a_presigned_put_refuses_a_missing_header(store: ObjectStore, http: aiohttp.ClientSession, missing: str):
    upload = store.presign_put(
        "saves/1", size_bytes=4, sha256=hashlib.sha256(b"four").hexdigest(), expires_in_seconds=60
    )
    headers = {name: value for name, value in upload.headers.items() if name != missing}
    async with http.put(upload.url, data=b"four", headers=headers) as answer:
        assert answer.status == 403
    assert await store.head("saves/1") is None


async def test_a_presigned_put_works_once(store: ObjectStore, http: aiohttp.ClientSession):
    upload = store.presign_put(
        "saves/1", size_bytes=4, sha256=hashlib.sha256(b"four").hexdigest(), expires_in_seconds=60
    )
    async with http.put(upload.url, data=b"four", headers=upload.headers) as answer:
        assert answer.status == 200
    async with http.put(upload.url, data=b"four", headers=upload.headers) as answer:
        assert answer.status == 412


async def test_a_presigned_put_expires(store: ObjectStore, http: aiohttp.ClientSession):
    upload = store.presign_put(
        "saves/1", size_bytes=4, sha256=hashlib.sha256(b"four").hexdigest(), expires_in_seconds=-1
    )
    async with http.put(upload.url, data=b"four", headers=upload.headers) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("sha256", ["", "00", "zz" * 32])
async def test_an_upload_that_is_bound_to_nothing_is_not_signed(store: ObjectStore, sha256: str):
    with pytest.raises(ValueError, match="SHA-256"):
        store.presign_put("a", size_bytes=1, sha256=sha256, expires_in_seconds=60)
