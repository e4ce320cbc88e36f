"""Every limit of the gateway, by name: sizes of what comes in, waits, and what a socket may hold. Given to the application
as one value, so that tests can make them small.
"""

from dataclasses import dataclass

from chassis.http.server import BODY_SECONDS, KEEPALIVE_SECONDS


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    body_bytes: int = 2 * 1024 * 1024
    url_bytes: int = 8 * 1024
    headers_bytes: int = 16 * 1024
    list_header_bytes: int = 2 * 1024
    """The size of all values of one header that is parsed for every request: those that choose the answer's form, proxies."""
    body_seconds: float = BODY_SECONDS
    """Time of a body, before the bytes that came of it add to it."""
    query_parameters: int = 100
    request_id_characters: int = 128
    keepalive_seconds: float = KEEPALIVE_SECONDS

    sockets: int = 10_000
    """Live sockets of one process, including those whose client is not authenticated yet."""
    sockets_per_user: int = 10
    """Per process."""
    socket_message_bytes: int = 16 * 1024
    """The longest message that a client may send over a socket."""
    socket_buffer_events: int = 256
    """Events that may wait for a slow reader, beside what the transport holds."""
    authentication_seconds: float = 5.0
    stream_begin_seconds: float = 1.0
    """The longest time that the answer to a stream's client waits for the service to confirm that it follows. A service that sends
    no initial metadata before its first event may follow a little later than the client believes.
    """
    ping_seconds: float = 30.0
    silence_seconds: float = 60.0
    close_seconds: float = 5.0
    """The time that a client has to read the last message and the close frame before the connection is cut."""

    kept_answer_bytes: int = 256 * 1024
    """The longest answer that is kept under an Idempotency-Key."""
    kept_user_bytes: int = 1024 * 1024
    """The size of all kept answers of one user; the oldest are dropped first."""
    rate_leases: int = 20_000
    """Users' leases of permits that a process remembers."""


PARSER_LINE_BYTES = 64 * 1024
PARSER_FIELD_BYTES = 32 * 1024
"""The limit of the HTTP parser itself for a request line or one header: well above our own limits, which know more of the request
when they refuse it. The parser's limits for the two differ, because nothing else in its message distinguishes them.
"""
