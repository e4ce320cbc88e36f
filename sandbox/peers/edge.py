"""The CDN's edge over any object store: chunks by signed link, read through the port. Opened by sandbox.peers.main where the
objects are not files of its own; those go out by sandbox.peers.object_http, without passing through memory.
"""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from aiohttp import web

from chassis.errors import DomainError, Kind
from chassis.http.server import error_response
from chassis.objects.object_store import KeyInvalid, ObjectStore
from chassis.objects.signed_urls import verify
from sandbox.peers.object_http import RangeNotSatisfiable, choose_range


class EdgeHandlers:
    """GET with ranges of what the links' key signed."""

    def __init__(self, objects: ObjectStore, signing_key: str, now: Callable[[], datetime]) -> None:
        if not signing_key:
            raise ValueError("signed URLs cannot be checked with an empty key")
        self._objects = objects
        self._signing_key = signing_key
        self._now = now

    def add_to(self, app: web.Application, prefix: str) -> None:
        app.router.add_get(f"{prefix}/{{key:.+}}", self.read)

    async def read(self, request: web.Request) -> web.Response:
        try:
            verify(request.method, request.path, request.query, key=self._signing_key, now=self._now())
        except DomainError as error:
            return error_response(HTTPStatus.FORBIDDEN, error.reason, error.details["description"])
        key = request.match_info["key"]
        try:
            info = await self._objects.head(key)
            content = b"" if info is None or request.method == "HEAD" else await self._objects.get(key)
        except KeyInvalid:
            return _not_found()
        except DomainError as error:
            if error.kind is Kind.NOT_FOUND:
                return _not_found()
            retry_after = {"Retry-After": str(int(error.retry_after_seconds or 1))}
            return error_response(
                HTTPStatus.SERVICE_UNAVAILABLE, error.reason, "the origin is away", headers=retry_after
            )
        if info is None:
            return _not_found()
        return _answer(request, content, info.size_bytes, info.etag)


def _answer(request: web.Request, content: bytes, size_bytes: int, etag: str) -> web.Response:
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-transform",
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
    }
    if request.method == "HEAD":
        return web.Response(headers={**headers, "Content-Length": str(size_bytes)})
    applies = request.headers.get("If-Range", etag).strip() == etag
    try:
        part = choose_range(request.headers.get("Range"), len(content)) if applies else None
    except RangeNotSatisfiable:
        unsatisfied = {"Content-Range": f"bytes */{len(content)}"}
        return error_response(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "RANGE_NOT_SATISFIABLE",
            "no byte lies in the range",
            headers=unsatisfied,
        )
    if part is None:
        return web.Response(body=content, headers=headers)
    end = part.offset + part.length
    headers["Content-Range"] = f"bytes {part.offset}-{end - 1}/{len(content)}"
    return web.Response(status=HTTPStatus.PARTIAL_CONTENT, body=content[part.offset : end], headers=headers)


def _not_found() -> web.Response:
    return error_response(HTTPStatus.NOT_FOUND, "FILE_NOT_FOUND", "there is no such object")
