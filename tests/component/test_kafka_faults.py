"""A broker that is killed, and one that is away for half a minute, under load: nothing lost, the order of every key kept. Each test
runs a broker of its own and prints its figures.
"""

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import psutil
import pytest

from chassis.bus.event_bus import BusRecord, EventBus
from chassis.bus.kafka_bus import KafkaEventBus, open_kafka_bus
from chassis.bus.kafka_topics import make_topics
from chassis.cloudevents.events import CloudEvent, from_wire
from chassis.errors import DomainError
from sandbox.devstack import backends
from sandbox.devstack.backend_servers import BACKENDS, PORTS, Site
from sandbox.devstack.free_port import free_port

pytestmark = [pytest.mark.real_faults, pytest.mark.timeout(300)]

TOPIC = "com.platform.test.events.v1"
KEYS = 40
BATCH_PER_KEY = 5
MEMBERS = 2
WARM_UP_PER_KEY = 100
KILLS = 3
AWAY_SECONDS = 30.0
LOAD_PAUSE_SECONDS = 0.02


class Broker:
    """A Kafka of the test's own, on free ports."""

    def __init__(self, folder: Path) -> None:
        ports = {name: free_port() for name in PORTS}
        self._backend = BACKENDS[0]
        self._site = Site(folder / "kafka", Path(__file__).parents[2] / ".cache", ports, "", "")
        self.address = f"127.0.0.1:{ports['kafka']}"
        self._started: backends.Started | None = None

    async def start(self) -> None:
        self._started = await asyncio.to_thread(backends.start, self._backend, self._site)
        await backends.wait_until_it_answers(self._backend, self._site, self._started)

    async def end(self, how: Callable[[psutil.Process], None]) -> None:
        process = self._started.process() if self._started else None
        if process is not None:
            how(process)
            await asyncio.to_thread(psutil.wait_procs, [process], 60)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path)
    await broker.start()
    await make_topics(broker.address, [TOPIC])
    yield broker
    await broker.end(psutil.Process.kill)


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[KafkaEventBus]:
    async with open_kafka_bus(broker.address, application_name="test", heartbeat_seconds=0.3) as bus:
        yield bus


class Load:
    """One publisher that goes on through everything, and a group that reads; what is seen twice is passed over, as the inbox
    does, and counted.
    """

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._stop_publishing = asyncio.Event()
        self.sent_per_key = 0
        self.publish_errors = 0
        self.given_twice = 0
        self.seen: defaultdict[str, list[int]] = defaultdict(list)

    @property
    def caught_up(self) -> bool:
        return sum(map(len, self.seen.values())) == self.sent_per_key * KEYS

    async def run(self, faults: Callable[[], Awaitable[None]]) -> float:
        """Runs the faults under load, and returns in how many seconds after the last of them everything was read."""
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(self._publish())
            members = [tasks.create_task(self._member()) for _ in range(MEMBERS)]
            while self.sent_per_key < WARM_UP_PER_KEY:
                await asyncio.sleep(0.02)
            await faults()
            over = time.monotonic()
            self._stop_publishing.set()
            await publishing
            while not self.caught_up:
                await asyncio.sleep(0.02)
            caught_up_seconds = time.monotonic() - over
            for member in members:
                member.cancel()
        return caught_up_seconds

    async def _publish(self) -> None:
        while not self._stop_publishing.is_set():
            numbers = range(self.sent_per_key, self.sent_per_key + BATCH_PER_KEY)
            batch = [_event(number, f"user-{key}") for number in numbers for key in range(KEYS)]
            while True:
                try:
                    await self._bus.publish(batch)
                except DomainError:
                    self.publish_errors += 1  # as the relay: the same again
                    await asyncio.sleep(0.2)
                else:
                    break
            self.sent_per_key += BATCH_PER_KEY
            await asyncio.sleep(LOAD_PAUSE_SECONDS)

    async def _member(self) -> None:
        while True:
            try:
                async with self._bus.subscribe("group", [TOPIC]) as reader:
                    while True:
                        records = await reader.poll(max_records=50, wait_seconds=0.5)
                        for _, batch in groupby(records, key=lambda record: record.source):
                            for record in (given := list(batch)):
                                self._handle(record)
                            await reader.commit(given[-1])
            except DomainError:
                await asyncio.sleep(0.2)

    def _handle(self, record: BusRecord) -> None:
        number = from_wire(record.value, topic=TOPIC).data["number"]
        assert isinstance(number, int)
        seen = self.seen[record.key]
        if number < len(seen):
            self.given_twice += 1
        else:
            assert number == len(seen), f"{record.key}: {number} came after {len(seen) - 1}"
            seen.append(number)


def _event(number: int, key: str) -> CloudEvent:
    return CloudEvent(
        id=str(uuid.uuid4()),
        source="platform.test-service",
        type="com.platform.test.happened.v1",
        subject=None,
        time=datetime(2026, 3, 1, tzinfo=UTC),
        topic=TOPIC,
        partition_key=key,
        trace_parent=None,
        data={"number": number},
    )


async def on_the_log(bus: EventBus) -> tuple[Counter[str], int]:
    """Of each key how many different events are on the log, and how many are there more than once. Fails when the first
    appearances of a key's events are out of order.
    """
    first: Counter[str] = Counter()
    doubled = 0
    async with aclosing(bus.scan(TOPIC)) as records:
        async for record in records:
            number = from_wire(record.value, topic=TOPIC).data["number"]
            assert isinstance(number, int)
            if number < first[record.key]:
                doubled += 1
            else:
                assert number == first[record.key], f"{record.key}: {number} lies behind {first[record.key] - 1}"
                first[record.key] += 1
    return first, doubled


async def check(
    name: str, bus: EventBus, load: Load, caught_up_seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, doubled = await on_the_log(bus)
    sent = load.sent_per_key * KEYS
    with capsys.disabled():
        print(
            f"\n{name}: {sent} events sent, {sent - sum(kept.values())} lost, {doubled} doubled on the log, "
            f"{load.given_twice} given twice, {load.publish_errors} publish errors, caught up in {caught_up_seconds:.1f} s"
        )
    assert set(kept.values()) == {load.sent_per_key}
    assert all(numbers == list(range(load.sent_per_key)) for numbers in load.seen.values())
    assert doubled == 0 or load.publish_errors > 0


async def test_a_broker_killed_under_load_loses_nothing_and_keeps_the_order_of_each_key(
    broker: Broker, bus: KafkaEventBus, capsys: pytest.CaptureFixture[str]
):
    async def faults() -> None:
        for _ in range(KILLS):
            await broker.end(psutil.Process.kill)
            await broker.start()
            await asyncio.sleep(2.0)  # load in between

    load = Load(bus)
    await check(f"kafka killed {KILLS} times", bus, load, await load.run(faults), capsys)


async def test_a_broker_away_for_half_a_minute_loses_nothing_and_keeps_the_order_of_each_key(
    broker: Broker, bus: KafkaEventBus, capsys: pytest.CaptureFixture[str]
):
    async def faults() -> None:
        await broker.end(psutil.Process.terminate)
        await asyncio.sleep(AWAY_SECONDS)
        await broker.start()
        await asyncio.sleep(2.0)  # the load goes on

    load = Load(bus)
    await check(f"kafka away for {AWAY_SECONDS:.0f} s", bus, load, await load.run(faults), capsys)
