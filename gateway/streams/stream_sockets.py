"""A stream as a WebSocket: the token and the place to go on from may come in messages, pings see to it that the client lives, and
close codes say how it ended. Contract: section 4; RFC 6455.
"""

import asyncio

import orjson
from aiohttp import WSMsgType, web

from chassis.errors import DomainError, Kind
from gateway.contract import JsonValue, StreamedEvent, StreamRoute
from gateway.streams.endings import (
    CLOSE_INVALID_DATA,
    CLOSE_NORMAL,
    CLOSE_UNSUPPORTED_DATA,
    StreamClose,
    ending_of,
    normal_close,
)
from gateway.streams.handshakes import Handshake, Upgrade
from gateway.streams.sessions import FAREWELL_SECONDS, MakeRequest, StreamServices, StreamSession

AUTH_EVENT = "auth.token"


class SocketSession(StreamSession):
    """One socket."""

    def __init__(
        self,
        stream: StreamRoute,
        services: StreamServices,
        request: web.Request,
        make_request: MakeRequest,
        upgrade: Upgrade,
        handshake: Handshake,
    ) -> None:
        super().__init__(stream, services, request, make_request)
        self._upgrade = upgrade
        self._socket = upgrade.socket
        self._handshake = handshake
        self._heard_at = self._loop.time()
        self._pinging: asyncio.Task[None] | None = None
        self._first_message: asyncio.Future[JsonValue] = self._loop.create_future()
        self._token = handshake.token
        self._following: asyncio.Task[None] | None = None

    async def _begin(self) -> None:
        """Answers the handshake: at once for a client still to authenticate; for others when the service follows, or it is known
        why it does not, which the socket then reports.
        """
        if not self._waits_for_token:
            try:
                await self._enter(self._token, self._handshake.last_event_id)
            except DomainError as error:
                self._end(ending_of(error, self._context))
        await self._upgrade.answer()

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
                raise normal_close(CLOSE_UNSUPPORTED_DATA, "text messages only")
            elif frame.type is not WSMsgType.PONG:
                raise StreamClose(None)

    def _hear(self, text: str) -> None:
        if self._first_message.done():
            return
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("event_type"), str):
            # A client that has not authenticated has failed to; of the others we only require messages in the envelope.
            raise (
                self._unauthenticated()
                if self._waits_for_token
                else normal_close(CLOSE_INVALID_DATA, "not an envelope")
            )
        self._first_message.set_result(message)
        last_event_id = _last_event_in(message)
        if last_event_id is not None and self._following is not None and self._stream.resumable:
            self._group.create_task(self._go_on_from(last_event_id, self._following))

    @property
    def _waits_for_token(self) -> bool:
        return self._handshake.token is None and not self._stream.access.public

    def _unauthenticated(self) -> StreamClose:
        return ending_of(DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED"), self._context)

    def _tick(self) -> None:
        """Pings, and disconnects a client that is silent: it is gone, or reads nothing any more."""
        if self._loop.time() - self._heard_at >= self._limits.silence_seconds:
            self._cut()
        elif self._pinging is None or self._pinging.done():
            self._pinging = self._group.create_task(self._ping())

    async def _ping(self) -> None:
        try:
            await self._socket.ping()
        except ConnectionError:
            raise StreamClose(None) from None

    # --- the service's side ------------------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        if self._waits_for_token:
            try:
                self._token, last_event_id = await self._introduction()
                await self._enter(self._token, last_event_id)
            except DomainError as error:
                raise ending_of(error, self._context) from error
        self._following = asyncio.current_task()
        await self._follow()

    async def _introduction(self) -> tuple[str | None, str | None]:
        """The token, and the last event that the client saw.

        Raises:
            DomainError: no token came in time.
        """
        try:
            async with asyncio.timeout(self._limits.authentication_seconds):
                message = await asyncio.shield(self._first_message)
        except TimeoutError:
            raise DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED") from None
        return _token_in(message), _last_event_in(message) or self._handshake.last_event_id

    async def _go_on_from(self, last_event_id: str, following: asyncio.Task[None]) -> None:
        """A client that brought its token with the handshake said in its first message where to continue: the stream is requested
        again from there, and events not sent yet are dropped.
        """
        following.cancel()
        await asyncio.wait((following,))
        self._buffer.clear()
        self._end_of_stream = None
        await self._ask(self._token, last_event_id)
        await self._follow()

    async def _send(self, event: StreamedEvent) -> None:
        await self._socket.send_frame(self._envelope_of(event), WSMsgType.TEXT)

    # --- the end -----------------------------------------------------------------------------------------------------------------

    async def _close(self, ending: StreamClose) -> None:
        if ending.code is None:
            await self._close_in_time(CLOSE_NORMAL)
            return
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._socket.send_frame(self._farewell(ending), WSMsgType.TEXT)
        except (TimeoutError, ConnectionError):
            pass
        await self._close_in_time(ending.code)

    async def _close_in_time(self, code: int) -> None:
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await self._socket.close(code=code)
        except (TimeoutError, ConnectionError):
            if self._transport is not None:
                self._transport.abort()


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
