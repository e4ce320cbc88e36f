"""The HTTP/2 connection against a peer that says whatever a test wants, byte by byte."""

import asyncio
import gc
import weakref

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from chassis import http2, http2_connection
from chassis.http2_connection import Connection
from chassis.http2_exchange import Failed
from chassis.rpc_wire import outcome_of_exchange, read_message, request_body
from tests.component.http2_rig import (
    HEAD,
    OK_FIELDS,
    OK_TRAILERS,
    Peer,
    nothing_escapes,
    outcome,
    pair,
    peer_server,
    request,
    soon,
    until,
)

__all__ = ["nothing_escapes"]

STREAMS, WINDOW, TABLE = (
    SettingsFrame.MAX_CONCURRENT_STREAMS,
    SettingsFrame.INITIAL_WINDOW_SIZE,
    SettingsFrame.HEADER_TABLE_SIZE,
)
LARGE = bytes(range(256)) * 128  # 32 KiB


async def works(connection: Connection, peer: Peer) -> None:
    """A whole exchange comes through."""
    exchange = request(connection)
    asked = await peer.request()
    assert asked.body == request_body(b"hello")
    peer.send(peer.answer(asked.stream_id, b"world"))
    assert await outcome(exchange) is None
    assert read_message(exchange) == b"world"


async def dropped(connection: Connection, peer: Peer) -> int:
    """The connection gave up; the code that it said."""
    await soon(connection.lost)
    goodbye = await peer.expect(GoAwayFrame)
    assert connection.is_over
    return int(goodbye.error_code)


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


# Answers.


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 100_000])
async def test_answers_come_byte_by_byte_too(size):
    message = bytes(size % 251 for size in range(size))
    step = 1 if size < 2 else 1_003
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        answer = peer.answer(1, message)
        for at in range(0, len(answer), step):
            peer.send(answer[at : at + step])
            await asyncio.sleep(0)
        assert await outcome(exchange) is None
        assert read_message(exchange) == message


async def test_padding_and_priorities_change_nothing():
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        body = request_body(b"padded")
        peer.send(
            HeadersFrame(1, peer.block(OK_FIELDS), flags=("END_HEADERS", "PADDED"), pad_length=255),
            PriorityFrame(1, stream_weight=3),
            DataFrame(1, body[:3], flags=("PADDED",), pad_length=0),
            DataFrame(1, b"", flags=("PADDED",), pad_length=200),
            DataFrame(1, b""),
            DataFrame(1, body[3:], flags=("PADDED",), pad_length=9),
            HeadersFrame(
                1, peer.block(OK_TRAILERS), flags=("END_HEADERS", "END_STREAM", "PRIORITY", "PADDED"), pad_length=3
            ),
        )
        assert await outcome(exchange) is None
        assert read_message(exchange) == b"padded"


async def test_padding_does_not_use_up_the_window_of_a_large_answer(monkeypatch):
    monkeypatch.setattr(http2_connection, "_STREAM_WINDOW_BYTES", 128 * 1024)
    message = bytes(64 * 1024 - 5)
    body = request_body(message)
    async with pair() as (connection, peer):
        settings = next(frame for frame in [await peer.read()] if isinstance(frame, SettingsFrame))
        window = settings.settings[WINDOW]
        room = http2_connection.CONNECTION_WINDOW_BYTES
        exchange = request(connection)
        await peer.request()
        peer.send(peer.headers(1, OK_FIELDS))
        rest, step = body, 50
        seen = len(peer.seen)
        while rest:
            piece, rest = rest[:step], rest[step:]
            data = DataFrame(1, piece, flags=("PADDED",), pad_length=255)
            window -= data.flow_controlled_length
            room -= data.flow_controlled_length
            if window < 300 or room < 300:
                await peer.ping()
                for frame in peer.seen[seen:]:
                    if isinstance(frame, WindowUpdateFrame):
                        window += frame.window_increment if frame.stream_id else 0
                        room += 0 if frame.stream_id else frame.window_increment
                seen = len(peer.seen)
                assert window > 600, "the answer could not go on"
            peer.send(data)
        peer.send(peer.headers(1, OK_TRAILERS, "END_STREAM"))
        assert await outcome(exchange) is None
        assert read_message(exchange) == message


async def test_empty_frames_are_not_kept():
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        peer.send(peer.headers(1, OK_FIELDS), *[DataFrame(1, b"")] * 5_000)
        await peer.ping()
        assert exchange.body == []


@pytest.mark.parametrize("excess", [0, 1])
async def test_an_answer_may_be_as_large_as_the_limit_and_no_larger(excess):
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        peer.send(peer.answer(1, bytes(http2_connection.MESSAGE_LIMIT_BYTES + excess)))
        failure = await outcome(exchange)
        if excess:
            assert failure.why is Failed.TOO_LARGE
            await peer.expect(RstStreamFrame)
        else:
            assert failure is None
            assert len(read_message(exchange)) == http2_connection.MESSAGE_LIMIT_BYTES
        await works(connection, peer)


async def test_headers_in_many_pieces_are_one_block():
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        block = peer.block((*OK_FIELDS, ("x-long", "y" * 20_000)))
        pieces = [block[at : at + 999] for at in range(0, len(block), 999)]
        peer.send(HeadersFrame(1, pieces[0]))
        for piece in pieces[1:-1]:
            peer.send(ContinuationFrame(1, piece))
            await asyncio.sleep(0)
        peer.send(ContinuationFrame(1, pieces[-1], flags=("END_HEADERS",)))
        peer.send(DataFrame(1, request_body(b"")), peer.headers(1, OK_TRAILERS, "END_STREAM"))
        assert await outcome(exchange) is None
        assert exchange.headers[-1] == (b"x-long", b"y" * 20_000)


async def test_news_before_the_answer_are_passed_by():
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        peer.send(peer.headers(1, ((":status", "103"), ("link", "<a>"))), peer.headers(1, ((":status", "100"),)))
        peer.send(peer.answer(1, b"at last"))
        assert await outcome(exchange) is None
        assert read_message(exchange) == b"at last"


async def test_what_comes_for_an_exchange_that_has_ended_is_passed_by():
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        connection.cancel(exchange)
        await peer.expect(RstStreamFrame)
        peer.send(peer.answer(1, LARGE), RstStreamFrame(1, error_code=5), WindowUpdateFrame(1, window_increment=5))
        await works(connection, peer)


async def test_what_is_received_for_nobody_is_given_back_to_the_connections_window():
    async with pair() as (connection, peer):
        peer.seen.clear()
        exchange = request(connection)
        await peer.request()
        connection.cancel(exchange)
        count = http2_connection.CONNECTION_WINDOW_BYTES // 2 // 16_384 + 1
        peer.send(*[DataFrame(1, bytes(16_384))] * count)
        given = (await peer.expect(WindowUpdateFrame)).window_increment
        if not given:
            given = (await peer.expect(WindowUpdateFrame)).window_increment
        assert given * 2 >= http2_connection.CONNECTION_WINDOW_BYTES or given > 2**20


async def test_kinds_that_nobody_knows_are_passed_by():
    async with pair() as (connection, peer):
        peer.send(_raw(0xBE, b"anything", 0, 0xFF), _raw(0x0A, b"", 7), _raw(0x10, bytes(16_384), 1))
        await works(connection, peer)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda peer: DataFrame(1, b"early"),
        lambda peer: peer.headers(1, (("content-type", "application/grpc"),)),
        lambda peer: peer.headers(1, OK_FIELDS).serialize() * 2,
        lambda peer: HeadersFrame(1, b"\x20", flags=("END_HEADERS",)),
    ],
    ids=["body without headers", "headers without status", "headers twice", "no headers"],
)
async def test_an_answer_that_is_none_ends_its_exchange_alone(wrong):
    async with pair() as (connection, peer):
        first, second = request(connection), request(connection)
        await peer.request()
        await peer.request()
        peer.send(wrong(peer))
        assert (await outcome(first)).why is Failed.BROKEN
        assert (await peer.expect(RstStreamFrame)).error_code == http2.PROTOCOL_ERROR
        peer.send(peer.answer(3, b"fine"))
        assert await outcome(second) is None


def _raw(kind: int, payload: bytes, stream_id: int = 0, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


BROKEN = {
    "a frame that is too long": (b"\x00\x40\x01\0\0\0\0\0\1", http2.FRAME_SIZE_ERROR),
    "a stream nobody opened": (_raw(0, b"x", 99), http2.PROTOCOL_ERROR),
    "a stream of the server": (_raw(1, b"\x20", 2, 4), http2.PROTOCOL_ERROR),
    "data of no stream": (_raw(0, b"x", 0), http2.PROTOCOL_ERROR),
    "headers of no stream": (_raw(1, b"\x20", 0, 4), http2.PROTOCOL_ERROR),
    "a reset of no stream": (_raw(3, bytes(4), 0), http2.PROTOCOL_ERROR),
    "a short reset": (_raw(3, b"abc", 1), http2.FRAME_SIZE_ERROR),
    "broken settings": (_raw(4, b"abc"), http2.FRAME_SIZE_ERROR),
    "settings of a stream": (_raw(4, b"", 1), http2.PROTOCOL_ERROR),
    "a window that is too large": (_raw(4, b"\0\4\x80\0\0\0"), http2.FLOW_CONTROL_ERROR),
    "a push": (PushPromiseFrame(1, 2, b"\x88", flags=("END_HEADERS",)).serialize(), http2.PROTOCOL_ERROR),
    "a short ping": (_raw(6, b"1234567"), http2.FRAME_SIZE_ERROR),
    "a short goodbye": (_raw(7, bytes(7)), http2.FRAME_SIZE_ERROR),
    "a short window update": (_raw(8, bytes(3), 1), http2.FRAME_SIZE_ERROR),
    "padding longer than its frame": (_raw(0, b"\x05abc", 1, 8), http2.PROTOCOL_ERROR),
    "padding without its length": (_raw(0, b"", 1, 8), http2.PROTOCOL_ERROR),
    "headers with too much padding": (_raw(1, b"\x05abc", 1, 0xC), http2.PROTOCOL_ERROR),
    "a continuation of nothing": (_raw(9, b"", 1, 4), http2.PROTOCOL_ERROR),
    "a continuation of another": (_raw(1, b"", 1) + _raw(9, b"\x88", 3, 4), http2.PROTOCOL_ERROR),
    "an interrupted header block": (_raw(1, b"\x88", 1) + _raw(6, bytes(8)), http2.PROTOCOL_ERROR),
    "empty continuations": (_raw(1, b"\x88", 1) + _raw(9, b"", 1) * 100, http2.ENHANCE_YOUR_CALM),
    "endless continuations": (_raw(1, b"\x88", 1) + _raw(9, bytes(16_384), 1) * 5, http2.ENHANCE_YOUR_CALM),
    "a header block that is none": (_raw(1, b"\x20\xff\xff\xff", 1, 4), http2.COMPRESSION_ERROR),
    "a number without end": (_raw(1, b"\x20\x1f" + b"\xff" * 16_000, 1, 4), http2.COMPRESSION_ERROR),
    "a field of a table that is ruled out": (_raw(1, b"\x20\xbe", 1, 4), http2.COMPRESSION_ERROR),
    "a table that is ruled out": (_raw(1, b"\x3f\xe1\x1f\x88", 1, 4), http2.COMPRESSION_ERROR),
    "a table that was not given up": (_raw(1, b"\x88", 1, 4), http2.COMPRESSION_ERROR),
    "a table size in the middle": (_raw(1, b"\x20\x88\x20", 1, 4), http2.COMPRESSION_ERROR),
    "fields that unfold": (_raw(1, b"\x20" + b"\x90" * 3_000, 1, 4), http2.COMPRESSION_ERROR),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_peer_that_breaks_http2_is_dropped_with_the_reason(name):
    data, code = BROKEN[name]
    async with pair() as (connection, peer):
        exchanges = [request(connection), request(connection)]
        await peer.request()
        peer.send(data)
        assert await dropped(connection, peer) == code
        assert {(await outcome(each)).why for each in exchanges} == {Failed.LOST}
        assert not (await outcome(request(connection))).is_untouched or connection.is_over


async def test_a_literal_with_indexing_is_read_though_nothing_is_kept_of_it():
    async with pair() as (connection, peer):
        exchange = request(connection)
        await peer.request()
        literal = b"\x20\x88\x40\x03abc\x03xyz"
        peer.send(HeadersFrame(1, literal, flags=("END_HEADERS",)), DataFrame(1, request_body(b"")))
        peer.send(HeadersFrame(1, b"\x40\x0bgrpc-status\x010", flags=("END_HEADERS", "END_STREAM")))
        assert await outcome(exchange) is None
        assert exchange.headers == ((b":status", b"200"), (b"abc", b"xyz"))
        await works(connection, peer)


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
    monkeypatch.setattr(http2_connection, "KEEPALIVE_TIMEOUT_SECONDS", 0.2)
    async with pair() as (connection, peer):
        for _ in range(3):
            asked = await peer.expect(PingFrame)
            peer.send(PingFrame(0, opaque_data=asked.opaque_data, flags=("ACK",)))
        await works(connection, peer)


# Cut everywhere.


async def test_an_answer_that_is_cut_anywhere_is_a_failure_and_never_half_an_answer():
    async with pair() as (_, peer):
        whole = peer.answer(1, b"0123456789")
    for cut in range(len(whole)):
        async with pair() as (connection, peer):
            exchange = request(connection)
            await peer.expect(DataFrame)
            peer.send(whole[:cut])
            await peer.writer.drain()
            peer.writer.close()
            failure = await outcome(exchange)
            assert (cut, failure.why) == (cut, Failed.LOST)
            assert outcome_of_exchange(exchange, failure).code.name == "UNAVAILABLE"


async def test_frames_and_their_pieces_are_read_the_same_however_they_come():
    def parts(frame: Frame) -> bytes:
        return frame.serialize()

    async with pair() as (connection, peer):
        exchanges = [request(connection, str(number).encode()) for number in range(3)]
        for _ in exchanges:
            await peer.request()
        data = b"".join((peer.answer(5, b"c"), parts(PingFrame(0)), peer.answer(1, b"a"), peer.answer(3, b"b")))
        for at in range(len(data)):
            peer.send(data[at : at + 1])
            await asyncio.sleep(0)
        assert [await outcome(each) for each in exchanges] == [None] * 3
        assert [read_message(each) for each in exchanges] == [b"a", b"b", b"c"]
