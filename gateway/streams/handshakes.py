"""The handshake of a stream: which page may open it, its token, the event after which it continues; and the step from HTTP to
WebSocket. Contract: section 4.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from gateway.contract import Problem
from gateway.http.auth import bearer_token
from gateway.problems.errors import Refused

SUBPROTOCOL = "samovar.v1"
TOKEN_SUBPROTOCOL_PREFIX = "bearer."  # noqa: S105  a prefix, no secret
TOKEN_PARAMETER = "token"  # noqa: S105  a name, no secret
LAST_EVENT_PARAMETER = "last_event_id"
LAST_EVENT_HEADER = "Last-Event-ID"
HANDSHAKE_PARAMETERS = frozenset({TOKEN_PARAMETER, LAST_EVENT_PARAMETER})
"""The query parameters of the handshake; all others belong to the method."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """The content of a client's handshake: the token unless it follows as a message, and the last event it saw."""

    token: str | None
    last_event_id: str | None
    subprotocols: tuple[str, ...]
    """The subprotocols from which we may choose."""


def is_upgrade(request: web.Request) -> bool:
    """True for a client that wants another protocol than HTTP, which can only be WebSocket."""
    return "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()


def read_handshake(request: web.Request, allowed_origins: Collection[str]) -> Handshake:
    """Reads the handshake.

    Raises:
        Refused: it is not a valid handshake, or comes from a page that may not connect.
        DomainError: UNAUTHENTICATED for an Authorization header that holds no bearer token.
    """
    _check_origin(request, allowed_origins)
    offered = tuple(_offered_subprotocols(request))
    token = bearer_token(request) or _token_of(offered) or request.query.get(TOKEN_PARAMETER) or None
    return Handshake(
        token=token,
        # What no string of protobuf can hold is no id of ours; as some other text it asks for a resync.
        last_event_id=_last_event_of(request).encode(errors="replace").decode() or None,
        subprotocols=(SUBPROTOCOL,) if SUBPROTOCOL in offered else (),
    )


def _last_event_of(request: web.Request) -> str:
    """The header is what an EventSource itself keeps up to date, so it is newer than its address."""
    return request.headers.get(LAST_EVENT_HEADER, "") or request.query.get(LAST_EVENT_PARAMETER, "")


def _check_origin(request: web.Request, allowed_origins: Collection[str]) -> None:
    """Browsers send cookies and whatever else to any WebSocket of any page; only Origin identifies a foreign page (RFC 6455,
    section 10.2). Other clients send none.
    """
    for origin in request.headers.getall(hdrs.ORIGIN, ()):
        if origin not in allowed_origins and _authority_of(origin) != request.host.lower():
            raise Refused(Problem("PERMISSION_DENIED", header=hdrs.ORIGIN))


def _authority_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _offered_subprotocols(request: web.Request) -> Iterator[str]:
    for header in request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()):
        yield from (name.strip() for name in header.split(","))


def _token_of(offered: Collection[str]) -> str | None:
    for name in offered:
        if name.startswith(TOKEN_SUBPROTOCOL_PREFIX):
            return name.removeprefix(TOKEN_SUBPROTOCOL_PREFIX) or None
    return None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A handshake that can be answered, and the socket that the connection becomes."""

    socket: web.WebSocketResponse
    _request: web.BaseRequest

    async def answer(self) -> None:
        await self.socket.prepare(self._request)


def read_upgrade(request: web.Request, handshake: Handshake, *, close_seconds: float, message_bytes: int) -> Upgrade:
    """Reads what makes the connection a WebSocket, whose close() waits up to `close_seconds` for the client's part.

    Raises:
        Refused: the request is not a WebSocket handshake.
    """
    cleaned: web.BaseRequest = request
    if hdrs.SEC_WEBSOCKET_PROTOCOL in request.headers:
        # aiohttp logs offered protocols that it does not know; one of them is the token.
        headers = request.headers.copy()
        headers.popall(hdrs.SEC_WEBSOCKET_PROTOCOL)
        if handshake.subprotocols:
            headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = handshake.subprotocols[0]
        cleaned = request.clone(headers=headers)
    socket = web.WebSocketResponse(
        autoping=False,
        compress=False,
        max_msg_size=message_bytes,
        protocols=handshake.subprotocols,
        timeout=close_seconds,
    )
    if not socket.can_prepare(cleaned).ok:
        raise Refused(Problem("INVALID_ARGUMENT", details={"description": "this address is a WebSocket"}))
    return Upgrade(socket, cleaned)
