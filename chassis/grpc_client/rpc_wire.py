"""gRPC over HTTP/2 as bytes (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): a request's header fields and body,
and the outcome in trailers. Used by chassis.grpc_client.rpc_unary and chassis.grpc_client.rpc_connections.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import grpc

from chassis.grpc_client import http2
from chassis.grpc_client.http2 import Headers, field
from chassis.grpc_client.http2_exchange import Failed, Failure, Stream

MESSAGE_HEAD_BYTES: Final = 5
"""Before a message: whether it is compressed, and its length in four bytes."""

FIELDS_REMEMBERED: Final = 2_048
"""About 4 MB where they are tokens."""

Metadata = Sequence[tuple[str, str | bytes]]

_Code = grpc.StatusCode
_CODES = {str(code.value[0]).encode(): code for code in _Code}
_CODE_OF_HTTP = {
    b"400": _Code.INTERNAL,
    b"401": _Code.UNAUTHENTICATED,
    b"403": _Code.PERMISSION_DENIED,
    b"404": _Code.UNIMPLEMENTED,
    b"429": _Code.UNAVAILABLE,
    b"502": _Code.UNAVAILABLE,
    b"503": _Code.UNAVAILABLE,
    b"504": _Code.UNAVAILABLE,
}
_CODE_OF_RESET = {
    http2.REFUSED_STREAM: _Code.UNAVAILABLE,
    http2.CANCEL: _Code.CANCELLED,
    http2.ENHANCE_YOUR_CALM: _Code.RESOURCE_EXHAUSTED,
    http2.INADEQUATE_SECURITY: _Code.PERMISSION_DENIED,
}
_CODE_OF_FAILURE = {
    Failed.LOST: _Code.UNAVAILABLE,
    Failed.GOAWAY: _Code.UNAVAILABLE,
    Failed.TOO_LARGE: _Code.RESOURCE_EXHAUSTED,
    Failed.BROKEN: _Code.INTERNAL,
    Failed.TOO_LATE: _Code.DEADLINE_EXCEEDED,
    Failed.CANCELLED: _Code.CANCELLED,
    Failed.CLOSED: _Code.CANCELLED,
}
_RECURRING = frozenset({"authorization", "x-service-authorization", "x-client-ip", "accept-language"})
"""Headers that users and clients repeat. Checking each character of two tokens took a third of the time of a request header."""
_PROTOCOL_FIELDS = frozenset(
    {b":status", b"content-type", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-status", b"grpc-message"}
)
_TIMEOUT_MAX = 99_999_999
"""Eight digits."""


class Outcome(NamedTuple):
    """The outcome of a call, as reported by the server or by the connection to it."""

    code: grpc.StatusCode
    details: str
    metadata: tuple[tuple[str, str | bytes], ...] = ()


def request_head(method: str, authority: str, *, is_tls: bool) -> bytes:
    """The fields that every call of `/package.Service/Method` begins with."""
    fields = (
        (":method", "POST"),
        (":scheme", "https" if is_tls else "http"),
        (":path", method),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "samovar"),
    )
    return b"".join(field(name, value.encode("ascii")) for name, value in fields)


def timeout_field(seconds: float) -> bytes:
    """`grpc-timeout`, never less than nothing."""
    seconds = min(seconds, _TIMEOUT_MAX)
    micros = max(1, int(seconds * 1_000_000))
    if micros <= _TIMEOUT_MAX:
        return field("grpc-timeout", b"%du" % micros)
    return field("grpc-timeout", b"%dS" % seconds)


def metadata_fields(metadata: Metadata) -> bytes:
    """Raises: ValueError for an invalid name, and for text that is not printable ASCII: it could not arrive as it is."""
    return b"".join(
        [
            _recurring_field(name, value) if name in _RECURRING else _metadata_field(name, value)
            for name, value in metadata
        ]
    )


def _metadata_field(name: str, value: str | bytes) -> bytes:
    if isinstance(value, bytes) is not name.endswith("-bin"):
        raise ValueError(f"metadata {name!r}: bytes, and only they, have a name that ends in -bin")
    if isinstance(value, bytes):
        return field(name, b64encode(value).rstrip(b"="))
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"metadata {name!r} is not printable ASCII")
    # Spaces around a value are not part of it (RFC 9113, 8.2.1), and strict servers drop the connection for them.
    return field(name, value.strip(" ").encode("ascii"))


_recurring_field = lru_cache(FIELDS_REMEMBERED)(_metadata_field)


def request_body(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


@lru_cache(maxsize=128)
def outcome_of(trailers: Headers) -> Outcome:
    """Return the outcome in trailers, or in the only header block of an answer without anything else. Most are equal."""
    status = http_status = None
    details = ""
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in trailers:
        if name == b"grpc-status":
            status = value
        elif name == b"grpc-message":
            details = unquote_to_bytes(value).decode(errors="replace")
        elif name == b":status":
            http_status = value
        elif name not in _PROTOCOL_FIELDS:
            metadata.extend(_read_metadata(name, value))
    if status is not None:
        return Outcome(_CODES.get(status, _Code.UNKNOWN), details, tuple(metadata))
    if http_status is None or http_status == b"200":
        return Outcome(_Code.INTERNAL, "the answer has no status")
    return Outcome(_CODE_OF_HTTP.get(http_status, _Code.UNKNOWN), f"HTTP status {http_status.decode(errors='replace')}")


def _read_metadata(name: bytes, value: bytes) -> Iterator[tuple[str, str | bytes]]:
    key = name.decode(errors="replace")
    if not key.endswith("-bin"):
        yield key, value.decode(errors="replace")
        return
    # A proxy that passes it on may have joined several into one.
    for each in value.split(b","):
        try:
            yield key, b64decode(each + b"=" * (-len(each) % 4))
        except Base64Error:
            yield key, b""


def outcome_of_exchange(exchange: Stream, failure: Failure | None) -> Outcome:
    """Return the outcome of an ended exchange. OK does not cover the message yet: `read_message` checks it."""
    if failure is not None:
        code = _CODE_OF_RESET.get(failure.code, _Code.INTERNAL) if failure.why is Failed.RESET else None
        return Outcome(code or _CODE_OF_FAILURE[failure.why], failure.text)
    if exchange.headers is not None and exchange.headers[0][1] != b"200":
        return outcome_of(exchange.headers)
    if exchange.trailers is None:
        return Outcome(_Code.INTERNAL, "the answer ended without trailers")
    return outcome_of(exchange.trailers)


def initial_metadata_of(exchange: Stream) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata that the server sent before its message, without the protocol's own fields."""
    if exchange.headers is None:
        return ()
    return tuple(
        pair for name, value in exchange.headers if name not in _PROTOCOL_FIELDS for pair in _read_metadata(name, value)
    )


def read_message(exchange: Stream) -> bytes:
    """The one message of an answer. Raises: ValueError for anything else."""
    body = exchange.body[0] if len(exchange.body) == 1 else b"".join(exchange.body)
    if len(body) < MESSAGE_HEAD_BYTES:
        raise ValueError("the answer has no message")
    if body[0]:
        raise ValueError("the answer is compressed, though nobody asked for it")
    if int.from_bytes(body[1:MESSAGE_HEAD_BYTES], "big") != len(body) - MESSAGE_HEAD_BYTES:
        raise ValueError("the answer is not one message")
    return body[MESSAGE_HEAD_BYTES:]
