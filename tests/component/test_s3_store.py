"""What chassis.objects.s3_store and chassis.objects.s3_bucket promise beyond the port: versions, large files, and what an
outage looks like.
"""

import asyncio
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from adapters import adapters, settings_of

from chassis.errors import DomainError
from chassis.objects.s3_bucket import make_bucket, remove_bucket
from chassis.objects.s3_store import PART_BYTES, S3Location, S3Store, open_s3_store, s3_client


@pytest.fixture(params=adapters(__file__))
async def location(request: pytest.FixtureRequest) -> AsyncIterator[S3Location]:
    settings = settings_of(request.param)
    location = S3Location(
        endpoint=settings["S3_ENDPOINT"],
        access_key=settings["S3_ACCESS_KEY_ID"],
        secret_key=settings["S3_SECRET_ACCESS_KEY"],
        region=settings.get("S3_REGION", "us-east-1"),
        bucket=f"samovar-test-{uuid.uuid4().hex[:12]}",
        use_ssl=settings.get("S3_USE_SSL", "true") == "true",
    )
    assert await asyncio.to_thread(make_bucket, location)
    yield location
    await asyncio.to_thread(remove_bucket, location)


@pytest.fixture
async def store(location: S3Location) -> AsyncIterator[S3Store]:
    async with open_s3_store(location) as store:
        yield store


async def test_a_bucket_is_made_once_and_keeps_old_versions(store: S3Store, location: S3Location):
    assert not await asyncio.to_thread(make_bucket, location)
    await store.put("saves/1", b"first")
    await store.put("saves/1", b"second")
    await store.delete("saves/1")

    def versions() -> list[bytes]:
        with s3_client(location) as client:
            found = client.list_objects(bucket_name=location.bucket, prefix="saves/1", include_version=True)
            kept = [one.version_id for one in found if not one.is_delete_marker]
            return sorted(
                client.get_object(bucket_name=location.bucket, object_name="saves/1", version_id=version).data
                for version in kept
            )

    assert await store.head("saves/1") is None
    assert await asyncio.to_thread(versions) == [b"first", b"second"]


async def test_a_bucket_lets_old_versions_and_unfinished_uploads_expire(location: S3Location):
    def rules() -> dict[str, int]:
        with s3_client(location) as client:
            found = client.get_bucket_lifecycle(bucket_name=location.bucket)
        assert found is not None
        expiring: dict[str, int] = {}
        for rule in found.rules:
            assert rule.status == "Enabled"
            if rule.noncurrent_version_expiration is not None:
                expiring["old versions"] = int(rule.noncurrent_version_expiration.noncurrent_days or 0)
            if rule.abort_incomplete_multipart_upload is not None:
                expiring["unfinished uploads"] = int(rule.abort_incomplete_multipart_upload.days_after_initiation or 0)
        return expiring

    assert await asyncio.to_thread(rules) == {"old versions": 30, "unfinished uploads": 1}


async def test_a_large_file_goes_up_in_parts_and_comes_back_whole(store: S3Store, tmp_path: Path):
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * (PART_BYTES * 5 // 2 // 256))
    await store.put("content/large", source)
    found = await store.head("content/large")
    assert found is not None
    assert found.size_bytes == source.stat().st_size
    assert hashlib.sha256(await store.get("content/large")).digest() == hashlib.sha256(source.read_bytes()).digest()


async def test_a_large_presigned_put_is_bound_to_its_bytes_too(store: S3Store):
    content = bytes(range(256)) * (20 << 12)
    upload = store.presign_put(
        "saves/large",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        expires_in_seconds=60,
    )
    other = content[:-1] + b"?"
    async with aiohttp.ClientSession() as http:
        async with http.put(upload.url, data=io.BytesIO(other), headers=upload.headers) as answer:
            assert answer.status == 400
        assert await store.head("saves/large") is None
        async with http.put(upload.url, data=io.BytesIO(content), headers=upload.headers) as answer:
            assert answer.status == 200
    assert await store.get("saves/large") == content


async def test_of_two_uploads_at_once_one_wins(store: S3Store):
    content = b"x" * 100_000
    upload = store.presign_put(
        "saves/1", size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), expires_in_seconds=60
    )
    async with aiohttp.ClientSession() as http:

        async def put() -> int:
            async with http.put(upload.url, data=content, headers=upload.headers) as answer:
                return answer.status

        statuses = await asyncio.gather(*[put() for _ in range(4)])
    assert await store.get("saves/1") == content
    assert statuses.count(200) >= 1
    assert set(statuses) <= {200, 409, 412}


async def test_the_public_endpoint_stands_in_the_urls(location: S3Location):
    async with open_s3_store(replace(location, public_endpoint="cdn.example:444", use_ssl=True)) as store:
        assert store.presign_get("a", expires_in_seconds=60).startswith("https://cdn.example:444/")


@pytest.mark.parametrize("broken", ["endpoint", "bucket", "secret_key"])
async def test_a_store_that_cannot_be_used_is_unavailable(
    location: S3Location, broken: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("chassis.objects.s3_store.BACKOFF_SECONDS", 0.01)
    wrong = {"endpoint": "127.0.0.1:1", "bucket": f"samovar-none-{uuid.uuid4().hex[:8]}", "secret_key": "wrong"}
    async with open_s3_store(replace(location, **{broken: wrong[broken]})) as store:
        for call in (store.ping(), store.put("a", b"1"), store.get("a")):
            with pytest.raises(DomainError) as caught:
                await call
            assert caught.value.reason == "SERVICE_UNAVAILABLE", broken
