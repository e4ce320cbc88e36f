"""Statements that the driver runs itself (chassis.postgres.statements), in the pool and the transactions of
chassis.postgres.database.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import (
    ARRAY,
    Column,
    Engine,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    event,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.errors import DomainError
from chassis.postgres.database import Database, open_database
from chassis.postgres.statements import Statement, driver_of
from tests.component.data_rig import count, insert_order, kill_backends, sample_database, until

NewDatabase = Callable[[str], Awaitable[str]]

DOCUMENTS = Table(
    "documents",
    MetaData(),
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("words", ARRAY(Text), nullable=False),
    Column("body", JSONB),
)
ADD = Statement.of(insert(DOCUMENTS).values(words=bindparam("words"), body=bindparam("body")).returning(DOCUMENTS.c.id))
WITH_WORD = select(DOCUMENTS, literal({"is": ["json", 1]}, JSONB).label("sign")).where(
    bindparam("word", type_=Text) == DOCUMENTS.c.words.any_()
)
COUNT = Statement("SELECT count(*) AS documents FROM documents")
SLEEP = Statement("SELECT pg_sleep(60)")
ORDERS = Statement("SELECT count(*) AS orders FROM orders")
ORDER = Statement("INSERT INTO orders (id, user_id) VALUES ($1, $2)", ("id", "user_id"))


@pytest.fixture
async def database(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with sample_database(await new_database("sample"), tmp_path) as database:
        async with database.connect() as connection:
            await connection.run_sync(DOCUMENTS.metadata.create_all)
        yield database


async def test_rows_are_those_that_sqlalchemy_gives(database: Database):
    for body in ({"a": [1, None]}, None):
        await database.fetch(ADD, {"words": ["one", "two"], "body": body})
    values = {"word": "two", "nothing": "that the statement asks for"}
    rows = await database.fetch(Statement.of(WITH_WORD), values)
    async with database.connect() as connection:
        expected = (await connection.execute(WITH_WORD, {"word": "two"})).mappings().all()
    assert [{name: row[name] for name in row.keys()} for row in rows] == [dict(row) for row in expected]  # noqa: SIM118  no mapping
    assert rows[0]["body"] == {"a": [1, None]}
    assert "body" in rows[0]
    assert "two" not in rows[0]


async def test_both_kinds_of_statements_share_a_transaction(database: Database):
    async with database.begin() as tx:
        await tx.fetch(ORDER, {"id": 1, "user_id": "a"})
        await insert_order(tx, 2, "b")
        assert (await tx.fetch(ORDERS))[0]["orders"] == 2
        assert await count(database, "SELECT count(*) FROM orders") == 0
        await tx.commit()
    assert await count(database, "SELECT count(*) FROM orders") == 2
    async with database.begin() as tx:
        await insert_order(tx, 3, "c")
        await tx.fetch(ORDER, {"id": 4, "user_id": "d"})
    assert await count(database, "SELECT count(*) FROM orders") == 2


async def test_a_savepoint_takes_back_what_the_driver_did(database: Database):
    async with database.begin() as tx:
        await tx.fetch(ORDER, {"id": 1, "user_id": "a"})
        with pytest.raises(asyncpg.UniqueViolationError):
            async with tx.connection.begin_nested():
                await tx.fetch(ORDER, {"id": 2, "user_id": "a"})
        await tx.commit()
    assert await count(database, "SELECT count(*) FROM orders") == 1


async def test_a_refusal_leaves_the_connection_usable(database: Database):
    async with open_database(database.dsn, pool_size=1) as small:
        with pytest.raises(asyncpg.UndefinedTableError):
            await small.fetch(Statement("SELECT * FROM nowhere"))
        assert (await small.fetch(COUNT))[0]["documents"] == 0


async def test_a_text_that_no_database_stores_is_the_callers_mistake(database: Database):
    with pytest.raises(DomainError) as refusal:
        await database.fetch(ADD, {"words": ["a\0b"], "body": None})
    assert refusal.value.reason == "INVALID_ARGUMENT"


async def test_connections_that_broke_while_idle_are_replaced_unnoticed(database: Database):
    async with open_database(database.dsn, pool_size=3, application_name="idle") as behind:
        async with behind.connect() as one, behind.connect() as another:
            drivers = [driver_of(one), driver_of(another)]
        assert await kill_backends(database.dsn, "idle") == 2
        await until(lambda: all(driver.is_closed() for driver in drivers))
        assert [(await behind.fetch(COUNT))[0]["documents"] for _ in range(3)] == [0, 0, 0]


async def test_connections_that_are_cut_under_load_are_unavailable_and_nothing_else(database: Database):
    outcomes: Counter[str] = Counter()

    async def call(number: int) -> None:
        async with busy.begin() as tx:
            if number % 2:
                await insert_order(tx, number, str(number))
            await tx.fetch(ORDERS)
            await tx.fetch(COUNT)
        await busy.fetch(COUNT)

    async def keep_calling(number: int) -> None:
        while True:
            try:
                await call(number)
                outcomes["served"] += 1
            except DomainError as error:
                outcomes[error.reason] += 1

    async with open_database(database.dsn, pool_size=4, application_name="busy") as busy:
        callers = [asyncio.create_task(keep_calling(number)) for number in range(8)]
        for _ in range(20):
            before = outcomes["served"]
            await kill_backends(database.dsn, "busy")
            await until(lambda before=before: outcomes["served"] > before + 20 or any(one.done() for one in callers))
        for caller in callers:
            caller.cancel()
        ends = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * len(callers), ends
    assert set(outcomes) <= {"served", "SERVICE_UNAVAILABLE"}


async def test_a_statement_that_nobody_waits_for_any_more_frees_its_place(database: Database):
    async with open_database(database.dsn, pool_size=1) as small:
        asked = asyncio.create_task(small.fetch(SLEEP))
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"

        async def is_running() -> bool:
            return await count(database, running) == 1

        await until(is_running)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (await small.fetch(COUNT))[0]["documents"] == 0


async def test_a_slow_statement_is_ended_by_the_server(database: Database):
    async with open_database(database.dsn, statement_timeout_seconds=0.05) as hurried:
        with pytest.raises(DomainError) as caught:
            await hurried.fetch(SLEEP)
    assert caught.value.reason == "SERVICE_UNAVAILABLE"


async def test_what_listens_to_sqlalchemy_hears_of_the_driver_too(database: Database):
    heard: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        heard.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await database.fetch(ORDER, {"user_id": "a", "id": 1})
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert heard == [(ORDER.sql, [1, "a"])]


async def test_reads_of_sqlalchemy_outside_of_transactions_leave_none_open(database: Database):
    async with open_database(database.dsn, pool_size=1, application_name="reads") as small:
        async with small.connect() as connection:
            await connection.execute(text("SELECT 1"))
        state = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reads' AND state = 'idle'"
        assert await count(database, state) == 1
        async with small.begin() as tx:  # and it is no reader's any more
            await insert_order(tx, 1, "a")
        assert await count(database, "SELECT count(*) FROM orders") == 0
