"""Addresses of the application: each with its methods, and what it answers to all the others. Called by gateway.app and
gateway.http.documentation.

Where an address fits two templates, as `/sessions/start` fits `/sessions/{id}`, the one with fewer placeholders is meant, and its
methods alone: that is how OpenAPI reads them.
"""

from collections.abc import Mapping

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from gateway.http.cors import preflight_response


def add_address(app: web.Application, path: str, handlers: Mapping[str, Handler]) -> None:
    """Serves the address by its methods' handlers; OPTIONS comes with every address (RFC 9110, section 9.3.7)."""
    allowed = frozenset({*handlers, hdrs.METH_OPTIONS})

    async def answer_others(request: web.Request) -> web.StreamResponse:
        if request.method == hdrs.METH_OPTIONS:
            return preflight_response(request, allowed)
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    for method, handler in {**handlers, hdrs.METH_ANY: answer_others}.items():
        app.router.add_route(method, path, handler, expect_handler=_send_continue)


def reading(handler: Handler) -> Mapping[str, Handler]:
    """GET, and HEAD with it. Not for streams: HEAD would open one that nobody reads."""
    return {hdrs.METH_GET: handler, hdrs.METH_HEAD: handler}


async def _send_continue(request: web.Request) -> None:
    """RFC 9110, section 10.1.1; expectations that nobody knows are passed over."""
    if request.version == HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Not part of the answer, which has not begun.
        request.writer.output_size = 0
