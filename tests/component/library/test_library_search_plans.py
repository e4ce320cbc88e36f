"""How PostgreSQL searches titles: the key that it makes itself, and the indexes that a page goes by."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.catalog.domain import Language
from library_svc.ids import UserId
from library_svc.items.application import ItemQuery, ItemSort
from library_svc.items.postgres_reader import PostgresReader
from library_svc.items.search import LEFT_OUT, STAND_INS, also_meant, title_key
from library_svc.text import folded, natural

PRODUCTS, OWNED = 20_000, 50
PUT_PRODUCT = """
INSERT INTO catalog_products (
    product_id, as_of, is_complete, title_ru, title_en, folded_ru, folded_en, also_meant_ru, also_meant_en
)
VALUES (gen_random_uuid(), now(), true, $1, $2, $3, $4, $5, $6) RETURNING search_key, sort_ru, sort_en
"""
FILL_CATALOG = f"""
INSERT INTO catalog_products (
    product_id, as_of, is_complete, title_ru, title_en, folded_ru, folded_en, cover_image_url
)
SELECT md5(number::text)::uuid, now(), true, 'Игра ' || number, 'Game ' || number, 'игра ' || number, 'game ' || number,
    'https://covers.test/' || repeat('c', 500)
FROM generate_series(1, {PRODUCTS}) AS number
"""
FILL_LIBRARY = f"""
INSERT INTO user_library_items (user_id, product_id, added_at, acquisition_type)
SELECT $1, md5(number::text)::uuid, now(), 'purchase'
FROM generate_series(1, {PRODUCTS}, {PRODUCTS} / {OWNED}) AS number
"""
FILL_OTHER_LIBRARIES = f"""
INSERT INTO user_library_items (user_id, product_id, added_at, acquisition_type)
SELECT md5('user ' || number % 200)::uuid, md5(number::text)::uuid, now(), 'purchase'
FROM generate_series(1, {PRODUCTS}) AS number
"""


@pytest.fixture(scope="module")
def filled() -> list[str]:
    """The module's database once it is made."""
    return []


@pytest.fixture
async def connection(filled: list[str], new_database: Callable[..., Awaitable[str]]) -> Any:
    if not filled:
        filled.append(await new_database("library"))
        await upgrade(filled[0], "library_svc")
    connection = await asyncpg.connect(filled[0])
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("ru", "en"),
    [
        ("Ведьмак 3: Дикая Охота®", "The Witcher 3: Wild Hunt"),
        ("".join(STAND_INS), f"it{LEFT_OUT}s"),
        ("東方 Ёж Ґанок Øre", None),
        (None, "100% — Orange_Juice\t2"),
        ("%", ""),
        ("S.T.A.L.K.E.R. 2", "Warhammer 40,000 VII"),
        ("00 0 007 10 2 " + "0" * 30 + "5", "1" * 25 + "x20"),
        (None, None),
    ],
)
async def test_the_database_makes_the_keys_that_the_domain_makes(connection: Any, ru: str | None, en: str | None):
    folds = [title if title is None else folded(title) for title in (ru, en)]
    meant = [also_meant(fold or "") for fold in folds]

    made = await connection.fetchrow(PUT_PRODUCT, ru, en, *folds, *meant)

    assert made["search_key"] == title_key(*folds)
    assert [made["sort_ru"], made["sort_en"]] == [None if fold is None else natural(fold) for fold in folds]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def test_a_search_goes_by_indexes_whichever_is_the_shorter_way(connection: Any, filled: list[str]):
    """A word that few titles have is looked up among all titles; one that many have, among the user's items."""
    user_id = uuid4()
    await connection.execute(FILL_CATALOG)
    await connection.execute(FILL_LIBRARY, user_id)
    await connection.execute(FILL_OTHER_LIBRARIES)
    await connection.execute("VACUUM ANALYZE")

    for search, ways in {
        "19951": {"catalog_products_search", "catalog_products_pkey"},
        "нетттакой": {"catalog_products_search", "catalog_products_pkey"},
        "игра": {"catalog_products_pkey"},
        "и": {"catalog_products_pkey"},
        "%": {"catalog_products_pkey"},
    }.items():
        plan = await explained(connection, filled[0], user_id, search)
        scanned = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
        assert not scanned & {"catalog_products", "user_library_items"}, search
        indexes = {node["Index Name"] for node in plan if "Index Name" in node}
        assert {name for name in indexes if name.startswith("catalog")} == ways, search
        assert any(name.startswith("user_library_items") for name in indexes)


async def explained(connection: Any, dsn: str, user_id: UUID, search: str) -> list[dict[str, Any]]:
    """The plan of the very statement that the reader runs, which is one."""
    run: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        run.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        async with open_database(dsn) as database:
            query = ItemQuery(UserId(user_id), Language.RU, search=search, sort=ItemSort.NAME_ASC)
            await PostgresReader(database).list_items(query)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    ((statement, values),) = run
    return list(nodes(json.loads(await connection.fetchval(f"EXPLAIN (FORMAT json) {statement}", *values))[0]["Plan"]))
