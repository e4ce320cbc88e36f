"""Turns of those who would wait for each other anyway, taken before they take a connection. Used by postgres.py.

A user's changes go one after another (`lock_user`) in the database: who waits there has a connection in their hands, and a user
who sends many at once would have all of the pool, while everybody else is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from chassis.postgres.database import unavailable


class Turns:
    """At most `most` at once of each key, in the order in which they came. A key that nobody uses is forgotten."""

    def __init__(self, most: int, *, timeout_seconds: float) -> None:
        self._most = most
        self._timeout_seconds = timeout_seconds
        self._gates: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def __len__(self) -> int:
        """Of how many keys somebody has a turn or waits for one."""
        return len(self._gates)

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """The block is a turn.

        Raises:
            DomainError: SERVICE_UNAVAILABLE when it did not come in time.
        """
        # Who waits or has a turn keeps the gate alive.
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = asyncio.Semaphore(self._most)
        try:
            async with asyncio.timeout(self._timeout_seconds if gate.locked() else None):
                await gate.acquire()
        except TimeoutError as error:
            raise unavailable() from error
        try:
            yield
        finally:
            gate.release()
