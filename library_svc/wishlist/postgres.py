"""The wishlist in PostgreSQL: rows of `wishlist_items`."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    RowMapping,
    Select,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database
from chassis.postgres.statements import Row
from library_svc.catalog.postgres import catalog_products, product_of
from library_svc.entitlements.postgres import entitlements
from library_svc.ids import ProductId, SaleId, UserId, WishlistItemId
from library_svc.items.postgres_reader import PRODUCT_COLUMNS
from library_svc.postgres_paging import Columns, read_page
from library_svc.sales.domain import Sale
from library_svc.schema import metadata
from library_svc.wishlist.application import WishlistItemView, WishlistPage
from library_svc.wishlist.domain import WishlistItem

wishlist_items: Final = Table(
    "wishlist_items",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("notes", Text),
    Column("notified_on_sale_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


WISH_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(wishlist_items.c[field.name] for field in fields(WishlistItem))
"""The columns of a wishlist item are the attributes of the entity."""


def wish_row(wish: WishlistItem) -> dict[str, Any]:
    return {column.name: getattr(wish, column.name) for column in WISH_COLUMNS}


def wish_of(row: Row) -> WishlistItem:
    return WishlistItem(**{column.name: row[column.name] for column in WISH_COLUMNS})


class PostgresWishlist:
    """The Wishlist of a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, user_id: UserId, wish_id: WishlistItemId) -> WishlistItem | None:
        return await self._one(wishlist_items.c.user_id == user_id, wishlist_items.c.id == wish_id)

    async def of_product(self, user_id: UserId, product_id: ProductId) -> WishlistItem | None:
        return await self._one(wishlist_items.c.user_id == user_id, wishlist_items.c.product_id == product_id)

    async def count(self, user_id: UserId) -> int:
        statement = select(func.count()).select_from(wishlist_items).where(wishlist_items.c.user_id == user_id)
        return (await self._connection.execute(statement)).scalar_one()

    async def wishing(self, sale: Sale, *, limit: int) -> Sequence[WishlistItem]:
        table, grants = wishlist_items, entitlements.c
        is_owned = (
            select(grants.id)
            .where(
                grants.user_id == table.c.user_id,
                grants.product_id == table.c.product_id,
                grants.revoked_at.is_(None),
            )
            .exists()
        )
        statement = (
            select(*WISH_COLUMNS)
            .where(table.c.product_id == sale.product_id, table.c.added_at <= sale.heard_at, ~is_owned)
            .order_by(table.c.user_id)
            .limit(limit)
            .with_for_update()
        )
        if sale.told_until is not None:
            statement = statement.where(table.c.user_id > sale.told_until)
        return [wish_of(row) for row in (await self._connection.execute(statement)).mappings()]

    async def mark_notified(self, wishes: Sequence[WishlistItem], sale_id: SaleId) -> None:
        table = wishlist_items
        keys = select(
            func.unnest(literal([wish.user_id for wish in wishes], ARRAY(Uuid()))).label("user_id"),
            func.unnest(literal([wish.id for wish in wishes], ARRAY(Uuid()))).label("id"),
        ).subquery()
        await self._connection.execute(
            update(table)
            .where(table.c.user_id == keys.c.user_id, table.c.id == keys.c.id)
            .values(notified_on_sale_id=sale_id, updated_at=func.now())
        )

    async def add(self, wish: WishlistItem) -> None:
        await self._connection.execute(insert(wishlist_items).values(wish_row(wish)))

    async def save(self, wish: WishlistItem) -> None:
        table = wishlist_items
        await self._connection.execute(
            update(table)
            .where(table.c.user_id == wish.user_id, table.c.id == wish.id)
            .values({**wish_row(wish), "updated_at": func.now()})
        )

    async def remove(self, wish: WishlistItem) -> None:
        table = wishlist_items
        await self._connection.execute(delete(table).where(table.c.user_id == wish.user_id, table.c.id == wish.id))

    async def _one(self, *conditions: ColumnElement[bool]) -> WishlistItem | None:
        statement = select(*WISH_COLUMNS).where(*conditions).with_for_update()
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        return wish_of(row) if row else None


class PostgresWishlistReader:
    """The WishlistReader over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_wishes(self, user_id: UserId, *, page: int, limit: int) -> WishlistPage:
        rows, total = await read_page(self._database, _shown_wishes(user_id), _order, page=page, limit=limit)
        return WishlistPage([_shown(row) for row in rows], total)

    async def get_wish(self, user_id: UserId, wish_id: WishlistItemId) -> WishlistItemView | None:
        statement = _shown_wishes(user_id).where(wishlist_items.c.id == wish_id)
        async with self._database.connect() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return _shown(row) if row else None


def _shown_wishes(user_id: UserId) -> Select[*tuple[Any, ...]]:
    wishes, products = wishlist_items, catalog_products
    return (
        select(*WISH_COLUMNS, *PRODUCT_COLUMNS)
        .select_from(wishes.outerjoin(products, wishes.c.product_id == products.c.product_id))
        .where(wishes.c.user_id == user_id)
    )


def _order(columns: Columns) -> Sequence[ColumnElement[Any]]:
    return columns.priority.desc(), columns.added_at.desc(), columns.id.asc()


def _shown(row: RowMapping) -> WishlistItemView:
    return WishlistItemView(wish_of(row), product_of(row))
