"""A stream as an HTTP answer that does not end: Server-Sent Events (WHATWG HTML, section 9.2) or lines of JSON, for clients and
proxies that WebSockets are too much for. The token comes in the Authorization header (or in the query, where EventSource leaves
nothing else), and the place to go on from in Last-Event-ID.
"""

import asyncio

from aiohttp import hdrs, web

from gateway.contract import StreamedEvent, StreamRoute
from gateway.request.negotiation import EVENT_STREAM
from gateway.streams.endings import StreamClose
from gateway.streams.handshakes import Handshake
from gateway.streams.sessions import FAREWELL_SECONDS, MakeRequest, StreamServices, StreamSession

RETRY_MILLISECONDS = 3_000
"""The time after which an EventSource connects again."""

_BREAKS_LINES = frozenset("\r\n\0")


class AnswerSession(StreamSession):
    """One answer. `begin` refuses as any request is refused, with a status; after that only words are left."""

    def __init__(
        self,
        stream: StreamRoute,
        services: StreamServices,
        request: web.Request,
        make_request: MakeRequest,
        media_type: str,
        handshake: Handshake,
    ) -> None:
        super().__init__(stream, services, request, make_request)
        self._request = request
        self._is_sse = media_type == EVENT_STREAM
        self._handshake = handshake
        headers = {
            hdrs.CONTENT_TYPE: f"{media_type}; charset=utf-8" if self._is_sse else media_type,
            hdrs.CONTENT_LANGUAGE: self._context.language,
            hdrs.CACHE_CONTROL: "no-store, no-transform",
            hdrs.VARY: "Accept, Accept-Language",
            # Proxies that would collect an answer before they pass it on.
            "X-Accel-Buffering": "no",
        }
        self.answer = web.StreamResponse(headers=headers)
        self._is_left = asyncio.Event()

    async def _begin(self) -> None:
        await self._enter(self._handshake.token, self._handshake.last_event_id)
        await self.answer.prepare(self._request)
        # A head alone may wait for a body to go out with.
        await self.answer.write(f"retry: {RETRY_MILLISECONDS}\n\n".encode() if self._is_sse else b"\n")

    def leave(self) -> None:
        """The connection is lost."""
        self._is_left.set()

    async def _listen(self) -> None:
        await self._is_left.wait()
        raise StreamClose(None)

    async def _play(self) -> None:
        await self._follow()

    async def _send(self, event: StreamedEvent) -> None:
        await self.answer.write(self._frame(event.event_type, event.id, self._envelope_of(event)))

    def _frame(self, event_type: str, event_id: str, envelope: bytes) -> bytes:
        if not self._is_sse:
            return envelope + b"\n"
        id_line = f"id: {event_id}\n" if event_id and _BREAKS_LINES.isdisjoint(event_id) else ""
        return f"{id_line}event: {event_type}\ndata: ".encode() + envelope + b"\n\n"

    def _tick(self) -> None:
        """A comment, or an empty line. To a slow reader nothing is added: what it does not read ends it."""
        if self._writing is None and self._end_of_stream is None:
            self._writing = self._group.create_task(self._show_life())

    async def _show_life(self) -> None:
        try:
            async with asyncio.timeout(self._limits.silence_seconds):
                await self.answer.write(b":\n\n" if self._is_sse else b"\n")
        except TimeoutError:
            self._cut()
        except ConnectionError:
            raise StreamClose(None) from None
        await self._write()

    async def _close(self, ending: StreamClose) -> None:
        if ending.code is None:
            return
        frame = self._frame(ending.event_type, self._last_sent_id, self._farewell(ending))
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self.answer.write(frame)
            async with asyncio.timeout(self._limits.close_seconds):
                await self.answer.write_eof()
        except (TimeoutError, ConnectionError):
            if self._transport is not None:
                self._transport.abort()
