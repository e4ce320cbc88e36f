"""What holds for every route there is, asked of every one; and promises of the gateway that no other file has."""

import asyncio
import re
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rest.routes import ROUTES, STREAMS

from chassis.errors import DomainError, Kind
from gateway.contract import Route
from tests.component.gateway.gateway_rig import (
    DOWNLOADS_PATH,
    ITEM_PATH,
    PRODUCT,
    WAIT_SECONDS,
    GatewayRig,
    envelope,
    gateway_rig,
    progress,
    soon,
)
from tests.component.rpc_rig import public_jwk, user_token

AWAY = DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
DOWNLOAD = {"data": {"type": "downloadRequest", "attributes": {"product_id": PRODUCT}}}


@pytest.fixture
async def rig() -> AsyncIterator[GatewayRig]:
    async with gateway_rig() as made:
        yield made


def _address(route: Route) -> str:
    return re.sub(r"\{\w+\}", str(UUID(int=7)), route.path)


def _allowed(route: Route) -> str:
    """The token of somebody who may call it."""
    return user_token(roles=[*route.access.roles])


def _methods(path: str) -> set[str]:
    found = {route.method for route in ROUTES if route.path == path}
    return found | ({"HEAD"} if "GET" in found else set()) | {"OPTIONS"}


async def test_every_address_says_which_methods_it_has_and_refuses_others(rig: GatewayRig) -> None:
    for path in {route.path: route for route in ROUTES}.values():
        methods = _methods(path.path)
        answer = await rig.call("OPTIONS", _address(path), token=None)
        assert answer.status == 204
        assert set(answer.headers["Allow"].split(", ")) == methods
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods:
            refused = await rig.call(method, _address(path))
            assert refused.status == 405, (method, path.path)
            assert set(refused.headers["Allow"].split(", ")) == methods
            assert method == "HEAD" or refused.codes == ["METHOD_NOT_ALLOWED"]


async def test_a_stream_is_for_get_alone(rig: GatewayRig) -> None:
    """HEAD would open one that nobody reads."""
    for stream in STREAMS:
        for method in ("HEAD", "POST"):
            refused = await rig.call(method, stream.path)
            assert (refused.status, refused.headers["Allow"]) == (405, "GET, OPTIONS"), (method, stream.path)
    assert rig.library.requests == rig.download.requests == []


async def test_an_address_of_words_hides_the_template_that_fits_it(rig: GatewayRig) -> None:
    """`start` is no session's id, though `/sessions/{session_id}` can be read."""
    sessions = "/api/v1/library/playtime/sessions"
    assert {f"{sessions}/start", f"{sessions}/{{session_id}}"} <= {route.path for route in ROUTES}
    refused = await rig.call("GET", f"{sessions}/start")
    assert (refused.status, refused.headers["Allow"]) == (405, "OPTIONS, POST")


async def test_every_route_refuses_a_parameter_that_it_does_not_know(rig: GatewayRig) -> None:
    for route in ROUTES:
        kind = route.request_types[0] if route.request_types else route.resource_type
        is_list = route.takes_list or route.linkage is not None
        body = {"data": [] if is_list else {"type": kind}} if route.has_body else None
        answer = await rig.call(route.method, f"{_address(route)}?colour=red", token=_allowed(route), body=body)
        assert answer.status == 400
        (unknown,) = [error for error in answer.errors if error["code"] == "INVALID_QUERY_PARAMETER"]
        assert unknown["source"] == {"parameter": "colour"}, route.path


async def test_every_route_refuses_an_attribute_that_it_does_not_know(rig: GatewayRig) -> None:
    for route in (one for one in ROUTES if one.has_body and one.linkage is None):
        kind = route.request_types[0] if route.request_types else route.resource_type
        resource = {"type": kind, "attributes": {"colour": "red"}}
        data = [{**resource, "id": PRODUCT}] if route.takes_list else resource
        answer = await rig.call(route.method, _address(route), token=_allowed(route), body={"data": data})
        assert answer.status == 400
        place = f"/data{'/0' if route.takes_list else ''}/attributes/colour"
        assert {"pointer": place} in answer.sources, route.path


async def test_every_route_that_needs_a_user_refuses_nobody_and_the_wrong_role(rig: GatewayRig) -> None:
    for route in (one for one in ROUTES if not one.access.public):
        nobody = await rig.call(route.method, _address(route), token=None)
        guest = await rig.call(route.method, _address(route), token=user_token(roles=["guest"]))
        assert (nobody.status, guest.status) == (401, 403), route.path
    assert rig.library.requests == rig.download.requests == []


async def test_a_read_is_repeated_while_the_service_says_unavailable(rig: GatewayRig) -> None:
    """The caller never learns of a service that was away for a moment."""
    rig.library.error = AWAY
    asking = asyncio.create_task(rig.call("GET", ITEM_PATH))
    async with asyncio.timeout(WAIT_SECONDS):
        while not rig.library.requests:
            await asyncio.sleep(0)
        rig.library.error = None
        answer = await asking
    assert answer.status == 200
    assert len(rig.library.requests) >= 2


async def test_what_has_effects_is_never_repeated(rig: GatewayRig) -> None:
    rig.download.error = AWAY
    answer = await rig.call("POST", DOWNLOADS_PATH, body=DOWNLOAD)
    assert (answer.status, answer.codes) == (503, ["SERVICE_UNAVAILABLE"])
    assert len(rig.download.requests) == 1


@pytest.mark.parametrize(
    "given",
    [
        "nonsense",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331",
    ],
)
async def test_a_trace_that_is_none_is_replaced(rig: GatewayRig, given: str) -> None:
    """W3C Trace Context, 4.3: whoever cannot read it starts a trace of their own."""
    answer = await rig.call("GET", f"{ITEM_PATH}x", traceparent=given)
    trace_id = answer.document["meta"]["trace_id"]
    assert re.fullmatch(r"(?!0{32})[0-9a-f]{32}", trace_id)
    assert trace_id not in given.lower()
    assert rig.access_lines()[-1]["trace_id"] == trace_id


async def test_a_new_key_is_admitted_without_a_restart(rig: GatewayRig) -> None:
    token = user_token(kid="k2")
    assert (await rig.call("GET", ITEM_PATH, token=token)).status == 401
    rig.auth.keys = [public_jwk("k1"), public_jwk("k2")]
    async with asyncio.timeout(WAIT_SECONDS):
        while (await rig.call("GET", ITEM_PATH, token=token)).status != 200:
            await asyncio.sleep(0.1)
    assert (await rig.call("GET", ITEM_PATH)).status == 200
    assert rig.auth.key_requests < 10


@pytest.mark.parametrize(("seconds", "nanos"), [(253_402_300_800, 0), (0, 2_000_000_000), (0, -1)])
async def test_a_time_that_a_service_sends_wrongly_is_an_error_that_is_logged_once(
    rig: GatewayRig, seconds: int, nanos: int
) -> None:
    rig.library.added_at = Timestamp(seconds=seconds, nanos=nanos)
    rig.log.clear()
    answer = await rig.call("GET", ITEM_PATH)
    assert (answer.status, answer.codes) == (500, ["INTERNAL_ERROR"])
    (said,) = [line for line in rig.log if line["level"].lower() == "error"]
    assert str(seconds) in said["timestamp"]
    assert "exception" not in said
    message = progress("1")
    message.occurred_at.CopyFrom(rig.library.added_at)
    async with await rig.connect() as socket:
        await soon(rig.download.opened.get())
        rig.download.events.put_nowait(message)
        assert (await envelope(socket))["event_type"] == "stream.error"
