"""Connections that are cut at any moment, under everything that is done with them: unavailable, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from sqlalchemy import Integer, bindparam, select, text

from chassis.errors import DomainError
from chassis.postgres.database import Database, open_database
from chassis.postgres.statements import Statement
from tests.component.data_rig import kill_backends, until

NAME = "cut"
CUTS = 25
CALLERS = 8
ONE = Statement.of(select(bindparam("number", type_=Integer()).label("number")))


async def _reads(database: Database) -> None:
    await database.fetch(ONE, {"number": 1})


async def _reads_by_sqlalchemy(database: Database) -> None:
    async with database.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _changes(database: Database) -> None:
    async with database.begin() as tx:
        await tx.fetch(ONE, {"number": 1})
        await tx.connection.execute(text("SELECT 2"))
        await tx.fetch(ONE, {"number": 3})
        await tx.commit()


async def _changes_in_part(database: Database) -> None:
    async with database.begin() as tx:
        await tx.connection.execute(text("SELECT 1"))
        async with tx.connection.begin_nested():
            await tx.fetch(ONE, {"number": 2})
        await tx.commit()


async def _gives_up(database: Database) -> None:
    async with database.begin() as tx:
        await tx.fetch(ONE, {"number": 1})


async def _is_cancelled(database: Database) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.002):
            await _changes(database)


DEEDS = (_reads, _reads_by_sqlalchemy, _changes, _changes_in_part, _gives_up, _is_cancelled)


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__.strip("_"))
async def test_a_cut_is_unavailable_whatever_is_being_done(
    new_database: Callable[[str], Awaitable[str]], deed: Callable[[Database], Awaitable[None]]
):
    dsn = await new_database("cuts")
    strange: list[BaseException] = []
    done = 0
    over = False

    async def call(database: Database) -> None:
        nonlocal done
        while not over:
            try:
                await deed(database)
                done += 1
            except DomainError as error:
                if error.reason != "SERVICE_UNAVAILABLE":
                    strange.append(error)
            except Exception as error:  # noqa: BLE001  that none comes is what is tried
                strange.append(error)
            await asyncio.sleep(0)

    async with open_database(dsn, pool_size=CALLERS // 2, application_name=NAME) as database:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(call(database))
            for _ in range(CUTS):
                await kill_backends(dsn, NAME)
                await asyncio.sleep(0.01)
            # A machine that has other things to do may take longer to connect than there is between two cuts.
            await until(lambda: bool(done))
            over = True
        assert [repr(error) for error in strange] == []
        assert done
        async with asyncio.timeout(30):
            await _changes(database)
