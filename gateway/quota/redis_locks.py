"""Locks in Redis or Valkey, by which gateways take turns with each other: keys that expire when their holders do not come back."""

from chassis.live.redis_link import Script
from chassis.quota.redis_store import RedisStore

MILLISECONDS = 1000

# KEYS: the lock. ARGV: holder, ms it is held at most. Returns 1 when it is the holder's now.
_TAKE = Script(
    """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0
"""
)

# KEYS: the lock. ARGV: holder.
_RELEASE = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
"""
)


class RedisLocks:
    """The port gateway.jsonapi.preconditions.SharedLocks over Redis or Valkey."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def take(self, name: str, holder: str, *, held_seconds: float) -> bool:
        milliseconds = max(1, round(held_seconds * MILLISECONDS))
        return bool(await self._store.run(_TAKE, f"lock:{name}", (holder, milliseconds)))

    async def release(self, name: str, holder: str) -> None:
        await self._store.run(_RELEASE, f"lock:{name}", (holder,))
