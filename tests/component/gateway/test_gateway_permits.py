"""Rate limits through the gateway with a real count. Contract: sections 1 and 8."""

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from functools import partial

import pytest

from chassis.quota.rate_limits import UNCOUNTED, Budget
from chassis.quota.redis_permits import RedisPermits
from chassis.quota.redis_store import StoreAway, open_redis_store
from gateway.quota.rate_limits import RateLimiter
from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    DOWNLOADS_PATH,
    ITEM_PATH,
    PRODUCT,
    WAIT_SECONDS,
    close_code,
    envelope,
    gateway_rig,
    not_found,
    soon,
)
from tests.component.rpc_rig import user_token
from tests.conftest import valkey_server

READS, WRITES = 6, 3
"""Few: a permit comes back after ten seconds, so that none does while a test counts, however busy the machine is."""


patient_store = partial(open_redis_store, answer_seconds=WAIT_SECONDS)


@asynccontextmanager
async def limited(valkey_url: str, reads: int = READS):
    async with patient_store(valkey_url) as store:
        limiter = RateLimiter(RedisPermits(store), {"read": reads, "write": WRITES}, max_leases=10)
        # A user of the test's own: tests share the Valkey.
        async with gateway_rig(rate_limiter=limiter) as rig:
            rig.token = user_token(sub=str(uuid.uuid4()))
            yield rig


def start():
    return {"data": {"type": "downloadRequest", "attributes": {"product_id": PRODUCT}}}


async def test_who_asks_too_much_is_told_when_to_come_back(valkey_url):
    async with limited(valkey_url) as rig:
        allowed = [await rig.call("POST", DOWNLOADS_PATH, body=start()) for _ in range(WRITES)]
        assert [answer.status for answer in allowed] == [202] * WRITES
        assert [answer.headers["X-RateLimit-Remaining"] for answer in allowed] == ["2", "1", "0"]
        answer = await rig.call(
            "POST", DOWNLOADS_PATH, body=start(), Accept_Language="en", Origin="https://store.example.org"
        )
        assert (answer.status, answer.codes) == (429, ["RATE_LIMIT_EXCEEDED"])
        assert answer.headers["X-RateLimit-Limit"] == "3"
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert 1 <= int(answer.headers["Retry-After"]) <= 20
        assert 40 <= int(answer.headers["X-RateLimit-Reset"]) <= 60
        assert "X-RateLimit-Limit" in answer.headers["Access-Control-Expose-Headers"]
        assert len(rig.download.requests) == WRITES
        # Reads have a budget of their own, another user has their own altogether.
        assert (await rig.call("GET", ITEM_PATH)).status == 200
        other = await rig.call("POST", DOWNLOADS_PATH, body=start(), token=user_token(sub=str(uuid.uuid4())))
        assert other.status == 202


async def test_errors_and_304_count_and_say_so_too(valkey_url):
    async with limited(valkey_url) as rig:
        tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
        assert (await rig.call("GET", ITEM_PATH, If_None_Match=tag)).headers["X-RateLimit-Remaining"] == "4"
        rig.library.error = not_found()
        missing = await rig.call("GET", ITEM_PATH)
        assert (missing.status, missing.headers["X-RateLimit-Remaining"]) == (404, "3")
        assert (await rig.call("HEAD", ITEM_PATH)).headers["X-RateLimit-Remaining"] == "2"


async def test_what_the_proto_says_is_not_counted_is_not(valkey_url):
    links = {"data": {"type": "linkRequest", "attributes": {"ids": ["0" * 64]}}}
    async with limited(valkey_url) as rig:
        for _ in range(WRITES + 2):
            answer = await rig.call("POST", f"{DOWNLOAD_PATH}/links", body=links)
            assert answer.status == 200
            assert "X-RateLimit-Limit" not in answer.headers


async def test_a_client_that_leaves_while_its_socket_is_counted_is_noticed(valkey_url):
    async with limited(valkey_url) as rig:
        await (await rig.connect()).close()
    assert [line["status"] for line in rig.access_lines()] == [101]


async def test_a_socket_counts_as_one_read(valkey_url):
    async with limited(valkey_url, reads=1) as rig:
        first = await rig.connect()
        await soon(rig.download.opened.get())
        second = await rig.connect()
        assert (await envelope(second))["payload"]["code"] == "RATE_LIMIT_EXCEEDED"
        assert await close_code(second) == 4429
        await first.close()


async def test_without_a_token_nothing_is_counted(valkey_url):
    async with limited(valkey_url) as rig:
        answer = await rig.call("GET", ITEM_PATH, token=None)
        assert answer.status == 401
        assert "X-RateLimit-Limit" not in answer.headers


async def test_a_count_that_goes_away_lets_everybody_pass():
    before = UNCOUNTED.labels("write")._value.get()
    with valkey_server() as url:
        pass
    async with open_redis_store(url) as store:
        limiter = RateLimiter(RedisPermits(store), {"write": 1}, max_leases=10)
        async with gateway_rig(rate_limiter=limiter) as rig:
            for _ in range(3):
                answer = await rig.call("POST", DOWNLOADS_PATH, body=start())
                assert answer.status == 202
                assert "X-RateLimit-Limit" not in answer.headers
        with pytest.raises(StoreAway):
            await RedisPermits(store).lease("somebody", Budget("read", 10), 1)
        with pytest.raises(StoreAway, match="not asked"):
            await RedisPermits(store).lease("somebody", Budget("read", 10), 1)
    assert UNCOUNTED.labels("write")._value.get() == before + 3


# --- the script ---


async def test_gateways_share_one_count_and_never_give_more_than_there_is(valkey_url):
    budget, user = Budget("read", 50), str(uuid.uuid4())
    async with patient_store(valkey_url) as first, patient_store(valkey_url) as second:
        stores = [RedisPermits(first), RedisPermits(second)]
        began = time.monotonic()
        grants = await asyncio.gather(*(stores[number % 2].lease(user, budget, 7) for number in range(12)))
        empty = await stores[0].lease(user, budget, 7)
        # It fills up by one in 1.2 seconds.
        came = (time.monotonic() - began) * 50 / 60
        assert 50 <= sum(grant.permits for grant in grants) <= 50 + came
        assert empty.permits <= came
        assert empty.left == 0
        assert 55.0 < empty.full_after_seconds <= 60.0


async def test_permits_come_in_evenly(valkey_url):
    budget, user = Budget("read", 600), str(uuid.uuid4())
    async with patient_store(valkey_url) as store:
        permits = RedisPermits(store)
        while (grant := await permits.lease(user, budget, 100)).permits:
            pass
        assert 0.0 < grant.next_after_seconds <= 0.1
        while not (grant := await permits.lease(user, budget, 1)).permits:
            await asyncio.sleep(grant.next_after_seconds)
        assert grant.permits == 1


async def test_a_count_is_forgotten_when_it_is_full_and_a_lowered_limit_holds_at_once(valkey_url):
    user = str(uuid.uuid4())
    async with patient_store(valkey_url) as store:
        permits = RedisPermits(store)
        await permits.lease(user, Budget("read", 600), 300)
        assert 20_000 < await store.link.call("PTTL", f"rate:{{{user}}}:read") <= 30_000
        lowered = await permits.lease(user, Budget("read", 10), 10)
        assert (lowered.permits, lowered.left) == (5, 0)


async def test_a_store_that_refuses_the_command_is_away(valkey_url):
    user = str(uuid.uuid4())
    async with patient_store(valkey_url) as store:
        await store.link.call("SET", f"rate:{{{user}}}:read", "rubbish")
        with pytest.raises(StoreAway):
            await RedisPermits(store).lease(user, Budget("read", 10), 1)


async def test_whoever_is_cancelled_while_redis_is_asked_is_cancelled(valkey_url):
    budget = Budget("read", 10)
    for turns in range(30):
        async with patient_store(valkey_url) as store:
            asking = asyncio.create_task(RedisPermits(store).lease(str(uuid.uuid4()), budget, 1))
            for _ in range(turns):
                await asyncio.sleep(0)
            if asking.done():
                break
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
    assert turns > 3
