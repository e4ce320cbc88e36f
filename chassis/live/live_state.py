"""Ports of what is hot and can be rebuilt: small live values with a life time, and short event streams that a reader can resume.

Adapters: chassis.live.redis_state (Redis or Valkey), tests.fakes.live_state (tests, one process). Both keep the promises of
tests/contract/test_live_values.py and test_live_streams.py.
"""

import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, Protocol

STREAM_KEPT_SECONDS = 600
"""The time for which a record of a stream can be read again (contract section 4)."""

STREAM_MAX_RECORDS = 10_000
"""More records than this push the oldest ones out before their time."""

STREAM_IDENTITY_KEPT_SECONDS = 86_400
"""The time for which a silent stream remembers its last id, so that a reader who missed nothing need not start over."""

READER_MAX_RECORDS = 1_000
"""Records held for one slow reader; past them it is fed from the stream again instead of from memory."""

Position = tuple[int, int]
"""The position of a record in its stream: milliseconds and a number that distinguishes records of one millisecond."""

_RECORD_ID = re.compile(r"[0-9a-f]{1,16}-[0-9]{1,18}-[0-9]{1,18}")

GapReason = Literal["unknown_id", "expired"]


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record; `id` is `<epoch>-<milliseconds>-<number>`, where the epoch names this life of this stream."""

    id: str
    payload: bytes


class StreamGap(Exception):
    """The reader cannot be given everything after its id and must fetch the whole state anew.

    Attributes:
        reason: `unknown_id` (malformed, of another stream or of an earlier life of this one) or `expired` (too old).
    """

    def __init__(self, reason: GapReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StreamBreak:
    """The gap after which a reader must start anew; `id` is the position from which it misses nothing again."""

    id: str
    reason: GapReason


class LiveValues(Protocol):
    """Mappings of short strings that vanish after their time. Each call is one network round trip.

    Raises:
        DomainError: UNAVAILABLE, SERVICE_UNAVAILABLE when the store cannot be reached.
    """

    async def put(self, key: str, values: Mapping[str, str], *, ttl_seconds: float) -> None:
        """Replaces the whole mapping and its life time; an empty mapping deletes the key."""
        ...

    async def get(self, key: str) -> Mapping[str, str] | None:
        """Return the mapping, or None when the key has none (any more)."""
        ...

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """The mappings that exist, by key; the others are left out."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Forgets the keys; those that do not exist are no error."""
        ...


class LiveStreams(Protocol):
    """Short append-only streams, one for each subject that somebody may watch. Records are kept for ten minutes.

    Raises:
        DomainError: UNAVAILABLE, SERVICE_UNAVAILABLE when the store cannot be reached (`append`, `position`, the start of `read`).
    """

    async def append(self, stream: str, payloads: Sequence[bytes], *, once: str | None = None) -> Sequence[str]:
        """Adds the records in order and returns their ids; all of them or none. `once` names the news: under a name that the
        stream received in the time for which it keeps records, nothing is added and no id returned.
        """
        ...

    async def delete(self, stream: str) -> bool:
        """Forgets the stream with all its records; whether there was one. Its readers meet a gap at the next record."""
        ...

    async def position(self, stream: str) -> str:
        """The id of the last record (or of the beginning). `read(after=position)` misses nothing that is appended later, so
        a caller asks for the position first, then takes its snapshot, then reads.
        """
        ...

    def read(self, stream: str, *, after: str | None) -> AsyncGenerator[StreamRecord]:
        """Every record after the id, then the new ones as they come, without end; None = only what comes from now on.

        Each record once, in order. An outage of the store is waited out. A reader that stops early should close the
        generator (`contextlib.aclosing`): until then the process listens for it.

        Raises:
            StreamGap: at the first step, or later when the store has lost the stream while the reader was disconnected.
        """
        ...


async def followed(streams: LiveStreams, stream: str, *, after: str) -> AsyncGenerator[StreamRecord | StreamBreak]:
    """As `LiveStreams.read`, and on after a gap, which a break replaces. Its id is taken before the reader receives it: what
    happens while the reader fetches the whole state anew comes after it.
    """
    while True:
        try:
            async with aclosing(streams.read(stream, after=after)) as records:
                async for record in records:
                    after = record.id
                    yield record
        except StreamGap as gap:
            after = await streams.position(stream)
            yield StreamBreak(after, gap.reason)


def parse_id(text: str) -> tuple[str, Position]:
    """The epoch and the position of a record's id.

    Raises:
        StreamGap: unknown_id, when it is not one.
    """
    if _RECORD_ID.fullmatch(text) is None:
        raise StreamGap("unknown_id")
    epoch, milliseconds, number = text.split("-")
    return epoch, (int(milliseconds), int(number))
