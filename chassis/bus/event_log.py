"""The event bus as an append-only log in a PostgreSQL database of its own (`events`): the embedded platform's place of Kafka.

Appends to a partition happen under an advisory lock that is held until the commit, so the order of ids is the order of commits and
a reader that goes by ids can never miss one. Readers of a group lease partitions by advisory locks of their session: when a
process dies, its leases are free at once. NOTIFY wakes readers; polling is only the safety net.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from logging import getLogger
from typing import Any

import asyncpg
import orjson

from chassis.bus.event_bus import (
    DEAD_LETTER_SUFFIX,
    PARTITIONS,
    BusRecord,
    Partition,
    dead_letter_headers,
    origin_of,
    partition_of,
    refused,
)
from chassis.cloudevents.events import CloudEvent, to_wire
from chassis.concurrency.background import background, repeat
from chassis.postgres.advisory_locks import lock_key
from chassis.postgres.database import CONNECT_TIMEOUT_SECONDS, close_quietly, unavailable
from chassis.postgres.migrations import ensure_database

CHANNEL = "event_log"
"""NOTIFY channel on which an append wakes the readers of its topics."""

NOTIFICATION_LIMIT = 7_000
"""Characters; PostgreSQL takes no more than 7,999 bytes."""

COMMAND_TIMEOUT_SECONDS = 30.0
RETENTION = timedelta(days=7)
HOUSEKEEPING_INTERVAL_SECONDS = 600.0
DELETE_BATCH_ROWS = 5_000
SCAN_BATCH_ROWS = 500
PUBLISH_CONNECTIONS = 4

_log = getLogger(__name__)

Row = tuple[str, int, str, bytes, str]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    topic text NOT NULL,
    partition integer NOT NULL,
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    value bytea NOT NULL,
    headers jsonb NOT NULL,
    appended_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, id)
);
CREATE INDEX IF NOT EXISTS log_appended_at ON log (appended_at);
CREATE TABLE IF NOT EXISTS offsets (
    "group" text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    id bigint NOT NULL DEFAULT 0,
    PRIMARY KEY ("group", topic, partition)
);
"""

_LOCK_PARTITIONS = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k"

# The identity is drawn after the sort, so ids follow the order of the arrays.
_APPEND = """
INSERT INTO log (topic, partition, key, value, headers)
SELECT topic, partition, key, value, headers::jsonb
FROM unnest($1::text[], $2::integer[], $3::text[], $4::bytea[], $5::text[])
    WITH ORDINALITY AS new (topic, partition, key, value, headers, ordinal)
ORDER BY ordinal
"""

_JOIN_GROUP = """
INSERT INTO offsets ("group", topic, partition)
SELECT $1, topic, partition FROM unnest($2::text[]) AS topic, generate_series(0, $3::integer - 1) AS partition
ON CONFLICT DO NOTHING
"""

_PENDING = """
SELECT o.topic, o.partition FROM offsets o
WHERE o."group" = $1 AND o.topic = ANY ($2::text[])
    AND EXISTS (SELECT FROM log l WHERE l.topic = o.topic AND l.partition = o.partition AND l.id > o.id)
"""

_LEASE = "SELECT k FROM unnest($1::bigint[]) AS k WHERE pg_try_advisory_lock(k)"
_RELEASE = "SELECT pg_advisory_unlock(k) FROM unnest($1::bigint[]) AS k"

# A statement of its own, after the lease: only then is the offset the one that the last holder left.
_FETCH = """
SELECT l.topic, l.partition, l.id, l.key, l.value, l.headers
FROM unnest($2::text[], $3::integer[]) AS wanted (topic, partition)
JOIN offsets o ON o."group" = $1 AND o.topic = wanted.topic AND o.partition = wanted.partition
CROSS JOIN LATERAL (
    SELECT * FROM log
    WHERE log.topic = o.topic AND log.partition = o.partition AND log.id > o.id
    ORDER BY log.id LIMIT $4
) l
ORDER BY l.topic, l.partition, l.id
"""

_SCAN = """
SELECT topic, partition, id, key, value, headers FROM log
WHERE topic = $1 AND (partition, id) > ($2, $3) ORDER BY partition, id LIMIT $4
"""

_NOTIFY = f"SELECT pg_notify('{CHANNEL}', $1)"

_COMMIT = """
UPDATE offsets AS known SET id = done.id
FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS done (topic, partition, id)
WHERE known."group" = $1 AND known.topic = done.topic AND known.partition = done.partition AND known.id < done.id
"""

_DELETE_OLD = """
DELETE FROM log WHERE (topic, partition, id) IN (
    SELECT topic, partition, id FROM log WHERE appended_at < now() - $1::interval ORDER BY appended_at LIMIT $2
)
"""

_LAG = """
WITH positions AS (
    SELECT topic, partition, max(id) AS id
    FROM (
        SELECT topic, partition, id FROM offsets WHERE "group" = $1
        UNION ALL
        SELECT topic, partition, 0 FROM unnest($2::text[]) AS topic, generate_series(0, $3::integer - 1) AS partition
    ) known
    GROUP BY topic, partition
)
SELECT count(l.id)
FROM positions p LEFT JOIN log l ON l.topic = p.topic AND l.partition = p.partition AND l.id > p.id
HAVING count(*) > 0
"""


@asynccontextmanager
async def open_event_log(dsn: str, *, application_name: str = "") -> AsyncIterator["PostgresEventLog"]:
    """The log in the database that the DSN names; the database and its tables are created when first needed."""
    log = PostgresEventLog(dsn, application_name=application_name)
    try:
        async with background(repeat("event log", log.delete_old, pause_seconds=HOUSEKEEPING_INTERVAL_SECONDS)):
            yield log
    finally:
        await log.close()


class PostgresEventLog:
    """The EventBus adapter; created by `open_event_log`."""

    def __init__(self, dsn: str, *, application_name: str = "", retention: timedelta = RETENTION) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._retention = retention
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """As the port says, and here all of the events or none: they are one transaction."""
        rows = [
            (event.topic, partition_of(event.partition_key), event.partition_key, to_wire(event), "{}")
            for event in events
        ]
        await self._append(rows)

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator["_LogReader"]:
        await self._ready()
        with _translated():
            # Records that a reader loses in a crash of the server are delivered again, as after a crash of the reader.
            connection = await self._connect(f"{self._application_name} {group}", synchronous_commit="off")
        try:
            with _translated():
                await connection.execute(_JOIN_GROUP, group, list(topics), PARTITIONS)
                reader = _LogReader(connection, group, topics)
                await connection.add_listener(CHANNEL, reader.on_append)
                connection.add_termination_listener(reader.on_termination)
            yield reader
        finally:
            await close_quietly(connection)

    async def dead_letter(self, record: BusRecord, *, group: str, reason: str, description: str) -> None:
        headers = dead_letter_headers(record, group=group, reason=reason, description=description)
        row = (
            record.topic + DEAD_LETTER_SUFFIX,
            record.partition,
            record.key,
            record.value,
            orjson.dumps(headers).decode(),
        )
        await self._append([row])

    async def ping(self) -> None:
        pool = await self._ready()
        with _translated():
            await pool.execute("SELECT 1")

    async def lag(self, group: str, topics: Collection[str] = ()) -> int | None:
        pool = await self._ready()
        with _translated():
            found: int | None = await pool.fetchval(_LAG, group, list(topics), PARTITIONS)
            return found

    async def resend(self, letter: BusRecord) -> None:
        topic, headers = origin_of(letter)
        row = (topic, partition_of(letter.key), letter.key, letter.value, orjson.dumps(headers).decode())
        await self._append([row])

    async def scan(self, topic: str) -> AsyncGenerator[BusRecord, None]:
        pool = await self._ready()
        last = (-1, 0)
        while True:
            with _translated():
                rows = await pool.fetch(_SCAN, topic, *last, SCAN_BATCH_ROWS)
            if not rows:
                return
            for row in rows:
                yield _record(row)
            last = (rows[-1]["partition"], rows[-1]["id"])

    async def append_raw(self, topic: str, key: str, value: bytes) -> None:
        """Puts bytes on a topic that need not be an event: for tests of what readers do with another team's mistake."""
        await self._append([(topic, partition_of(key), key, value, "{}")])

    async def delete_old(self) -> int:
        """Drops what is older than the retention and returns how many records that were."""
        pool = await self._ready()
        deleted = 0
        with _translated():
            while True:
                status = await pool.execute(_DELETE_OLD, self._retention, DELETE_BATCH_ROWS)
                rows = int(status.rpartition(" ")[2])
                deleted += rows
                if rows < DELETE_BATCH_ROWS:
                    return deleted

    async def close(self) -> None:
        """Closes the publishing connections; readers close their own."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _append(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        pool = await self._ready()
        # Sorted, so that two publishers never wait for each other crosswise.
        locks = sorted({lock_key("append", row[0], str(row[1])) for row in rows})
        columns = [list(column) for column in zip(*rows, strict=True)]
        with _translated():
            async with pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection, connection.transaction():
                await connection.execute(_LOCK_PARTITIONS, locks)
                await connection.execute(_APPEND, *columns)
                await connection.execute(_NOTIFY, _told(row[0] for row in rows))

    async def _ready(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                with _translated():
                    await ensure_database(self._dsn)
                    await self._create_tables()
                    self._pool = await asyncpg.create_pool(
                        self._dsn,
                        min_size=0,
                        max_size=PUBLISH_CONNECTIONS,
                        timeout=CONNECT_TIMEOUT_SECONDS,
                        command_timeout=COMMAND_TIMEOUT_SECONDS,
                        server_settings=self._server_settings(self._application_name),
                        reset=_keep_as_it_is,
                    )
            return self._pool

    async def _create_tables(self) -> None:
        connection = await self._connect(self._application_name)
        try:
            if await connection.fetchval("SELECT to_regclass('offsets') IS NOT NULL"):
                return
            async with connection.transaction():
                await connection.execute(f"SELECT pg_advisory_xact_lock({lock_key('event log tables')})")
                await connection.execute(_SCHEMA)
        finally:
            await close_quietly(connection)

    async def _connect(self, application_name: str, **settings: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings={**self._server_settings(application_name), **settings},
        )

    @staticmethod
    def _server_settings(application_name: str) -> dict[str, str]:
        return {"application_name": application_name.strip()[:63], "jit": "off"}


class _LogReader:
    """One member of a group: one connection that listens, holds the leases, reads and commits."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", group: str, topics: Collection[str]) -> None:
        self._connection = connection
        self._group = group
        self._topics = frozenset(topics)
        self._leases: set[Partition] = set()
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()  # a connection does one thing at a time
        self._done: dict[Partition, int] = {}

    async def poll(
        self, *, held: Collection[Partition] = (), max_records: int, wait_seconds: float
    ) -> Sequence[BusRecord]:
        # Cleared before looking: what is appended from here on wakes us, what was appended earlier is found.
        self._woken.clear()
        records = await self._take(held, max_records)
        if records:
            return records
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await self._woken.wait()
        return await self._take(held, max_records)

    async def commit(self, record: BusRecord) -> None:
        self._done[record.source] = record.position
        async with self._turn:
            # The task that has the turn commits for all that wait for theirs.
            done, self._done = self._done, {}
            if done:
                topics, numbers = [each.topic for each in done], [each.number for each in done]
                with _translated():
                    await self._connection.execute(_COMMIT, self._group, topics, numbers, list(done.values()))

    def wake(self) -> None:
        self._woken.set()

    def on_append(self, _connection: object, _pid: object, _channel: object, told: object) -> None:
        """Called by the driver for each notification, which names topics, or means all of them."""
        if not told or not self._topics.isdisjoint(str(told).split()):
            self._woken.set()

    def on_termination(self, *_: object) -> None:
        """Called by the driver when the connection is lost; the next query reports it to the caller."""
        self._woken.set()

    async def _take(self, held: Collection[Partition], max_records: int) -> list[BusRecord]:
        async with self._turn:
            with _translated():
                rows = await self._connection.fetch(_PENDING, self._group, list(self._topics))
                pending = {Partition(row["topic"], row["partition"]) for row in rows}
                await self._release([lease for lease in self._leases if lease not in pending and lease not in held])
                await self._lease([partition for partition in pending if partition not in self._leases])
                ready = [partition for partition in self._leases if partition in pending and partition not in held]
                if not ready:
                    return []
                topics, numbers = [partition.topic for partition in ready], [partition.number for partition in ready]
                rows = await self._connection.fetch(_FETCH, self._group, topics, numbers, max_records)
                return [_record(row) for row in rows]

    async def _lease(self, partitions: Sequence[Partition]) -> None:
        if partitions:
            keys = {self._lease_key(partition): partition for partition in partitions}
            rows = await self._connection.fetch(_LEASE, list(keys))
            self._leases.update(keys[row["k"]] for row in rows)

    async def _release(self, partitions: Sequence[Partition]) -> None:
        if partitions:
            await self._connection.execute(_RELEASE, [self._lease_key(partition) for partition in partitions])
            self._leases.difference_update(partitions)

    def _lease_key(self, partition: Partition) -> int:
        return lock_key("lease", self._group, partition.topic, str(partition.number))


def _told(topics: Iterable[str]) -> str:
    """Return the payload of an append's notification: the topics; empty when they do not fit into one notification."""
    told = " ".join(sorted(set(topics)))
    return told if len(told) <= NOTIFICATION_LIMIT else ""


async def _keep_as_it_is(_connection: object) -> None:
    """Reset nothing: all that a publisher leaves on a connection ends with its transaction."""


def _record(row: Any) -> BusRecord:
    return BusRecord(
        topic=row["topic"],
        partition=row["partition"],
        position=row["id"],
        key=row["key"],
        value=row["value"],
        headers=orjson.loads(row["headers"]),
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Driver errors become DomainError: to a publisher and to a reader they mean that the log is unavailable now, except for those
    which mean that the server cannot hold such a value.
    """
    try:
        yield
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        raise refused(type(error).__name__) from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unavailable() from error
