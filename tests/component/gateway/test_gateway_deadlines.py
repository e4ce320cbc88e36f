"""X-Request-Timeout through the gateway. Contract: section 1."""

import asyncio

import pytest

from tests.component.gateway.gateway_rig import DOWNLOADS_PATH, ITEM_PATH, PRODUCT, GatewayRig, gateway_rig, soon

TIMEOUT = "X-Request-Timeout"


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


async def test_a_request_ends_when_the_client_wants_it_to(rig: GatewayRig):
    rig.library.hangs = asyncio.Event()
    while not rig.library.remaining_seconds:  # on a busy machine its time may be over before it is there
        answer = await soon(rig.call("GET", ITEM_PATH, X_Request_Timeout="0.3"))
        assert (answer.status, answer.codes) == (504, ["DEADLINE_EXCEEDED"])
    assert rig.library.remaining_seconds[-1] <= 0.3


async def test_more_than_the_gateways_own_deadline_is_not_to_be_had():
    async with gateway_rig(deadline_seconds=0.3) as rig:
        rig.library.hangs = asyncio.Event()
        answer = await soon(rig.call("GET", ITEM_PATH, X_Request_Timeout="3600"))
        assert (answer.status, answer.codes) == (504, ["DEADLINE_EXCEEDED"])


START = {"data": {"type": "downloadRequest", "attributes": {"product_id": PRODUCT}}}


async def test_what_starts_something_has_a_deadline_of_its_own():
    async with gateway_rig(deadline_seconds=10.0, start_deadline_seconds=40.0) as rig:
        assert (await rig.call("POST", DOWNLOADS_PATH, body=START)).status == 202
        assert 10.0 < rig.download.remaining_seconds[-1] <= 40.0
        assert (await rig.call("GET", ITEM_PATH)).status == 200
        assert rig.library.remaining_seconds[-1] <= 10.0


async def test_a_start_that_does_not_end_is_given_up_at_its_deadline():
    async with gateway_rig(start_deadline_seconds=0.3) as rig:
        rig.download.hangs = asyncio.Event()
        answer = await soon(rig.call("POST", DOWNLOADS_PATH, body=START))
        assert (answer.status, answer.codes) == (504, ["DEADLINE_EXCEEDED"])


async def test_a_body_that_does_not_come_in_time_is_not_waited_for(rig: GatewayRig):
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"PATCH " + ITEM_PATH.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\nX-Request-Timeout: 0.3\r\nAuthorization: Bearer " + rig.token.encode() + b"\r\n\r\n{"
    )
    status_line = await soon(reader.readline())
    assert status_line.split(b" ")[1] == b"504"
    writer.close()
    assert rig.library.requests == []


@pytest.mark.parametrize("seconds", ["20", "20.5", "9.999", "86400", "000000020"])
async def test_seconds_may_have_decimals(rig: GatewayRig, seconds):
    assert (await rig.call("GET", ITEM_PATH, X_Request_Timeout=seconds)).status == 200


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "", "1e3", "nan", "inf", "0.0", "5s", "1,5", "٣", "1" * 40])
async def test_what_is_no_number_of_seconds_is_refused_by_the_headers_name(rig: GatewayRig, seconds):
    answer = await rig.call("GET", ITEM_PATH, X_Request_Timeout=seconds, Accept_Language="en")
    assert (answer.status, answer.codes) == (400, ["INVALID_ARGUMENT"])
    assert answer.sources == [{"header": TIMEOUT}]
    assert "number of seconds" in answer.errors[0]["detail"]
    assert rig.library.requests == []


async def test_a_bad_timeout_is_told_in_russian_too(rig: GatewayRig):
    answer = await rig.call("GET", ITEM_PATH, X_Request_Timeout="x")
    assert "числом секунд" in answer.errors[0]["detail"]
