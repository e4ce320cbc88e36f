"""A semaphore for each key. Used by chassis.postgres.database, so that transactions that would wait for each other in the database
wait before they take a connection.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from chassis.errors import DomainError, Kind

RETRY_AFTER_SECONDS = 1.0


class KeyedSemaphore:
    """Lets at most `limit` blocks of each key run at once, in the order in which they came. A key that nobody uses is forgotten."""

    def __init__(self, limit: int, *, timeout_seconds: float) -> None:
        self._limit = limit
        self._timeout_seconds = timeout_seconds
        self._semaphores: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def __len__(self) -> int:
        """Return the number of keys with a block that runs or waits."""
        return len(self._semaphores)

    @asynccontextmanager
    async def acquired(self, key: Hashable) -> AsyncIterator[None]:
        """Run the block as one of the key's.

        Raises:
            DomainError: SERVICE_UNAVAILABLE when it could not begin in time.
        """
        # The blocks that run or wait keep the semaphore alive.
        semaphore = self._semaphores.get(key)
        if semaphore is None:
            semaphore = self._semaphores[key] = asyncio.Semaphore(self._limit)
        try:
            async with asyncio.timeout(self._timeout_seconds if semaphore.locked() else None):
                await semaphore.acquire()
        except TimeoutError as error:
            raise DomainError(
                Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=RETRY_AFTER_SECONDS
            ) from error
        try:
            yield
        finally:
            semaphore.release()
