"""A member of a Kafka consumer group, as the port chassis.bus.event_bus.EventReader: gives records, keeps what is not
committed so that it can be given again, and commits what has been dealt with and nothing else. Created by chassis.bus.kafka_bus.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from logging import getLogger
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from chassis.bus.event_bus import BusRecord, Partition
from chassis.bus.kafka_driver import translated

DRAIN_SECONDS = 3.0
"""The longest wait for the work on a revoked partition to end, so that nothing is done twice without need."""

BEGIN_TIMEOUT_SECONDS = 5.0
FETCH_RECORDS = 500
FETCH_GRACE_SECONDS = 0.05

_log = getLogger(__name__)


class KafkaReader(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
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
        self._rebalancing = True  # until the first partitions are ours
        self._joined = asyncio.Event()
        self._woken = asyncio.Event()

    async def joined(self) -> None:
        """Returns when the first partitions are ours."""
        await self._joined.wait()

    async def poll(
        self, *, held: Collection[Partition] = (), max_records: int, wait_seconds: float
    ) -> Sequence[BusRecord]:
        # Cleared before looking: a wake from here on is not lost.
        self._woken.clear()
        if not self._has_ready(held):
            await self._fetch(wait_seconds)
        return self._take(held, max_records)

    async def commit(self, record: BusRecord) -> None:
        """As the port says. A partition that was revoked meanwhile is not ours to commit: its records are delivered again, here or
        at another member.
        """
        source = record.source
        if record.position >= self._given.get(source, 0) or record.position < self._done.get(source, 0):
            return
        self._done[source] = record.position + 1
        self._waiting[source] = [one for one in self._waiting[source] if one.position > record.position]
        with translated():
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
        try:
            async with asyncio.timeout(BEGIN_TIMEOUT_SECONDS), self._committing:
                await self._begin(assigned)
        except (KafkaError, OSError, TimeoutError) as error:
            _log.info("where a group begins is not marked", extra={"group": self._group, "error": repr(error)})
        self._rebalancing = False
        self._joined.set()
        self._woken.set()

    async def _begin(self, assigned: Collection[Any]) -> None:
        """Marks where the group begins in partitions that it is new to, before anything is given of them: else nobody could say how
        far behind a group is that has dealt with nothing yet.
        """
        committed = await asyncio.gather(*(self._consumer.committed(partition) for partition in assigned))
        new = [partition for partition, offset in zip(assigned, committed, strict=True) if offset is None]
        if new:
            await self._consumer.commit(await self._consumer.beginning_offsets(new))

    async def _fetch(self, wait_seconds: float) -> None:
        """Gets records of the partitions that have none waiting, until there are some, until the time is over or a wake."""
        hungry = [] if self._rebalancing else [self._wire(one) for one, waiting in self._waiting.items() if not waiting]
        if not hungry and not self._rebalancing:
            await self._wait(wait_seconds)
            return
        # During a rebalance too: that is where the driver reports errors.
        fetching = asyncio.ensure_future(self._fetch_once(hungry, wait_seconds))
        waking = asyncio.ensure_future(self._woken.wait())
        both = {fetching, waking}
        try:
            await asyncio.wait(both, timeout=wait_seconds + FETCH_GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            # Awaiting them one by one could not distinguish their cancellation from ours, and would lose ours.
            await asyncio.wait(both)
        if not fetching.cancelled():
            with translated():
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
                bus_record(record, self._prefix) for record in records
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
        """Commits everything that is done. A caller during another's commit waits, and finds its own done or does the next."""
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


def bus_record(record: ConsumerRecord, prefix: str) -> BusRecord:
    return BusRecord(
        topic=record.topic.removeprefix(prefix),
        partition=record.partition,
        position=record.offset,
        key=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        headers={name: value.decode(errors="replace") for name, value in record.headers if value is not None},
    )
