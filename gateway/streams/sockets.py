"""The live WebSockets of this process: how many there may be, of one user and at all, and their common end at shutdown."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from prometheus_client import Gauge

from chassis.errors import DomainError, Kind
from gateway.request.limits import Limits

LIVE = Gauge("gateway_websockets", "Live WebSockets")


class Sockets:
    """Counts sockets and notifies them when to end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._live = 0
        self._users: Counter[UUID] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()
        self._is_stopping = False
        self._to_stop: dict[object, Callable[[], None]] = {}

    @property
    def live(self) -> int:
        return self._live

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Counts a socket in. Raises: DomainError UNAVAILABLE when there is no room left, or the process is stopping."""
        if self._live >= self._limits.sockets or self._is_stopping:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        self._live += 1
        self._empty.clear()
        LIVE.inc()
        try:
            yield
        finally:
            LIVE.dec()
            self._live -= 1
            if not self._live:
                self._empty.set()

    @contextmanager
    def on_stop(self, stop: Callable[[], None]) -> Iterator[None]:
        """`stop` is called when all sockets are to end; at once when the end has already been requested."""
        if self._is_stopping:
            stop()
        key = object()
        self._to_stop[key] = stop
        try:
            yield
        finally:
            del self._to_stop[key]

    @contextmanager
    def admit_user(self, user_id: UUID) -> Iterator[None]:
        """Counts a socket as this user's. Raises: DomainError RATE_LIMIT_EXCEEDED when they have too many."""
        if self._users[user_id] >= self._limits.sockets_per_user:
            raise DomainError(Kind.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED")
        self._users[user_id] += 1
        try:
            yield
        finally:
            self._users[user_id] -= 1
            if not self._users[user_id]:
                del self._users[user_id]

    async def close_all(self) -> None:
        """Tells all sockets to say goodbye (1001) and waits until they have; each cuts itself off when its client does not go."""
        self._is_stopping = True
        for stop in tuple(self._to_stop.values()):
            stop()
        await self._empty.wait()
