"""KeyedSemaphore: so many at once of each key, in order, and nothing is kept of who is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chassis.concurrency.keyed_semaphore import KeyedSemaphore
from chassis.errors import DomainError

AGES = 3600.0


@asynccontextmanager
async def queue(
    turns: KeyedSemaphore, key: str, names: str, began: list[str]
) -> AsyncIterator[dict[str, asyncio.Event]]:
    """Tasks that take turns one after another, and the events that end them."""
    ends = {name: asyncio.Event() for name in names}

    async def one(name: str) -> None:
        async with turns.acquired(key):
            began.append(name)
            await ends[name].wait()

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
        await settled()
        yield ends


async def settled() -> None:
    """All that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_of_a_key_have_a_turn_at_once_in_the_order_in_which_they_came():
    turns, began = KeyedSemaphore(2, timeout_seconds=AGES), list[str]()
    async with queue(turns, "user", "abcd", began) as ends:
        assert began == ["a", "b"]
        ends["b"].set()
        await settled()
        assert began == ["a", "b", "c"]
        ends["a"].set()
        await settled()
        assert began == ["a", "b", "c", "d"]
        ends["c"].set()
        ends["d"].set()


async def test_others_do_not_wait_for_a_key_and_nothing_is_kept_of_one_that_is_done():
    turns, began = KeyedSemaphore(1, timeout_seconds=AGES), list[str]()
    async with queue(turns, "user", "abc", began) as ends:
        async with turns.acquired("another"):
            assert len(turns) == 2
        assert len(turns) == 1
        for end in ends.values():
            end.set()
    assert (began, len(turns)) == (["a", "b", "c"], 0)


async def test_who_waits_too_long_is_refused_for_now_and_takes_no_turn():
    turns, began = KeyedSemaphore(1, timeout_seconds=0.01), list[str]()
    async with queue(turns, "user", "a", began) as ends:
        with pytest.raises(DomainError) as refused:
            async with turns.acquired("user"):
                began.append("too late")
        assert refused.value.reason == "SERVICE_UNAVAILABLE"
        ends["a"].set()
    async with turns.acquired("user"):
        began.append("b")
    assert began == ["a", "b"]


async def test_who_is_cancelled_while_it_waits_or_fails_in_its_turn_leaves_it_to_the_next():
    turns, began = KeyedSemaphore(1, timeout_seconds=AGES), list[str]()

    async def waits() -> None:
        async with turns.acquired("user"):
            began.append("cancelled")

    async def fails() -> None:
        async with turns.acquired("user"):
            waiting = asyncio.create_task(waits())
            await settled()
            waiting.cancel()
            await settled()
            assert waiting.cancelled()
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await fails()
    async with turns.acquired("user"):
        began.append("next")
    assert began == ["next"]
