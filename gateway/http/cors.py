"""Cross-origin calls from configured web origins (Fetch standard, CORS protocol), and the headers that every answer carries.

Tokens travel in a header that pages set themselves, so credentials mode stays off.
"""

from collections.abc import Awaitable, Callable, Collection

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway.request.context import CONTEXT, REQUEST_ID_HEADER

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
MAX_AGE_SECONDS = 86_400
REQUEST_HEADERS = (
    "Accept, Accept-Language, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID"
    ", X-Request-ID, X-Request-Timeout, traceparent, tracestate"
)
EXPOSED_HEADERS = (
    "Allow, Content-Language, ETag, Idempotency-Replayed, Location, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining"
    ", X-RateLimit-Reset, X-Request-ID"
)

SECURITY_HEADERS = {
    hdrs.SERVER: "samovar",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# As aiohttp keeps them, which is quicker to copy than a dictionary is to read in.
_SECURITY_HEADERS = CIMultiDict(SECURITY_HEADERS)

PrepareHook = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def is_preflight(request: web.Request) -> bool:
    """True for OPTIONS on an address that exists: every such address answers it, whatever its methods."""
    return request.method == hdrs.METH_OPTIONS and request.match_info.http_exception is None


def preflight_response(request: web.Request, allowed: Collection[str]) -> web.Response:
    """Return the answer with the methods allowed here. The hook adds which web pages may use them, as it does to every answer."""
    headers = {hdrs.ALLOW: ", ".join(sorted(allowed))}
    if hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        headers[hdrs.VARY] = "Access-Control-Request-Method, Access-Control-Request-Headers"
    return web.Response(status=204, headers=headers)


def make_prepare_hook(origins: Collection[str]) -> PrepareHook:
    """The hook that puts the common headers on every answer, WebSocket handshakes included."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.update(_SECURITY_HEADERS)
        context = request.get(CONTEXT)
        if context is not None:
            headers[REQUEST_ID_HEADER] = context.request_id
            if context.headers:
                headers.update(context.headers)
        if origins:
            _add_cors(request, response, origins)

    return add_headers


def _add_cors(request: web.Request, response: web.StreamResponse, origins: Collection[str]) -> None:
    vary = response.headers.get(hdrs.VARY)
    response.headers[hdrs.VARY] = f"{vary}, {hdrs.ORIGIN}" if vary else hdrs.ORIGIN
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin not in origins:
        return
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    if is_preflight(request) and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = REQUEST_HEADERS
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(MAX_AGE_SECONDS)
    else:
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS
