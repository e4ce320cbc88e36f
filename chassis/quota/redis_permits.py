"""Permits in Redis: the generic cell rate algorithm (GCRA; ITU-T I.371) as one script, so that all instances of a program
count as one.
"""

from chassis.live.redis_link import Script
from chassis.quota.rate_limits import PERIOD_SECONDS, Budget, Grant
from chassis.quota.redis_store import RedisStore

MICROSECONDS = 1_000_000

# One number per user and class: when, at the steady rate, all permits given so far will have come in (the theoretical arrival
# time). KEYS: it. ARGV: microseconds per permit, permits of a full budget, permits wanted.
# Returns {granted, left, microseconds until the budget is full again, microseconds until there is a permit}.
_LEASE = Script(
    """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval = tonumber(ARGV[1])
local window = interval * tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
full = math.min(full, now + window)
local free = math.floor((now + window - full) / interval)
local granted = math.min(free, tonumber(ARGV[3]))
if granted > 0 then
  full = full + granted * interval
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
end
return {granted, free - granted, full - now, math.max(full + interval - now - window, 0)}
"""
)


class RedisPermits:
    """The port chassis.quota.rate_limits.Permits over Redis or Valkey."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def lease(self, user: str, budget: Budget, wanted: int) -> Grant:
        interval = round(PERIOD_SECONDS * MICROSECONDS / budget.permits)
        name, numbers = f"rate:{{{user}}}:{budget.name}", [interval, budget.permits, wanted]
        granted, left, full, wait = await self._store.run(_LEASE, [name], numbers)
        return Grant(
            permits=granted,
            left=left,
            full_after_seconds=full / MICROSECONDS,
            next_after_seconds=wait / MICROSECONDS,
        )
