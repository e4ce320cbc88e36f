"""Entity tags and content codings through the gateway. Contract: section 1; RFC 9110."""

import asyncio
import gzip
import json

import brotli
import pytest
import zstandard
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from gateway.http.conditional import OFFLOADED_BYTES, represent
from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    ITEM,
    ITEM_PATH,
    ITEMS_PATH,
    ORIGIN,
    GatewayRig,
    gateway_rig,
    not_found,
    soon,
)


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


# --- entity tags ---


async def test_a_read_has_a_strong_tag_that_changes_with_what_it_says(rig: GatewayRig):
    first, again = await rig.call("GET", ITEMS_PATH), await rig.call("GET", ITEMS_PATH)
    assert first.headers["ETag"] == again.headers["ETag"]
    assert first.headers["ETag"].startswith('"')
    rig.library.total_items += 1
    assert (await rig.call("GET", ITEMS_PATH)).headers["ETag"] != first.headers["ETag"]


async def test_other_media_types_and_languages_are_other_representations(rig: GatewayRig):
    answers = [
        await rig.call("GET", ITEM_PATH),
        await rig.call("GET", ITEM_PATH, Accept="application/json"),
        await rig.call("GET", ITEM_PATH, Accept_Language="en"),
    ]
    assert len({answer.headers["ETag"] for answer in answers}) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', 'W/"a,b" , {}', "*"])
async def test_what_the_client_has_is_not_sent_again(rig: GatewayRig, method, form):
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    answer = await rig.call(method, ITEM_PATH, If_None_Match=form.format(tag), X_Request_ID="mine")
    assert (answer.status, answer.document) == (304, None)
    assert answer.headers["ETag"] == tag
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"].startswith("Accept, Accept-Language")
    assert answer.headers["X-Request-ID"] == "mine"
    assert "Content-Type" not in answer.headers


async def test_a_304_may_be_read_by_a_configured_origin(rig: GatewayRig):
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    answer = await rig.call("GET", ITEM_PATH, If_None_Match=tag, Origin=ORIGIN)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (304, ORIGIN)
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("value", ['"other"', "nonsense", "", 'W/"', "**"])
async def test_what_the_client_does_not_have_is_sent(rig: GatewayRig, value):
    assert (await rig.call("GET", ITEM_PATH, If_None_Match=value)).status == 200


async def test_nobody_gets_a_304_without_a_token(rig: GatewayRig):
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    assert (await rig.call("GET", ITEM_PATH, token=None, If_None_Match=tag)).status == 401
    assert (await rig.call("GET", ITEM_PATH, token=None, If_None_Match="*")).status == 401


async def test_errors_writes_and_signed_urls_have_no_tag(rig: GatewayRig):
    body = {"data": {"type": "libraryItem", "id": ITEM, "attributes": {"is_hidden": True}}}
    assert "ETag" not in (await rig.call("PATCH", ITEM_PATH, body=body)).headers
    links = {"data": {"type": "linkRequest", "attributes": {"ids": ["0" * 64]}}}
    assert "ETag" not in (await rig.call("POST", f"{DOWNLOAD_PATH}/links", body=links)).headers
    manifest = await rig.call("GET", f"{DOWNLOAD_PATH}/manifest", If_None_Match="*")
    assert manifest.status == 200
    assert "ETag" not in manifest.headers
    rig.library.error = not_found()
    missing = await rig.call("GET", ITEM_PATH, If_None_Match="*")
    assert missing.status == 404
    assert "ETag" not in missing.headers


# --- content codings ---

READERS = {
    "zstd": lambda sent: zstandard.ZstdDecompressor().decompress(sent),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}


async def raw_get(rig: GatewayRig, path: str, accept_encoding: str, method: str = "GET"):
    """Status, headers and bytes as they were sent. aiohttp's own client would decompress, or ask for codings by itself."""
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: a",
        "Connection: close",
        f"Authorization: Bearer {rig.token}",
        f"Accept-Encoding: {accept_encoding}",
    )
    writer.write("\r\n".join((*lines, "", "")).encode())
    head, _, body = (await soon(reader.read())).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status_line, *rest = head.decode().split("\r\n")
    return int(status_line.split(" ")[1]), CIMultiDict(line.split(": ", 1) for line in rest), body


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
async def test_an_answer_above_a_kibibyte_is_compressed_as_the_client_likes_it(rig: GatewayRig, coding):
    rig.library.items_on_a_page = 20
    _, plain_headers, plain = await raw_get(rig, ITEMS_PATH, "identity")
    assert "Content-Encoding" not in plain_headers
    status, headers, body = await raw_get(rig, ITEMS_PATH, f"deflate, {coding}")
    assert (status, headers["Content-Encoding"]) == (200, coding)
    assert int(headers["Content-Length"]) == len(body) < len(plain) / 4
    assert READERS[coding](body) == plain
    assert headers["Vary"].startswith("Accept, Accept-Language, Accept-Encoding")
    assert headers["Vary"] == plain_headers["Vary"]
    assert headers["ETag"] != plain_headers["ETag"]
    _, head_headers, nothing = await raw_get(rig, ITEMS_PATH, coding, "HEAD")
    assert nothing == b""
    assert head_headers["Content-Length"] == headers["Content-Length"]


async def test_the_tag_of_a_compressed_answer_is_its_own(rig: GatewayRig):
    rig.library.items_on_a_page = 20
    first = await rig.call("GET", ITEMS_PATH, Accept_Encoding="gzip")
    tag = first.headers["ETag"]
    assert (await rig.call("GET", ITEMS_PATH, Accept_Encoding="gzip", If_None_Match=tag)).status == 304
    assert (await rig.call("GET", ITEMS_PATH, Accept_Encoding="identity", If_None_Match=tag)).status == 200


async def test_big_answers_are_compressed_beside_the_loop(rig: GatewayRig):
    rig.library.items_on_a_page = 400
    _, _, plain = await raw_get(rig, ITEMS_PATH, "identity")
    assert len(plain) > OFFLOADED_BYTES
    _, _, body = await raw_get(rig, ITEMS_PATH, "br")
    assert brotli.decompress(body) == plain


async def test_small_answers_are_sent_as_they_are_but_say_that_this_may_change(rig: GatewayRig):
    _, headers, body = await raw_get(rig, ITEM_PATH, "gzip")
    assert len(body) <= 1024
    assert "Content-Encoding" not in headers
    assert "Accept-Encoding" in headers["Vary"]


async def test_errors_are_compressed_too(rig: GatewayRig):
    query = "&".join(f"unknown{number}=1" for number in range(20))
    status, headers, body = await raw_get(rig, f"{ITEMS_PATH}?{query}", "gzip")
    assert (status, headers["Content-Encoding"]) == (400, "gzip")
    assert len(json.loads(gzip.decompress(body))["errors"]) == 20


async def test_answers_with_signed_urls_are_never_compressed_by_anyone(rig: GatewayRig):
    body = {"data": {"type": "linkRequest", "attributes": {"ids": ["0" * 64] * 1}}}
    rig.download.link_url = "http://127.0.0.1/cdn/" + "a" * 4000
    answer = await rig.call("POST", f"{DOWNLOAD_PATH}/links", body=body, Accept_Encoding="gzip, br, zstd")
    assert answer.status == 200
    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) > 4000
    assert answer.headers["Cache-Control"] == "no-store, no-transform"


async def test_a_tag_that_a_service_gave_stays_as_it_is():
    async def tagged(request: web.Request) -> web.StreamResponse:
        headers = {"ETag": '"v7"', "Cache-Control": "private, no-cache"}
        return await represent(
            request, web.Response(body=b" " * 4000, content_type="application/json", headers=headers)
        )

    app = web.Application()
    app.router.add_get("/", tagged)
    app.router.add_patch("/", tagged)
    async with TestClient(TestServer(app)) as client:
        for method in ("GET", "PATCH"):
            answer = await client.request(method, "/", headers={"Accept-Encoding": "gzip"})
            assert (answer.status, answer.headers["ETag"]) == (200, '"v7"')
            assert "Content-Encoding" not in answer.headers
        assert (await client.get("/", headers={"If-None-Match": '"v7"'})).status == 304
        assert (await client.patch("/", headers={"If-None-Match": '"v7"'})).status == 200
