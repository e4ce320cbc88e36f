"""The bandwidth limit of one launcher: paces bytes as they are read, over all connections together. Used by launcher.cdn.cdn."""

import asyncio
import time
from collections.abc import Awaitable, Callable

BITS_PER_BYTE = 8
CATCH_UP_SECONDS = 1.0
"""Time lost to a pause in the work (links, a full disk queue) that may be made good: keeps the average on the limit."""


class Limiter:
    """Lets `rate_bytes` a second pass. A virtual clock says when all bytes so far are due; whoever is ahead of it waits."""

    def __init__(
        self,
        rate_bytes: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.rate_bytes = rate_bytes
        self._clock = clock
        self._sleep = sleep
        self._due: float | None = None

    async def take(self, size_bytes: int) -> None:
        """Returns when these bytes, just read, are within the limit."""
        now = self._clock()
        started = now if self._due is None else max(self._due, now - CATCH_UP_SECONDS)
        self._due = started + size_bytes / self.rate_bytes
        if self._due > now:
            await self._sleep(self._due - now)


def limiter_of(limit_kbps: int) -> Limiter | None:
    """A limiter for kilobits (1,000 bit) a second; none for 0."""
    return Limiter(limit_kbps * 1000 / BITS_PER_BYTE) if limit_kbps > 0 else None
