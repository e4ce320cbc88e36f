"""`samovar erasures`: users who were erased (152-FZ), what the platform holds of a user, and erasures again after a restore. Reads
the databases of both services directly. Mounted by launcher.cli.main.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import asyncpg
import orjson
import typer
from pydantic import SecretStr

from chassis.postgres.database import connect
from chassis.postgres.erased_users import LOCK_USER
from chassis.settings import ProgramSettings, load_settings
from depot.terminal import say, say_json

EXIT_FAILED: Final = 1
EXIT_NOT_ERASED: Final = 3
LISTED: Final = 10_000
USER_COLUMNS: Final = ("user_id", "owner_user_id", "shared_with_user_id", "shared_from_user_id")
"""The names of columns that hold the user whom a row is about."""

_TABLES = """
SELECT c.table_name AS name, array_agg(c.column_name::text) AS columns FROM information_schema.columns AS c
JOIN pg_class AS p ON p.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
WHERE c.table_schema = 'public' AND c.column_name = ANY ($1) AND p.relkind IN ('r', 'p') AND NOT p.relispartition
GROUP BY c.table_name ORDER BY c.table_name
"""
_AUDIT = "SELECT to_jsonb(found)::text FROM audit_log AS found WHERE actor = $1"
_SHOW = "SELECT requested_at, done_at, counts FROM erasures WHERE user_id = $1"
_LIST = "SELECT user_id, requested_at FROM erasures WHERE requested_at >= $1 ORDER BY requested_at LIMIT $2"
_AGAIN = """
INSERT INTO erasures (user_id, requested_at) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET done_at = NULL, requested_at = least(erasures.requested_at, excluded.requested_at)
"""

Connection = Any
"""The driver's connection; its stubs want a type of record."""
T = TypeVar("T")
User = Annotated[UUID, typer.Argument(help="The user's id.")]

app = typer.Typer(
    help="Erased users, and what the platform holds of a user.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class ErasureSettings(ProgramSettings):
    """The settings of the databases that hold users' data. The account needs to read all tables, and to write `erasures`."""

    library_postgres_dsn: SecretStr
    download_postgres_dsn: SecretStr


@app.command("show")
def show(user_id: User) -> None:
    """Say when the user was erased from each service, and how much of what. Exit code 3: not erased everywhere (yet)."""

    async def look(databases: Mapping[str, Connection]) -> bool:
        is_done = True
        for service, connection in databases.items():
            row = await connection.fetchrow(_SHOW, user_id)
            found = None if row is None else {**row, "counts": json.loads(row["counts"] or "{}")}
            _say({"service": service, "user_id": user_id, "erasure": found})
            is_done = is_done and row is not None and row["done_at"] is not None
        return is_done

    if not _with_databases(look):
        raise typer.Exit(EXIT_NOT_ERASED)


@app.command("list")
def list_erasures(
    since: Annotated[datetime, typer.Option(help="Those of users who were deleted from then on (UTC).")],
) -> None:
    """List erasures, the oldest first, one JSON object a line."""

    async def look(databases: Mapping[str, Connection]) -> None:
        for service, connection in databases.items():
            for row in await connection.fetch(_LIST, since.replace(tzinfo=UTC), LISTED):
                _say({"service": service, **row})

    _with_databases(look)


@app.command("export")
def export(user_id: User) -> None:
    """Write all that the databases hold of the user: one JSON object a line, with service, table and row. Objects of saves are
    named in their rows.
    """

    async def write(databases: Mapping[str, Connection]) -> None:
        for service, connection in databases.items():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                async for table, row in _rows_of(connection, user_id):
                    _say({"service": service, "table": table, "row": orjson.Fragment(row)})

    _with_databases(write)


@app.command("rerun")
def rerun(
    users: Annotated[list[UUID] | None, typer.Argument(help="Ids of users.")] = None,
    *,
    since: Annotated[
        datetime | None, typer.Option(help="All whom any of the services knows to be deleted from then on (UTC).")
    ] = None,
) -> None:
    """Have users erased again, in every service: after a restore from a backup that is older than their erasure. The services do it
    within seconds; `show` tells.
    """
    if bool(users) == (since is not None):
        raise typer.BadParameter("name users, or take --since")

    async def ask(databases: Mapping[str, Connection]) -> None:
        now = datetime.now(UTC)
        wanted = dict.fromkeys(users or (), now)
        for connection in databases.values() if since else ():
            for row in await connection.fetch(_LIST, since.replace(tzinfo=UTC), LISTED):  # type: ignore[union-attr]
                wanted[row["user_id"]] = min(row["requested_at"], wanted.get(row["user_id"], now))
        for user_id, at in wanted.items():
            for connection in databases.values():
                async with connection.transaction():
                    await connection.execute(LOCK_USER, user_id)
                    await connection.execute(_AGAIN, user_id, at)
            say(f"to be erased again: {user_id}")

    _with_databases(ask)


async def _rows_of(connection: Connection, user_id: UUID) -> AsyncIterator[tuple[str, str]]:
    """Each table and row that names the user, as JSON, without holding all of them at once."""
    for table in await connection.fetch(_TABLES, USER_COLUMNS):
        condition = " OR ".join(f'"{column}" = $1' for column in table["columns"])
        statement = f'SELECT to_jsonb(found)::text FROM "{table["name"]}" AS found WHERE {condition}'  # noqa: S608  of the schema
        async for row in connection.cursor(statement, user_id):
            yield table["name"], row[0]
    async for row in connection.cursor(_AUDIT, str(user_id)):
        yield "audit_log", row[0]


def _say(document: Mapping[str, Any]) -> None:
    # Rows come as JSON of PostgreSQL's own: read, so that they are written as all else is.
    say_json(orjson.loads(orjson.dumps(document, default=str)))


def _with_databases(work: Callable[[Mapping[str, Connection]], Awaitable[T]]) -> T:
    settings = load_settings(ErasureSettings)
    dsns = {"library": settings.library_postgres_dsn, "download": settings.download_postgres_dsn}

    async def run() -> T:
        async with AsyncExitStack() as stack:
            opened = {}
            for service, dsn in dsns.items():
                opened[service] = await connect(dsn.get_secret_value(), timeout=5.0)
                stack.push_async_callback(opened[service].close)
            return await work(opened)

    try:
        return asyncio.run(run())
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        say(f"samovar erasures: a database does not answer: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
