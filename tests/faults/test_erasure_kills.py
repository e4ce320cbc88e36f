"""kill -9 of a service while it erases a user, at each step: what is counted is what is gone, nobody else loses a row, and the next
one goes on to the end.
"""

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from chassis.postgres.migrations import upgrade
from tests.component.erasure_rig import counts, fill
from tests.faults.erasure_steps import ERASED

END_SECONDS = 60
ROWS = 3
TELLING = ("objects erased", "statement 9", "feed erased")
LESS_TELLING = ("statement 2", "statement 3", "statement 5", "statement 13", "statement 18", "statement 27")
"""Statements are those that hold the erasure, remove a batch and count it, in turn."""


async def ended(*words: str) -> int:
    process = subprocess.Popen([sys.executable, "-m", "tests.faults.erasure_steps", *words], stdin=subprocess.DEVNULL)
    return await asyncio.to_thread(process.wait, END_SECONDS)


@pytest.fixture(params=sorted(ERASED))
async def service(
    request: pytest.FixtureRequest, new_database: Callable[[str], Awaitable[str]]
) -> AsyncIterator[tuple[str, str, Any]]:
    """A service's database: its package, its DSN, and a connection."""
    dsn = await new_database("erasures")
    await upgrade(dsn, request.param)
    connection = await asyncpg.connect(dsn)
    yield request.param, dsn, connection
    await connection.close()


@pytest.mark.parametrize("step", [*TELLING, *(pytest.param(step, marks=pytest.mark.soak) for step in LESS_TELLING)])
async def test_an_erasure_goes_on_when_the_service_dies_at(step: str, service: tuple[str, str, Any]) -> None:
    package, dsn, connection = service
    names = [table.name for table in ERASED[package]]
    anna, boris = uuid.uuid4(), uuid.uuid4()
    for user_id in (anna, boris):
        await fill(connection, names, user_id, rows=ROWS)
    await connection.execute("INSERT INTO erasures (user_id, requested_at) VALUES ($1, now())", anna)

    assert await ended(package, dsn, step) == -signal.SIGKILL
    row = await connection.fetchrow("SELECT * FROM erasures WHERE user_id = $1", anna)
    assert row["done_at"] is None
    left, counted = await counts(connection, names, anna), json.loads(row["counts"] or "{}")
    assert {name: ROWS - left[name] for name in names} == {name: counted.get(name, 0) for name in names}

    assert await ended(package, dsn, "none") == 0
    row = await connection.fetchrow("SELECT * FROM erasures WHERE user_id = $1", anna)
    assert row["done_at"] is not None
    assert set((await counts(connection, names, anna)).values()) == {0}
    counted = json.loads(row["counts"])
    assert {name: counted[name] for name in names} == dict.fromkeys(names, ROWS)
    assert set((await counts(connection, names, boris)).values()) == {ROWS}
