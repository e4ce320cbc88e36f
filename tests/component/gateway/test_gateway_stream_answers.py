"""Streams as HTTP answers that do not end, Server-Sent Events and lines of JSON: the same events, users, places to go on from and
ends as over a WebSocket.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest

from chassis.errors import DomainError, Kind
from tests.component.gateway.gateway_rig import (
    ORIGIN,
    PROMISED_SECONDS,
    SESSION,
    SMALL_LIMITS,
    STREAM_PATH,
    WAIT_SECONDS,
    GatewayRig,
    gateway_rig,
    progress,
    quickest,
    soon,
    status,
)
from tests.component.rpc_rig import user_token

SSE = "text/event-stream"
LINES = "application/x-ndjson"
both = pytest.mark.parametrize("media_type", [SSE, LINES])


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


@asynccontextmanager
async def following(rig: GatewayRig, media_type=SSE, *, query="", token="", **headers):
    """The open answer, once its head is there."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token or rig.token}"
    async with aiohttp.ClientSession() as http:
        given = {"Accept": media_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with http.get(f"{rig.url}{STREAM_PATH}{query}", headers=given) as answer:
            yield answer


async def next_event(answer: aiohttp.ClientResponse):
    """Envelope and lines of the next event; None at the end. Comments and empty lines are passed over."""
    lines = []
    while line := (await soon(answer.content.readline())).decode():
        stripped = line.rstrip("\n")
        if answer.content_type == LINES and stripped:
            return json.loads(stripped), [stripped]
        if answer.content_type == SSE and stripped and not stripped.startswith((":", "retry:")):
            lines.append(stripped)
        elif lines:
            data = next(one for one in lines if one.startswith("data: "))
            return json.loads(data.removeprefix("data: ")), lines
    return None


@both
async def test_events_come_in_the_envelope_as_soon_as_they_happen(rig: GatewayRig, media_type):
    async with following(rig, media_type) as answer:
        assert (answer.status, answer.content_type) == (200, media_type)
        assert answer.headers["Cache-Control"] == "no-store, no-transform"
        assert answer.headers["X-Request-ID"]
        rig.download.events.put_nowait(progress("1-1", done=5))
        envelope, lines = await next_event(answer)
        assert (envelope["event_type"], envelope["id"]) == ("downloadProgressUpdate", "1-1")
        assert envelope["timestamp"] == "2026-01-02T03:04:05Z"
        assert envelope["payload"]["download_session_id"] == SESSION
        if media_type == SSE:
            assert lines[:2] == ["id: 1-1", "event: downloadProgressUpdate"]


async def test_the_head_comes_before_any_event(rig: GatewayRig):
    async with following(rig) as answer:
        assert answer.status == 200
        assert await soon(answer.content.readline()) == b"retry: 3000\n"
        assert rig.download.events.empty()


async def test_the_head_comes_when_the_service_follows(rig: GatewayRig):
    rig.download.follows = asyncio.Event()

    async def head() -> int:
        async with following(rig) as answer:
            return answer.status

    waiting = asyncio.create_task(head())
    await soon(rig.download.opened.get())
    await asyncio.wait((waiting,), timeout=0.2)
    assert not waiting.done()
    rig.download.follows.set()
    assert await soon(waiting) == 200


async def test_whoever_may_not_is_refused_with_a_status(rig: GatewayRig):
    for token, expected in ((None, 401), ("rubbish", 401), (user_token(roles=["guest"]), 403)):
        async with following(rig, token=token) as answer:
            assert answer.status == expected
            assert (await answer.json(content_type=None))["errors"]
    assert rig.download.opened.empty()


async def test_the_token_may_come_in_the_query_and_is_not_logged(rig: GatewayRig):
    async with following(rig, token=None, query=f"?token={rig.token}") as answer:
        rig.download.events.put_nowait(status("1-1"))
        assert (await next_event(answer))[0]["id"] == "1-1"
    await soon(rig.download.left.get())
    assert rig.token not in json.dumps(rig.log, default=str)


@both
async def test_a_client_goes_on_from_the_last_event_id(rig: GatewayRig, media_type):
    async with following(rig, media_type, query="?last_event_id=1-6", Last_Event_ID="1-7"):
        assert (await soon(rig.download.opened.get())).last_event_id == "1-7"
    async with following(rig, media_type, query="?last_event_id=1-6"):
        assert (await soon(rig.download.opened.get())).last_event_id == "1-6"
    async with following(rig, media_type):
        assert not (await soon(rig.download.opened.get())).HasField("last_event_id")


@both
async def test_a_stream_that_ends_or_fails_says_so(rig: GatewayRig, media_type):
    failure = DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=2)
    for last, event_type in ((None, "stream.end"), (failure, "stream.error")):
        async with following(rig, media_type) as answer:
            rig.download.events.put_nowait(status("1-1"))
            rig.download.events.put_nowait(last)
            assert (await next_event(answer))[0]["id"] == "1-1"
            farewell = (await next_event(answer))[0]
            assert (farewell["event_type"], farewell["id"]) == (event_type, "1-1")
            assert await next_event(answer) is None


@both
async def test_a_client_that_leaves_ends_the_services_stream_within_a_second(rig: GatewayRig, media_type):
    async def leave() -> float:
        async with following(rig, media_type):
            await soon(rig.download.opened.get())
            left_at = asyncio.get_running_loop().time()
        await soon(rig.download.left.get())
        return asyncio.get_running_loop().time() - left_at

    assert await quickest(leave) < PROMISED_SECONDS


async def test_the_stream_ends_when_its_token_expires():
    async with gateway_rig(now=lambda: datetime.now(UTC) + timedelta(seconds=597)) as rig:
        async with following(rig, token=user_token(ttl_seconds=600)) as answer:
            assert (await next_event(answer))[0]["payload"]["code"] == "TOKEN_EXPIRED"
        await soon(rig.download.left.get())


async def test_shutdown_ends_every_stream_in_words():
    async with gateway_rig() as rig, following(rig) as answer:
        await soon(rig.download.opened.get())
        shutting_down = asyncio.create_task(rig.app.shutdown())
        assert (await next_event(answer))[0]["payload"] == {"reason": "shutdown"}
        assert await next_event(answer) is None
        await soon(shutting_down)


async def test_a_silent_stream_shows_that_it_lives():
    async with gateway_rig(limits=replace(SMALL_LIMITS, ping_seconds=0.05)) as rig:
        for media_type, sign in ((SSE, b":\n"), (LINES, b"\n")):
            async with following(rig, media_type) as answer:
                await soon(rig.download.opened.get())
                seen = [await soon(answer.content.readline()) for _ in range(5)]
                assert seen.count(sign) >= 2
                rig.download.events.put_nowait(status("1-1"))
                assert (await next_event(answer))[0]["id"] == "1-1"


async def test_streams_of_a_user_are_counted_with_their_sockets(rig: GatewayRig):
    sockets = [await rig.connect() for _ in range(SMALL_LIMITS.sockets_per_user)]
    for _ in sockets:
        await soon(rig.download.opened.get())
    async with following(rig) as answer:
        assert answer.status == 429
    async with following(rig, token=user_token(sub=str(uuid4()))) as answer:
        assert answer.status == 200
    for socket in sockets:
        await socket.close()


async def test_a_foreign_page_may_not_listen(rig: GatewayRig):
    async with following(rig, Origin="https://evil.example") as answer:
        assert answer.status == 403
    async with following(rig, Origin=ORIGIN) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)


async def test_a_reader_past_its_buffer_is_cut_off_with_what_it_did_not_read():
    """Over HTTP there is no close code: the connection ends before the answer does."""
    limits = replace(SMALL_LIMITS, close_seconds=1.0)
    async with gateway_rig(limits=limits) as rig, following(rig, LINES) as answer:
        await soon(rig.download.opened.get())
        number = 0
        while rig.download.left.empty():
            number += 1
            rig.download.events.put_nowait(status(f"1-{number}", padding="x" * 200_000))
            async with asyncio.timeout(WAIT_SECONDS):
                while not rig.download.events.empty() and rig.download.left.empty():
                    await asyncio.sleep(0.01)
        assert number > SMALL_LIMITS.socket_buffer_events
        received = 0
        try:
            while await next_event(answer) is not None:
                received += 1
        except (aiohttp.ClientError, ValueError):
            pass
        assert received < number


@pytest.mark.parametrize("upgrade", [True, False])
async def test_a_parameter_that_the_method_does_not_have_is_refused_by_name(rig: GatewayRig, upgrade):
    if upgrade:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await rig.connect(query="?colour=blue")
        assert refused.value.status == 400
        return
    async with following(rig, query="?colour=blue&last_event_id=1-1") as answer:
        assert answer.status == 400
        assert (await answer.json(content_type=None))["errors"][0]["source"] == {"parameter": "colour"}


@both
async def test_a_sign_of_life_at_the_moment_of_the_end_does_no_harm(media_type, caplog):
    """Signs of life all the time, and streams that end in the middle of them."""
    async with gateway_rig(limits=replace(SMALL_LIMITS, ping_seconds=0.0005)) as rig:
        for _ in range(20):
            async with following(rig, media_type) as answer:
                rig.download.events.put_nowait(None)
                assert (await next_event(answer))[0]["event_type"] == "stream.end"
            socket = await rig.connect()
            rig.download.events.put_nowait(None)
            assert (await soon(socket.receive_json()))["event_type"] == "stream.end"
            await socket.close()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@both
async def test_who_leaves_before_the_stream_has_begun_is_missed_at_its_first_line(rig: GatewayRig, media_type):
    """Nobody can tell one who has left from one who has closed its half, until something is sent."""
    host, port = rig.url.removeprefix("http://").split(":")
    for _ in range(SMALL_LIMITS.sockets_per_user + 1):
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"GET {STREAM_PATH} HTTP/1.1\r\nHost: a\r\nAccept: {media_type}\r\nAuthorization: Bearer {rig.token}\r\n\r\n"
        writer.write(head.encode())
        writer.close()
        await soon(rig.download.opened.get())
        await soon(rig.download.left.get())
