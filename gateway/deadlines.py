"""How long a request may take: what the client says in X-Request-Timeout, capped by the gateway's own deadline. Called by
gateway.rest, for every request anew.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from multidict import istr

from chassis.errors import DomainError, Kind
from gateway.contract import Problem
from gateway.errors import Refused

TIMEOUT_HEADER = istr("X-Request-Timeout")

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_DESCRIPTION = "must be a number of seconds greater than 0"


@dataclass(frozen=True, slots=True)
class Deadline:
    """`at` on the event loop's clock. `asked`: the client wants less time than it would get."""

    at: float
    asked: bool

    def remaining_seconds(self) -> float:
        """What is left; 0 when it is over."""
        return max(0.0, self.at - asyncio.get_running_loop().time())

    @property
    def call_seconds(self) -> float | None:
        """What a call to a service is given; None = as much as any call."""
        return self.remaining_seconds() if self.asked else None

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


def read_deadline(given: Sequence[str], *, cap_seconds: float) -> Deadline:
    """The deadline of a request that begins now and carries these X-Request-Timeout headers.

    Raises:
        Refused: INVALID_ARGUMENT for what is no number of seconds.
    """
    now = asyncio.get_running_loop().time()
    if not given:
        return Deadline(now + cap_seconds, asked=False)
    seconds = float(given[0]) if len(given) == 1 and _SECONDS.fullmatch(given[0]) else 0.0
    if seconds <= 0.0:
        problem = Problem("INVALID_ARGUMENT", header=TIMEOUT_HEADER, details={"description": _DESCRIPTION})
        raise Refused(problem)
    return Deadline(now + min(seconds, cap_seconds), asked=seconds < cap_seconds)
