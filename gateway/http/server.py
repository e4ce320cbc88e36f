"""The HTTP server around the application: aiohttp's, changed to answer in the platform's form when its parser refuses, and to
keep the bytes that clients sent out of the log.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from logging import getLogger
from typing import Any
from uuid import uuid4

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import format_trace_id

from chassis.http.server import BoundedProtocol, Handler, serve_app
from chassis.observability.logs import cut_address
from gateway.contract import Problem
from gateway.http.cors import SECURITY_HEADERS
from gateway.problems.errors import error_response, let_go_of_frames, of_problem
from gateway.request.context import REQUEST_ID_HEADER, RequestContext
from gateway.request.limits import PARSER_FIELD_BYTES, PARSER_LINE_BYTES, Limits
from gateway.request.negotiation import DEFAULT_LANGUAGE, JSON_API

TOO_MANY_HEADERS = "Too many headers received"
"""The parser's message for too many headers; it has no exception of its own for this."""

_log = getLogger(__name__)


class GatewayProtocol(BoundedProtocol):
    """One connection."""

    __slots__ = ("_on_loss",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._on_loss: Callable[[], None] | None = None

    def on_refusal(self, exc: BaseException | None) -> None:
        if exc is not None:
            let_go_of_frames(exc)

    @contextmanager
    def telling_of_loss(self, tell: Callable[[], None]) -> Iterator[None]:
        """Calls `tell` when the connection is lost while the block runs: a waiting answer would not notice it otherwise."""
        self._on_loss = tell
        try:
            yield
        finally:
            self._on_loss = None

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp types no answer, asyncio wants one
        """A stream's client that writes no more has left, as far as anybody can see before the next event."""
        return self._on_loss is None and super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._on_loss is not None:
            self._on_loss()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  the base class's signature
    ) -> web.StreamResponse:
        """Answers what never reached the application: no HTTP, or too long for the parser."""
        if isinstance(exc, ConnectionError):
            # The client is gone: nothing was wrong with what it sent, and nobody is left to be notified.
            raise exc
        # The exception's text quotes what was sent, tokens included.
        _log.warning(
            "bad HTTP", extra={"status": status, "error": type(exc).__name__, "client_ip": cut_address(request.remote)}
        )
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is under way, another cannot be sent")
        return _refusal(request, _code_of(status, exc))


def _refusal(request: web.BaseRequest, code: str) -> web.Response:
    """The answer to what no middleware saw, and the end of its connection."""
    context = RequestContext(
        request_id=str(uuid4()),
        trace_id=format_trace_id(RandomIdGenerator().generate_trace_id()),
        client_ip=request.remote or "",
        language=DEFAULT_LANGUAGE,
        media_type=JSON_API,
        acceptable=True,
    )
    problem = Problem(code, details={"description": "the HTTP message is malformed"})
    headers = {**SECURITY_HEADERS, REQUEST_ID_HEADER: context.request_id, hdrs.CONNECTION: "close"}
    response = error_response([of_problem(problem, context.language)], context, headers=headers)
    response.force_close()
    return response


def _code_of(status: int, exc: BaseException | None) -> str:
    if isinstance(exc, LineTooLong):
        # Only the limit in the parser's error distinguishes a long request line from a long header.
        return "URI_TOO_LONG" if exc.args[1] == PARSER_LINE_BYTES else "HEADERS_TOO_LARGE"
    if isinstance(exc, BadHttpMessage) and exc.message == TOO_MANY_HEADERS:
        return "HEADERS_TOO_LARGE"
    return "INVALID_ARGUMENT" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL_ERROR"


def _refusing_expectations(handler: Handler) -> Handler:
    """Expectations are met by routes, before any middleware; without a route, the client would receive aiohttp's own text."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPExpectationFailed, UnicodeEncodeError):
            # The second when the value is not a text: aiohttp's own message quotes it.
            return _refusal(request, "INVALID_ARGUMENT")

    return handle


@asynccontextmanager
async def serve_http(
    app: web.Application,
    *,
    host: str,
    port: int,
    drain_seconds: float,
    limits: Limits,
    reuse_port: bool = False,
) -> AsyncIterator[int]:
    """Serves the application while the block runs and gives the port. At the end: no new connections, WebSockets closed with 1001,
    running requests finished within `drain_seconds`.

    Raises:
        OSError: the port cannot be had.
    """
    async with serve_app(
        app,
        host=host,
        port=port,
        drain_seconds=drain_seconds,
        protocol=GatewayProtocol,
        around=_refusing_expectations,
        reuse_port=reuse_port,
        keepalive_timeout=limits.keepalive_seconds,
        body_seconds=limits.body_seconds,
        max_line_size=PARSER_LINE_BYTES,
        max_field_size=PARSER_FIELD_BYTES,
    ) as bound:
        yield bound
