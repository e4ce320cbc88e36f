"""chassis.bus.consumers over every event bus: retries, dead letters, order, outages; and the whole way from a
transaction in one service to the effect in another.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from account.v1 import events_pb2 as account_events
from adapters import adapters, settings_of
from library.v1 import events_pb2 as library_events
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from prometheus_client import REGISTRY
from sqlalchemy import text

from chassis.bus.consumers import Consumer, RetryPolicy, Subscription
from chassis.bus.event_bus import BusRecord, EventBus, refused
from chassis.bus.event_log import PostgresEventLog, open_event_log
from chassis.bus.inbox import first_time
from chassis.bus.kafka_bus import open_kafka_bus
from chassis.bus.kafka_topics import delete_topics, make_topics
from chassis.bus.outbox import OutboxRelay
from chassis.cloudevents.events import CloudEvent, new_event, to_wire
from chassis.errors import DomainError, Kind
from chassis.postgres.database import Database, open_database, unavailable
from tests.component.data_rig import (
    TOPIC,
    count,
    game_added,
    kill_backends,
    proxied,
    record,
    running,
    sample_database,
    until,
)
from tests.fakes.event_bus import MemoryEventBus

NewDatabase = Callable[[str], Awaitable[str]]
QUICK = RetryPolicy(first_delay_seconds=0.01, last_delay_seconds=0.02)
GROUP = "download"
FOREIGN_TOPIC = "com.platform.account.events.v1"
Handler = Callable[[Any, CloudEvent], Awaitable[None]]


@pytest.fixture(params=adapters(__file__))
async def bus(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield MemoryEventBus()
    elif request.param == "kafka":
        brokers, prefix = settings_of("kafka")["KAFKA_BROKERS"], f"test-{uuid.uuid4().hex[:12]}."
        topics = [prefix + topic for topic in (TOPIC, FOREIGN_TOPIC)]
        await make_topics(brokers, topics)
        async with open_kafka_bus(brokers, prefix=prefix, application_name="test", heartbeat_seconds=0.2) as kafka:
            yield kafka
        await delete_topics(brokers, topics)
    else:
        async with open_event_log(await new_database("events"), application_name="test") as log:
            yield log


@pytest.fixture
async def database(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with sample_database(await new_database("sample"), tmp_path) as database:
        yield database


def cloud_event(number: int, user_id: str = "user-1", topic: str = TOPIC, **changes: Any) -> CloudEvent:
    event = game_added(number, user_id)
    values = {
        "id": str(event.id),
        "source": "platform.library-service",
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "topic": topic,
        "partition_key": user_id,
        "trace_parent": event.trace_parent,
        "data": event.data,
    }
    return CloudEvent(**(values | changes))


def consumer(bus: EventBus, handler: Handler, **options: Any) -> Consumer:
    subscriptions = [Subscription(library_events.GameAdded, handler)]
    return Consumer(bus, GROUP, subscriptions, retry=QUICK, **options)


class Seen:
    """A handler that remembers what it was given."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    async def __call__(self, message: library_events.GameAdded, event: CloudEvent) -> None:
        self.numbers.append(int(message.product_id))


async def dead_letters(bus: EventBus, topic: str = TOPIC) -> list[BusRecord]:
    """The letters on the dead letter topic."""
    return [letter async for letter in bus.scan(topic + ".dlq")]


async def has_letters(bus: EventBus, wanted: int) -> bool:
    return len(await dead_letters(bus)) == wanted


async def test_a_handler_gets_the_decoded_message_and_its_event(bus: EventBus):
    given: list[tuple[library_events.GameAdded, CloudEvent]] = []

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        given.append((message, event))

    sent = cloud_event(7)
    await bus.publish([sent])
    async with running(consumer(bus, handle).run):
        await until(lambda: len(given) == 1)
    assert given[0][1] == sent
    assert (given[0][0].user_id, given[0][0].product_id) == ("user-1", "7")


async def test_order_per_key_is_kept(bus: EventBus):
    seen: dict[str, list[int]] = {}

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        await asyncio.sleep(0)
        seen.setdefault(message.user_id, []).append(int(message.product_id))

    users = [f"user-{number}" for number in range(6)]
    for number in range(0, 40, 10):
        await bus.publish([cloud_event(n, user) for n in range(number, number + 10) for user in users])
    async with running(consumer(bus, handle, batch_records=7).run):
        await until(lambda: sum(map(len, seen.values())) == 240)
    assert all(seen[user] == list(range(40)) for user in users)


async def test_what_was_handled_does_not_come_again(bus: EventBus):
    first, second = Seen(), Seen()
    await bus.publish([cloud_event(1)])
    async with running(consumer(bus, first).run):
        await until(lambda: first.numbers == [1])
        await bus.publish([cloud_event(2)])
        await until(lambda: first.numbers == [1, 2])
        await until(lambda: _is_committed(bus))
    await bus.publish([cloud_event(3)])
    async with running(consumer(bus, second).run):
        await until(lambda: second.numbers == [3])


@pytest.mark.parametrize(
    "failure",
    [
        DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE"),
        DomainError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
async def test_a_failure_that_passes_is_tried_again_and_nothing_overtakes_it(bus: EventBus, failure: Exception):
    seen, tries = Seen(), 0

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        nonlocal tries
        if message.product_id == "1" and tries < 3:
            tries += 1
            raise failure
        await seen(message, event)

    await bus.publish([cloud_event(0), cloud_event(1), cloud_event(2)])
    async with running(consumer(bus, handle).run):
        await until(lambda: len(seen.numbers) == 3)
    assert (seen.numbers, tries) == ([0, 1, 2], 3)
    assert await dead_letters(bus) == []


async def test_a_partition_that_waits_does_not_hold_up_the_others(bus: EventBus):
    seen = Seen()

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        if message.user_id == "user-1":
            raise ConnectionRefusedError
        await seen(message, event)

    await bus.publish([cloud_event(0, "user-1")])
    async with running(consumer(bus, handle).run):
        for number in range(1, 4):
            await bus.publish([cloud_event(number, "user-2")])
            await until(lambda number=number: seen.numbers == list(range(1, number + 1)))


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (
            DomainError(Kind.INVALID_ARGUMENT, "MANIFEST_INVALID", details={"description": "a path leads out"}),
            "MANIFEST_INVALID",
        ),
        (DomainError(Kind.FAILED_PRECONDITION, "MANIFEST_SIGNATURE_INVALID"), "MANIFEST_SIGNATURE_INVALID"),
        (KeyError("a secret of the program"), "INTERNAL_ERROR"),
    ],
)
async def test_a_failure_that_stays_makes_a_dead_letter_and_the_next_event_is_handled(
    bus: EventBus, failure: Exception, reason: str
):
    seen = Seen()

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        if message.product_id == "1":
            raise failure
        await seen(message, event)

    poison = cloud_event(1)
    await bus.publish([poison, cloud_event(2)])
    async with running(consumer(bus, handle).run):
        await until(lambda: seen.numbers == [2])
    (letter,) = await dead_letters(bus)
    assert letter.value == to_wire(poison)
    assert (letter.headers["dlq-reason"], letter.headers["dlq-group"], letter.headers["dlq-topic"]) == (
        reason,
        GROUP,
        TOPIC,
    )
    assert "secret" not in letter.headers["dlq-description"]


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[]",
        b'{"specversion":"0.3"}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":[]}',
    ],
)
async def test_bytes_that_are_no_event_are_a_dead_letter_as_they_are(bus: Any, poison: bytes):
    seen = Seen()
    appended = bus.append_raw(TOPIC, "user-1", poison)
    if appended is not None:
        await appended
    await bus.publish([cloud_event(1)])
    async with running(consumer(bus, seen).run):
        await until(lambda: seen.numbers == [1])
    (letter,) = await dead_letters(bus)
    assert (letter.value, letter.headers["dlq-reason"]) == (poison, "EVENT_INVALID")


async def test_data_of_a_wrong_type_is_a_dead_letter_that_names_the_member(bus: EventBus):
    await bus.publish([cloud_event(1, data={"userId": 5, "productId": "1"})])
    async with running(consumer(bus, Seen()).run):
        await until(lambda: has_letters(bus, 1))
    (letter,) = await dead_letters(bus)
    assert letter.headers["dlq-reason"] == "EVENT_INVALID"
    assert "data.userId" in letter.headers["dlq-description"]


async def test_an_event_on_the_wrong_topic_is_a_dead_letter(bus: EventBus):
    seen = Seen()
    both = Consumer(
        bus,
        GROUP,
        [Subscription(library_events.GameAdded, seen), Subscription(account_events.UserDeleted, seen)],
        retry=QUICK,
    )
    await bus.publish([cloud_event(1, topic=FOREIGN_TOPIC), cloud_event(2)])
    async with running(both.run):
        await until(lambda: seen.numbers == [2])

        async def has_letter() -> bool:
            return len(await dead_letters(bus, FOREIGN_TOPIC)) == 1

        await until(has_letter)
    (letter,) = await dead_letters(bus, FOREIGN_TOPIC)
    assert letter.headers["dlq-reason"] == "EVENT_INVALID"


async def test_an_event_that_nobody_asked_for_is_passed_over_in_silence(bus: EventBus):
    seen = Seen()
    await bus.publish([cloud_event(1, type="com.platform.library.game.celebrated.v1"), cloud_event(2)])
    async with running(consumer(bus, seen).run):
        await until(lambda: seen.numbers == [2])
    assert await dead_letters(bus) == []


async def test_two_handlers_for_one_type_are_a_mistake():
    subscriptions = [Subscription(library_events.GameAdded, Seen()), Subscription(library_events.GameAdded, Seen())]
    with pytest.raises(ValueError, match="two handlers"):
        Consumer(MemoryEventBus(), GROUP, subscriptions)


async def test_a_handler_runs_in_the_trace_of_its_event():
    bus, found = MemoryEventBus(), []
    parent = SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(parent)):
        event = game_added(1)
    assert event.trace_parent == "00-00000000000000000000000000001234-0000000000005678-01"

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        found.append(trace.get_current_span().get_span_context().trace_id)

    await bus.publish([cloud_event(1, trace_parent=event.trace_parent)])
    async with running(consumer(bus, handle).run):
        await until(lambda: len(found) == 1)
    assert found == [0x1234]


async def test_a_duplicate_delivery_takes_effect_once(bus: EventBus, database: Database):
    handled = 0

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        nonlocal handled
        async with database.begin() as tx:
            if await first_time(tx, GROUP, event.source, event.id):
                await _add_order(tx, int(message.product_id))
            await tx.commit()
        handled += 1

    event = cloud_event(1)
    await bus.publish([event, event, cloud_event(2), event])
    async with running(consumer(bus, handle).run):
        await until(lambda: handled >= 4)  # the bus may lawfully tell them once more
    assert await count(database, "SELECT count(*) FROM orders") == 2


async def test_a_consumer_that_dies_after_its_effect_takes_effect_once(bus: EventBus, database: Database):
    attempts = 0

    async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
        nonlocal attempts
        attempts += 1
        async with database.begin() as tx:
            if await first_time(tx, GROUP, event.source, event.id):
                await _add_order(tx, int(message.product_id))
            await tx.commit()
        if attempts == 1:
            await asyncio.Event().wait()  # the process hangs here, and is killed before the position is committed

    await bus.publish([cloud_event(1)])
    async with running(consumer(bus, handle).run):
        await until(lambda: _has_orders(database, 1))
    async with running(consumer(bus, handle).run):
        await until(lambda: attempts == 2)
    assert await count(database, "SELECT count(*) FROM orders") == 1


async def test_a_database_that_is_away_only_delays_the_consumer(database: Database):
    bus = MemoryEventBus()
    async with proxied(database.dsn) as proxy, open_database(proxy.dsn) as behind:

        async def handle(message: library_events.GameAdded, event: CloudEvent) -> None:
            async with behind.begin() as tx:
                if await first_time(tx, GROUP, event.source, event.id):
                    await _add_order(tx, int(message.product_id))
                await tx.commit()

        proxy.cut()
        async with running(consumer(bus, handle).run):
            await bus.publish([cloud_event(1), cloud_event(2)])
            await asyncio.sleep(0.1)
            proxy.mend()
            await until(lambda: _has_orders(database, 2))
    assert await dead_letters(bus) == []


async def test_a_consumer_that_lost_its_connection_goes_on(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.bus.consumers.POLL_SECONDS", 60.0)
    dsn, seen = await new_database("events"), Seen()
    async with open_event_log(dsn, application_name="svc") as bus, running(consumer(bus, seen).run):
        await bus.publish([cloud_event(1)])
        await until(lambda: seen.numbers == [1])
        await until(lambda: _is_committed(bus))
        # The reader that looked whether it is committed may not be gone yet.
        assert await kill_backends(dsn, f"svc {GROUP}") >= 1
        await bus.publish([cloud_event(2)])
        await until(lambda: seen.numbers == [1, 2])
        await bus.publish([cloud_event(3)])
        await until(lambda: seen.numbers == [1, 2, 3])


async def test_a_log_that_is_down_at_the_start_is_waited_for(new_database: NewDatabase):
    seen = Seen()
    async with proxied(await new_database("events")) as proxy, open_event_log(proxy.dsn) as bus:
        proxy.cut()
        async with running(consumer(bus, seen).run):
            await asyncio.sleep(0.05)
            proxy.mend()
            with suppress(DomainError):
                await bus.publish([cloud_event(1)])
            await until(lambda: seen.numbers[:1] == [1])
    assert seen.numbers[0] == 1


async def test_the_lag_of_the_group_is_a_metric(bus: EventBus, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.bus.consumers.LAG_INTERVAL_SECONDS", 0.05)
    may_go_on = asyncio.Event()

    async def handle(_message: library_events.GameAdded, _event: CloudEvent) -> None:
        await may_go_on.wait()

    def lag() -> float | None:
        return REGISTRY.get_sample_value("consumer_lag_events", {"group": GROUP})

    await bus.publish([cloud_event(number) for number in range(3)])
    async with running(consumer(bus, handle).run):
        await until(lambda: lag() == 3)
        may_go_on.set()
        await until(lambda: lag() == 0)


async def test_a_reader_goes_on_while_nobody_can_tell_its_lag():
    class Mute(MemoryEventBus):
        async def lag(self, group: str, topics: Collection[str] = ()) -> int | None:
            raise unavailable()

    bus, seen = Mute(), Seen()
    await bus.publish([cloud_event(number) for number in range(3)])
    async with running(consumer(bus, seen).run):
        await until(lambda: len(seen.numbers) == 3)
    assert sorted(seen.numbers) == [0, 1, 2]


async def test_two_processes_of_one_group_share_the_events(new_database: NewDatabase):
    dsn, one, two = await new_database("events"), Seen(), Seen()
    async with (
        open_event_log(dsn) as first,
        open_event_log(dsn) as second,
        running(consumer(first, one).run, consumer(second, two).run),
    ):
        for number in range(200):
            await first.publish([cloud_event(number, f"user-{number % 16}")])
        await until(lambda: len(one.numbers) + len(two.numbers) >= 200)
    assert sorted(one.numbers + two.numbers) == list(range(200))


async def test_from_a_commit_to_the_other_services_effect_it_takes_tens_of_milliseconds(
    database: Database, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
):
    # With the polling out of the way only notifications can be this fast.
    monkeypatch.setattr("chassis.bus.outbox.POLL_SECONDS", 60.0)
    monkeypatch.setattr("chassis.bus.consumers.POLL_SECONDS", 60.0)
    seen, delays_seconds = Seen(), []
    async with open_event_log(await new_database("events")) as bus:
        relay = OutboxRelay(database, bus, "platform.library-service")
        async with running(relay.run, consumer(bus, seen).run):
            await record(database, game_added(0))
            await until(lambda: len(seen.numbers) == 1)
            for number in range(1, 31):
                started = time.perf_counter()
                await record(database, game_added(number))
                await until(lambda number=number: len(seen.numbers) == number + 1)
                delays_seconds.append(time.perf_counter() - started)
    assert seen.numbers == list(range(31))
    # The least: a machine that has other things to do holds up any of them, and polling would hold up all.
    assert min(delays_seconds) < 0.15


async def test_old_records_are_deleted_and_young_ones_stay(new_database: NewDatabase):
    dsn = await new_database("events")
    log = PostgresEventLog(dsn, retention=timedelta(hours=1))
    try:
        await log.publish([cloud_event(1), cloud_event(2)])
        assert await log.delete_old() == 0
        assert await log.lag(GROUP, [TOPIC]) == 2
        hasty = PostgresEventLog(dsn, retention=timedelta(seconds=-60))
        try:
            assert await hasty.delete_old() == 2
            assert await log.lag(GROUP, [TOPIC]) == 0
        finally:
            await hasty.close()
    finally:
        await log.close()


async def test_an_event_made_from_a_message_is_decoded_to_the_same_message():
    bus, given = MemoryEventBus(), []

    async def handle(message: account_events.UserDeleted, event: CloudEvent) -> None:
        given.append(message)

    message = account_events.UserDeleted(user_id="user-1")
    message.deleted_at.FromJsonString("2026-03-01T10:00:00.123Z")
    made = new_event(message)
    event = CloudEvent(
        str(made.id),
        "s",
        made.type,
        made.subject,
        made.time,
        made.topic,
        made.partition_key,
        made.trace_parent,
        made.data,
    )
    await bus.publish([event])
    reader = Consumer(bus, GROUP, [Subscription(account_events.UserDeleted, handle)], retry=QUICK)
    async with running(reader.run):
        await until(lambda: given == [message])
    assert given == [message]


async def _add_order(tx: Any, number: int) -> None:
    await tx.connection.execute(
        text("INSERT INTO orders VALUES (:id, :user)"), {"id": number, "user": f"user-{number}"}
    )


async def _has_orders(database: Database, wanted: int) -> bool:
    return await count(database, "SELECT count(*) FROM orders") == wanted


async def _is_committed(bus: Any) -> bool:
    """Whether the group has nothing left, as another member would see it."""
    async with bus.subscribe(GROUP, [TOPIC]) as reader:
        if isinstance(bus, MemoryEventBus):
            records = bus.records(TOPIC)
            return all(bus._offsets[(GROUP, found.source)] >= found.position for found in records)
        return list(await reader.poll(max_records=1, wait_seconds=0.0)) == [] and await bus.lag(GROUP) == 0


POISON = (
    b"",
    b"\xff\x00",
    b"[" * 5_000,
    b'{"specversion": "1.0", "id": "\\u0000", "source": "s", "type": "t", "data": {"a": null}}',
    *(
        b'{"specversion": "1.0", "id": "1", "source": "s", "type": "%s", "time": "%s", "data": %s}' % (kind, time, data)
        for kind in (b"com.platform.library.game.added.v1", b"com.platform.nothing.v1")
        for time in (b"0001-01-01T00:00:00+03:00", b"9999-12-31T23:59:59-05:00", b"0000-00-00T00:00:00Z")
        for data in (
            b"{}",
            b"[]",
            b'{"addedAt": "9999-12-31T23:59:59.9999999Z"}',
            b'{"addedAt": "0000-01-01T00:00:00Z"}',
        )
    ),
)


class Raises:
    """A handler that raises what it is told to, for the products that it is told of."""

    def __init__(self, failures: Mapping[int, BaseException]) -> None:
        self.failures = dict(failures)
        self.handled: list[int] = []
        self.tries = 0

    async def __call__(self, message: library_events.GameAdded, event: CloudEvent) -> None:
        self.tries += 1
        number = int(message.product_id or -1)
        if number in self.failures:
            raise self.failures[number]
        self.handled.append(number)


async def test_whatever_records_hold_the_one_behind_them_is_handled(bus: Any):
    handler = Raises({})
    for value in POISON:
        appended = bus.append_raw(TOPIC, "user-1", value)
        if appended is not None:  # in memory there is nothing to wait for
            await appended
    await bus.publish([cloud_event(7)])
    async with running(consumer(bus, handler).run) as tasks:
        await until(lambda: 7 in handler.handled)
        assert not tasks[0].done()
    letters = await dead_letters(bus)
    assert {letter.headers["dlq-reason"] for letter in letters} == {"EVENT_INVALID"}
    assert len(letters) + len(handler.handled) >= 20


@pytest.mark.parametrize(
    "failure",
    [
        ZeroDivisionError(),
        OverflowError("date value out of range"),
        asyncio.CancelledError(),
        ExceptionGroup("many", [ValueError(), OSError()]),
        RecursionError(),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"", 0, 1, "no"),
        StopAsyncIteration(),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_whatever_a_handler_raises_costs_its_record_only(failure: BaseException):
    bus, handler = MemoryEventBus(), Raises({1: failure})
    await bus.publish([cloud_event(1), cloud_event(2)])
    async with running(consumer(bus, handler).run):
        await until(lambda: handler.handled == [2])
    assert len(await dead_letters(bus)) == 1


class PickyBus(MemoryEventBus):
    """Refuses dead letters: all of them, or those that have a value."""

    def __init__(self, *, takes_bare: bool) -> None:
        super().__init__()
        self._takes_bare = takes_bare

    async def dead_letter(self, record: BusRecord, *, group: str, reason: str, description: str) -> None:
        if record.value or not self._takes_bare:
            raise refused("it is too large")
        await super().dead_letter(record, group=group, reason=reason, description=description)


@pytest.mark.parametrize("takes_bare", [True, False])
async def test_a_letter_that_the_bus_does_not_take_stops_nothing(*, takes_bare: bool):
    bus, handler = PickyBus(takes_bare=takes_bare), Raises({1: ZeroDivisionError()})
    await bus.publish([cloud_event(1), cloud_event(2)])
    async with running(consumer(bus, handler).run):
        await until(lambda: handler.handled == [2])
    letters = await dead_letters(bus)
    assert [(letter.value, letter.headers["dlq-position"]) for letter in letters] == [(b"", "1")] * takes_bare


async def test_a_record_that_fails_while_others_do_not_holds_its_partition_for_a_time_only():
    bus, handler = MemoryEventBus(), Raises({1: TimeoutError()})
    policy = RetryPolicy(first_delay_seconds=0.01, last_delay_seconds=0.02, patience_seconds=0.2)
    await bus.publish([cloud_event(1), cloud_event(2)])
    stuck = Consumer(bus, GROUP, [Subscription(library_events.GameAdded, handler)], retry=policy)
    async with running(stuck.run):
        await until(lambda: handler.tries > 40)  # each a hundredth of a second at least
        assert await dead_letters(bus) == []  # nothing says that it is not everything that is unavailable
        await bus.publish([cloud_event(3, user_id="user-2")])
        await until(lambda: handler.handled == [3, 2])
    assert [letter.headers["dlq-reason"] for letter in await dead_letters(bus)] == ["INTERNAL_ERROR"]


class CancelledBus(MemoryEventBus):
    """Whose waits are cancelled from within, once each."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled: list[str] = []

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator[Any]:
        async with super().subscribe(group, topics) as reader:
            self._once("subscribe")
            commit = reader.commit

            async def committing(record: BusRecord) -> None:
                self._once("commit")
                await commit(record)

            reader.commit = committing  # type: ignore[method-assign]
            yield reader

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        self._once("publish")
        await super().publish(events)

    def _once(self, what: str) -> None:
        if what not in self.cancelled:
            self.cancelled.append(what)
            raise asyncio.CancelledError


async def test_what_is_cancelled_from_within_ends_neither_the_consumer_nor_the_relay(database: Database):
    bus, seen = CancelledBus(), Seen()
    await record(database, game_added(1))
    async with running(consumer(bus, seen).run, OutboxRelay(database, bus, "platform.library-service").run) as jobs:
        await until(lambda: len(bus.cancelled) == 3)
        await record(database, game_added(2))
        await until(lambda: 2 in seen.numbers)
        assert not any(job.done() for job in jobs)
    assert await dead_letters(bus) == []


async def test_the_log_says_what_it_cannot_hold(new_database: NewDatabase):
    async with open_event_log(await new_database("events"), application_name="test") as log:
        with pytest.raises(DomainError) as caught:
            await log.append_raw(TOPIC, "nul \0", b"")
        assert caught.value.kind is Kind.INVALID_ARGUMENT
        await log.append_raw(TOPIC, "no nul", b"")
