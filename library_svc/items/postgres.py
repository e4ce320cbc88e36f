"""The columns of the library's tables, for building statements. Keys, checks and indexes are in migrations/, which created the
tables; a test holds the two together. Source: tables.md, "library".
"""

from dataclasses import fields
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Select,
    SmallInteger,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.statements import Row
from library_svc.ids import ItemId, ProductId, UserId
from library_svc.items.domain import AcquisitionType, InstallationStatus, Item
from library_svc.schema import metadata

user_library_items: Final = Table(
    "user_library_items",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("acquisition_type", Text, nullable=False),
    Column("shared_from_user_id", Uuid),
    Column("installation_status", Text, nullable=False),
    Column("installed_version_id", Uuid),
    Column("last_played_at", DateTime(timezone=True)),
    Column("total_playtime_seconds", BigInteger, nullable=False),
    Column("is_hidden", Boolean, nullable=False),
    Column("is_favorite", Boolean, nullable=False),
    Column("user_rating", SmallInteger),
    Column("notes", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


ITEM_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(user_library_items.c[field.name] for field in fields(Item))
"""The columns of an item are the attributes of the entity."""


def item_row(item: Item) -> dict[str, Any]:
    return {column.name: getattr(item, column.name) for column in ITEM_COLUMNS}


# A page reads twenty: asking by position, and a dictionary instead of the enumeration's constructor, is twice as quick.
_ITEM_NAMES: Final = tuple(column.name for column in ITEM_COLUMNS)
_item_values = itemgetter(*_ITEM_NAMES)
_ACQUISITION_AT, _STATUS_AT = map(_ITEM_NAMES.index, ("acquisition_type", "installation_status"))
_ACQUISITION_TYPES: Final = {kind.value: kind for kind in AcquisitionType}
_STATUSES: Final = {status.value: status for status in InstallationStatus}


def item_of(row: Row) -> Item:
    values = list(_item_values(row))
    values[_ACQUISITION_AT] = _ACQUISITION_TYPES[values[_ACQUISITION_AT]]
    values[_STATUS_AT] = _STATUSES[values[_STATUS_AT]]
    return Item(*values)


class PostgresItems:
    """Rows of `user_library_items`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, user_id: UserId, item_id: ItemId) -> Item | None:
        table = user_library_items
        return await self._one(select(*ITEM_COLUMNS).where(table.c.user_id == user_id, table.c.id == item_id))

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Item | None:
        table = user_library_items
        return await self._one(
            select(*ITEM_COLUMNS).where(table.c.user_id == user_id, table.c.product_id == product_id)
        )

    async def add(self, item: Item) -> None:
        await self._connection.execute(insert(user_library_items).values(item_row(item)))

    async def save(self, item: Item) -> None:
        table = user_library_items
        await self._connection.execute(
            update(table)
            .where(table.c.user_id == item.user_id, table.c.id == item.id)
            .values({**item_row(item), "updated_at": func.now()})
        )

    async def remove(self, item: Item) -> None:
        table = user_library_items
        await self._connection.execute(delete(table).where(table.c.user_id == item.user_id, table.c.id == item.id))

    async def _one(self, statement: Select[*tuple[object, ...]]) -> Item | None:
        row = (await self._connection.execute(statement.with_for_update())).mappings().one_or_none()
        return item_of(row) if row else None
