"""sandbox.peers.object_http over a real socket: what RFC 9110 asks of ranges and conditions, and what bad links are answered."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aiohttp import web
from yarl import URL

from chassis.http.server import serve_app
from chassis.objects.directory_store import DirectoryStore
from chassis.objects.signed_urls import sign
from sandbox.peers.object_http import add_object_routes

KEY = "key-of-the-test"
CONTENT = bytes(range(256)) * 8192  # 2 MiB
OBJECT = "content/p/chunks/ab/abcd"


@dataclass(frozen=True)
class Site:
    store: DirectoryStore
    cdn: str
    http: aiohttp.ClientSession

    def link(self, key: str = OBJECT, *, seconds: float = 60, method: str = "GET", signing_key: str = KEY) -> str:
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        return sign(f"{self.cdn}/{key}", key=signing_key, expires_at=expires_at, method=method)


@asynccontextmanager
async def open_site(folder: Path) -> AsyncIterator[Site]:
    app = web.Application()
    store = DirectoryStore(folder, "http://unused.invalid", KEY)
    add_object_routes(app, "/cdn", store, KEY, uploads=False)
    add_object_routes(app, "/objects", store, KEY, uploads=True)
    async with (
        serve_app(app, host="127.0.0.1", port=0, drain_seconds=1.0) as port,
        aiohttp.ClientSession() as http,
    ):
        yield Site(store, f"http://127.0.0.1:{port}/cdn", http)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path / "objects") as site:
        await site.store.put(OBJECT, CONTENT)
        yield site


async def test_the_whole_object_with_its_tag_and_date(site: Site):
    async with site.http.get(site.link()) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["ETag"].startswith('"')
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert "Last-Modified" in answer.headers
        assert "Content-Encoding" not in answer.headers


async def test_many_answers_over_one_connection(site: Site):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        for start in range(0, 5000, 1000):
            async with http.get(site.link(), headers={"Range": f"bytes={start}-{start + 999}"}) as answer:
                assert (answer.status, await answer.read()) == (206, CONTENT[start : start + 1000])


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=1000000-", 1_000_000, len(CONTENT) - 1),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT) - 1),
        ("bytes=7-99999999", 7, len(CONTENT) - 1),
    ],
)
async def test_a_part_of_the_object(site: Site, header: str, start: int, end: int):
    async with site.http.get(site.link(), headers={"Range": header}) as answer:
        assert (answer.status, await answer.read()) == (206, CONTENT[start : end + 1])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end}/{len(CONTENT)}"
        assert answer.headers["Content-Length"] == str(end - start + 1)


@pytest.mark.parametrize("header", ["bytes=5-4", "bytes=0-1,4-5", "lines=1-2", "nonsense"])
async def test_a_range_that_means_nothing_is_ignored(site: Site, header: str):
    async with site.http.get(site.link(), headers={"Range": header}) as answer:
        assert (answer.status, len(await answer.read())) == (200, len(CONTENT))
        assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("header", [f"bytes={len(CONTENT)}-", "bytes=-0"])
async def test_a_range_behind_the_end_is_416_with_the_size(site: Site, header: str):
    async with site.http.get(site.link(), headers={"Range": header}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
        assert (await answer.json(content_type=None))["errors"][0]["code"] == "RANGE_NOT_SATISFIABLE"


async def test_an_empty_object_is_sent_and_has_no_ranges(site: Site):
    await site.store.put("empty", b"")
    async with site.http.get(site.link("empty")) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with site.http.get(site.link("empty"), headers={"Range": "bytes=0-"}) as answer:
        assert answer.status == 416


async def test_head_tells_the_same_as_get_without_the_bytes(site: Site):
    async with site.http.get(site.link()) as get, site.http.head(site.link(), headers={"Range": "bytes=0-1"}) as head:
        assert (head.status, await head.read()) == (200, b"")
        for name in ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges"):
            assert head.headers[name] == get.headers[name]


async def test_conditions_on_the_tag(site: Site):
    async with site.http.head(site.link()) as answer:
        etag = answer.headers["ETag"]
    cases = [
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"other", W/{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Match": etag}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f"W/{etag}"}, 412),
        ({"If-Range": etag, "Range": "bytes=0-1"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=0-1"}, 200),
        ({"If-Range": f"W/{etag}", "Range": "bytes=0-1"}, 200),
        ({"If-None-Match": etag, "Range": "bytes=0-1"}, 304),
    ]
    for headers, status in cases:
        async with site.http.get(site.link(), headers=headers) as answer:
            assert answer.status == status, headers


async def test_conditions_on_the_date(site: Site):
    async with site.http.head(site.link()) as answer:
        modified = answer.headers["Last-Modified"]
    old, new = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
    cases = [
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": old}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": f"Mon, 01 Jan 2020 00:00:00 -{'9' * 25}"}, 200),
        ({"If-Modified-Since": "Mon, ² Jan 2020 00:00:00 GMT"}, 200),
        ({"If-Unmodified-Since": old}, 412),
        ({"If-Unmodified-Since": new}, 200),
        ({"If-Range": modified, "Range": "bytes=0-1"}, 206),
        ({"If-Range": old, "Range": "bytes=0-1"}, 200),
        ({"If-Range": new, "Range": "bytes=0-1"}, 200),
    ]
    for headers, status in cases:
        async with site.http.get(site.link(), headers=headers) as answer:
            assert answer.status == status, headers


async def test_a_replaced_object_has_another_tag(site: Site):
    async with site.http.head(site.link()) as answer:
        etag = answer.headers["ETag"]
    await site.store.put(OBJECT, CONTENT[::-1])
    async with site.http.get(site.link(), headers={"If-Range": etag, "Range": "bytes=0-1"}) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT[::-1])


async def test_bad_links_are_403_in_the_platforms_form_and_tell_no_more(site: Site):
    links = [
        site.link().replace("/ab/", "/cd/"),
        site.link()[:-1] + ("0" if site.link()[-1] != "0" else "1"),
        site.link(seconds=-1),
        site.link(signing_key="stranger"),
        site.link(method="PUT"),
        f"{site.cdn}/{OBJECT}",
        f"{site.cdn}/{OBJECT}?expires=soon&signature=x",
        f"{site.cdn}/absent",
        f"{site.cdn}/..%2f..%2fetc%2fpasswd",
    ]
    for link in links:
        async with site.http.get(link) as answer:
            assert answer.status == 403, link
            assert answer.headers["Cache-Control"] == "no-store"
            (error,) = (await answer.json(content_type=None))["errors"]
            assert (error["status"], error["code"]) == ("403", "PERMISSION_DENIED")
            assert "Traceback" not in await answer.text()


async def test_an_absent_object_is_404_also_where_only_its_folder_is(site: Site):
    for key in ("content/absent", "content/p/chunks/ab"):
        async with site.http.get(site.link(key)) as answer:
            assert answer.status == 404
            assert (await answer.json(content_type=None))["errors"][0]["code"] == "FILE_NOT_FOUND"


@pytest.mark.parametrize("key", ["a//b", ".incoming/x", "%2e%2e/%2e%2e/etc/passwd", "a%00b", "a%5Cb"])
async def test_a_signed_link_of_what_is_no_key_is_404(site: Site, key: str):
    async with site.http.get(URL(site.link(key), encoded=True)) as answer:
        assert answer.status == 404


async def test_a_link_planted_in_the_folder_is_not_followed(site: Site, tmp_path: Path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "objects" / "planted").symlink_to(tmp_path / "secret")
    async with site.http.get(site.link("planted")) as answer:
        assert answer.status == 404


async def test_other_methods_are_not_served(site: Site):
    async with site.http.post(site.link(method="POST"), data=b"1") as answer:
        assert answer.status == 405
    async with site.http.put(site.link("new", method="PUT"), data=b"1") as answer:
        assert answer.status == 405


async def test_a_link_for_put_that_is_bound_to_no_bytes_is_refused(site: Site):
    url = sign(
        site.cdn.replace("/cdn", "/objects/new"), key=KEY, expires_at=datetime.now(UTC) + timedelta(60), method="PUT"
    )
    async with site.http.put(url, data=b"1") as answer:
        assert answer.status == 403
    assert await site.store.head("new") is None


async def test_an_upload_that_breaks_off_leaves_nothing(site: Site, tmp_path: Path):
    uploads = DirectoryStore(tmp_path / "objects", site.cdn.replace("/cdn", "/objects"), KEY)
    upload = uploads.presign_put(
        "new", size_bytes=10, sha256=hashlib.sha256(b"0123456789").hexdigest(), expires_in_seconds=60
    )
    host, port = site.cdn.split("/")[2].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    path = upload.url.split(f":{port}", 1)[1]
    headers = "".join(f"{name}: {value}\r\n" for name, value in upload.headers.items())
    writer.write(f"PUT {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n01234".encode())
    await writer.drain()
    incoming = tmp_path / "objects" / ".incoming"
    async with asyncio.timeout(30):
        while not any(incoming.iterdir()):
            await asyncio.sleep(0.01)
        writer.close()
        while any(incoming.iterdir()):
            await asyncio.sleep(0.01)
    assert await site.store.head("new") is None


def test_on_uvloop_too_the_bytes_are_right(tmp_path: Path):
    async def scenario() -> None:
        async with open_site(tmp_path / "objects") as site:
            await site.store.put(OBJECT, CONTENT)
            async with site.http.get(site.link()) as answer:
                assert (answer.status, await answer.read()) == (200, CONTENT)
            async with site.http.get(site.link(), headers={"Range": "bytes=1000-1999999"}) as answer:
                assert (answer.status, await answer.read()) == (206, CONTENT[1000:2_000_000])

    uvloop.run(scenario())
