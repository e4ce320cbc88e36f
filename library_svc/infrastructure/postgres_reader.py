"""What the library shows, read from PostgreSQL: each read is one statement on one connection, outside of transactions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    RowMapping,
    Select,
    Text,
    Uuid,
    any_,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from chassis.database import Database
from library_svc.application.ports import CATALOG_BATCH_LIMIT, ItemPage, ItemQuery, ItemSort, ShownItem
from library_svc.domain.catalog import Language
from library_svc.domain.categories import Category
from library_svc.domain.ids import CategoryId, ItemId, ProductId, UserId
from library_svc.domain.items import Item
from library_svc.domain.search import misspelt_parts, part, title_search
from library_svc.infrastructure.rows import ITEM_COLUMNS, item_of, product_of
from library_svc.infrastructure.tables import (
    catalog_products,
    entitlements,
    user_game_categories,
    user_library_item_to_categories,
    user_library_items,
)

PRODUCT_COLUMNS = tuple(
    column
    for column in catalog_products.c
    if column.name not in {"product_id", "search_key", "created_at", "updated_at"}
)
"""What an item is shown with; product_id comes from the item, and stands without a product too."""

Columns = ReadOnlyColumnCollection[str, Any]


class PostgresReader:
    """The LibraryReader over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_items(self, query: ItemQuery) -> ItemPage:
        rows = await self._rows(page_statement(query))
        items = [_shown(row) for row in rows if row["id"] is not None]
        return ItemPage(items, total_items=rows[0]["total_items"], unknown_products=rows[0]["unknown_products"] or ())

    async def get_item(self, user_id: UserId, item_id: ItemId, *, include_categories: bool = False) -> ShownItem | None:
        items = user_library_items
        categories = _categories if include_categories else _category_ids
        statement = _shown_items(user_id).add_columns(categories(user_id, items)).where(items.c.id == item_id)
        rows = await self._rows(statement)
        return _shown(rows[0]) if rows else None

    async def owned_items(self, user_id: UserId, product_ids: Sequence[ProductId]) -> Sequence[Item]:
        table = user_library_items
        statement = select(*ITEM_COLUMNS).where(table.c.user_id == user_id)
        if product_ids:
            statement = statement.where(table.c.product_id == any_(literal(list(product_ids), ARRAY(Uuid()))))
        return [item_of(row) for row in await self._rows(statement.order_by(table.c.added_at.desc(), table.c.id))]

    async def access_since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        table = entitlements
        rows = await self._rows(
            select(func.min(table.c.granted_at).label("since")).where(
                table.c.user_id == user_id, table.c.product_id == product_id, table.c.revoked_at.is_(None)
            )
        )
        since: datetime | None = rows[0]["since"]
        return since

    async def _rows(self, statement: Select[*tuple[Any, ...]]) -> Sequence[RowMapping]:
        async with self._database.connect() as connection:
            return (await connection.execute(statement)).mappings().all()


def page_statement(query: ItemQuery) -> Select[*tuple[Any, ...]]:
    """One statement for a page: its rows, and on every row `total_items` and `unknown_products`.

    There is always a row: on a page beyond the last one its `id` is null.
    """
    candidates = _shown_items(query.user_id).where(*_filters(query))
    found = candidates.cte("candidates") if query.search is None else _found(candidates, query.search)
    page = (
        select(found)
        .order_by(*_order(found.c, query))
        .limit(query.limit)
        .offset((query.page - 1) * query.limit)
        .cte("page")
    )
    total = select(func.count()).select_from(found).scalar_subquery()
    bearing = page if not query.needs_titles else found if query.search is None else candidates.cte("candidates")
    unknown = (
        select(bearing.c.product_id).where(bearing.c.is_complete.is_not(true())).limit(CATALOG_BATCH_LIMIT).subquery()
    )
    unknown_products = select(func.array_agg(unknown.c.product_id)).scalar_subquery()
    always = select(literal(1)).subquery("always")
    return (
        select(
            total.label("total_items"),
            unknown_products.label("unknown_products"),
            page,
            (_categories if query.include_categories else _category_ids)(query.user_id, page),
        )
        .select_from(always.outerjoin(page, true()))
        .order_by(*_order(page.c, query))
    )


def _shown_items(user_id: UserId) -> Select[*tuple[Any, ...]]:
    items, products = user_library_items, catalog_products
    return (
        select(*ITEM_COLUMNS, *PRODUCT_COLUMNS)
        .select_from(items.outerjoin(products, items.c.product_id == products.c.product_id))
        .where(items.c.user_id == user_id)
    )


def _category_ids(user_id: UserId, source: FromClause) -> ColumnElement[Any]:
    """The column `category_ids` beside a row whose `id` is the item's: null when it is in none."""
    links = user_library_item_to_categories.c
    return (
        select(func.array_agg(aggregate_order_by(links.category_id, links.category_id)))
        .where(links.user_id == user_id, links.library_item_id == source.c.id)
        .correlate(source)
        .scalar_subquery()
        .label("category_ids")
    )


def _categories(user_id: UserId, source: FromClause) -> ColumnElement[Any]:
    """The column `categories` in the place of `category_ids`: id, name and place of each, in the same order."""
    links, table = user_library_item_to_categories.c, user_game_categories.c
    each = func.jsonb_build_array(table.id, table.name, table.display_order)
    return (
        select(func.jsonb_agg(aggregate_order_by(each, table.id), type_=JSONB))
        .where(
            links.user_id == user_id,
            links.library_item_id == source.c.id,
            table.user_id == user_id,
            table.id == links.category_id,
        )
        .correlate(source)
        .scalar_subquery()
        .label("categories")
    )


def _filters(query: ItemQuery) -> Sequence[ColumnElement[bool]]:
    columns = user_library_items.c
    filters: list[ColumnElement[bool]] = []
    if query.status is not None:
        filters.append(columns.installation_status == query.status)
    if not query.include_hidden:
        filters.append(columns.is_hidden.is_(False))
    if query.is_favorite is not None:
        filters.append(columns.is_favorite.is_(query.is_favorite))
    if query.category_id is not None:
        links = user_library_item_to_categories.c
        is_in_it = (links.user_id == query.user_id) & (links.category_id == query.category_id)
        filters.append(columns.id.in_(select(links.library_item_id).where(is_in_it)))
    return filters


def _found(candidates: Select[*tuple[Any, ...]], text: str) -> FromClause:
    """Those of the candidates that the user means: with all words as they are typed, or if there is none, with typing errors.

    The planner chooses whether to go by the user's items or by the trigrams of all titles; the errors are looked for, or not, when
    it is known what there is without them.
    """
    search, products = title_search(text), catalog_products.c
    if not search.words:
        signs = (title.contains(search.folded, autoescape=True) for title in (products.folded_ru, products.folded_en))
        return candidates.where(or_(*signs)).cte("found")
    exact = candidates.where(*(products.search_key.like(f"%{part(word)}%") for word in search.words)).cte("exact")
    misspelt = candidates.where(
        ~select(exact.c.id).exists(), *(_has_any(products.search_key, misspelt_parts(word)) for word in search.words)
    )
    return union_all(select(exact), misspelt).cte("found")


def _has_any(key: ColumnElement[str], parts: Sequence[str]) -> ColumnElement[bool]:
    return key.like(any_(literal([f"%{part}%" for part in parts], ARRAY(Text()))))


def _order(columns: Columns, query: ItemQuery) -> Sequence[ColumnElement[Any]]:
    # As domain Product.title: the caller's language, or else the other.
    titles = [columns.folded_ru, columns.folded_en]
    title = func.coalesce(*(titles if query.language is Language.RU else reversed(titles)))
    match query.sort:
        case ItemSort.NAME_ASC:
            order = title.asc().nulls_last()
        case ItemSort.NAME_DESC:
            order = title.desc().nulls_last()
        case ItemSort.LAST_PLAYED_DESC:
            order = columns.last_played_at.desc().nulls_last()
        case ItemSort.ADDED_AT_DESC:
            order = columns.added_at.desc()
        case ItemSort.PLAYTIME_DESC:
            order = columns.total_playtime_seconds.desc()
    return order, columns.id.asc()


def _shown(row: RowMapping) -> ShownItem:
    item, product = item_of(row), product_of(row)
    if "categories" not in row:
        return ShownItem(item, product, row["category_ids"] or ())
    categories = [
        Category(CategoryId(UUID(category_id)), item.user_id, name, display_order)
        for category_id, name, display_order in row["categories"] or ()
    ]
    return ShownItem(item, product, [category.id for category in categories], categories)
