"""sandbox.peers.edge: chunks by signed link over any object store, as the CDN gives them out."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from chassis.errors import DomainError, Kind
from chassis.http.server import serve_app
from chassis.objects.directory_store import DirectoryStore
from chassis.objects.object_store import ObjectInfo
from chassis.objects.signed_urls import sign
from sandbox.peers.edge import EdgeHandlers

KEY = "links' key"
CONTENT = bytes(range(256)) * 40


class Store(DirectoryStore):
    """A store that can be away."""

    is_away = False

    async def head(self, key: str) -> ObjectInfo | None:
        if self.is_away:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=5)
        return await super().head(key)


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path, "http://127.0.0.1/objects", "objects key")
    await store.put("content/chunk", CONTENT)
    return store


@pytest.fixture
async def edge(store: Store) -> AsyncIterator[str]:
    app = web.Application()
    EdgeHandlers(store, KEY, lambda: datetime.now(UTC)).add_to(app, "/cdn")
    async with serve_app(app, host="127.0.0.1", port=0, drain_seconds=0) as port:
        yield f"http://127.0.0.1:{port}/cdn"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def signed(url: str, seconds: float = 60) -> str:
    return sign(url, key=KEY, expires_at=datetime.now(UTC) + timedelta(seconds=seconds))


async def test_a_signed_link_gives_the_whole_object(edge: str, http: aiohttp.ClientSession):
    async with http.get(signed(f"{edge}/content/chunk")) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)
        assert answer.headers["Accept-Ranges"] == "bytes"
    async with http.head(signed(f"{edge}/content/chunk")) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(CONTENT)))


@pytest.mark.parametrize(
    ("wanted", "first", "end"),
    [("bytes=0-9", 0, 10), ("bytes=500-", 500, len(CONTENT)), ("bytes=-7", -7, len(CONTENT))],
)
async def test_a_range_is_answered_with_its_part(
    edge: str, http: aiohttp.ClientSession, wanted: str, first: int, end: int
):
    async with http.get(signed(f"{edge}/content/chunk"), headers={"Range": wanted}) as answer:
        assert (answer.status, await answer.read()) == (206, CONTENT[first:end])
        assert answer.headers["Content-Range"].endswith(f"/{len(CONTENT)}")


async def test_a_range_of_another_object_than_the_client_has_is_the_whole(edge: str, http: aiohttp.ClientSession):
    headers = {"Range": "bytes=5-", "If-Range": '"another"'}
    async with http.get(signed(f"{edge}/content/chunk"), headers=headers) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)


async def test_a_range_behind_the_end_is_416(edge: str, http: aiohttp.ClientSession):
    headers = {"Range": f"bytes={len(CONTENT)}-"}
    async with http.get(signed(f"{edge}/content/chunk"), headers=headers) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


async def test_without_a_good_signature_nothing_is_said(edge: str, http: aiohttp.ClientSession):
    for url in (f"{edge}/content/chunk", signed(f"{edge}/content/chunk", -5), signed(f"{edge}/content/chunk") + "0"):
        async with http.get(url) as answer:
            assert answer.status == 403


@pytest.mark.parametrize("key", ["content/none", ".hidden"])
async def test_what_is_not_there_is_404(edge: str, http: aiohttp.ClientSession, key: str):
    async with http.get(signed(f"{edge}/{key}")) as answer:
        assert answer.status == 404


async def test_a_store_that_is_away_is_503_with_a_time_to_come_again(
    edge: str, store: Store, http: aiohttp.ClientSession
):
    store.is_away = True
    async with http.get(signed(f"{edge}/content/chunk")) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (await answer.json(content_type=None))["errors"][0]["code"] == "SERVICE_UNAVAILABLE"
