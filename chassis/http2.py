"""HTTP/2's bytes as a gRPC client writes and reads them (RFC 9113 frames, RFC 7541 header blocks). Holds no connection.

Header blocks keep no state between them: what we send adds nothing to the peer's table, and we allow the peer none, so the same
bytes always mean the same fields and are decoded once. Used by chassis.http2_connection and chassis.rpc_unary.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final

from hpack import Decoder
from hpack.exceptions import HPACKError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HEAD_BYTES: Final = 9
FRAME_LIMIT_BYTES: Final = 16_384
"""Of a frame's payload: what every peer accepts, and what we announce (RFC 9113, 4.2)."""
FRAME_MAX_BYTES: Final = 2**24 - 1
WINDOW_BYTES: Final = 65_535
WINDOW_MAX_BYTES: Final = 2**31 - 1
STREAM_ID_MAX: Final = 2**31 - 1
FIELDS_LIMIT_BYTES: Final = 64 * 1024
"""Of one header block, on the wire and decoded."""

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
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
MAX_FRAME_SIZE: Final = 5
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

Fields = tuple[tuple[bytes, bytes], ...]
"""Of one header block, in their order."""

_HEAD = Struct("!HBBBI")
_SETTING = Struct("!HI")
_SECRETS = frozenset({"authorization", "x-service-authorization"})
_KNOWN_BLOCKS = 256
_KNOWN_BLOCK_BYTES = 512
"""Blocks that are longer than this say something of one call, and would not come again."""


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
    """A literal field without indexing (RFC 7541, 6.2.2); one that is a secret may never be indexed by anybody (6.2.3)."""
    length = len(value)
    if length < 0x7F:
        return _field_name(name) + bytes((length,)) + value
    return _field_name(name) + _long(length) + value


@lru_cache(maxsize=256)
def _field_name(name: str) -> bytes:
    raw = name.encode("ascii")
    assert len(raw) < 0x7F  # noqa: S101  names are the code's own
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


class FieldReader:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=FIELDS_LIMIT_BYTES)
        self._decoder.max_allowed_table_size = 0
        self._known: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
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
