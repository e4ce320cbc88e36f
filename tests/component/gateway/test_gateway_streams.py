"""WebSockets through the gateway: who may open one, what comes over it, and every way it ends. Contract: section 4."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import WSMsgType
from yarl import URL

from chassis.errors import DomainError, Kind
from chassis.errors.reasons import REASONS
from tests.component.gateway.gateway_rig import (
    ORIGIN,
    PRODUCT,
    PROMISED_SECONDS,
    SESSION,
    SMALL_LIMITS,
    STREAM_PATH,
    WAIT_SECONDS,
    GatewayRig,
    close_code,
    envelope,
    gateway_rig,
    progress,
    quickest,
    soon,
    status,
)
from tests.component.rpc_rig import public_jwk, service_token, user_token


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


async def test_events_come_in_the_envelope(rig: GatewayRig):
    socket = await rig.connect()
    rig.download.events.put_nowait(progress("1-1", done=5))
    rig.download.events.put_nowait(status("1-2"))
    first, second = await envelope(socket), await envelope(socket)
    assert first["event_type"] == "downloadProgressUpdate"
    assert first["id"] == "1-1"
    assert first["timestamp"] == "2026-01-02T03:04:05Z"
    assert first["payload"]["download_session_id"] == SESSION
    assert first["payload"]["downloaded_bytes"] == 5
    assert (second["event_type"], second["payload"]["new_status"]) == ("downloadStatusChanged", "paused")
    await socket.close()


# --- when ---


async def test_the_handshake_is_answered_when_the_service_follows(rig: GatewayRig):
    rig.download.follows = asyncio.Event()
    connecting = asyncio.create_task(rig.connect())
    await soon(rig.download.opened.get())
    await asyncio.wait((connecting,), timeout=0.2)
    assert not connecting.done()
    rig.download.follows.set()
    socket = await soon(connecting)
    assert await _sees_an_event(rig, socket)
    await socket.close()


async def test_a_service_that_does_not_say_whether_it_follows_is_not_waited_for_for_ever():
    async with gateway_rig(limits=replace(SMALL_LIMITS, stream_begin_seconds=0.1)) as rig:
        rig.download.follows = asyncio.Event()
        socket = await soon(rig.connect())
        rig.download.follows.set()
        assert await _sees_an_event(rig, socket)
        await socket.close()


async def test_a_client_that_leaves_before_it_is_answered_ends_the_services_stream(rig: GatewayRig):
    rig.download.follows = asyncio.Event()
    slow = asyncio.create_task(SlowReader.connect(rig))
    await soon(rig.download.opened.get())
    slow.cancel()
    await asyncio.wait((slow,))
    rig.download.follows.set()
    await soon(rig.download.left.get())
    await _until(rig.access_lines)
    assert rig.access_lines()[0]["status"] == 499
    assert not [line for line in rig.log if line["level"] in {"WARNING", "ERROR"}]


async def test_a_first_message_that_comes_with_the_handshake_is_heard(rig: GatewayRig):
    """Nobody has to wait for the answer before they write."""
    rig.download.follows = asyncio.Event()
    message = json.dumps({"event_type": "stream.resume", "payload": {"last_event_id": "1-9"}}).encode()
    connecting = asyncio.create_task(SlowReader.connect(rig, then=_masked(message)))
    await soon(rig.download.opened.get())
    rig.download.follows.set()
    client = await soon(connecting)
    assert (await soon(rig.download.opened.get())).last_event_id == "1-9"
    await client.close()


async def test_shutdown_while_a_client_waits_for_its_answer():
    async with gateway_rig() as rig:
        rig.download.follows = asyncio.Event()
        connecting = asyncio.create_task(rig.connect())
        await soon(rig.download.opened.get())
        stopping = asyncio.create_task(rig.app.shutdown())
        await asyncio.sleep(0)
        rig.download.follows.set()
        assert await close_code(await soon(connecting)) == 1001
        await soon(stopping)
        await soon(rig.download.left.get())


async def test_a_service_that_is_away_is_told_of_over_the_socket(rig: GatewayRig):
    await rig.stop_download()
    socket = await soon(rig.connect())
    assert (await envelope(socket))["payload"]["code"] == "SERVICE_UNAVAILABLE"
    assert await close_code(socket) == 1013


# --- who ---


async def _sees_an_event(rig: GatewayRig, socket: aiohttp.ClientWebSocketResponse) -> bool:
    rig.download.events.put_nowait(status("1-1"))
    return (await envelope(socket))["id"] == "1-1"


async def test_the_token_may_come_in_the_header(rig: GatewayRig):
    socket = await rig.connect()
    assert await _sees_an_event(rig, socket)
    assert socket.protocol is None
    await socket.close()


async def test_the_token_may_come_as_a_subprotocol_which_is_never_selected(rig: GatewayRig):
    socket = await rig.connect(token=None, protocols=(f"bearer.{rig.token}", "samovar.v1"))
    assert await _sees_an_event(rig, socket)
    assert socket.protocol == "samovar.v1"
    await socket.close()
    await soon(rig.download.left.get())
    alone = await rig.connect(token=None, protocols=(f"bearer.{rig.token}",))
    assert await _sees_an_event(rig, alone)
    assert alone.protocol is None
    await alone.close()


async def test_the_token_may_come_in_the_query(rig: GatewayRig):
    socket = await rig.connect(token=None, query=f"?token={rig.token}")
    assert await _sees_an_event(rig, socket)
    await socket.close()


async def test_the_token_may_come_as_the_first_message(rig: GatewayRig):
    socket = await rig.connect(token=None)
    await socket.send_json({"event_type": "auth.token", "payload": {"token": rig.token}})
    assert await _sees_an_event(rig, socket)
    await socket.close()


@pytest.mark.parametrize(
    "first",
    [
        "not json",
        "[]",
        '{"event_type":"hello","payload":{}}',
        '{"event_type":"auth.token","payload":{}}',
        '{"event_type":"auth.token","payload":{"token":"rubbish"}}',
        '{"event_type":"auth.token","payload":{"token":7}}',
    ],
)
async def test_whoever_does_not_say_who_they_are_is_closed_with_4401(rig: GatewayRig, first):
    socket = await rig.connect(token=None)
    await socket.send_str(first)
    farewell = await envelope(socket)
    assert farewell["event_type"] == "stream.error"
    assert farewell["payload"]["code"] == "UNAUTHENTICATED"
    assert await close_code(socket) == 4401
    assert rig.download.opened.empty()


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (lambda: "rubbish", 4401),
        (lambda: user_token(kid="stranger"), 4401),
        (lambda: user_token(ttl_seconds=-5), 4401),
        (lambda: service_token("library-service", audience="samovar"), 4401),
        (lambda: user_token(roles=["guest"]), 4403),
    ],
)
async def test_a_token_that_does_not_do_closes_the_socket(rig: GatewayRig, token, code):
    socket = await rig.connect(token=token())
    assert await close_code(socket) == code
    assert rig.download.opened.empty()


async def test_the_socket_closes_with_4401_when_its_token_expires():
    async with gateway_rig(now=lambda: datetime.now(UTC) + timedelta(seconds=597)) as rig:
        socket = await rig.connect(token=user_token(ttl_seconds=600))
        farewell = await envelope(socket)
        assert (farewell["event_type"], farewell["payload"]["code"]) == ("stream.error", "TOKEN_EXPIRED")
        assert await close_code(socket) == 4401
        await soon(rig.download.left.get())


async def test_the_socket_closes_with_4401_when_the_key_of_its_token_left_the_set(quick_keys):
    async with gateway_rig() as rig:
        socket = await rig.connect()
        await soon(rig.download.opened.get())
        rig.auth.keys = [public_jwk("k2")]
        farewell = await envelope(socket)
        assert (farewell["event_type"], farewell["payload"]["code"]) == ("stream.error", "UNAUTHENTICATED")
        assert await close_code(socket) == 4401
        await soon(rig.download.left.get())


async def test_whoever_says_nothing_in_time_is_closed_with_4401():
    async with gateway_rig(limits=replace(SMALL_LIMITS, authentication_seconds=0.1)) as rig:
        socket = await rig.connect(token=None)
        assert (await envelope(socket))["payload"]["code"] == "UNAUTHENTICATED"
        assert await close_code(socket) == 4401


@pytest.mark.parametrize(
    "origin", ["http://[", "http://]", "http://[::1", "http://a\u2100b", "null", "[", "//", "", "²"]
)
async def test_an_origin_that_is_none_is_foreign(rig: GatewayRig, origin: str):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await rig.connect(origin=origin)
    assert refused.value.status == 403
    assert not [line for line in rig.log if line.get("level") == "error"]


async def test_a_foreign_origin_is_403_and_an_own_or_configured_one_may_connect(rig: GatewayRig):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await rig.connect(origin="https://evil.example")
    assert refused.value.status == 403
    for origin in (ORIGIN, rig.url):
        socket = await rig.connect(origin=origin)
        assert await _sees_an_event(rig, socket)
        await socket.close()
        await soon(rig.download.left.get())


async def test_a_user_has_only_so_many_sockets_and_gets_one_back_by_closing_one(rig: GatewayRig):
    sockets = [await rig.connect() for _ in range(SMALL_LIMITS.sockets_per_user)]
    for _ in sockets:
        await soon(rig.download.opened.get())
    one_too_many = await rig.connect()
    assert await close_code(one_too_many) == 4429
    somebody_else = await rig.connect(token=user_token(sub=str(uuid4())))
    await soon(rig.download.opened.get())
    await sockets.pop().close()
    await soon(rig.download.left.get())
    again = await rig.connect()
    await soon(rig.download.opened.get())
    for socket in (*sockets, somebody_else, again):
        await socket.close()


async def test_a_plain_request_to_a_websocket_address_is_400(rig: GatewayRig):
    answer = await rig.call("GET", STREAM_PATH)
    assert (answer.status, answer.codes) == (400, ["INVALID_ARGUMENT"])
    assert (await rig.call("POST", STREAM_PATH)).status == 405


async def test_no_token_is_ever_logged(rig: GatewayRig):
    by_query = await rig.connect(token=None, query=f"?token={rig.token}&last_event_id=7")
    assert await _sees_an_event(rig, by_query)
    await by_query.close()
    await soon(rig.download.left.get())
    by_protocol = await rig.connect(token=None, protocols=(f"bearer.{rig.token}",))
    assert await _sees_an_event(rig, by_protocol)
    await by_protocol.close()
    await _until(lambda: len(rig.access_lines()) == 2)
    assert rig.access_lines()[0]["status"] == 101
    assert rig.access_lines()[0]["query"] == "token=***&last_event_id=7"
    assert rig.token not in json.dumps(rig.log, default=str)


async def _until(condition):
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


# --- going on ---


async def test_last_event_id_of_the_query_reaches_the_service(rig: GatewayRig):
    socket = await rig.connect(query="?last_event_id=1-7")
    assert (await soon(rig.download.opened.get())).last_event_id == "1-7"
    await socket.close()
    fresh = await rig.connect()
    assert not (await soon(rig.download.opened.get())).HasField("last_event_id")
    await fresh.close()


async def test_a_last_event_id_that_is_no_text_is_some_unknown_one(rig: GatewayRig):
    headers = {"Authorization": f"Bearer {rig.token}"}
    socket = await rig.http.ws_connect(
        URL(f"{rig.url}{STREAM_PATH}?last_event_id=%ff%ed%a0%80", encoded=True), headers=headers
    )
    assert (await soon(rig.download.opened.get())).last_event_id
    await socket.close()


async def test_last_event_id_may_come_with_the_token(rig: GatewayRig):
    socket = await rig.connect(token=None)
    message = {"event_type": "auth.token", "payload": {"token": rig.token, "last_event_id": "1-8"}}
    await socket.send_json(message)
    assert (await soon(rig.download.opened.get())).last_event_id == "1-8"
    await socket.close()


@pytest.mark.parametrize(
    "message",
    [
        {"event_type": "stream.resume", "payload": {"last_event_id": "1-9"}},
        {"event_type": "stream.resume", "last_event_id": "1-9"},
    ],
)
async def test_last_event_id_may_come_as_the_first_message_after_the_handshake_brought_the_token(
    rig: GatewayRig, message
):
    socket = await rig.connect()
    assert not (await soon(rig.download.opened.get())).HasField("last_event_id")
    await socket.send_json(message)
    assert (await soon(rig.download.opened.get())).last_event_id == "1-9"
    await soon(rig.download.left.get())
    assert await _sees_an_event(rig, socket)
    await socket.close()


async def test_a_message_that_is_no_envelope_closes_an_open_socket(rig: GatewayRig):
    socket = await rig.connect()
    await socket.send_str("nonsense")
    assert await close_code(socket) == 1007
    binary = await rig.connect()
    await binary.send_bytes(b"nonsense")
    assert await close_code(binary) == 1003


async def test_messages_after_the_first_are_passed_over(rig: GatewayRig):
    socket = await rig.connect()
    for _ in range(3):
        await socket.send_json({"event_type": "hello", "payload": {}})
    assert await _sees_an_event(rig, socket)
    await socket.close()


# --- ends ---


async def test_a_stream_that_ends_says_so(rig: GatewayRig):
    socket = await rig.connect()
    rig.download.events.put_nowait(status("1-1"))
    rig.download.events.put_nowait(None)
    assert (await envelope(socket))["id"] == "1-1"
    farewell = await envelope(socket)
    assert (farewell["event_type"], farewell["id"]) == ("stream.end", "1-1")
    assert farewell["payload"] == {"reason": "completed"}
    assert await close_code(socket) == 1000


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=2), 1013, "SERVICE_UNAVAILABLE"),
        (RuntimeError("secret detail"), 1011, "INTERNAL_ERROR"),
        (DomainError(Kind.PERMISSION_DENIED, "PERMISSION_DENIED"), 4403, "PERMISSION_DENIED"),
    ],
)
async def test_a_stream_that_fails_says_why_in_words_and_in_its_close_code(rig: GatewayRig, error, code, reason):
    socket = await rig.connect()
    rig.download.events.put_nowait(error)
    farewell = await envelope(socket)
    assert farewell["event_type"] == "stream.error"
    assert farewell["payload"]["code"] == reason
    assert farewell["payload"]["detail"]
    assert farewell["payload"]["trace_id"]
    assert "secret" not in str(farewell)
    assert await close_code(socket) == code


async def test_a_client_that_leaves_ends_the_services_stream_within_a_second(rig: GatewayRig):
    async def leave() -> float:
        socket = await rig.connect()
        await soon(rig.download.opened.get())
        left_at = asyncio.get_running_loop().time()
        await socket.close()
        await soon(rig.download.left.get())
        return asyncio.get_running_loop().time() - left_at

    assert await quickest(leave) < PROMISED_SECONDS


async def test_a_client_that_is_cut_off_ends_the_services_stream_too(rig: GatewayRig):
    async def leave() -> float:
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {rig.token}"}
            socket = await http.ws_connect(f"{rig.url}{STREAM_PATH}", headers=headers)
            await soon(rig.download.opened.get())
            left_at = asyncio.get_running_loop().time()
            socket._response.connection.transport.abort()
            await soon(rig.download.left.get())
            return asyncio.get_running_loop().time() - left_at

    assert await quickest(leave) < PROMISED_SECONDS


async def test_shutdown_closes_every_socket_with_1001():
    async with gateway_rig() as rig:
        sockets = [await rig.connect(), await rig.connect(token=None)]
        await soon(rig.download.opened.get())
        codes = [asyncio.create_task(close_code(socket)) for socket in sockets]
        await rig.app.shutdown()
        assert [await soon(code) for code in codes] == [1001, 1001]
        await soon(rig.download.left.get())
        answer = await rig.call("GET", STREAM_PATH, Connection="upgrade", Upgrade="websocket")
        assert (answer.status, answer.codes) == (503, ["SERVICE_UNAVAILABLE"])


async def test_a_socket_is_pinged_and_answers_pings():
    limits = replace(SMALL_LIMITS, ping_seconds=0.05, silence_seconds=WAIT_SECONDS)
    async with gateway_rig(limits=limits) as rig:
        headers = {"Authorization": f"Bearer {rig.token}"}
        socket = await rig.http.ws_connect(f"{rig.url}{STREAM_PATH}", headers=headers, autoping=False)
        message = await soon(socket.receive())
        assert message.type is WSMsgType.PING
        await socket.ping(b"are you there")
        while message.type is not WSMsgType.PONG:
            message = await soon(socket.receive())
        assert message.data == b"are you there"
        await socket.close()


async def test_a_silent_client_is_dropped():
    async with gateway_rig(limits=replace(SMALL_LIMITS, ping_seconds=0.1, silence_seconds=0.6)) as rig:
        headers = {"Authorization": f"Bearer {rig.token}"}
        async with rig.http.ws_connect(f"{rig.url}{STREAM_PATH}", headers=headers, autoping=False) as socket:
            assert (await soon(socket.receive())).type is WSMsgType.PING
            await soon(rig.download.left.get())


async def test_a_client_that_answers_pings_is_not_silent():
    # Its answers come ten times as often as they must: one that is late for a busy machine ends nothing.
    limits = replace(SMALL_LIMITS, ping_seconds=0.2, silence_seconds=2.0)
    async with gateway_rig(limits=limits) as rig:
        headers = {"Authorization": f"Bearer {rig.token}"}
        async with rig.http.ws_connect(f"{rig.url}{STREAM_PATH}", headers=headers) as lively:
            receiving = asyncio.create_task(lively.receive())
            await asyncio.wait((receiving,), timeout=1.2 * limits.silence_seconds)
            assert not receiving.done()
            assert rig.download.left.empty()
            receiving.cancel()


# --- slow readers ---


def _masked(text: bytes) -> bytes:
    """A text frame of a client: masked, here with zeros (RFC 6455, section 5.2)."""
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text


class SlowReader:
    """A raw connection that shakes hands and then reads nothing until it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, rig: GatewayRig, *, then: bytes = b"") -> "SlowReader":
        host, port = rig.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
        lines = (
            f"GET {STREAM_PATH} HTTP/1.1",
            f"Host: {host}:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Authorization: Bearer {rig.token}",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + then)
        try:
            assert b" 101 " in await soon(reader.readuntil(b"\r\n\r\n"))
        except BaseException:
            writer.close()
            raise
        return cls(reader, writer)

    async def frames(self):
        """Opcode and payload of every frame up to the close frame; a server masks nothing."""
        while True:
            head = await soon(self.reader.readexactly(2))
            opcode, size = head[0] & 0x0F, head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(await soon(self.reader.readexactly(2)))
            elif size == 127:
                size = int.from_bytes(await soon(self.reader.readexactly(8)))
            payload = await soon(self.reader.readexactly(size))
            yield opcode, payload
            if opcode == 8:
                return

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_a_reader_past_its_buffer_is_closed_with_4408():
    async with gateway_rig() as rig:
        slow = await SlowReader.connect(rig)
        await soon(rig.download.opened.get())
        number = 0
        while rig.download.left.empty():
            number += 1
            rig.download.events.put_nowait(status(f"1-{number}", padding=PRODUCT * 2000))
            await _until(lambda: rig.download.events.empty() or not rig.download.left.empty())
        frames = [frame async for frame in slow.frames()]
        *events, farewell = [json.loads(payload) for opcode, payload in frames if opcode == 1]
        assert [event["id"] for event in events] == [f"1-{index + 1}" for index in range(len(events))]
        assert (farewell["event_type"], farewell["payload"]["code"]) == ("stream.error", "SLOW_READER")
        assert farewell["payload"]["detail"] == REASONS["SLOW_READER"].detail["ru"]
        assert farewell["id"] == events[-1]["id"]
        assert int.from_bytes(frames[-1][1][:2]) == 4408
        await slow.close()


async def test_a_slow_reader_loses_superseded_progress_and_nothing_else(rig: GatewayRig):
    slow = await SlowReader.connect(rig)
    await soon(rig.download.opened.get())
    # More bytes than all buffers on the way take, then far more progress than the gateway's own buffer has room for.
    for number in range(SMALL_LIMITS.socket_buffer_events - 2):
        rig.download.events.put_nowait(status(f"1-{number}", padding="x" * 3_000_000))
    await _until(rig.download.events.empty)
    for number in range(500):
        rig.download.events.put_nowait(progress(f"2-{number}", done=number))
    rig.download.events.put_nowait(status("3-0"))
    rig.download.events.put_nowait(None)
    await soon(rig.download.left.get())
    frames = [frame async for frame in slow.frames()]
    events = [json.loads(payload) for opcode, payload in frames if opcode == 1]
    ids = [event["id"] for event in events if event["event_type"] == "downloadStatusChanged"]
    assert ids == [f"1-{number}" for number in range(SMALL_LIMITS.socket_buffer_events - 2)] + ["3-0"]
    updates = [event["id"] for event in events if event["event_type"] == "downloadProgressUpdate"]
    assert updates[-1] == "2-499"
    assert len(updates) < 500
    assert events[-1]["event_type"] == "stream.end"
    assert int.from_bytes(frames[-1][1][:2]) == 1000
    await slow.close()
