"""The gateway's REST API (JSON:API over aiohttp) as typed calls, with bounded retries where repeating is harmless and every
refusal in words. Used by launcher.sessions, launcher.reporter, launcher.links and the commands.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID, uuid4

import aiohttp
import orjson

from launcher.failures import ExitCode, LauncherError
from launcher.resources import (
    CdnReport,
    ItemReport,
    LibraryEntry,
    Link,
    ManifestReference,
    Resource,
    Session,
    VerificationEntry,
    installation_entry_of,
    library_entry_of,
    link_of,
    manifest_reference_of,
    session_of,
    verification_entry_of,
)
from launcher.settings import Account

MEDIA_TYPE = "application/vnd.api+json"
DOWNLOADS = "/api/v1/download-client/downloads"
INSTALLATIONS = "/api/v1/download-client/installations"
UPDATES = "/api/v1/download-client/updates"
VERIFICATIONS = "/api/v1/download-client/verifications"
LIBRARY = "/api/v1/library/items"
MAX_TRIES = 6
FIRST_DELAY_SECONDS = 0.25
MAX_DELAY_SECONDS = 8.0
MAX_RETRY_AFTER_SECONDS = 30.0
OUTAGE_SECONDS = 120.0
"""How long a gateway that has answered before is waited for, where the caller has that much time."""
MAX_LINK_IDS = 1000
MAX_REPORT_ITEMS = 1000
MAX_HASH_FILES = 1000
MAX_PAGES = 1000
PAGE_SIZE = 100
MAX_ANSWER_BYTES = 64 * 1024 * 1024
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)

_RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_OUTAGE_STATUSES = frozenset({502, 503, 504})
_LASTING_CODES = frozenset({"DOWNLOAD_QUEUE_FULL"})
_EXIT_CODES_BY_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.NOT_SIGNED_IN,
    403: ExitCode.DENIED,
    404: ExitCode.DENIED,
    409: ExitCode.DENIED,
    429: ExitCode.NETWORK,
    507: ExitCode.DISK,
}
_T = TypeVar("_T")


class Api:
    """One user's view of the gateway.

    `outage_seconds` is how long a gateway is waited for that has answered before; one that never did is given up after MAX_TRIES.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        *,
        first_delay_seconds: float = FIRST_DELAY_SECONDS,
        outage_seconds: float = 0.0,
        max_tries: int = MAX_TRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._first_delay_seconds = first_delay_seconds
        self._outage_seconds = outage_seconds
        self._max_tries = max_tries
        self._clock = clock
        self._has_answered = False

    async def library(self, *, search: str | None = None) -> Sequence[LibraryEntry]:
        """All items of the user, hidden ones too, found by title when `search` is given."""
        query = {"include_hidden": "true"} | ({"search": search} if search else {})
        return [entry async for entry in self._pages(LIBRARY, query, library_entry_of)]

    async def check_token(self) -> None:
        """The gateway is there and takes the token, else LauncherError."""
        await self._call("GET", LIBRARY, query={"limit": "1"})

    async def start_download(self, attributes: Mapping[str, Any]) -> Session:
        """Queues a download; safe to repeat by its Idempotency-Key."""
        document = _document("downloadRequest", attributes)
        return await self._one("POST", DOWNLOADS, session_of, document, _new_key())

    async def apply_update(self, attributes: Mapping[str, Any]) -> Session:
        """Queues a download over a version in place; safe to repeat by its Idempotency-Key."""
        document = _document("updateRequest", attributes)
        return await self._one("POST", f"{UPDATES}/apply", session_of, document, _new_key())

    async def rollback(self, attributes: Mapping[str, Any]) -> Session:
        """Queues the way back to an older version; safe to repeat by its Idempotency-Key."""
        document = _document("rollbackRequest", attributes)
        return await self._one("POST", f"{UPDATES}/rollback", session_of, document, _new_key())

    async def create_verification(self, attributes: Mapping[str, Any]) -> VerificationEntry:
        """Begins a verification; safe to repeat by its Idempotency-Key."""
        document = _document("verificationRequest", attributes)
        return await self._one("POST", VERIFICATIONS, verification_entry_of, document, _new_key())

    async def verification(self, verification_id: UUID) -> VerificationEntry:
        return await self._one("GET", f"{VERIFICATIONS}/{verification_id}", verification_entry_of)

    async def submit_hashes(
        self, verification_id: UUID, files: Sequence[Mapping[str, Any]], *, is_last: bool
    ) -> VerificationEntry:
        """One batch of at most MAX_HASH_FILES; a batch that comes twice says the same twice."""
        document = _document("verificationHashes", {"files": list(files), "is_last": is_last})
        path = f"{VERIFICATIONS}/{verification_id}/hashes"
        return await self._one("POST", path, verification_entry_of, document, _new_key())

    async def repair_verification(self, verification_id: UUID, attributes: Mapping[str, Any]) -> Session:
        """Queues a download of what the verification found damaged; safe to repeat by its Idempotency-Key."""
        document = _document("repairRequest", attributes)
        return await self._one("POST", f"{VERIFICATIONS}/{verification_id}/repair", session_of, document, _new_key())

    async def item_ids(self, session_id: UUID) -> frozenset[UUID]:
        """The files that a session brings."""
        path = f"{DOWNLOADS}/{session_id}/items"
        return frozenset([item async for item in self._pages(path, {}, lambda resource: UUID(resource["id"]))])

    async def download(self, session_id: UUID) -> Session:
        return await self._one("GET", f"{DOWNLOADS}/{session_id}", session_of)

    async def downloads(self, product_id: UUID) -> AsyncIterator[Session]:
        """The user's sessions of a product, newest first."""
        async for session in self._pages(DOWNLOADS, {"product_id": str(product_id)}, session_of):
            yield session

    async def pause(self, session_id: UUID) -> Session:
        return await self._one("POST", f"{DOWNLOADS}/{session_id}/pause", session_of)

    async def resume(self, session_id: UUID) -> Session:
        return await self._one("POST", f"{DOWNLOADS}/{session_id}/resume", session_of)

    async def retry(self, session_id: UUID) -> Session:
        return await self._one("POST", f"{DOWNLOADS}/{session_id}/retry", session_of)

    async def cancel(self, session_id: UUID) -> None:
        await self._call("DELETE", f"{DOWNLOADS}/{session_id}")

    async def manifest(self, session_id: UUID) -> ManifestReference:
        return await self._one("GET", f"{DOWNLOADS}/{session_id}/manifest", manifest_reference_of)

    async def report_uninstalled(self, product_id: UUID, device_id: UUID) -> bool:
        """The product is gone from the device; False when the server knew of no installation there."""
        query = {"product_id": str(product_id), "device_id": str(device_id)}
        found = [entry async for entry in self._pages(INSTALLATIONS, query, installation_entry_of)]
        for entry in found:
            try:
                await self._call("DELETE", f"{INSTALLATIONS}/{entry.id}")
            except LauncherError as refusal:
                if refusal.code != "INSTALLATION_NOT_FOUND":  # another client, or an earlier try, was quicker
                    raise
        return bool(found)

    async def links(self, session_id: UUID, ids: Sequence[str]) -> Sequence[Link]:
        """Signed links to chunks, at most MAX_LINK_IDS."""
        answer = await self._call(
            "POST", f"{DOWNLOADS}/{session_id}/links", document=_document("linkRequest", {"ids": list(ids)})
        )
        return _read(lambda: [link_of(resource) for resource in answer["data"]])

    async def report(
        self, session_id: UUID, sequence: int, items: Sequence[ItemReport], cdn: Sequence[CdnReport]
    ) -> Session:
        """What was done since the last report; answers how the session stands now."""
        attributes = {
            "sequence": sequence,
            "items": [item.document() for item in items],
            "cdn": [report.document() for report in cdn],
        }
        document = _document("downloadReport", attributes)
        return await self._one("POST", f"{DOWNLOADS}/{session_id}/report", session_of, document)

    async def _one(
        self,
        method: str,
        path: str,
        read: Callable[[Resource], _T],
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _T:
        answer = await self._call(method, path, document=document, headers=headers)
        return _read(lambda: read(answer["data"]))

    async def _pages(self, path: str, query: Mapping[str, str], read: Callable[[Resource], _T]) -> AsyncIterator[_T]:
        for page in range(1, MAX_PAGES + 1):
            answer = await self._call("GET", path, query={**query, "page": str(page), "limit": str(PAGE_SIZE)})
            items, total_pages = _read(partial(_page, answer, read))
            for item in items:
                yield item
            if page >= total_pages:
                return

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """One request, repeated while the failure may pass. All calls here are safe to repeat, or refused when repeated."""
        body = orjson.dumps(document) if document is not None else None
        url = self._base_url + path
        gives_up_at = self._clock() + self._outage_seconds
        for attempt in count(1):
            is_outage = True
            wait_seconds = self._delay_seconds(attempt)
            try:
                async with self._session.request(
                    method, url, params=query, data=body, headers=headers, allow_redirects=False
                ) as response:
                    content = await _read_body(response)
                    is_outage = response.status in _OUTAGE_STATUSES
                    self._has_answered = self._has_answered or not is_outage
                    if response.status < 300:
                        return _read(partial(_loads, content)) if content else {}
                    failure = _refusal(response.status, content)
                    if response.status not in _RETRIED_STATUSES or failure.code in _LASTING_CODES:
                        raise failure
                    wait_seconds = _retry_after_seconds(response.headers) or wait_seconds
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = LauncherError(
                    "SERVICE_UNAVAILABLE",
                    f"the gateway {self._base_url} cannot be reached: {str(error) or type(error).__name__}",
                    ExitCode.NETWORK,
                )
            is_waited_for = is_outage and self._has_answered and self._clock() < gives_up_at
            if attempt >= self._max_tries and not is_waited_for:
                raise failure
            await asyncio.sleep(wait_seconds)
        raise AssertionError("unreachable")

    def _delay_seconds(self, attempt: int) -> float:
        """Doubles with each try; spread by half so that many clients do not come back at once."""
        full: float = min(self._first_delay_seconds * 2 ** min(attempt - 1, MAX_TRIES), MAX_DELAY_SECONDS)
        return full * random.uniform(0.5, 1.0)


@asynccontextmanager
async def open_api(
    account: Account,
    *,
    first_delay_seconds: float = FIRST_DELAY_SECONDS,
    outage_seconds: float = 0.0,
    max_tries: int = MAX_TRIES,
) -> AsyncIterator[Api]:
    """The gateway as this account sees it. The token goes to the gateway only, never along a redirect or to a CDN."""
    headers = {
        "Authorization": f"Bearer {account.token}",
        "Accept": MEDIA_TYPE,
        "Accept-Language": account.language,
        "Content-Type": MEDIA_TYPE,
        "User-Agent": "samovar-launcher/1",
    }
    async with aiohttp.ClientSession(
        headers=headers, timeout=REQUEST_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Api(
            session,
            account.gateway_url,
            first_delay_seconds=first_delay_seconds,
            outage_seconds=outage_seconds,
            max_tries=max_tries,
        )


def exit_code_of(code: str) -> ExitCode:
    """The exit code that an error code of the platform stands for, where it comes without an HTTP status."""
    if code in {"FILE_HASH_MISMATCH", "MANIFEST_INVALID", "MANIFEST_SIGNATURE_INVALID"}:
        return ExitCode.CORRUPT
    if code == "INSUFFICIENT_CLIENT_DISK_SPACE":
        return ExitCode.DISK
    if code in {"CDN_ERROR", "CDN_LINK_GENERATION_FAILED", "SERVICE_UNAVAILABLE"}:
        return ExitCode.NETWORK
    if code.endswith(("_DENIED", "_NOT_FOUND")):
        return ExitCode.DENIED
    return ExitCode.UNEXPECTED


def _new_key() -> dict[str, str]:
    """A header that makes a POST safe to repeat."""
    return {"Idempotency-Key": str(uuid4())}


def _document(resource_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": {"type": resource_type, "attributes": dict(attributes)}}


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            message = f"the gateway's answer is longer than {MAX_ANSWER_BYTES} bytes"
            raise LauncherError("ANSWER_UNREADABLE", message, ExitCode.UNEXPECTED)
    return bytes(content)


def _loads(content: bytes) -> Mapping[str, Any]:
    value = orjson.loads(content)
    if not isinstance(value, dict):
        raise TypeError("not a document")
    return value


def _page(answer: Mapping[str, Any], read: Callable[[Resource], _T]) -> tuple[list[_T], int]:
    return [read(resource) for resource in answer["data"]], int(answer.get("meta", {}).get("total_pages", 1))


def _read(read: Callable[[], _T]) -> _T:
    """What comes from outside may be anything: an answer that does not read is a failure with a name, not a stack trace."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LauncherError(
            "ANSWER_UNREADABLE",
            f"the gateway's answer is not as agreed: {type(error).__name__} {error}",
            ExitCode.UNEXPECTED,
        ) from None


def _refusal(status: int, content: bytes) -> LauncherError:
    """The first error of the document in words; a body that is no document (a proxy's page) is told by its status."""
    exit_code = _EXIT_CODES_BY_STATUS.get(status, ExitCode.NETWORK if status >= 500 else ExitCode.UNEXPECTED)
    try:
        error = orjson.loads(content)["errors"][0]
        code = str(error["code"])
        text = str(error.get("detail") or error.get("title") or code)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        code = "SERVICE_UNAVAILABLE" if status >= 500 else "ANSWER_UNREADABLE"
        text = f"the gateway answered {status}"
    return LauncherError(code, f"{code}: {text}", exit_code)


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return min(float(value), MAX_RETRY_AFTER_SECONDS) if value.isdigit() else None
