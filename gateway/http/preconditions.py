"""If-Match and If-None-Match of requests that change something: RFC 9110, sections 8.8.3 and 13.1.

Where the contract names a field for it (option `if_match_field`) the service compares; here If-Match is only read. Everywhere else
the gateway compares with what the GET route of the same address answers, just before it calls. Between the two a change may come
that names no condition, or comes over another gateway; of those that name one, a gateway lets one at a time at an address.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import orjson
from aiohttp import hdrs, web
from google.protobuf.message import Message
from multidict import CIMultiDictProxy

from chassis.errors import DomainError, Kind
from gateway.contract import Problem, Route
from gateway.http.addresses import path_form, placeholders
from gateway.http.conditional import is_among, tags_of_all
from gateway.jsonapi.documents import answer_document
from gateway.jsonapi.pages import ascii_url
from gateway.problems.errors import Refused

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
ANY = "*"


def if_match_tags(values: Iterable[str], problems: list[Problem]) -> Sequence[str]:
    """The tags of the header's values: without quotes, `*` for any, none when it is absent. A weak tag, which matches nothing, and
    a tag that reads `*` keep their quotes.
    """
    joined = ",".join(values).strip()
    if joined in {"", ANY}:
        return [joined] if joined else []
    if not _TAGS.fullmatch(joined):
        details = {"description": "must be entity tags or *"}
        problems.append(Problem("INVALID_ARGUMENT", header=hdrs.IF_MATCH, details=details))
        return []
    return [_opaque(tag) for tag in re.findall(_TAG, joined)]


def _opaque(tag: str) -> str:
    bare = tag.strip('"')
    return tag if tag.startswith("W/") or bare == ANY else bare


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a change demands of what is there: one of these tags (`*` among them: anything), none of those. None = no demand."""

    match: frozenset[str] | None
    none_match: Sequence[str]

    @property
    def header(self) -> str:
        return hdrs.IF_NONE_MATCH if self.match is None else hdrs.IF_MATCH


def conditions_of(headers: CIMultiDictProxy[str], route: Route, problems: list[Problem]) -> Conditions | None:
    """What the gateway is to compare; None for nothing. If-Match is the service's where a field takes it."""
    if hdrs.IF_MATCH not in headers and hdrs.IF_NONE_MATCH not in headers:
        return None
    match: frozenset[str] | None = None
    if route.if_match_field is None:
        values = headers.getall(hdrs.IF_MATCH, ())
        match = frozenset(if_match_tags(values, problems)) if any(map(str.strip, values)) else None
    none_match = [value for value in headers.getall(hdrs.IF_NONE_MATCH, ()) if value.strip()]
    if route.method == hdrs.METH_POST and _is_trivial(none_match, route):
        none_match = []
    return Conditions(match, none_match) if match is not None or none_match else None


def _is_trivial(none_match: Sequence[str], route: Route) -> bool:
    """Whether nothing can be there that is not to be there: what a POST creates gets an address of its own, and an address that
    only takes a POST has no state.
    """
    return not route.is_conditional or (route.location and [value.strip() for value in none_match] == [ANY])


class StateReader:
    """Answers, for one route that changes something, whether what is at its address meets a request's conditions."""

    def __init__(self, route: Route, reader: Route | None) -> None:
        self._route = route
        self._reader = reader
        self._names = placeholders(reader.path) if reader is not None else ()
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, values: Iterable[str], user_id: Hashable, *, wait_seconds: float) -> AsyncIterator[None]:
        """A turn at an address: conditional changes that the gateway compares for go one after another. An address without
        parameters is another one for each user.

        Raises:
            DomainError: DEADLINE_EXCEEDED, the turn did not come.
        """
        key = tuple(value.lower() for value in values) or user_id
        # Who waits or has a turn keeps the lock alive.
        lock = self._turns.get(key)
        if lock is None:
            lock = self._turns[key] = asyncio.Lock()
        try:
            async with asyncio.timeout(wait_seconds):
                await lock.acquire()
        except TimeoutError:
            raise DomainError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") from None
        try:
            yield
        finally:
            lock.release()

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
