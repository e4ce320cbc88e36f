"""The schema: the tables that the code knows are those that the migrations make; the migrations go back; checks hold."""

from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Engine, event, text

from chassis.postgres.database import open_database
from chassis.postgres.migrations import downgrade, upgrade
from download_svc.paging import PageRequest
from download_svc.postgres import transactions
from download_svc.schema import metadata
from download_svc.sessions.domain import ItemStatus
from download_svc.sessions.postgres import PostgresSessionReader
from tests.unit.download.rig import file_references, make_items, make_manifest, make_session, make_version


async def test_the_code_knows_the_columns_that_there_are(migrated: str):
    async with open_database(migrated) as database, database.connect() as connection:
        rows = await connection.execute(
            text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
        )
        found: dict[str, set[str]] = {}
        for table, column in rows:
            found.setdefault(table, set()).add(column)
    for name, table in metadata.tables.items():
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


async def test_items_go_with_their_sessions_and_no_others(migrated: str):
    manifest = make_manifest(uuid4(), uuid4())
    version, user_id = make_version(manifest), uuid4()
    gone, kept = (make_session(version, user_id=user_id, device_id=uuid4()) for _ in range(2))
    async with open_database(migrated) as database, transactions(database)() as tx:
        await tx.versions.add(version, manifest)
        for session in (gone, kept):
            await tx.sessions.add(session, file_references(manifest), list(make_items(session, manifest)))
        await tx.commit()
    connection = await asyncpg.connect(migrated)
    try:
        await connection.execute("DELETE FROM download_sessions WHERE user_id = $1 AND id = $2", user_id, gone.id)
        left = await connection.fetch(
            "SELECT DISTINCT download_session_id FROM download_items WHERE user_id = $1", user_id
        )
    finally:
        await connection.close()
    assert [row["download_session_id"] for row in left] == [kept.id]


async def test_a_file_is_in_a_session_only_once(migrated: str):
    manifest = make_manifest(uuid4(), uuid4())
    version = make_version(manifest)
    session = make_session(version, user_id=uuid4())
    async with open_database(migrated) as database, transactions(database)() as tx:
        await tx.versions.add(version, manifest)
        await tx.sessions.add(session, file_references(manifest), list(make_items(session, manifest)))
        await tx.commit()
    connection = await asyncpg.connect(migrated)
    try:
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(
                """
                INSERT INTO download_items (user_id, id, download_session_id, file_metadata_id, ordinal, relative_path)
                SELECT user_id, gen_random_uuid(), download_session_id, file_metadata_id, ordinal, relative_path
                FROM download_items WHERE user_id = $1 LIMIT 1
                """,
                session.user_id,
            )
    finally:
        await connection.close()


async def _statements(dsn: str, read) -> int:
    """How many statements a read takes."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    async with open_database(dsn) as database:
        event.listen(Engine, "before_cursor_execute", counted)
        try:
            await read(PostgresSessionReader(database))
        finally:
            event.remove(Engine, "before_cursor_execute", counted)
    return count


@pytest.mark.parametrize("sessions", [1, 30])
async def test_lists_take_a_fixed_number_of_statements(migrated: str, sessions: int):
    manifest = make_manifest(uuid4(), uuid4())
    version, user_id = make_version(manifest), uuid4()
    made = [make_session(version, user_id=user_id, device_id=uuid4()) for _ in range(sessions)]
    async with open_database(migrated) as database, transactions(database)() as tx:
        await tx.versions.add(version, manifest)
        for session in made:
            await tx.sessions.add(session, file_references(manifest), list(make_items(session, manifest)))
        await tx.commit()
    page = PageRequest(1, 100)
    assert await _statements(migrated, lambda reader: reader.page(user_id, page)) == 2
    assert await _statements(migrated, lambda reader: reader.get(user_id, made[0].id)) == 1
    assert await _statements(migrated, lambda reader: reader.items(made[0], page)) == 1
    assert await _statements(migrated, lambda reader: reader.items(made[0], page, status=ItemStatus.PENDING)) == 2
    assert await _statements(migrated, lambda reader: reader.queue(user_id)) == 1
