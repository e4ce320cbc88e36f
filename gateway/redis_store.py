"""What the gateway keeps in Redis is worth having, never worth failing for: the one place that knows what Redis being away looks
like, and how to be cancelled while it is asked. Used by gateway.redis_permits and gateway.redis_answers.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from logging import getLogger
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import RedisError, ResponseError

from chassis.redis_state import open_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

ANSWER_SECONDS = 0.5
"""How long a request waits for Redis before it goes on without."""

AWAY_SECONDS = 1.0
"""How long nobody asks again after Redis was found away: requests must not queue up to wait for it."""

Answer = TypeVar("Answer")

_log = getLogger(__name__)


class StoreAway(Exception):
    """Redis does not answer, or not as it should; the caller goes on without it."""


class RedisStore:
    """A client, and calls that run to their end even when who waits for them is cancelled: redis-py loses a cancellation that
    comes while it connects, and one that comes while it waits for an answer costs the connection. Made by `open_redis_store`.
    """

    def __init__(self, client: "Redis", prefix: str = "") -> None:
        self.client = client
        self._prefix = prefix
        self._running: set[asyncio.Task[Any]] = set()
        self._away_until = -math.inf

    def key(self, name: str) -> str:
        """What the server calls it."""
        return self._prefix + name

    async def call(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """The call's answer. Raises: StoreAway."""
        now = asyncio.get_running_loop().time()
        if now < self._away_until:
            call.close()
            raise StoreAway("not asked: it was away a moment ago")
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._end)
        try:
            return await asyncio.shield(task)
        except (RedisError, OSError, TimeoutError) as failure:
            if not isinstance(failure, ResponseError):
                self._away_until = asyncio.get_running_loop().time() + AWAY_SECONDS
            _log.warning("redis is away", extra={"error": str(failure)})
            raise StoreAway(str(failure)) from failure

    async def settle(self) -> None:
        """Waits for the calls that nobody waits for any more; each has its own time limit."""
        if self._running:
            await asyncio.wait(self._running)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Looked at, or asyncio would complain about an error that nobody waits for.
            task.exception()


@asynccontextmanager
async def open_redis_store(
    address: str, *, password: str = "", database: int = 0, prefix: str = ""
) -> AsyncIterator[RedisStore]:
    """The store in the Redis at `host:port` or `redis://…`. Connects when first used. Keys begin with `prefix`."""
    async with open_redis(address, password=password, database=database, answer_seconds=ANSWER_SECONDS) as client:
        store = RedisStore(client, prefix)
        try:
            yield store
        finally:
            await store.settle()
