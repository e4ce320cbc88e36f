"""Sends an answer's body: with a strong entity tag, not at all when the client already has it, compressed where that is safe and
worth it. Called by gateway.middleware for every answer. RFC 9110, sections 8.4, 8.8.3, 12.5.3 and 13.1.2.

Answers with signed URLs say `no-transform`, to us and to every proxy on the way: their length must reveal nothing. They are
bearer secrets beside members that the request chose, which is what guessing by compressed length (BREACH) needs. Nothing else
we send is secret from the client that requested it; our own tokens travel in headers.
"""

import asyncio
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus

from aiohttp import hdrs, web

from gateway.request.compression import CODINGS, choose_coding
from gateway.request.negotiation import JSON, JSON_API, LANGUAGES

ETAG_HEX_DIGITS = 32
COMPRESSED_ABOVE_BYTES = 1024
OFFLOADED_BYTES = 64 * 1024
"""From this size on, a thread does the hashing and compressing: the loop has other requests to serve."""
Kept = dict[str | None, tuple[str, bytes]]
"""Tag and body by coding."""
KEPT: web.ResponseKey[Kept] = web.ResponseKey("kept", Kept)
"""For answers that are always the same: each has a dict of its own here, so that it is hashed and compressed once."""
CONTENT_TYPES_REMEMBERED = 64
NO_STORE = "no-store"
NO_TRANSFORM = "no-transform"

_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_KEPT_IN_304 = (hdrs.ETAG, hdrs.VARY, hdrs.CACHE_CONTROL, hdrs.CONTENT_LANGUAGE)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_COMPRESSIBLE = re.compile(r"text/.+|application/(?:.+\+)?(?:json|javascript|xml)|image/svg\+xml")


async def represent(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The answer as it is sent: `response`, changed, or one that says that the client has it already."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    body = response.body
    coding = _coding_of(request, response, body)
    kept = response.get(KEPT)
    known = kept.get(coding) if kept is not None else None
    if _is_tagged(request, response):
        tag = response.headers.get(hdrs.ETAG)  # the service's own (option `etag_field`)
        if tag is None:
            tag = known[0] if known is not None else await _tag_of(response, body, coding)
            response.headers[hdrs.ETAG] = tag
        if hdrs.IF_NONE_MATCH in request.headers and is_among(tag, request.headers.getall(hdrs.IF_NONE_MATCH)):
            return _not_modified(response)
    if coding is not None:
        body = known[1] if known is not None else await _compressed(coding, body)
        response.body = body
        response.headers[hdrs.CONTENT_ENCODING] = coding
    if kept is not None and hdrs.ETAG in response.headers:
        kept[coding] = (response.headers[hdrs.ETAG], body)
    return response


def _coding_of(request: web.Request, response: web.Response, body: bytes) -> str | None:
    """Return the coding for the body; None = send it as it is. Small bodies vary by Accept-Encoding too: the next may be large."""
    headers = response.headers
    if not _is_compressible(headers.get(hdrs.CONTENT_TYPE, "")) or hdrs.CONTENT_ENCODING in headers:
        return None
    if NO_TRANSFORM in headers.get(hdrs.CACHE_CONTROL, ""):
        return None
    vary = headers.get(hdrs.VARY)
    headers[hdrs.VARY] = f"{vary}, {hdrs.ACCEPT_ENCODING}" if vary else hdrs.ACCEPT_ENCODING
    # A tag that a service gave comes back to it with If-Match, so it must stay as it is; and a strong one stands for one coding.
    if len(body) <= COMPRESSED_ABOVE_BYTES or hdrs.ETAG in headers or hdrs.ACCEPT_ENCODING not in request.headers:
        return None
    return choose_coding(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ())))


@lru_cache(CONTENT_TYPES_REMEMBERED)
def _is_compressible(content_type: str) -> bool:
    return _COMPRESSIBLE.fullmatch(content_type.partition(";")[0].strip().lower()) is not None


async def _compressed(coding: str, body: bytes) -> bytes:
    compress = CODINGS[coding]
    return await asyncio.to_thread(compress, body) if len(body) >= OFFLOADED_BYTES else compress(body)


def _is_tagged(request: web.Request, response: web.Response) -> bool:
    """True for reads that may be cached. An answer with signed URLs is never cached and never the same twice."""
    return (
        request.method in _READS
        and response.status == HTTPStatus.OK
        and NO_STORE not in response.headers.get(hdrs.CACHE_CONTROL, "")
    )


async def _tag_of(response: web.Response, body: bytes, coding: str | None) -> str:
    # The same bytes are another representation under another media type or language, and compressed they are other bytes.
    about = _about(response.headers.get(hdrs.CONTENT_TYPE, ""), response.headers.get(hdrs.CONTENT_LANGUAGE, ""))
    digest = await asyncio.to_thread(_digest, about, body) if len(body) >= OFFLOADED_BYTES else _digest(about, body)
    return f'"{digest}"' if coding is None else f'"{digest}-{coding}"'


def _about(content_type: str, language: str) -> bytes:
    return f"{content_type}\0{language}\0".encode()


def _digest(about: bytes, body: bytes) -> str:
    digest = sha256(about)
    digest.update(body)
    return digest.hexdigest()[:ETAG_HEX_DIGITS]


def tags_of_all(body: bytes) -> Collection[str]:
    """The tags, without quotes, of every representation that a document of a success can have: they differ by media type, by
    language and by coding.
    """
    digests = {_digest(_about(media_type, language), body) for media_type in (JSON_API, JSON) for language in LANGUAGES}
    return digests | {f"{digest}-{coding}" for digest in digests for coding in CODINGS}


def is_among(tag: str, if_none_match: Iterable[str]) -> bool:
    """Return True when the client has the version that `tag` identifies: weak comparison, as If-None-Match requires."""
    return any(value.strip() == "*" or tag in _TAG.findall(value) for value in if_none_match)


def _not_modified(response: web.Response) -> web.Response:
    headers = {name: response.headers[name] for name in _KEPT_IN_304 if name in response.headers}
    return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
