"""HTTP/2's bytes as a gRPC client writes and reads them (RFC 9113 frames, RFC 7541 header blocks). Holds no connection.

Header blocks keep no state between them: what we send adds nothing to the peer's table, and we allow the peer none, so the same
bytes always mean the same fields and are decoded once. Used by chassis.grpc_client.http2_connection and
chassis.grpc_client.rpc_unary.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final

from hpack import Decoder
from hpack.exceptions import HPACKError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HEAD_BYTES: Final = 9
FRAME_LIMIT_BYTES: Final = 16_384
"""The size of a frame's payload that every peer accepts, and that we announce (RFC 9113, 4.2)."""
NO_TABLE: Final = b"\x20"
"""States at the beginning of our first header block that we use no table: a peer that allows a smaller one than RFC 7541's
4,096 bytes waits for this (4.2)."""
WINDOW_BYTES: Final = 65_535
WINDOW_MAX_BYTES: Final = 2**31 - 1
STREAM_ID_MAX: Final = 2**31 - 1
FIELDS_LIMIT_BYTES: Final = 64 * 1024
"""The size of one header block, on the wire and decoded."""

DATA: Final = 0
HEADERS: Final = 1
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_HEADER_LIST_SIZE: Final = 6

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
FLOW_CONTROL_ERROR: Final = 3
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11
INADEQUATE_SECURITY: Final = 12

Headers = tuple[tuple[bytes, bytes], ...]
"""The fields of one header block, in their order."""

_HEAD = Struct("!HBBBI")
_SETTING = Struct("!HI")
_NAME = re.compile(r":?[a-z0-9_.-]{1,126}")
_SECRETS = frozenset({"authorization", "x-service-authorization"})
_KNOWN_BLOCKS = 256
_KNOWN_BLOCK_BYTES = 512
"""Longer blocks than this are specific to one call, and would not occur again."""


class ProtocolViolation(Exception):
    """The peer broke HTTP/2; the connection cannot go on. `code` is RFC 9113's error code for it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame(kind: int, flags: int, stream_id: int, payload: bytes | memoryview = b"") -> bytes:
    length = len(payload)
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def read_head(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Payload length, kind, flags and stream id of the frame whose head begins there."""
    high, low, kind, flags, stream_id = _HEAD.unpack_from(data, at)
    return high << 8 | low, kind, flags, stream_id & STREAM_ID_MAX


def settings(values: Sequence[tuple[int, int]]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    if len(payload) % _SETTING.size:
        raise ProtocolViolation(FRAME_SIZE_ERROR, "settings of a broken length")
    yield from _SETTING.iter_unpack(payload)


def window_update(stream_id: int, count: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, count.to_bytes(4, "big"))


def reset(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def header_frames(stream_id: int, block: bytes) -> bytes:
    """One header block that does not end its stream; in several frames where it is too long for one."""
    if len(block) <= FRAME_LIMIT_BYTES:
        return frame(HEADERS, END_HEADERS, stream_id, block)
    pieces = [block[at : at + FRAME_LIMIT_BYTES] for at in range(0, len(block), FRAME_LIMIT_BYTES)]
    last = len(pieces) - 1
    return b"".join(
        frame(CONTINUATION if index else HEADERS, END_HEADERS if index == last else 0, stream_id, piece)
        for index, piece in enumerate(pieces)
    )


def field(name: str, value: bytes) -> bytes:
    """A literal field without indexing (RFC 7541, 6.2.2); one that is a secret may never be indexed by anybody (6.2.3).

    Raises:
        ValueError: HTTP/2 or gRPC knows no such name; the peer would drop the connection for it.
    """
    length = len(value)
    if length < 0x7F:
        return _field_name(name) + bytes((length,)) + value
    return _field_name(name) + _long(length) + value


@lru_cache(maxsize=256)
def _field_name(name: str) -> bytes:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of a field")
    raw = name.encode("ascii")
    return (b"\x10" if name in _SECRETS else b"\x00") + bytes((len(raw),)) + raw


def _long(value: int) -> bytes:
    """An integer that does not fit into seven bits (RFC 7541, 5.1)."""
    octets = bytearray((0x7F,))
    value -= 0x7F
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


class FrameReader:
    """Cuts what a peer sends into frames, and gives each to what takes its kind: flags, stream id, payload. A header block comes
    in one piece and without its padding; unknown kinds are ignored.
    """

    def __init__(self, takers: Mapping[int, Callable[[int, int, bytes], None]]) -> None:
        self._takers = {**takers, HEADERS: self._on_headers, CONTINUATION: self._on_continuation}
        self._take_block = takers[HEADERS]
        self._rest = b""
        self._block: tuple[int, int, bytearray] | None = None
        """Stream, flags and beginning of a header block that goes on in the next frame."""

    def feed(self, data: bytes) -> None:
        """Raises: ProtocolViolation."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= HEAD_BYTES:
            length, kind, flags, stream_id = read_head(data, at)
            if length > FRAME_LIMIT_BYTES:
                raise ProtocolViolation(FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            start = at + HEAD_BYTES
            if start + length > end:
                break
            at = start + length
            if self._block is not None and kind != CONTINUATION:
                raise ProtocolViolation(PROTOCOL_ERROR, "a header block was interrupted")
            take = self._takers.get(kind)
            if take is not None:
                take(flags, stream_id, data[start:at])
        self._rest = data[at:]

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = unpadded(flags, payload)
        if flags & WITH_PRIORITY:
            block = block[5:]
        if flags & END_HEADERS:
            self._take_block(flags, stream_id, block)
        else:
            self._block = (stream_id, flags, bytearray(block))

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream_id:
            raise ProtocolViolation(PROTOCOL_ERROR, "a continuation of nothing")
        _, first_flags, block = self._block
        block += payload
        if len(block) > FIELDS_LIMIT_BYTES or not (payload or flags & END_HEADERS):
            raise ProtocolViolation(ENHANCE_YOUR_CALM, "a header block without end")
        if flags & END_HEADERS:
            self._block = None
            self._take_block(first_flags, stream_id, bytes(block))


class FieldReader:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=FIELDS_LIMIT_BYTES)
        self._decoder.max_allowed_table_size = 0
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """Raises: ProtocolViolation."""
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            fields = tuple((bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True))
        except HPACKError as error:
            raise ProtocolViolation(COMPRESSION_ERROR, f"header block: {error}") from error
        if len(block) <= _KNOWN_BLOCK_BYTES:
            if len(self._known) >= _KNOWN_BLOCKS:
                self._known.clear()
            self._known[block] = fields
        return fields


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload of a DATA or HEADERS frame without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolViolation(PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
