"""Erasures in the databases of both services: everything of the user goes and nobody else's, nothing comes back, in any order; and
a table with a user of which nothing is decided fails here.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from account.v1.events_pb2 import UserDeleted
from google.protobuf.message import Message
from payment.v1.events_pb2 import PurchaseCompleted, PurchasedItem

from chassis.bus.consumers import Subscription
from chassis.cloudevents.events import CloudEvent
from chassis.erasure import job
from chassis.erasure.job import Erasures, ignoring_erased
from chassis.erasure.plan import NOBODY, ErasedTable, ErasurePlan, KeptTable
from chassis.errors import DomainError, Kind
from chassis.postgres.database import ACCOUNT_ERASED, Database, open_database
from chassis.postgres.migrations import upgrade
from download_svc.erasure import postgres as download_erasure
from library_svc.consumers import Consumers
from library_svc.erasure import postgres as library_erasure
from library_svc.erasure.presentation import erasure_subscriptions
from library_svc.erasure.redis import Feed, HotState
from library_svc.feed.redis import RedisLibraryFeed
from library_svc.ids import UserId
from library_svc.playtime.redis import RedisHeartbeats, pulse_key
from library_svc.postgres import PostgresLibrary
from tests.component.erasure_rig import counts, fill, guarded_tables, insert, tables_of_users
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.live_state import MemoryLiveStreams, MemoryLiveValues

DECISIONS: dict[str, tuple[Sequence[ErasedTable], Sequence[KeptTable]]] = {
    "library_svc": (library_erasure.ERASED, library_erasure.KEPT),
    "download_svc": (download_erasure.ERASED, download_erasure.KEPT),
}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = 3


@dataclass(frozen=True)
class Rig:
    """One service's migrated database, and the erasures in it."""

    package: str
    dsn: str
    database: Database
    connection: "asyncpg.Connection[Any]"
    erasures: Erasures

    @property
    def erased(self) -> Sequence[ErasedTable]:
        return DECISIONS[self.package][0]

    @property
    def names(self) -> Sequence[str]:
        return [table.name for table in self.erased]

    async def row(self, user_id: uuid.UUID) -> "asyncpg.Record":
        row: asyncpg.Record
        (row,) = await self.connection.fetch("SELECT * FROM erasures WHERE user_id = $1", user_id)
        return row


@pytest.fixture(scope="module")
def databases() -> dict[str, str]:
    """Those that are made already; fixtures are asynchronous per test."""
    return {}


@pytest.fixture(params=sorted(DECISIONS))
async def rig(
    request: pytest.FixtureRequest, new_database: Callable[[str], Awaitable[str]], databases: dict[str, str]
) -> AsyncIterator[Rig]:
    package: str = request.param
    if package not in databases:
        databases[package] = await new_database("erasures")
        await upgrade(databases[package], package)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(databases[package]))
        connection = await asyncpg.connect(databases[package])
        stack.push_async_callback(connection.close)
        yield Rig(package, databases[package], database, connection, Erasures(database, plan_of(package)))


def plan_of(package: str) -> ErasurePlan:
    erased, kept = DECISIONS[package]
    return ErasurePlan(erased, kept=kept)


async def test_each_table_with_a_user_is_erased_or_kept_for_a_reason(rig: Rig) -> None:
    kept = {table.name for table in DECISIONS[rig.package][1] if table.reason}
    assert await tables_of_users(rig.connection) == {*rig.names, *kept}, (
        "a table that names a user needs a line in the service's erasure/postgres.py"
    )
    assert not kept & set(rig.names)
    guarded = await guarded_tables(rig.connection)
    unguarded = {table.name for table in rig.erased if not {table.name, table.made_with} & guarded}
    assert unguarded == set(), "guard_tables in the table's migration keeps erased users away"


async def test_the_walk_finds_a_table_of_which_nothing_is_decided(rig: Rig) -> None:
    await rig.connection.execute("CREATE TABLE new_feature (user_id uuid PRIMARY KEY)")
    try:
        assert await tables_of_users(rig.connection) - {*rig.names, "erasures"} == {"new_feature"}
        assert "new_feature" not in await guarded_tables(rig.connection)
    finally:
        await rig.connection.execute("DROP TABLE new_feature")


async def test_everything_of_the_user_goes_and_nothing_of_others(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "BATCH_ROWS", 2)
    anna, boris = uuid.uuid4(), uuid.uuid4()
    for user_id in (anna, boris):
        await fill(rig.connection, rig.names, user_id, rows=ROWS)
        await rig.connection.execute(
            "INSERT INTO audit_log (actor, actor_kind, address, action, resource, outcome)"
            " VALUES ($1, 'user', '192.0.2.1', 'a', 'r', 'done')",
            str(user_id),
        )
    before = await counts(rig.connection, rig.names, boris)
    erasures = Erasures(rig.database, plan_of(rig.package))

    await erasures.request(anna, NOON)
    await erasures.request(anna, NOON + timedelta(hours=1))
    await erasures.run_pending()

    assert set((await counts(rig.connection, rig.names, anna)).values()) == {0}
    assert await counts(rig.connection, rig.names, boris) == before
    row = await rig.row(anna)
    assert row["requested_at"] == NOON
    assert row["done_at"] is not None
    assert json.loads(row["counts"]) == {**dict.fromkeys(rig.names, ROWS), "audit_log": 1}
    for table in rig.erased:
        if table.is_kept_for_nobody:
            assert (await counts(rig.connection, [table.name], NOBODY))[table.name] >= ROWS
    log = "SELECT count(*) FROM audit_log WHERE actor = $1 AND address IS NOT NULL"
    assert [await rig.connection.fetchval(log, str(user_id)) for user_id in (anna, boris)] == [0, 1]


async def test_no_row_of_an_erased_user_is_inserted_again(rig: Rig) -> None:
    user_id = uuid.uuid4()
    await rig.erasures.request(user_id, NOON)
    for table in {"library_svc": ["wishlist_items", "activated_keys"], "download_svc": ["updates_history"]}[
        rig.package
    ]:
        values = {"user_id": user_id, **({"status": "success"} if table == "updates_history" else {})}
        with pytest.raises(asyncpg.PostgresError) as caught:
            await insert(rig.connection, table, values)
        assert caught.value.sqlstate == "SE152"


async def test_what_is_being_written_when_the_erasure_comes_is_found_by_it(rig: Rig) -> None:
    user_id = uuid.uuid4()
    table = {"library_svc": "wishlist_items", "download_svc": "updates_history"}[rig.package]
    values = {"user_id": user_id, **({"status": "success"} if table == "updates_history" else {})}
    writing = rig.connection.transaction()
    await writing.start()
    await insert(rig.connection, table, values)
    requested = asyncio.create_task(rig.erasures.request(user_id, NOON))
    other = await asyncpg.connect(rig.dsn)
    try:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
        async with asyncio.timeout(30):
            while not await other.fetchval(waits):
                await asyncio.sleep(0.01)
        assert not requested.done()
        await writing.commit()
        await requested
        await rig.erasures.run_pending()
        assert await counts(other, [table], user_id) == {table: 0}
    finally:
        await other.close()


async def test_an_erasure_that_fails_is_in_no_others_way_and_goes_on(rig: Rig) -> None:
    unlucky, lucky = uuid.uuid4(), uuid.uuid4()
    is_away = True

    class Store:
        name = "objects"

        async def erase(self, user_id: uuid.UUID) -> int:
            if user_id == unlucky and is_away:
                raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
            return 2

    erasures = Erasures(rig.database, ErasurePlan(rig.erased, stores=[Store()]))
    for user_id in (unlucky, lucky):
        await fill(rig.connection, rig.names, user_id)
        await erasures.request(user_id, NOON)
    with pytest.raises(ExceptionGroup):
        await erasures.run_pending()
    assert (await rig.row(unlucky))["done_at"] is None
    assert (await rig.row(lucky))["done_at"] is not None
    is_away = False
    await erasures.run_pending()
    assert json.loads((await rig.row(unlucky))["counts"])["objects"] == 2
    assert set((await counts(rig.connection, rig.names, unlucky)).values()) == {0}


@pytest.mark.parametrize("rig", ["download_svc", "library_svc"], indirect=True)
async def test_two_instances_erase_a_user_together(rig: Rig) -> None:
    user_id = uuid.uuid4()
    await fill(rig.connection, rig.names, user_id, rows=ROWS)
    await rig.erasures.request(user_id, NOON)
    others = [Erasures(rig.database, plan_of(rig.package)) for _ in range(2)]
    await asyncio.gather(*(each.run_pending() for each in others))
    await rig.erasures.run_pending()
    row = await rig.row(user_id)
    assert row["done_at"] is not None
    assert {name: json.loads(row["counts"])[name] for name in rig.names} == dict.fromkeys(rig.names, ROWS)


class Hearing:
    """The library's consumers over PostgreSQL."""

    def __init__(self, rig: Rig) -> None:
        begin = PostgresLibrary(rig.database, consumer="tests").begin
        heartbeat_store = RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5))
        consumers = Consumers(begin, MemoryAccessCache(), heartbeat_store, now=lambda: NOON)
        every: Sequence[Subscription] = ignoring_erased(
            [*consumers.subscriptions(), *erasure_subscriptions(rig.erasures.request, now=lambda: NOON)]
        )
        self._handlers = {each.message_type: each.handler for each in every}

    async def hear(self, message: Message, event_id: str) -> None:
        event = CloudEvent(event_id, "test", "-", None, NOON, "-", "", None, {})
        await self._handlers[type(message)](message, event)


@pytest.mark.parametrize("rig", ["library_svc"], indirect=True)
@pytest.mark.parametrize("order", ["bought deleted bought", "deleted bought", "deleted erased bought deleted"])
async def test_older_events_bring_nothing_back_in_any_order(rig: Rig, order: str) -> None:
    user_id = uuid.uuid4()
    bought = PurchaseCompleted(
        user_id=str(user_id),
        order_id="order",
        items=[PurchasedItem(product_id=str(uuid.uuid4()), quantity=1)],
        purchase_timestamp=NOON - timedelta(days=1),
    )
    deleted = UserDeleted(user_id=str(user_id), deleted_at=NOON)
    hearing = Hearing(rig)
    for number, what in enumerate(order.split()):
        match what:
            case "bought":
                await hearing.hear(bought, f"{user_id} {number}")
            case "deleted":
                await hearing.hear(deleted, f"{user_id} {number}")
            case _:
                await rig.erasures.run_pending()
    await rig.erasures.run_pending()
    assert set((await counts(rig.connection, rig.names, user_id)).values()) == {0}
    assert (await rig.row(user_id))["done_at"] is not None


@pytest.mark.parametrize("rig", ["library_svc"], indirect=True)
async def test_hot_state_goes_and_open_feeds_end(rig: Rig) -> None:
    user_id, session_id = UserId(uuid.uuid4()), uuid.uuid4()
    values, streams = MemoryLiveValues(), MemoryLiveStreams()
    await insert(rig.connection, "playtime_sessions", {"user_id": user_id, "id": session_id})
    await values.put(pulse_key(user_id, session_id), {"last_heartbeat_at": NOON.isoformat()}, ttl_seconds=60)  # type: ignore[arg-type]
    erasures = Erasures(
        rig.database, ErasurePlan(rig.erased, stores=[HotState(rig.database, values)], last=[Feed(streams)])
    )
    feed = RedisLibraryFeed(streams, erasures.is_erased)
    await feed.append(user_id, b"before", event_id="1")
    async with aclosing(await feed.watch(user_id, None)) as records:
        reading = asyncio.ensure_future(anext(records))
        await asyncio.sleep(0)
        await erasures.request(user_id, NOON)
        await erasures.run_pending()
        with pytest.raises(DomainError) as caught:
            await asyncio.wait_for(reading, 30)
    assert caught.value.reason == ACCOUNT_ERASED
    assert await values.get(pulse_key(user_id, session_id)) is None  # type: ignore[arg-type]
    with pytest.raises(DomainError):
        await feed.watch(user_id, None)
    found = json.loads((await rig.row(user_id))["counts"])
    assert (found["redis"], found["feed"]) == (1, 1)
