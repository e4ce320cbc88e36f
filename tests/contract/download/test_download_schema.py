"""The schema: the tables that the code knows are those that the migrations make; the migrations go back; checks hold."""

from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from chassis.database import open_database
from chassis.migrations import downgrade, upgrade
from download_svc.infrastructure import tables


async def test_the_code_knows_the_columns_that_there_are(migrated: str):
    async with open_database(migrated) as database, database.connect() as connection:
        rows = await connection.execute(
            text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
        )
        found: dict[str, set[str]] = {}
        for table, column in rows:
            found.setdefault(table, set()).add(column)
    for name, table in tables.metadata.tables.items():
        known = {column.name for column in table.columns}
        assert known | {"created_at", "updated_at"} == found[name] | {"created_at", "updated_at"}


async def test_migrations_go_up_down_and_up_again(new_database):
    dsn = await new_database("download")
    await upgrade(dsn, "download_svc")
    await downgrade(dsn, "download_svc")
    connection = await asyncpg.connect(dsn)
    left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert {row["tablename"] for row in left} <= {"alembic_version"}
    await upgrade(dsn, "download_svc")


@pytest.mark.parametrize(
    "change",
    ["status = 'stuck'", "priority = 11", "downloaded_bytes = 101", "status = 'error'", "items_completed = 3"],
)
async def test_the_schema_refuses_what_no_session_can_be(migrated: str, change: str):
    connection = await asyncpg.connect(migrated)
    user_id, product_id, version_id = uuid4(), uuid4(), uuid4()
    try:
        await connection.execute(
            """
            INSERT INTO product_versions (product_id, version_id, version_name, platform, released_at, total_size_bytes,
                file_count, manifest_key, manifest_sha256, manifest_size_bytes, signed_by, signature)
            VALUES ($1, $2, '1', 'linux', now(), 100, 2, 'key', $3, 1, 'key-1', $4)
            """,
            product_id,
            version_id,
            b"x" * 32,
            b"x" * 64,
        )
        await connection.execute(
            """
            INSERT INTO download_sessions (user_id, product_id, version_id, platform, status, total_size_bytes, items_total)
            VALUES ($1, $2, $3, 'linux', 'queued', 100, 2)
            """,
            user_id,
            product_id,
            version_id,
        )
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(f"UPDATE download_sessions SET {change} WHERE user_id = $1", user_id)
    finally:
        await connection.close()
