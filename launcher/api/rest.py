"""One user's REST at the gateway: JSON:API over aiohttp, one document or all pages of a list, with bounded retries where repeating
is harmless and every refusal in words. Used by launcher.api.download_client and launcher.api.library_api.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp
import orjson

from depot.terminal import say
from launcher.api.backoff import FIRST_DELAY_SECONDS, delay_seconds
from launcher.failures import ExitCode, LauncherError
from launcher.process import typed
from launcher.settings import Account, proxy_for

MEDIA_TYPE = "application/vnd.api+json"
MAX_TRIES = 6
MAX_RETRY_AFTER_SECONDS = 30.0
OUTAGE_SECONDS = 120.0
"""The time to wait for a gateway that has answered before, if the caller has that much time."""
SILENCE_SECONDS = 10.0
"""After so long without an answer the user is notified of what the command waits for."""
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
    412: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
    422: ExitCode.DENIED,
    428: ExitCode.CONFLICT,
    429: ExitCode.NETWORK,
    507: ExitCode.DISK,
}
Resource = Mapping[str, Any]
"""A JSON:API resource object."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answer:
    """The gateway's answer: a document, empty if there was none, and the entity tag of its content."""

    document: Mapping[str, Any]
    etag: str | None


class Rest:
    """The gateway as one user sees it.

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
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._first_delay_seconds = first_delay_seconds
        self._outage_seconds = outage_seconds
        self._max_tries = max_tries
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._proxy = proxy_for(base_url)
        self._has_answered = False

    async def one(
        self,
        method: str,
        path: str,
        read: Callable[[Resource], _T],
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _T:
        answer = await self.call(method, path, document=document, headers=headers)
        return read_answer(lambda: read(answer["data"]))

    async def pages(self, path: str, query: Mapping[str, str], read: Callable[[Resource], _T]) -> AsyncIterator[_T]:
        """Yield every resource of a list, page by page."""
        for page in range(1, MAX_PAGES + 1):
            answer = await self.call("GET", path, query={**query, "page": str(page), "limit": str(PAGE_SIZE)})
            items, total_pages = read_answer(partial(_page, answer, read))
            for item in items:
                yield item
            if page >= total_pages:
                return

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Return the document of the gateway's answer, empty if there is none."""
        return (await self.exchange(method, path, query=query, document=document, headers=headers)).document

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, and retry temporary failures. All calls here are safe to repeat, or refused when repeated."""
        query = {name: typed(value) for name, value in query.items()} if query is not None else None
        try:
            body = orjson.dumps(document) if document is not None else None
        except TypeError as error:
            message = f"what was given cannot be sent as text: {error}"
            raise LauncherError("INVALID_ARGUMENT", message, ExitCode.USAGE) from None
        url = self._base_url + path
        silence = asyncio.get_running_loop().call_later(self._silence_seconds, self._on_silence)
        try:
            return await self._until_answered(method, url, query, body, headers)
        finally:
            silence.cancel()

    def _on_silence(self) -> None:
        seconds = f"{self._silence_seconds:.0f} s"
        say(f"samovar: the gateway {self._base_url} has not answered for {seconds}; waiting on", err=True)

    async def _until_answered(
        self,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        gives_up_at = self._clock() + self._outage_seconds
        for attempt in count(1):
            is_outage = True
            wait_seconds = delay_seconds(attempt, first_delay_seconds=self._first_delay_seconds)
            try:
                async with self._session.request(
                    method, url, params=query, data=body, headers=headers, allow_redirects=False, proxy=self._proxy
                ) as response:
                    content = await _read_body(response)
                    is_outage = response.status in _OUTAGE_STATUSES
                    self._has_answered = self._has_answered or not is_outage
                    if response.status < 300:
                        return Answer(
                            read_answer(partial(_loads, content)) if content else {}, response.headers.get("ETag")
                        )
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


@asynccontextmanager
async def open_rest(
    account: Account,
    *,
    first_delay_seconds: float = FIRST_DELAY_SECONDS,
    outage_seconds: float = 0.0,
    max_tries: int = MAX_TRIES,
) -> AsyncIterator[Rest]:
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
        yield Rest(
            session,
            account.gateway_url,
            first_delay_seconds=first_delay_seconds,
            outage_seconds=outage_seconds,
            max_tries=max_tries,
        )


def new_key() -> dict[str, str]:
    """A header that makes a POST safe to repeat."""
    return {"Idempotency-Key": str(uuid4())}


def document_of(resource_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
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


def read_answer(read: Callable[[], _T]) -> _T:
    """Read an answer from outside, which may be anything: an invalid one raises a named failure, not a stack trace."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LauncherError(
            "ANSWER_UNREADABLE",
            f"the gateway's answer is not as agreed: {type(error).__name__} {error}",
            ExitCode.UNEXPECTED,
        ) from None


def _refusal(status: int, content: bytes) -> LauncherError:
    """The first error of the document in words; a body that is no document (a proxy's page) is described by its status."""
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
    return min(float(value), MAX_RETRY_AFTER_SECONDS) if value.isascii() and value.isdecimal() else None
