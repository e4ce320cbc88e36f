"""What chassis.bus.kafka_bus promises beyond the port: the wire form, and how a group behaves while members come and go."""

import asyncio
import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from adapters import adapters, settings_of
from aiokafka import AIOKafkaConsumer

from chassis.bus.event_bus import EventBus, partition_of
from chassis.bus.kafka_bus import open_kafka_bus, partition_by_crc32
from chassis.bus.kafka_topics import TopicPlan, TopicsNotMade, delete_topics, make_topics
from chassis.cloudevents.events import CloudEvent, from_wire
from chassis.errors import DomainError

TOPIC = "com.platform.test.events.v1"
KEYS = 24
EVENTS_PER_KEY = 60


@pytest.fixture(params=adapters(__file__))
def brokers(request: pytest.FixtureRequest) -> str:
    return settings_of(request.param)["KAFKA_BROKERS"]


@pytest.fixture
async def prefix(brokers: str) -> AsyncIterator[str]:
    prefix = f"test-{uuid.uuid4().hex[:12]}."
    await make_topics(brokers, [prefix + TOPIC])
    yield prefix
    await delete_topics(brokers, [prefix + TOPIC])


@pytest.fixture
async def bus(brokers: str, prefix: str) -> AsyncIterator[EventBus]:
    async with open_kafka_bus(brokers, prefix=prefix, application_name="test", heartbeat_seconds=0.2) as bus:
        yield bus


def event(number: int, key: str = "user-1") -> CloudEvent:
    return CloudEvent(
        id=str(uuid.uuid4()),
        source="platform.test-service",
        type="com.platform.test.happened.v1",
        subject="something",
        time=datetime(2026, 3, 1, tzinfo=UTC),
        topic=TOPIC,
        partition_key=key,
        trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data={"number": number},
    )


async def test_an_event_is_structured_json_with_its_attributes_as_headers(bus: EventBus, brokers: str, prefix: str):
    sent = event(1)
    await bus.publish([sent])
    consumer = AIOKafkaConsumer(prefix + TOPIC, bootstrap_servers=brokers, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(60):
        record = await consumer.getone()
    headers = {name: value.decode() for name, value in record.headers}
    assert headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert headers["ce_id"] == sent.id
    assert headers["ce_type"] == sent.type
    assert headers["ce_source"] == sent.source
    assert headers["ce_subject"] == "something"
    assert headers["ce_time"] == "2026-03-01T00:00:00Z"
    assert headers["ce_specversion"] == "1.0"
    assert record.key == b"user-1"
    assert from_wire(record.value, topic=TOPIC) == sent


async def test_the_lag_is_what_the_group_has_not_dealt_with(bus: EventBus):
    async with bus.subscribe("group", [TOPIC]) as reader, asyncio.timeout(60):
        await bus.publish([event(number, f"user-{number}") for number in range(5)])
        assert await bus.lag("group") == 5  # type: ignore[attr-defined]
        left = 5
        while left:
            for record in await reader.poll(max_records=10, wait_seconds=1.0):
                await reader.commit(record)
                left -= 1
        assert await bus.lag("group") == 0  # type: ignore[attr-defined]


async def test_a_reader_never_loses_a_cancellation(bus: EventBus):
    """Whenever it comes, also in the moment in which a poll ends by itself."""
    async with bus.subscribe("group", [TOPIC]) as reader:

        async def poll_for_ever() -> None:
            while True:
                await reader.poll(max_records=10, wait_seconds=5.0)

        for moments in range(40):
            polling = asyncio.create_task(poll_for_ever())
            await asyncio.sleep(0.002)
            reader.wake()
            for _ in range(moments):
                await asyncio.sleep(0)
            polling.cancel()
            await asyncio.wait({polling}, timeout=60.0)
            was_cancelled = polling.cancelled()
            polling.cancel()  # so that a failure ends the test and does not hang in it
            assert was_cancelled, f"lost {moments} moments after a wake"


async def test_members_that_come_and_go_lose_nothing_and_keep_the_order_of_each_key(bus: EventBus):
    """Every member works slowly, and members join and leave in the middle. An event may be seen twice, never out of turn."""
    seen: dict[str, list[int]] = defaultdict(list)
    total = KEYS * EVENTS_PER_KEY

    async def member(stop: asyncio.Event) -> None:
        async with bus.subscribe("group", [TOPIC]) as reader:
            while not stop.is_set():
                for record in await reader.poll(max_records=5, wait_seconds=0.1):
                    data = from_wire(record.value, topic=TOPIC).data
                    number = data["number"]
                    assert isinstance(number, int)
                    # As the inbox does: what was dealt with once is passed over.
                    if number not in seen[record.key]:
                        seen[record.key].append(number)
                    await asyncio.sleep(random.uniform(0, 0.002))
                    await reader.commit(record)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        stops = [asyncio.Event() for _ in range(4)]
        tasks.create_task(member(stops[0]))
        for start in range(0, EVENTS_PER_KEY, 10):
            numbers = range(start, start + 10)
            await bus.publish([event(number, f"user-{key}") for number in numbers for key in range(KEYS)])
        killed = tasks.create_task(member(stops[1]))
        tasks.create_task(member(stops[2]))
        while sum(map(len, seen.values())) < total // 3:
            await asyncio.sleep(0.01)
        killed.cancel()
        stops[2].set()
        tasks.create_task(member(stops[3]))
        while sum(map(len, seen.values())) < total:
            await asyncio.sleep(0.01)
        for stop in stops:
            stop.set()
    assert all(numbers == list(range(EVENTS_PER_KEY)) for numbers in seen.values())
    assert len(seen) == KEYS


async def test_a_topic_that_nobody_made_is_an_outage_and_not_a_new_topic(brokers: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.bus.kafka_bus.REQUEST_TIMEOUT_SECONDS", 1.0)
    async with open_kafka_bus(brokers, prefix=f"none-{uuid.uuid4().hex[:8]}.") as bus:
        with pytest.raises(DomainError) as caught:
            await bus.publish([event(1)])
    assert caught.value.reason == "SERVICE_UNAVAILABLE"


async def test_brokers_that_are_away_are_unavailable(brokers: str):
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(open_kafka_bus("127.0.0.1:1"))
        for call in (bus.ping(), bus.publish([event(1)]), bus.lag("group", [TOPIC])):
            with pytest.raises(DomainError) as caught:
                await call
            assert caught.value.reason == "SERVICE_UNAVAILABLE"
        with pytest.raises(DomainError):
            await stack.enter_async_context(bus.subscribe("group", [TOPIC]))


async def test_the_lag_behind_a_topic_that_is_missing_is_unavailable(brokers: str):
    async with open_kafka_bus(brokers, prefix=f"none-{uuid.uuid4().hex[:8]}.") as bus:
        with pytest.raises(DomainError, match="SERVICE_UNAVAILABLE"):
            await bus.lag("group", [TOPIC])


async def test_topics_are_made_once_with_their_dead_letters(brokers: str):
    topic = f"test-{uuid.uuid4().hex[:12]}.{TOPIC}"
    assert await make_topics(brokers, [topic]) == {topic: True, topic + ".dlq": True}
    assert await make_topics(brokers, [topic]) == {topic: False, topic + ".dlq": False}
    await delete_topics(brokers, [topic])


async def test_a_topic_that_cannot_be_made_is_named(brokers: str):
    with pytest.raises(TopicsNotMade, match="InvalidReplicationFactor"):
        await make_topics(brokers, [f"test-{uuid.uuid4().hex[:12]}"], TopicPlan(replicas=3))


def test_the_partitioner_agrees_with_the_other_adapters(brokers: str):
    keys = [str(uuid.uuid4()) for _ in range(100)]
    assert [partition_by_crc32(key.encode(), range(8), []) for key in keys] == [partition_of(key) for key in keys]
