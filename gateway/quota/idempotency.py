"""POST that may be repeated: the answer to the first request with an Idempotency-Key is given to the later ones too. Best effort:
when the store is unavailable, a request is simply served. Called by gateway.jsonapi.rest. Contract: section 1; the IETF's draft
idempotency-key-header.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Protocol
from uuid import UUID, uuid4

from aiohttp import hdrs, web
from multidict import istr
from prometheus_client import Counter

from chassis.errors import DomainError
from chassis.quota.redis_store import StoreAway
from gateway.contract import Problem
from gateway.problems.errors import Refused, UpstreamError, refusal_response
from gateway.request.context import RequestContext

KEY_HEADER = istr("Idempotency-Key")
KEY_CHARACTERS = 128
REPLAYED_HEADER = "Idempotency-Replayed"
KEPT_SECONDS = 24 * 60 * 60

UNKEPT = Counter(
    "gateway_idempotency_unkept_requests", "Requests with a key that was not looked up or kept: the store was away"
)

_KEY = re.compile(rf"[\x20-\x7e]{{1,{KEY_CHARACTERS}}}", re.ASCII)
_DESCRIPTION = f"must be one of 1 to {KEY_CHARACTERS} printable ASCII characters"
_KEPT_HEADERS = (hdrs.CONTENT_TYPE, hdrs.CONTENT_LANGUAGE, hdrs.VARY, hdrs.CACHE_CONTROL, hdrs.LOCATION)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in a form that can be sent again."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier request with the same key: its content, and its answer once there is one."""

    fingerprint: str
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Claim:
    """One request's hold on a key. `slot` stands for user, route and key, `holder` for the request; the user's part is a
    hash tag of Redis, so that all of a user's is in one place.
    """

    user: str
    slot: str
    fingerprint: str
    holder: str


class Answers(Protocol):
    """The store of answers by slot."""

    async def claim(self, claim: Claim, *, running_seconds: float) -> Earlier | None:
        """Takes the slot for as long as the request may run; None when it was free. Raises: StoreAway."""

    async def keep(self, claim: Claim, answer: Answer, *, kept_seconds: float) -> None:
        """Fills the slot, unless another request has taken it meanwhile. The user's oldest answers go where there are too many.

        Raises:
            StoreAway.
        """

    async def release(self, claim: Claim) -> None:
        """Frees the slot if it is still the request's. Raises: StoreAway."""


def read_key(given: Sequence[str]) -> str | None:
    """The key; None without one.

    Raises:
        Refused: INVALID_ARGUMENT for more than one, an empty or a long one.
    """
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]) or not given[0].strip():
        raise Refused(Problem("INVALID_ARGUMENT", header=KEY_HEADER, details={"description": _DESCRIPTION}))
    return given[0]


def make_claim(*, user_id: UUID, route: str, key: str, target: str, body: bytes) -> Claim:
    """The claim of a request. The key counts per user and route; the content is the address with its query, and the body."""
    slot = sha256(f"{route}\0{key}".encode()).hexdigest()
    fingerprint = sha256(target.encode(errors="surrogateescape") + b"\0" + body).hexdigest()
    user = f"{{{user_id}}}"
    return Claim(user, f"{user}:{slot}", fingerprint, str(uuid4()))


class Idempotency:
    """Serves requests once per key."""

    def __init__(self, answers: Answers, *, max_answer_bytes: int) -> None:
        self._answers = answers
        self._max_answer_bytes = max_answer_bytes

    async def once(
        self,
        claim: Claim,
        perform: Callable[[], Awaitable[web.Response]],
        context: RequestContext,
        *,
        running_seconds: float,
    ) -> web.Response:
        """The first request's answer, or `perform`'s if this is the first. `running_seconds` is how long that may take. An error is
        not kept: nothing was done, so the request may be made again, and errors are what a user can have without end.

        A request that is cancelled keeps its slot until then: its outcome is unknown.

        Raises:
            Refused: IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_KEY_IN_USE.
            Refused, UpstreamError, DomainError: what `perform` raises, when the store is unavailable.
        """
        try:
            earlier = await self._answers.claim(claim, running_seconds=running_seconds)
        except StoreAway:
            UNKEPT.inc()
            return await perform()
        if earlier is not None:
            return _again(earlier, claim)
        try:
            response = await perform()
        except (Refused, UpstreamError, DomainError) as refused:
            response = refusal_response(refused, context)
        await self._remember(claim, response)
        return response

    async def _remember(self, claim: Claim, response: web.Response) -> None:
        body = response.body if isinstance(response.body, bytes) else b""
        try:
            if response.status >= HTTPStatus.BAD_REQUEST or len(body) > self._max_answer_bytes:
                await self._answers.release(claim)
                return
            headers = {str(name): response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            await self._answers.keep(claim, Answer(response.status, headers, body), kept_seconds=KEPT_SECONDS)
        except StoreAway:
            UNKEPT.inc()


def _again(earlier: Earlier, claim: Claim) -> web.Response:
    if earlier.fingerprint != claim.fingerprint:
        raise Refused(Problem("IDEMPOTENCY_KEY_REUSED", header=KEY_HEADER))
    if earlier.answer is None:
        raise Refused(Problem("IDEMPOTENCY_KEY_IN_USE", header=KEY_HEADER), headers={hdrs.RETRY_AFTER: "1"})
    answer = earlier.answer
    return web.Response(
        status=answer.status, body=answer.body or None, headers={**answer.headers, REPLAYED_HEADER: "true"}
    )
