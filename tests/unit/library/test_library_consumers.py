"""The consumers: what an event of another service does to the library, as it comes over the bus."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from chassis.bus.consumers import Consumer
from chassis.cloudevents.events import CloudEvent, decode
from chassis.concurrency.background import background
from chassis.errors import DomainError
from library_svc.access.application import open_game_access
from library_svc.consumers import Consumers
from library_svc.ids import ProductId, SaleId, UserId
from library_svc.items.domain import AcquisitionType, GameAdded, GameRemoved, InstallationStatus, RemovalReason
from library_svc.outgoing import outgoing
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.sales.domain import Sale
from tests.fakes.event_bus import MemoryEventBus
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryLibrary, MemoryProducts
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER, GAME = UserId(uuid4()), ProductId(uuid4())
SESSION, VERSION, DEVICE = (str(uuid4()) for _ in range(3))
PAYMENT = "com.platform.payment.events.v1"

PURCHASE = {
    "userId": str(USER),
    "orderId": "order-1",
    "items": [{"productId": str(GAME), "productType": "game", "quantity": 2}],
    "purchaseTimestamp": "2026-03-01T12:00:00Z",
}
REFUND = {
    "userId": str(USER),
    "orderId": "order-1",
    "refundId": "refund-1",
    "items": [{"productId": str(GAME)}],
    "refundedAt": "2026-03-02T12:00:00Z",
}
MOVED = {
    "downloadSessionId": SESSION,
    "userId": str(USER),
    "productId": str(GAME),
    "versionId": VERSION,
    "newStatus": "downloading",
    "previousStatus": "initializing",
    "timestamp": "2026-03-01T12:00:00Z",
}
INSTALLED = {
    "userId": str(USER),
    "productId": str(GAME),
    "versionId": VERSION,
    "deviceId": DEVICE,
    "remainingInstallations": 1,
    "timestamp": "2026-03-01T13:00:00Z",
}


SALE = {"productId": str(GAME), "discountPercent": 25, "saleId": "spring", "endsAt": "2026-03-02T12:00:00Z"}


class Bench:
    """The consumers over the library in memory."""

    def __init__(self) -> None:
        self.now = NOON + timedelta(days=10)
        self.products = MemoryProducts()
        self.library = MemoryLibrary(self.products)
        self.access_cache = MemoryAccessCache()
        self.subscriptions = Consumers(
            self.library.begin,
            self.access_cache,
            RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
            now=lambda: self.now,
        ).subscriptions()

    async def hear(self, message_name: str, data: dict[str, Any], *, event_id: str | None = None) -> None:
        """Hears one event, decoded as the consumer loop does it."""
        subscription = next(each for each in self.subscriptions if each.message_type.__name__ == message_name)
        event = CloudEvent(event_id or str(uuid4()), "test", "-", None, NOON, "-", str(USER), None, data)
        await subscription.handler(decode(event, subscription.message_type), event)

    async def access_since(self) -> datetime | None:
        """What others are answered, and go on to be answered until it changes."""
        async with open_game_access(self.library, self.access_cache) as access:
            return await access.since(USER, GAME)

    async def statuses(self) -> Sequence[InstallationStatus]:
        return [item.installation_status for item in await self.library.owned_items(USER, [])]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("name", ["PurchaseCompleted", "TransactionCompleted"])
async def test_a_purchase_gives_one_item_whatever_the_quantity(bench: Bench, name: str):
    await bench.hear(name, PURCHASE)

    assert [item.product_id for item in await bench.library.owned_items(USER, [])] == [GAME]
    assert await bench.library.access_since(USER, GAME) == NOON


async def test_both_names_of_one_purchase_give_one_item(bench: Bench):
    await bench.hear("PurchaseCompleted", PURCHASE)
    await bench.hear("TransactionCompleted", PURCHASE)

    assert len(bench.library.events) == 1


async def test_a_refund_takes_the_orders_item_away(bench: Bench):
    assert await bench.access_since() is None
    await bench.hear("PurchaseCompleted", PURCHASE)
    assert await bench.access_since() == NOON
    await bench.hear("RefundCompleted", REFUND)

    assert await bench.library.owned_items(USER, []) == []
    assert await bench.access_since() is None
    assert bench.library.events[-1] == GameRemoved(USER, GAME, RemovalReason.REFUND, NOON + timedelta(days=1))


async def test_the_status_follows_download(bench: Bench):
    await bench.hear("PurchaseCompleted", PURCHASE)

    await bench.hear("DownloadSessionStatusChanged", MOVED)
    assert await bench.statuses() == [InstallationStatus.INSTALLING]

    await bench.hear(
        "DownloadSessionStatusChanged", {**MOVED, "newStatus": "completed", "timestamp": INSTALLED["timestamp"]}
    )
    await bench.hear("GameInstalled", INSTALLED)
    assert await bench.statuses() == [InstallationStatus.INSTALLED]

    await bench.hear("GameUninstalled", {**INSTALLED, "timestamp": "2026-03-01T14:00:00Z"})
    assert await bench.statuses() == [InstallationStatus.NOT_INSTALLED]


async def test_a_verification_that_failed_asks_for_a_repair_until_one_succeeds(bench: Bench):
    await bench.hear("PurchaseCompleted", PURCHASE)
    await bench.hear("GameInstalled", INSTALLED)
    found = {name: INSTALLED[name] for name in ("userId", "productId", "versionId", "deviceId")}
    statuses = []
    for minute, outcome in enumerate(("failed_repair_needed", "failed_cannot_repair", "success"), start=10):
        when = f"2026-03-01T14:{minute}:00Z"
        data = {**found, "verificationStatus": outcome, "corruptedFilesCount": 1, "timestamp": when}
        await bench.hear("FileVerificationCompleted", data)
        statuses += await bench.statuses()
    assert statuses == [
        InstallationStatus.REPAIR_NEEDED,
        InstallationStatus.REPAIR_NEEDED,
        InstallationStatus.INSTALLED,
    ]


async def test_devices_without_a_name_count_as_one(bench: Bench):
    nameless = {name: value for name, value in INSTALLED.items() if name != "deviceId"}
    await bench.hear("PurchaseCompleted", PURCHASE)
    await bench.hear("GameInstalled", nameless)
    await bench.hear("GameUninstalled", {**nameless, "timestamp": "2026-03-01T14:00:00Z"})

    assert await bench.statuses() == [InstallationStatus.NOT_INSTALLED]


async def test_an_event_without_a_time_in_it_happened_when_it_was_made(bench: Bench):
    await bench.hear("PurchaseCompleted", {name: PURCHASE[name] for name in ("userId", "orderId", "items")})

    assert await bench.library.access_since(USER, GAME) == NOON


async def test_the_read_model_follows_catalog(bench: Bench):
    renamed = {"productId": str(GAME), "newTitle": "Чайник", "updatedFields": ["title"]}
    await bench.hear("ProductUpdated", renamed, event_id="1")
    known = bench.products.known[GAME]
    assert (known.title_ru, known.title_en, known.is_complete) == ("Чайник", None, False)

    await bench.hear(
        "ProductUpdated",
        {"productId": str(GAME), "titles": {"ru": "Самовар", "en": "Samovar"}, "newCoverImageUrl": "https://c/2"},
        event_id="2",
    )
    known = bench.products.known[GAME]
    assert (known.title_ru, known.title_en, known.cover_image_url) == ("Самовар", "Samovar", "https://c/2")


async def test_a_sale_is_noted_and_a_price_without_one_ends_it(bench: Bench):
    bench.now = NOON
    await bench.hear("PriceUpdated", SALE, event_id="1")
    noted = Sale(GAME, SaleId("spring"), 25, NOON + timedelta(days=1), heard_at=NOON)
    async with bench.library.begin() as tx:
        assert await tx.sales.of_product(GAME) == [noted]

    await bench.hear("PriceUpdated", {"productId": str(GAME)}, event_id="2")
    async with bench.library.begin() as tx:
        assert await tx.sales.of_product(GAME) == [noted.ended()]
    assert bench.library.events == ()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("PurchaseCompleted", {**PURCHASE, "userId": "nobody"}),
        ("PurchaseCompleted", {**PURCHASE, "orderId": ""}),
        ("PurchaseCompleted", {**PURCHASE, "items": []}),
        ("PurchaseCompleted", {**PURCHASE, "items": [{"productId": "?", "quantity": 1}]}),
        ("PurchaseCompleted", {**PURCHASE, "items": [{**PURCHASE["items"][0], "quantity": 0}]}),
        ("PurchaseCompleted", {**PURCHASE, "items": [*PURCHASE["items"], {"productId": str(GAME), "quantity": -1}]}),
        ("PurchaseCompleted", {**PURCHASE, "items": [{"productId": str(GAME)}]}),
        ("RefundCompleted", {**REFUND, "items": [{"productId": "?"}]}),
        ("DownloadSessionStatusChanged", {**MOVED, "productId": ""}),
        ("DownloadSessionStatusChanged", {name: MOVED[name] for name in MOVED if name != "newStatus"}),
        ("GameInstalled", {**INSTALLED, "deviceId": "desktop"}),
        ("ProductUpdated", {}),
        ("PriceUpdated", {**SALE, "productId": "?"}),
        ("PriceUpdated", {**SALE, "saleId": ""}),
        ("PriceUpdated", {**SALE, "discountPercent": 101}),
        ("PriceUpdated", {**SALE, "discountPercent": -1}),
        ("PriceUpdated", {name: SALE[name] for name in SALE if name != "endsAt"}),
    ],
)
async def test_an_event_that_says_nothing_usable_is_refused(bench: Bench, name: str, data: dict[str, Any]):
    with pytest.raises(DomainError) as refused:
        await bench.hear(name, data)

    assert refused.value.reason == "EVENT_INVALID"
    assert refused.value.details["description"]
    assert bench.library.events == ()


@asynccontextmanager
async def consuming(bench: Bench, bus: MemoryEventBus) -> AsyncIterator[None]:
    async with background(Consumer(bus, "library-service", bench.subscriptions).run()):
        yield


async def test_over_the_bus_one_bad_event_does_not_hold_up_the_good_ones(bench: Bench):
    bus = MemoryEventBus()

    def event(data: dict[str, Any]) -> CloudEvent:
        kind = "com.platform.payment.purchase.completed.v1"
        return CloudEvent(str(uuid4()), "platform.payment-service", kind, None, NOON, PAYMENT, str(USER), None, data)

    async with consuming(bench, bus), asyncio.timeout(60):
        await bus.publish([event({**PURCHASE, "orderId": ""}), event(PURCHASE)])
        while not bench.library.events:
            await asyncio.sleep(0.01)

    assert [record.headers["dlq-reason"] for record in bus.records(f"{PAYMENT}.dlq")] == ["EVENT_INVALID"]


def test_the_libraries_own_events_are_on_the_wire_as_the_contract_says():
    added = outgoing(GameAdded(USER, GAME, AcquisitionType.PURCHASE, NOON))
    removed = outgoing(GameRemoved(USER, GAME, RemovalReason.REFUND, NOON))

    assert (added.type, added.topic) == ("com.platform.library.game.added.v1", "com.platform.library.events.v1")
    assert (added.partition_key, added.subject) == (str(USER), str(GAME))
    assert added.data == {
        "userId": str(USER),
        "productId": str(GAME),
        "acquisitionType": "purchase",
        "addedAt": "2026-03-01T12:00:00Z",
    }
    assert removed.type == "com.platform.library.game.removed.v1"
    assert (removed.data["reason"], removed.data["removedAt"]) == ("refund", "2026-03-01T12:00:00Z")
