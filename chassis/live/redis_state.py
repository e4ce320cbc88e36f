"""Live values and live streams in Redis or Valkey. Commands share one connection (chassis.live.redis_link).

A stream is a Redis stream with a small hash beside it (its epoch, its last id, the newest id that is gone). Readers of one process
share another connection: each append is also published on the stream's channel, and what a reader misses there (an outage, a
full queue) it reads from the stream. A blocking XREAD would have to name every watched stream again after each record.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from chassis.concurrency.background import background
from chassis.errors import DomainError, Kind
from chassis.live.live_state import (
    STREAM_IDENTITY_KEPT_SECONDS,
    STREAM_KEPT_SECONDS,
    STREAM_MAX_RECORDS,
    Position,
    StreamGap,
    StreamRecord,
    parse_id,
)
from chassis.live.redis_link import RedisLink, Script, ServerUnableError
from chassis.live.redis_tailer import StreamTailer

CONNECT_TIMEOUT_SECONDS = 2.0
ANSWER_TIMEOUT_SECONDS = 2.0
MAX_CONNECTIONS = 32
HEALTH_CHECK_SECONDS = 15.0
POOL_TIMEOUT_SECONDS = 2.0
CATCH_UP_RECORDS = 500
_AWAY = (
    *(RedisConnectionError, RedisTimeoutError, OSError, TimeoutError),
    *(ReadOnlyError, ClusterDownError, ServerUnableError),
)
RETRY_AFTER_SECONDS = 1.0
OUTAGE_DELAY_SECONDS = 0.2

# KEYS: records, identity. Returns how many of them there were.
_DELETE = Script("return redis.call('DEL', KEYS[1], KEYS[2])")

# KEYS: records, identity, and, for records published only once, their mark. ARGV: new epoch, kept ms, identity kept ms, max
# records, channel, payloads... Returns {epoch, id...}, or nothing where the mark was.
# Everything that is trimmed leaves its newest id as `floor`, so that an earlier reader can be notified.
_APPEND = Script(
    """
if KEYS[3] and not redis.call('SET', KEYS[3], '', 'NX', 'PX', ARGV[2]) then
  return {}
end
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'last', '0-0', 'floor', '0-0')
end
local last = redis.call('HGET', KEYS[2], 'last')
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[2], 'floor', last)
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local last_ms, last_number = string.match(last, '(%d+)-(%d+)')
last_ms = tonumber(last_ms)
last_number = tonumber(last_number)
local answer = {epoch}
for index = 6, #ARGV do
  if now > last_ms then
    last_ms = now
    last_number = 0
  else
    last_number = last_number + 1
  end
  local id = string.format('%.0f-%.0f', last_ms, last_number)
  redis.call('XADD', KEYS[1], id, 'p', ARGV[index])
  redis.call('PUBLISH', ARGV[5], epoch .. ' ' .. id .. ' ' .. ARGV[index])
  answer[#answer + 1] = id
end
redis.call('HSET', KEYS[2], 'last', string.format('%.0f-%.0f', last_ms, last_number))
local cutoff = string.format('%.0f', now - tonumber(ARGV[2]))
local old = redis.call('XREVRANGE', KEYS[1], '(' .. cutoff .. '-0', '-', 'COUNT', 1)
if #old > 0 then
  redis.call('HSET', KEYS[2], 'floor', old[1][1])
  redis.call('XTRIM', KEYS[1], 'MINID', cutoff)
end
local surplus = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[4])
if surplus > 0 then
  local gone = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', surplus)
  redis.call('HSET', KEYS[2], 'floor', gone[#gone][1])
  redis.call('XTRIM', KEYS[1], 'MAXLEN', tonumber(ARGV[4]))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return answer
"""
)

# KEYS: records, identity. ARGV: new epoch, identity kept ms. Returns {epoch, last, floor}; floor is last when all records are gone.
_IDENTITY = Script(
    """
local known = redis.call('HMGET', KEYS[2], 'epoch', 'last', 'floor')
if not known[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'last', '0-0', 'floor', '0-0')
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return {ARGV[1], '0-0', '0-0'}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  known[3] = known[2]
end
return known
"""
)

# KEYS: the mapping. ARGV: its milliseconds, names and values in turn.
_PUT = Script(
    """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.status_reply('OK')
"""
)


@dataclass(frozen=True, slots=True)
class RedisState:
    """The parts of the live state that a program gets from one Redis."""

    values: "RedisLiveValues"
    streams: "RedisLiveStreams"
    client: "Redis"
    link: RedisLink

    async def ping(self) -> None:
        """One round trip: for readiness."""
        with _translated():
            await self.link.call("PING")


@asynccontextmanager
async def open_redis_state(
    address: str, *, password: str = "", database: int = 0, prefix: str = ""
) -> AsyncIterator[RedisState]:
    """The live state in the Redis at `host:port` or `redis://…`. Connects when first used. Keys and channels begin with `prefix`,
    for environments that share a server.
    """
    client = _client(address, password, database)
    async with open_link(client) as link:
        streams = RedisLiveStreams(client, link, prefix=prefix)
        try:
            async with background(streams.tail()):
                yield RedisState(RedisLiveValues(link, prefix), streams, client, link)
        finally:
            await client.aclose()


@asynccontextmanager
async def open_link(client: "Redis", *, answer_seconds: float = ANSWER_TIMEOUT_SECONDS) -> AsyncIterator[RedisLink]:
    """A link to the server of the client, which defines how to connect. It waits `answer_seconds` for an answer."""
    made: list[Connection] = []

    async def connect(protocol: asyncio.Protocol) -> asyncio.Transport:
        for old in made:
            await old.disconnect(nowait=True)
        connection: _Cancellable = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        made[:] = [connection]
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection.taken_over_by(protocol)

    link = RedisLink(connect, answer_seconds=answer_seconds)
    try:
        yield link
    finally:
        await link.close()
        for connection in made:
            await connection.disconnect(nowait=True)


@asynccontextmanager
async def open_redis(
    address: str, *, password: str = "", database: int = 0, answer_seconds: float = ANSWER_TIMEOUT_SECONDS
) -> AsyncIterator["Redis"]:
    """A bare client for other uses than the live state; it waits `answer_seconds` for anything. Connects when first used."""
    client = _client(address, password, database, answer_seconds)
    try:
        yield client
    finally:
        await client.aclose()


class _Cancellable(Connection):
    """A connection whose users can be cancelled. redis-py writes under asyncio.wait_for, which before Python 3.12 loses a
    cancellation that comes in the moment in which the write ends: a loop around the call would go on for ever.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002  theirs
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        await super().send_packed_command(command, check_health)
        if task is not None and task.cancelling() > before:
            await self.disconnect(nowait=True)  # the answer will come, and nobody will read it
            raise asyncio.CancelledError

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        if self._writer is None:
            # Another task found it broken, and closed it, while this one waited for its turn to write.
            raise RedisConnectionError("the connection was closed")
        await super()._send_packed_command(command)

    def taken_over_by(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Gives what comes from now on to the protocol."""
        assert self._writer is not None  # noqa: S101  it is connected
        transport: asyncio.Transport = self._writer.transport  # type: ignore[assignment]
        transport.set_protocol(protocol)
        return transport


class _CancellableOverTls(_Cancellable, SSLConnection):
    pass


def _client(address: str, password: str, database: int, answer_seconds: float = ANSWER_TIMEOUT_SECONDS) -> "Redis":
    url = address if "://" in address else f"redis://{address}/{database}"
    pool = BlockingConnectionPool.from_url(
        url,
        password=password or None,
        max_connections=MAX_CONNECTIONS,
        timeout=min(answer_seconds, POOL_TIMEOUT_SECONDS),
        socket_connect_timeout=min(answer_seconds, CONNECT_TIMEOUT_SECONDS),
        socket_timeout=answer_seconds,
        health_check_interval=HEALTH_CHECK_SECONDS,
        protocol=2,
        # One more try at once: a pooled connection may be stale after a restart of the server.
        retry=Retry(NoBackoff(), 1),
    )
    pool.connection_class = _CancellableOverTls if pool.connection_class is SSLConnection else _Cancellable
    return Redis.from_pool(pool)


class RedisLiveValues:
    """LiveValues as hashes with a life time."""

    def __init__(self, link: RedisLink, prefix: str = "") -> None:
        self._link = link
        self._prefix = prefix

    async def put(self, key: str, values: Mapping[str, str], *, ttl_seconds: float) -> None:
        key = self._prefix + key
        with _translated():
            if values:
                words = [word for pair in values.items() for word in pair]
                await self._link.run(_PUT, [key], [max(1, int(ttl_seconds * 1000)), *words])
            else:
                await self._link.call("DEL", key)

    async def get(self, key: str) -> Mapping[str, str] | None:
        with _translated():
            return _decoded(await self._link.call("HGETALL", self._prefix + key))

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        if not keys:
            return {}
        with _translated():
            answers = await self._link.call_all([("HGETALL", self._prefix + key) for key in keys])
        found = {key: _decoded(answer) for key, answer in zip(keys, answers, strict=True)}
        return {key: values for key, values in found.items() if values is not None}

    async def delete(self, keys: Iterable[str]) -> None:
        wanted = list(keys)
        if not wanted:
            return
        with _translated():
            await self._link.call("UNLINK", *(self._prefix + key for key in wanted))


class RedisLiveStreams:
    """LiveStreams as Redis streams with a channel each."""

    def __init__(
        self,
        client: "Redis",
        link: RedisLink,
        *,
        prefix: str = "",
        kept_seconds: float = STREAM_KEPT_SECONDS,
        max_records: int = STREAM_MAX_RECORDS,
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._kept_ms = int(kept_seconds * 1000)
        self._max_records = max_records
        self._tailer = StreamTailer(client)

    async def tail(self) -> None:
        """Feeds the readers for as long as the state is open; run as a task beside them."""
        await self._tailer.run()

    async def append(self, stream: str, payloads: Sequence[bytes], *, once: str | None = None) -> Sequence[str]:
        if not payloads:
            return []
        records, identity, channel = _keys(self._prefix + stream)
        keys = [records, identity] if once is None else [records, identity, f"{records}:once:{once}"]
        limits = [self._kept_ms, STREAM_IDENTITY_KEPT_SECONDS * 1000, self._max_records]
        with _translated():
            answer = await self._link.run(_APPEND, keys, [secrets.token_hex(4), *limits, channel, *payloads])
        epoch, *ids = [part.decode() for part in answer] or [""]
        return [f"{epoch}-{entry}" for entry in ids]

    async def delete(self, stream: str) -> bool:
        records, identity, _ = _keys(self._prefix + stream)
        with _translated():
            return int(await self._link.run(_DELETE, [records, identity], [])) > 0

    async def position(self, stream: str) -> str:
        epoch, last, _ = await self._identity(self._prefix + stream)
        return f"{epoch}-{last[0]}-{last[1]}"

    async def read(self, stream: str, *, after: str | None) -> AsyncGenerator[StreamRecord]:
        stream = self._prefix + stream
        async with self._tailer.watch(_keys(stream)[2]) as watcher:
            # Watched first, looked up then: what is appended in between comes twice and is given once.
            epoch, seen = await self._start(stream, after)
            watcher.miss()
            while True:
                came = await watcher.records.get()
                if watcher.has_missed:
                    watcher.has_missed = False
                    try:
                        found = await self._catch_up(stream, epoch, seen)
                    except DomainError:
                        # The store is unavailable: the reader waits for it, as promised.
                        await asyncio.sleep(OUTAGE_DELAY_SECONDS)
                        watcher.miss()
                        continue
                    if len(found) == CATCH_UP_RECORDS:
                        watcher.miss()
                    for position, payload in found:
                        seen = position
                        yield StreamRecord(f"{epoch}-{position[0]}-{position[1]}", payload)
                elif came.epoch != epoch:
                    # The store began the stream anew behind our back.
                    raise StreamGap("unknown_id")
                elif came.position > seen:
                    seen = came.position
                    yield StreamRecord(f"{epoch}-{seen[0]}-{seen[1]}", came.payload)

    async def _start(self, stream: str, after: str | None) -> tuple[str, Position]:
        epoch, last, floor = await self._identity(stream)
        if after is None:
            return epoch, last
        after_epoch, position = parse_id(after)
        if after_epoch != epoch or position > last:
            raise StreamGap("unknown_id")
        if position < floor:
            raise StreamGap("expired")
        if position not in {floor, last}:
            entry = f"{position[0]}-{position[1]}"
            with _translated():
                known = await self._link.call("XRANGE", _keys(stream)[0], entry, entry)
            if not known:
                raise StreamGap("unknown_id")
        return epoch, position

    async def _catch_up(self, stream: str, epoch: str, seen: Position) -> list[tuple[Position, bytes]]:
        with _translated():
            start = f"({seen[0]}-{seen[1]}"
            rows = await self._link.call("XRANGE", _keys(stream)[0], start, "+", "COUNT", CATCH_UP_RECORDS)
        # Asked after the records were read: what was trimmed in between is noticed.
        now_epoch, _, floor = await self._identity(stream)
        if now_epoch != epoch:
            raise StreamGap("unknown_id")
        if floor > seen:
            raise StreamGap("expired")
        # The only field of a record is its payload.
        return [(_position(entry), payload) for entry, (_, payload) in rows]

    async def _identity(self, stream: str) -> tuple[str, Position, Position]:
        records, identity, _ = _keys(stream)
        with _translated():
            arguments: list[str | int] = [secrets.token_hex(4), STREAM_IDENTITY_KEPT_SECONDS * 1000]
            epoch, last, floor = await self._link.run(_IDENTITY, [records, identity], arguments)
        return epoch.decode(), _position(last), _position(floor)


def _keys(stream: str) -> tuple[str, str, str]:
    """Records, identity and channel of a stream: one hash slot, the stream's own tag if it has one."""
    tagged = stream if "{" in stream else f"{{{stream}}}"
    return f"live_stream:{tagged}", f"live_stream:{tagged}:identity", f"live_stream:{tagged}:channel"


def _position(entry: bytes) -> Position:
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)


def _decoded(answer: Sequence[bytes]) -> Mapping[str, str] | None:
    """A hash, which comes as names and values in turn."""
    words = [word.decode() for word in answer]
    return dict(zip(words[::2], words[1::2], strict=True)) or None


class _translated:  # noqa: N801  used like a function; a generator's context manager costs several times as much
    """Failures to reach the server, and what it cannot do for now, become DomainError; mistakes in commands stay what they are."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _AWAY):
            raise DomainError(
                Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=RETRY_AFTER_SECONDS
            ) from error
