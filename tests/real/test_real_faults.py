"""The platform, two instances of each program, on Kafka, S3, Redis 7 and PostgreSQL 15 that go away under load. Prints its figures.

Each fault happens while people buy, read, and install. Afterwards every acknowledged purchase is in its library once, events of a
user came in the order of the purchases, clients saw nothing but answers of the contract, and the installation is whole.
"""

import asyncio
import json
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from payment.v1 import events_pb2 as payment_events
from redis.asyncio import Redis

from chassis.bus.kafka_bus import KafkaEventBus
from chassis.cloudevents.events import CloudEvent, from_wire, new_event
from chassis.errors import DomainError
from chassis.objects.s3_store import S3Location, s3_client
from tests.e2e.clients import CommandLine, until
from tests.e2e.running import start_platform, stop_platform
from tests.e2e.trees import digests, make_tree
from tests.real.load import Load, Town, until_none_is_left
from tests.real.servers import servers_of_our_own

pytestmark = [pytest.mark.real_faults, pytest.mark.timeout(1200)]

USERS = 6
AWAY_SECONDS = 30.0
SETTLE_SECONDS = 120.0
WARM_UP_PURCHASES = 20
INSTALL_LIMIT_KBPS = "200"
PUBLISHED_FILES = 120
FILE_BYTES = 1_000_000
BEGUN_CHUNKS = 5
MAX_RUNS = 4
LIBRARY_TOPIC = "com.platform.library.events.v1"
PAYMENT_TOPIC = "com.platform.payment.events.v1"
GAME_ADDED = "com.platform.library.game.added.v1"
FLOOD_USERS, FLOOD_PRODUCTS, FLOOD_TIMES = 100, 100, 2


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with servers_of_our_own() as servers, aiohttp.ClientSession() as http:
        environment = {**servers.environment, "TEST_BACKENDS": "real"}
        home = tmp_path / "home"
        options = ("--instances", "2", "--raw-logs")
        platform = await asyncio.to_thread(lambda: start_platform(home, *options, environment=environment))
        try:
            yield Town(servers, platform, http, tmp_path)
        finally:
            left = await asyncio.to_thread(lambda: stop_platform(platform, environment=environment))
            assert left == [], "the platform left processes behind"


async def _install(launcher: CommandLine, product_id: str, target: Path) -> int:
    """Returns how many runs it took: a launcher that gave up waiting is run again, as its user would."""
    for run in range(1, MAX_RUNS + 1):
        words = ("install", product_id, "--to", str(target), "--limit", INSTALL_LIMIT_KBPS, "--json")
        code, out, err = await launcher.run(*words)
        assert "Traceback" not in err, err
        if code == 0:
            return run
        assert json.loads(out.strip().splitlines()[-1]), err
    raise AssertionError(f"not installed after {MAX_RUNS} runs: {out[-500:]} {err[-500:]}")


async def _added(town: Town) -> tuple[dict[str, list[str]], int]:
    """Products by user in the order of the bus, each once; and how many events were there again."""
    found: dict[str, dict[str, None]] = {}
    doubled = 0
    async with town.bus() as bus, aclosing(bus.scan(LIBRARY_TOPIC)) as records:
        async for record in records:
            event = from_wire(record.value, topic=LIBRARY_TOPIC)
            if event.type == GAME_ADDED:
                of_user, product_id = found.setdefault(record.key, {}), str(event.data["productId"])
                doubled += product_id in of_user
                of_user[product_id] = None
    return {user: list(products) for user, products in found.items()}, doubled


async def _kafka_killed(town: Town) -> None:
    for _ in range(3):
        await town.servers.end("kafka")
        await town.servers.start("kafka")
        await asyncio.sleep(1.0)


async def _kafka_away(town: Town) -> None:
    await town.servers.end("kafka", signal.SIGTERM)
    await asyncio.sleep(AWAY_SECONDS)
    await town.servers.start("kafka")


async def _redis_restarted_and_flushed(town: Town) -> None:
    await town.servers.end("redis")
    await asyncio.sleep(3.0)
    await town.servers.start("redis")
    host, _, port = town.servers.environment["REDIS_ADDR"].partition(":")
    password = town.servers.environment["REDIS_PASSWORD"]
    async with Redis(host=host, port=int(port), password=password, protocol=2) as redis:
        await redis.flushall()


async def _postgres_restarted(town: Town) -> None:
    await town.servers.end("postgres", signal.SIGINT)
    await asyncio.sleep(3.0)
    await town.servers.start("postgres")
    await town.servers.end("postgres")
    await town.servers.start("postgres")


async def _s3_away(town: Town) -> None:
    await town.servers.end("s3")
    await asyncio.sleep(5.0)
    await town.servers.start("s3")


FAULTS: dict[str, Callable[[Town], Awaitable[None]]] = {
    "kafka killed -9 three times": _kafka_killed,
    f"kafka away for {AWAY_SECONDS:.0f} s": _kafka_away,
    "redis killed and flushed": _redis_restarted_and_flushed,
    "postgresql restarted, then killed -9": _postgres_restarted,
    "s3 killed -9": _s3_away,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_goes_away_under_load_loses_nothing(
    town: Town, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_tree(tmp_path / "source", fault)
    publisher = CommandLine(town.platform.home, tmp_path / "publisher")
    game = (await publisher.publish(source, f"game-{uuid.uuid4().hex[:8]}", "1.0"))["product_id"]
    buyer, player = await town.new_user(), await town.new_user(1)
    for api in (buyer, player):
        await town.shop.buy(api.user_id, game)
        await api.owns(game)
    await until(
        lambda: town.rows("download", "SELECT FROM product_versions"), "the version is not known", SETTLE_SECONDS
    )
    load = Load(town, [await town.new_user(number) for number in range(USERS)], player, game)

    async with asyncio.TaskGroup() as tasks:
        going_on = [tasks.create_task(work()) for work in (load.buy, load.read, load.change)]

        async def warm() -> bool:
            return load.sold >= WARM_UP_PURCHASES

        await until(warm, "nobody can buy", SETTLE_SECONDS)
        installing = tasks.create_task(_install(town.launcher(buyer), game, tmp_path / "disk"))
        begun = f"SELECT FROM download_sessions WHERE user_id = '{buyer.user_id}' AND status = 'downloading'"
        await until(lambda: town.rows("download", begun), "the installation does not begin", SETTLE_SECONDS)
        publishing = await _begin_publishing(town, tasks, publisher, tmp_path) if fault.startswith("s3") else None
        assert not installing.done()
        await FAULTS[fault](town)
        over = time.monotonic()
        bought_by_then = load.bought()
        await load.until_there(bought_by_then)
        seconds = time.monotonic() - over

        async def sold_again(before: int = load.sold) -> bool:
            return load.sold > before + USERS

        await until(sold_again, "nobody can buy after the fault", SETTLE_SECONDS)
        runs = await installing
        published_in = await publishing if publishing is not None else 0
        for one in going_on:
            one.cancel()
        await load.until_there(load.bought())

    assert digests(tmp_path / "disk") == digests(source)
    owned = await load.owned()
    doubled_effects = sum(count - 1 for items in owned.values() for count in items.values())
    lost = sum(len(set(bought) - set(owned[user])) for user, bought in load.acknowledged.items())
    tried = {user: {product for who, product in load.tried if who == user} for user in owned}
    assert all(set(items) <= tried[user] for user, items in owned.items())

    async def announced() -> bool:
        added, _ = await _added(town)
        return all(set(items) <= set(added.get(user, ())) for user, items in owned.items())

    await until(announced, "events of the library are missing", SETTLE_SECONDS)
    added, doubled_events = await _added(town)
    for user, bought in load.acknowledged.items():
        assert [product for product in added[user] if product in set(bought)] == bought, "out of order"
    with capsys.disabled():
        print(
            f"\n{fault}: {load.sold} purchases, {lost} lost, {doubled_effects} doubled in effect, {doubled_events} doubled on the "
            f"bus, all there {seconds:.1f} s after the server was back; reads: {load.reads.since(over)}; writes: "
            f"{load.writes.since(over)}; installed in {runs} runs"
            + (f", published in {published_in} runs" if publishing else "")
        )
    assert (lost, doubled_effects) == (0, 0)


async def _begin_publishing(
    town: Town, tasks: asyncio.TaskGroup, publisher: CommandLine, folder: Path
) -> "asyncio.Task[int]":
    """Returns when a part of a large tree has arrived."""
    objects = town.platform.private["objects"]
    location = S3Location(
        objects["S3_ENDPOINT"],
        objects["S3_ACCESS_KEY_ID"],
        objects["S3_SECRET_ACCESS_KEY"],
        objects["S3_REGION"],
        objects["S3_BUCKET"],
        use_ssl=False,
    )

    def chunks() -> int:
        with s3_client(location) as client:
            found = client.list_objects(bucket_name=location.bucket, prefix="content/", recursive=True)
            return sum("/chunks/" in (one.object_name or "") for one in found)

    before = await asyncio.to_thread(chunks)
    source = folder / "published"
    source.mkdir()
    randomness = random.Random("published")
    for number in range(PUBLISHED_FILES):
        (source / f"{number}.bin").write_bytes(randomness.randbytes(FILE_BYTES))
    publishing = tasks.create_task(_publish_through(publisher, source))

    async def begun() -> bool:
        return await asyncio.to_thread(chunks) >= before + BEGUN_CHUNKS

    await until(begun, "the publication does not begin", SETTLE_SECONDS)
    assert not publishing.done()
    return publishing


async def _publish_through(publisher: CommandLine, source: Path) -> int:
    """Publishes while the store is away; returns how many runs it took. A run that fails says so in one line."""
    words = ("publish", str(source), "--product", "big-game", "--version", "1", "--platform", "linux", "--json")
    for run in range(1, 60):
        code, out, err = await publisher.run(*words)
        if code == 0:
            assert json.loads(out.strip().splitlines()[-1])["files"] == PUBLISHED_FILES
            return run
        assert err.startswith("samovar publish: "), err
        assert "Traceback" not in err, err
        await asyncio.sleep(2.0)
    raise AssertionError("not published")


def _bought(user_id: str, product_id: str) -> CloudEvent:
    item = payment_events.PurchasedItem(product_id=product_id, product_type="game", quantity=1)
    message = payment_events.PurchaseCompleted(user_id=user_id, order_id=str(uuid.uuid4()), items=[item])
    message.purchase_timestamp.GetCurrentTime()
    made = new_event(message)
    return CloudEvent(
        id=str(made.id),
        source="platform.payment-service",
        type=made.type,
        subject=made.subject,
        time=made.time,
        topic=made.topic,
        partition_key=made.partition_key,
        trace_parent=None,
        data=made.data,
    )


@pytest.mark.timeout(3600)
async def test_twenty_thousand_events_twice_and_out_of_order_take_effect_once_and_poison_goes_aside(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    products = [await town.shop.new_product() for _ in range(FLOOD_PRODUCTS)]
    users = [str(uuid.uuid4()) for _ in range(FLOOD_USERS)]
    events = [_bought(user, product) for user in users for product in products] * FLOOD_TIMES
    random.Random("flood").shuffle(events)
    poison = [
        b"\x00not json",
        b"{}",
        b'{"specversion":"1.0","id":"1","type":"com.platform.payment.purchase.completed.v1"}',
    ]
    began = time.monotonic()
    async with town.bus() as bus:
        assert isinstance(bus, KafkaEventBus)
        for number, start in enumerate(range(0, len(events), 500)):
            await bus.publish(events[start : start + 500])
            if number < len(poison):
                await bus.append_raw(PAYMENT_TOPIC, users[number], poison[number])
        published = time.monotonic()

        async def unread() -> int:
            return await bus.lag("library-service", [PAYMENT_TOPIC]) or 0

        await until_none_is_left(unread, "events that the group has not dealt with")
        seconds = time.monotonic() - published
        letters = [letter async for letter in bus.scan(f"{PAYMENT_TOPIC}.dlq")]
    rows = await town.rows("library", "SELECT user_id, product_id, count(*) AS n FROM user_library_items GROUP BY 1, 2")
    with capsys.disabled():
        print(
            f"\n{len(events)} events, each twice and shuffled: {len(rows)} items, {FLOOD_USERS * FLOOD_PRODUCTS - len(rows)} lost, "
            f"{sum(row['n'] - 1 for row in rows)} doubled, {len(letters)} of {len(poison)} poison messages in the dead letters; "
            f"published in {published - began:.1f} s, read up {seconds:.1f} s later"
        )
    assert len(rows) == FLOOD_USERS * FLOOD_PRODUCTS
    assert {row["n"] for row in rows} == {1}
    assert {letter.value for letter in letters} == set(poison)
    assert all(letter.headers["dlq-reason"] == "EVENT_INVALID" for letter in letters)


async def test_the_bus_that_is_away_is_an_error_of_the_contract(town: Town) -> None:
    await town.servers.end("kafka")
    async with town.bus() as bus:
        with pytest.raises(DomainError, match="SERVICE_UNAVAILABLE"):
            await bus.ping()
