"""The steps of every request, whatever its address: trace, request id, log line and metrics outside; then the representation of the
answer; then limits and the one place where errors become answers. No stack trace leaves the process here.
"""

import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from itertools import chain
from logging import getLogger
from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict, CIMultiDictProxy
from opentelemetry import context as tracing
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from chassis.auth.access import Caller, caller_scope
from chassis.errors import DomainError
from chassis.http.server import IDENTITY, BodyLate, is_coded
from chassis.observability.call_metrics import CallMetrics
from chassis.observability.logs import cut_address, hash_user, write_line
from chassis.observability.telemetry import extract, start_span
from gateway.contract import Problem
from gateway.http.conditional import represent
from gateway.http.ops import HEALTH_PATH, READY_PATH
from gateway.jsonapi.pages import ascii_url
from gateway.problems.errors import Refused, UpstreamError, let_go_of_frames, refusal_response
from gateway.request.context import CONTEXT, FORWARDED_FOR_HEADER, RequestContext, make_context
from gateway.request.limits import Limits
from gateway.settings import Network
from gateway.streams.handshakes import TOKEN_PARAMETER

REQUESTS = CallMetrics(
    ("gateway_http_requests", "gateway_http_request_duration_seconds"),
    ("HTTP requests answered", "Time to answer an HTTP request (for a WebSocket: its life)"),
    ("method", "route"),
    "status",
)

STATUS_CLIENT_LEFT = 499
"""The status that is logged and counted for a request whose client left before the answer."""

SECRET_PARAMETERS = frozenset({TOKEN_PARAMETER, "access_token", "signature"})
"""Query parameters whose values no log line carries."""

UNLOGGED_PATHS = frozenset({HEALTH_PATH, READY_PATH})

_LISTS = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.ACCEPT_LANGUAGE, hdrs.CONTENT_TYPE, FORWARDED_FOR_HEADER)
"""Headers that are parsed for every request, also without a valid token."""
_NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CODES_OF_STATUS = {
    HTTPStatus.NOT_FOUND: "ROUTE_NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "UNSUPPORTED_MEDIA_TYPE",
}

_access_log = getLogger("gateway.access")
_log = getLogger(__name__)


def serving(limits: Limits, trusted_proxies: Collection[Network]) -> Middleware:
    """The one middleware: creates the request's context, has it answered whatever goes wrong, and records how it ended."""

    @web.middleware
    async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        method, route = request.method, _route_of(request)
        excess = _excess_of(request, limits)
        # A value that is too long is not read.
        headers = request.headers if excess is None else _NO_HEADERS
        parent = _parent_of(headers)
        attributes = {"http.request.method": method, "http.route": route}
        span = start_span(f"{method} {route}", parent, SpanKind.SERVER, attributes)
        ids = span.get_span_context()
        context = make_context(
            request,
            headers,
            trace_id=f"{ids.trace_id:032x}",
            trusted_proxies=trusted_proxies,
            request_id_characters=limits.request_id_characters,
        )
        request[CONTEXT] = context
        caller = Caller(client_ip=context.client_ip, request_id=context.request_id, language=context.language)
        status, size_bytes = STATUS_CLIENT_LEFT, 0
        token = tracing.attach(trace.set_span_in_context(span, parent))
        try:
            with caller_scope(caller):
                response = await represent(request, await _answer(request, handler, excess))
            status, size_bytes = response.status, response.content_length or 0
        finally:
            tracing.detach(token)
            seconds = time.perf_counter() - started
            REQUESTS.of(_known_method(method), route).record(str(status), seconds)
            url = request.rel_url
            if url.raw_path not in UNLOGGED_PATHS:
                line = _AccessLine(
                    method, url.raw_path, url.raw_query_string, route, status, size_bytes, seconds, ids.span_id, context
                )
                write_line(_access_log, "request", line.facts)
            span.set_attribute("http.response.status_code", status)
            span.end()
        return response

    return serve


async def _answer(request: web.Request, handler: Handler, excess: Problem | None) -> web.StreamResponse:
    """Turns whatever is raised further inside into an answer. A lost connection needs none."""
    try:
        if excess is not None:
            raise Refused(excess)
        if is_coded(request):
            problem = Problem("UNSUPPORTED_MEDIA_TYPE", header=hdrs.CONTENT_ENCODING)
            raise Refused(problem, headers={hdrs.ACCEPT_ENCODING: IDENTITY})
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as raised:  # noqa: BLE001  the outermost frame of a request
        return _answer_to(raised, request[CONTEXT])


def _answer_to(raised: Exception, context: RequestContext) -> web.Response:
    if isinstance(raised, Refused | UpstreamError | DomainError):
        return refusal_response(raised, context)
    if isinstance(raised, web.HTTPException | web.RequestPayloadError):
        let_go_of_frames(raised)  # a route, or the body's stream, keeps it
    if isinstance(raised, web.HTTPException):
        return refusal_response(Refused(_problem_of_http(raised), headers=_kept_headers(raised)), context)
    if isinstance(raised, BodyLate):
        return refusal_response(Refused(Problem("REQUEST_TIMEOUT")), context)
    if isinstance(raised, web.RequestPayloadError):
        return refusal_response(Refused(Problem("MALFORMED_JSON")), context)
    _log.error("request failed", exc_info=raised)
    return refusal_response(Refused(Problem("INTERNAL_ERROR")), context)


def _excess_of(request: web.Request, limits: Limits) -> Problem | None:
    """The first thing of the request's head that is too long: asked before anything looks into it."""
    if len(request.raw_path) > limits.url_bytes:
        return Problem("URI_TOO_LONG")
    raw = request.raw_headers
    size_bytes = sum(map(len, chain.from_iterable(raw))) + 4 * len(raw)
    if size_bytes > limits.headers_bytes:
        return Problem("HEADERS_TOO_LARGE")
    if size_bytes > limits.list_header_bytes:
        for name in _LISTS:
            if sum(map(len, request.headers.getall(name, ()))) > limits.list_header_bytes:
                return Problem("HEADERS_TOO_LARGE", header=name)
    return None


def _problem_of_http(raised: web.HTTPException) -> Problem:
    """Return the problem for a request that aiohttp itself refuses; only the status of its answer is kept."""
    code = _CODES_OF_STATUS.get(HTTPStatus(raised.status))
    if code is None:
        code = "INVALID_ARGUMENT" if raised.status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL_ERROR"
    return Problem(code, details={"description": "the HTTP message is malformed"})


def _kept_headers(raised: web.HTTPException) -> Mapping[str, str]:
    if isinstance(raised, web.HTTPMethodNotAllowed):
        return {hdrs.ALLOW: ", ".join(sorted(raised.allowed_methods))}
    return {}


def _route_of(request: web.Request) -> str:
    """The address as the proto spells it: what logs and metrics group by."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _parent_of(headers: Mapping[str, str]) -> Context:
    """The client's own span when it sent a `traceparent`; nothing otherwise, whatever runs here."""
    if "traceparent" not in headers:
        return Context()
    return extract({name: headers[name] for name in ("traceparent", "tracestate") if name in headers})


def redacted_query(query: str) -> str:
    """A query as received for the log: secrets go by their names only."""
    return "&".join(_redact(part) for part in ascii_url(query).split("&")) if query else ""


def _redact(part: str) -> str:
    name = part.partition("=")[0]
    # A name that is itself encoded could hide a secret one.
    is_plain = quote(name, safe="[]") == name
    return part if is_plain and name.lower() not in SECRET_PARAMETERS else f"{quote(name, safe='%[]')}=***"


def _known_method(method: str) -> str:
    return method if method in _METHODS else "OTHER"


class _AccessLine(NamedTuple):
    """The facts that the log has of one request; formatted only where the line is written."""

    method: str
    path: str
    query: str
    route: str
    status: int
    size_bytes: int
    seconds: float
    span_id: int
    context: RequestContext

    def facts(self) -> Mapping[str, Any]:
        context = self.context
        facts = {
            "method": _known_method(self.method),
            "path": ascii_url(self.path),
            "query": redacted_query(self.query),
            "route": self.route,
            "status": self.status,
            "response_bytes": self.size_bytes,
            "duration_ms": round(self.seconds * 1000, 3),
            "client_ip": cut_address(context.client_ip),
            "request_id": context.request_id,
            "trace_id": context.trace_id,
            "span_id": f"{self.span_id:016x}",
        }
        if context.user_id is not None:
            facts["user"] = hash_user(context.user_id)
        return facts
