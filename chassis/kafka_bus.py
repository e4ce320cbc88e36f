"""The event bus over Apache Kafka (aiokafka): EVENTS_BACKEND=kafka. Events are CloudEvents in structured JSON, attributes also as
`ce_` headers; their key is the user.

One idempotent producer, acks=all: a publish waits out an outage and keeps the order of a key. Readers are members of a consumer
group that commit what has been dealt with and nothing else. Source: the Kafka protocol binding of CloudEvents 1.0.2.
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from logging import getLogger
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, UnknownTopicOrPartitionError

from chassis.database import unavailable
from chassis.event_bus import DEAD_LETTER_SUFFIX, BusRecord, Partition, dead_letter_headers, origin_of
from chassis.event_json import format_time
from chassis.events import MAX_EVENT_BYTES, CloudEvent, to_wire
from chassis.kafka_topics import KafkaObserver, stop_quietly

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
MAX_REQUEST_BYTES = MAX_EVENT_BYTES + 100_000
MAX_BATCH_BYTES = 512 * 1024
REQUEST_TIMEOUT_SECONDS = 30.0
DISCARD_TIMEOUT_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 5.0
JOIN_TIMEOUT_SECONDS = 60.0
SESSION_TIMEOUT_SECONDS = 10.0
"""After so long without a sign of life a member's partitions go to the others."""

HEARTBEAT_SECONDS = 1.0
"""So late a member hears of a rebalance."""

DRAIN_SECONDS = 3.0
"""How long a partition that is taken away waits for the work on it to end, so that nothing is done twice without need."""

METADATA_MAX_AGE_SECONDS = 30.0
"""So late a new topic is seen."""

FETCH_RECORDS = 500
FETCH_GRACE_SECONDS = 0.05
SCAN_WAIT_SECONDS = 1.0
NEVER_MILLISECONDS = 2**31 - 1

_log = getLogger(__name__)


@asynccontextmanager
async def open_kafka_bus(
    brokers: str, *, prefix: str = "", application_name: str = "", heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> AsyncIterator["KafkaEventBus"]:
    """The bus at `host:port,host:port`. Nothing is asked of the brokers before they are needed. Topics and groups are called
    what the program calls them behind `prefix`, for environments that share a cluster.
    """
    bus = KafkaEventBus(brokers, prefix, application_name, heartbeat_seconds)
    try:
        yield bus
    finally:
        await bus.close()


class KafkaEventBus:
    """The EventBus adapter; made by `open_kafka_bus`."""

    def __init__(self, brokers: str, prefix: str, application_name: str, heartbeat_seconds: float) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._application_name = application_name
        self._heartbeat_seconds = heartbeat_seconds
        self._opening = asyncio.Lock()
        self._producer: Any = None
        self._observer: KafkaObserver | None = None
        self._topics: dict[str, set[str]] = {}
        self._lag: dict[str, int] = {}

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """As the port says. Waits as long as the brokers are away once it has begun; cancelling it is safe."""
        await self._send([(event.topic, event.partition_key, to_wire(event), headers_of(event)) for event in events])

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator["_KafkaReader"]:
        self._topics.setdefault(group, set()).update(topics)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            client_id=self._client_id,
            group_id=self._prefix + group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(SESSION_TIMEOUT_SECONDS * 1000),
            heartbeat_interval_ms=int(self._heartbeat_seconds * 1000),
            # A partition under a long retry is not fetched from, and its member is as alive as its heartbeat says.
            max_poll_interval_ms=NEVER_MILLISECONDS,
            metadata_max_age_ms=int(METADATA_MAX_AGE_SECONDS * 1000),
            request_timeout_ms=int(REQUEST_TIMEOUT_SECONDS * 1000),
            fetch_max_wait_ms=500,
        )
        reader = _KafkaReader(consumer, group, self._prefix)
        consumer.subscribe([self._prefix + topic for topic in topics], listener=reader)
        try:
            with _translated():
                async with asyncio.timeout(JOIN_TIMEOUT_SECONDS):
                    await consumer.start()
            yield reader
        finally:
            await stop_quietly(consumer)

    async def dead_letter(self, record: BusRecord, *, group: str, reason: str, description: str) -> None:
        headers = dead_letter_headers(record, group=group, reason=reason, description=description)
        await self._send([(record.topic + DEAD_LETTER_SUFFIX, record.key, record.value, headers)])

    async def append_raw(self, topic: str, key: str, value: bytes) -> None:
        """Puts bytes on a topic that need not be an event: for tests of what readers do with another team's mistake."""
        await self._send([(topic, key, value, {})])

    async def resend(self, letter: BusRecord) -> None:
        topic, headers = origin_of(letter)
        await self._send([(topic, letter.key, letter.value, headers)])

    async def scan(self, topic: str) -> AsyncGenerator[BusRecord, None]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            client_id=self._client_id,
            enable_auto_commit=False,
            isolation_level="read_committed",
            request_timeout_ms=int(REQUEST_TIMEOUT_SECONDS * 1000),
        )
        try:
            with _translated():
                await consumer.start()
                async with aclosing(_everything(consumer, self._prefix + topic)) as records:
                    async for record in records:
                        yield _bus_record(record, self._prefix)
        finally:
            await stop_quietly(consumer)

    async def lag(self, group: str) -> int:
        """As the port says; while the brokers are away the last that was known, for no reader should end over a figure."""
        known = {self._prefix + topic for topic in self._topics.get(group, ())}
        if self._observer is None:
            self._observer = KafkaObserver(self._brokers)
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(PING_TIMEOUT_SECONDS):
                self._lag[group] = await self._observer.lag(self._prefix + group, known)
        return self._lag.get(group, 0)

    async def ping(self) -> None:
        with _translated():
            async with asyncio.timeout(PING_TIMEOUT_SECONDS):
                producer = await self._ready()
                await producer.client.fetch_all_metadata()

    async def close(self) -> None:
        """Closes the producer; readers close their own connections."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_quietly(producer)
        if self._observer is not None:
            await self._observer.close()

    async def _send(self, records: Sequence[tuple[str, str, bytes, Mapping[str, str]]]) -> None:
        if not records:
            return
        with _translated():
            producer = await self._ready()
            answers: list[asyncio.Future[Any]] = []
            try:
                # One after another: the order of these calls is the order in the partition, through retries too.
                for topic, key, value, headers in records:
                    pairs = [(name, text.encode()) for name, text in headers.items()]
                    answers.append(await producer.send(self._prefix + topic, value, key.encode(), headers=pairs))
                await asyncio.gather(*answers)
            except BaseException:
                # What came after a loss must not arrive by itself: the caller sends everything again, from the loss on.
                await self._discard(producer, answers)
                raise

    async def _discard(self, producer: Any, answers: Sequence[asyncio.Future[Any]]) -> None:
        """Ends a producer without sending what it still has: its sequence has a gap, and what lies behind the gap must not
        arrive before what the caller sends again.
        """
        if self._producer is producer:
            self._producer = None
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(DISCARD_TIMEOUT_SECONDS):
                await producer._sender.close()  # noqa: SLF001  the library's own stop() would send the rest first
        producer._message_accumulator.fail_all(KafkaError("given up"))  # noqa: SLF001
        await asyncio.gather(*answers, return_exceptions=True)
        await stop_quietly(producer)

    async def _ready(self) -> Any:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._brokers,
                    client_id=self._client_id,
                    enable_idempotence=True,
                    acks="all",
                    max_batch_size=MAX_BATCH_BYTES,
                    partitioner=partition_by_crc32,
                    max_request_size=MAX_REQUEST_BYTES,
                    metadata_max_age_ms=int(METADATA_MAX_AGE_SECONDS * 1000),
                    request_timeout_ms=int(REQUEST_TIMEOUT_SECONDS * 1000),
                )
                try:
                    await producer.start()
                except BaseException:
                    await stop_quietly(producer)
                    raise
                self._producer = producer
            return self._producer

    @property
    def _client_id(self) -> str:
        return self._application_name or "samovar"


class _KafkaReader(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """One member of a group. Keeps what was fetched and is not committed, so that it can be given again."""

    def __init__(self, consumer: Any, group: str, prefix: str) -> None:
        self._consumer = consumer
        self._group = group
        self._prefix = prefix
        self._waiting: dict[Partition, list[BusRecord]] = {}
        self._given: dict[Partition, int] = {}
        self._done: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._committing = asyncio.Lock()
        self._settled = asyncio.Condition()
        self._rebalancing = False
        self._woken = asyncio.Event()

    async def poll(
        self, *, held: Collection[Partition] = (), max_records: int, wait_seconds: float
    ) -> Sequence[BusRecord]:
        # Cleared before looking: a wake from here on is not lost.
        self._woken.clear()
        if not self._has_ready(held):
            await self._fetch(wait_seconds)
        return self._take(held, max_records)

    async def commit(self, record: BusRecord) -> None:
        """As the port says. A partition that was taken away meanwhile is not ours to speak for: its records come again, here or
        at another member.
        """
        source = record.source
        if record.position >= self._given.get(source, 0) or record.position < self._done.get(source, 0):
            return
        self._done[source] = record.position + 1
        self._waiting[source] = [one for one in self._waiting[source] if one.position > record.position]
        with _translated():
            await self._flush(source)
        async with self._settled:
            self._settled.notify_all()

    def wake(self) -> None:
        self._woken.set()

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """Called by the driver before a rebalance: gives no more, waits a little for work in hand, and commits it."""
        self._rebalancing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS), self._settled:
                await self._settled.wait_for(lambda: not self._in_hand())
        for partition in revoked:
            source = self._source(partition)
            for state in (self._waiting, self._given, self._done, self._committed):
                state.pop(source, None)

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """Called by the driver after a rebalance."""
        for partition in assigned:
            # The driver may have given records of it already.
            self._waiting.setdefault(self._source(partition), [])
        self._rebalancing = False
        self._woken.set()

    async def _fetch(self, wait_seconds: float) -> None:
        """Gets records of the partitions that have none waiting, until there are some, until the time is over or a wake."""
        hungry = [] if self._rebalancing else [self._wire(one) for one, waiting in self._waiting.items() if not waiting]
        if not hungry and not self._rebalancing:
            await self._wait(wait_seconds)
            return
        # During a rebalance too: that is where the driver tells of errors.
        fetching = asyncio.ensure_future(self._fetch_once(hungry, wait_seconds))
        waking = asyncio.ensure_future(self._woken.wait())
        both = {fetching, waking}
        try:
            await asyncio.wait(both, timeout=wait_seconds + FETCH_GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            # Awaiting them one by one could not tell their cancellation from one of ours, and would lose ours.
            await asyncio.wait(both)
        if not fetching.cancelled():
            with _translated():
                fetching.result()

    async def _fetch_once(self, hungry: Sequence[Any], wait_seconds: float) -> None:
        # The driver takes records out and returns them without a pause in between, so nothing can come between its knowing
        # that they are ours and our keeping them, neither a rebalance nor a cancellation.
        timeout_ms = max(int(wait_seconds * 1000), 1)
        self._keep(await self._consumer.getmany(*hungry, timeout_ms=timeout_ms, max_records=FETCH_RECORDS))

    async def _wait(self, wait_seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await self._woken.wait()

    def _keep(self, fetched: Mapping[Any, Sequence[ConsumerRecord]]) -> None:
        for partition, records in fetched.items():
            self._waiting.setdefault(self._source(partition), []).extend(
                _bus_record(record, self._prefix) for record in records
            )

    def _has_ready(self, held: Collection[Partition]) -> bool:
        return not self._rebalancing and any(
            waiting and source not in held for source, waiting in self._waiting.items()
        )

    def _take(self, held: Collection[Partition], max_records: int) -> list[BusRecord]:
        if self._rebalancing:
            return []
        taken: list[BusRecord] = []
        for source, waiting in self._waiting.items():
            if waiting and source not in held:
                given = waiting[:max_records]
                self._given[source] = given[-1].position + 1
                taken += given
        return taken

    def _in_hand(self) -> bool:
        return any(given > self._done.get(source, 0) for source, given in self._given.items())

    async def _flush(self, wanted: Partition) -> None:
        """Commits everything that is done. Whoever comes while another is at it waits, and finds its own done or does the next."""
        async with self._committing:
            if self._committed.get(wanted, 0) >= self._done.get(wanted, 0):
                return
            new = {
                source: done
                for source, done in self._done.items()
                if source in self._waiting and done > self._committed.get(source, 0)
            }
            try:
                await self._consumer.commit({self._wire(source): done for source, done in new.items()})
            except (CommitFailedError, IllegalStateError) as error:
                _log.info(
                    "partitions were taken away before a commit", extra={"group": self._group, "error": repr(error)}
                )
                return
            self._committed |= new

    def _source(self, partition: Any) -> Partition:
        return Partition(partition.topic.removeprefix(self._prefix), partition.partition)

    def _wire(self, source: Partition) -> Any:
        return TopicPartition(self._prefix + source.topic, source.number)


async def _everything(consumer: Any, topic: str) -> AsyncGenerator[ConsumerRecord, None]:
    """The topic up to what is its end now. The consumer is in no group."""
    numbers = (await consumer._client.fetch_all_metadata()).partitions_for_topic(topic)  # noqa: SLF001  it has no public way
    if not numbers:
        raise UnknownTopicOrPartitionError(topic)
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        # Transactions leave markers that take a position and are no records, so the position tells, not the last record.
        while await consumer.position(partition) < ends[partition]:
            fetched = await consumer.getmany(partition, timeout_ms=int(SCAN_WAIT_SECONDS * 1000))
            for record in fetched.get(partition, ()):
                if record.offset < ends[partition]:
                    yield record


def _bus_record(record: ConsumerRecord, prefix: str) -> BusRecord:
    return BusRecord(
        topic=record.topic.removeprefix(prefix),
        partition=record.partition,
        position=record.offset,
        key=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        headers={name: value.decode(errors="replace") for name, value in record.headers if value is not None},
    )


def headers_of(event: CloudEvent) -> Mapping[str, str]:
    """The event's attributes for those who sort records without reading them; the content type says where the truth is."""
    headers = {
        "content-type": CONTENT_TYPE,
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": event.source,
        "ce_type": event.type,
        "ce_time": format_time(event.time),
        "ce_partitionkey": event.partition_key,
    }
    if event.subject is not None:
        headers["ce_subject"] = event.subject
    if event.trace_parent is not None:
        headers["ce_traceparent"] = event.trace_parent
    return headers


def partition_by_crc32(key: bytes, partitions: Sequence[int], available: Sequence[int]) -> int:
    """As chassis.event_bus.partition_of, which is what librdkafka does with a key too: a topic has one rule for all."""
    del available  # a key's partition must not depend on who is up
    return sorted(partitions)[zlib.crc32(key) % len(partitions)]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Driver errors become DomainError: to a publisher and to a reader they all mean that the bus is not there now."""
    try:
        yield
    except UnknownTopicOrPartitionError as error:
        _log.error("a topic is missing: make the topics with `samovar events topics`", extra={"error": repr(error)})
        raise unavailable() from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise unavailable() from error
