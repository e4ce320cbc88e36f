"""HTTP/2's bytes: header blocks and frames as other implementations read and write them, and whatever a broken peer may send."""

import asyncio
from contextlib import suppress
from typing import Any

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.grpc_client import http2
from chassis.grpc_client.http2_connection import Connection
from chassis.grpc_client.http2_exchange import Failure
from chassis.grpc_client.rpc_wire import outcome_of_exchange, read_message, request_body, request_head

NAMES = st.text("abcxyz019_.-", min_size=1, max_size=126)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=200)


@settings(max_examples=50)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_what_we_write_another_decoder_reads(pairs):
    block = http2.NO_TABLE + b"".join(http2.field(name, value.encode()) for name, value in pairs)
    decoder = hpack.Decoder(max_header_list_size=2**20)
    decoder.max_allowed_table_size = 0
    assert list(decoder.decode(block)) == pairs
    assert list(decoder.decode(block)) == pairs


@pytest.mark.parametrize("size", [0, 126, 127, 128, 254, 255, 16_510, 2**20])
def test_values_of_every_length_are_read(size):
    decoder = hpack.Decoder(max_header_list_size=2**21)
    assert list(decoder.decode(http2.field("x", b"v" * size))) == [("x", "v" * size)]


def test_secrets_are_never_indexed_by_anybody():
    for name in ("authorization", "x-service-authorization"):
        (read,) = hpack.Decoder().decode(http2.field(name, b"secret"))
        assert not read.indexable


@pytest.mark.parametrize(
    "name", ["", "X-Upper", "with space", "tab\t", "new\nline", "ünicode", "x" * 127, "::path", "a:b"]
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="no name"):
        http2.field(name, b"")


@settings(max_examples=50)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans())
def test_what_another_encoder_writes_we_read(pairs, huffman):
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    reader = http2.FieldReader()
    for _ in range(3):
        assert [
            (name.decode(), value.decode()) for name, value in reader.read(encoder.encode(pairs, huffman=huffman))
        ] == pairs


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 40_000])
def test_a_long_header_block_goes_in_pieces(size):
    block = bytes(size)
    data = memoryview(http2.header_frames(5, block))
    read = b""
    kinds = []
    while data:
        frame, length = Frame.parse_frame_header(data[:9])
        frame.parse_body(data[9 : 9 + length])
        data = data[9 + length :]
        kinds.append((type(frame), "END_HEADERS" in frame.flags, "END_STREAM" in frame.flags, frame.stream_id))
        read += frame.data
    assert read == block
    assert kinds[0] == (HeadersFrame, len(kinds) == 1, False, 5)
    assert kinds[1:] == [(ContinuationFrame, index == len(kinds) - 2, False, 5) for index in range(len(kinds) - 1)]


def test_frames_are_those_that_another_implementation_writes():
    assert (
        http2.frame(http2.DATA, http2.END_STREAM, 7, b"abc") == DataFrame(7, b"abc", flags=("END_STREAM",)).serialize()
    )
    assert http2.reset(7, http2.CANCEL) == RstStreamFrame(7, error_code=8).serialize()
    assert http2.window_update(7, 2**31 - 1) == WindowUpdateFrame(7, window_increment=2**31 - 1).serialize()
    assert http2.settings([(4, 2**31 - 1), (1, 0)]) == SettingsFrame(0, settings={4: 2**31 - 1, 1: 0}).serialize()


class _Wire(asyncio.Transport):
    """A transport to nobody: keeps what was written."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__()
        self.written = bytearray()
        self._protocol = protocol
        self._closing = False

    def write(self, data: Any) -> None:
        assert not self._closing
        self.written += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close


_encoder = hpack.Encoder()
_encoder.header_table_size = 0
_BLOCKS = [
    _encoder.encode(fields)
    for fields in (
        [(":status", "200")],
        [(":status", "100")],
        [("grpc-status", "0")],
        [(":status", "503"), ("grpc-status", "14")],
        [],
    )
]
_STREAMS = st.sampled_from((0, 1, 1, 1, 3, 3, 5, 2, 7, 2**31 - 1))
_PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(_BLOCKS),
    st.sampled_from((request_body(b"abc"), request_body(b""), bytes(4), bytes(8), b"\0\4\0\0\0\1", b"\0\3\0\0\0\0")),
)


@st.composite
def _pieces(draw: Any) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    payload = draw(_PAYLOADS)
    kind = draw(st.integers(0, 11))
    return http2.frame(kind, draw(st.sampled_from((0, 0, 1, 4, 5, 8, 13, 0x20, 0xFF))), draw(_STREAMS), payload)


async def _garbage(data: bytes, step: int) -> None:
    loop = asyncio.get_running_loop()
    escaped: list[Any] = []
    loop.set_exception_handler(lambda _, context: escaped.append(context))
    connection = Connection(lambda: None)
    wire = _Wire(connection)
    connection.connection_made(wire)
    connection.data_received(SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 2}).serialize())
    head = request_head("/a.B/C", "a", is_tls=False)
    exchanges = [connection.exchange(head, request_body(bytes(number * 40_000))) for number in range(3)]
    await asyncio.sleep(0)
    for at in range(0, len(data), step):
        connection.data_received(data[at : at + step])
        if at % 7 == 0:
            await asyncio.sleep(0)
    connection.cancel(exchanges[1])
    connection.pause_writing()
    connection.resume_writing()
    connection.close()
    await connection.lost
    for exchange in exchanges:
        failure = exchange.ended.result()
        assert failure is None or isinstance(failure, Failure)
        if outcome_of_exchange(exchange, failure).code.value[0] == 0:
            with suppress(ValueError):
                read_message(exchange)
    left = (connection._exchanges, connection._queued, connection._blocked, connection._unsent)
    assert not any(left)
    assert escaped == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_pieces(), max_size=12), st.sampled_from((1, 3, 10, 1_000)))
def test_whatever_comes_every_exchange_ends_and_nothing_escapes(pieces, step):
    asyncio.run(_garbage(b"".join(pieces), step))


def test_a_cut_at_every_byte_ends_the_exchange():
    frames = (
        HeadersFrame(1, _BLOCKS[0], flags=("END_HEADERS",)),
        PingFrame(0),
        DataFrame(1, request_body(b"abc")),
        GoAwayFrame(0, last_stream_id=1),
        HeadersFrame(1, _BLOCKS[2], flags=("END_HEADERS", "END_STREAM")),
    )
    whole = b"".join(frame.serialize() for frame in frames)
    for cut in range(len(whole) + 1):
        asyncio.run(_garbage(whole[:cut], 1 + cut % 5))
