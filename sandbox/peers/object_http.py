"""HTTP for a DirectoryStore: objects by signed URL, with ranges and conditional requests (RFC 9110), and uploads that are bound to
their bytes. The sandbox mounts it as object store (/objects) and as CDN (/cdn).
"""

import asyncio
import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from logging import getLogger
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from chassis.errors import DomainError
from chassis.http.server import error_response
from chassis.objects.directory_store import (
    FILENAME_PARAMETER,
    SHA256_PARAMETER,
    SIZE_PARAMETER,
    DirectoryStore,
    etag_of,
    stat_file,
)
from chassis.objects.object_store import CHECKSUM_HEADER, KeyInvalid, content_disposition
from chassis.objects.signed_urls import verify

MAX_UPLOAD_BYTES = 16 << 30
READ_BYTES = 1 << 20
"""The size of one read where the event loop has no sendfile: one chunk of content."""

_RANGE = re.compile(r"bytes=\s*(?:(\d{1,19})-(\d{1,19})?|-(\d{1,19}))\s*", re.ASCII | re.IGNORECASE)

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Part of an object; `length` may be 0 only for a whole, empty object."""

    offset: int
    length: int


class RangeNotSatisfiable(Exception):
    """No part of the object is in the requested range."""


def add_object_routes(
    app: web.Application,
    prefix: str,
    store: DirectoryStore,
    signing_key: str,
    *,
    uploads: bool,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Serves the store's objects at `<prefix>/<key>` to those whose URL was signed with the key; PUT only where `uploads`."""
    if not signing_key:
        raise ValueError("signed URLs cannot be checked with an empty key")
    site = _ObjectSite(prefix.rstrip("/"), store, signing_key, now)
    # `{key:.+}` keeps slashes; aiohttp adds HEAD to GET.
    app.router.add_get(f"{site.prefix}/{{key:.+}}", site.read)
    if uploads:
        app.router.add_put(f"{site.prefix}/{{key:.+}}", site.write)


class _ObjectSite:
    def __init__(self, prefix: str, store: DirectoryStore, signing_key: str, now: Callable[[], datetime]) -> None:
        self.prefix = prefix
        self._store = store
        self._signing_key = signing_key
        self._now = now

    async def read(self, request: web.Request) -> web.StreamResponse:
        refusal = self._check_signature(request)
        if refusal is not None:
            return refusal
        path = self._path_of(request)
        opened = None if path is None else await asyncio.to_thread(_open, path)
        if opened is None:
            return error_response(HTTPStatus.NOT_FOUND, "FILE_NOT_FOUND", "there is no such object")
        file, found = opened
        try:
            return await _answer(request, file, found)
        finally:
            await asyncio.to_thread(file.close)

    async def write(self, request: web.Request) -> web.StreamResponse:
        refusal = self._check_signature(request) or _check_upload_headers(request)
        if refusal is not None:
            return refusal
        if self._path_of(request) is None:
            return error_response(HTTPStatus.NOT_FOUND, "FILE_NOT_FOUND", "there can be no such object")
        size_bytes = int(request.query[SIZE_PARAMETER])
        sha256 = bytes.fromhex(request.query[SHA256_PARAMETER])
        key = request.match_info["key"]
        if await self._store.head(key) is not None:
            return error_response(HTTPStatus.PRECONDITION_FAILED, "PRECONDITION_FAILED", "the object exists already")
        work_file = await asyncio.to_thread(self._store.work_file)
        try:
            digest, received = await _receive(request, work_file, size_bytes)
            if received != size_bytes or not hmac.compare_digest(digest, sha256):
                return error_response(
                    HTTPStatus.BAD_REQUEST, "FILE_HASH_MISMATCH", "the bytes are not those that were announced"
                )
            if not await asyncio.to_thread(self._store.publish_new, work_file, key):
                return error_response(
                    HTTPStatus.PRECONDITION_FAILED, "PRECONDITION_FAILED", "the object exists already"
                )
        finally:
            await asyncio.to_thread(work_file.unlink, missing_ok=True)
        stored = await self._store.head(key)
        return web.Response(status=HTTPStatus.OK, headers={} if stored is None else {"ETag": stored.etag})

    def _check_signature(self, request: web.Request) -> web.Response | None:
        try:
            verify(request.method, request.path, request.query, key=self._signing_key, now=self._now())
        except DomainError as error:
            return error_response(HTTPStatus.FORBIDDEN, error.reason, error.details["description"])
        return None

    def _path_of(self, request: web.Request) -> Path | None:
        try:
            return self._store.path_of(request.match_info["key"])
        except KeyInvalid:
            # A holder of the key signed it, so this is our own mistake; to the client the object just does not exist.
            _log.warning("signed URL of what is no object key")
            return None


def choose_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the part that a Range header requests; None means the whole object.

    What is malformed, in another unit or more than one range is ignored, as RFC 9110 section 14.2 allows.

    Raises:
        RangeNotSatisfiable: it begins behind the end, or asks for the last 0 bytes.
    """
    match = _RANGE.fullmatch(header) if header is not None else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(int(suffix), size_bytes)
        if length == 0:
            raise RangeNotSatisfiable
        return ByteRange(size_bytes - length, length)
    offset = int(first)
    end = size_bytes - 1 if last is None else min(int(last), size_bytes - 1)
    if last is not None and int(last) < offset:
        return None
    if offset >= size_bytes:
        raise RangeNotSatisfiable
    return ByteRange(offset, end - offset + 1)


async def _answer(request: web.Request, file: BinaryIO, found: os.stat_result) -> web.StreamResponse:
    etag = etag_of(found)
    modified_at = datetime.fromtimestamp(int(found.st_mtime), UTC)
    status = _precondition(request, etag, modified_at)
    if status is HTTPStatus.PRECONDITION_FAILED:
        return error_response(status, "PRECONDITION_FAILED", "the object is another one than was expected")
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        # A link is for one user, and what an edge changed would not have its SHA-256 any more.
        "Cache-Control": "private, no-transform",
        "X-Content-Type-Options": "nosniff",
    }
    if filename := request.query.get(FILENAME_PARAMETER):
        headers["Content-Disposition"] = content_disposition(filename)
    if status is HTTPStatus.NOT_MODIFIED:
        return web.Response(status=status, headers=headers)
    part = None
    if request.method == "GET" and _range_applies(request, etag, modified_at):
        try:
            part = choose_range(request.headers.get("Range"), found.st_size)
        except RangeNotSatisfiable:
            unsatisfied = {"Content-Range": f"bytes */{found.st_size}"}
            return error_response(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                "RANGE_NOT_SATISFIABLE",
                "no byte lies in the range",
                headers=unsatisfied,
            )
    response = web.StreamResponse(status=HTTPStatus.OK, headers=headers)
    response.content_type = "application/octet-stream"
    response.last_modified = modified_at
    if part is not None:
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers["Content-Range"] = f"bytes {part.offset}-{part.offset + part.length - 1}/{found.st_size}"
    wanted = part or ByteRange(0, found.st_size)
    response.content_length = wanted.length
    await response.prepare(request)
    if request.method == "GET" and wanted.length:
        await _send(request, response, file, wanted)
    await response.write_eof()
    return response


async def _send(request: web.Request, response: web.StreamResponse, file: BinaryIO, part: ByteRange) -> None:
    if request.transport is None:
        raise ConnectionResetError("the client has gone")
    try:
        await asyncio.get_running_loop().sendfile(request.transport, file, part.offset, part.length, fallback=False)
    except (NotImplementedError, asyncio.SendfileNotAvailableError):
        # uvloop and TLS: large reads in a thread, one write each.
        position, end = part.offset, part.offset + part.length
        while position < end:
            data = await asyncio.to_thread(os.pread, file.fileno(), min(READ_BYTES, end - position), position)
            if not data:
                raise ConnectionAbortedError("the object became shorter") from None
            position += len(data)
            await response.write(data)


def _precondition(request: web.Request, etag: str, modified_at: datetime) -> HTTPStatus:
    """Return the status that the conditional headers give the request, in the order of RFC 9110 section 13.2.2."""
    if (if_match := request.headers.get("If-Match")) is not None:
        if not _names(if_match, etag, weak=False):
            return HTTPStatus.PRECONDITION_FAILED
    elif (
        unmodified_since := _http_date(request, "If-Unmodified-Since")
    ) is not None and modified_at > unmodified_since:
        return HTTPStatus.PRECONDITION_FAILED
    if (if_none_match := request.headers.get("If-None-Match")) is not None:
        if _names(if_none_match, etag, weak=True):
            return HTTPStatus.NOT_MODIFIED
    elif (modified_since := _http_date(request, "If-Modified-Since")) is not None and modified_at <= modified_since:
        return HTTPStatus.NOT_MODIFIED
    return HTTPStatus.OK


def _range_applies(request: web.Request, etag: str, modified_at: datetime) -> bool:
    """Return True when If-Range is absent, or names the object as it is now: by its strong tag or by its exact date."""
    if_range = request.headers.get("If-Range")
    if if_range is None:
        return True
    if if_range.lstrip().startswith(('"', "W/")):
        return if_range.strip() == etag
    return _http_date(request, "If-Range") == modified_at


def _names(header: str, etag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    tags = [tag.strip() for tag in header.split(",")]
    return any((tag.removeprefix("W/") if weak else tag) == etag for tag in tags)


def _http_date(request: web.Request, name: str) -> datetime | None:
    value = request.headers.get(name)
    if value is None:
        return None
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(value)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def _check_upload_headers(request: web.Request) -> web.Response | None:
    """Refuses an upload whose headers do not repeat what its URL is bound to."""
    if SIZE_PARAMETER not in request.query or SHA256_PARAMETER not in request.query:
        return error_response(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", "the link is bound to no bytes")
    size_bytes = int(request.query[SIZE_PARAMETER])
    sha256 = bytes.fromhex(request.query[SHA256_PARAMETER])
    if request.headers.get(CHECKSUM_HEADER, "") != base64.b64encode(sha256).decode("ascii"):
        return error_response(
            HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", f"the header {CHECKSUM_HEADER} is not the signed one"
        )
    if request.headers.get("If-None-Match", "").strip() != "*":
        return error_response(
            HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", "the header if-none-match is not the signed one"
        )
    if request.content_length != size_bytes:
        return error_response(
            HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", "the header content-length is not the signed one"
        )
    if size_bytes > MAX_UPLOAD_BYTES:
        return error_response(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "PAYLOAD_TOO_LARGE", f"more than {MAX_UPLOAD_BYTES} bytes"
        )
    return None


async def _receive(request: web.Request, work_file: Path, size_bytes: int) -> tuple[bytes, int]:
    """Writes the body to the work file and syncs it; returns the SHA-256 and the length of what came."""
    digest = hashlib.sha256()
    received = 0
    file = await asyncio.to_thread(work_file.open, "xb")
    try:
        async for data in request.content.iter_chunked(READ_BYTES):
            received += len(data)
            if received > size_bytes:
                break
            await asyncio.to_thread(_take, file, digest, data)
        await asyncio.to_thread(_sync, file)
    finally:
        await asyncio.to_thread(file.close)
    return digest.digest(), received


def _take(file: BinaryIO, digest: "hashlib._Hash", data: bytes) -> None:
    digest.update(data)
    file.write(data)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _open(path: Path) -> tuple[BinaryIO, os.stat_result] | None:
    """The object's file and its status, of one and the same file; None when it is missing, or is a link. Blocks."""
    if stat_file(path) is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return os.fdopen(descriptor, "rb"), os.fstat(descriptor)
