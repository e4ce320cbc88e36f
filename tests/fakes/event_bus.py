"""The event bus in the memory of this process: for unit tests of what publishes and consumes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress

from chassis.bus.event_bus import (
    DEAD_LETTER_SUFFIX,
    PARTITIONS,
    BusRecord,
    Partition,
    dead_letter_headers,
    origin_of,
    partition_of,
)
from chassis.cloudevents.events import CloudEvent, to_wire


class MemoryEventBus:
    """Lists of records by topic, offsets by group. Positions begin at 1."""

    def __init__(self) -> None:
        self._records: defaultdict[Partition, list[BusRecord]] = defaultdict(list)
        self._offsets: defaultdict[tuple[str, Partition], int] = defaultdict(int)
        self._holders: dict[tuple[str, Partition], _MemoryReader] = {}
        self._readers: set[_MemoryReader] = set()

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        for event in events:
            self._append(event.topic, event.partition_key, to_wire(event), {})

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator["_MemoryReader"]:
        reader = _MemoryReader(self, group, tuple(topics))
        self._readers.add(reader)
        for topic in topics:
            for number in range(PARTITIONS):
                self._offsets[(group, Partition(topic, number))] += 0
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._release(reader)

    async def dead_letter(self, record: BusRecord, *, group: str, reason: str, description: str) -> None:
        headers = dead_letter_headers(record, group=group, reason=reason, description=description)
        self._append(record.topic + DEAD_LETTER_SUFFIX, record.key, record.value, headers)

    async def lag(self, group: str, topics: Collection[str] = ()) -> int | None:
        wanted = {source for name, source in self._offsets if name == group}
        wanted |= {Partition(topic, number) for topic in topics for number in range(PARTITIONS)}
        if not wanted:
            return None
        return sum(len(self._records[source]) - self._offsets.get((group, source), 0) for source in wanted)

    async def resend(self, letter: BusRecord) -> None:
        topic, headers = origin_of(letter)
        self._append(topic, letter.key, letter.value, headers)

    async def scan(self, topic: str) -> AsyncGenerator[BusRecord, None]:
        for record in self.records(topic):
            yield record

    async def ping(self) -> None:
        return None

    def records(self, topic: str) -> list[BusRecord]:
        """Everything on the topic, partition by partition: for assertions."""
        return [record for number in range(PARTITIONS) for record in self._records[Partition(topic, number)]]

    def append_raw(self, topic: str, key: str, value: bytes) -> None:
        """Puts bytes on a topic that need not be an event: another team's mistake."""
        self._append(topic, key, value, {})

    def _append(self, topic: str, key: str, value: bytes, headers: dict[str, str]) -> None:
        target = Partition(topic, partition_of(key))
        records = self._records[target]
        records.append(BusRecord(topic, target.number, len(records) + 1, key, value, headers))
        for reader in self._readers:
            reader.wake()

    def _take(self, reader: "_MemoryReader", held: Collection[Partition], max_records: int) -> list[BusRecord]:
        taken: list[BusRecord] = []
        for topic in reader.topics:
            for number in range(PARTITIONS):
                source = Partition(topic, number)
                lease = (reader.group, source)
                if source in held or self._holders.get(lease, reader) is not reader:
                    continue
                pending = self._records[source][self._offsets[lease] :][:max_records]
                if pending:
                    self._holders[lease] = reader
                    taken += pending
                else:
                    self._holders.pop(lease, None)
        return taken

    def _commit(self, group: str, record: BusRecord) -> None:
        key = (group, record.source)
        self._offsets[key] = max(self._offsets[key], record.position)

    def _release(self, reader: "_MemoryReader") -> None:
        for lease in [lease for lease, holder in self._holders.items() if holder is reader]:
            del self._holders[lease]
        for other in self._readers:
            other.wake()


class _MemoryReader:
    def __init__(self, bus: MemoryEventBus, group: str, topics: tuple[str, ...]) -> None:
        self._bus = bus
        self._woken = asyncio.Event()
        self.group = group
        self.topics = topics

    async def poll(
        self, *, held: Collection[Partition] = (), max_records: int, wait_seconds: float
    ) -> Sequence[BusRecord]:
        self._woken.clear()
        taken = self._bus._take(self, held, max_records)
        if not taken:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._woken.wait()
            taken = self._bus._take(self, held, max_records)
        return taken

    async def commit(self, record: BusRecord) -> None:
        self._bus._commit(self.group, record)

    def wake(self) -> None:
        self._woken.set()
