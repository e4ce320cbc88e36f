"""If-Match and If-None-Match of requests that change something: RFC 9110, sections 8.8.3 and 13.1.

Where the contract names a field for it (option `if_match_field`) the service compares; here If-Match is only read. Everywhere else
the gateway compares with what the GET route of the same address answers, just before it calls. Between the two a change may come
that names no condition; of those that name one, one at a time is let at an address, by all gateways that share a Redis.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import orjson
from aiohttp import hdrs, web
from google.protobuf.message import Message
from multidict import CIMultiDictProxy

from chassis.errors import DomainError, Kind
from chassis.quota.redis_store import StoreAway
from gateway.contract import Problem, Route
from gateway.http.addresses import path_form, placeholders
from gateway.http.conditional import is_among, tags_of_all
from gateway.jsonapi.documents import answer_document
from gateway.jsonapi.pages import ascii_url
from gateway.problems.errors import Refused

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
ANY = "*"
HOLD_SHARE = 3.0
"""A lock is held for a read and a call, each of which has the same deadline, and some."""
POLL_MIN_SECONDS, POLL_MAX_SECONDS = 0.01, 0.05


def if_match_tags(values: Iterable[str], problems: list[Problem]) -> Sequence[str]:
    """The tags of the header's values: without quotes, `*` for any, none when it is absent. A weak tag, which matches nothing, and
    a tag that reads `*` keep their quotes.
    """
    joined = ",".join(values).strip()
    if joined in {"", ANY}:
        return [joined] if joined else []
    if not _are_tags(joined, hdrs.IF_MATCH, problems):
        return []
    return [_opaque(tag) for tag in re.findall(_TAG, joined)]


def _are_tags(value: str, header: str, problems: list[Problem]) -> bool:
    """Return True for a list of entity tags; anything else is added to `problems`."""
    if _TAGS.fullmatch(value):
        return True
    problems.append(Problem("INVALID_ARGUMENT", header=header, details={"description": "must be entity tags or *"}))
    return False


def _opaque(tag: str) -> str:
    bare = tag.strip('"')
    return tag if tag.startswith("W/") or bare == ANY else bare


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a change on the current tag: it is one of these (`*` = any), and none of those. None = no condition."""

    match: frozenset[str] | None
    none_match: Sequence[str]

    @property
    def header(self) -> str:
        return hdrs.IF_NONE_MATCH if self.match is None else hdrs.IF_MATCH


def conditions_of(headers: CIMultiDictProxy[str], route: Route, problems: list[Problem]) -> Conditions | None:
    """Return the conditions that the gateway must compare; None without any. If-Match is the service's where a field takes it."""
    if hdrs.IF_MATCH not in headers and hdrs.IF_NONE_MATCH not in headers:
        return None
    match: frozenset[str] | None = None
    if route.if_match_field is None:
        values = headers.getall(hdrs.IF_MATCH, ())
        match = frozenset(if_match_tags(values, problems)) if any(map(str.strip, values)) else None
    none_match = [value for value in headers.getall(hdrs.IF_NONE_MATCH, ()) if value.strip()]
    joined = ",".join(none_match).strip()
    if joined not in {"", ANY}:
        _are_tags(joined, hdrs.IF_NONE_MATCH, problems)
    if route.method == hdrs.METH_POST and _is_trivial(none_match, route):
        none_match = []
    return Conditions(match, none_match) if match is not None or none_match else None


def _is_trivial(none_match: Sequence[str], route: Route) -> bool:
    """Return True when If-None-Match always holds: a POST that creates something gives it a new address, and an address that only
    accepts POST has no state.
    """
    return not route.is_conditional or (route.location and [value.strip() for value in none_match] == [ANY])


class SharedLocks(Protocol):
    """Locks that all gateways see. Raises (from both): StoreAway."""

    async def take(self, name: str, holder: str, *, held_seconds: float) -> bool:
        """Returns False while another holder has it; nobody holds it for longer than `held_seconds`."""

    async def release(self, name: str, holder: str) -> None:
        """Gives up a lock that `holder` has."""


class AddressLocks:
    """Lets conditional changes of one address go one after another: those of this process, and with `shared` those of all."""

    def __init__(self, shared: SharedLocks | None = None) -> None:
        self._shared = shared
        # Who waits or has a lock keeps it alive.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def locked(
        self, form: str, values: Iterable[str], user_id: UUID | None, seconds: float
    ) -> AsyncIterator[None]:
        """Holds the lock of the address of this form with these parameters; without parameters it is another one for each user.
        A change takes at most `seconds`, and so long is waited for others.

        Raises:
            DomainError: DEADLINE_EXCEEDED, the others took too long.
        """
        # However ids are spelled, a lock too many does no harm.
        parts = [value.lower() for value in values] or [str(user_id)]
        name = sha256("\0".join([form, *parts]).encode(errors="surrogateescape")).hexdigest()
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        holder = uuid4().hex
        try:
            async with asyncio.timeout(seconds):
                await lock.acquire()
                try:
                    await self._take(name, holder, held_seconds=HOLD_SHARE * seconds)
                except BaseException:
                    lock.release()
                    raise
        except TimeoutError:
            raise DomainError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") from None
        try:
            yield
        finally:
            lock.release()
            if self._shared is not None:
                with suppress(StoreAway):
                    await self._shared.release(name, holder)

    async def _take(self, name: str, holder: str, *, held_seconds: float) -> None:
        """Waits for the lock that all gateways see; while the store of it is unavailable, each goes by its own."""
        with suppress(StoreAway):
            if self._shared is None:
                return
            while not await self._shared.take(name, holder, held_seconds=held_seconds):  # noqa: ASYNC110  another process's
                await asyncio.sleep(random.uniform(POLL_MIN_SECONDS, POLL_MAX_SECONDS))


class StateReader:
    """Answers, for one route that changes something, whether what is at its address meets a request's conditions."""

    def __init__(self, route: Route, reader: Route | None) -> None:
        self._route = route
        self._reader = reader
        self._names = placeholders(reader.path) if reader is not None else ()

    async def check(
        self,
        conditions: Conditions,
        request: web.Request,
        values: Iterable[str],
        call: Callable[[str, Message], Awaitable[Message]],
    ) -> None:
        """Passes when the conditions hold. `values` are those of the address's parameters.

        Raises:
            Refused: PRECONDITION_FAILED.
            DomainError: what is there cannot be read; NOT_FOUND when a change of it has to be answered so anyway.
        """
        if self._reader is None:
            raise _failed(conditions, "what is at this address cannot be read, so nothing can be compared")
        problems: list[Problem] = []
        message = self._reader.decode(dict(zip(self._names, values, strict=True)), (), None, problems)
        if problems:
            raise Refused(*problems)
        try:
            response = await call(self._reader.rpc, message)
        except DomainError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            if conditions.match is not None:
                if self._route.method != hdrs.METH_PUT:
                    raise
                raise _failed(conditions, "there is nothing at this address") from None
            return
        tags = self._tags(response, ascii_url(request.rel_url.raw_path))
        if conditions.match is not None and conditions.match.isdisjoint({ANY, *tags}):
            raise _failed(conditions, "what is at this address has another entity tag now")
        if conditions.none_match and any(is_among(f'"{tag}"', conditions.none_match) for tag in tags):
            raise _failed(conditions, "there is something at this address that the request does not want there")

    def _tags(self, response: Message, path: str) -> Collection[str]:
        """Every tag that the state has, without quotes and without the name of a coding."""
        assert self._reader is not None  # noqa: S101  asked before
        encoded = self._reader.encode(response)
        if encoded.tag:
            return {encoded.tag}
        return tags_of_all(orjson.dumps(answer_document(encoded, path=path, raw_query="", is_read=True)))


def readers_of(routes: Iterable[Route]) -> Mapping[str, Route]:
    """GET routes by the form of their addresses."""
    return {path_form(route.path): route for route in routes if route.method == hdrs.METH_GET}


def _failed(conditions: Conditions, sentence: str) -> Refused:
    return Refused(Problem("PRECONDITION_FAILED", header=conditions.header, details={"description": sentence}))
