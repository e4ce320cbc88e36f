"""Live values and live streams in the memory of this process, with the promises of chassis.live.live_state. For unit tests and
tools.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chassis.live.live_state import STREAM_KEPT_SECONDS, STREAM_MAX_RECORDS, Position, StreamGap, StreamRecord, parse_id

Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryLiveValues:
    """LiveValues in a dict."""

    def __init__(self, now: Clock = _utc_now) -> None:
        self._now = now
        self._entries: dict[str, tuple[datetime, dict[str, str]]] = {}

    async def put(self, key: str, values: Mapping[str, str], *, ttl_seconds: float) -> None:
        if values:
            self._entries[key] = (self._now() + timedelta(seconds=ttl_seconds), dict(values))
        else:
            self._entries.pop(key, None)

    async def get(self, key: str) -> Mapping[str, str] | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        until, values = entry
        if until <= self._now():
            del self._entries[key]
            return None
        return dict(values)

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found = {key: await self.get(key) for key in keys}
        return {key: values for key, values in found.items() if values is not None}

    async def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._entries.pop(key, None)


@dataclass(slots=True)
class _Stream:
    epoch: str
    last: Position = (0, 0)
    floor: Position = (0, 0)  # the newest record that is gone
    records: deque[tuple[Position, bytes]] = field(default_factory=deque)
    told: dict[str, int] = field(default_factory=dict)  # milliseconds by name
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def id_of(self, position: Position) -> str:
        return f"{self.epoch}-{position[0]}-{position[1]}"


class MemoryLiveStreams:
    """LiveStreams in deques."""

    def __init__(
        self, now: Clock = _utc_now, *, kept_seconds: float = STREAM_KEPT_SECONDS, max_records: int = STREAM_MAX_RECORDS
    ) -> None:
        self._now = now
        self._kept_ms = int(kept_seconds * 1000)
        self._max_records = max_records
        self._streams: dict[str, _Stream] = {}

    async def append(self, stream: str, payloads: Sequence[bytes], *, once: str | None = None) -> Sequence[str]:
        target = self._stream(stream)
        now_ms = self._now_ms()
        oldest_ms = now_ms - self._kept_ms
        target.told = {name: told_ms for name, told_ms in target.told.items() if told_ms > oldest_ms}
        if once is not None and payloads:
            if once in target.told:
                return []
            target.told[once] = now_ms
        ids = []
        for payload in payloads:
            last_ms, last_number = target.last
            target.last = (now_ms, 0) if now_ms > last_ms else (last_ms, last_number + 1)
            target.records.append((target.last, payload))
            ids.append(target.id_of(target.last))
        while target.records and (target.records[0][0][0] < oldest_ms or len(target.records) > self._max_records):
            target.floor = target.records.popleft()[0]
        if ids:
            # Each waiting reader holds the event of its time: set it, and let the next ones wait on a new one.
            target.grown.set()
            target.grown = asyncio.Event()
        return ids

    async def delete(self, stream: str) -> bool:
        was_there = stream in self._streams
        self.forget(stream)
        return was_there

    async def position(self, stream: str) -> str:
        target = self._stream(stream)
        return target.id_of(target.last)

    async def read(self, stream: str, *, after: str | None) -> AsyncGenerator[StreamRecord]:
        target = self._stream(stream)
        seen = target.last if after is None else _checked(target, after)
        while True:
            grown = target.grown
            if self._streams.get(stream) is not target:
                raise StreamGap("unknown_id")
            if target.floor > seen:
                raise StreamGap("expired")
            for position, payload in [record for record in target.records if record[0] > seen]:
                seen = position
                yield StreamRecord(target.id_of(position), payload)
            if target.last == seen:
                await grown.wait()

    def forget(self, stream: str) -> None:
        """Loses the stream, as a store without persistence does when it restarts."""
        lost = self._streams.pop(stream, None)
        if lost is not None:
            lost.grown.set()

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            self._streams[name] = _Stream(epoch=secrets.token_hex(4))
        return self._streams[name]

    def _now_ms(self) -> int:
        return int(self._now().timestamp() * 1000)


def _checked(stream: _Stream, after: str) -> Position:
    epoch, position = parse_id(after)
    if epoch != stream.epoch or position > stream.last:
        raise StreamGap("unknown_id")
    if position < stream.floor:
        raise StreamGap("expired")
    known = position in {stream.floor, stream.last} or any(record[0] == position for record in stream.records)
    if not known:
        raise StreamGap("unknown_id")
    return position
