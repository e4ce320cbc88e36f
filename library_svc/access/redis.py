"""The instances' shared cache of users' rights, in Redis or Valkey: a hash `game_access:{<user>}:<product>` each.

Its fields: `since` is the answer (empty: no right), `ticket` names the reader who may store it, `change:<name>` is set for each
change in progress. An answer and a change never exist together. When the cache is unavailable, it counts as empty; after a failure
readers do not ask it for a moment, while writers always try: if they cannot record a change here, others may keep a wrong answer.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from logging import getLogger
from random import getrandbits
from typing import Final
from uuid import uuid4

from prometheus_client import Counter
from redis.exceptions import RedisError

from chassis.cloudevents.moments import parse_moment
from chassis.live.redis_link import RedisLink, Script
from chassis.live.redis_state import open_link, open_redis
from library_svc.access.application import ACCESS_CHANGE_SECONDS, ACCESS_KEPT_SECONDS, ACCESS_READ_SECONDS, CacheLookup
from library_svc.ids import ProductId, UserId

ANSWER_SECONDS: Final = 0.25
"""Seconds to wait for an answer of the cache."""
AWAY_SECONDS: Final = 1.0
"""Seconds for which readers do not ask again after the cache was found unavailable."""

_AWAY_ERRORS: Final = (RedisError, OSError, TimeoutError)

AWAY: Final = Counter("library_access_memory_away", "Looks at what is remembered of access that found it away")

# KEYS: a right. ARGV: a new ticket, its milliseconds.
# Returns {answer, since}, or {ticket} when it is given, or {} while the right changes.
_FIND: Final = Script(
    """
local found = redis.call('HGETALL', KEYS[1])
for index = 1, #found, 2 do
  if found[index] == 'since' then return {'answer', found[index + 1]} end
  if found[index] ~= 'ticket' then return {} end
end
redis.call('HSET', KEYS[1], 'ticket', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'ticket'}
"""
)
# KEYS: a right. ARGV: the ticket, the answer, its milliseconds.
_REMEMBER: Final = Script(
    """
if redis.call('HGET', KEYS[1], 'ticket') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'ticket')
  redis.call('HSET', KEYS[1], 'since', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return redis.status_reply('OK')
"""
)
# KEYS: rights. ARGV: the change, its milliseconds.
_SUSPEND: Final = Script(
    """
for _, key in ipairs(KEYS) do
  redis.call('HDEL', key, 'since', 'ticket')
  redis.call('HSET', key, ARGV[1], '')
  redis.call('PEXPIRE', key, ARGV[2])
end
return redis.status_reply('OK')
"""
)
# KEYS: rights. ARGV: the change. The answer goes too: the change may have been forgotten before its end.
_RESUME: Final = Script(
    """
for _, key in ipairs(KEYS) do
  redis.call('HDEL', key, ARGV[1], 'since', 'ticket')
end
return redis.status_reply('OK')
"""
)

_log = getLogger(__name__)


class RedisAccessCache:
    """The AccessCache over a client of its own, which does not wait for long."""

    def __init__(self, link: RedisLink, prefix: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._prefix = prefix
        self._clock = clock
        self._away_until = -math.inf
        self._link = link

    async def find(self, user_id: UserId, product_id: ProductId) -> CacheLookup:
        if self._clock() < self._away_until:
            return CacheLookup()
        keys, ticket = self._keys(user_id, [product_id]), f"{getrandbits(128):032x}"
        found: Sequence[bytes] = ()
        try:
            found = await self._link.run(_FIND, keys, [ticket, _milliseconds(ACCESS_READ_SECONDS)])
        except _AWAY_ERRORS as error:
            self._was_away(error)
        match found:
            case [b"answer", since]:
                with suppress(ValueError):  # another hand's, or another release's
                    return CacheLookup(is_answer=True, since=_time(since))
            case [b"ticket"]:
                return CacheLookup(ticket=ticket)
        return CacheLookup()

    async def remember(self, user_id: UserId, product_id: ProductId, ticket: str, since: datetime | None) -> None:
        answer = since.isoformat() if since else ""
        try:
            keys = self._keys(user_id, [product_id])
            await self._link.run(_REMEMBER, keys, [ticket, answer, _milliseconds(ACCESS_KEPT_SECONDS)])
        except _AWAY_ERRORS as error:
            self._was_away(error)

    async def suspend(self, user_id: UserId, product_ids: Collection[ProductId]) -> str:
        change = f"change:{uuid4().hex}"
        if product_ids:
            try:
                keys = self._keys(user_id, product_ids)
                await self._link.run(_SUSPEND, keys, [change, _milliseconds(ACCESS_CHANGE_SECONDS)])
            except _AWAY_ERRORS as error:
                self._was_away(error)
        return change

    async def resume(self, user_id: UserId, product_ids: Collection[ProductId], change: str) -> None:
        if product_ids:
            try:
                await self._link.run(_RESUME, self._keys(user_id, product_ids), [change])
            except _AWAY_ERRORS as error:
                self._was_away(error)

    def _keys(self, user_id: UserId, product_ids: Collection[ProductId]) -> list[str]:
        return [self._prefix + access_key(user_id, product_id) for product_id in product_ids]

    def _was_away(self, error: Exception) -> None:
        self._away_until = self._clock() + AWAY_SECONDS
        AWAY.inc()
        _log.debug("what is remembered of access is away", extra={"error": repr(error)})


def access_key(user_id: UserId, product_id: ProductId) -> str:
    """Return the key of a right's entry in the cache, without the prefix."""
    return f"game_access:{{{user_id}}}:{product_id}"


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _time(text: bytes) -> datetime | None:
    return parse_moment(text.decode()) if text else None


@asynccontextmanager
async def open_access_cache(
    address: str, *, password: str = "", database: int = 0, prefix: str = ""
) -> AsyncIterator[RedisAccessCache]:
    """Open the cache in the Redis at `host:port` or `redis://…`. Connects when first used. Keys begin with `prefix`."""
    async with (
        open_redis(address, password=password, database=database, answer_seconds=ANSWER_SECONDS) as client,
        open_link(client, answer_seconds=ANSWER_SECONDS) as link,
    ):
        yield RedisAccessCache(link, prefix)
