"""Addresses and headers at the edges of what HTTP allows."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.http.addresses import UNREADABLE, add_address, parameters_of, placeholders
from tests.component.gateway.gateway_rig import ITEM, ITEM_PATH, ITEMS_PATH, STREAM_PATH, GatewayRig, gateway_rig

TEMPLATE = "/api/v1/shelves/{shelf}/parcels/{parcel}"


@pytest.fixture
async def rig() -> AsyncIterator[GatewayRig]:
    async with gateway_rig() as rig:
        yield rig


async def parameters(path: str) -> dict[str, str] | None:
    """What a handler at TEMPLATE gets of an address as it is sent, byte for byte; None for 404."""
    seen: list[dict[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(parameters_of(request, placeholders(TEMPLATE)))
        return web.Response()

    app = web.Application()
    add_address(app, TEMPLATE, {"GET": handle})
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()
    finally:
        await runner.cleanup()
    return seen[0] if seen else None


@pytest.mark.parametrize(
    ("segment", "value"),
    [
        ("a%7Bb%7D", "a{b}"),
        ("a{b}", "a{b}"),
        ("%7B%7D", "{}"),
        ("a%2Fb", "a/b"),
        (".", "."),
        ("%2E%2e", ".."),
        ("%25ff", "%ff"),
        ("%D0%B6", "ж"),
        ("a+b", "a+b"),
        ("a:b", "a:b"),
        ("%ff", UNREADABLE),
        ("%C0%AF", UNREADABLE),
        ("%ED%A0%80", UNREADABLE),
        ("a%zz", UNREADABLE),
        ("a%", UNREADABLE),
    ],
)
async def test_a_segment_is_any_percent_encoded_text(segment: str, value: str) -> None:
    assert await parameters(f"/api/v1/shelves/one/parcels/{segment}") == {"shelf": "one", "parcel": value}
    assert await parameters(f"/api/v1/shelves/{segment}/parcels/one") == {"shelf": value, "parcel": "one"}


async def test_an_empty_segment_is_no_address() -> None:
    assert await parameters("/api/v1/shelves//parcels/one") is None
    assert await parameters("/api/v1/shelves/one/parcels/") is None


async def test_what_is_no_text_is_refused_by_its_parameter_and_reaches_nobody(rig: GatewayRig) -> None:
    answer = await rig.call("GET", f"{ITEMS_PATH}/%ff")
    assert (answer.status, answer.codes) == (400, ["VALIDATION_ERROR"])
    assert answer.sources == [{"parameter": "library_item_id"}]
    assert rig.library.requests == []
    # Braces are text; what an id must look like is the service's to say.
    answer = await rig.call("GET", f"{ITEMS_PATH}/a%7Bb%7D")
    assert (answer.status, answer.codes) == (400, ["VALIDATION_ERROR"])


async def test_the_id_of_a_document_is_that_of_the_address_letter_by_letter(rig: GatewayRig) -> None:
    document = {"data": {"type": "libraryItem", "id": ITEM.upper(), "attributes": {"is_hidden": True}}}
    answer = await rig.call("PATCH", ITEM_PATH, body=document)
    assert (answer.status, answer.codes) == (409, ["RESOURCE_TYPE_CONFLICT"])
    document["data"]["id"] = ITEM
    assert (await rig.call("PATCH", ITEM_PATH, body=document)).status == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 406),
        ("text/html, application/xml;q=0.9", 406),
        ("text/event-stream;q=0", 406),
        ("*/*", 400),
        ("", 400),
        ("text/event-stream;q=0.1, application/json", 200),
    ],
)
async def test_a_stream_in_another_form_than_it_has_is_not_acceptable(
    rig: GatewayRig, accept: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {rig.token}", **({"Accept": accept} if accept else {})}
    async with rig.http.get(f"{rig.url}{STREAM_PATH}", headers=headers, skip_auto_headers=["Accept"]) as answer:
        assert answer.status == status
        if status == 406:
            (error,) = (await answer.json(content_type=None))["errors"]
            assert (error["code"], error["source"]) == ("NOT_ACCEPTABLE", {"header": "Accept"})


async def test_a_browser_gets_the_subprotocol_that_it_offered_beside_its_token(rig: GatewayRig) -> None:
    """A browser closes a socket whose handshake chose nothing of what it offered; the token itself is never chosen."""
    socket = await rig.connect(token=None, protocols=("samovar.v1", f"bearer.{rig.token}"))
    assert socket.protocol == "samovar.v1"
    await socket.close()
    alone = await rig.connect(token=None, protocols=(f"bearer.{rig.token}",))
    assert isinstance(alone, aiohttp.ClientWebSocketResponse)
    assert alone.protocol is None
    await alone.close()


async def test_a_proxy_may_write_the_clients_port(rig: GatewayRig) -> None:
    await rig.call("GET", ITEM_PATH, X_Forwarded_For="6.6.6.6, 203.0.113.7:40123")
    assert rig.library.callers[-1].client_ip == "203.0.113.7"
