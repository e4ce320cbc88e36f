"""How an answer's body is sent: with a strong entity tag, not at all when the client has it already, compressed where that is
worth it and safe. A middleware, so that it holds for whatever is served. RFC 9110, sections 8.4, 8.8.3, 12.5.3 and 13.1.2.
"""

import asyncio
import re
from collections.abc import Iterable
from hashlib import sha256

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

ETAG_HEX_DIGITS = 32
OFFLOADED_BYTES = 64 * 1024
"""From here on hashing takes a thread: the loop has others to serve."""

_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_KEPT_IN_304 = (hdrs.ETAG, hdrs.VARY, hdrs.CACHE_CONTROL, hdrs.CONTENT_LANGUAGE)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def representing() -> Middleware:
    """The middleware; it wraps the one that turns errors into answers."""

    @web.middleware
    async def represent(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
            return response
        if not _is_tagged(request, response):
            return response
        tag = await _tag_of(response, response.body)
        response.headers[hdrs.ETAG] = tag
        if is_among(tag, request.headers.getall(hdrs.IF_NONE_MATCH, ())):
            return _not_modified(response)
        return response

    return represent


def _is_tagged(request: web.Request, response: web.Response) -> bool:
    """Reads that somebody may keep. What carries signed URLs is kept by nobody and is never twice the same."""
    return (
        request.method in _READS
        and response.status == 200
        and "no-store" not in response.headers.get(hdrs.CACHE_CONTROL, "")
    )


async def _tag_of(response: web.Response, body: bytes) -> str:
    # The same bytes are another representation under another media type or language.
    about = (
        f"{response.headers.get(hdrs.CONTENT_TYPE, '')}\0{response.headers.get(hdrs.CONTENT_LANGUAGE, '')}\0".encode()
    )
    digest = await asyncio.to_thread(_digest, about, body) if len(body) >= OFFLOADED_BYTES else _digest(about, body)
    return f'"{digest}"'


def _digest(about: bytes, body: bytes) -> str:
    return sha256(about + body).hexdigest()[:ETAG_HEX_DIGITS]


def is_among(tag: str, if_none_match: Iterable[str]) -> bool:
    """True when the client has what `tag` stands for: weak comparison, as If-None-Match wants it."""
    return any(value.strip() == "*" or tag in _TAG.findall(value) for value in if_none_match)


def _not_modified(response: web.Response) -> web.Response:
    headers = {name: response.headers[name] for name in _KEPT_IN_304 if name in response.headers}
    return web.Response(status=304, headers=headers)
