"""The event bus over Apache Kafka (aiokafka): EVENTS_BACKEND=kafka. Events are CloudEvents in structured JSON, attributes also as
`ce_` headers; their key is the user.

One idempotent producer, acks=all: a publish waits out an outage and keeps the order of a key. Readers are members of a consumer
group that commit what has been dealt with and nothing else. Source: the Kafka protocol binding of CloudEvents 1.0.2.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from chassis.bus.event_bus import DEAD_LETTER_SUFFIX, BusRecord, dead_letter_headers, origin_of
from chassis.bus.kafka_driver import end_quietly, heed_refusals, translated
from chassis.bus.kafka_reader import KafkaReader, bus_record
from chassis.bus.kafka_topics import KafkaObserver
from chassis.cloudevents.events import MAX_EVENT_BYTES, CloudEvent, to_wire
from chassis.cloudevents.moments import moment_text

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
MAX_REQUEST_BYTES = MAX_EVENT_BYTES + 100_000
MAX_BATCH_BYTES = 512 * 1024
REQUEST_TIMEOUT_SECONDS = 30.0
DISCARD_TIMEOUT_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 5.0
LAG_TIMEOUT_SECONDS = 30.0
JOIN_TIMEOUT_SECONDS = 60.0
SESSION_TIMEOUT_SECONDS = 10.0
"""The time without a sign of life after which a member's partitions go to the others."""

HEARTBEAT_SECONDS = 1.0
"""The longest time until a member receives a rebalance."""

RETRY_SECONDS = 0.5
"""The pause between attempts to reach an unavailable broker. Each client makes several at once; ten times a second, as it would
by itself, they take the CPU that a broker on the same machine needs to come back.
"""

METADATA_MAX_AGE_SECONDS = 30.0
"""The longest time until a new topic is seen."""

SCAN_WAIT_SECONDS = 1.0
NEVER_MILLISECONDS = 2**31 - 1


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
    """The EventBus adapter; created by `open_kafka_bus`."""

    def __init__(self, brokers: str, prefix: str, application_name: str, heartbeat_seconds: float) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._application_name = application_name
        self._heartbeat_seconds = heartbeat_seconds
        self._opening = asyncio.Lock()
        self._producer: Any = None
        self._observer = KafkaObserver(brokers)

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """As the port says. Once it has begun, it waits while the brokers are unavailable; cancelling it is safe."""
        await self._send([(event.topic, event.partition_key, to_wire(event), headers_of(event)) for event in events])

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator[KafkaReader]:
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
            retry_backoff_ms=int(RETRY_SECONDS * 1000),
            fetch_max_wait_ms=500,
        )
        heed_refusals(consumer._client)  # noqa: SLF001  no public way
        reader = KafkaReader(consumer, group, self._prefix)
        consumer.subscribe([self._prefix + topic for topic in topics], listener=reader)
        try:
            with translated():
                async with asyncio.timeout(JOIN_TIMEOUT_SECONDS):
                    await consumer.start()
                    await reader.joined()
            yield reader
        finally:
            await end_quietly(consumer.stop())

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
            retry_backoff_ms=int(RETRY_SECONDS * 1000),
        )
        try:
            with translated():
                await consumer.start()
                async with aclosing(_everything(consumer, self._prefix + topic)) as records:
                    async for record in records:
                        yield bus_record(record, self._prefix)
        finally:
            await end_quietly(consumer.stop())

    async def lag(self, group: str, topics: Collection[str] = ()) -> int | None:
        with translated():
            async with asyncio.timeout(LAG_TIMEOUT_SECONDS):
                return await self._observer.lag(self._prefix + group, [self._prefix + topic for topic in topics])

    async def ping(self) -> None:
        with translated():
            async with asyncio.timeout(PING_TIMEOUT_SECONDS):
                producer = await self._ready()
                await producer.client.fetch_all_metadata()

    async def close(self) -> None:
        """Closes the producer; readers close their own connections."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end_quietly(producer.stop())
        await self._observer.close()

    async def _send(self, records: Sequence[tuple[str, str, bytes, Mapping[str, str]]]) -> None:
        if not records:
            return
        with translated():
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
        await end_quietly(producer.stop())

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
                    retry_backoff_ms=int(RETRY_SECONDS * 1000),
                )
                try:
                    await producer.start()
                except BaseException:
                    await end_quietly(producer.stop())
                    raise
                self._producer = producer
            return self._producer

    @property
    def _client_id(self) -> str:
        return self._application_name or "samovar"


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
        # Transactions leave markers that take a position and are no records, so the position decides, not the last record.
        while await consumer.position(partition) < ends[partition]:
            fetched = await consumer.getmany(partition, timeout_ms=int(SCAN_WAIT_SECONDS * 1000))
            for record in fetched.get(partition, ()):
                if record.offset < ends[partition]:
                    yield record


def headers_of(event: CloudEvent) -> Mapping[str, str]:
    """The event's attributes for those who sort records without reading them; the content type marks the body as the truth."""
    headers = {
        "content-type": CONTENT_TYPE,
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": event.source,
        "ce_type": event.type,
        "ce_time": moment_text(event.time),
        "ce_partitionkey": event.partition_key,
    }
    if event.subject is not None:
        headers["ce_subject"] = event.subject
    if event.trace_parent is not None:
        headers["ce_traceparent"] = event.trace_parent
    return headers


def partition_by_crc32(key: bytes, partitions: Sequence[int], available: Sequence[int]) -> int:
    """The same as chassis.bus.event_bus.partition_of, and as librdkafka's rule for a key: a topic has one rule for all."""
    del available  # a key's partition must not depend on who is up
    return sorted(partitions)[zlib.crc32(key) % len(partitions)]
