"""What every adapter of the AccessCache port promises, and GameAccess over it: what is remembered never outlives a change."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from adapters import adapters as adapters_of
from adapters import redis_url

from chassis.live.redis_link import RedisLink
from chassis.live.redis_state import open_link, open_redis
from library_svc.access.application import (
    ACCESS_CHANGE_SECONDS,
    ACCESS_KEPT_SECONDS,
    REMEMBERING_LIMIT,
    AccessCache,
    CacheLookup,
    changing,
    open_game_access,
)
from library_svc.access.redis import AWAY_SECONDS, RedisAccessCache, open_access_cache
from library_svc.entitlements import application as entitlements
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import ProductId, UserId
from library_svc.items.domain import RemovalReason
from library_svc.playtime.redis import RedisHeartbeats
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryLibrary, MemoryProducts
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER, GAME = UserId(uuid4()), ProductId(uuid4())


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered, as two instances see it; and how it loses everything."""

    one: AccessCache
    other: AccessCache
    lose: Callable[[], Awaitable[None]]


@pytest.fixture(params=adapters_of(__file__))
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    if request.param == "memory":
        known = MemoryAccessCache()

        async def forget() -> None:
            known.forget()

        yield Memory(known, known, forget)
        return
    address = redis_url() if request.param == "redis" else request.getfixturevalue("valkey_url")
    prefix = f"test-{uuid4()}:"
    async with (
        open_access_cache(address, prefix=prefix) as one,
        open_access_cache(address, prefix=prefix) as other,
        open_redis(address) as client,
    ):

        async def delete() -> None:
            # The server is shared with other tests: all that these keys know is gone, as after FLUSHALL.
            if keys := await client.keys(f"{prefix}*"):
                await client.delete(*keys)

        yield Memory(one, other, delete)


class Shop:
    """Grants and takes back as the service does, in a library that counts how often it is asked."""

    def __init__(self, *instances: AccessCache) -> None:
        self.library = MemoryLibrary(MemoryProducts())
        self.instances = instances
        self.reads = 0

    async def access_since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        self.reads += 1
        since = await self.library.access_since(user_id, product_id)
        await asyncio.sleep(0)
        return since

    async def grant(self, source_id: str = "1", *, by: int = 0) -> None:
        await entitlements.grant(
            self.library.begin,
            self.instances[by],
            event_id=None,
            user_id=USER,
            product_ids=[GAME],
            source=Source(SourceKind.ORDER, source_id),
            at=NOON,
        )

    async def refund(self, source_id: str = "1", *, by: int = 0) -> None:
        await entitlements.revoke(
            self.library.begin,
            self.instances[by],
            RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
            event_id=None,
            user_id=USER,
            product_ids=[GAME],
            source=Source(SourceKind.ORDER, source_id),
            reason=RemovalReason.REFUND,
            at=NOON + timedelta(days=1),
        )

    async def since(self, *, by: int = 0) -> datetime | None:
        """The answer, once it is remembered."""
        async with open_game_access(self, self.instances[by]) as access:
            return await access.since(USER, GAME)


async def test_an_answer_is_remembered_with_its_ticket_only(memory: Memory):
    first = await memory.one.find(USER, GAME)
    assert (first.is_answer, first.ticket is None) == (False, False)
    await memory.one.remember(USER, GAME, "forged", NOON)
    assert not (await memory.other.find(USER, GAME)).is_answer

    ticket = (await memory.other.find(USER, GAME)).ticket
    await memory.other.remember(USER, GAME, ticket, NOON)
    assert await memory.one.find(USER, GAME) == CacheLookup(is_answer=True, since=NOON)
    assert not (await memory.one.find(UserId(uuid4()), GAME)).is_answer
    assert not (await memory.one.find(USER, ProductId(uuid4()))).is_answer


async def test_that_there_is_no_right_is_an_answer_too(memory: Memory):
    await memory.one.remember(USER, GAME, (await memory.one.find(USER, GAME)).ticket, None)
    assert await memory.other.find(USER, GAME) == CacheLookup(is_answer=True, since=None)


async def test_what_was_read_before_a_change_is_not_remembered_after_it(memory: Memory):
    before = (await memory.one.find(USER, GAME)).ticket
    change = await memory.other.suspend(USER, [GAME])
    await memory.one.remember(USER, GAME, before, NOON)
    assert await memory.one.find(USER, GAME) == CacheLookup()
    await memory.other.resume(USER, [GAME], change)
    await memory.one.remember(USER, GAME, before, NOON)
    after = await memory.one.find(USER, GAME)
    assert not after.is_answer
    await memory.one.remember(USER, GAME, after.ticket, None)
    assert (await memory.other.find(USER, GAME)).is_answer


async def test_nothing_is_remembered_until_the_last_of_several_changes_is_over(memory: Memory):
    first, second = await memory.one.suspend(USER, [GAME]), await memory.other.suspend(USER, [GAME])
    await memory.other.resume(USER, [GAME], second)
    assert await memory.one.find(USER, GAME) == CacheLookup()
    await memory.one.resume(USER, [GAME], first)
    assert (await memory.one.find(USER, GAME)).ticket is not None


async def test_what_was_lost_in_the_middle_of_a_change_is_forgotten_at_its_end(memory: Memory):
    change = await memory.one.suspend(USER, [GAME])
    await memory.lose()
    await memory.other.remember(USER, GAME, (await memory.other.find(USER, GAME)).ticket, NOON)
    await memory.one.resume(USER, [GAME], change)
    assert not (await memory.other.find(USER, GAME)).is_answer


async def test_no_products_are_no_error(memory: Memory):
    await memory.one.resume(USER, [], await memory.one.suspend(USER, []))
    assert (await memory.one.find(USER, GAME)).ticket is not None


async def test_an_answer_vanishes_within_the_bound_and_so_does_a_change_that_never_ended(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
):
    """Told by the server's own clock, and for the memory by a clock that is turned."""
    now = 0.0
    known = MemoryAccessCache(lambda: now)
    await known.remember(USER, GAME, (await known.find(USER, GAME)).ticket, NOON)
    now = ACCESS_KEPT_SECONDS - 1
    assert (await known.find(USER, GAME)).is_answer
    now = ACCESS_KEPT_SECONDS
    assert not (await known.find(USER, GAME)).is_answer
    await known.suspend(USER, [GAME])
    now += ACCESS_CHANGE_SECONDS
    assert (await known.find(USER, GAME)).ticket is not None

    prefix, key = f"test-{uuid4()}:", f"game_access:{{{USER}}}:{GAME}"
    async with open_redis(valkey_url) as client, open_link(client) as link:
        shared = RedisAccessCache(link, prefix)
        await shared.remember(USER, GAME, (await shared.find(USER, GAME)).ticket, NOON)
        assert 0 < await client.pttl(prefix + key) <= ACCESS_KEPT_SECONDS * 1000
        assert (await shared.find(USER, GAME)).is_answer
        assert 0 < await client.pttl(prefix + key) <= ACCESS_KEPT_SECONDS * 1000, "a look is no renewal"
        await shared.suspend(USER, [GAME])
        assert 0 < await client.pttl(prefix + key) <= ACCESS_CHANGE_SECONDS * 1000


async def test_the_second_question_does_not_reach_the_database(memory: Memory):
    shop = Shop(memory.one, memory.other)
    await shop.grant()
    assert [await shop.since(), await shop.since(), await shop.since(by=1)] == [NOON] * 3
    assert shop.reads == 1


async def test_what_one_instance_changes_no_other_answers_wrongly(memory: Memory):
    shop = Shop(memory.one, memory.other)
    for number in range(3):
        source_id, by = str(number), number % 2
        assert await shop.since(by=by) is None
        assert await shop.since(by=1 - by) is None
        await shop.grant(source_id, by=by)
        assert [await shop.since(by=1 - by), await shop.since(by=by)] == [NOON, NOON]
        await shop.refund(source_id, by=1 - by)
        assert [await shop.since(by=by), await shop.since(by=1 - by)] == [None, None]


async def test_of_twenty_grants_and_refunds_at_once_the_last_answer_is_right(memory: Memory):
    """While they go on no answer is wrong for longer than a transaction, and after the last one every answer is the database's."""
    shop = Shop(memory.one, memory.other)

    async def come_and_go(number: int) -> None:
        await shop.grant(str(number), by=number % 2)
        await shop.since(by=1 - number % 2)
        if number % 4:
            await shop.refund(str(number), by=1 - number % 2)
        await shop.since(by=number % 2)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(come_and_go(number))
    truth = await shop.library.access_since(USER, GAME)
    assert truth == NOON
    assert [await shop.since(), await shop.since(by=1)] == [truth, truth]
    for number in range(0, 20, 4):
        await shop.refund(str(number), by=number % 2)
    assert [await shop.since(), await shop.since(by=1)] == [None, None]


async def test_an_answer_read_while_the_right_ends_is_not_remembered(memory: Memory):
    """The reader has the old rows in its hands when the refund is committed."""
    shop = Shop(memory.one, memory.other)
    await shop.grant()
    reading, refunded = asyncio.Event(), asyncio.Event()
    plain = shop.access_since

    async def slowly(user_id: UserId, product_id: ProductId) -> datetime | None:
        since = await plain(user_id, product_id)
        reading.set()
        await refunded.wait()
        return since

    shop.access_since = slowly
    async with asyncio.TaskGroup() as group:
        early = group.create_task(shop.since())
        await reading.wait()
        await shop.refund(by=1)
        refunded.set()
    assert early.result() == NOON, "asked before the refund, it may be answered so"
    shop.access_since = plain
    assert [await shop.since(), await shop.since(by=1)] == [None, None]


async def test_a_change_that_failed_leaves_the_database_to_answer(memory: Memory):
    """Its transaction may have been committed or not, so nobody remembers anything for a while."""
    shop = Shop(memory.one, memory.other)
    await shop.grant()
    with pytest.raises(ConnectionError):
        async with changing(shop.instances[0], USER, [GAME]):
            raise ConnectionError
    reads = shop.reads
    assert [await shop.since(), await shop.since(by=1)] == [NOON, NOON]
    assert shop.reads == reads + 2


async def test_when_all_is_lost_the_database_answers_and_it_is_remembered_anew(memory: Memory):
    shop = Shop(memory.one, memory.other)
    await shop.grant()
    await shop.since()
    await memory.lose()
    assert [await shop.since(by=1), await shop.since()] == [NOON, NOON]
    assert shop.reads == 2


async def test_away_the_database_answers_and_is_not_waited_for_each_time():
    now = 100.0
    looks = 0

    async def nobody(_: asyncio.Protocol) -> asyncio.Transport:
        nonlocal looks
        looks += 1
        raise ConnectionRefusedError

    known = RedisAccessCache(RedisLink(nobody, answer_seconds=0.25), clock=lambda: now)
    shop = Shop(known)
    await shop.grant()
    by_change = looks
    assert [await shop.since() for _ in range(5)] == [NOON] * 5
    assert looks == by_change, "the change found it away already"
    await shop.refund()
    by_change = looks
    assert await shop.since() is None
    assert (shop.reads, looks) == (6, by_change)
    now += AWAY_SECONDS
    assert await shop.since() is None
    assert looks == by_change + 1


class Slow(MemoryAccessCache):
    """Remembers nothing before it is let, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.asked = 0
        self.failure: Exception | None = None

    async def remember(self, user_id: UserId, product_id: ProductId, ticket: str, since: datetime | None) -> None:
        self.asked += 1
        await self.let.wait()
        if self.failure is not None:
            raise self.failure
        await super().remember(user_id, product_id, ticket, since)


async def test_who_asks_does_not_wait_until_the_answer_is_remembered_but_who_stops_does():
    slow = Slow()
    shop = Shop(slow)
    await shop.grant()
    async with asyncio.TaskGroup() as group, open_game_access(shop, slow) as access:
        assert [await access.since(USER, GAME), await access.since(USER, GAME)] == [NOON, NOON]
        assert (shop.reads, slow.asked) == (2, 1), "the first is under way, the second was answered by the database"
        group.create_task(_let(slow))
    assert (await slow.find(USER, GAME)).is_answer


async def test_an_answer_on_its_way_to_be_remembered_is_overtaken_by_a_change():
    slow = Slow()
    shop = Shop(slow)
    await shop.grant()
    async with open_game_access(shop, slow) as access:
        assert await access.since(USER, GAME) == NOON
        await shop.refund()
        slow.let.set()
    assert not (await slow.find(USER, GAME)).is_answer
    assert await shop.since() is None


async def test_what_cannot_be_remembered_fails_nobody_and_is_logged(caplog: pytest.LogCaptureFixture):
    slow = Slow()
    slow.failure = ValueError("nobody thought of this")
    slow.let.set()
    shop = Shop(slow)
    await shop.grant()
    async with open_game_access(shop, slow) as access:
        assert [await access.since(USER, GAME) for _ in range(3)] == [NOON] * 3
    assert "nobody thought of this" in caplog.text
    slow.failure = None
    assert [await shop.since(), await shop.since()] == [NOON, NOON]
    assert shop.reads == 4


async def test_so_many_are_remembered_at_once_and_no_more():
    slow = Slow()
    shop = Shop(slow)
    await shop.grant()
    async with open_game_access(shop, slow) as access:
        answers = [await access.since(USER, ProductId(uuid4())) for _ in range(REMEMBERING_LIMIT)]
        assert not any(answers)
        assert await access.since(USER, GAME) == NOON
        slow.let.set()
    assert slow.asked == REMEMBERING_LIMIT
    assert not (await slow.find(USER, GAME)).is_answer
    assert await shop.since() == NOON
    assert (await slow.find(USER, GAME)).is_answer, "there is room again"


async def _let(slow: Slow) -> None:
    slow.let.set()
