"""HTTP servers whose work is bounded before it is done: a body that was compressed is refused and nothing inflates it, a body that
does not come ends in 408, and a client that closes its half after whole requests gets their answers. Every aiohttp server of the
platform is opened here. RFC 9110, sections 8.4, 15.5.9 and 15.5.16; RFC 9112, sections 8 and 9.6.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

BODY_SECONDS = 20.0
"""Time for a body that has not come with its head, before the bytes that came of it add to it."""
BODY_BYTES_PER_SECOND = 4 * 1024
"""A body has a second more for each so many bytes that came of it: slow lines may be slow, drips are cut off."""
KEEPALIVE_SECONDS = 75.0
"""The longest that a connection may be idle, or take for the head of a request."""
LINGER_SECONDS = 2.0
"""Time for a client that is still sending what is not read to take the answer, before its connection is closed."""
IDENTITY = "identity"
"""The one content coding that is taken: none."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class BodyLate(web.RequestPayloadError):
    """The request's body did not come in time; its connection ends after the answer."""


class BoundedProtocol(RequestHandler):
    """One connection. `body_seconds` is the time of a body, before the bytes that came of it add to it."""

    __slots__ = ("_body", "_body_seconds", "_body_timer", "_ended", "_is_half_closed", "_is_late", "_is_refused")

    def __init__(self, *arguments: Any, body_seconds: float = BODY_SECONDS, **options: Any) -> None:
        super().__init__(*arguments, auto_decompress=False, **options)
        self._body_seconds = body_seconds
        self._body: StreamReader | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Event | None = None
        self._is_half_closed = False
        self._is_late = False
        self._is_refused = False

    def data_received(self, data: bytes) -> None:
        """Parse what came. A refusal by the parser ends the connection: nothing that follows is looked at or kept."""
        if self._is_refused:
            return
        super().data_received(data)
        if self._messages:
            message, body = self._messages[-1]
            if isinstance(message, _ErrInfo):
                self._is_refused = True
                self.on_refusal(message.exc)
            elif body is not self._body and not body.is_eof():
                self._stop_waiting()
                self._body = body
                self._wait_for_body(self._loop.time(), self._body_seconds)

    def on_refusal(self, exc: BaseException | None) -> None:
        """Called once for what the parser refuses, before that is answered."""

    def _wait_for_body(self, began: float, seconds: float) -> None:
        self._body_timer = self._loop.call_later(seconds, self._check_body, began)

    def _check_body(self, began: float) -> None:
        body, self._body_timer = self._body, None
        if body is None or body.is_eof():
            self._body = None
            return
        if self._reading_paused:
            # It is the handler that does not read.
            self._wait_for_body(self._loop.time(), self._body_seconds)
            return
        left = began + self._body_seconds + body.total_bytes / BODY_BYTES_PER_SECOND - self._loop.time()
        if left > 0.0:
            self._wait_for_body(began, left)
            return
        body.set_exception(BodyLate("the body did not come in time"))
        # Nothing that still comes of it is waited for.
        body.feed_eof()
        self._is_late = True
        self.close()

    def _stop_waiting(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp types no answer, asyncio wants one
        """Return True, which keeps the connection, while whole requests of a client that has closed its half wait for answers."""
        if self._ended is not None:
            self._ended.set()
            return False
        is_idle = self._request_count == 0 or (self._waiter is not None and not self._waiter.done())
        is_cut_off = self._body is not None and not self._body.is_eof()
        if is_idle or is_cut_off or self._upgraded:
            return False
        if self._messages:
            self._is_half_closed = True
        else:
            self.close()
        return True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, which says so when it is the connection's last."""
        if self._is_half_closed and not self._messages:
            self.close()
        if self._close and isinstance(resp, web.StreamResponse):
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        if self._is_late or (self._is_refused and not self._messages):
            await self._see_off()
        return finished

    async def _see_off(self) -> None:
        """Close our half and wait for the client's: closing at once what is still sent to would cost the client the answer."""
        transport = self.transport
        if transport is None or transport.is_closing() or not transport.can_write_eof():
            return
        self._ended = asyncio.Event()
        with suppress(OSError, RuntimeError, TimeoutError):
            transport.write_eof()
            transport.resume_reading()
            async with asyncio.timeout(LINGER_SECONDS):
                await self._ended.wait()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._ended is not None:
            self._ended.set()
        self._stop_waiting()
        self._body = None
        super().connection_lost(exc)


def is_coded(request: web.BaseRequest) -> bool:
    """True for a request whose body has a content coding, which no server of ours undoes."""
    coding = request.headers.get(hdrs.CONTENT_ENCODING)
    return coding is not None and request.body_exists and coding.strip().lower() != IDENTITY


def error_response(
    status: HTTPStatus, code: str, detail: str, *, headers: dict[str, str] | None = None
) -> web.Response:
    """An error in the platform's form (contract section 1)."""
    error = {"status": str(status.value), "code": code, "title": status.phrase, "detail": detail}
    return web.Response(
        status=status,
        body=orjson.dumps({"errors": [error]}),
        content_type="application/vnd.api+json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def refusing_bodies(handler: Handler) -> Handler:
    """Answers instead of a handler that would be given a coded body, or was given none in time."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if is_coded(request):
            return error_response(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                "bodies with a content coding are not taken",
                headers={hdrs.ACCEPT_ENCODING: IDENTITY},
            )
        try:
            return await handler(request)
        except BodyLate:
            return error_response(HTTPStatus.REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body did not come in time")

    return handle


class _Server(web.Server):
    """A server that makes connections of a class of its own."""

    def __init__(self, made: web.Server, handler: Handler, protocol: Callable[..., RequestHandler]) -> None:
        super().__init__(handler, request_factory=made.request_factory)
        self._protocol = protocol

    def __call__(self) -> RequestHandler:
        return self._protocol(self, loop=self._loop)


class _Runner(web.AppRunner):
    def __init__(
        self,
        app: web.Application,
        *,
        protocol: Callable[..., RequestHandler],
        around: Callable[[Handler], Handler],
        drain_seconds: float,
    ) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=drain_seconds)
        self._protocol = protocol
        self._around = around

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self._around(made.request_handler), self._protocol)


@asynccontextmanager
async def serve_app(
    app: web.Application,
    *,
    host: str,
    port: int,
    drain_seconds: float,
    protocol: Callable[..., BoundedProtocol] = BoundedProtocol,
    around: Callable[[Handler], Handler] = refusing_bodies,
    reuse_port: bool = False,
    **options: Any,
) -> AsyncIterator[int]:
    """Serve the application while the block runs; gives the port. `options` are for each connection. At the end: no new
    connections, and running requests finished within `drain_seconds`.

    Raises:
        OSError: the port cannot be had.
    """
    settings = {"access_log": None, "keepalive_timeout": KEEPALIVE_SECONDS, **options}
    made = partial(protocol, **settings)
    runner = _Runner(app, protocol=made, around=around, drain_seconds=drain_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_port=reuse_port or None).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
