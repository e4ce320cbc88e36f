"""kill -9 of those who tell users of a sale, between each two statements of a batch: nobody is told twice, nobody is left out, and
another goes on at once, or has been at it beside.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from chassis.postgres.migrations import upgrade
from tests.faults.death import BEFORE_COMMIT
from tests.faults.sale_steps import USERS_AT_ONCE

END_SECONDS = 60
USERS = 3 * USERS_AT_ONCE + 5
STEPS = {
    "the sale is locked": ("statement 2", 0),
    "the users are locked": ("statement 3", 0),
    "the users are marked": ("statement 4", 0),
    "the sale is moved on": ("statement 5", 0),
    "the notices are written": (BEFORE_COMMIT, 0),
    "the first batch is told": ("statement 6", USERS_AT_ONCE),
    "the second batch is written but for its notices": ("statement 10", USERS_AT_ONCE),
    "the last batch is written but for its notices": ("statement 20", 3 * USERS_AT_ONCE),
    "everybody is told": ("statement 23", USERS),
}
"""Where it dies, and how many are told by then. A batch is five statements: next sale, users, marks, sale, notices; the last one
finds nobody and ends the sale.
"""
TELLING = frozenset({"the notices are written", "the second batch is written but for its notices"})
SALE = """
INSERT INTO wishlist_sales (product_id, sale_id, discount_percent, ends_at, heard_at, status)
VALUES (gen_random_uuid(), 'spring', 40, now() + interval '1 hour', now(), 'telling')
"""
WISHES = """
INSERT INTO wishlist_items (user_id, product_id, added_at)
SELECT gen_random_uuid(), product_id, heard_at - interval '1 minute' FROM wishlist_sales, generate_series(1, $1)
"""
TOLD = "SELECT count(*), count(DISTINCT partition_key) FROM outbox WHERE type LIKE '%.wishlist.item.on_sale.v1'"
MARKED = "SELECT count(*) FROM wishlist_items WHERE notified_on_sale_id = 'spring'"
PASSED = """
SELECT count(*) FROM wishlist_items JOIN wishlist_sales USING (product_id) WHERE user_id <= told_until OR status = 'told'
"""


def program(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.faults.sale_steps", *words], stdin=subprocess.DEVNULL)


async def ended(process: "subprocess.Popen[bytes]") -> int:
    return await asyncio.to_thread(process.wait, END_SECONDS)


@pytest.fixture
async def library(new_database: Callable[[str], Awaitable[str]]) -> Any:
    """A database with a sale that nobody knows of yet: its DSN, and a connection."""
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    connection = await asyncpg.connect(dsn)
    await connection.execute(SALE)
    await connection.execute(WISHES, USERS)
    yield dsn, connection
    await connection.close()


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=() if step in TELLING else pytest.mark.soak) for step in STEPS]
)
async def test_each_user_is_told_once_when_the_one_that_tells_dies_after(step: str, library: Any) -> None:
    dsn, connection = library
    death, told = STEPS[step]
    assert await ended(program(dsn, death)) == -signal.SIGKILL

    notices, users = await connection.fetchrow(TOLD)
    assert notices == users == await connection.fetchval(MARKED) == await connection.fetchval(PASSED)
    assert notices == told

    assert await ended(program(dsn, "none")) == 0
    assert tuple(await connection.fetchrow(TOLD)) == (USERS, USERS)
    assert await connection.fetchval("SELECT status FROM wishlist_sales") == "told"


async def test_those_who_live_go_on_when_one_of_them_dies(library: Any) -> None:
    dsn, connection = library
    processes = [program(dsn, step) for step in ("statement 4", "statement 9", "none")]
    ends = [await ended(process) for process in processes]
    if await connection.fetchval("SELECT status FROM wishlist_sales") != "told":
        # What the dying one held, the living one passed over, and found nothing else to do.
        assert await ended(program(dsn, "none")) == 0

    assert ends[2] == 0
    assert tuple(await connection.fetchrow(TOLD)) == (USERS, USERS)
    assert await connection.fetchval(MARKED) == USERS
