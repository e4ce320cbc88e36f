"""Administration of a Kafka cluster: creates topics (`samovar events topics`, never by accident) and measures the lag of a group
(for chassis.bus.kafka_bus).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from chassis.bus.event_bus import DEAD_LETTER_SUFFIX, PARTITIONS
from chassis.bus.kafka_driver import end_quietly, heed_refusals

RETENTION = timedelta(days=7)
DEAD_LETTER_RETENTION = timedelta(days=30)
REQUEST_TIMEOUT_SECONDS = 30.0
VISIBLE_INTERVAL_SECONDS = 0.05
COORDINATOR_INTERVAL_SECONDS = 0.1


class TopicsNotMade(Exception):
    """The cluster refused, or cannot be reached; the text says which topic and why."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The layout of topics."""

    partitions: int = PARTITIONS
    replicas: int = 1


@asynccontextmanager
async def open_admin(brokers: str) -> AsyncIterator[Any]:
    """The cluster's administration.

    Raises:
        TopicsNotMade: no broker answers.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers, request_timeout_ms=int(REQUEST_TIMEOUT_SECONDS * 1000))
    try:
        try:
            await admin.start()
        except KafkaError as error:
            raise TopicsNotMade(f"no Kafka at {brokers}: {error}") from error
        yield admin
    finally:
        await admin.close()


async def make_topics(brokers: str, topics: Sequence[str], plan: TopicPlan | None = None) -> Mapping[str, bool]:
    """Creates the topics that are missing, each with its dead letters' topic, and waits until every partition of them has a leader
    that answers; returns for each whether it was created. Topics that exist stay as they are.

    Raises:
        TopicsNotMade: one cannot be created.
    """
    plan = plan or TopicPlan()
    wanted = [name for topic in topics for name in (topic, topic + DEAD_LETTER_SUFFIX)]
    async with open_admin(brokers) as admin:
        answer = await admin.create_topics([_new_topic(name, plan) for name in wanted])
        outcome: dict[str, bool] = {}
        for name, code, *rest in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise TopicsNotMade(f"{name}: {error.__name__} {rest[0] if rest and rest[0] else ''}".rstrip())
            outcome[name] = not code
        async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
            while not _have_leaders(await admin.describe_topics(wanted), wanted):  # noqa: ASYNC110  it has no event for it
                await asyncio.sleep(VISIBLE_INTERVAL_SECONDS)
    await _until_leaders_answer(brokers, wanted)
    return outcome


async def delete_topics(brokers: str, topics: Sequence[str]) -> None:
    """Removes the topics with their dead letters' topics and everything on them: for tests."""
    async with open_admin(brokers) as admin:
        await admin.delete_topics([name for topic in topics for name in (topic, topic + DEAD_LETTER_SUFFIX)])


async def delete_topics_with(brokers: str, prefix: str) -> None:
    """Removes every topic whose name begins with the prefix: for environments that come and go on a shared cluster.

    Raises:
        TopicsNotMade: no broker answers.
    """
    async with open_admin(brokers) as admin:
        doomed = [name for name in await admin.list_topics() if name.startswith(prefix)]
        if prefix and doomed:
            await admin.delete_topics(doomed)


class KafkaObserver:
    """Measures groups without being a member of any. Connects when first asked, and again after an error."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._consumer: Any = None
        self._admin: Any = None
        self._turn = asyncio.Lock()

    async def lag(self, group: str, topics: Collection[str] = ()) -> int | None:
        """Records that the group has not dealt with, of the topics and of all others that it ever committed; None if there are
        neither.

        Raises:
            KafkaError: no broker answers.
        """
        async with self._turn:
            try:
                return await self._measure(group, topics)
            except BaseException:
                await self._disconnect()
                raise

    async def close(self) -> None:
        """Ends the connections."""
        async with self._turn:
            await self._disconnect()

    async def _measure(self, group: str, topics: Collection[str]) -> int | None:
        consumer, admin = await self._connected()
        committed = await _committed(admin, group)
        names = {partition.topic for partition in committed} | set(topics)
        if not names:
            return None
        cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001  the public way knows only subscribed topics
        missing = set(topics) - cluster.topics()
        if missing:
            raise UnknownTopicOrPartitionError(", ".join(sorted(missing)))
        partitions = [
            TopicPartition(name, number) for name in names for number in cluster.partitions_for_topic(name) or ()
        ]
        # The driver looks for leaders in its own metadata, which holds the topics that were added to it.
        for name in names:
            consumer._client.add_topic(name)  # noqa: SLF001
        first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        lag = 0
        for partition in partitions:
            known = committed.get(partition)
            begun = known.offset if known is not None and known.offset >= 0 else first[partition]
            lag += max(end[partition] - max(begun, first[partition]), 0)
        return lag

    async def _connected(self) -> tuple[Any, Any]:
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(bootstrap_servers=self._brokers, enable_auto_commit=False)
            self._admin = AIOKafkaAdminClient(bootstrap_servers=self._brokers)
            heed_refusals(self._admin._client)  # noqa: SLF001  no public way either
            await self._consumer.start()
            await self._admin.start()
        return self._consumer, self._admin

    async def _disconnect(self) -> None:
        consumer, admin, self._consumer, self._admin = self._consumer, self._admin, None, None
        if consumer is not None:
            await end_quietly(consumer.stop())
        if admin is not None:
            await end_quietly(admin.close())


async def _committed(admin: Any, group: str) -> Mapping[Any, Any]:
    """Return the group's positions. Asks again while its coordinator starts: on a new cluster the first request creates it."""
    while True:
        try:
            found: Mapping[Any, Any] = await admin.list_consumer_group_offsets(group)
        except BrokerResponseError as error:
            if not error.retriable:
                raise
        else:
            return found
        await asyncio.sleep(COORDINATOR_INTERVAL_SECONDS)


def _have_leaders(described: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> bool:
    with_leaders = {
        topic["topic"]
        for topic in described
        if not topic["error_code"]
        and topic["partitions"]
        and all(not partition["error_code"] and partition["leader"] >= 0 for partition in topic["partitions"])
    }
    return set(wanted) <= with_leaders


async def _until_leaders_answer(brokers: str, topics: Sequence[str]) -> None:
    """A broker learns its new partitions a moment after the metadata say that it leads them; until then it refuses everything
    about them, and a program that publishes or reads at once would take that for an outage.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers, enable_auto_commit=False, request_timeout_ms=int(REQUEST_TIMEOUT_SECONDS * 1000)
    )
    try:
        await consumer.start()
        cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001  the public way knows only subscribed topics
        for topic in topics:
            consumer._client.add_topic(topic)  # noqa: SLF001  else its leaders are forgotten at the next refresh
        await consumer.end_offsets(
            [TopicPartition(topic, number) for topic in topics for number in cluster.partitions_for_topic(topic) or ()]
        )  # tried again by the driver while the leader refuses
    except KafkaError as error:
        raise TopicsNotMade(f"their leaders do not answer: {error!r}") from error
    finally:
        await end_quietly(consumer.stop())


def _new_topic(name: str, plan: TopicPlan) -> Any:
    kept = DEAD_LETTER_RETENTION if name.endswith(DEAD_LETTER_SUFFIX) else RETENTION
    # With three replicas a write is safe when two have it; with one there is nothing to wait for.
    settings = {
        "retention.ms": str(int(kept.total_seconds() * 1000)),
        "min.insync.replicas": str(max(plan.replicas - 1, 1)),
    }
    return NewTopic(name, plan.partitions, plan.replicas, topic_configs=settings)
