"""Leases of permits: what the limiter gives out by itself and when it asks again."""

import asyncio
from uuid import UUID

import pytest

from chassis.errors import DomainError
from chassis.quota.rate_limits import PERIOD_SECONDS, UNCOUNTED, Budget, Grant
from chassis.quota.redis_store import StoreAway
from gateway.quota.rate_limits import RateLimiter
from gateway.request.context import RequestContext

ALICE, BOB = UUID(int=1), UUID(int=2)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SimplePermits:
    """A count that never fills up again by itself."""

    def __init__(self):
        self.left: dict[tuple[str, str], int] = {}
        self.asked: list[tuple[str, str, int]] = []
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def lease(self, user: str, budget: Budget, wanted: int) -> Grant:
        self.asked.append((user, budget.name, wanted))
        await self.answers.wait()
        if self.is_away:
            raise StoreAway("away")
        left = self.left.setdefault((user, budget.name), budget.permits)
        granted = min(wanted, left)
        self.left[user, budget.name] = left - granted
        return Grant(granted, left - granted, full_after_seconds=12.5, next_after_seconds=0.0 if granted else 2.0)


class Rig:
    def __init__(self, *, max_leases: int = 100):
        self.clock, self.permits = Clock(), SimplePermits()
        budgets = {"read": 60, "write": 30}
        self.limiter = RateLimiter(self.permits, budgets, max_leases=max_leases, clock=self.clock)

    async def ask(self, user: UUID | None = ALICE, rate_class: str = "read") -> dict[str, str]:
        context = RequestContext("r", "t", "127.0.0.1", "ru", "application/json", acceptable=True, user_id=user)
        try:
            await self.limiter.count(context, rate_class)
        except DomainError as error:
            return {**context.headers, "code": error.reason, "wait": str(error.retry_after_seconds)}
        return context.headers


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_most_requests_ask_nobody(rig: Rig):
    for _ in range(20):
        await rig.ask()
    assert rig.permits.asked == [(str(ALICE), "read", 2)] * 10


async def test_the_answer_says_how_the_user_stands(rig: Rig):
    assert await rig.ask() == {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59", "X-RateLimit-Reset": "13"}
    rig.clock.now += 3.0
    # Three permits have come in meanwhile, but there are never more than all.
    assert (await rig.ask())["X-RateLimit-Remaining"] == "60"


async def test_exactly_the_budget_is_given_out_and_then_no_more(rig: Rig):
    answers = [await rig.ask() for _ in range(61)]
    assert ["wait" in answer for answer in answers] == [False] * 60 + [True]
    assert (answers[-1]["code"], answers[-1]["wait"]) == ("RATE_LIMIT_EXCEEDED", "2.0")
    assert answers[-1]["X-RateLimit-Remaining"] == "0"


async def test_users_and_classes_do_not_share(rig: Rig):
    for _ in range(30):
        await rig.ask(rate_class="write")
    assert "wait" in await rig.ask(rate_class="write")
    assert "wait" not in await rig.ask(rate_class="read")
    assert "wait" not in await rig.ask(BOB, rate_class="write")


async def test_a_refused_user_is_refused_without_asking_until_there_may_be_a_permit(rig: Rig):
    rig.permits.left[str(ALICE), "read"] = 0
    waits = []
    for _ in range(3):
        waits.append((await rig.ask())["wait"])
        rig.clock.now += 0.5
    assert (waits, len(rig.permits.asked)) == (["2.0", "1.5", "1.0"], 1)
    rig.permits.left[str(ALICE), "read"] = 1
    rig.clock.now += 0.5
    assert "wait" not in await rig.ask()


async def test_requests_that_come_together_share_one_round_trip(rig: Rig):
    rig.permits.answers.clear()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(rig.ask()) for _ in range(10)]
        while not rig.permits.asked:
            await asyncio.sleep(0)
        rig.permits.answers.set()
    assert all("wait" not in task.result() for task in tasks)
    assert len(rig.permits.asked) == 5


async def test_a_lease_ends_with_the_period(rig: Rig):
    await rig.ask()
    rig.clock.now += PERIOD_SECONDS
    await rig.ask()
    assert len(rig.permits.asked) == 2


async def test_when_the_count_is_away_everybody_passes_and_a_metric_says_so(rig: Rig):
    before = UNCOUNTED.labels("read")._value.get()
    rig.permits.is_away = True
    assert await rig.ask() == {}
    assert await rig.ask(BOB) == {}
    assert UNCOUNTED.labels("read")._value.get() == before + 2
    rig.permits.is_away = False
    assert (await rig.ask())["X-RateLimit-Remaining"] == "59"


async def test_what_has_no_budget_or_no_user_is_not_counted(rig: Rig):
    assert await rig.ask(rate_class="none") == {}
    assert await rig.ask(None) == {}
    assert rig.permits.asked == []


async def test_no_more_leases_are_remembered_than_allowed():
    rig = Rig(max_leases=2)
    for number in range(5):
        await rig.ask(UUID(int=number))
    assert len(rig.limiter._leases) == 2
    await rig.ask(UUID(int=4))
    assert len(rig.permits.asked) == 5
    await rig.ask(UUID(int=0))
    assert len(rig.permits.asked) == 6
