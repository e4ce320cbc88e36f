"""What every answer carries whatever happens, what web pages may do, what the log says. Contract: sections 1, 11 and 13."""

import asyncio
import uuid

import aiohttp
import pytest

from gateway.http.cors import EXPOSED_HEADERS, METHODS, REQUEST_HEADERS, SECURITY_HEADERS
from gateway.request.limits import Limits
from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    DOWNLOADS_PATH,
    ITEM_PATH,
    ITEMS_PATH,
    ORIGIN,
    PRODUCT,
    STREAM_PATH,
    WAIT_SECONDS,
    GatewayRig,
    gateway_rig,
    not_found,
    soon,
)
from tests.component.rpc_rig import USER

# OWASP REST security cheat sheet, "Security headers".
WANTED = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "samovar",
}


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


def assert_secure(headers) -> None:
    assert {name: headers.get(name) for name in WANTED} == WANTED
    assert headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("GET", ITEM_PATH, 200, {}),
        ("HEAD", ITEM_PATH, 200, {}),
        ("GET", ITEM_PATH, 304, {"If_None_Match": "*"}),
        ("POST", f"{DOWNLOAD_PATH}/pause", 200, {}),
        ("DELETE", DOWNLOAD_PATH, 204, {}),
        ("OPTIONS", ITEM_PATH, 204, {}),
        ("GET", ITEM_PATH, 400, {"X_Request_Timeout": "never"}),
        ("GET", ITEM_PATH, 401, {"token": None}),
        ("GET", "/api/v1/nothing", 404, {}),
        ("PUT", ITEM_PATH, 405, {}),
        ("GET", ITEM_PATH, 406, {"Accept": "text/html"}),
        ("GET", f"{ITEMS_PATH}?search={'a' * 9000}", 414, {}),
        ("GET", f"{ITEMS_PATH}?search={'a' * 70_000}", 414, {}),
        ("GET", ITEM_PATH, 431, {"X_Weight": "a" * 17_000}),
        ("GET", STREAM_PATH, 400, {}),
        ("GET", "/healthz", 200, {}),
        ("GET", "/readyz", 200, {}),
    ],
)
async def test_every_answer_is_made_safe(rig: GatewayRig, method, path, status, headers):
    answer = await rig.call(method, path, **headers)
    assert answer.status == status
    assert_secure(answer.headers)
    assert "Cache-Control" in answer.headers or status == 204


async def test_mistakes_of_ours_and_handshakes_are_made_safe_too(rig: GatewayRig):
    rig.library.error = RuntimeError("a mistake")
    broken = await rig.call("GET", ITEM_PATH)
    assert broken.status == 500
    assert_secure(broken.headers)
    socket = await rig.connect(origin=ORIGIN)
    assert_secure(socket._response.headers)
    await socket.close()


async def test_what_is_not_http_is_answered_safely(rig: GatewayRig):
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"NONSENSE\r\n\r\n")
    answer = (await soon(reader.read())).decode()
    writer.close()
    for name, value in WANTED.items():
        assert f"{name}: {value}\r\n" in answer


async def test_no_answer_may_be_kept_by_others_than_its_reader(rig: GatewayRig):
    read = await rig.call("GET", ITEM_PATH)
    assert read.headers["Cache-Control"] == "private, no-cache"
    for answer in (
        await rig.call("POST", f"{DOWNLOAD_PATH}/pause"),
        await rig.call("GET", "/api/v1/nothing"),
        await rig.call("GET", ITEM_PATH, token=None),
    ):
        assert answer.headers["Cache-Control"] == "no-store"


# --- web pages ---


def listed(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


def test_pages_may_use_every_method_and_header_that_the_gateway_knows():
    assert {"get", "post", "put", "patch", "delete", "options"} <= listed(METHODS)
    assert listed(REQUEST_HEADERS) >= {
        "accept",
        "accept-language",
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "traceparent",
        "tracestate",
        "x-request-id",
        "x-request-timeout",
    }
    assert listed(EXPOSED_HEADERS) >= {
        "allow",
        "content-language",
        "etag",
        "idempotency-replayed",
        "location",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-request-id",
    }


async def test_credentials_are_never_allowed_and_no_origin_is_a_wildcard(rig: GatewayRig):
    for method, headers in (
        ("OPTIONS", {"Access_Control_Request_Method": "GET"}),
        ("GET", {}),
        ("GET", {"token": None}),
    ):
        for origin in (ORIGIN, "null", "https://store.example.org.evil.example", "http://store.example.org", ""):
            answer = await rig.call(method, ITEM_PATH, Origin=origin, **headers)
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert answer.headers.get("Access-Control-Allow-Origin") == (ORIGIN if origin == ORIGIN else None)
            assert "Origin" in answer.headers["Vary"]


async def test_pages_may_read_errors_too(rig: GatewayRig):
    rig.library.error = not_found()
    answer = await rig.call("GET", ITEM_PATH, Origin=ORIGIN)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (404, ORIGIN)
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


# --- the access log ---


async def test_each_request_has_one_line_that_tells_all_that_may_be_told(rig: GatewayRig):
    body = {"data": {"type": "downloadRequest", "attributes": {"product_id": PRODUCT}}}
    answer = await rig.call("POST", DOWNLOADS_PATH, body=body, Idempotency_Key="secret-key", X_Request_ID="mine")
    (line,) = rig.access_lines()
    told = {
        "method": "POST",
        "path": DOWNLOADS_PATH,
        "route": DOWNLOADS_PATH,
        "query": "",
        "status": 202,
        "request_id": "mine",
        "client_ip": "127.0.0.0/24",
        "response_bytes": int(answer.headers["Content-Length"]),
        "service": "gateway",
        "level": "INFO",
    }
    assert {name: line.get(name) for name in told} == told
    assert line["duration_ms"] > 0
    assert len(line["trace_id"]) == 32
    assert line["user"] != USER
    text = str(line)
    assert "secret-key" not in text
    assert PRODUCT not in text


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ({"token": None}, 401),
        ({"X_Request_Timeout": "x"}, 400),
        ({"If_None_Match": "*"}, 304),
        ({"Accept": "text/html"}, 406),
    ],
)
async def test_refused_requests_are_logged_like_others(rig: GatewayRig, call, status):
    await rig.call("GET", ITEM_PATH, **call)
    assert [line["status"] for line in rig.access_lines()] == [status]


async def test_a_client_that_leaves_is_logged_with_the_answer_it_did_not_take():
    async with gateway_rig(limits=Limits()) as rig:
        rig.library.hangs = asyncio.Event()
        asking = asyncio.create_task(rig.call("GET", ITEM_PATH, X_Request_ID=str(uuid.uuid4())))
        async with asyncio.timeout(WAIT_SECONDS):
            while not rig.library.requests:
                await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        rig.library.hangs.set()
        async with asyncio.timeout(WAIT_SECONDS):
            while not rig.access_lines():
                await asyncio.sleep(0.01)
        assert len(rig.access_lines()) == 1


def test_the_security_headers_are_those_wanted():
    assert SECURITY_HEADERS == WANTED
    assert aiohttp.hdrs.SERVER in SECURITY_HEADERS
