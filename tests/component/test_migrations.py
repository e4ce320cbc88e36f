"""chassis.postgres.migrations: services' scripts run forth and back, once, also when programs start at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.postgres.database import engine_url, shared_tables
from chassis.postgres.migrations import downgrade, ensure_database, upgrade
from tests.component.data_rig import MIGRATION, write_package

NewDatabase = Callable[[str], Awaitable[str]]

SECOND = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("ALTER TABLE orders ADD COLUMN note text")


def downgrade():
    op.execute("ALTER TABLE orders DROP COLUMN note")
"""
BROKEN = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("CREATE TABLE half (id int)")
    op.execute("SELECT broken")


def downgrade():
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


async def tables(dsn: str) -> set[str]:
    return set(await query(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))


async def query(dsn: str, statement: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [str(row[0]) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_upgrade_makes_the_tables_and_a_second_one_changes_nothing(new_database: NewDatabase, folder: Path):
    write_package(folder, "service_a", {"first": MIGRATION, "second": SECOND})
    dsn = await new_database("migrations")
    await upgrade(dsn, "service_a")
    await upgrade(dsn, "service_a")
    assert {"orders", "outbox", "inbox", "audit_log", "erasures"} <= await tables(dsn)
    assert await query(dsn, "SELECT version_num FROM alembic_version") == ["0002"]


async def test_downgrade_takes_everything_back(new_database: NewDatabase, folder: Path):
    write_package(folder, "service_b", {"first": MIGRATION, "second": SECOND})
    dsn = await new_database("migrations")
    await upgrade(dsn, "service_b")
    await downgrade(dsn, "service_b", "0001")
    assert await query(dsn, "SELECT version_num FROM alembic_version") == ["0001"]
    await downgrade(dsn, "service_b")
    assert await tables(dsn) == {"alembic_version"}


async def test_programs_that_migrate_at_once_take_turns(new_database: NewDatabase, folder: Path):
    write_package(folder, "service_c", {"first": MIGRATION, "second": SECOND})
    dsn = await new_database("migrations")
    await asyncio.gather(*[upgrade(dsn, "service_c") for _ in range(4)])
    assert await query(dsn, "SELECT version_num FROM alembic_version") == ["0002"]


async def test_a_broken_migration_leaves_the_finished_ones_and_nothing_of_itself(
    new_database: NewDatabase, folder: Path
):
    write_package(folder, "service_d", {"first": MIGRATION, "second": BROKEN})
    dsn = await new_database("migrations")
    with pytest.raises(Exception, match="broken"):
        await upgrade(dsn, "service_d")
    assert await query(dsn, "SELECT version_num FROM alembic_version") == ["0001"]
    assert "half" not in await tables(dsn)


async def test_a_package_without_migrations_is_told_so(new_database: NewDatabase, folder: Path):
    (folder / "service_e").mkdir()
    (folder / "service_e" / "__init__.py").touch()
    with pytest.raises(FileNotFoundError, match="service_e has no migrations"):
        await upgrade(await new_database("migrations"), "service_e")


async def test_the_shared_tables_are_made_as_they_are_described(new_database: NewDatabase, folder: Path):
    write_package(folder, "service_f", {"first": MIGRATION.replace("UNIQUE (user_id)", "note text")})
    dsn = await new_database("migrations")
    await upgrade(dsn, "service_f")
    metadata = MetaData()
    shared_tables(metadata)

    def differences(connection: Connection) -> list[object]:
        def ours(_: object, name: str, type_: str, *__: object) -> bool:
            return type_ != "table" or name in metadata.tables

        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        return list(compare_metadata(context, metadata))

    engine = create_async_engine(engine_url(dsn))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_audit_entries_land_in_their_month_and_none_is_refused(new_database: NewDatabase, folder: Path):
    write_package(folder, "service_g", {"first": MIGRATION})
    dsn = await new_database("migrations")
    await upgrade(dsn, "service_g")
    columns = "INSERT INTO audit_log (at, actor_kind, action, resource, outcome)"
    insert = columns + " VALUES ({}, 'user', 'a', 'r', 'ok') RETURNING tableoid::regclass"
    assert (await query(dsn, insert.format("now()")))[0].startswith("audit_log_2")
    assert await query(dsn, insert.format("'2001-01-01'")) == ["audit_log_rest"]


async def test_ensure_database_makes_it_once(postgres_url: str):
    dsn = f'{postgres_url.rsplit("/", 1)[0]}/ensured database "x"'
    await asyncio.gather(*[ensure_database(dsn) for _ in range(3)])
    await ensure_database(dsn)
    assert await query(dsn, "SELECT current_database()") == ['ensured database "x"']
