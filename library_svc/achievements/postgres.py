"""Achievements in PostgreSQL: what users have, what Catalog defines, and how many have it."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.postgres.database import Database, Transaction
from chassis.postgres.statements import Row, Statement
from library_svc.achievements.application import AchievementList, AchievementSort, AchievementView
from library_svc.achievements.domain import Achievement, AchievementEligibility, Definition, rarity_percentage
from library_svc.entitlements.postgres import entitlements, grant_of
from library_svc.ids import AchievementId, ProductId, UserId
from library_svc.playtime.postgres import playtime_sessions, product_players
from library_svc.schema import achievement_notes, metadata

user_achievements: Final = Table(
    "user_achievements",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("achievement_meta_id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("is_unlocked", Boolean, nullable=False),
    Column("unlocked_at", DateTime(timezone=True)),
    Column("current_progress", Integer, nullable=False),
    Column("total_progress_needed", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


achievement_stats: Final = Table(
    "achievement_stats",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("achievement_meta_id", Uuid, primary_key=True),
    Column("unlocked_count", BigInteger, nullable=False),
)


catalog_achievements: Final = Table(
    "catalog_achievements",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("achievement_meta_id", Uuid, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("total_progress_needed", Integer, nullable=False),
    Column("is_hidden", Boolean, nullable=False),
    Column("name_ru", Text),
    Column("name_en", Text),
    Column("description_ru", Text),
    Column("description_en", Text),
    Column("icon_url_unlocked", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

catalog_achievement_lists: Final = Table(
    "catalog_achievement_lists",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("as_of", DateTime(timezone=True), nullable=False),
)


COLUMNS: Final[tuple[Column[Any], ...]] = tuple(user_achievements.c[field.name] for field in fields(Achievement))
"""The columns of a user's achievement are the attributes of the entity."""

# One statement: a note is gone exactly when it is in a tally. The tallies are locked in the order of their keys.
ADD_UP: Final = text(
    """
WITH taken AS (
    DELETE FROM achievement_notes
    WHERE id IN (SELECT id FROM achievement_notes ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING product_id, achievement_meta_id
), unlocked AS (
    INSERT INTO achievement_stats AS stats (product_id, achievement_meta_id, unlocked_count)
    SELECT product_id, achievement_meta_id, count(*) FROM taken
    WHERE achievement_meta_id IS NOT NULL
    GROUP BY product_id, achievement_meta_id ORDER BY product_id, achievement_meta_id
    ON CONFLICT (product_id, achievement_meta_id) DO UPDATE SET unlocked_count = stats.unlocked_count + excluded.unlocked_count
), players AS (
    INSERT INTO product_players AS stats (product_id, player_count)
    SELECT product_id, count(*) FROM taken
    WHERE achievement_meta_id IS NULL
    GROUP BY product_id ORDER BY product_id
    ON CONFLICT (product_id) DO UPDATE SET player_count = stats.player_count + excluded.player_count
)
SELECT count(*) FROM taken
"""
)


def _save_statement() -> Insert:
    statement = upsert(user_achievements).values({column.name: bindparam(column.name) for column in COLUMNS})
    keys = ("user_id", "achievement_meta_id")
    heard = {column.name: statement.excluded[column.name] for column in COLUMNS if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_={**heard, "updated_at": func.now()})


def _standing_statement() -> Select[*tuple[Any, ...]]:
    """A row for each grant, or one without; the achievement and whether the product was played are on each of them."""
    user_id, product_id = bindparam("user_id", type_=Uuid()), bindparam("product_id", type_=Uuid())
    own, grants, sessions = user_achievements.c, entitlements.c, playtime_sessions.c
    is_own = and_(own.user_id == user_id, own.achievement_meta_id == bindparam("achievement_id"))
    of_product = and_(grants.user_id == user_id, grants.product_id == product_id)
    return select(
        exists().where(sessions.user_id == user_id, sessions.product_id == product_id).label("has_begun"),
        *grants,
        *(column.label(f"own_{column.name}") for column in COLUMNS),
    ).select_from(
        select(literal(1)).subquery("always").outerjoin(user_achievements, is_own).outerjoin(entitlements, of_product)
    )


_STANDING: Final = Statement.of(_standing_statement())
_SAVE: Final = Statement.of(_save_statement())
_SAVE_AND_NOTE: Final = Statement.of(
    insert(achievement_notes)
    .from_select(
        ["product_id", "achievement_meta_id"],
        select(bindparam("product_id", type_=Uuid()), bindparam("achievement_meta_id", type_=Uuid())),
    )
    .add_cte(_save_statement().cte("saved"))
)


class PostgresAchievements:
    """The Achievements of a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def standing(
        self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId
    ) -> AchievementEligibility:
        values = {"user_id": user_id, "product_id": product_id, "achievement_id": achievement_id}
        rows = await self._tx.fetch(_STANDING, values)
        known = rows[0]
        achievement = None
        if known["own_user_id"] is not None:
            achievement = Achievement(**{column.name: known[f"own_{column.name}"] for column in COLUMNS})
        return AchievementEligibility(
            [grant_of(row) for row in rows if row["id"] is not None], known["has_begun"], achievement
        )

    async def save(self, achievement: Achievement) -> None:
        statement = _SAVE_AND_NOTE if achievement.is_unlocked else _SAVE
        await self._tx.fetch(statement, {column.name: getattr(achievement, column.name) for column in COLUMNS})


def _list_statement(sort: AchievementSort, *, of_one: bool = False) -> Statement:
    """A product's achievements, or the one of them that is named; a row without any when there is none."""
    lists, defined, own = catalog_achievement_lists.c, catalog_achievements.c, user_achievements.c
    stats, players = achievement_stats.c, product_players.c
    unlocked, played = func.coalesce(stats.unlocked_count, 0), func.coalesce(players.player_count, 0)
    wanted = [defined.achievement_meta_id == bindparam("achievement_id")] if of_one else []
    statement = (
        select(
            lists.as_of,
            *catalog_achievements.c,
            func.coalesce(own.is_unlocked, literal(value=False)).label("is_unlocked"),
            own.unlocked_at,
            func.coalesce(own.current_progress, 0).label("current_progress"),
            unlocked.label("unlocked"),
            played.label("players"),
        )
        .select_from(
            catalog_achievement_lists.outerjoin(
                catalog_achievements, and_(lists.product_id == defined.product_id, *wanted)
            )
            .outerjoin(
                user_achievements,
                and_(own.user_id == bindparam("user_id"), own.achievement_meta_id == defined.achievement_meta_id),
            )
            .outerjoin(
                achievement_stats,
                and_(stats.product_id == defined.product_id, stats.achievement_meta_id == defined.achievement_meta_id),
            )
            .outerjoin(product_players, players.product_id == lists.product_id)
        )
        .where(lists.product_id == bindparam("product_id"))
    )
    match sort:
        case AchievementSort.RARITY_ASC:
            statement = statement.order_by(unlocked)
        case AchievementSort.UNLOCKED_AT_DESC:
            statement = statement.order_by(own.unlocked_at.desc().nulls_last())
    return Statement.of(statement.order_by(defined.ordinal, defined.achievement_meta_id))


_ONE: Final = _list_statement(AchievementSort.DEFAULT, of_one=True)
_DEFINED: Final = tuple(field.name for field in fields(Definition) if field.name != "id")
_LISTS: Final = {sort: _list_statement(sort) for sort in AchievementSort}
"""Putting one together takes longer than running it."""


class PostgresAchievementReader:
    """The AchievementReader over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_achievements(self, user_id: UserId, product_id: ProductId, sort: AchievementSort) -> AchievementList:
        return _read(await self._database.fetch(_LISTS[sort], {"user_id": user_id, "product_id": product_id}))

    async def find_achievement(
        self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId
    ) -> AchievementList:
        values = {"user_id": user_id, "product_id": product_id, "achievement_id": achievement_id}
        return _read(await self._database.fetch(_ONE, values))


class PostgresAchievementTallies:
    """The AchievementTallies over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_up(self, *, limit: int) -> int:
        async with self._database.begin() as tx:
            added = (await tx.connection.execute(ADD_UP, {"limit": limit})).scalar_one()
            await tx.commit()
        return int(added)


class PostgresDefinitions:
    """The Definitions over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, product_id: ProductId, definitions: Sequence[Definition], *, as_of: datetime) -> None:
        lists, table = catalog_achievement_lists, catalog_achievements
        newest = upsert(lists).values(product_id=product_id, as_of=as_of)
        newest = newest.on_conflict_do_update(
            index_elements=["product_id"], set_={"as_of": as_of}, where=lists.c.as_of <= as_of
        )
        async with self._database.begin() as tx:
            is_newer = (await tx.connection.execute(newest.returning(lists.c.product_id))).scalar_one_or_none()
            if is_newer is None:
                return
            await tx.connection.execute(delete(table).where(table.c.product_id == product_id))
            if definitions:
                await tx.connection.execute(insert(table), [_row(definition) for definition in definitions])
            await tx.commit()


def _row(definition: Definition) -> dict[str, Any]:
    row = {field.name: getattr(definition, field.name) for field in fields(Definition)}
    return {"achievement_meta_id": row.pop("id"), **row}


def _read(rows: Sequence[Row]) -> AchievementList:
    shown = [_shown(row) for row in rows if row["achievement_meta_id"] is not None]
    return AchievementList(shown, rows[0]["as_of"] if rows else None)


def _shown(row: Row) -> AchievementView:
    values = {name: row[name] for name in _DEFINED}
    return AchievementView(
        definition=Definition(id=row["achievement_meta_id"], **values),
        is_unlocked=row["is_unlocked"],
        unlocked_at=row["unlocked_at"],
        current_progress=row["current_progress"],
        rarity_percentage=rarity_percentage(row["unlocked"], row["players"]),
    )
