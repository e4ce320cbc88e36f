"""The promises of chassis.bus.event_bus, over every adapter."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from adapters import adapters, settings_of

from chassis.bus.event_bus import MAX_DESCRIPTION_LENGTH, PARTITIONS, BusRecord, EventBus, EventReader, partition_of
from chassis.bus.event_log import open_event_log
from chassis.bus.kafka_bus import open_kafka_bus
from chassis.bus.kafka_topics import delete_topics, make_topics
from chassis.cloudevents.events import CloudEvent, from_wire
from tests.fakes.event_bus import MemoryEventBus

TOPIC = "com.platform.test.events.v1"
OTHER_TOPIC = "com.platform.other.events.v1"


@pytest.fixture(params=adapters(__file__))
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
    async with opened(request.param, request) as bus:
        yield bus


@pytest.fixture(
    params=adapters(__file__, without={"kafka": "a group's partitions are shared out among its members, busy or not"})
)
async def leasing_bus(request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
    """A bus whose members hold a partition only while they have records of it."""
    async with opened(request.param, request) as bus:
        yield bus


@asynccontextmanager
async def opened(adapter: str, request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
    if adapter == "memory":
        yield MemoryEventBus()
    elif adapter == "postgres":
        dsn = await request.getfixturevalue("new_database")("events")
        async with open_event_log(dsn, application_name="test") as log:
            yield log
    else:
        brokers, prefix = settings_of("kafka")["KAFKA_BROKERS"], f"test-{uuid.uuid4().hex[:12]}."
        await make_topics(brokers, [prefix + TOPIC, prefix + OTHER_TOPIC])
        async with open_kafka_bus(brokers, prefix=prefix, application_name="test", heartbeat_seconds=0.2) as kafka:
            yield kafka
        await delete_topics(brokers, [prefix + TOPIC, prefix + OTHER_TOPIC])


def event(number: int, key: str = "user-1", topic: str = TOPIC) -> CloudEvent:
    return CloudEvent(
        id=str(uuid.uuid4()),
        source="platform.test-service",
        type="com.platform.test.happened.v1",
        subject=None,
        time=datetime(2026, 3, 1, tzinfo=UTC),
        topic=topic,
        partition_key=key,
        trace_parent=None,
        data={"number": number},
    )


def numbers(records: list[BusRecord]) -> list[object]:
    return [from_wire(record.value, topic=record.topic).data["number"] for record in records]


async def read(reader: EventReader, count: int, max_records: int = 100) -> list[BusRecord]:
    """Polls and commits until so many have come."""
    taken: list[BusRecord] = []
    async with asyncio.timeout(60):
        while len(taken) < count:
            for record in await reader.poll(max_records=max_records, wait_seconds=1.0):
                taken.append(record)
                await reader.commit(record)
    return taken


async def come(reader: EventReader, count: int, **options: Any) -> list[BusRecord]:
    """So many records at once, polled again until they are there; none is committed, so what came before comes with them."""
    async with asyncio.timeout(60):
        while len(records := list(await reader.poll(max_records=10, wait_seconds=1.0, **options))) < count:
            pass
    return records


async def whoever_holds_it(readers: list[EventReader]) -> tuple[EventReader, list[BusRecord]]:
    """The first member that gets something, and what."""
    async with asyncio.timeout(60):
        while True:
            for reader in readers:
                records = list(await reader.poll(max_records=10, wait_seconds=0.1))
                if records:
                    return reader, records


async def nothing_more(reader: EventReader) -> bool:
    return list(await reader.poll(max_records=10, wait_seconds=0.0)) == []


async def test_a_group_that_comes_later_reads_from_the_beginning(bus: EventBus):
    await bus.publish([event(1), event(2)])
    async with bus.subscribe("late", [TOPIC]) as reader:
        assert numbers(await read(reader, 2)) == [1, 2]


async def test_what_was_published_is_what_is_read(bus: EventBus):
    sent = event(1)
    await bus.publish([sent])
    async with bus.subscribe("group", [TOPIC]) as reader:
        (record,) = await read(reader, 1)
    assert from_wire(record.value, topic=record.topic) == sent
    assert (record.topic, record.key, record.partition) == (TOPIC, "user-1", partition_of("user-1"))


async def test_a_waiting_reader_is_woken_by_an_append(bus: EventBus):
    async with bus.subscribe("group", [TOPIC]) as reader, asyncio.timeout(60):
        waiting = asyncio.ensure_future(reader.poll(max_records=10, wait_seconds=60.0))
        await asyncio.sleep(0)
        await bus.publish([event(1)])
        assert numbers(list(await waiting)) == [1]


async def test_wake_ends_a_wait(bus: EventBus):
    async with bus.subscribe("group", [TOPIC]) as reader, asyncio.timeout(60):
        waiting = asyncio.ensure_future(reader.poll(max_records=10, wait_seconds=60.0))
        while not waiting.done():
            reader.wake()
            await asyncio.sleep(0.01)
        assert list(await waiting) == []


async def test_events_of_one_key_keep_their_order(bus: EventBus):
    keys = [f"user-{number}" for number in range(10)]
    for start in range(0, 100, 20):
        await bus.publish([event(number, key) for number in range(start, start + 20) for key in keys])
    async with bus.subscribe("group", [TOPIC]) as reader:
        records = await read(reader, 1000, max_records=7)
    for key in keys:
        assert numbers([record for record in records if record.key == key]) == list(range(100))


async def test_order_holds_among_publishers_at_once(bus: EventBus):
    async def publish(publisher: int) -> None:
        for number in range(30):
            await bus.publish([event(number, f"user-{publisher}"), event(number, "shared")])

    async with bus.subscribe("group", [TOPIC]) as reader, asyncio.TaskGroup() as tasks:
        for publisher in range(4):
            tasks.create_task(publish(publisher))
        records = await read(reader, 4 * 30 * 2, max_records=5)
    for publisher in range(4):
        assert numbers([record for record in records if record.key == f"user-{publisher}"]) == list(range(30))
    positions: dict[int, list[int]] = {}
    for record in records:
        positions.setdefault(record.partition, []).append(record.position)
    assert all(found == sorted(set(found)) for found in positions.values())


async def test_what_was_not_committed_comes_again(bus: EventBus):
    await bus.publish([event(1), event(2), event(3)])
    async with bus.subscribe("group", [TOPIC]) as reader:
        records = await come(reader, 3)
        await reader.commit(records[0])
    async with bus.subscribe("group", [TOPIC]) as reader:
        assert numbers(await read(reader, 2)) == [2, 3]


async def test_an_uncommitted_batch_comes_again_to_the_same_reader(bus: EventBus):
    await bus.publish([event(1)])
    async with bus.subscribe("group", [TOPIC]) as reader:
        first = await come(reader, 1)
        assert await come(reader, 1) == first


async def test_a_commit_never_goes_back(bus: EventBus):
    await bus.publish([event(1), event(2)])
    async with bus.subscribe("group", [TOPIC]) as reader:
        first, second = await come(reader, 2)
        await reader.commit(second)
        await reader.commit(first)
        assert await nothing_more(reader)


async def test_groups_do_not_disturb_each_other(bus: EventBus):
    await bus.publish([event(1)])
    async with bus.subscribe("one", [TOPIC]) as one, bus.subscribe("two", [TOPIC]) as two:
        assert numbers(await read(one, 1)) == numbers(await read(two, 1)) == [1]


async def test_a_reader_gets_only_its_topics(bus: EventBus):
    await bus.publish([event(1), event(2, topic=OTHER_TOPIC)])
    async with bus.subscribe("group", [OTHER_TOPIC]) as reader:
        assert numbers(await read(reader, 1)) == [2]
        assert await nothing_more(reader)


async def test_a_reader_of_two_topics_gets_both(bus: EventBus):
    await bus.publish([event(1), event(2, topic=OTHER_TOPIC)])
    async with bus.subscribe("group", [TOPIC, OTHER_TOPIC]) as reader:
        assert sorted(map(str, numbers(await read(reader, 2)))) == ["1", "2"]


async def test_held_partitions_are_left_out(bus: EventBus):
    keys = _keys_of_two_partitions()
    await bus.publish([event(1, keys[0]), event(2, keys[1])])
    async with bus.subscribe("group", [TOPIC]) as reader:
        both = await come(reader, 2)
        assert len(both) == 2
        (rest,) = await come(reader, 1, held=[both[0].source])
        assert rest == both[1]


async def test_no_two_members_hold_one_partition(bus: EventBus):
    await bus.publish([event(1), event(2)])
    async with bus.subscribe("group", [TOPIC]) as one, bus.subscribe("group", [TOPIC]) as two:
        holder, records = await whoever_holds_it([one, two])
        assert numbers(records) == [1, 2]
        assert await nothing_more(two if holder is one else one)


async def test_the_partitions_of_a_member_that_left_go_to_the_others(bus: EventBus):
    await bus.publish([event(1)])
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        members = {
            await first.enter_async_context(bus.subscribe("group", [TOPIC])): first,
            await second.enter_async_context(bus.subscribe("group", [TOPIC])): second,
        }
        leaving, _ = await whoever_holds_it(list(members))
        (staying,) = [member for member in members if member is not leaving]
        assert await nothing_more(staying)
        await members[leaving].aclose()
        assert numbers(await read(staying, 1)) == [1]


async def test_a_partition_that_is_done_can_go_to_another_member(leasing_bus: EventBus):
    bus = leasing_bus
    await bus.publish([event(1)])
    async with bus.subscribe("group", [TOPIC]) as one, bus.subscribe("group", [TOPIC]) as two:
        assert numbers(await read(one, 1)) == [1]
        assert await nothing_more(one)
        await bus.publish([event(2)])
        assert numbers(await read(two, 1)) == [2]


async def test_members_of_a_group_share_the_work_and_lose_nothing(bus: EventBus):
    total = 400
    await bus.publish([event(number, f"user-{number}") for number in range(total)])
    seen: list[object] = []
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        readers = [await stack.enter_async_context(bus.subscribe("group", [TOPIC])) for _ in range(3)]

        async def work(reader: EventReader) -> None:
            while len(seen) < total:
                for record in await reader.poll(max_records=10, wait_seconds=0.05):
                    seen.extend(numbers([record]))
                    await reader.commit(record)

        async with asyncio.TaskGroup() as tasks:
            for reader in readers:
                tasks.create_task(work(reader))
    assert sorted(map(int, map(str, seen))) == list(range(total))


async def test_a_dead_letter_keeps_the_bytes_and_says_why(bus: EventBus):
    await bus.publish([event(1)])
    async with bus.subscribe("library", [TOPIC]) as reader:
        (record,) = await come(reader, 1)
        await bus.dead_letter(
            record, group="library", reason="EVENT_INVALID", description="data.userId: a string expected"
        )
    async with bus.subscribe("operator", [TOPIC + ".dlq"]) as reader:
        (letter,) = await read(reader, 1)
    assert (letter.value, letter.key) == (record.value, record.key)
    assert {name: value for name, value in letter.headers.items() if name.startswith("dlq-")} == {
        "dlq-group": "library",
        "dlq-reason": "EVENT_INVALID",
        "dlq-description": "data.userId: a string expected",
        "dlq-topic": TOPIC,
        "dlq-partition": str(record.partition),
        "dlq-position": str(record.position),
    }


async def test_a_dead_letter_takes_every_description(bus: EventBus):
    await bus.publish([event(1)])
    async with bus.subscribe("library", [TOPIC]) as reader:
        (record,) = await come(reader, 1)
        await bus.dead_letter(record, group="library", reason="EVENT_INVALID", description="\0 «я» " + "x" * 5000)
    async with bus.subscribe("operator", [TOPIC + ".dlq"]) as reader:
        (letter,) = await read(reader, 1)
    assert letter.headers["dlq-description"].startswith("\ufffd «я» xxx")
    assert len(letter.headers["dlq-description"]) == MAX_DESCRIPTION_LENGTH


async def test_the_lag_of_a_group_is_what_it_has_not_dealt_with(bus: EventBus):
    async with bus.subscribe("group", [TOPIC]) as reader:
        await bus.publish([event(number, f"user-{number}") for number in range(5)])
        await bus.publish([event(1, topic=OTHER_TOPIC)])
        assert await bus.lag("group") == 5
        await read(reader, 5)
        assert await bus.lag("group") == 0


async def test_a_group_that_has_dealt_with_nothing_has_all_of_its_topics_before_it(bus: EventBus):
    await bus.publish([event(number, f"user-{number}") for number in range(5)])
    await bus.publish([event(1, topic=OTHER_TOPIC)])
    async with bus.subscribe("group", [TOPIC]) as reader:
        await whoever_holds_it([reader])
        assert await bus.lag("group") == 5
    assert await bus.lag("group") == 5
    await bus.publish([event(5)])
    assert await bus.lag("group") == 6


async def test_of_a_topic_that_a_group_is_new_to_all_is_before_it(bus: EventBus):
    await bus.publish([event(number, f"user-{number}") for number in range(5)])
    await bus.publish([event(1, topic=OTHER_TOPIC), event(2, topic=OTHER_TOPIC)])
    assert await bus.lag("group", [TOPIC]) == 5
    assert await bus.lag("group", [TOPIC, OTHER_TOPIC]) == 7
    async with bus.subscribe("group", [TOPIC]) as reader:
        await read(reader, 5)
    assert await bus.lag("group", [TOPIC]) == 0
    assert await bus.lag("group", [OTHER_TOPIC]) == 2


async def test_of_a_group_that_nobody_joined_no_lag_is_known(bus: EventBus):
    await bus.publish([event(1)])
    assert await bus.lag("nobody") is None


async def test_a_dead_letter_that_is_sent_again_is_the_event_it_was(bus: EventBus):
    sent = event(1)
    await bus.publish([sent])
    async with bus.subscribe("library", [TOPIC]) as reader:
        (record,) = await read(reader, 1)
        await bus.dead_letter(record, group="library", reason="EVENT_INVALID", description="")
        (letter,) = [letter async for letter in bus.scan(TOPIC + ".dlq")]
        await bus.resend(letter)
        (again,) = await read(reader, 1)
    assert (again.topic, again.key, again.value, again.headers) == (TOPIC, record.key, record.value, record.headers)
    assert len([letter async for letter in bus.scan(TOPIC + ".dlq")]) == 1


async def test_only_a_dead_letter_can_be_sent_again(bus: EventBus):
    await bus.publish([event(1)])
    (record,) = [record async for record in bus.scan(TOPIC)]
    with pytest.raises(ValueError, match="no dead letter"):
        await bus.resend(record)


async def test_a_scan_sees_everything_and_moves_no_group(bus: EventBus):
    keys = [f"user-{number}" for number in range(30)]
    await bus.publish([event(number, key) for number in range(50) for key in keys])
    await bus.publish([event(1, topic=OTHER_TOPIC)])
    async with bus.subscribe("group", [TOPIC]) as reader:
        await read(reader, 10, max_records=10)
        scanned = [record async for record in bus.scan(TOPIC)]
    for key in keys:
        assert numbers([record for record in scanned if record.key == key]) == list(range(50))
    assert len(scanned) == 50 * len(keys)


async def test_publishing_nothing_is_no_error(bus: EventBus):
    await bus.publish([])
    async with bus.subscribe("group", [TOPIC]) as reader:
        assert await nothing_more(reader)


async def test_a_bus_that_is_there_answers_the_ping(bus: EventBus):
    await bus.ping()
    assert await bus.lag("nobody", [TOPIC]) == 0


def _keys_of_two_partitions() -> tuple[str, str]:
    first = "user-0"
    return first, next(
        f"user-{n}" for n in range(1, 100 * PARTITIONS) if partition_of(f"user-{n}") != partition_of(first)
    )
