"""Categories in PostgreSQL: rows of `user_game_categories` and `user_library_item_to_categories`."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    DateTime,
    FetchedValue,
    Integer,
    Table,
    Text,
    Uuid,
    any_,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database
from chassis.postgres.statements import Row
from library_svc.categories.application import CategoryPage
from library_svc.categories.domain import Category, named_best
from library_svc.ids import CategoryId, UserId
from library_svc.items.domain import Item
from library_svc.postgres_paging import Columns, read_page
from library_svc.schema import metadata
from library_svc.text import folded

user_game_categories: Final = Table(
    "user_game_categories",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("name", Text(collation="C"), nullable=False),
    Column("folded_name", Text(collation="C"), nullable=False),
    Column("sort_name", Text(collation="C"), FetchedValue(), nullable=False),
    Column("display_order", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

user_library_item_to_categories: Final = Table(
    "user_library_item_to_categories",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("library_item_id", Uuid, primary_key=True),
    Column("category_id", Uuid, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
)


def category_row(category: Category) -> dict[str, Any]:
    return {
        "user_id": category.user_id,
        "id": category.id,
        "name": category.name,
        "folded_name": folded(category.name),
        "display_order": category.display_order,
    }


def category_of(row: Row) -> Category:
    return Category(row["id"], row["user_id"], row["name"], row["display_order"])


class PostgresCategories:
    """The Categories of a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, user_id: UserId, category_id: CategoryId) -> Category | None:
        table = user_game_categories
        return await self._one(table.c.user_id == user_id, table.c.id == category_id)

    async def named(self, user_id: UserId, name: str) -> Category | None:
        table = user_game_categories
        alike = select(table).where(table.c.user_id == user_id, table.c.folded_name == folded(name))
        found = [category_of(row) for row in (await self._connection.execute(alike.with_for_update())).mappings()]
        return named_best(found, name)

    async def existing(self, user_id: UserId, category_ids: AbstractSet[CategoryId]) -> AbstractSet[CategoryId]:
        table = user_game_categories
        # In the order of ids, so that two that lock the same categories do not wait for each other in a circle.
        statement = (
            select(table.c.id)
            .where(table.c.user_id == user_id, table.c.id == any_(literal(list(category_ids), ARRAY(Uuid()))))
            .order_by(table.c.id)
            .with_for_update(read=True, key_share=True)
        )
        return {CategoryId(found) for found in (await self._connection.execute(statement)).scalars()}

    async def add(self, category: Category) -> None:
        await self._connection.execute(insert(user_game_categories).values(category_row(category)))

    async def save(self, category: Category) -> None:
        table = user_game_categories
        await self._connection.execute(
            update(table)
            .where(table.c.user_id == category.user_id, table.c.id == category.id)
            .values({**category_row(category), "updated_at": func.now()})
        )

    async def remove(self, category: Category) -> None:
        table = user_game_categories
        await self._connection.execute(
            delete(table).where(table.c.user_id == category.user_id, table.c.id == category.id)
        )

    async def of_item(self, item: Item) -> AbstractSet[CategoryId]:
        table = user_library_item_to_categories
        statement = select(table.c.category_id).where(
            table.c.user_id == item.user_id, table.c.library_item_id == item.id
        )
        return {CategoryId(found) for found in (await self._connection.execute(statement)).scalars()}

    async def put(self, item: Item, category_ids: AbstractSet[CategoryId]) -> None:
        table = user_library_item_to_categories
        wanted = literal(list(category_ids), ARRAY(Uuid()))
        await self._connection.execute(
            delete(table).where(
                table.c.user_id == item.user_id,
                table.c.library_item_id == item.id,
                ~(table.c.category_id == any_(wanted)),
            )
        )
        if category_ids:
            of_item = {"user_id": item.user_id, "library_item_id": item.id}
            rows = [{**of_item, "category_id": category_id} for category_id in sorted(category_ids)]
            await self._connection.execute(upsert(table).values(rows).on_conflict_do_nothing())

    async def _one(self, *conditions: ColumnElement[bool]) -> Category | None:
        statement = select(user_game_categories).where(*conditions).with_for_update()
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        return category_of(row) if row else None


class PostgresCategoryReader:
    """The CategoryReader over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_categories(self, user_id: UserId, *, page: int, limit: int) -> CategoryPage:
        found = select(user_game_categories).where(user_game_categories.c.user_id == user_id)
        rows, total = await read_page(self._database, found, _order, page=page, limit=limit)
        return CategoryPage([category_of(row) for row in rows], total)

    async def get_category(self, user_id: UserId, category_id: CategoryId) -> Category | None:
        table = user_game_categories
        statement = select(table).where(table.c.user_id == user_id, table.c.id == category_id)
        async with self._database.connect() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return category_of(row) if row else None


def _order(columns: Columns) -> Sequence[ColumnElement[Any]]:
    return columns.display_order.asc(), columns.sort_name.asc(), columns.name.asc(), columns.id.asc()
