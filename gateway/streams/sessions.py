"""One client's stream, whatever carries it: who the client is, the service's events through a buffer, and every way it can end.
gateway.streams.stream_sockets and gateway.streams.answers are the two carriers.

A session is the handler's task and two more, one that listens to the client and one that follows the service; a third writes while
there is something to write. What only waits (pings, the token's end, shutdown) is a timer or a callback and no task: most
sockets are idle most of the time. Whatever ends the session raises `Ending` in the group. Contract: section 4.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from logging import getLogger

import orjson
from aiohttp import web
from google.protobuf.message import Message

from chassis.auth.tokens import Credential
from chassis.errors import DomainError, Kind
from gateway.contract import JsonValue, StreamedEvent, StreamRoute
from gateway.http.auth import Verifier, authenticate
from gateway.quota.rate_limits import RateLimiter
from gateway.request.context import CONTEXT
from gateway.request.limits import Limits
from gateway.streams.buffer import BufferFull, StreamBuffer
from gateway.streams.endings import CLOSE_GOING_AWAY, CLOSE_NORMAL, StreamClose, ending_of, normal_close, slow_reader
from gateway.streams.sockets import Sockets
from gateway.transcoding import UNKNOWN_EVENT
from gateway.upstream.backends import Backends, ServerStream, call_metadata

FAREWELL_SECONDS = 0.1
"""The time to write the last message, which is written at once; a slow reader must not delay the close after it."""

MakeRequest = Callable[[str | None], Message]
"""A function that builds the method's request from `last_event_id`."""

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamServices:
    """The services that all sessions share."""

    backends: Backends
    verifier: Verifier
    sockets: Sockets
    limits: Limits
    rate_limiter: RateLimiter | None
    allowed_origins: frozenset[str]
    now: Callable[[], datetime]


class StreamSession(ABC):
    """One client of one stream. A carrier defines how events and farewells are sent, and how signs of the client are received."""

    def __init__(
        self, stream: StreamRoute, services: StreamServices, request: web.Request, make_request: MakeRequest
    ) -> None:
        self._stream = stream
        self._services = services
        self._limits = services.limits
        self._context = request[CONTEXT]
        self._transport = request.transport
        self._make_request = make_request
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        self._stack = ExitStack()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._ticking: asyncio.TimerHandle | None = None
        self._buffer = StreamBuffer(services.limits.socket_buffer_events)
        self._writing: asyncio.Task[None] | None = None
        self._events: ServerStream | None = None
        self._end_of_stream: StreamClose | None = None
        self._last_sent_id = ""

    async def begin(self) -> None:
        """Answers the client as soon as the service follows.

        Raises:
            DomainError: the token, the user's rights, or room for one more is missing, and the carrier can send a status.
        """
        try:
            await self._begin()
        except BaseException:
            self._stack.close()
            self._forget_end()
            raise

    async def run(self) -> None:
        """Serves the client until the end. Never raises for what client or service do."""
        try:
            ending = await self._serve()
        except Exception:  # noqa: BLE001  the outermost frame of a connection: a mistake of ours must still close it in words
            _log.exception("stream failed")
            ending = ending_of(DomainError(Kind.INTERNAL, "INTERNAL_ERROR"), self._context)
        if ending.code is not None:
            _log.info("stream closed", extra={"route": self._stream.path, "close_code": ending.code})
        await self._close(ending)

    # --- the carrier's part ------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _begin(self) -> None:
        """Admits the client, if it has sent its token, and answers it. Raises: DomainError."""

    @abstractmethod
    async def _listen(self) -> None:
        """Hears the client. Raises: Ending when it is gone, or says what it may not."""

    @abstractmethod
    async def _play(self) -> None:
        """Authenticates the client, if `_begin` did not, and calls `_follow`."""

    @abstractmethod
    async def _send(self, event: StreamedEvent) -> None:
        """Sends one event. Raises: ConnectionError."""

    @abstractmethod
    def _tick(self) -> None:
        """Called now and then: shows the client that the connection lives, and sees to it that the client does."""

    @abstractmethod
    async def _close(self, ending: StreamClose) -> None:
        """Says why, closes, and cuts the connection when the client does not take that in time."""

    # --- the session -------------------------------------------------------------------------------------------------------------

    async def _serve(self) -> StreamClose:
        endings: list[StreamClose] = []
        with self._stack:
            self._stack.enter_context(self._services.sockets.on_stop(self._stop))
            self._stack.callback(self._cancel_tick)
            self._schedule_tick()
            try:
                async with self._group as group:
                    group.create_task(self._play())
                    group.create_task(self._listen())
                    await self._ended
            except* StreamClose as raised:
                endings.extend(_leaves(raised))
            self._forget_end()
        # The client's own leaving says more than the failures that it caused.
        return next((ending for ending in endings if ending.code is None), endings[0])

    def _end(self, ending: StreamClose) -> None:
        """Ends the session from outside of its tasks."""
        if not self._ended.done():
            self._ended.set_exception(ending)

    def _forget_end(self) -> None:
        """Ignore all further ends; one that arrived together with another was noted, too."""
        self._ended.cancel()
        if not self._ended.cancelled():
            self._ended.exception()

    def _stop(self) -> None:
        self._end(normal_close(CLOSE_GOING_AWAY, "shutdown"))

    def _refuse(self, error: DomainError) -> None:
        """The user's token is good no longer: it expired, or its key left the key set."""
        self._end(ending_of(error, self._context))

    def _cut(self) -> None:
        """Ends the session of a client that is not there any more."""
        if self._transport is not None:
            self._transport.abort()
        self._end(StreamClose(None))

    def _schedule_tick(self) -> None:
        self._ticking = self._loop.call_later(self._limits.ping_seconds, self._on_tick)

    def _on_tick(self) -> None:
        # A group at its end takes no tasks any more, and that end comes before the timer is cancelled.
        if not self._ended.done():
            self._schedule_tick()
            self._tick()

    def _cancel_tick(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()

    async def _enter(self, token: str | None, last_event_id: str | None) -> None:
        """Checks the user and asks the service. Raises: DomainError."""
        await self._admit(token)
        await self._ask(token, last_event_id)

    async def _admit(self, token: str | None) -> None:
        """Checks the user, who then counts as one more of theirs until the session ends.

        Raises:
            DomainError: the token, the user's rights, or room for one more is missing.
        """
        credential: Credential | None = None
        if not self._stream.access.public:
            credential = await authenticate(self._services.verifier, token, self._stream.access, self._context)
        if self._services.rate_limiter is not None:
            # A stream counts once, when it is opened.
            await self._services.rate_limiter.count(self._context, self._stream.access.rate_class)
        if credential is None or credential.claims.user_id is None:
            return
        self._stack.enter_context(self._services.sockets.admit_user(credential.claims.user_id))
        self._stack.enter_context(credential.watched(self._refuse))

    async def _ask(self, token: str | None, last_event_id: str | None) -> None:
        """Asks the service for its events, and waits until it follows: a client that is answered then misses nothing that happens
        afterwards. Not for ever: a service may have nothing to say before its first event.
        """
        request = self._make_request(last_event_id if self._stream.resumable else None)
        metadata = call_metadata(self._context, token)
        self._events = None
        try:
            self._events = self._services.backends.follow(self._stream.rpc, request, metadata)
        except DomainError as error:
            self._end_of_stream = ending_of(error, self._context)
            return
        self._stack.callback(self._events.cancel)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stream_begin_seconds):
                await self._events.begun()

    async def _follow(self) -> None:
        """Moves events from the service into the buffer, as fast as they come: the buffer knows which may be dropped."""
        if self._events is not None:
            await self._collect(self._events)
        self._start_writing()

    async def _collect(self, events: ServerStream) -> None:
        try:
            async with aclosing(events.messages()) as messages:
                async for message in messages:
                    event = self._stream.encode(message)
                    # A newer service may send events that this build has no name for.
                    if event.event_type != UNKNOWN_EVENT:
                        self._buffer.put(event)
                        self._start_writing()
        except BufferFull:
            raise slow_reader(self._context) from None
        except DomainError as error:
            self._end_of_stream = ending_of(error, self._context)
        else:
            self._end_of_stream = normal_close(CLOSE_NORMAL, "completed")

    def _start_writing(self) -> None:
        if self._writing is None:
            self._writing = self._group.create_task(self._write())

    async def _write(self) -> None:
        """Moves events from the buffer to the client, as fast as it reads, until none is left."""
        while len(self._buffer):
            event = self._buffer.pop()
            # The frame is written before anything is waited for: a slow reader gets it, even if this is cancelled.
            self._last_sent_id = event.id or self._last_sent_id
            try:
                await self._send(event)
            except ConnectionError:
                raise StreamClose(None) from None
        self._writing = None
        if self._end_of_stream is not None:
            raise self._end_of_stream

    def _envelope_of(self, event: StreamedEvent) -> bytes:
        return _envelope(event.event_type, event.id, event.timestamp or self._now(), event.payload)

    def _farewell(self, ending: StreamClose) -> bytes:
        """The last envelope. Its id is that of the last event, so that a client which just keeps the last id it saw can resume."""
        return _envelope(ending.event_type, self._last_sent_id, self._now(), ending.payload)

    def _now(self) -> str:
        return _rfc3339(self._services.now())


def _leaves(group: BaseExceptionGroup[StreamClose]) -> Iterable[StreamClose]:
    for raised in group.exceptions:
        if isinstance(raised, BaseExceptionGroup):
            yield from _leaves(raised)
        else:
            yield raised


def _envelope(event_type: str, event_id: str, timestamp: str, payload: JsonValue) -> bytes:
    return orjson.dumps({"event_type": event_type, "id": event_id, "timestamp": timestamp, "payload": payload})


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
