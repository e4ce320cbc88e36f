"""Sales of what users wish for, over the running service: from Catalog's event to one notice for each user on the bus, while other
events go on, whoever dies, and whether the relay keeps up or not.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from catalog.v1.events_pb2 import PriceUpdated
from library.v1 import wishlist_pb2 as pb

from chassis.bus.outbox import OutboxRelay
from chassis.concurrency.background import background, repeat
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.ids import EventId, ProductId, SaleId
from library_svc.postgres import PostgresLibrary
from library_svc.sales.application import BATCH_USERS, hear, notify_all
from library_svc.sales.domain import Sale
from library_svc.sales.postgres import ROOM_EVENTS, PostgresOutgoing
from library_svc.stamps import stamp
from tests.component.library.library_rig import Rig, library_rig, purchase, until, user
from tests.fakes.event_bus import MemoryEventBus

LIBRARY_TOPIC = "com.platform.library.events.v1"
CATALOG_DEAD_LETTERS = "com.platform.catalog.events.v1.dlq"
NOTICE = "com.platform.library.wishlist.item.on_sale.v1"
PUT_WISHES = """
INSERT INTO wishlist_items (user_id, product_id, added_at)
SELECT gen_random_uuid(), $1, now() - interval '1 minute' FROM generate_series(1, $2)
"""
NOT_TOLD = "SELECT count(*) FROM wishlist_items WHERE product_id = $1 AND notified_on_sale_id IS DISTINCT FROM $2"
UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


@pytest.fixture
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


def price(product_id: UUID, sale_id: str, percent: int = 40) -> PriceUpdated:
    return PriceUpdated(
        product_id=str(product_id),
        discount_percent=percent,
        sale_id=sale_id,
        ends_at=datetime.now(UTC) + timedelta(hours=1),
    )


async def told(rig: Rig) -> Counter[tuple[str, str]]:
    """How often each user was told of each sale."""
    events = [event for event, _ in await rig.told(LIBRARY_TOPIC) if event.type == NOTICE]
    return Counter((event.partition_key, str(event.data["saleId"])) for event in events)


async def wish(rig: Rig, user_id: UUID, product_id: UUID) -> None:
    request = pb.AddWishlistItemRequest(product_id=str(product_id))
    await rig.wishes.AddWishlistItem(request, metadata=user(user_id))


async def test_a_sale_told_twice_is_one_notice_for_each_who_wishes_and_none_for_others(rig: Rig):
    game, other = uuid4(), uuid4()
    rig.catalog.titles = {game: ("Игра", "Game"), other: ("Другая", "Other")}
    anna, boris, vera = uuid4(), uuid4(), uuid4()
    for user_id, product_id in ((anna, game), (boris, game), (vera, other)):
        await wish(rig, user_id, product_id)

    await rig.publish(price(game, "spring"), copies=2)
    await rig.publish(price(game, "spring"), price(game, "spring", percent=45))
    await until(lambda: holds(rig, 2))
    await rig.publish(price(game, "end", percent=0), price(other, "winter"))
    await until(lambda: holds(rig, 3))

    assert await told(rig) == {(str(anna), "spring"): 1, (str(boris), "spring"): 1, (str(vera), "winter"): 1}
    assert await rig.told(CATALOG_DEAD_LETTERS) == []


async def holds(rig: Rig, notices: int) -> bool:
    return (await told(rig)).total() >= notices


async def test_a_price_that_says_nothing_usable_is_a_dead_letter(rig: Rig):
    game, user_id = uuid4(), uuid4()
    rig.catalog.titles = {game: ("Игра", "Game")}
    await wish(rig, user_id, game)
    nameless, endless = price(game, ""), price(game, "endless")
    endless.ClearField("ends_at")
    too_much = price(game, "too much", percent=101)
    await rig.publish(nameless, endless, too_much, price(game, "good"))
    await until(lambda: holds(rig, 1))

    assert await told(rig) == {(str(user_id), "good"): 1}
    letters = await rig.told(CATALOG_DEAD_LETTERS)
    assert [letter.data.get("saleId", "") for letter, _ in letters] == ["", "endless", "too much"]


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
async def test_other_events_are_handled_while_very_many_are_told(new_database, count: int):
    """Two services share the work; purchases made meanwhile are told long before the last notice."""
    async with library_rig(new_database) as rig, library_rig(new_database, beside=rig):
        game, loop = uuid4(), asyncio.get_running_loop()
        database = await asyncpg.connect(rig.postgres_dsn)
        try:
            await database.execute(PUT_WISHES, game, count)
            await rig.publish(price(game, "spring"))
            started = loop.time()

            async def left() -> int:
                return int(await database.fetchval(NOT_TOLD, game, "spring"))

            async def is_begun() -> bool:
                return await left() < count

            await until(is_begun)
            waits, while_telling = [], 0
            while await left():
                before = loop.time()
                buyer = uuid4()
                await rig.publish(purchase(buyer, uuid4(), order_id=str(uuid4())))
                await until(lambda buyer=buyer: is_told_to_have(database, buyer))
                waits.append(loop.time() - before)
                while_telling += bool(await left())
            written = loop.time() - started
            async with asyncio.timeout(600):
                while await database.fetchval(UNPUBLISHED):
                    await asyncio.sleep(0.1)
        finally:
            await database.close()
        print(
            f"{count} users: noted in {written:.1f} s, on the bus in {loop.time() - started:.1f} s; meanwhile"
            f" {len(waits)} purchases, each told after {max(waits, default=0):.2f} s at most"
        )
        notices = await told(rig)
        assert len(notices) == count
        assert set(notices.values()) == {1}
        assert while_telling or count < 100_000


async def is_told_to_have(database: "asyncpg.Connection[asyncpg.Record]", user_id: UUID) -> bool:
    """Whether the purchase went all the way: in, effect, out."""
    sql = "SELECT published_at IS NOT NULL FROM outbox WHERE partition_key = $1 AND type LIKE '%game.added%'"
    return bool(await database.fetchval(sql, str(user_id)))


async def test_notices_wait_for_the_relay_and_do_not_pile_up_before_other_events(new_database):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    count, game, now = 3 * ROOM_EVENTS, uuid4(), datetime.now(UTC)
    async with open_database(dsn) as database:
        outgoing = PostgresOutgoing(database)
        begin = PostgresLibrary(database, consumer="tests").begin
        news = Sale(ProductId(game), SaleId("spring"), 40, now + timedelta(hours=1), heard_at=now)

        async def fetch(statement: str, *values: Any) -> int:
            async with database.connect() as connection:
                return int((await connection.exec_driver_sql(statement, values)).scalar_one())

        async with database.begin() as tx:
            await tx.connection.exec_driver_sql(PUT_WISHES, (game, count))
            await tx.commit()
        await hear(begin, event_id=EventId("test", str(uuid4())), news=news, price=stamp(now), now=now)
        async with background(
            repeat("sales", partial(notify_all, begin, outgoing, now=lambda: now), pause_seconds=0.1)
        ):

            async def is_full() -> bool:
                return not await outgoing.has_room()

            await until(is_full)
            most, bus = 0, MemoryEventBus()
            async with background(OutboxRelay(database, bus, "platform.library-service").run()):
                while await fetch(NOT_TOLD, game, "spring") or await fetch(UNPUBLISHED):
                    most = max(most, await fetch(UNPUBLISHED))
    assert ROOM_EVENTS < most <= ROOM_EVENTS + BATCH_USERS
    assert len({record.key for record in bus.records(LIBRARY_TOPIC)}) == count
