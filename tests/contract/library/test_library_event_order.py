"""The library follows events of Payment, Catalog and Download in any order: shuffled, repeated, of one time and of the future, they
end in the same state, over every adapter.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chassis.cloudevents.events import CloudEvent, decode
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.catalog.domain import Language
from library_svc.consumers import Consumers
from library_svc.ids import ProductId, UserId
from library_svc.items.application import ItemQuery, LibraryReader
from library_svc.items.postgres_reader import PostgresReader
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.postgres import PostgresLibrary
from library_svc.sales.domain import SaleStatus
from library_svc.transaction import Begin
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryLibrary, MemoryProducts
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(hours=1)
GAMES, DEVICES, SESSIONS = (("game 0", "game 1"), ("device 0", "device 1"), ("session 0", "session 1"))
NAMES = ("user", *GAMES, *DEVICES, *SESSIONS, "version 0", "version 1")
"""What stands for a UUID in the events; each telling has its own, in the same order."""

Told = tuple[str, datetime, Mapping[str, Any]]
"""A message of an event, when it was made, and its data."""


@dataclass(frozen=True)
class Rig:
    """One technology's adapters."""

    begin: Begin
    reader: LibraryReader


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


times = st.sampled_from([*(NOON + timedelta(seconds=second) for second in range(3)), datetime(2099, 1, 1, tzinfo=UTC)])
games = st.sampled_from(GAMES)
orders = st.sampled_from(["order 0", "order 1"])


def told(name: str, time_field: str | None = None, **data: st.SearchStrategy[Any]) -> st.SearchStrategy[Told]:
    """An event of this message; its time is in its data too, if the message has a field for it."""

    def made(at: datetime, values: dict[str, Any]) -> Told:
        dated = {time_field: text(at)} if time_field else {}
        return name, at, {**{key: value for key, value in values.items() if value is not None}, **dated}

    return st.builds(made, times, st.fixed_dictionaries(data))


user = {"userId": st.just("user")}
on_device = {**user, "productId": games, "versionId": st.sampled_from(["version 0", "version 1"])}
bought = st.lists(games.map(lambda game: {"productId": game, "quantity": 1}), min_size=1, max_size=2)
statuses = st.sampled_from(["queued", "downloading", "paused", "error", "cancelled", "completed"])
texts = st.none() | st.sampled_from(["А", "Б"])
events = st.one_of(
    told("PurchaseCompleted", "purchaseTimestamp", **user, orderId=orders, items=bought),
    told(
        "RefundCompleted",
        "refundedAt",
        **user,
        orderId=orders,
        refundId=st.just("refund"),
        items=st.lists(games.map(lambda game: {"productId": game}), max_size=1),
    ),
    # A session is of one product.
    *(
        told(
            "DownloadSessionStatusChanged",
            "timestamp",
            **{**on_device, "productId": st.just(game)},
            downloadSessionId=st.just(session),
            newStatus=statuses,
        )
        for session, game in zip(SESSIONS, GAMES, strict=True)
    ),
    told("GameInstalled", "timestamp", **on_device, deviceId=st.sampled_from(DEVICES)),
    told("GameUninstalled", "timestamp", **on_device, deviceId=st.sampled_from(DEVICES)),
    told(
        "FileVerificationCompleted",
        "timestamp",
        **on_device,
        deviceId=st.sampled_from(DEVICES),
        verificationStatus=st.sampled_from(["success", "failed_repair_needed"]),
    ),
    told("ProductUpdated", productId=games, newTitle=texts, newCoverImageUrl=texts),
    told(
        "PriceUpdated",
        productId=games,
        discountPercent=st.sampled_from([0, 10, 20]),
        saleId=st.sampled_from(["spring", "summer"]),
        endsAt=st.just("2098-01-01T00:00:00Z"),
    ),
)


class Telling:
    """One user's story, told to the consumers."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.name = str(uuid4())
        self.ids = dict(zip(NAMES, sorted(uuid4() for _ in NAMES), strict=True))
        heartbeat_store = RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5))
        consumers = Consumers(rig.begin, MemoryAccessCache(), heartbeat_store, now=lambda: NOW)
        self.handlers = {each.message_type.__name__: each for each in consumers.subscriptions()}

    async def tell(self, number: int, event: Told) -> None:
        """The number is the event's id, in this telling."""
        name, at, data = event
        heard = CloudEvent(f"{self.name} {number:03}", "test", "-", None, at, "-", "-", None, self.own(data))
        subscription = self.handlers[name]
        await subscription.handler(decode(heard, subscription.message_type), heard)

    def own(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.own(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.own(one) for one in value]
        return str(self.ids[value]) if value in self.ids else value

    async def state(self) -> Any:
        """All that anybody can see of it, without the ids."""
        user_id = UserId(self.ids["user"])
        names = {value: name for name, value in self.ids.items()}
        page = await self.rig.reader.list_items(ItemQuery(user_id, Language.RU, include_hidden=True))
        items = {
            names[shown.item.product_id]: (
                shown.item.acquisition_type,
                shown.item.added_at,
                shown.item.installation_status,
                names.get(shown.item.installed_version_id),
                shown.product and (shown.product.title_ru, shown.product.cover_image_url),
            )
            for shown in page.items
        }
        since = {game: await self.rig.reader.access_since(user_id, ProductId(self.ids[game])) for game in GAMES}
        return items, since, {game: await self.sales(game) for game in GAMES}

    async def sales(self, game: str) -> Sequence[tuple[str, int]]:
        """What those who wish for the game are told of."""
        async with self.rig.begin() as tx:
            sales = await tx.sales.of_product(ProductId(self.ids[game]))
        return [(one.sale_id, one.discount_percent) for one in sales if one.status is SaleStatus.TELLING]


@asynccontextmanager
async def open_rig(technology: str, new_database: Callable[[str], Awaitable[str]]) -> AsyncIterator[Rig]:
    if technology == "memory":
        library = MemoryLibrary(MemoryProducts())
        yield Rig(library.begin, library)
        return
    dsn = await new_database("order")
    await upgrade(dsn, "library_svc")
    async with open_database(dsn) as database:
        yield Rig(PostgresLibrary(database, consumer="tests").begin, PostgresReader(database))


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def retitled(second: int, **changes: str) -> Told:
    return "ProductUpdated", at(second), {"productId": "game 0", **changes}


PURCHASE = {"userId": "user", "orderId": "order 0", "items": [{"productId": "game 0", "quantity": 1}]}
REFUND = {"userId": "user", "orderId": "order 0", "refundId": "refund"}
BOUGHT: Told = ("PurchaseCompleted", at(0), {**PURCHASE, "purchaseTimestamp": text(at(0))})


def installed(version: str) -> Told:
    about = {"userId": "user", "productId": "game 0", "deviceId": "device 0", "versionId": version}
    return "GameInstalled", at(1), {**about, "timestamp": text(at(1))}


def damaged(version: str) -> Told:
    _, when, data = installed(version)
    return (
        "FileVerificationCompleted",
        when + timedelta(seconds=1),
        {**data, "verificationStatus": "failed_repair_needed", "timestamp": text(at(2))},
    )


STORIES = (
    # Two versions on one device at one time; two that are found damaged at one time.
    (BOUGHT, installed("version 0"), installed("version 1")),
    (BOUGHT, installed("version 0"), damaged("version 0"), damaged("version 1")),
    # A rename that comes after a later change of the cover; the same event again after another of the same second; one of 2099.
    (BOUGHT, retitled(2, newCoverImageUrl="Б"), retitled(1, newTitle="А")),
    (BOUGHT, retitled(1, newTitle="А"), retitled(1, newTitle="Б")),
    (BOUGHT, ("ProductUpdated", datetime(2099, 1, 1, tzinfo=UTC), {"productId": "game 0", "newTitle": "А"})),
    (("RefundCompleted", at(1), {**REFUND, "refundedAt": text(at(1))}), BOUGHT),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("technology", ["memory", "postgres"])
def test_events_in_any_order_end_in_the_same_state(technology: str, new_database: Callable[[str], Awaitable[str]]):
    with asyncio.Runner() as runner:
        run = runner.get_loop().run_until_complete
        opened = open_rig(technology, new_database)
        rig = run(opened.__aenter__())

        @settings(
            max_examples=150 if technology == "memory" else 40, deadline=None, suppress_health_check=list(HealthCheck)
        )
        @given(st.lists(events, max_size=10).flatmap(in_two_orders))
        def same_state(story: tuple[Sequence[Told], Sequence[int]]) -> None:
            in_order, other = Telling(rig), Telling(rig)
            for number, event in enumerate(story[0]):
                run(in_order.tell(number, event))
            for number in story[1]:
                run(other.tell(number, story[0][number]))
            assert run(other.state()) == run(in_order.state())

        for story in STORIES:
            numbers = range(len(story))
            same_state = example((story, [*reversed(numbers), *numbers]))(same_state)
        try:
            same_state()
        finally:
            run(opened.__aexit__(None, None, None))


def in_two_orders(story: Sequence[Told]) -> st.SearchStrategy[tuple[Sequence[Told], Sequence[int]]]:
    """The story, and the numbers of its events in an order in which some come twice."""
    numbers = list(range(len(story)))
    again = st.lists(st.sampled_from(numbers), max_size=3) if numbers else st.just([])
    return st.tuples(st.just(story), again.flatmap(lambda twice: st.permutations(numbers + twice)))


async def test_a_time_from_the_future_holds_no_later_event_up():
    library = MemoryLibrary(MemoryProducts())
    telling = Telling(Rig(library.begin, library))
    await telling.tell(0, BOUGHT)
    await telling.tell(
        1, ("ProductUpdated", datetime(2099, 1, 1, tzinfo=UTC), {"productId": "game 0", "newTitle": "А"})
    )
    await telling.tell(2, ("ProductUpdated", NOW, {"productId": "game 0", "newTitle": "Б"}))

    items, *_ = await telling.state()
    assert items["game 0"][-1] == ("Б", None)
