"""What the tests of the data chassis share: a service's database with an orders table, waiting on conditions, a proxy to cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from library.v1 import events_pb2, items_pb2
from sqlalchemy import text

from chassis.cloudevents.events import NewEvent, new_event
from chassis.postgres.database import Database, Transaction, open_database
from chassis.postgres.migrations import upgrade

TOPIC = "com.platform.library.events.v1"
PATIENCE_SECONDS = 60.0

MIGRATION = """
from alembic import op
from chassis.postgres.migrations import (
    add_sources_and_set_aside,
    create_shared_tables,
    drop_shared_tables,
    drop_sources_and_set_aside,
)

revision = "0001"
down_revision = None


def upgrade():
    create_shared_tables(op)
    add_sources_and_set_aside(op)
    op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id text NOT NULL, UNIQUE (user_id))")


def downgrade():
    op.execute("DROP TABLE orders")
    drop_sources_and_set_aside(op)
    drop_shared_tables(op)
"""


def write_package(folder: Path, name: str, migrations: dict[str, str]) -> None:
    """A package with migrations, to be found through sys.path."""
    versions = folder / name / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    for file_name, content in migrations.items():
        (versions / f"{file_name}.py").write_text(content)


@asynccontextmanager
async def sample_database(dsn: str, folder: Path) -> AsyncIterator[Database]:
    """A migrated service database; `folder` must be on sys.path."""
    if not (folder / "sample_service").exists():
        write_package(folder, "sample_service", {"first": MIGRATION})
    await upgrade(dsn, "sample_service")
    async with open_database(dsn, pool_size=5, application_name="sample-service") as database:
        yield database


def game_added(number: int, user_id: str = "user-1") -> NewEvent:
    """An event of the contract; its product id tells which one it is."""
    return new_event(
        events_pb2.GameAdded(
            user_id=user_id,
            product_id=str(number),
            acquisition_type=items_pb2.ACQUISITION_TYPE_PURCHASE,
            added_at=Timestamp(seconds=1_767_225_600),
        )
    )


async def record(database: Database, *events: NewEvent) -> None:
    """Commits the events in one transaction."""
    async with database.begin() as tx:
        for event in events:
            tx.record(event)
        await tx.commit()


async def insert_order(tx: Transaction, order_id: int, user_id: str) -> None:
    await tx.connection.execute(text("INSERT INTO orders VALUES (:id, :user)"), {"id": order_id, "user": user_id})


async def count(database: Database, query: str) -> int:
    async with database.connect() as connection:
        return int((await connection.execute(text(query))).scalar_one())


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Waits for the condition, and fails when it does not come true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)


async def kill_backends(dsn: str, application_name_pattern: str) -> int:
    """Ends the server's side of connections, as a restart or a failover does; returns how many."""
    connection = await asyncpg.connect(dsn)
    try:
        ours = "application_name LIKE $1 AND datname = current_database()"
        query = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {ours}"
        return int(await connection.fetchval(query, application_name_pattern))
    finally:
        await connection.close()


@asynccontextmanager
async def running(*jobs: Callable[[], Awaitable[None]]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs the jobs beside the test and ends them with it."""
    tasks = [asyncio.ensure_future(job()) for job in jobs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[SimpleNamespace]:
    """The server of a URL behind a TCP proxy: `.dsn`, `.cut()`, `.mend()`."""
    scheme, _, rest = dsn.partition("://")
    account, _, place = rest.rpartition("@")
    address, _, tail = place.partition("/")
    host, _, port = address.partition(":")
    writers: set[asyncio.StreamWriter] = set()
    state = SimpleNamespace(is_cut=False)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if state.is_cut:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server_writer}
        writers.update(pair)
        await asyncio.gather(pump(reader, server_writer), pump(server_reader, writer))
        writers.difference_update(pair)

    def cut() -> None:
        state.is_cut = True
        for writer in list(writers):
            writer.transport.abort()

    def mend() -> None:
        state.is_cut = False

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    listening = server.sockets[0].getsockname()[1]
    prefix = f"{scheme}://{account}@" if account else f"{scheme}://"
    try:
        yield SimpleNamespace(dsn=f"{prefix}127.0.0.1:{listening}/{tail}", cut=cut, mend=mend)
    finally:
        server.close()
        cut()
        await until(lambda: not writers)
