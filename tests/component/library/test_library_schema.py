"""The library's schema: made and unmade by its migrations, known to the code, guarding its own rules."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.bus.inbox import first_time
from chassis.postgres.database import open_database
from chassis.postgres.migrations import downgrade, upgrade
from library_svc.schema import metadata

USER = uuid4()
USER_TABLES = [
    "user_library_items",
    "entitlements",
    "item_downloads",
    "item_installations",
    "user_game_categories",
    "user_library_item_to_categories",
    "game_specific_settings",
    "wishlist_items",
]
ITEM = {"user_id": USER, "product_id": uuid4(), "acquisition_type": "purchase"}
GRANT = {
    "user_id": USER,
    "product_id": uuid4(),
    "source": "order",
    "source_id": "1",
    "acquisition_type": "purchase",
}


@pytest.fixture(scope="module")
def migrated() -> list[str]:
    """The module's database once it is made."""
    return []


@pytest.fixture
async def dsn(migrated: list[str], new_database: Callable[..., Awaitable[str]]) -> str:
    if not migrated:
        migrated.append(await new_database("library"))
        await upgrade(migrated[0], "library_svc")
    return migrated[0]


async def insert(dsn: str, table: str, time_column: str, row: dict[str, Any]) -> None:
    connection = await asyncpg.connect(dsn)
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    try:
        await connection.execute(
            f"INSERT INTO {table} ({names}, {time_column}) VALUES ({places}, now())", *row.values()
        )
    finally:
        await connection.close()


async def test_the_code_knows_exactly_the_columns_of_the_database(dsn: str):
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://", 1))

    def differences(connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_ours})
        return compare_metadata(context, metadata)

    def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or name in metadata.tables

    try:
        async with engine.connect() as connection:
            found = await connection.run_sync(differences)
    finally:
        await engine.dispose()
    # Indexes, unique and foreign keys are the migrations' alone.
    known_to_the_database_only = {"remove_index", "remove_constraint", "remove_fk"}
    assert [each for each in found if each[0] not in known_to_the_database_only] == []


async def test_the_migrations_go_up_down_and_up_again(new_database: Callable[..., Awaitable[str]]):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    await upgrade(dsn, "library_svc")
    await downgrade(dsn, "library_svc")

    connection = await asyncpg.connect(dsn)
    try:
        left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    assert [row["tablename"] for row in left] == ["alembic_version"]
    await upgrade(dsn, "library_svc")


async def test_every_key_of_a_users_table_begins_with_the_user(dsn: str):
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            """
            SELECT i.indexrelid::regclass::text AS name,
                   (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]) AS first
            FROM pg_index i WHERE i.indisunique AND i.indrelid::regclass::text
                = ANY($1)
            """,
            USER_TABLES,
        )
    finally:
        await connection.close()
    assert len(rows) == 12
    assert {row["first"] for row in rows} == {"user_id"}


@pytest.mark.parametrize(
    "broken",
    [
        {"acquisition_type": "stolen"},
        {"installation_status": "lost"},
        {"user_rating": 0},
        {"user_rating": 6},
        {"total_playtime_seconds": -1},
        {"acquisition_type": "family_shared_access"},
        {"shared_from_user_id": uuid4()},
        {"acquisition_type": "family_shared_access", "shared_from_user_id": USER},
    ],
)
async def test_an_item_that_cannot_be_is_refused_by_the_schema(dsn: str, broken: dict[str, Any]):
    await insert(dsn, "user_library_items", "added_at", {**ITEM, "product_id": uuid4()})

    with pytest.raises(asyncpg.CheckViolationError):
        await insert(dsn, "user_library_items", "added_at", {**ITEM, **broken})


@pytest.mark.parametrize(
    "broken", [{"source": "theft"}, {"source_id": ""}, {"acquisition_type": "family_shared_access"}]
)
async def test_a_grant_that_cannot_be_is_refused_by_the_schema(dsn: str, broken: dict[str, Any]):
    await insert(dsn, "entitlements", "granted_at", {**GRANT, "product_id": uuid4()})

    with pytest.raises(asyncpg.CheckViolationError):
        await insert(dsn, "entitlements", "granted_at", {**GRANT, **broken})


@pytest.mark.parametrize(
    "broken", [{"discount_percent": 0}, {"discount_percent": 101}, {"sale_id": ""}, {"status": "?"}]
)
async def test_a_sale_that_cannot_be_is_refused_by_the_schema(dsn: str, broken: dict[str, Any]):
    now = datetime.now(UTC)
    sale = {"product_id": uuid4(), "sale_id": "1", "discount_percent": 1, "ends_at": now, "status": "telling"}
    await insert(dsn, "wishlist_sales", "heard_at", sale)

    with pytest.raises(asyncpg.CheckViolationError):
        await insert(dsn, "wishlist_sales", "heard_at", {**sale, "product_id": uuid4(), **broken})


async def test_there_is_one_item_per_user_and_product_and_one_grant_per_source(dsn: str):
    await insert(dsn, "user_library_items", "added_at", ITEM)
    await insert(dsn, "entitlements", "granted_at", GRANT)

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(dsn, "user_library_items", "added_at", ITEM)
    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(dsn, "entitlements", "granted_at", GRANT)


async def test_a_category_that_cannot_be_is_refused_by_the_schema(dsn: str):
    category = {"user_id": USER, "name": "RPG", "folded_name": "rpg"}
    await insert(dsn, "user_game_categories", "created_at", category)

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(dsn, "user_game_categories", "created_at", category)
    for name in ("", "x" * 101):
        with pytest.raises(asyncpg.CheckViolationError):
            await insert(dsn, "user_game_categories", "created_at", {**category, "name": name})


async def test_what_is_not_the_users_is_in_none_of_their_categories(dsn: str):
    link = {"user_id": USER, "library_item_id": uuid4(), "category_id": uuid4()}

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await insert(dsn, "user_library_item_to_categories", "created_at", link)


OLD_INBOX = (
    "INSERT INTO inbox (consumer, event_id) VALUES ('library-service', $1) ON CONFLICT DO NOTHING RETURNING true"
)


async def test_code_of_before_goes_on_while_the_inbox_learns_of_sources(new_database: Callable[..., Awaitable[str]]):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc", "0008")
    connection = await asyncpg.connect(dsn)
    try:
        migrating = asyncio.create_task(upgrade(dsn, "library_svc"))
        written = 0
        while not migrating.done() or written < 100:
            assert await connection.fetchval(OLD_INBOX, str(written))
            assert await connection.fetchval(OLD_INBOX, str(written)) is None
            written += 1
        await migrating
    finally:
        await connection.close()
    async with open_database(dsn) as database, database.begin() as tx:
        seen = [not await first_time(tx, "library-service", "payment", str(number)) for number in range(written)]
        assert all(seen)
        assert await first_time(tx, "library-service", "payment", "new")
