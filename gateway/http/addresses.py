"""Addresses of the application: each with its methods, and what it answers to all the others. Called by gateway.app and
gateway.http.documentation.

Where an address fits two templates, as `/sessions/start` fits `/sessions/{id}`, the one with fewer placeholders is meant, and its
methods alone: that is how OpenAPI reads them.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from gateway.http.cors import preflight_response

UNREADABLE = "\udcff"
"""A parameter that is not percent-encoded UTF-8, as the transcoders get it: no text, so they refuse it by its name."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def placeholders(path: str) -> Sequence[str]:
    """Names of the address's parameters in order."""
    return _PLACEHOLDER.findall(path)


def path_form(path: str) -> str:
    """An address without the names of its parameters, which may be different for each method."""
    return _PLACEHOLDER.sub("{}", path)


def parameters_of(request: web.Request, names: Sequence[str]) -> dict[str, str]:
    """The parameters of the request's address, by `names` in the order of their places: another method of the address may have
    other names for them.
    """
    values = [*request.match_info.values()]
    raw = request.rel_url.raw_path
    if "%" in raw and not _is_utf8(raw):
        resource = request.match_info.route.resource
        assert resource is not None  # noqa: S101  only addresses that are served have parameters
        places = [place for place, segment in enumerate(resource.canonical.split("/")) if "{" in segment]
        given = raw.split("/")
        values = [value if _is_utf8(given[place]) else UNREADABLE for place, value in zip(places, values, strict=True)]
    return dict(zip(names, values, strict=True))


def _is_utf8(raw: str) -> bool:
    if _BAD_ESCAPE.search(raw):
        return False
    try:
        unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        return False
    return True


def add_address(app: web.Application, path: str, handlers: Mapping[str, Handler]) -> None:
    """Serves the address by its methods' handlers; OPTIONS comes with every address (RFC 9110, section 9.3.7)."""
    allowed = frozenset({*handlers, hdrs.METH_OPTIONS})

    async def answer_others(request: web.Request) -> web.StreamResponse:
        if request.method == hdrs.METH_OPTIONS:
            return preflight_response(request, allowed)
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    # A parameter may hold whatever a segment can, braces too.
    path = _PLACEHOLDER.sub(r"{\1:[^/]+}", path)
    for method, handler in {**handlers, hdrs.METH_ANY: answer_others}.items():
        app.router.add_route(method, path, handler, expect_handler=_send_continue)


def reading(handler: Handler) -> Mapping[str, Handler]:
    """GET, and HEAD with it. Not for streams: HEAD would open one that nobody reads."""
    return {hdrs.METH_GET: handler, hdrs.METH_HEAD: handler}


async def _send_continue(request: web.Request) -> None:
    """RFC 9110, section 10.1.1; unknown expectations are ignored."""
    if request.version == HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Not part of the answer, which has not begun.
        request.writer.output_size = 0
