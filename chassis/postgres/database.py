"""A service's PostgreSQL: the pool, transactions that write rows and events together, and the tables that every service has.

Called by infrastructure; SQLAlchemy Core over asyncpg. Failures of the connection become DomainError here, everything else (unique,
check, foreign key) stays sqlalchemy.exc.IntegrityError for the caller, who knows what it means. What is asked often runs on the
driver itself (`fetch`, chassis.postgres.statements): there it stays asyncpg's error.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Column, Identity, Index, MetaData, PrimaryKeyConstraint, Table, make_url, text
from sqlalchemy.dialects.postgresql import BIGINT, INET, JSONB, TEXT, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from chassis.auth.changes import DONE, Change, running_change
from chassis.cloudevents.events import MAX_EVENT_BYTES, NewEvent
from chassis.cloudevents.moments import read_moments_of
from chassis.concurrency.background import attempt, background
from chassis.concurrency.keyed_semaphore import KeyedSemaphore
from chassis.errors import RETRYABLE_KINDS, DomainError, Kind
from chassis.postgres import statements
from chassis.postgres.pool import Pool
from chassis.postgres.statements import Row, Statement, dump_json

OUTBOX_CHANNEL = "outbox"
"""NOTIFY channel on which a committed event wakes the relay."""

ANNOUNCE_AFTER_SECONDS = 0.01
"""The time for which commits are collected into one notification: each one wakes the relay, the bus and its readers."""

CONNECT_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_SECONDS = 30.0
IDLE_TRANSACTION_TIMEOUT_SECONDS = 60.0
POOL_TIMEOUT_SECONDS = 5.0
CONNECTIONS_PER_KEY = 2
"""The connections for the changes of one user: one that is running, and the next, which has only to wait for its lock."""
RETRY_AFTER_SECONDS = 1.0

# Classes and codes that say "not now": connection lost, shutting down, starting, too many connections, out of resources, deadlock
# and serialisation failure (both are cured by another try), lock and statement time-outs.
_TRANSIENT_CLASSES = frozenset({"08", "53", "57", "40"})
_TRANSIENT_STATES = frozenset({"55P03"})
# A text or a JSON string with a NUL in it.
_UNSTORABLE_STATES = frozenset({"22021", "22P05"})
_ERASED_STATE = "SE152"  # chassis.postgres.erased_users
ACCOUNT_ERASED = "ACCOUNT_ERASED"
"""Reason of the error that meets whatever is to be written of an erased user."""

_OUTBOX_COLUMNS = ("id", "topic", "partition_key", "type", "subject", "payload", "trace_parent", "created_at")
_INSERT_OUTBOX = Statement(
    "INSERT INTO outbox (id, topic, partition_key, type, subject, payload, trace_parent, created_at) "
    "SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::timestamptz[])",
    _OUTBOX_COLUMNS,
)
# No row may mention an erased user again, not even for a last call that was refused.
_INSERT_AUDIT = Statement(
    """
    INSERT INTO audit_log (actor, actor_kind, address, action, resource, outcome, request_id)
    SELECT CASE WHEN gone THEN NULL ELSE $1::text END, $2::text, CASE WHEN gone THEN NULL ELSE $3::text::inet END,
        $4::text, $5::text, $6::text, CASE WHEN gone THEN NULL ELSE $7::text END
    FROM (SELECT EXISTS (SELECT FROM erasures WHERE user_id = $8::uuid) AS gone) AS known
    """,
    ("actor", "actor_kind", "address", "action", "resource", "outcome", "request_id", "user_id"),
)
_NOTIFY = Statement(f"NOTIFY {OUTBOX_CHANNEL}")
_NOTHING: Mapping[str, Any] = {}


@asynccontextmanager
async def open_database(
    dsn: str,
    *,
    pool_size: int = 10,
    application_name: str = "",
    statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS,
) -> AsyncIterator["Database"]:
    """A pool for `postgresql://user:password@host:port/database`. Connects when first used, so a service can start before it."""
    engine = create_async_engine(
        engine_url(dsn),
        poolclass=NullPool,  # ours keeps the connections
        json_serializer=dump_json,
        json_deserializer=orjson.loads,
        connect_args={
            "async_creator_fn": connect,
            "timeout": CONNECT_TIMEOUT_SECONDS,
            # The server ends a slow statement; the client's limit only catches a server that does not answer at all.
            "command_timeout": statement_timeout_seconds + CONNECT_TIMEOUT_SECONDS,
            "server_settings": {
                "application_name": application_name[:63],
                "jit": "off",
                "statement_timeout": str(int(statement_timeout_seconds * 1000)),
                "idle_in_transaction_session_timeout": str(int(IDLE_TRANSACTION_TIMEOUT_SECONDS * 1000)),
            },
        },
    )
    pool = Pool(engine, pool_size, timeout_seconds=POOL_TIMEOUT_SECONDS)
    database = Database(pool, dsn)
    try:
        async with background(database.announce()):
            yield database
    finally:
        await pool.close()
        await engine.dispose()


async def connect(*args: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection of the driver itself, with moments as chassis.cloudevents.moments says. Takes what `asyncpg.connect` takes.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: the database is unavailable.
    """
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(*args, **options)
    try:
        await read_moments_of(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


class Database:
    """Hands out connections of one pool. `dsn` is for code that needs a connection of its own (chassis.bus.outbox)."""

    def __init__(self, pool: Pool, dsn: str) -> None:
        self.dsn = dsn
        self._pool = pool
        self._recorded = asyncio.Event()
        self._turns = KeyedSemaphore(CONNECTIONS_PER_KEY, timeout_seconds=POOL_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def begin(self, key: Hashable = None) -> AsyncIterator["Transaction"]:
        """A transaction; leaving it without `commit()` rolls back.

        Transactions with the same `key` lock each other out in the database anyway (those of one user, by a lock of that user):
        only CONNECTIONS_PER_KEY of them take a connection at once. A user who sends many changes together would otherwise have
        the whole pool waiting for one lock, while everybody else is refused.

        Raises:
            DomainError: SERVICE_UNAVAILABLE when the database cannot be reached, is overloaded, or broke a deadlock.
        """
        turn = nullcontext() if key is None else self._turns.acquired(key)
        async with turn, self._checked_out() as connection:
            yield Transaction(connection, self._recorded.set)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads, without a transaction around them: each statement sees what is committed.

        Raises:
            DomainError: as in `begin`.
        """
        async with self._checked_out() as connection:
            with statements.autocommit(connection):
                yield connection

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> Sequence[Row]:
        """The rows of one statement outside of transactions: each sees what is committed.

        Raises:
            DomainError: as in `begin`.
            asyncpg.PostgresError: the server refused it.
        """
        async with self._checked_out() as connection:
            return await statements.run(connection, statement, values)

    async def record_refusal(self, change: Change, reason: str) -> None:
        """Writes of a change that was refused into the audit log.

        Raises:
            DomainError: as in `begin`.
        """
        change.is_recorded = True
        await self.fetch(_INSERT_AUDIT, change.row(f"refused: {reason}"))

    async def ping(self) -> None:
        """One round trip: for readiness."""
        async with self.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")

    async def announce(self) -> None:
        """Wakes the relay after commits that recorded events, for as long as the database is open.

        NOTIFY inside the transactions themselves would make their commits queue up behind one lock of the whole server; one
        notification for all commits since the last costs nothing, and what a crash loses the relay finds by its own polling.
        """
        while True:
            await self._recorded.wait()
            await asyncio.sleep(ANNOUNCE_AFTER_SECONDS)
            self._recorded.clear()
            if not await attempt("outbox notification", partial(self.fetch, _NOTIFY)):
                await asyncio.sleep(RETRY_AFTER_SECONDS)

    @asynccontextmanager
    async def _checked_out(self) -> AsyncIterator[AsyncConnection]:
        with _connecting():
            connection = await self._pool.take()
        try:
            with _translated():
                yield connection
        finally:
            await self._pool.give_back(connection)


class Transaction:
    """The transaction of one use case. `connection` executes; `record` keeps an event for the commit."""

    __slots__ = ("_committed", "_events", "_recorded", "connection")

    def __init__(self, connection: AsyncConnection, recorded: Callable[[], None]) -> None:
        self.connection = connection
        self._recorded = recorded
        self._events: list[NewEvent] = []
        self._committed = False

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> Sequence[Row]:
        """The rows of one statement in this transaction.

        Raises:
            asyncpg.PostgresError: the server refused it.
        """
        await statements.begin(self.connection)
        return await statements.run(self.connection, statement, values)

    def record(self, event: NewEvent) -> None:
        """The event happens if and when this transaction commits."""
        self._events.append(event)

    async def commit(self) -> None:
        """Writes the recorded events beside the rows and makes both last.

        Raises:
            ValueError: an event is larger than the bus takes.
            RuntimeError: committed twice.
        """
        if self._committed:
            raise RuntimeError("the transaction is committed already")
        if self._events:
            await self.fetch(_INSERT_OUTBOX, dict(zip(_OUTBOX_COLUMNS, _outbox_columns(self._events), strict=True)))
        change = running_change()
        if change is not None and not change.is_recorded:
            await self.fetch(_INSERT_AUDIT, change.row(DONE))
        await self.connection.commit()
        self._committed = True
        if change is not None:
            change.is_recorded = True
        if self._events:
            self._recorded()


def _outbox_columns(events: list[NewEvent]) -> tuple[list[Any], ...]:
    ids: list[UUID] = []
    texts: list[tuple[str, str, str, str | None, str, str | None]] = []
    times: list[datetime] = []
    for event in events:
        payload = dump_json(event.data)
        if len(payload.encode()) > MAX_EVENT_BYTES:
            raise ValueError(f"{event.type} is larger than {MAX_EVENT_BYTES} bytes")
        ids.append(event.id)
        texts.append((event.topic, event.partition_key, event.type, event.subject, payload, event.trace_parent))
        times.append(event.time)
    return (ids, *(list(column) for column in zip(*texts, strict=True)), times)


def engine_url(dsn: str) -> str:
    """SQLAlchemy's spelling of the DSN; libpq's `sslmode` is `ssl` to asyncpg."""
    url = make_url(dsn).set(drivername="postgresql+asyncpg")
    if "sslmode" in url.query:
        url = url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])
    return url.render_as_string(hide_password=False)


@contextmanager
def _connecting() -> Iterator[None]:
    """Translates any failure to get a connection: it means that the database is unavailable now."""
    try:
        yield
    except (
        OSError,
        TimeoutError,
        DBAPIError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        raise unavailable() from error


@contextmanager
def _translated() -> Iterator[None]:
    """Driver errors that mean "try again later", or a text that PostgreSQL cannot store, become DomainError; all others pass."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or is_transient(error):
            raise unavailable() from error
        if getattr(error.orig, "sqlstate", None) in _UNSTORABLE_STATES:
            raise _unstorable() from error
        if getattr(error.orig, "sqlstate", None) == _ERASED_STATE:
            raise erased() from error
        raise
    except asyncpg.PostgresError as error:
        if _is_transient_state(error.sqlstate):
            raise unavailable() from error
        if error.sqlstate in _UNSTORABLE_STATES:
            raise _unstorable() from error
        if error.sqlstate == _ERASED_STATE:
            raise erased() from error
        raise
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError) as error:
        raise unavailable() from error


def is_retryable(error: BaseException) -> bool:
    """Return True when the same work may succeed later without anybody changing anything."""
    if isinstance(error, DomainError):
        return error.kind in RETRYABLE_KINDS
    if isinstance(error, BaseExceptionGroup):
        return all(is_retryable(inner) for inner in error.exceptions)
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or is_transient(error)
    return isinstance(
        error,
        (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    )


def is_transient(error: DBAPIError) -> bool:
    """Return True when another try can succeed where this one failed."""
    state = getattr(error.orig, "sqlstate", None)
    # Without a state it is the driver's own: it found the connection closed, or in the middle of being closed.
    return isinstance(error, (InterfaceError, InternalError)) if state is None else _is_transient_state(state)


def _is_transient_state(state: object) -> bool:
    return str(state)[:2] in _TRANSIENT_CLASSES or str(state) in _TRANSIENT_STATES


def _unstorable() -> DomainError:
    return DomainError(
        Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details={"description": "a text holds the character NUL"}
    )


def erased() -> DomainError:
    """Return the error for an erased user."""
    return DomainError(Kind.PERMISSION_DENIED, ACCOUNT_ERASED)


def unavailable() -> DomainError:
    """The error of a database that is not there."""
    return DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=RETRY_AFTER_SECONDS)


async def close_quietly(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Ends a connection of the driver itself, which may be broken already."""
    try:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


@dataclass(frozen=True, slots=True)
class SharedTables:
    """The tables of tables.md that every service's database has."""

    outbox: Table
    inbox: Table
    audit_log: Table
    erasures: Table


def shared_tables(metadata: MetaData) -> SharedTables:
    """Describes the shared tables in the service's metadata; chassis.postgres.migrations creates them."""
    moment = TIMESTAMP(timezone=True)
    now = text("now()")
    outbox = Table(
        "outbox",
        metadata,
        Column("id", PG_UUID(as_uuid=True), primary_key=True),
        # Given at the insert, under the locks of the rows that changed: so causes come before effects, whatever clocks say.
        Column("position", BIGINT, Identity(always=True), nullable=False),
        Column("topic", TEXT, nullable=False),
        Column("partition_key", TEXT, nullable=False),
        Column("type", TEXT, nullable=False),
        Column("subject", TEXT),
        Column("payload", JSONB, nullable=False),
        Column("trace_parent", TEXT),
        Column("created_at", moment, nullable=False, server_default=now),
        Column("published_at", moment),
        Column("set_aside_at", moment),
        Column("set_aside_for", TEXT),
    )
    Index("outbox_unpublished", outbox.c.position, postgresql_where=outbox.c.published_at.is_(None))
    Index("outbox_published", outbox.c.published_at, postgresql_where=outbox.c.published_at.is_not(None))
    Index("outbox_set_aside", outbox.c.set_aside_at, postgresql_where=outbox.c.set_aside_at.is_not(None))
    inbox = Table(
        "inbox",
        metadata,
        Column("consumer", TEXT, nullable=False),
        Column("source", TEXT, nullable=False, server_default=""),
        Column("event_id", TEXT, nullable=False),
        Column("handled_at", moment, nullable=False, server_default=now),
        PrimaryKeyConstraint("consumer", "source", "event_id"),
    )
    Index("inbox_handled_at", inbox.c.handled_at)
    audit_log = Table(
        "audit_log",
        metadata,
        Column("id", PG_UUID(as_uuid=True), nullable=False, server_default=text("gen_random_uuid()")),
        Column("at", moment, nullable=False, server_default=now),
        Column("actor", TEXT),
        Column("actor_kind", TEXT, nullable=False),
        Column("address", INET),
        Column("action", TEXT, nullable=False),
        Column("resource", TEXT, nullable=False),
        Column("outcome", TEXT, nullable=False),
        Column("request_id", TEXT),
        PrimaryKeyConstraint("at", "id"),
        postgresql_partition_by="RANGE (at)",
    )
    erasures = Table(
        "erasures",
        metadata,
        Column("user_id", PG_UUID(as_uuid=True), primary_key=True),
        Column("requested_at", moment, nullable=False),
        Column("done_at", moment),
        Column("counts", JSONB),
    )
    return SharedTables(outbox=outbox, inbox=inbox, audit_log=audit_log, erasures=erasures)
