"""Game settings in PostgreSQL: rows of `game_specific_settings`."""

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import BigInteger, Column, DateTime, Select, Table, Uuid, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database
from chassis.postgres.statements import Row
from library_svc.game_settings.domain import GameSettings, normalised
from library_svc.ids import ProductId, UserId
from library_svc.schema import metadata

game_specific_settings: Final = Table(
    "game_specific_settings",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("settings_payload", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("last_updated_at", DateTime(timezone=True), nullable=False),
    Column("last_synced_with_cloud_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


SETTINGS_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(
    game_specific_settings.c[field.name] for field in fields(GameSettings)
)
"""The columns of game settings are the attributes of the entity."""


def settings_row(settings: GameSettings) -> dict[str, Any]:
    return {column.name: getattr(settings, column.name) for column in SETTINGS_COLUMNS}


def settings_of(row: Row) -> GameSettings:
    """The numbers of a payload come back from the database in another form than they went in."""
    values = {column.name: row[column.name] for column in SETTINGS_COLUMNS}
    return GameSettings(**{**values, "settings_payload": normalised(values["settings_payload"])})


class PostgresGameSettings:
    """The GameSettingsStore of a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, user_id: UserId, product_id: ProductId) -> GameSettings | None:
        return await _one(self._connection, _of(user_id, product_id).with_for_update())

    async def save(self, settings: GameSettings) -> None:
        row = settings_row(settings)
        keys = ("user_id", "product_id")
        values = {name: value for name, value in row.items() if name not in keys}
        await self._connection.execute(
            upsert(game_specific_settings)
            .values(row)
            .on_conflict_do_update(index_elements=keys, set_={**values, "updated_at": func.now()})
        )


class PostgresGameSettingsReader:
    """The GameSettingsReader over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_settings(self, user_id: UserId, product_id: ProductId) -> GameSettings | None:
        async with self._database.connect() as connection:
            return await _one(connection, _of(user_id, product_id))


def _of(user_id: UserId, product_id: ProductId) -> Select[*tuple[object, ...]]:
    table = game_specific_settings
    return select(*SETTINGS_COLUMNS).where(table.c.user_id == user_id, table.c.product_id == product_id)


async def _one(connection: AsyncConnection, statement: Select[*tuple[object, ...]]) -> GameSettings | None:
    row = (await connection.execute(statement)).mappings().one_or_none()
    return settings_of(row) if row else None
