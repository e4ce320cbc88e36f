"""Rows that code of before wrote, brought over by migration 0010: titles are found and in order, times of the future are no longer
so, and a key is its first user's.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis.postgres.database import open_database
from chassis.postgres.migrations import downgrade, upgrade
from library_svc.catalog.domain import Language, Product
from library_svc.catalog.postgres import PostgresProducts
from library_svc.categories.postgres import PostgresCategoryReader
from library_svc.ids import ProductId, UserId
from library_svc.items.application import ItemQuery, ItemSort
from library_svc.items.postgres_reader import PostgresReader
from library_svc.postgres import PostgresLibrary

BEFORE = "0008"
PRODUCT = """
INSERT INTO catalog_products (product_id, as_of, is_complete, title_ru, folded_ru) VALUES ($1, $2, true, $3, $4)
"""
ITEM = """
INSERT INTO user_library_items (user_id, product_id, added_at, acquisition_type)
VALUES ($1, $2, '2099-01-01T00:00:00Z', 'purchase')
"""
CATEGORY = "INSERT INTO user_game_categories (user_id, name, folded_name) VALUES ($1, $2, $2)"
KEY = """
INSERT INTO entitlements (user_id, product_id, source, source_id, acquisition_type, granted_at)
VALUES ($1, $2, 'key', 'K', 'key_activation', $3)
"""
INSTALLATION = """
INSERT INTO item_installations (user_id, product_id, device_id, version_id, is_installed, changed_at)
VALUES ($1, $2, $2, $2, true, '2099-01-01T00:00:00Z')
"""
TITLES = {
    "S.T.A.L.K.E.R. 10": "s.t.a.l.k.e.r. 10",
    "S.T.A.L.K.E.R. 9": "s.t.a.l.k.e.r. 9",
    "\u200bS.T.A.L.K.E.R. 2": "\u200bs.t.a.l.k.e.r. 2",
}
FUTURE = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
async def dsn(new_database: Callable[..., Awaitable[str]]) -> str:
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc", BEFORE)
    return dsn


async def fill(dsn: str, user_id: UUID) -> list[UUID]:
    connection = await asyncpg.connect(dsn)
    product_ids = [uuid4() for _ in TITLES]
    try:
        for product_id, (title, fold) in zip(product_ids, TITLES.items(), strict=True):
            await connection.execute(PRODUCT, product_id, FUTURE, title, fold)
            await connection.execute(ITEM, user_id, product_id)
        for name in ("Часть 10", "Часть\u200b 2", "a"):
            await connection.execute(CATEGORY, user_id, name)
        await connection.execute(INSTALLATION, user_id, product_ids[0])
        for second, owner in ((1, uuid4()), (0, user_id)):
            await connection.execute(KEY, owner, product_ids[0], datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC))
    finally:
        await connection.close()
    return product_ids


async def test_what_was_there_before_is_as_if_it_had_been_written_now(dsn: str):
    user_id = UserId(uuid4())
    product_ids = await fill(dsn, user_id)
    await upgrade(dsn, "library_svc")

    now = datetime.now(UTC)
    async with open_database(dsn) as database:
        reader = PostgresReader(database)
        page = await reader.list_items(ItemQuery(user_id, Language.RU, search="сталкер", sort=ItemSort.NAME_ASC))
        assert [shown.product and shown.product.title_ru for shown in page.items] == list(reversed(TITLES))
        assert all(shown.item.added_at <= now for shown in page.items)
        categories = await PostgresCategoryReader(database).list_categories(user_id, page=1, limit=10)
        assert [category.name for category in categories.categories] == ["a", "Часть\u200b 2", "Часть 10"]

        # What happens now is newer than what was of the future, and than nothing else.
        renamed = Product(ProductId(product_ids[0]), now, is_complete=False, title_ru="Новое", event_id="e")
        await PostgresProducts(database).save([renamed])
        before = Product(
            ProductId(product_ids[1]), datetime(2026, 3, 1, tzinfo=UTC), is_complete=False, title_ru="Старое"
        )
        await PostgresProducts(database).save([before])
        page = await reader.list_items(ItemQuery(user_id, Language.RU, sort=ItemSort.NAME_ASC))
        titles = [shown.product and shown.product.title_ru for shown in page.items]
        assert titles == ["\u200bS.T.A.L.K.E.R. 2", "S.T.A.L.K.E.R. 9", "Новое"]
        async with PostgresLibrary(database, consumer="tests").begin() as tx:
            state = await tx.installations.of_product(user_id, ProductId(product_ids[0]))
            assert state.installed is not None
            assert state.installed.changed_at <= now
            assert await tx.entitlements.claim_key(UserId(uuid4()), "K") == user_id


async def test_it_can_be_taken_back(dsn: str):
    await fill(dsn, uuid4())
    await upgrade(dsn, "library_svc")
    await downgrade(dsn, "library_svc", BEFORE)

    connection = await asyncpg.connect(dsn)
    try:
        keys = await connection.fetch("SELECT search_key FROM catalog_products ORDER BY search_key")
    finally:
        await connection.close()
    assert [row["search_key"] for row in keys] == [f" s t a l k e r {number} " for number in (10, 2, 9)]
