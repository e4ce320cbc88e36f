"""Sales in PostgreSQL, rows of `wishlist_sales`; and a check that the outbox keeps up with the events about them."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, DateTime, SmallInteger, Table, Text, Uuid, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database
from chassis.postgres.statements import Row
from library_svc.ids import ProductId
from library_svc.sales.domain import Sale, SaleStatus
from library_svc.schema import metadata, shared
from library_svc.stamps import Stamp

catalog_prices: Final = Table(
    "catalog_prices",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("stamp", Text(collation="C"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


wishlist_sales: Final = Table(
    "wishlist_sales",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("sale_id", Text, primary_key=True),
    Column("discount_percent", SmallInteger, nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("heard_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("told_until", Uuid),
    Column("retry_at", DateTime(timezone=True)),
    Column("failure", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


SALE_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(wishlist_sales.c[field.name] for field in fields(Sale))
"""The columns of a sale are the attributes of the entity."""


def sale_row(sale: Sale) -> dict[str, Any]:
    return {column.name: getattr(sale, column.name) for column in SALE_COLUMNS}


def sale_of(row: Row) -> Sale:
    values = {column.name: row[column.name] for column in SALE_COLUMNS}
    return Sale(**{**values, "status": SaleStatus(values["status"])})


ROOM_EVENTS = 1_000
"""Events that may wait for the relay, some tenths of a second, before notices wait too."""
MAX_REASON_CHARACTERS = 1_000


class PostgresSales:
    """The Sales of a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of_product(self, product_id: ProductId) -> Sequence[Sale]:
        statement = select(*SALE_COLUMNS).where(wishlist_sales.c.product_id == product_id).with_for_update()
        return [sale_of(row) for row in (await self._connection.execute(statement)).mappings()]

    async def next_to_notify(self, now: datetime) -> Sale | None:
        table = wishlist_sales
        statement = (
            select(*SALE_COLUMNS)
            # Written out, so that every plan knows that the partial index holds all there is.
            .where(table.c.status == literal_column(f"'{SaleStatus.TELLING}'"))
            .where(or_(table.c.retry_at.is_(None), table.c.retry_at <= now))
            .order_by(table.c.updated_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        return sale_of(row) if row else None

    async def is_newest(self, product_id: ProductId, price: Stamp) -> bool:
        statement = upsert(catalog_prices).values(product_id=product_id, stamp=price)
        recorded = await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["product_id"],
                set_={"stamp": statement.excluded.stamp, "updated_at": func.now()},
                where=statement.excluded.stamp >= catalog_prices.c.stamp,
            ).returning(catalog_prices.c.product_id)
        )
        return recorded.first() is not None

    async def save(self, sale: Sale) -> None:
        row = sale_row(sale)
        statement = upsert(wishlist_sales).values(row)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["product_id", "sale_id"], set_={**row, "updated_at": func.now(), "retry_at": None}
            )
        )

    async def set_aside(self, sale: Sale, *, until: datetime, reason: str) -> None:
        table = wishlist_sales.c
        await self._connection.execute(
            update(wishlist_sales)
            .where(table.product_id == sale.product_id, table.sale_id == sale.sale_id)
            .values(retry_at=until, failure=reason[:MAX_REASON_CHARACTERS].replace("\0", ""), updated_at=func.now())
        )


class PostgresOutgoing:
    """The Outgoing over the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has_room(self) -> bool:
        waiting = shared.outbox.c
        beyond = (
            select(waiting.position)
            .where(waiting.published_at.is_(None))
            .order_by(waiting.position)
            .offset(ROOM_EVENTS)
            .limit(1)
        )
        async with self._database.connect() as connection:
            return (await connection.execute(beyond)).first() is None
