"""A user with rows in every table of a service, for tests of erasures: values are made from the columns that there are."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg

SAMPLES: Mapping[str, Any] = {
    "uuid": uuid.uuid4,
    "text": lambda: uuid.uuid4().hex,
    "timestamp with time zone": lambda: datetime.now(UTC),
    "bigint": lambda: 1,
    "integer": lambda: 1,
    "smallint": lambda: 1,
    "real": lambda: 1.0,
    "boolean": lambda: False,
    "jsonb": lambda: "{}",
    "bytea": lambda: b"x" * 32,
}
USER_COLUMNS = "column_name IN ('user_id', 'owner_user_id', 'shared_with_user_id')"


async def tables_of_users(connection: "asyncpg.Connection[Any]") -> set[str]:
    """Each table of the schema that names a user, partitions apart."""
    found = await connection.fetch(
        "SELECT DISTINCT c.table_name FROM information_schema.columns c JOIN pg_class p ON p.oid = c.table_name::regclass"
        f" WHERE c.table_schema = 'public' AND {USER_COLUMNS} AND p.relkind IN ('r', 'p') AND NOT p.relispartition"
    )
    return {row["table_name"] for row in found}


async def guarded_tables(connection: "asyncpg.Connection[Any]") -> set[str]:
    """Tables that refuse an erased user's rows by themselves, or whose rows go with those of one that does."""
    own = await connection.fetch(
        "SELECT tgrelid::regclass::text AS name FROM pg_trigger WHERE tgname = 'refuse_erased'"
    )
    guarded = {row["name"] for row in own}
    keys = await connection.fetch(
        "SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent FROM pg_constraint"
        " WHERE contype = 'f' AND confdeltype = 'c' AND 'user_id' IN (SELECT attname FROM pg_attribute"
        " WHERE attrelid = conrelid AND attnum = ANY (conkey))"
    )
    return guarded | {key["child"] for key in keys if key["parent"] in guarded}


async def insert(
    connection: "asyncpg.Connection[Any]", table: str, values: Mapping[str, Any], *, rows: int = 1
) -> None:
    """Adds rows with these values, and with some value in each other column that needs one."""
    columns = await connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1"
        " AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'",
        table,
    )
    for _ in range(rows):
        made = {column["column_name"]: SAMPLES[column["data_type"]]() for column in columns} | dict(values)
        names, places = ", ".join(made), ", ".join(f"${place}" for place in range(1, len(made) + 1))
        await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *made.values())


async def counts(connection: "asyncpg.Connection[Any]", tables: Iterable[str], user_id: uuid.UUID) -> dict[str, int]:
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table} WHERE user_id = $1", user_id)
        for table in tables
    }


CHOSEN: Mapping[str, Mapping[str, Any]] = {
    "user_library_items": {"acquisition_type": "purchase"},
    "entitlements": {"source": "order", "acquisition_type": "purchase"},
    "item_downloads": {"status": "queued"},
    "download_sessions": {"platform": "linux", "status": "queued"},
    "installations": {"platform": "linux"},
    "updates": {"update_type": "full", "status": "available"},
    "updates_history": {"status": "success"},
    "verification_issues": {"kind": "missing"},
    "savegame_metadata": {"version": 0, "last_version": 0},
    "savegame_versions": {"state": "pending", "expires_at": datetime(2026, 3, 1, tzinfo=UTC)},
}
"""What checks ask of some columns."""


async def fill(
    connection: "asyncpg.Connection[Any]", tables: Iterable[str], user_id: uuid.UUID, *, rows: int = 1
) -> None:
    """Gives the user rows in each of the tables, whatever their foreign keys and triggers say."""
    await connection.execute("SET session_replication_role = replica")
    for table in tables:
        await insert(connection, table, {"user_id": user_id, **CHOSEN.get(table, {})}, rows=rows)
    await connection.execute("SET session_replication_role = DEFAULT")
