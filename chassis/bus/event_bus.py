"""The port between services: a partitioned log of events, read by groups, at least once, in order within a partition.

Written to by chassis.bus.outbox only, read by chassis.bus.consumers only. Adapters: chassis.bus.kafka_bus (Apache Kafka),
chassis.bus.event_log (PostgreSQL) and tests.fakes.event_bus. Promises: tests/contract/test_event_bus.py.
"""

import zlib
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from chassis.cloudevents.events import CloudEvent
from chassis.errors import DomainError, Kind

PARTITIONS = 8
"""Partitions of a topic: the most consumers of one group that can work on it at once."""

DEAD_LETTER_SUFFIX = ".dlq"
MAX_DESCRIPTION_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a topic that keeps its order."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class BusRecord:
    """One record as stored on the bus. `value` is undecoded: a record that is not a valid event must be reportable too."""

    topic: str
    partition: int
    position: int
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Partition:
        """The partition from which it was read."""
        return Partition(self.topic, self.partition)


class EventReader(Protocol):
    """One member of a group. While it holds a partition no other member gets records of it."""

    async def poll(
        self, *, held: Collection[Partition] = (), max_records: int, wait_seconds: float
    ) -> Sequence[BusRecord]:
        """Records after the committed position of each partition that is free or ours, in order, except of those in `held`
        (somebody is still at work on what they gave). Waits until there are some, until `wake()`, or for the time given.

        Raises:
            OSError, DomainError: the bus became unavailable; the reader is finished, everything uncommitted is delivered again.
        """
        ...

    async def commit(self, record: BusRecord) -> None:
        """Everything in the record's partition up to it is dealt with."""
        ...

    def wake(self) -> None:
        """Ends a wait in `poll`."""
        ...


class EventBus(Protocol):
    """The log."""

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Appends the events, those of one key in the order given. When it returns they are safe; when it raises any part of
        them may be.

        Raises:
            OSError, DomainError: the bus cannot be reached; of the kind INVALID_ARGUMENT: it can, and refuses one of them.
        """
        ...

    def subscribe(self, group: str, topics: Sequence[str]) -> AbstractAsyncContextManager[EventReader]:
        """Joins the group; a group that is new to a topic begins with the oldest event there is."""
        ...

    async def dead_letter(self, record: BusRecord, *, group: str, reason: str, description: str) -> None:
        """Puts the record as it is on `<topic>.dlq`, with headers that name the group that set it aside, and the reason.

        Raises:
            OSError, DomainError: as in `publish`.
        """
        ...

    async def lag(self, group: str, topics: Collection[str] = ()) -> int | None:
        """Records that the group has not dealt with yet, of the topics and of all that it ever joined; of a topic that it is new
        to, all there are. None: nobody ever joined as this group, so that its topics are not known, and none is named.

        Raises:
            OSError, DomainError: the bus cannot be reached.
        """
        ...

    async def resend(self, letter: BusRecord) -> None:
        """Puts a dead letter back as it was, under its old id, on the topic that it came from; the letter stays too."""
        ...

    def scan(self, topic: str) -> AsyncGenerator[BusRecord, None]:
        """Everything that is on the topic now, oldest first within a partition. No group notices."""
        ...

    async def ping(self) -> None:
        """Raises when the bus cannot be reached."""
        ...


def partition_of(key: str) -> int:
    """The partition that a key belongs to."""
    return zlib.crc32(key.encode()) % PARTITIONS


def dead_letter_headers(record: BusRecord, *, group: str, reason: str, description: str) -> dict[str, str]:
    """Return the headers of a dead letter: those of the record, and those that describe why it was set aside."""
    return {
        **record.headers,
        "dlq-group": group,
        "dlq-reason": reason,
        # The text may quote the event, and no store of headers takes NUL.
        "dlq-description": description[:MAX_DESCRIPTION_LENGTH].replace("\0", "\N{REPLACEMENT CHARACTER}"),
        "dlq-topic": record.topic,
        "dlq-partition": str(record.partition),
        "dlq-position": str(record.position),
    }


def origin_of(letter: BusRecord) -> tuple[str, dict[str, str]]:
    """The topic that a dead letter came from, and the headers that it came with.

    Raises:
        ValueError: it is not a dead letter.
    """
    topic = letter.headers.get("dlq-topic")
    if not topic:
        raise ValueError(f"{letter.topic} {letter.partition}/{letter.position} is no dead letter")
    return topic, {name: value for name, value in letter.headers.items() if not name.startswith("dlq-")}


def refused(why: str) -> DomainError:
    """The error of a bus that is there and does not take an event."""
    return DomainError(Kind.INVALID_ARGUMENT, "EVENT_INVALID", details={"description": f"the bus refuses it: {why}"})
