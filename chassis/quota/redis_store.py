"""Data in Redis that is useful but never worth a failure: the one place that knows what an unavailable Redis
looks like. Used by chassis.quota.redis_permits and gateway.quota.redis_answers.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from logging import getLogger
from typing import Any

from redis.exceptions import RedisError, ResponseError

from chassis.live.redis_link import RedisLink, Script, Word
from chassis.live.redis_state import open_link, open_redis

ANSWER_SECONDS = 0.5
"""The longest wait of a request for Redis before it goes on without."""

AWAY_SECONDS = 1.0
"""The pause before Redis is asked again after it was unavailable: requests must not queue up to wait for it."""

_log = getLogger(__name__)


class StoreAway(Exception):
    """Redis does not answer, or not as it should; the caller goes on without it."""


class RedisStore:
    """Scripts over a link. Made by `open_redis_store`."""

    def __init__(self, link: RedisLink, prefix: str = "") -> None:
        self.link = link
        self._prefix = prefix
        self._away_until = -math.inf

    async def run(self, script: Script, names: Sequence[str], arguments: Sequence[Word]) -> Any:
        """Run the script with the keys of these names; gives what it returns. Raises: StoreAway."""
        now = asyncio.get_running_loop().time()
        if now < self._away_until:
            raise StoreAway("not asked: it was away a moment ago")
        try:
            return await self.link.run(script, [self._prefix + name for name in names], arguments)
        except (RedisError, OSError, TimeoutError) as failure:
            if not isinstance(failure, ResponseError):
                self._away_until = asyncio.get_running_loop().time() + AWAY_SECONDS
            _log.warning("redis is away", extra={"error": str(failure)})
            raise StoreAway(str(failure)) from failure


@asynccontextmanager
async def open_redis_store(
    address: str, *, password: str = "", database: int = 0, prefix: str = "", answer_seconds: float = ANSWER_SECONDS
) -> AsyncIterator[RedisStore]:
    """The store in the Redis at `host:port` or `redis://…`. Connects when first used. Keys begin with `prefix`."""
    async with (
        open_redis(address, password=password, database=database, answer_seconds=answer_seconds) as client,
        open_link(client, answer_seconds=answer_seconds) as link,
    ):
        yield RedisStore(link, prefix)
