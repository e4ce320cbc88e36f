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
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import grpc
import pytest
from payment.v1 import events_pb2 as payment_events
from redis.asyncio import Redis
from samovar.sandbox.v1 import sandbox_pb2

from chassis.backend_settings import EventSettings
from chassis.errors import DomainError
from chassis.event_bus import EventBus
from chassis.events import CloudEvent, from_wire, new_event
from chassis.kafka_bus import KafkaEventBus
from sandbox.client import PlatformAway, sandbox_stub
from tests.e2e.clients import ITEMS, Api, CommandLine, Shop, until
from tests.e2e.running import Platform, start_platform, stop_platform
from tests.e2e.trees import digests, make_tree
from tests.real.servers import Servers, servers_of_our_own

pytestmark = [pytest.mark.real_faults, pytest.mark.timeout(600)]

USERS = 6
AWAY_SECONDS = 30.0
SETTLE_SECONDS = 120.0
BUY_PAUSE_SECONDS = 0.1
READ_PAUSE_SECONDS = 0.05
WARM_UP_PURCHASES = 20
INSTALL_LIMIT_KBPS = "400"
MAX_RUNS = 4
NETWORK_EXIT_CODE = 5
LIBRARY_TOPIC = "com.platform.library.events.v1"
PAYMENT_TOPIC = "com.platform.payment.events.v1"
GAME_ADDED = "com.platform.library.game.added.v1"
FLOOD_USERS, FLOOD_PRODUCTS, FLOOD_TIMES = 100, 100, 2
FLOOD_SECONDS = 300.0


@dataclass
class Town:
    """The platform, its servers, and a connection pool for everybody."""

    servers: Servers
    platform: Platform
    http: aiohttp.ClientSession
    folder: Path

    async def new_user(self, number: int = 0) -> Api:
        """Somebody at one of the gateways."""
        async with sandbox_stub(self.platform.private) as stub:
            request = sandbox_pb2.IssueTokenRequest(user_id=str(uuid.uuid4()), roles=["user"], ttl_seconds=3600)
            token = (await stub.IssueToken(request)).token
        urls = self.platform.ready["gateway_urls"]
        return Api(urls[number % len(urls)], token, self.http)

    @property
    def shop(self) -> Shop:
        return Shop(self.platform.private)

    def launcher(self, api: Api) -> CommandLine:
        launcher = CommandLine(self.platform.home, self.folder / f"config-{uuid.uuid4().hex[:8]}")
        launcher.environment |= {"SAMOVAR_TOKEN": str(api.token), "SAMOVAR_GATEWAY": api.url}
        return launcher

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[EventBus]:
        settings = EventSettings(**{name.lower(): value for name, value in self.platform.private["events"].items()})
        async with settings.open_event_bus("test") as bus:
            yield bus

    async def rows(self, database: str, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.platform.private["dsns"][database])
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()


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


@dataclass
class Purchases:
    """People who buy and read without end, and what they were told."""

    town: Town
    users: list[Api]
    products: list[str] = field(default_factory=list)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    statuses: Counter[int | str] = field(default_factory=Counter)

    async def buy(self) -> None:
        while True:
            for api in self.users:
                product_id = str(uuid.uuid4())
                self.tried[api.user_id, product_id] += 1
                try:
                    await _sell(self.town, api.user_id, product_id)
                except (grpc.aio.AioRpcError, PlatformAway):
                    continue  # it may have been sold: the answer was lost
                self.acknowledged.setdefault(api.user_id, []).append(product_id)
            await asyncio.sleep(BUY_PAUSE_SECONDS)

    async def read(self) -> None:
        while True:
            for api in self.users:
                try:
                    answer = await api.get(ITEMS)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self.statuses[type(error).__name__] += 1
                    continue
                self.statuses[answer.status] += 1
                if answer.status != 200:
                    assert answer.codes == ["SERVICE_UNAVAILABLE"] or answer.status == 504, answer.document
            await asyncio.sleep(READ_PAUSE_SECONDS)

    @property
    def sold(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    async def owned(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {api.user_id: Counter() for api in self.users}
        for row in await self.town.rows("library", "SELECT user_id, product_id FROM user_library_items"):
            if str(row["user_id"]) in found:
                found[str(row["user_id"])][str(row["product_id"])] += 1
        return found

    async def all_there(self) -> bool:
        try:
            owned = await self.owned()
        except (OSError, asyncpg.PostgresError):
            return False
        return all(set(bought) <= set(owned[user]) for user, bought in self.acknowledged.items())


async def _sell(town: Town, user_id: str, product_id: str) -> None:
    from catalog.v1 import product_pb2  # noqa: PLC0415

    titles = product_pb2.LocalizedText(ru="Игра", en="Game")
    product = product_pb2.Product(product_id=product_id, titles=titles, product_type="game", currency="RUB")
    async with sandbox_stub(town.platform.private) as stub:
        await stub.PutProduct(sandbox_pb2.PutProductRequest(product=product))
        await stub.Buy(sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[product_id]))


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
    async with Redis(host=host, port=int(port), protocol=2) as redis:
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
    purchases = Purchases(town, [await town.new_user(number) for number in range(USERS)])
    source = make_tree(tmp_path / "source", fault)
    publisher = CommandLine(town.platform.home, tmp_path / "publisher")
    game = (await publisher.publish(source, f"game-{uuid.uuid4().hex[:8]}", "1.0"))["product_id"]
    buyer = await town.new_user()
    await town.shop.buy(buyer.user_id, game)
    await buyer.owns(game)
    await until(lambda: town.rows("download", "SELECT FROM product_versions"), "the version is not known")

    async with asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(purchases.buy()), tasks.create_task(purchases.read())]
        installing = tasks.create_task(_install(town.launcher(buyer), game, tmp_path / "disk"))

        async def warm() -> bool:
            return purchases.sold >= WARM_UP_PURCHASES

        await until(warm, "nobody can buy", SETTLE_SECONDS)
        publishing = tasks.create_task(_publish_through(publisher, tmp_path)) if fault.startswith("s3") else None
        await FAULTS[fault](town)
        over = time.monotonic()

        async def sold_again(before: int = purchases.sold) -> bool:
            return purchases.sold > before + USERS

        await until(sold_again, "nobody can buy after the fault", SETTLE_SECONDS)
        for one in load:
            one.cancel()
        await until(purchases.all_there, "acknowledged purchases are missing", SETTLE_SECONDS)
        seconds = time.monotonic() - over
        runs = await installing
        publishes = await publishing if publishing is not None else 0

    assert digests(tmp_path / "disk") == digests(source)
    owned = await purchases.owned()
    doubled_effects = sum(count - 1 for items in owned.values() for count in items.values())
    lost = sum(len(set(bought) - set(owned[user])) for user, bought in purchases.acknowledged.items())
    tried = {user: {product for who, product in purchases.tried if who == user} for user in owned}
    assert all(set(items) <= tried[user] for user, items in owned.items())

    async def announced() -> bool:
        added, _ = await _added(town)
        return all(set(items) <= set(added.get(user, ())) for user, items in owned.items())

    await until(announced, "events of the library are missing", SETTLE_SECONDS)
    added, doubled_events = await _added(town)
    for user, bought in purchases.acknowledged.items():
        assert [product for product in added[user] if product in set(bought)] == bought, "out of order"
    with capsys.disabled():
        print(
            f"\n{fault}: {purchases.sold} purchases, {lost} lost, {doubled_effects} doubled in effect, {doubled_events} doubled on "
            f"the bus, all there {seconds:.1f} s after the server was back; reads: {dict(purchases.statuses)}; "
            f"installed in {runs} runs" + (f", published in {publishes} runs" if publishes else "")
        )
    assert (lost, doubled_effects) == (0, 0)
    assert {status for status in purchases.statuses if isinstance(status, int)} <= {200, 503, 504}


async def _publish_through(publisher: CommandLine, folder: Path) -> int:
    """Publishes a tree while the store is away; returns how many runs it took. A run that fails says so in one line."""
    source = folder / "published"
    source.mkdir()
    randomness = random.Random("published")
    for number in range(40):
        (source / f"{number}.bin").write_bytes(randomness.randbytes(1_000_000))
    words = ("publish", str(source), "--product", "big-game", "--version", "1", "--platform", "linux", "--json")
    for run in range(1, 30):
        code, out, err = await publisher.run(*words)
        if code == 0:
            assert json.loads(out.strip().splitlines()[-1])["files"] == 40
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

        async def counted() -> bool:
            (row,) = await town.rows("library", "SELECT count(*) AS n FROM user_library_items")
            return bool(row["n"] >= FLOOD_USERS * FLOOD_PRODUCTS)

        await until(counted, "purchases are missing", FLOOD_SECONDS)

        async def read_up() -> bool:
            return await bus.lag("library-service") == 0

        await until(read_up, "the group does not catch up", FLOOD_SECONDS)
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
