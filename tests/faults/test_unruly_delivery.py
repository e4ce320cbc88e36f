"""Events that come twice, late and out of their order, over the real bus to the real consumers: the effects are as if each had come
once and in time.
"""

import json
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from download.v1 import downloads_pb2 as downloads
from download.v1 import events_pb2 as download_events
from google.protobuf.message import Message
from payment.v1.events_pb2 import PurchaseCompleted, PurchasedItem, RefundCompleted, RefundedItem

from chassis.bus.consumers import Consumer
from chassis.bus.event_bus import EventBus
from chassis.bus.event_log import PostgresEventLog, open_event_log
from chassis.cloudevents.events import CloudEvent, new_event
from chassis.concurrency.background import background
from chassis.postgres.database import Database, open_database
from chassis.postgres.migrations import upgrade
from library_svc.consumers import Consumers
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.postgres import PostgresLibrary
from tests.e2e.clients import LIBRARY_UPDATES, Shop, until
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.live_state import MemoryLiveValues
from tests.faults.conftest import Game, User
from tests.faults.download_steps import fetch
from tests.faults.follower import following
from tests.faults.installs import installing
from tests.faults.truth import assert_no_event_was_lost, database, events_settled, rows

GROUP = "library-service"
MANY = pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(600)])
MAX_TIMES = 3
HEARD_SECONDS = 100
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MOVES = ("queued", "initializing", "downloading", "verifying", "completed")


@dataclass(frozen=True)
class Telling:
    """Somebody's story, told in one way."""

    user_id: str
    product_ids: Sequence[str]
    device_id: str
    session_ids: Sequence[str]


def new_telling() -> Telling:
    ids = iter(lambda: str(uuid.uuid4()), None)
    return Telling(next(ids), [next(ids), next(ids)], next(ids), [next(ids), next(ids)])


def story(teller: Telling, chance: random.Random) -> Iterator[Message]:
    """Bought, bought again in a bundle, refunded; installed, updated or failed, perhaps uninstalled: in the order it happened."""
    first, second = teller.product_ids
    moments = (NOON + timedelta(seconds=number) for number in range(100))
    orders = [str(uuid.uuid4()) for _ in range(3)]
    for order, products in zip(orders, ([first], [first, second], [second]), strict=True):
        items = [PurchasedItem(product_id=product, quantity=1) for product in products]
        yield PurchaseCompleted(user_id=teller.user_id, order_id=order, items=items, purchase_timestamp=next(moments))
        if chance.random() < 0.5:
            refunded = [RefundedItem(product_id=product) for product in products[: chance.randint(1, len(products))]]
            yield RefundCompleted(user_id=teller.user_id, order_id=order, items=refunded, refunded_at=next(moments))
    about = {"user_id": teller.user_id, "product_id": first}
    for session_id in teller.session_ids:
        version_id = str(uuid.uuid5(uuid.NAMESPACE_OID, teller.session_ids.index(session_id) * "x"))
        moves = [*MOVES[: chance.randint(1, len(MOVES))]]
        if moves[-1] != "completed":
            moves.append(chance.choice(["error", "cancelled"]))
        for status in moves:
            yield download_events.DownloadSessionStatusChanged(
                **about,
                download_session_id=session_id,
                version_id=version_id,
                new_status=downloads.DownloadStatus.Value(f"DOWNLOAD_STATUS_{status.upper()}"),
                timestamp=next(moments),
            )
        if moves[-1] == "completed":
            there = {**about, "device_id": teller.device_id, "version_id": version_id}
            yield download_events.GameInstalled(**there, timestamp=next(moments))
            if chance.random() < 0.4:
                yield download_events.GameUninstalled(**there, timestamp=next(moments))


def as_event(message: Any) -> CloudEvent:
    made = new_event(message, key=message.user_id)
    return CloudEvent(
        id=str(made.id),
        source="platform.another-service",
        type=made.type,
        subject=made.subject,
        time=made.time,
        topic=made.topic,
        partition_key=made.partition_key,
        trace_parent=None,
        data=made.data,
    )


def unruly(events: Sequence[CloudEvent], chance: random.Random) -> Sequence[CloudEvent]:
    """In any order, some of them several times."""
    told = [event for event in events for _ in range(chance.randint(1, MAX_TIMES))]
    chance.shuffle(told)
    # Another key is another partition: what would keep the order is out of the way too.
    return [replace(event, partition_key=str(chance.random())) for event in told]


@pytest.mark.parametrize("stories", [4, MANY])
async def test_the_library_shows_the_same_however_its_events_come(
    stories: int, new_database: Callable[[str], Awaitable[str]], seed: int
) -> None:
    chance = random.Random(seed)
    dsn, events_dsn = await new_database("library"), await new_database("events")
    await upgrade(dsn, "library_svc")
    pairs = [(new_telling(), new_telling()) for _ in range(stories)]
    in_time: list[CloudEvent] = []
    anyhow: list[CloudEvent] = []
    for ruly, other in pairs:
        plot = chance.getrandbits(32)
        in_time += [as_event(message) for message in story(ruly, random.Random(plot))]
        anyhow += [as_event(message) for message in story(other, random.Random(plot))]
    anyhow = [*unruly(anyhow, chance)]
    late = len(anyhow) // 3
    async with open_database(dsn) as library, open_event_log(events_dsn) as log:
        for portion in (in_time, anyhow[late:], anyhow[:late]):  # the last third comes when all else is done
            await log.publish(portion)
            await hear(library, log)
        letters = await fetch(events_dsn, "SELECT value FROM log WHERE topic LIKE '%.dlq'")
    assert letters == []
    for ruly, other in pairs:
        assert await shown(dsn, other) == await shown(dsn, ruly)


async def hear(library: Database, log: PostgresEventLog) -> None:
    begin = PostgresLibrary(library, consumer=GROUP).begin
    consumers = Consumers(
        begin,
        MemoryAccessCache(),
        RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
        now=lambda: datetime.now(UTC),
    )
    bus: EventBus = log
    async with background(Consumer(bus, GROUP, consumers.subscriptions()).run()):

        async def heard() -> bool:
            return await log.lag(GROUP) == 0

        await until(heard, "the events are not heard", HEARD_SECONDS)


async def shown(dsn: str, teller: Telling) -> Mapping[str, Any]:
    """What the Library holds of a user and has told of them, without ids, and without when: that is when it was told."""
    user_id = uuid.UUID(teller.user_id)
    statements = {
        "items": """SELECT product_id::text, acquisition_type, installation_status, installed_version_id::text
            FROM user_library_items WHERE user_id = $1""",
        "grants": "SELECT product_id::text, revoked_at IS NULL AS stands FROM entitlements WHERE user_id = $1",
        "installations": "SELECT is_installed, version_id::text FROM item_installations WHERE user_id = $1",
        "downloads": "SELECT status, version_id::text, changed_at FROM item_downloads WHERE user_id = $1",
    }
    places = {product: place for place, product in enumerate(teller.product_ids)}
    found: dict[str, Any] = {}
    for name, statement in statements.items():
        told = [[places.get(value, value) for value in row] for row in await fetch(dsn, statement, user_id)]
        found[name] = Counter(json.dumps(row, default=str) for row in told)
    # Whoever listens to the Library knows at the end who owns what: its last word on each product.
    last: dict[int, str] = {}
    words = """SELECT payload ->> 'productId', type FROM outbox WHERE partition_key = $1 AND type LIKE '%.game.%'
        ORDER BY position"""
    for product, kind in await fetch(dsn, words, teller.user_id):
        last[places[product]] = "owned" if "added" in kind else "not owned"
    owned = {places[row["product_id"]] for row in await fetch(dsn, statements["items"], user_id)}
    assert {place for place, word in last.items() if word == "owned"} == owned
    return found


async def test_everything_told_once_more_changes_nothing(
    platform: Platform, game: Game, shop: Shop, user: User, tmp_path: Any
) -> None:
    """The relays send every outbox again, and every group reads the whole log again from its beginning."""
    async with following(user.api, LIBRARY_UPDATES) as client:
        await game.given_to(user, shop)
        async with installing(user.samovar, game.product_id, tmp_path / "disk") as install:
            await install.succeeds()
        assert digests(tmp_path / "disk") == digests(game.source)
        await assert_no_event_was_lost(platform)
        before, log_before = await everything(platform), (await events_settled(platform)).logged
        await tell_again(platform)
        log_after = (await events_settled(platform)).logged
        assert set(log_after) == set(log_before), "a repeated event has another id, or caused another"
        assert log_after.total() > log_before.total()
        assert await everything(platform) == before
        await assert_no_event_was_lost(platform)
        # Whatever the client was told again would have come before this.
        made = await user.api.post("/api/v1/library/categories", "userCategory", name="last")
        assert made.status == 201, made.document

        async def is_told() -> bool:
            return any(one["payload"].get("category_id") == made.data["id"] for one in client.envelopes)

        await until(is_told, "the client is not told of the last change")
    told = Counter((one["event_type"], one["timestamp"]) for one in client.envelopes)
    assert set(told.values()) == {1}, "the client was told something twice"


async def tell_again(platform: Platform) -> None:
    """Everything, from the outboxes and from the log."""
    for service in ("library", "download", "sandbox"):
        async with database(platform, service) as connection:
            await connection.execute("UPDATE outbox SET published_at = NULL")
            await connection.execute("NOTIFY outbox")
    async with database(platform, "events") as connection:
        await connection.execute("UPDATE offsets SET id = 0")
        await connection.execute("NOTIFY event_log")


async def everything(platform: Platform) -> Mapping[str, Any]:
    """All rows of the services but those about events."""
    tables = {
        "library": (
            "user_library_items",
            "entitlements",
            "item_downloads",
            "item_installations",
            "playtime_sessions",
            "user_achievements",
            "wishlist_items",
        ),
        "download": ("download_sessions", "download_items", "installations", "product_versions"),
    }
    return {
        name: Counter(row[0] for row in await rows(platform, service, f"SELECT to_jsonb(t)::text FROM {name} t"))
        for service, names in tables.items()
        for name in names
    }
