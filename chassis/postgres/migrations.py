"""Runs a service's Alembic migrations from its package, and creates the tables of every service. Called by `python -m <service>
migrate` and by tests.

A package keeps its scripts in `<package>/migrations/versions/*.py` (with `revision`, `down_revision`, `upgrade`, `downgrade`) and
needs no env.py: the one in chassis/alembic_env serves all.
"""

import asyncio
import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import asyncpg
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis.postgres.advisory_locks import lock_key
from chassis.postgres.database import CONNECT_TIMEOUT_SECONDS, engine_url

if TYPE_CHECKING:
    from alembic.migration import MigrationContext


MAINTENANCE_DATABASE = "postgres"
MIGRATION_LOCK = lock_key("migrations")
LOCK_TIMEOUT = "10s"
"""A migration runs beside the old code: it may wait for a table's lock only as long as users can wait behind it."""

LOCK_POLL_SECONDS = 0.2

ENVIRONMENT = Path(__file__).parent / "alembic_env"

AUDIT_MONTHS_AHEAD = 12

Action = Literal["upgrade", "downgrade"]


async def upgrade(dsn: str, package: str, revision: str = "head") -> None:
    """Brings the database to the revision. Programs that start at once take turns.

    Raises:
        OSError, asyncpg.PostgresError, sqlalchemy.exc.DBAPIError: it did not work; every finished migration stays.
    """
    await _run(dsn, package, "upgrade", revision)


async def downgrade(dsn: str, package: str, revision: str = "base") -> None:
    """Takes the database back to the revision."""
    await _run(dsn, package, "downgrade", revision)


async def ensure_database(dsn: str) -> None:
    """Creates the database that the DSN names, if the server does not have it. Needs CREATEDB only when it is missing."""
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_SECONDS)
    except asyncpg.InvalidCatalogNameError:
        await _create_database(dsn)
    else:
        await connection.close()


async def _create_database(dsn: str) -> None:
    name = str(make_url(dsn).database).replace('"', '""')
    connection = await asyncpg.connect(dsn, database=MAINTENANCE_DATABASE, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # Somebody else created it at the same moment.
    finally:
        await connection.close()


def _scripts_of(package: str) -> Path:
    # Joined before it becomes a path: a package without an __init__ has several folders until one is asked for.
    scripts = Path(str(importlib.resources.files(package) / "migrations" / "versions"))
    if not scripts.is_dir():
        raise FileNotFoundError(f"{package} has no migrations: {scripts} does not exist")
    return scripts


async def _run(dsn: str, package: str, action: Action, revision: str) -> None:
    scripts = _scripts_of(package)
    settings = {"lock_timeout": LOCK_TIMEOUT, "application_name": f"{package} migrate"}
    engine = create_async_engine(
        engine_url(dsn),
        poolclass=NullPool,
        connect_args={"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": settings},
    )
    try:
        async with engine.connect() as connection:
            # Tried again and again instead of waited for: a waiting statement would hold back CREATE INDEX CONCURRENTLY.
            attempt = f"SELECT pg_try_advisory_lock({MIGRATION_LOCK})"
            while not (await connection.exec_driver_sql(attempt)).scalar_one():
                await connection.commit()
                await asyncio.sleep(LOCK_POLL_SECONDS)
            await connection.commit()
            await connection.run_sync(_run_scripts, scripts, action, revision)
    finally:
        await engine.dispose()


def _run_scripts(connection: Connection, scripts: Path, action: Action, revision: str) -> None:
    # Imported here: it takes long, and who only serves has this module too.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", str(ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    {"upgrade": command.upgrade, "downgrade": command.downgrade}[action](config, revision)
    connection.commit()


class Executes(Protocol):
    """The part of alembic's `op` (a module) that is used here."""

    def execute(self, sqltext: str, /) -> None: ...

    def get_context(self) -> "MigrationContext": ...


def create_shared_tables(op: Executes) -> None:
    """Makes outbox, inbox, audit_log and erasures; for a service's first migration, with alembic's `op`. Call
    `add_sources_and_set_aside` after it.
    """
    for statement in _CREATE_SHARED:
        op.execute(statement)


def drop_shared_tables(op: Executes) -> None:
    """Undoes `create_shared_tables`."""
    for table in ("outbox", "inbox", "audit_log", "erasures"):
        op.execute(f"DROP TABLE {table}")


def add_sources_and_set_aside(op: Executes) -> None:
    """Adds an event's source to the inbox, and the events that no bus accepts to the outbox. Earlier code keeps running: rows that
    it writes into the inbox have no source. The key is built without blocking writers.
    """
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE inbox ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT ''")
        op.execute("DROP INDEX IF EXISTS inbox_by_source")  # of an attempt that was interrupted
        op.execute("CREATE UNIQUE INDEX CONCURRENTLY inbox_by_source ON inbox (consumer, source, event_id)")
    op.execute("ALTER TABLE inbox DROP CONSTRAINT inbox_pkey")
    op.execute("ALTER TABLE inbox ADD CONSTRAINT inbox_pkey PRIMARY KEY USING INDEX inbox_by_source")
    op.execute("ALTER TABLE outbox ADD COLUMN set_aside_at timestamptz, ADD COLUMN set_aside_for text")
    op.execute("CREATE INDEX outbox_set_aside ON outbox (set_aside_at) WHERE set_aside_at IS NOT NULL")


def drop_sources_and_set_aside(op: Executes) -> None:
    """Undoes `add_sources_and_set_aside`. Of two events with one id the inbox then knows the first."""
    op.execute("ALTER TABLE outbox DROP COLUMN set_aside_at, DROP COLUMN set_aside_for")
    op.execute(
        "DELETE FROM inbox AS later USING inbox AS first WHERE later.consumer = first.consumer"
        " AND later.event_id = first.event_id AND (later.handled_at, later.source) > (first.handled_at, first.source)"
    )
    op.execute("ALTER TABLE inbox DROP CONSTRAINT inbox_pkey")
    op.execute("ALTER TABLE inbox DROP COLUMN source")
    op.execute("ALTER TABLE inbox ADD PRIMARY KEY (consumer, event_id)")


_CREATE_SHARED = (
    """
    CREATE TABLE outbox (
        id uuid PRIMARY KEY,
        position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        topic text NOT NULL,
        partition_key text NOT NULL,
        type text NOT NULL,
        subject text,
        payload jsonb NOT NULL,
        trace_parent text,
        created_at timestamptz NOT NULL DEFAULT now(),
        published_at timestamptz
    )
    """,
    "CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL",
    "CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL",
    """
    CREATE TABLE inbox (
        consumer text NOT NULL,
        event_id text NOT NULL,
        handled_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, event_id)
    )
    """,
    "CREATE INDEX inbox_handled_at ON inbox (handled_at)",
    """
    CREATE TABLE audit_log (
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        at timestamptz NOT NULL DEFAULT now(),
        actor text,
        actor_kind text NOT NULL,
        address inet,
        action text NOT NULL,
        resource text NOT NULL,
        outcome text NOT NULL,
        request_id text,
        PRIMARY KEY (at, id)
    ) PARTITION BY RANGE (at)
    """,
    # What no month takes lands here, so that an audit entry is never refused.
    "CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT",
    f"""
    DO $$
    DECLARE
        month timestamptz;
    BEGIN
        FOR ahead IN 0..{AUDIT_MONTHS_AHEAD} LOOP
            month := date_trunc('month', now(), 'UTC') + make_interval(months => ahead);
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF audit_log FOR VALUES FROM (%L) TO (%L)',
                'audit_log_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), month, month + interval '1 month'
            );
        END LOOP;
    END $$
    """,
    """
    CREATE TABLE erasures (
        user_id uuid PRIMARY KEY,
        requested_at timestamptz NOT NULL,
        done_at timestamptz,
        counts jsonb
    )
    """,
)
