"""A request on an HTTP/2 connection and what came of it. Made by chassis.grpc_client.http2_connection, read by
chassis.grpc_client.rpc_unary.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from chassis.errors.wire import ANSWER_TOO_LARGE
from chassis.grpc_client.http2 import NO_ERROR, REFUSED_STREAM, Headers


class Failed(Enum):
    """The reason for which an exchange did not complete."""

    LOST = "the connection was lost"
    GOAWAY = "the connection ended before the request was taken"
    RESET = "the peer reset the stream"
    TOO_LARGE = ANSWER_TOO_LARGE
    BROKEN = "the answer is no valid HTTP/2"
    TOO_LATE = "the deadline passed"
    CANCELLED = "cancelled here"
    CLOSED = "the channel was closed"


class Failure(NamedTuple):
    """`code` is the peer's, of RFC 9113, where it reset the stream."""

    why: Failed
    text: str
    code: int = NO_ERROR

    @property
    def is_untouched(self) -> bool:
        """True when the peer reported that it did not process the request, so that it may be repeated."""
        return self.why is Failed.GOAWAY or (self.why is Failed.RESET and self.code == REFUSED_STREAM)


class Stream:
    """A request and its answer so far. `ended` returns None when the peer ended it properly: then `trailers` are set, and
    `headers` too unless the peer sent nothing else.
    """

    __slots__ = (
        "body",
        "body_bytes",
        "ended",
        "headers",
        "on_data",
        "room",
        "stream_id",
        "taken",
        "trailers",
        "unsent",
    )

    def __init__(self, ended: "asyncio.Future[Failure | None]", on_data: Callable[[bytes], None] | None) -> None:
        self.ended = ended
        self.on_data = on_data
        """Takes the body as it comes; without it the pieces collect in `body`."""
        self.stream_id = 0
        self.headers: Headers | None = None
        self.trailers: Headers | None = None
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.taken = 0
        self.unsent: memoryview | None = None
        """The rest of the request that is not yet sent; `room` is how much of it the peer accepts now."""
        self.room = 0
