"""Two of each service and two gateways on the same backends: what one instance says or counts holds for the other, and the death of
one loses nothing.
"""

import asyncio
import json
import os
import signal
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import aiohttp
import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from samovar.sandbox.v1 import sandbox_pb2

from chassis.cloudevents.events import from_wire
from chassis.runtime.backends import EventSettings
from sandbox.client import sandbox_stub
from sandbox.devstack.platform_config import program_of
from tests.e2e.clients import DOWNLOADS, ITEMS, TRY_AGAIN, Api, CommandLine, Shop, until
from tests.e2e.running import Platform, start_platform, stop_platform

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # ten programs start for the first test

WRITES_PER_MINUTE = 60
LIBRARY_TOPIC = "com.platform.library.events.v1"
GAME_ADDED = "com.platform.library.game.added.v1"
USERS = 6
PURCHASES_EACH = 8
READERS = 2
SECOND_TRY = "{} at the second try"
SETTLE_SECONDS = 60.0
BACK_SECONDS = 60.0


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("two") / "home"
    limit = ("--set", f"gateway.RATE_LIMIT_WRITES={WRITES_PER_MINUTE}")
    # What takes long on a busy machine is no fault.
    patience = ("--set", "gateway.GRPC_DEADLINE_SECONDS=20")
    running = start_platform(home, "--instances", "2", "--raw-logs", *limit, *patience)
    yield running
    assert stop_platform(running) == [], "the platform left processes behind"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
    await asyncio.sleep(0)  # let the transports close before the loop does


async def new_user(platform: Platform, http: aiohttp.ClientSession) -> tuple[Api, Api]:
    """The same person at each gateway."""
    async with sandbox_stub(platform.private) as stub:
        request = sandbox_pb2.IssueTokenRequest(user_id=str(uuid.uuid4()), roles=["user"], ttl_seconds=3600)
        token = (await stub.IssueToken(request)).token
    first, second = (Api(url, token, http) for url in platform.ready["gateway_urls"])
    return first, second


@pytest.fixture
async def users(two: Platform, http: aiohttp.ClientSession) -> list[tuple[Api, Api]]:
    """On a platform that has come back from what the test before did to it."""

    async def serves() -> bool:
        try:
            for url in two.ready["gateway_urls"]:
                async with http.get(f"{url}/readyz") as answer:
                    answer.raise_for_status()
        except aiohttp.ClientError:
            return False
        return await is_whole(two)

    await until(serves, "a killed instance did not come back", BACK_SECONDS)
    return [await new_user(two, http) for _ in range(USERS)]


@pytest.fixture
async def game(two: Platform, tmp_path: Path) -> str:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(b"two of each")
    samovar = CommandLine(two.home, tmp_path / "config")
    product_id: str = (await samovar.publish(tmp_path / "source", "two-game", "1.0"))["product_id"]
    return product_id


def pids(platform: Platform) -> dict[str, int]:
    found: dict[str, int] = json.loads((platform.home / "platform.json").read_text())["pids"]
    return found


async def test_slots_are_counted_over_instances_and_every_gateway_tells_of_all(
    two: Platform, users: list[tuple[Api, Api]], game: str
) -> None:
    one, other = users[0]
    await Shop(two.private).buy(one.user_id, game)
    await one.owns(game)
    first = await one.startable(game, device_id=str(uuid.uuid4()))
    async with one.watching() as here, other.watching() as there:
        apis = [one, other] * 4
        answers = await asyncio.gather(*(api.start(game, device_id=str(uuid.uuid4())) for api in apis))
        assert {answer.status for answer in answers} == {202}
        paths = [f"{DOWNLOADS}/{answer.data['id']}" for answer in (first, *answers)]
        statuses = Counter([(await other.get(path)).data["attributes"]["status"] for path in paths])
        assert statuses == {"initializing": 3, "queued": len(paths) - 3}
        for number, path in enumerate(paths):
            assert (await (one, other)[number % 2].call("DELETE", path)).status == 204

        async def told() -> bool:
            return all(
                heard.statuses(answer.data["id"])[-1:] == ["cancelled"] for heard in (here, there) for answer in answers
            )

        await until(told, "a gateway did not tell of all that happened")
        for answer in answers:
            assert here.statuses(answer.data["id"]) == there.statuses(answer.data["id"])


async def test_a_users_budget_is_one_over_all_gateways(users: list[tuple[Api, Api]]) -> None:
    one, other = users[0]
    change = {"data": {"type": "libraryItemUpdate", "attributes": {"user_rating": 5}}}
    statuses: Counter[int] = Counter()
    began = time.monotonic()
    # Several at once: one after the other, on a slow machine, they might take what the budget gives back.
    for _ in range(WRITES_PER_MINUTE // 10):
        calls = (api.call("PATCH", f"{ITEMS}/{uuid.uuid4()}", body=change) for api in (one, other) * 10)
        statuses.update(answer.status for answer in await asyncio.gather(*calls))
    seconds = time.monotonic() - began
    assert set(statuses) == {404, 429}, statuses
    # What a budget gives back while it is used comes on top.
    assert statuses[404] <= WRITES_PER_MINUTE * (1 + seconds / 60) + 1


async def test_instances_that_are_killed_lose_no_purchase_and_keep_each_users_order(
    two: Platform, users: list[tuple[Api, Api]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The outbox has one relay at a time and the group one reader per partition; when theirs dies the other instance takes over.
    Reads go on as long as one instance lives: a call that its instance took along is repeated at the other. The one that lives may
    be held up for a moment where the machine is; its clients are told to come again, and do.
    """
    shop = Shop(two.private)
    products = [await shop.new_product() for _ in range(PURCHASES_EACH)]
    one_alive: Counter[str] = Counter()
    afterwards: Counter[str] = Counter()
    began = time.monotonic()
    # Of each program one at a time; then the rest with nobody to take over.
    victims = {1: ("library", "download-2"), 3: ("library-2", "download"), 6: ("library", "library-2", "gateway-2")}
    asking = asyncio.create_task(keep_asking(users[:READERS], one_alive))
    for number, product_id in enumerate(products):
        for api, _ in users:
            await shop.buy(api.user_id, product_id)
        if number == max(victims):
            await until(lambda: is_whole(two), "a killed instance did not come back", BACK_SECONDS)
            await end(asking)
            asking = asyncio.create_task(keep_asking(users[:READERS], afterwards))
        if number in victims:
            await until(lambda: is_whole(two), "a killed instance did not come back", BACK_SECONDS)
            for victim in victims[number]:
                os.kill(pids(two)[victim], signal.SIGKILL)

    async def all_owned() -> bool:
        answers = [await api.get(f"{ITEMS}?limit=100") for api, _ in users]
        return all(answer.status == 200 and len(answer.data) == PURCHASES_EACH for answer in answers)

    await until(all_owned, "purchases are missing", SETTLE_SECONDS)
    seconds = time.monotonic() - began
    await end(asking)
    expected = [{"key": api.user_id, "products": products} for api, _ in users]

    async def announced() -> list[dict[str, object]] | None:
        added = await games_added(two)
        found = [{"key": one["key"], "products": list(dict.fromkeys(added[str(one["key"])]))} for one in expected]
        return found if all(len(one["products"]) == PURCHASES_EACH for one in found) else None

    assert await until(announced, "events of the library are missing", SETTLE_SECONDS) == expected
    doubled = sum(map(len, (await games_added(two)).values())) - USERS * PURCHASES_EACH
    with capsys.disabled():
        print(
            f"\n7 instances killed: {USERS * PURCHASES_EACH} purchases, 0 lost, {doubled} doubled on the bus, 0 doubled in effect, "
            f"all in their libraries after {seconds:.1f} s; clients saw {dict(one_alive)} while one of each was alive, "
            f"{dict(afterwards)} when both Library instances were killed"
        )
    assert set(one_alive) <= {"200", SECOND_TRY.format(200)}, one_alive
    assert one_alive[SECOND_TRY.format(200)] <= one_alive.total() / 10, one_alive
    assert set(afterwards) <= {"200", SECOND_TRY.format(200), SECOND_TRY.format(503)}, afterwards


async def is_whole(platform: Platform) -> bool:
    """Every instance of the services serves, and each gateway is connected to each of them."""
    running = pids(platform)
    try:
        listening = {
            connection.laddr.port
            for name, pid in running.items()
            if program_of(name) in {"library", "download"}
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        reached = [
            {
                one.raddr.port
                for one in psutil.Process(pid).net_connections("tcp")
                if one.status == psutil.CONN_ESTABLISHED
            }
            for name, pid in running.items()
            if program_of(name) == "gateway"
        ]
    except psutil.Error:
        return False
    if not len(listening) == len(reached) * 2 == 4 or not all(listening <= ports for ports in reached):
        return False
    return all([await is_serving(port) for port in listening])


async def is_serving(port: int) -> bool:
    """What the service there says of itself, to the gateways as well: one that listens may not have its backends yet."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def end(task: "asyncio.Task[None]") -> None:
    """Ends a task that goes on for ever; raises what ended it before."""
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if not isinstance(outcome, asyncio.CancelledError):
        raise AssertionError("it ended by itself") from outcome


async def keep_asking(users: list[tuple[Api, Api]], statuses: Counter[str]) -> None:
    """Clients that read all the time, each without waiting for the others; a gateway that is gone is no answer, and they come
    again, as they do once when they are told to.
    """

    async def ask(api: Api) -> None:
        while True:
            for path in (ITEMS, DOWNLOADS):
                with suppress(aiohttp.ClientError, OSError):
                    answer = await api.get(path)
                    status = str(answer.status)
                    if answer.status == TRY_AGAIN:
                        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
                        status = SECOND_TRY.format((await api.get(path)).status)
                    statuses[status] += 1
            await asyncio.sleep(0.05)

    await asyncio.gather(*(ask(api) for pair in users for api in pair))


async def games_added(platform: Platform) -> dict[str, list[str]]:
    """Product ids by user, in the order of the bus, of this test's users and those of others."""
    settings = EventSettings(**{name.lower(): value for name, value in platform.private["events"].items()})
    found: defaultdict[str, list[str]] = defaultdict(list)
    async with settings.open_event_bus("test") as bus, aclosing(bus.scan(LIBRARY_TOPIC)) as records:
        async for record in records:
            event = from_wire(record.value, topic=LIBRARY_TOPIC)
            if event.type == GAME_ADDED:
                found[record.key].append(str(event.data["productId"]))
    return found
