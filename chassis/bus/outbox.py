"""The relay: takes committed events from a service's outbox to the bus. The only producer; one is active per database, the others
stand by. Run by a service's main beside its server.

At least once: an event is marked only after the bus has it, so a crash in between sends it again under the same id. An event that
the bus refuses, or that cannot be read, is set aside in its row with the reason and tried again from time to time; those behind it
go on, of its key too.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from logging import getLogger
from typing import Any

import asyncpg
import orjson
from prometheus_client import Counter, Gauge

from chassis.bus.event_bus import EventBus
from chassis.cloudevents.events import CloudEvent
from chassis.concurrency.background import failure_of
from chassis.errors import DomainError
from chassis.postgres.advisory_locks import lock_key
from chassis.postgres.database import (
    CONNECT_TIMEOUT_SECONDS,
    OUTBOX_CHANNEL,
    Database,
    close_quietly,
    connect,
    is_retryable,
)

RELAY_LOCK = lock_key("outbox relay")
BATCH_EVENTS = 500
POLL_SECONDS = 1.0
"""The longest delay of an event whose notification was lost."""

STANDBY_SECONDS = 1.0
FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 10.0
COMMAND_TIMEOUT_SECONDS = 30.0
HOUSEKEEPING_INTERVAL_SECONDS = 600.0
OUTBOX_KEPT = timedelta(days=1)
INBOX_KEPT = timedelta(days=30)
DELETE_BATCH_ROWS = 5_000
SET_ASIDE_FOR = timedelta(minutes=10)
TRY_AGAIN_ROWS = 5_000
MAX_REASON_CHARACTERS = 1_000

_log = getLogger(__name__)

_published = Counter("outbox_events_published", "Events handed to the bus.", ["type"])
_failures = Counter("outbox_relay_failures", "Times the relay lost its database or its bus.")
_set_aside = Counter("outbox_events_set_aside", "Times an event was set aside because no bus takes it.", ["type"])
_lag_seconds = Gauge("outbox_lag_seconds", "Age of the oldest event that is not on the bus yet.")

_UNPUBLISHED = """
SELECT id, topic, partition_key, type, subject, payload, trace_parent, created_at
FROM outbox WHERE published_at IS NULL AND set_aside_at IS NULL ORDER BY position LIMIT $1
"""
_MARK = "UPDATE outbox SET published_at = now() WHERE id = ANY ($1::uuid[])"
_SET_ASIDE = "UPDATE outbox SET set_aside_at = now(), set_aside_for = $2 WHERE id = $1"
_TRY_AGAIN = """
UPDATE outbox SET set_aside_at = NULL WHERE id IN (
    SELECT id FROM outbox WHERE published_at IS NULL AND set_aside_at < now() - $1::interval ORDER BY set_aside_at LIMIT $2
)
"""
_DELETE_OUTBOX = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE published_at IS NOT NULL AND published_at < now() - $1::interval LIMIT $2
)
"""
_DELETE_INBOX = """
DELETE FROM inbox WHERE (consumer, source, event_id) IN (
    SELECT consumer, source, event_id FROM inbox WHERE handled_at < now() - $1::interval LIMIT $2
)
"""


class OutboxRelay:
    """Relays the events of one database. `source` is the CloudEvents source: `platform.library-service`."""

    def __init__(self, database: Database, bus: EventBus, source: str) -> None:
        self._dsn = database.dsn
        self._bus = bus
        self._source = source

    async def run(self) -> None:
        """Relays until it is cancelled; waits out the loss of the database and of the bus."""
        delay_seconds = FIRST_DELAY_SECONDS
        while True:
            started = asyncio.get_running_loop().time()
            # The relay outlives every failure of what it stands between.
            error = await failure_of(self._lead)
            if error is not None:
                _failures.inc()
                _log.warning("outbox relay interrupted", extra={"source": self._source, "error": repr(error)})
            if asyncio.get_running_loop().time() - started > LAST_DELAY_SECONDS:
                delay_seconds = FIRST_DELAY_SECONDS
            await asyncio.sleep(delay_seconds)
            delay_seconds = min(delay_seconds * 2, LAST_DELAY_SECONDS)

    async def _lead(self) -> None:
        """Becomes the active relay and works as long as its connection, and with it the lock, lives."""
        connection = await connect(
            self._dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings={
                "application_name": f"{self._source} outbox"[:63],
                "jit": "off",
                # A mark lost in a crash of the server has the effect of no mark: the event is sent again under its id.
                "synchronous_commit": "off",
            },
        )
        try:
            # Tried again and again instead of waited for: a waiting statement would hold back VACUUM.
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", RELAY_LOCK):  # noqa: ASYNC110 - in the server
                await asyncio.sleep(STANDBY_SECONDS)
            woken = asyncio.Event()
            await connection.add_listener(OUTBOX_CHANNEL, lambda *_: woken.set())
            connection.add_termination_listener(lambda *_: woken.set())
            await self._work(connection, woken)
        finally:
            await close_quietly(connection)

    async def _work(self, connection: "asyncpg.Connection[asyncpg.Record]", woken: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        next_housekeeping = loop.time()
        while True:
            # Cleared before looking: what commits from here on wakes us, what committed earlier is found.
            woken.clear()
            while await self._relay_batch(connection) == BATCH_EVENTS:
                pass
            if loop.time() >= next_housekeeping:
                await self._keep_house(connection)
                next_housekeeping = loop.time() + HOUSEKEEPING_INTERVAL_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await woken.wait()

    async def _relay_batch(self, connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        rows = await connection.fetch(_UNPUBLISHED, BATCH_EVENTS)
        if not rows:
            _lag_seconds.set(0)
            return 0
        _lag_seconds.set((datetime.now(UTC) - rows[0]["created_at"]).total_seconds())
        if not await self._was_taken(connection, rows):
            for row in rows:
                await self._was_taken(connection, [row])
        return len(rows)

    async def _was_taken(self, connection: "asyncpg.Connection[asyncpg.Record]", rows: Sequence[Any]) -> bool:
        """Publishes the rows and marks them. Of several that the bus does not take nothing is marked, a single one is set aside.

        Raises:
            OSError, DomainError, asyncpg.PostgresError, asyncpg.InterfaceError: the bus or the database is unavailable.
        """
        try:
            events = [self._event(row) for row in rows]
            await self._bus.publish(events)
        except Exception as error:
            if is_retryable(error):
                raise
            if len(rows) == 1:
                await self._give_up(connection, rows[0], error)
            return False
        await connection.execute(_MARK, [row["id"] for row in rows])
        for event in events:
            _published.labels(event.type).inc()
            _set_aside.labels(event.type)
        return True

    async def _give_up(self, connection: "asyncpg.Connection[asyncpg.Record]", row: Any, error: Exception) -> None:
        reason = repr(error)[:MAX_REASON_CHARACTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
        await connection.execute(_SET_ASIDE, row["id"], reason)
        _set_aside.labels(row["type"]).inc()
        _log.error(
            "event is set aside",
            exc_info=None if isinstance(error, DomainError) else error,
            extra={"source": self._source, "id": str(row["id"]), "type": row["type"], "reason": reason},
        )

    async def _keep_house(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Do the housekeeping. A failure is only logged, because it must not hold up events; the next round tries again."""
        try:
            await connection.execute(_TRY_AGAIN, SET_ASIDE_FOR, TRY_AGAIN_ROWS)
            await _delete_old(connection)
        except Exception as error:  # noqa: BLE001 - a connection that is gone is noticed by the next batch
            _log.warning("outbox housekeeping failed", extra={"source": self._source, "error": repr(error)})

    def _event(self, row: Any) -> CloudEvent:
        return CloudEvent(
            id=str(row["id"]),
            source=self._source,
            type=row["type"],
            subject=row["subject"],
            time=row["created_at"],
            topic=row["topic"],
            partition_key=row["partition_key"],
            trace_parent=row["trace_parent"],
            data=orjson.loads(row["payload"]),
        )


async def _delete_old(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Deletes rows that are no longer needed, in portions that do not delay others."""
    for statement, kept in ((_DELETE_OUTBOX, OUTBOX_KEPT), (_DELETE_INBOX, INBOX_KEPT)):
        while True:
            status = await connection.execute(statement, kept, DELETE_BATCH_ROWS)
            if int(status.rpartition(" ")[2]) < DELETE_BATCH_ROWS:
                break
