"""A WebSocket endpoint over a server-streaming method: one StreamSession per connection, from its handshake to its close frame.

Several tasks live in a session (the client's messages, the service's events, what is sent, pings, the token's end, shutdown);
the first of them to raise `Ending` ends it, the others are cancelled. Contract: section 4; RFC 6455.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from logging import getLogger

import orjson
from aiohttp import WSMsgType, web

from chassis.errors import DomainError, Kind
from chassis.tokens import Claims
from gateway.auth import Verifier, authenticate
from gateway.backends import Backends, call_metadata
from gateway.context import CONTEXT
from gateway.contract import JsonValue, StreamRoute
from gateway.endings import (
    CLOSE_GOING_AWAY,
    CLOSE_INVALID_DATA,
    CLOSE_NORMAL,
    CLOSE_UNSUPPORTED_DATA,
    Ending,
    ending_of,
    goodbye,
    slow_reader,
)
from gateway.handshakes import Handshake, read_handshake, upgrade
from gateway.limits import Limits
from gateway.rate_limits import RateLimiter
from gateway.sockets import Sockets
from gateway.stream_buffer import BufferFull, StreamBuffer
from gateway.transcoding import UNKNOWN_EVENT

AUTH_EVENT = "auth.token"
FAREWELL_SECONDS = 0.1
"""A farewell is written at once; a slow reader must not hold up the close frame behind it."""

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamServices:
    """What all sessions share."""

    backends: Backends
    verifier: Verifier
    sockets: Sockets
    limits: Limits
    rate_limiter: RateLimiter | None
    allowed_origins: frozenset[str]
    now: Callable[[], datetime]


class StreamEndpoint:
    """Serves one stream."""

    def __init__(self, stream: StreamRoute, services: StreamServices) -> None:
        self._stream = stream
        self._services = services
        services.backends.add_stream(stream)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serves one socket until it is closed.

        Raises:
            Refused, DomainError: before the upgrade only.
        """
        services = self._services
        handshake = read_handshake(request, services.allowed_origins)
        with services.sockets.admit():
            socket = await upgrade(
                request,
                handshake,
                # Longer than the session itself waits: it is the session that cuts the connection off.
                close_seconds=2 * services.limits.close_seconds,
                message_bytes=services.limits.socket_message_bytes,
            )
            session = StreamSession(self._stream, services, request, socket, handshake)
            await session.run()
        return socket


class StreamSession:
    """One socket."""

    def __init__(
        self,
        stream: StreamRoute,
        services: StreamServices,
        request: web.Request,
        socket: web.WebSocketResponse,
        handshake: Handshake,
    ) -> None:
        self._stream = stream
        self._services = services
        self._limits = services.limits
        self._context = request[CONTEXT]
        self._transport = request.transport
        self._socket = socket
        self._handshake = handshake
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._first_message: asyncio.Future[JsonValue] = self._loop.create_future()
        self._buffer = StreamBuffer(services.limits.socket_buffer_events)
        self._end_of_stream = goodbye(CLOSE_NORMAL, "completed")
        self._last_sent_id = ""

    async def run(self) -> None:
        """Serves the socket and closes it. Never raises for what client or service do."""
        try:
            ending = await self._serve()
        except Exception:  # noqa: BLE001  the outermost frame of a connection: a mistake of ours must still close it in words
            _log.exception("stream failed")
            ending = ending_of(DomainError(Kind.INTERNAL, "INTERNAL_ERROR"), self._context)
        await self._close(ending)

    async def _serve(self) -> Ending:
        endings: list[Ending] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._keep_alive())
                group.create_task(self._await_shutdown())
                group.create_task(self._play())
        except* Ending as raised:
            endings.extend(_leaves(raised))
        # The client's own leaving says more than what its leaving made fail.
        return next((ending for ending in endings if ending.code is None), endings[0])

    # --- the client's side -------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Reads what the client sends: its first message counts, later ones have no meaning yet."""
        while True:
            frame = await self._socket.receive()
            self._heard_at = self._loop.time()
            if frame.type is WSMsgType.TEXT:
                self._hear(frame.data)
            elif frame.type is WSMsgType.PING:
                await self._socket.pong(frame.data)
            elif frame.type is WSMsgType.BINARY:
                raise goodbye(CLOSE_UNSUPPORTED_DATA, "text messages only")
            elif frame.type is not WSMsgType.PONG:
                raise Ending(None)

    def _hear(self, text: str) -> None:
        if self._first_message.done():
            return
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("event_type"), str):
            # Whoever is still to say who they are has failed to; of the others we only ask for messages in the envelope.
            raise self._unauthenticated() if self._waits_for_token else goodbye(CLOSE_INVALID_DATA, "not an envelope")
        self._first_message.set_result(message)

    @property
    def _waits_for_token(self) -> bool:
        return self._handshake.token is None and not self._stream.access.public

    def _unauthenticated(self) -> Ending:
        return ending_of(DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED"), self._context)

    async def _keep_alive(self) -> None:
        """Pings, and gives up on a client that is not heard of: it is gone, or takes nothing any more."""
        while True:
            await asyncio.sleep(self._limits.ping_seconds)
            if self._loop.time() - self._heard_at >= self._limits.silence_seconds:
                raise self._cut()
            try:
                async with asyncio.timeout(self._limits.silence_seconds):
                    await self._socket.ping()
            except TimeoutError:
                raise self._cut() from None
            except ConnectionError:
                raise Ending(None) from None

    def _cut(self) -> Ending:
        if self._transport is not None:
            self._transport.abort()
        return Ending(None)

    async def _await_shutdown(self) -> None:
        await self._services.sockets.stopping.wait()
        raise goodbye(CLOSE_GOING_AWAY, "shutdown")

    # --- the service's side ------------------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        """Finds out who it is, then sends them their events until the stream, the token or the client ends."""
        try:
            token, claims, last_event_id = await self._authenticate()
            if self._services.rate_limiter is not None:
                # A socket counts once, when it is opened.
                await self._services.rate_limiter.count(self._context, self._stream.access.rate_class)
            if claims is None or claims.user_id is None:
                await self._send_events(token, claims, last_event_id)
                return
            with self._services.sockets.admit_user(claims.user_id):
                await self._send_events(token, claims, last_event_id)
        except DomainError as error:
            raise ending_of(error, self._context) from error

    async def _authenticate(self) -> tuple[str | None, Claims | None, str | None]:
        """The token, what it says, and the last event the client saw.

        Raises:
            DomainError: the token, the time to bring it, or the user's rights are not there.
        """
        access, last_event_id = self._stream.access, self._handshake.last_event_id
        if access.public:
            return None, None, last_event_id
        token = self._handshake.token
        if token is None:
            try:
                async with asyncio.timeout(self._limits.authentication_seconds):
                    message = await asyncio.shield(self._first_message)
            except TimeoutError:
                raise DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED") from None
            token = _token_in(message)
            last_event_id = _last_event_in(message) or last_event_id
        claims = await authenticate(self._services.verifier, token, access, self._context)
        return token, claims, last_event_id

    async def _send_events(self, token: str | None, claims: Claims | None, last_event_id: str | None) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._follow(token, last_event_id))
            if claims is not None:
                group.create_task(self._await_expiry(claims.expires_at))

    async def _await_expiry(self, expires_at: datetime) -> None:
        await asyncio.sleep(max(0.0, (expires_at - self._services.now()).total_seconds()))
        raise ending_of(DomainError(Kind.UNAUTHENTICATED, "TOKEN_EXPIRED"), self._context)

    async def _follow(self, token: str | None, last_event_id: str | None) -> None:
        """Follows the service's stream. A client that brought its token with the handshake may still say in its first message
        where it wants to go on: then the stream is asked for again from there, and what was not sent yet is dropped.
        """
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(token, last_event_id))
            if self._waits_for_token or not self._stream.resumable:
                return
            asked = group.create_task(self._await_resume())
            await asyncio.wait((pump, asked), return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                asked.cancel()
                return
            pump.cancel()
            await asyncio.wait((pump,))
            self._buffer.clear()
            await self._pump(token, asked.result())

    async def _await_resume(self) -> str:
        message = await asyncio.shield(self._first_message)
        found = _last_event_in(message)
        while found is None:
            # The first message was about something else; there is no second chance.
            await asyncio.Event().wait()
        return found

    async def _pump(self, token: str | None, last_event_id: str | None) -> None:
        """From the service into the buffer, as fast as it comes: the buffer knows what may be dropped."""
        rpc, encode = self._stream.rpc, self._stream.encode
        request = self._stream.request(last_event_id if self._stream.resumable else None)
        messages = self._services.backends.follow(rpc, request, call_metadata(self._context, token))
        try:
            async with aclosing(messages):
                async for message in messages:
                    event = encode(message)
                    # A newer service may send events that this build has no name for.
                    if event.event_type != UNKNOWN_EVENT:
                        self._buffer.put(event)
        except BufferFull:
            raise slow_reader(self._context) from None
        except DomainError as error:
            self._end_of_stream = ending_of(error, self._context)
        self._buffer.finish()

    async def _write(self) -> None:
        """From the buffer to the client, as fast as it reads."""
        while (event := await self._buffer.take()) is not None:
            frame = _envelope(event.event_type, event.id, event.timestamp, event.payload)
            # The frame is written before anything is waited for: a slow reader gets it, even if this is cancelled.
            self._last_sent_id = event.id
            try:
                await self._socket.send_frame(frame, WSMsgType.TEXT)
            except ConnectionError:
                raise Ending(None) from None
        raise self._end_of_stream

    # --- the end -----------------------------------------------------------------------------------------------------------------

    async def _close(self, ending: Ending) -> None:
        """Says why, closes, and cuts the connection when the client does not take that in time."""
        if ending.code is None:
            await self._close_in_time(CLOSE_NORMAL)
            return
        # The id is that of the last event, so that a client which just keeps the last id it saw can resume from it.
        frame = _envelope(ending.event_type, self._last_sent_id, _rfc3339(self._services.now()), ending.payload)
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._socket.send_frame(frame, WSMsgType.TEXT)
        except (TimeoutError, ConnectionError):
            pass
        _log.info("stream closed", extra={"route": self._stream.path, "close_code": ending.code})
        await self._close_in_time(ending.code)

    async def _close_in_time(self, code: int) -> None:
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await self._socket.close(code=code)
        except (TimeoutError, ConnectionError):
            if self._transport is not None:
                self._transport.abort()


def _leaves(group: BaseExceptionGroup[Ending]) -> Iterable[Ending]:
    for raised in group.exceptions:
        if isinstance(raised, BaseExceptionGroup):
            yield from _leaves(raised)
        else:
            yield raised


def _payload_of(message: JsonValue) -> JsonValue:
    payload = message.get("payload")
    return payload if isinstance(payload, dict) else {}


def _token_in(message: JsonValue) -> str | None:
    if message.get("event_type") != AUTH_EVENT:
        return None
    token = _payload_of(message).get("token")
    return token if isinstance(token, str) else None


def _last_event_in(message: JsonValue) -> str | None:
    """`last_event_id` of a message, in its payload or beside it."""
    found = _payload_of(message).get("last_event_id", message.get("last_event_id"))
    return found if isinstance(found, str) and found else None


def _envelope(event_type: str, event_id: str, timestamp: str, payload: JsonValue) -> bytes:
    return orjson.dumps({"event_type": event_type, "id": event_id, "timestamp": timestamp, "payload": payload})


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
