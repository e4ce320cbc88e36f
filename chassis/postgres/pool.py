"""A program's connections to one database, and their current users. Used by chassis.postgres.database.

SQLAlchemy's own pool goes through a greenlet to take a connection and through another to give it back, which is more than what the
driver needs for a statement. Here both are a list operation; SQLAlchemy creates the connections, and stays attached to them.
"""

import asyncio
from contextlib import suppress

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chassis.postgres.statements import driver_of

_BROKEN = (DBAPIError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Pool:
    """At most `size` connections of the engine, whose own pool keeps none. The one given back last is used first."""

    def __init__(self, engine: AsyncEngine, size: int, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._free = asyncio.Semaphore(size)
        self._idle: list[AsyncConnection] = []
        self._is_closed = False

    async def take(self) -> AsyncConnection:
        """Return a connection that is not in use. One that broke while it was idle is replaced: the driver has noticed.

        Raises:
            TimeoutError: all were in use for too long.
            OSError, DBAPIError, asyncpg.PostgresError: a new one cannot be opened.
        """
        if self._free.locked():
            async with asyncio.timeout(self._timeout_seconds):
                await self._free.acquire()
        else:
            await self._free.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if not driver_of(connection).is_closed():
                    return connection
                _end(connection)
            return await self._engine.connect().start()
        except BaseException:
            self._free.release()
            raise

    async def give_back(self, connection: AsyncConnection) -> None:
        """Takes it again, without what was not committed on it. One that broke is forgotten: it cannot be rolled back, and need
        not be.
        """
        is_sound = False
        try:
            with suppress(*_BROKEN):
                if connection.in_transaction():
                    await connection.rollback()
                is_sound = not connection.invalidated and not driver_of(connection).is_closed()
        finally:
            if is_sound and not self._is_closed:
                self._idle.append(connection)
            else:
                _end(connection)
            self._free.release()

    async def close(self) -> None:
        """Ends those that are idle, and others when they are given back."""
        self._is_closed = True
        while self._idle:
            with suppress(*_BROKEN):
                await self._idle.pop().close()


def _end(connection: AsyncConnection) -> None:
    """Drops the connection without a closing message, which nobody would receive."""
    used = connection.sync_connection
    assert used is not None  # noqa: S101  it was checked out
    if not used.invalidated:
        used.invalidate()
    used.close()
