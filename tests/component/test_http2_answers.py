"""Answers of an HTTP/2 peer, proper ones and all others, byte by byte."""

import asyncio

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from chassis.grpc_client import http2, http2_connection
from chassis.grpc_client.http2_exchange import Failed
from chassis.grpc_client.rpc_wire import outcome_of_exchange, read_message, request_body
from tests.component.http2_rig import (
    LARGE,
    OK_FIELDS,
    OK_TRAILERS,
    WINDOW,
    dropped,
    nothing_escapes,
    outcome,
    pair,
    request,
    works,
)

__all__ = ["nothing_escapes"]


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
        exchange = request(connection)
        await peer.request()
        connection.cancel(exchange)
        count = http2_connection.CONNECTION_WINDOW_BYTES // 2 // 16_384 + 1
        peer.send(*[DataFrame(1, bytes(16_384))] * count)
        given = (await peer.expect(WindowUpdateFrame)).window_increment
        assert given * 2 >= http2_connection.CONNECTION_WINDOW_BYTES


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
