"""Answers by idempotency key in Redis: a hash per slot, which has an answer or just the request that is still running."""

import orjson

from chassis.live.redis_link import Script
from chassis.redis_store import RedisStore
from gateway.quota.idempotency import Answer, Claim, Earlier

MILLISECONDS = 1000

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

# KEYS: the slot. ARGV: fingerprint, holder, ms it is kept, status, headers, body.
_KEEP = Script(
    """
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'holder', ARGV[2], 'status', ARGV[4], 'headers', ARGV[5], 'body', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
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
    """The port gateway.quota.idempotency.Answers over Redis or Valkey."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def claim(self, claim: Claim, *, running_seconds: float) -> Earlier | None:
        arguments = (claim.fingerprint, claim.holder, _milliseconds(running_seconds))
        found = await self._store.run(_CLAIM, _key(claim), arguments)
        if found is None:
            return None
        fingerprint, status, headers, body = found
        answer = None if status is None else Answer(int(status), orjson.loads(headers), body)
        return Earlier(fingerprint.decode(), answer)

    async def keep(self, claim: Claim, answer: Answer, *, kept_seconds: float) -> None:
        headers = orjson.dumps(dict(answer.headers))
        life = _milliseconds(kept_seconds)
        arguments = (claim.fingerprint, claim.holder, life, answer.status, headers, answer.body)
        await self._store.run(_KEEP, _key(claim), arguments)

    async def release(self, claim: Claim) -> None:
        await self._store.run(_RELEASE, _key(claim), (claim.holder,))


def _key(claim: Claim) -> str:
    return f"idempotency:{claim.slot}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * MILLISECONDS))
