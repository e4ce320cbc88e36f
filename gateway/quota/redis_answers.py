"""Answers by idempotency key in Redis: a hash per slot, which has an answer or just the request that is still running; and a list
per user of the answers that are kept, oldest first, so that the oldest go when there are too many.
"""

import orjson

from chassis.live.redis_link import Script
from chassis.quota.redis_store import RedisStore
from gateway.quota.idempotency import Answer, Claim, Earlier

MILLISECONDS = 1000
ANSWER_OVERHEAD_BYTES = 512
"""Memory of an answer beside itself: its keys, its hash, its place in the list."""

# KEYS: the slot. ARGV: fingerprint, holder, ms it may run. Returns what is there, or nothing when the slot is ours now.
_CLAIM = Script(
    """
if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HMGET', KEYS[1], 'fingerprint', 'status', 'headers', 'body')
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'holder', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return false
"""
)

# KEYS: the slot, the user's list of kept answers ("bytes holder slot"), their bytes in all. An answer that went by itself stays in
# the list until its turn. ARGV: fingerprint, holder, ms it is kept, status, headers, body, bytes that it takes, bytes of a user.
_KEEP = Script(
    """
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[2] then
  return 0
end
local bytes, most = tonumber(ARGV[7]), tonumber(ARGV[8])
local taken = tonumber(redis.call('GET', KEYS[3]) or 0)
while taken + bytes > most do
  local oldest = redis.call('LPOP', KEYS[2])
  if not oldest then
    taken = 0
    break
  end
  local its_bytes, its_holder, its_slot = string.match(oldest, '^(%d+) (%S+) (.*)$')
  if redis.call('HGET', its_slot, 'holder') == its_holder then
    redis.call('DEL', its_slot)
  end
  taken = taken - tonumber(its_bytes)
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'holder', ARGV[2], 'status', ARGV[4], 'headers', ARGV[5], 'body', ARGV[6])
redis.call('RPUSH', KEYS[2], bytes .. ' ' .. ARGV[2] .. ' ' .. KEYS[1])
redis.call('SET', KEYS[3], taken + bytes)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[3])
end
return 1
"""
)

# KEYS: the slot. ARGV: holder.
_RELEASE = Script(
    """
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
"""
)


class RedisAnswers:
    """The port gateway.quota.idempotency.Answers over Redis or Valkey. The answers of one user take `user_bytes` at most."""

    def __init__(self, store: RedisStore, *, user_bytes: int) -> None:
        self._store = store
        self._user_bytes = user_bytes

    async def claim(self, claim: Claim, *, running_seconds: float) -> Earlier | None:
        arguments = (claim.fingerprint, claim.holder, _milliseconds(running_seconds))
        found = await self._store.run(_CLAIM, [_key(claim.slot)], arguments)
        if found is None:
            return None
        fingerprint, status, headers, body = found
        answer = None if status is None else Answer(int(status), orjson.loads(headers), body)
        return Earlier(fingerprint.decode(), answer)

    async def keep(self, claim: Claim, answer: Answer, *, kept_seconds: float) -> None:
        headers = orjson.dumps(dict(answer.headers))
        life = _milliseconds(kept_seconds)
        size_bytes = len(headers) + len(answer.body) + ANSWER_OVERHEAD_BYTES
        keys = [_key(claim.slot), _key(f"{claim.user}:kept"), _key(f"{claim.user}:bytes")]
        answered = (answer.status, headers, answer.body, size_bytes, self._user_bytes)
        await self._store.run(_KEEP, keys, (claim.fingerprint, claim.holder, life, *answered))

    async def release(self, claim: Claim) -> None:
        await self._store.run(_RELEASE, [_key(claim.slot)], (claim.holder,))


def _key(name: str) -> str:
    return f"idempotency:{name}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * MILLISECONDS))
