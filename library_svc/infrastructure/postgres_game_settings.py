"""Game settings in PostgreSQL: rows of `game_specific_settings`."""

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database
from library_svc.domain.game_settings import GameSettings
from library_svc.domain.ids import ProductId, UserId
from library_svc.infrastructure.rows import SETTINGS_COLUMNS, settings_of, settings_row
from library_svc.infrastructure.tables import game_specific_settings


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
