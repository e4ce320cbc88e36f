"""The HTTP/2 connection against a peer that says whatever a test wants, byte by byte."""

import asyncio
import gc
import weakref

import pytest
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from chassis.grpc_client import http2, http2_connection
from chassis.grpc_client.http2_connection import Connection
from chassis.grpc_client.http2_exchange import Failed
from chassis.grpc_client.rpc_wire import read_message, request_body
from tests.component.http2_rig import (
    HEAD,
    LARGE,
    STREAMS,
    TABLE,
    WINDOW,
    Peer,
    dropped,
    nothing_escapes,
    outcome,
    pair,
    peer_server,
    request,
    soon,
    until,
    works,
)

__all__ = ["nothing_escapes"]


# What it says first.


async def test_it_allows_no_table_no_push_and_large_answers():
    async with peer_server() as server:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(lambda: None), "127.0.0.1", server.port)
        peer = await server.raw_peer()
        await peer.read_preface()
        said = await peer.expect(SettingsFrame)
        assert said.settings[SettingsFrame.HEADER_TABLE_SIZE] == 0
        assert said.settings[SettingsFrame.ENABLE_PUSH] == 0
        assert said.settings[WINDOW] > http2_connection.BODY_LIMIT_BYTES
        room = (await peer.expect(WindowUpdateFrame)).window_increment + 65_535
        assert room == http2_connection.CONNECTION_WINDOW_BYTES
        assert not connection.is_ready  # the peer has said nothing yet
        connection.close()
        await soon(connection.lost)


async def test_a_peer_that_allows_no_table_is_told_that_there_is_none():
    async with pair({TABLE: 0}) as (connection, peer):
        peer._decoder.max_allowed_table_size = 0  # it drops the connection unless the first block says so
        await works(connection, peer)
        await works(connection, peer)


# Requests and the peer's windows.


@pytest.mark.parametrize("window", [1, 999, 16_383, 16_384, 65_535, 100_000])
async def test_a_request_is_sent_as_fast_as_the_peers_window_opens(window):
    message = LARGE * 3 if window > 1 else LARGE[:50]
    async with pair({WINDOW: window}) as (connection, peer):
        exchange = request(connection, message)
        headers = await peer.expect(HeadersFrame)
        body = b""
        room = min(window, 65_535)
        while True:
            frame = await peer.expect(DataFrame)
            room -= len(frame.data)
            assert room >= 0
            body += frame.data
            if "END_STREAM" in frame.flags:
                break
            if not room:
                room = window
                updates = [WindowUpdateFrame(stream, window_increment=window) for stream in (0, headers.stream_id)]
                peer.send(*updates)
        assert body == request_body(message)
        peer.send(peer.answer(1))
        assert await outcome(exchange) is None


async def test_a_window_that_is_opened_by_settings_holds_for_requests_that_wait():
    async with pair({WINDOW: 0}) as (connection, peer):
        exchanges = [request(connection, b"a" * 10), request(connection, b"b" * 10)]
        await peer.ping()
        assert not [frame for frame in peer.seen if isinstance(frame, DataFrame)]
        peer.send(SettingsFrame(0, settings={WINDOW: 15}))
        ends = [await peer.expect(DataFrame) for _ in exchanges]
        assert [(end.stream_id, end.data) for end in ends] == [
            (1, request_body(b"a" * 10)),
            (3, request_body(b"b" * 10)),
        ]
        peer.send(peer.answer(1), peer.answer(3))
        assert [await outcome(each) for each in exchanges] == [None, None]


async def test_a_window_can_become_negative_and_is_filled_up_before_more_is_sent():
    async with pair({WINDOW: 1_000}) as (connection, peer):
        exchange = request(connection, b"x" * 2_000)
        assert len((await peer.expect(DataFrame)).data) == 1_000
        peer.send(SettingsFrame(0, settings={WINDOW: 100}))  # 900 below nothing
        peer.send(WindowUpdateFrame(1, window_increment=900))
        await peer.ping()
        assert len([frame for frame in peer.seen if isinstance(frame, DataFrame)]) == 1
        peer.send(WindowUpdateFrame(1, window_increment=1))
        assert len((await peer.expect(DataFrame)).data) == 1
        peer.send(SettingsFrame(0, settings={WINDOW: 5_000}))
        last = await peer.expect(DataFrame)
        assert len(last.data) == 2_005 - 1_001
        assert "END_STREAM" in last.flags
        peer.send(peer.answer(1))
        assert await outcome(exchange) is None


async def test_the_connections_window_holds_for_all_requests_together():
    async with pair({WINDOW: 1_000_000}) as (connection, peer):
        exchanges = [request(connection, bytes(30_000)) for _ in range(4)]
        received = 0
        while received < 65_535:
            received += len((await peer.expect(DataFrame)).data)
        await peer.ping()
        assert sum(len(frame.data) for frame in peer.seen if isinstance(frame, DataFrame)) == 65_535
        peer.send(WindowUpdateFrame(0, window_increment=1_000_000))
        while received < 4 * 30_005:
            received += len((await peer.expect(DataFrame)).data)
        for stream_id in (1, 3, 5, 7):
            peer.send(peer.answer(stream_id))
        assert [await outcome(each) for each in exchanges] == [None] * 4


async def test_what_was_cancelled_leaves_its_window_to_the_others():
    async with pair({WINDOW: 10}) as (connection, peer):
        first, second = request(connection, bytes(100)), request(connection, bytes(100))
        await peer.ping()
        connection.cancel(first)
        assert (await peer.expect(RstStreamFrame)).error_code == http2.CANCEL
        peer.send(WindowUpdateFrame(1, window_increment=50), WindowUpdateFrame(3, window_increment=200))
        last = await peer.expect(DataFrame)
        assert (last.stream_id, len(last.data)) == (3, 95)
        peer.send(peer.answer(3))
        assert await outcome(second) is None


@pytest.mark.parametrize(("stream_id", "increment"), [(0, 0), (0, 2**31 - 1)], ids=["by nothing", "beyond the largest"])
async def test_a_connection_window_that_cannot_be_ends_the_connection(stream_id, increment):
    async with pair() as (connection, peer):
        update = b"\0\0\4\x08\0" + stream_id.to_bytes(4, "big") + increment.to_bytes(4, "big")
        peer.send(update)
        assert await dropped(connection, peer) == http2.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("increment", [0, 2**31 - 1])
async def test_a_stream_window_that_cannot_be_ends_its_exchange_alone(increment):
    async with pair({WINDOW: 1}) as (connection, peer):
        exchange = request(connection, bytes(70_000))
        await peer.expect(DataFrame)
        update = b"\0\0\4\x08\0\0\0\0\1" + increment.to_bytes(4, "big")
        peer.send(SettingsFrame(0, settings={WINDOW: 0}), update, update)
        assert (await outcome(exchange)).why is Failed.BROKEN
        await peer.expect(RstStreamFrame)
        await peer.ping()
        assert len([frame for frame in peer.seen if isinstance(frame, RstStreamFrame)]) == 1
        peer.send(SettingsFrame(0, settings={WINDOW: 100}), WindowUpdateFrame(0, window_increment=10_000))
        await works(connection, peer)


async def test_an_answer_before_the_whole_request_was_sent_is_taken_and_the_rest_is_not_sent():
    async with pair({WINDOW: 100}) as (connection, peer):
        exchange = request(connection, bytes(1_000))
        await peer.expect(DataFrame)
        peer.send(peer.answer(1, b"enough"))
        assert await outcome(exchange) is None
        assert read_message(exchange) == b"enough"
        assert (await peer.expect(RstStreamFrame)).error_code == http2.NO_ERROR
        peer.send(WindowUpdateFrame(1, window_increment=1_000))
        await works(connection, peer)


# Streams that the peer takes.


async def test_requests_beyond_what_the_peer_takes_wait_in_line_in_their_order():
    async with pair({STREAMS: 1}) as (connection, peer):
        exchanges = [request(connection, bytes((number,))) for number in range(20)]
        for number, exchange in enumerate(exchanges):
            asked = await peer.request()
            assert asked.body == request_body(bytes((number,)))
            assert len(connection._exchanges) == 1
            peer.send(peer.answer(asked.stream_id))
            assert await outcome(exchange) is None


async def test_a_peer_that_takes_none_and_then_some_gets_those_that_waited():
    async with pair({STREAMS: 0}) as (connection, peer):
        exchanges = [request(connection) for _ in range(3)]
        await peer.ping()
        assert not [frame for frame in peer.seen if isinstance(frame, HeadersFrame)]
        peer.send(SettingsFrame(0, settings={STREAMS: 2}))
        first, second = await peer.request(), await peer.request()
        await peer.ping()
        assert len(connection._queued) == 1
        peer.send(peer.answer(first.stream_id), peer.answer(second.stream_id))
        peer.send(peer.answer((await peer.request()).stream_id))
        assert [await outcome(each) for each in exchanges] == [None] * 3


async def test_who_leaves_the_line_takes_nothing_from_it_and_leaves_nothing_in_it():
    async with pair({STREAMS: 0}) as (connection, peer):
        exchanges = [connection.exchange(HEAD, bytes(1_000_000)) for _ in range(100)]
        kept = request(connection)
        for exchange in exchanges:
            connection.cancel(exchange)
        assert len(connection._queued) == 1
        assert {(await outcome(each)).why for each in exchanges} == {Failed.CANCELLED}
        peer.send(SettingsFrame(0, settings={STREAMS: 1}))
        asked = await peer.request()
        assert asked.stream_id == 1
        peer.send(peer.answer(1))
        assert await outcome(kept) is None
        assert not [frame for frame in peer.seen if isinstance(frame, RstStreamFrame)]


async def test_five_hundred_exchanges_at_a_time_do_not_mix():
    async with pair() as (connection, peer):
        exchanges = [request(connection, str(number).encode()) for number in range(500)]
        asked = [await peer.request() for _ in exchanges]
        for each in reversed(asked):
            peer.send(peer.answer(each.stream_id, each.body[5:] * 2))
        assert [await outcome(each) for each in exchanges] == [None] * 500
        assert [read_message(each) for each in exchanges] == [str(number).encode() * 2 for number in range(500)]


async def test_a_connection_whose_streams_are_used_up_takes_no_more():
    async with pair() as (connection, peer):
        connection._next_id = 2**31 - 1
        last = request(connection)
        assert not connection.is_ready
        assert (await outcome(request(connection))).is_untouched
        asked = await peer.request()
        assert asked.stream_id == 2**31 - 1
        peer.send(peer.answer(asked.stream_id))
        assert await outcome(last) is None
        await soon(connection.lost)


# Resets, pings, settings.


async def test_a_reset_tells_its_code_and_is_not_answered_with_another():
    async with pair({WINDOW: 2}) as (connection, peer):
        exchange = request(connection)
        await peer.expect(DataFrame)
        peer.send(RstStreamFrame(1, error_code=http2.REFUSED_STREAM))
        failure = await outcome(exchange)
        assert (failure.why, failure.code, failure.is_untouched) == (Failed.RESET, http2.REFUSED_STREAM, True)
        await peer.ping()
        assert not [frame for frame in peer.seen if isinstance(frame, RstStreamFrame)]


async def test_pings_are_answered_in_the_middle_of_everything():
    async with pair({WINDOW: 1}) as (connection, peer):
        exchange = request(connection)
        await peer.expect(DataFrame)
        for number in range(1_000):
            peer.send(PingFrame(0, opaque_data=number.to_bytes(8, "big")))
        for number in range(1_000):
            answer = await peer.expect(PingFrame, ack=True)
            assert answer.opaque_data == number.to_bytes(8, "big")
        peer.send(SettingsFrame(0, settings={WINDOW: 1_000, SettingsFrame.MAX_FRAME_SIZE: 2**20, 0x99: 5}))
        peer.send(SettingsFrame(0, settings={}))
        await peer.expect(SettingsFrame, ack=True)
        peer.send(peer.answer(1, b"done"))
        assert await outcome(exchange) is None


async def _never_reads(peer: Peer) -> None:
    """The peer stops reading at the socket, so that what the client writes stays with the client."""
    peer.reader._transport.pause_reading()  # type: ignore[attr-defined]


async def test_a_peer_that_asks_and_does_not_read_the_answers_is_dropped():
    async with pair() as (connection, peer):
        await _never_reads(peer)
        ping = PingFrame(0, opaque_data=b"nobodyis").serialize()
        async with asyncio.timeout(30):
            while not connection.is_over:
                peer.send(ping * 4_000)
                await peer.writer.drain()
                await asyncio.sleep(0)
                assert len(connection._unsent) <= http2_connection.REPLIES_LIMIT + 4_000
        await soon(connection.lost)
        assert not connection._unsent


async def test_requests_wait_here_while_the_peer_does_not_read_and_can_be_cancelled():
    async with pair({WINDOW: 2**31 - 1}) as (connection, peer):
        peer.send(WindowUpdateFrame(0, window_increment=2**30))
        await peer.ping()
        await _never_reads(peer)
        sent = []
        async with asyncio.timeout(30):
            while not connection._is_paused:
                sent.append(request(connection, bytes(1_000_000)))
                await asyncio.sleep(0.001)
        waiting = [request(connection, bytes(1_000_000)) for _ in range(5)]
        await asyncio.sleep(0)
        assert len(connection._queued) == 5
        assert not connection._unsent
        for exchange in waiting[1:]:
            connection.cancel(exchange)
        assert len(connection._queued) == 1
        peer.reader._transport.resume_reading()
        for _ in sent:
            peer.send(peer.answer((await peer.request()).stream_id))
        asked = await peer.request()
        peer.send(peer.answer(asked.stream_id, b"late"))
        assert {await outcome(each) for each in sent} == {None}
        assert await outcome(waiting[0]) is None


async def test_closing_does_not_wait_for_a_peer_that_does_not_read():
    async with pair({WINDOW: 2**31 - 1}) as (connection, peer):
        peer.send(WindowUpdateFrame(0, window_increment=2**30))
        await peer.ping()
        await _never_reads(peer)
        exchanges = []
        while not connection._is_paused:
            exchanges.append(request(connection, bytes(1_000_000)))
            await asyncio.sleep(0.001)
        exchanges.append(request(connection))
        connection.close()
        await soon(connection.lost)
        assert {(await outcome(each)).why for each in exchanges} == {Failed.CLOSED}


# Goodbyes.


def _goodbye(last: int, code: int = 0, text: bytes = b"") -> GoAwayFrame:
    return GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=text)


async def test_a_graceful_goodbye_lets_what_runs_end_and_sends_the_rest_elsewhere():
    async with pair({STREAMS: 3}) as (connection, peer):
        exchanges = [request(connection) for _ in range(5)]
        for _ in range(3):
            await peer.request()
        peer.send(_goodbye(2**31 - 1))
        await until(lambda: connection.is_over)
        assert not connection.is_ready
        assert all([(await outcome(each)).is_untouched for each in exchanges[3:]])
        assert not any(each.ended.done() for each in exchanges[:3])
        assert (await outcome(request(connection))).is_untouched
        peer.send(_goodbye(3))
        assert (await outcome(exchanges[2])).is_untouched
        peer.send(peer.answer(1), peer.answer(3))
        assert [await outcome(each) for each in exchanges[:2]] == [None, None]
        await soon(connection.lost)


async def test_a_goodbye_for_a_reason_tells_it():
    async with pair() as (connection, peer):
        first, second = request(connection), request(connection)
        await peer.request()
        await peer.request()
        peer.send(_goodbye(1, http2.ENHANCE_YOUR_CALM, b"too_many_pings"))
        failure = await outcome(second)
        assert failure.is_untouched
        assert "too_many_pings" in failure.text
        peer.cut()
        lost = await outcome(first)
        assert (lost.why, lost.is_untouched) == (Failed.LOST, False)
        assert "too_many_pings" in connection.why_closed


async def test_a_goodbye_without_anything_running_closes_at_once():
    async with pair() as (connection, peer):
        peer.send(_goodbye(0))
        await soon(connection.lost)
        await peer.expect(GoAwayFrame)


async def test_a_retired_connection_is_closed_when_its_last_exchange_has_ended():
    async with pair() as (connection, peer):
        exchange, other = request(connection), request(connection)
        await peer.request()
        await peer.request()
        connection.retire()
        connection.retire()
        connection.cancel(other)
        assert not connection.lost.done()
        peer.send(peer.answer(1, b"end"))
        assert await outcome(exchange) is None
        await soon(connection.lost)


async def test_closing_ends_what_runs_and_what_waits():
    async with pair({STREAMS: 1}) as (connection, peer):
        exchanges = [request(connection) for _ in range(3)]
        await peer.request()
        connection.close()
        connection.close()
        assert [(await outcome(each)).why for each in exchanges] == [Failed.CLOSED] * 3
        assert await dropped(connection, peer) == http2.NO_ERROR


# All ways to end at once.


async def test_an_exchange_ends_once_whatever_comes_together():
    async with pair() as (connection, peer):
        for ending in (connection.cancel, lambda each: each.ended.cancel()):
            exchange = request(connection)
            asked = await peer.request()
            peer.send(peer.answer(asked.stream_id), RstStreamFrame(asked.stream_id, error_code=8))
            await until(exchange.ended.done)
            ending(exchange)
            assert await outcome(exchange) is None
            exchange = request(connection)
            asked = await peer.request()
            ending(exchange)
            peer.send(peer.answer(asked.stream_id), RstStreamFrame(asked.stream_id, error_code=8))
            await peer.ping()
            connection.cancel(exchange)
            assert exchange.ended.done()
        last = request(connection)
        await peer.request()
        connection.cancel(last)
        peer.send(_goodbye(0), peer.answer(1))
        await soon(connection.lost)


async def test_an_ended_exchange_is_not_held():
    async with pair() as (connection, peer):
        exchange = request(connection, LARGE)
        future = weakref.ref(exchange.ended)
        await peer.request()
        peer.send(peer.answer(1, LARGE))
        assert await outcome(exchange) is None
        del exchange
        await asyncio.sleep(0)  # the callback that brought us here holds it
        gc.collect()
        assert future() is None


# Silence.


async def test_a_silent_peer_is_asked_and_then_dropped(monkeypatch):
    monkeypatch.setattr(http2_connection, "KEEPALIVE_SECONDS", 0.03)
    monkeypatch.setattr(http2_connection, "KEEPALIVE_TIMEOUT_SECONDS", 0.05)
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.expect(PingFrame)
        assert (await outcome(exchange)).why is Failed.LOST
        assert "ping" in connection.why_closed
        await soon(connection.lost)


async def test_a_peer_that_answers_is_kept(monkeypatch):
    monkeypatch.setattr(http2_connection, "KEEPALIVE_SECONDS", 0.02)
    monkeypatch.setattr(http2_connection, "KEEPALIVE_TIMEOUT_SECONDS", 2.0)
    async with pair() as (connection, peer):
        for _ in range(2):
            asked = await peer.expect(PingFrame)
            peer.send(PingFrame(0, opaque_data=asked.opaque_data, flags=("ACK",)))
        await works(connection, peer)


async def test_a_goodbye_because_of_pings_is_remembered():
    for code, reason, expected in (
        (http2.ENHANCE_YOUR_CALM, b"too_many_pings", True),
        (http2.ENHANCE_YOUR_CALM, b"calm down", False),
        (http2.NO_ERROR, b"too_many_pings", False),
    ):
        async with pair() as (connection, peer):
            peer.send(GoAwayFrame(0, last_stream_id=0, error_code=code, additional_data=reason))
            await until(lambda connection=connection: connection.is_over)
            assert connection.pinged_too_often is expected
