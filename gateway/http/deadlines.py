"""The deadline of a request: the time in the client's X-Request-Timeout, capped by the gateway's own deadline. Created anew for
every request by gateway.jsonapi.rest.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from multidict import istr

from chassis.errors import DomainError, Kind
from gateway.contract import Problem
from gateway.problems.errors import Refused

TIMEOUT_HEADER = istr("X-Request-Timeout")

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_DESCRIPTION = "must be a number of seconds greater than 0"


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of the time that a client gave its request, `at` on the event loop's clock."""

    at: float

    def remaining_seconds(self) -> float:
        """Return the time left for a call to a service; 0 when it is over."""
        return max(0.0, self.at - asyncio.get_running_loop().time())

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Ends the block when the time is over.

        Raises:
            DomainError: DEADLINE_EXCEEDED.
        """
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except TimeoutError:
            raise DomainError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") from None


def read_deadline(given: Sequence[str], *, cap_seconds: float) -> Deadline | None:
    """The deadline of a request that begins now and carries these X-Request-Timeout headers; None unless that is less time than
    any request has: calls to services end by themselves, and the body's coming is the server's to watch.

    Raises:
        Refused: INVALID_ARGUMENT for a value that is not a number of seconds.
    """
    if not given:
        return None
    seconds = float(given[0]) if len(given) == 1 and _SECONDS.fullmatch(given[0]) else 0.0
    if seconds <= 0.0:
        problem = Problem("INVALID_ARGUMENT", header=TIMEOUT_HEADER, details={"description": _DESCRIPTION})
        raise Refused(problem)
    return Deadline(asyncio.get_running_loop().time() + seconds) if seconds < cap_seconds else None
