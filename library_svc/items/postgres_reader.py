"""The reads that the library shows, from PostgreSQL: each is one statement on one connection, outside of transactions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from chassis.postgres.database import Database
from chassis.postgres.statements import Row, Statement
from library_svc.catalog.application import CATALOG_BATCH_LIMIT
from library_svc.catalog.domain import Language
from library_svc.catalog.postgres import catalog_products, product_of
from library_svc.categories.domain import Category
from library_svc.categories.postgres import user_game_categories, user_library_item_to_categories
from library_svc.entitlements.postgres import entitlements
from library_svc.ids import CategoryId, ItemId, ProductId, UserId
from library_svc.items.application import ItemPage, ItemQuery, ItemSort, ItemView
from library_svc.items.domain import InstallationStatus, Item
from library_svc.items.postgres import ITEM_COLUMNS, item_of, user_library_items
from library_svc.items.search import title_search

PRODUCT_COLUMNS = tuple(
    column
    for column in catalog_products.c
    if column.name not in {"product_id", "folded_ru", "folded_en", "search_key", "created_at", "updated_at"}
    and not column.name.startswith("also_meant")
    and not column.name.endswith("_stamp")
)
"""The columns that an item is shown with and ordered by; product_id comes from the item, and is present without a product too."""

Columns = ReadOnlyColumnCollection[str, Any]


MAX_FORMS: Final = 1_000
"""Forms of a page that are kept; there are a few hundred, of which a few are asked for."""

_NOBODY: Final = UserId(UUID(int=0))
_NO_CATEGORY: Final = CategoryId(UUID(int=0))


class PostgresReader:
    """The LibraryReader over PostgreSQL. Putting a statement together takes longer than running it: it is done once for each form,
    and values are given to it by name.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_items(self, query: ItemQuery) -> ItemPage:
        if query.search is None:
            rows = await self._database.fetch(_known_page(_form(query)), _page_values(query))
        else:
            rows = await self._rows(page_statement(query), _page_values(query))
        items = [_shown(row) for row in rows if row["id"] is not None]
        return ItemPage(items, total_items=rows[0]["total_items"], unknown_products=rows[0]["unknown_products"] or ())

    async def get_item(self, user_id: UserId, item_id: ItemId, *, include_categories: bool = False) -> ItemView | None:
        statement = _ITEM_WITH_CATEGORIES if include_categories else _ITEM
        rows = await self._database.fetch(statement, {"user_id": user_id, "item_id": item_id})
        return _shown(rows[0]) if rows else None

    async def owned_items(self, user_id: UserId, product_ids: Sequence[ProductId]) -> Sequence[Item]:
        table = user_library_items
        statement = select(*ITEM_COLUMNS).where(table.c.user_id == user_id)
        if product_ids:
            statement = statement.where(table.c.product_id == any_(literal(list(product_ids), ARRAY(Uuid()))))
        return [item_of(row) for row in await self._rows(statement.order_by(table.c.added_at.desc(), table.c.id))]

    async def access_since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        rows = await self._database.fetch(_ACCESS_SINCE, {"user_id": user_id, "product_id": product_id})
        since: datetime | None = rows[0]["since"]
        return since

    async def _rows(
        self, statement: Select[*tuple[Any, ...]], values: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        async with self._database.connect() as connection:
            return (await connection.execute(statement, values)).mappings().all()


def _form(query: ItemQuery) -> ItemQuery:
    """The query without what is a value in its statement: equal for all that have the same statement."""
    return replace(
        query,
        user_id=_NOBODY,
        status=None if query.status is None else InstallationStatus.INSTALLED,
        is_favorite=None if query.is_favorite is None else True,
        category_id=None if query.category_id is None else _NO_CATEGORY,
        page=1,
        limit=1,
    )


def _page_values(query: ItemQuery) -> Mapping[str, Any]:
    """The values of a page's statement by name; those that its form leaves out do no harm."""
    return {
        "user_id": query.user_id,
        "status": query.status,
        "is_favorite": query.is_favorite,
        "category_id": query.category_id,
        "limit": query.limit,
        "offset": (query.page - 1) * query.limit,
    }


def page_statement(query: ItemQuery) -> Select[*tuple[Any, ...]]:
    """One statement for a page: its rows, and on every row `total_items` and `unknown_products`. It takes `_page_values`.

    There is always a row: on a page beyond the last one its `id` is null.
    """
    candidates = _shown_items().where(*_filters(query))
    found = candidates.cte("candidates") if query.search is None else _found(candidates, query.search)
    page = (
        select(found)
        .order_by(*_order(found.c, query))
        .limit(bindparam("limit", type_=Integer()))
        .offset(bindparam("offset", type_=Integer()))
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
            (_categories if query.include_categories else _category_ids)(page),
        )
        .select_from(always.outerjoin(page, true()))
        .order_by(*_order(page.c, query))
    )


@lru_cache(MAX_FORMS)
def _known_page(form: ItemQuery) -> Statement:
    return Statement.of(page_statement(form))


_USER: Final = bindparam("user_id", type_=Uuid())


def _shown_items() -> Select[*tuple[Any, ...]]:
    items, products = user_library_items, catalog_products
    return (
        select(*ITEM_COLUMNS, *PRODUCT_COLUMNS)
        .select_from(items.outerjoin(products, items.c.product_id == products.c.product_id))
        .where(items.c.user_id == _USER)
    )


def _category_ids(source: FromClause) -> ColumnElement[Any]:
    """The column `category_ids` beside a row whose `id` is the item's: null when it is in none."""
    links = user_library_item_to_categories.c
    return (
        select(func.array_agg(aggregate_order_by(links.category_id, links.category_id)))
        .where(links.user_id == _USER, links.library_item_id == source.c.id)
        .correlate(source)
        .scalar_subquery()
        .label("category_ids")
    )


def _categories(source: FromClause) -> ColumnElement[Any]:
    """The column `categories` in the place of `category_ids`: id, name and place of each, in the same order."""
    links, table = user_library_item_to_categories.c, user_game_categories.c
    each = func.jsonb_build_array(table.id, table.name, table.display_order)
    return (
        select(func.jsonb_agg(aggregate_order_by(each, table.id), type_=JSONB))
        .where(
            links.user_id == _USER,
            links.library_item_id == source.c.id,
            table.user_id == _USER,
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
        filters.append(columns.installation_status == bindparam("status"))
    if not query.include_hidden:
        filters.append(columns.is_hidden.is_(False))
    if query.is_favorite is not None:
        filters.append(columns.is_favorite == bindparam("is_favorite"))
    if query.category_id is not None:
        links = user_library_item_to_categories.c
        is_in_it = (links.user_id == _USER) & (links.category_id == bindparam("category_id"))
        filters.append(columns.id.in_(select(links.library_item_id).where(is_in_it)))
    return filters


def _found(candidates: Select[*tuple[Any, ...]], text: str) -> FromClause:
    """Those of the candidates that the user means: with all words as they are typed, or if there is none, with typing errors or
    with the keyboard in the other language.

    The planner chooses whether to go by the user's items or by the trigrams of all titles; the errors are looked for, or not, when
    it is known what there is without them.
    """
    search, products = title_search(text), catalog_products.c
    titles = products.folded_ru, products.folded_en
    for other in search.others if search.words or search.others else (search.folded,):
        candidates = candidates.where(or_(*(title.contains(other, autoescape=True) for title in titles)))
    if not search.words:
        return candidates.cte("found")
    exact = candidates.where(_has_all([word.parts for word in search.words])).cte("exact")
    ways = [[word.misspelt_parts for word in search.words], [word.parts for word in search.slipped]]
    otherwise = candidates.where(~select(exact.c.id).exists(), or_(*map(_has_all, filter(None, ways))))
    return union_all(select(exact), otherwise).cte("found")


def _has_all(words: Sequence[Sequence[str]]) -> ColumnElement[bool]:
    """Return the condition that the product's key has a part of each word."""
    return and_(*map(_has_any, words))


def _has_any(parts: Sequence[str]) -> ColumnElement[bool]:
    key = catalog_products.c.search_key
    return (
        key.like(f"%{parts[0]}%")
        if len(parts) == 1
        else key.like(any_(literal([f"%{part}%" for part in parts], ARRAY(Text()))))
    )


def _order(columns: Columns, query: ItemQuery) -> Sequence[ColumnElement[Any]]:
    # As domain Product.title: the caller's language, or else the other.
    titles = [columns.sort_ru, columns.sort_en]
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


_one_item: Final = _shown_items().where(user_library_items.c.id == bindparam("item_id"))
_ITEM: Final = Statement.of(_one_item.add_columns(_category_ids(user_library_items)))
_ITEM_WITH_CATEGORIES: Final = Statement.of(_one_item.add_columns(_categories(user_library_items)))
_ACCESS_SINCE: Final = Statement.of(
    select(func.min(entitlements.c.granted_at).label("since")).where(
        entitlements.c.user_id == _USER,
        entitlements.c.product_id == bindparam("product_id"),
        entitlements.c.revoked_at.is_(None),
    )
)


def _shown(row: Row) -> ItemView:
    item, product = item_of(row), product_of(row)
    if "categories" not in row:
        return ItemView(item, product, row["category_ids"] or ())
    categories = [
        Category(CategoryId(UUID(category_id)), item.user_id, name, display_order)
        for category_id, name, display_order in row["categories"] or ()
    ]
    return ItemView(item, product, [category.id for category in categories], categories)
