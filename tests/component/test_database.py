"""chassis.postgres.database against a real PostgreSQL: transactions, events written beside rows, and failures that become
DomainError.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import MetaData, literal, select, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.exc import IntegrityError, ProgrammingError

from chassis.bus.inbox import first_time
from chassis.cloudevents.events import MAX_EVENT_BYTES, NewEvent
from chassis.cloudevents.moments import EARLIEST, LATEST, clamped
from chassis.errors import DomainError
from chassis.postgres.database import Database, open_database, shared_tables
from chassis.postgres.statements import Statement
from sandbox.devstack.free_port import free_port
from tests.component.data_rig import count, game_added, insert_order, kill_backends, proxied, record, sample_database

NewDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture
async def database(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with sample_database(await new_database("sample"), tmp_path) as database:
        yield database


async def test_a_commit_makes_rows_and_events_last_together(database: Database):
    async with database.begin() as tx:
        await insert_order(tx, 1, "a")
        tx.record(game_added(7))
        await tx.commit()
    assert await count(database, "SELECT count(*) FROM orders") == 1
    assert (
        await count(
            database, "SELECT count(*) FROM outbox WHERE payload ->> 'productId' = '7' AND published_at IS NULL"
        )
        == 1
    )


async def test_leaving_without_commit_changes_nothing(database: Database):
    async with database.begin() as tx:
        await insert_order(tx, 1, "a")
        tx.record(game_added(7))
    assert await count(database, "SELECT count(*) FROM orders") == 0
    assert await count(database, "SELECT count(*) FROM outbox") == 0


async def test_an_error_rolls_back_and_passes_through(database: Database):
    async def fail() -> None:
        async with database.begin() as tx:
            await insert_order(tx, 1, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await count(database, "SELECT count(*) FROM orders") == 0


async def test_a_transaction_commits_once(database: Database):
    async with database.begin() as tx:
        await tx.commit()
        with pytest.raises(RuntimeError):
            await tx.commit()


async def test_an_event_is_stored_as_it_was_recorded(database: Database):
    event = game_added(7)
    await record(database, event)
    async with database.connect() as connection:
        row = (await connection.execute(shared_tables(MetaData()).outbox.select())).one()
    assert (row.id, row.topic, row.partition_key, row.type) == (event.id, event.topic, event.partition_key, event.type)
    assert (row.subject, row.payload, row.created_at) == (event.subject, dict(event.data), event.time)


async def test_events_of_one_transaction_keep_their_order(database: Database):
    await record(database, *[game_added(number) for number in range(50)])
    async with database.connect() as connection:
        rows = await connection.execute(text("SELECT payload ->> 'productId' FROM outbox ORDER BY position"))
    assert [int(row[0]) for row in rows] == list(range(50))


async def test_an_event_that_no_bus_takes_is_refused_and_nothing_is_committed(database: Database):
    small = game_added(1)
    huge = NewEvent(
        small.id, small.topic, "user-1", small.type, None, small.time, None, {"text": "x" * MAX_EVENT_BYTES}
    )
    async with database.begin() as tx:
        await insert_order(tx, 1, "a")
        tx.record(huge)
        with pytest.raises(ValueError, match="larger"):
            await tx.commit()
    assert await count(database, "SELECT count(*) FROM orders") == 0


async def test_a_broken_rule_of_the_schema_stays_the_callers_business(database: Database):
    async def insert_twice() -> None:
        async with database.begin() as tx:
            await insert_order(tx, 1, "a")
            await insert_order(tx, 2, "a")

    with pytest.raises(IntegrityError):
        await insert_twice()
    with pytest.raises(ProgrammingError):
        async with database.connect() as connection:
            await connection.execute(text("SELECT nothing_like_that"))


@pytest.mark.parametrize("query", ["SELECT CAST(:text AS text)", "SELECT to_jsonb(CAST(:text AS text))"])
async def test_a_text_that_no_database_stores_is_the_callers_mistake(database: Database, query: str):
    with pytest.raises(DomainError) as refusal:
        async with database.connect() as connection:
            await connection.execute(text(query), {"text": "a\0b"})
    assert refusal.value.reason == "INVALID_ARGUMENT"


async def test_a_transaction_can_go_on_after_a_broken_savepoint(database: Database):
    async with database.begin() as tx:
        await insert_order(tx, 1, "a")
        with pytest.raises(IntegrityError):
            async with tx.connection.begin_nested():
                await insert_order(tx, 2, "a")
        await tx.commit()
    assert await count(database, "SELECT count(*) FROM orders") == 1


async def test_reads_see_what_is_committed_between_them(database: Database):
    async with database.connect() as connection:
        before = (await connection.execute(text("SELECT count(*) FROM orders"))).scalar_one()
        async with database.begin() as tx:
            await insert_order(tx, 1, "a")
            await tx.commit()
        after = (await connection.execute(text("SELECT count(*) FROM orders"))).scalar_one()
    assert (before, after) == (0, 1)


async def test_a_server_that_is_not_there_is_unavailable():
    async with open_database(f"postgresql://postgres@127.0.0.1:{free_port()}/none") as database:
        with pytest.raises(DomainError) as caught:
            await database.ping()
    assert caught.value.reason == "SERVICE_UNAVAILABLE"


async def test_a_database_that_is_not_there_is_unavailable(postgres_url: str):
    async with open_database(postgres_url + "_absent") as database:
        with pytest.raises(DomainError) as caught:
            async with database.begin():
                pass
    assert caught.value.reason == "SERVICE_UNAVAILABLE"


async def test_a_connection_lost_in_the_middle_is_unavailable_and_the_next_call_works(database: Database):
    async def lose_the_connection() -> None:
        async with database.begin() as tx:
            await insert_order(tx, 1, "a")
            assert await kill_backends(database.dsn, "sample-service") >= 1
            await insert_order(tx, 2, "b")

    with pytest.raises(DomainError) as caught:
        await lose_the_connection()
    assert caught.value.reason == "SERVICE_UNAVAILABLE"
    assert await count(database, "SELECT count(*) FROM orders") == 0


async def test_a_cut_network_is_unavailable_until_it_is_mended(database: Database):
    async with proxied(database.dsn) as proxy, open_database(proxy.dsn) as behind:
        await behind.ping()
        proxy.cut()
        with pytest.raises(DomainError) as caught:
            await behind.ping()
        assert caught.value.reason == "SERVICE_UNAVAILABLE"
        proxy.mend()
        await behind.ping()


async def test_an_exhausted_pool_is_unavailable(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.postgres.database.POOL_TIMEOUT_SECONDS", 0.05)
    async with open_database(database.dsn, pool_size=1) as small, small.connect():
        with pytest.raises(DomainError) as caught:
            await small.ping()
    assert caught.value.reason == "SERVICE_UNAVAILABLE"


async def test_a_slow_statement_is_ended_by_the_server(database: Database):
    async with open_database(database.dsn, statement_timeout_seconds=0.05) as hurried:
        with pytest.raises(DomainError) as caught:
            async with hurried.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))
    assert caught.value.reason == "SERVICE_UNAVAILABLE"


async def test_a_deadlock_ends_one_of_the_two_and_says_try_again(database: Database):
    async with database.begin() as tx:
        await insert_order(tx, 1, "a")
        await insert_order(tx, 2, "b")
        await tx.commit()
    both_hold_one = asyncio.Barrier(2)

    async def update(first: int, second: int) -> str:
        try:
            async with database.begin() as tx:
                await tx.connection.execute(text("UPDATE orders SET id = id WHERE id = :id"), {"id": first})
                await both_hold_one.wait()
                await tx.connection.execute(text("UPDATE orders SET id = id WHERE id = :id"), {"id": second})
                await tx.commit()
        except DomainError as error:
            return error.reason
        return "committed"

    assert sorted(await asyncio.gather(update(1, 2), update(2, 1))) == ["SERVICE_UNAVAILABLE", "committed"]


async def test_the_inbox_lets_an_event_through_once_per_consumer(database: Database):
    async with database.begin() as tx:
        assert await first_time(tx, "library", "platform.a", "event-1")
        assert await first_time(tx, "download", "platform.a", "event-1")
        assert not await first_time(tx, "library", "platform.a", "event-1")
        await tx.commit()
    async with database.begin() as tx:
        assert not await first_time(tx, "library", "platform.a", "event-1")


async def test_two_sources_with_one_id_are_two_events(database: Database):
    async with database.begin() as tx:
        assert await first_time(tx, "library", "platform.payment", "1")
        assert await first_time(tx, "library", "platform.catalog", "1")
        await tx.commit()
    async with database.begin() as tx:
        assert not await first_time(tx, "library", "platform.payment", "1")
        assert not await first_time(tx, "library", "platform.catalog", "1")


async def test_what_code_of_before_noted_without_a_source_is_known(database: Database):
    note = text("INSERT INTO inbox (consumer, event_id) VALUES ('library', '1') ON CONFLICT DO NOTHING RETURNING true")
    async with database.begin() as tx:
        assert (await tx.connection.execute(note)).scalar_one()
        assert (await tx.connection.execute(note)).scalar_one_or_none() is None
        assert not await first_time(tx, "library", "platform.payment", "1")
        assert await first_time(tx, "download", "platform.payment", "1")


async def test_the_inbox_forgets_what_was_rolled_back(database: Database):
    async with database.begin() as tx:
        assert await first_time(tx, "library", "platform.a", "event-1")
    async with database.begin() as tx:
        assert await first_time(tx, "library", "platform.a", "event-1")


async def test_two_deliveries_at_once_take_effect_once(database: Database):
    async def deliver(order_id: int) -> bool:
        async with database.begin() as tx:
            if not await first_time(tx, "library", "platform.a", "event-1"):
                return False
            await insert_order(tx, order_id, f"user-{order_id}")
            await tx.commit()
            return True

    outcomes = await asyncio.gather(*[deliver(number) for number in range(4)])
    assert sum(outcomes) == 1
    assert await count(database, "SELECT count(*) FROM orders") == 1


OF_THE_SERVER = {
    "-infinity": EARLIEST,
    "4713-01-01 00:00:00+00 BC": EARLIEST,
    "0001-01-01 00:00:00+00": EARLIEST,
    "0001-01-02 00:00:00+00": EARLIEST,
    "2026-03-01 10:30:00.000001+03": datetime(2026, 3, 1, 7, 30, 0, 1, tzinfo=UTC),
    "9999-12-30 23:59:59.999999+00": LATEST,
    "9999-12-31 23:59:59.9999999+00": LATEST,
    "294276-12-31 23:59:59+00": LATEST,
    "infinity": LATEST,
}


async def test_every_time_that_a_row_can_hold_is_a_moment(database: Database):
    query = """
    SELECT text::timestamptz AS at, ARRAY[text::timestamptz] AS many
    FROM unnest($1::text[]) WITH ORDINALITY AS given (text, number) ORDER BY number
    """
    rows = await database.fetch(Statement(query, ["texts"]), {"texts": list(OF_THE_SERVER)})
    assert [row["at"] for row in rows] == list(OF_THE_SERVER.values())
    assert [row["many"] for row in rows] == [[moment] for moment in OF_THE_SERVER.values()]
    assert {row["at"].tzinfo for row in rows} == {UTC}


ZONES = st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))])


@given(st.lists(st.datetimes(timezones=ZONES)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
async def test_every_datetime_is_written_and_read_as_a_moment(database: Database, moments: list[datetime]):
    rows = await database.fetch(Statement("SELECT unnest($1::timestamptz[]) AS at", ["moments"]), {"moments": moments})
    assert [row["at"] for row in rows] == [clamped(moment) for moment in moments]
    async with database.connect() as connection:
        for moment in moments[:1]:
            found = await connection.execute(select(literal(moment, TIMESTAMP(timezone=True))))
            assert found.scalar_one() == clamped(moment)
