"""Libraries of very many users in a database, made by the database itself. Used by bench.library.

Every fifth user has 34 items, the others 4: ten on average. A user's items came one by one, between those of all the others, so
they lie on as many pages of the table. Ids are digests of numbers: both sides of the load know them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from random import Random
from uuid import UUID

import asyncpg

PRODUCTS = 2_000
ACHIEVEMENTS = 10
"""Of each product."""
FEW_ITEMS, MANY_ITEMS, MANY_EVERY = 4, 34, 5
ITEMS_PER_USER = (MANY_ITEMS + FEW_ITEMS * (MANY_EVERY - 1)) // MANY_EVERY
CATEGORIES = 3
SESSIONS = 2
"""Live ones of each user of the load."""
SEED = 20_481


def _id(kind: str, *numbers: int) -> UUID:
    return UUID(md5(" ".join([kind, *map(str, numbers)]).encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Player:
    """A user of the load, by number: one with many items."""

    number: int

    @property
    def user_id(self) -> UUID:
        return _id("user", self.number)

    def product_id(self, place: int) -> UUID:
        """Of one of the user's items."""
        return _id("product", self._product(place))

    def achievement_id(self, place: int, ordinal: int) -> UUID:
        return _id("achievement", self._product(place), ordinal)

    def session_id(self, place: int) -> UUID:
        return _id("session", self.number, place)

    def _product(self, place: int) -> int:
        return (self.number * 37 + place) % PRODUCTS


def players(users: int, count: int) -> Sequence[Player]:
    """So many of the users, spread over all of them."""
    chosen = Random(SEED).sample(range(MANY_EVERY, users + 1, MANY_EVERY), count)
    return [Player(number) for number in chosen]


# $1: users, $2: the place of the item among its user's.
_ITEMS = """
INSERT INTO user_library_items (user_id, product_id, added_at, acquisition_type, installation_status, last_played_at,
                                total_playtime_seconds, is_favorite, notes)
SELECT md5('user ' || n)::uuid, md5('product ' || (n::bigint * 37 + $2) % {products})::uuid,
       timestamptz '2024-01-01' + ($2 * 20 + n % 20) * interval '1 day' + n * interval '1 ms', 'purchase',
       CASE n % 3 WHEN 0 THEN 'installed' ELSE 'not_installed' END,
       CASE WHEN ($2 + n) % 2 = 0 THEN timestamptz '2026-01-01' + (n * 7 + $2) % 300 * interval '1 hour' END,
       ($2 + n) % 2 * 3600 * ($2 + 1), $2 % 7 = 0, CASE WHEN $2 % 10 = 0 THEN 'Вернуться после обновления' END
FROM generate_series(1, $1::int) AS n WHERE $2::int < {few} OR n % {every} = 0
"""
_GRANTS = """
INSERT INTO entitlements (user_id, product_id, source, source_id, acquisition_type, granted_at)
SELECT user_id, product_id, 'order', 'order ' || substr(id::text, 1, 13), 'purchase', added_at FROM user_library_items
"""
_PLAYED = """
INSERT INTO playtime_sessions (user_id, product_id, start_time, end_time, duration_seconds, last_heartbeat_at, platform, status)
SELECT user_id, product_id, added_at, added_at + interval '1 hour', 3600, added_at + interval '1 hour', 'linux', 'completed'
FROM user_library_items
"""
_ACHIEVED = """
INSERT INTO user_achievements (user_id, achievement_meta_id, product_id, is_unlocked, unlocked_at, current_progress)
SELECT user_id, gen_random_uuid(), product_id, true, added_at, 1 FROM user_library_items
"""
_PRODUCTS = """
INSERT INTO catalog_products (product_id, as_of, is_complete, title_ru, title_en, folded_ru, folded_en, cover_image_url,
                              product_type)
SELECT md5('product ' || n)::uuid, now(), true, 'Игра номер ' || n, 'Game number ' || n, 'игра номер ' || n, 'game number ' || n,
       'https://covers.example/' || md5(n::text) || '.jpg', 'game'
FROM generate_series(0, {products} - 1) AS n
"""
_LISTS = "INSERT INTO catalog_achievement_lists (product_id, as_of) SELECT product_id, now() FROM catalog_products"
_DEFINITIONS = """
INSERT INTO catalog_achievements (product_id, achievement_meta_id, ordinal, total_progress_needed, is_hidden, name_ru, name_en)
SELECT md5('product ' || n)::uuid, md5('achievement ' || n || ' ' || a)::uuid, a, 1, false, 'Достижение ' || a, 'Achievement ' || a
FROM generate_series(0, {products} - 1) AS n, generate_series(0, {achievements} - 1) AS a
"""
# $1: the numbers of the load's users.
_CATEGORIES = """
INSERT INTO user_game_categories (user_id, name, folded_name, display_order)
SELECT md5('user ' || n)::uuid, 'Полка ' || c, 'полка ' || c, c FROM unnest($1::int[]) AS n, generate_series(1, {categories}) AS c
"""
_LINKS = """
INSERT INTO user_library_item_to_categories (user_id, library_item_id, category_id)
SELECT item.user_id, item.id, category.id
FROM unnest($1::int[]) AS n
JOIN user_library_items AS item ON item.user_id = md5('user ' || n)::uuid
JOIN user_game_categories AS category ON category.user_id = item.user_id
WHERE item.id::text < 'c' AND category.display_order = 1 + ascii(substr(item.id::text, 9 + 1)) % {categories}
"""
_LIVE = """
INSERT INTO playtime_sessions (user_id, id, product_id, start_time, last_heartbeat_at, platform, device_id)
SELECT md5('user ' || n)::uuid, md5('session ' || n || ' ' || k)::uuid,
       md5('product ' || (n::bigint * 37 + k) % {products})::uuid, now(), now(), 'linux', gen_random_uuid()
FROM unnest($1::int[]) AS n, generate_series(0, {sessions} - 1) AS k
"""
_NAMES = {
    "products": PRODUCTS,
    "achievements": ACHIEVEMENTS,
    "categories": CATEGORIES,
    "sessions": SESSIONS,
    "few": FEW_ITEMS,
    "every": MANY_EVERY,
}
# An index is built faster when all is there. Superusers may say that one is not kept up for now; REINDEX makes it whole again.
_PAUSE_INDEXES = "UPDATE pg_index SET indisready = false, indisvalid = false WHERE indrelid = $1::text::regclass"


async def load(dsn: str, users: int, chosen: Sequence[Player], *, with_past: bool) -> None:
    """Fills a migrated database: the items of all users, the catalog, the chosen users' categories. `with_past`: for each item a
    grant, a session that ended and an achievement too.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
        async with _filling(connection, "user_library_items"):
            for place in range(MANY_ITEMS):
                await connection.execute(_ITEMS.format(**_NAMES), users, place)
        for table, statement in {
            "entitlements": _GRANTS,
            "playtime_sessions": _PLAYED,
            "user_achievements": _ACHIEVED,
        }.items():
            if with_past:
                async with _filling(connection, table):
                    await connection.execute(statement)
        for statement in (_PRODUCTS, _LISTS, _DEFINITIONS):
            await connection.execute(statement.format(**_NAMES))
        numbers = [player.number for player in chosen]
        for statement in (_CATEGORIES, _LINKS):
            await connection.execute(statement.format(**_NAMES), numbers)
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def begin_playing(dsn: str, chosen: Sequence[Player]) -> None:
    """Live sessions of the chosen users, SESSIONS of each. They are silent: within five minutes the service ends them."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_LIVE.format(**_NAMES), [player.number for player in chosen])
    finally:
        await connection.close()


class _filling:  # noqa: N801  reads as a verb where it is used
    """A transaction in which a table is emptied and filled: with wal_level minimal that is not logged."""

    def __init__(self, connection: asyncpg.Connection, table: str) -> None:
        self._connection, self._table = connection, table
        self._transaction = connection.transaction()

    async def __aenter__(self) -> None:
        await self._connection.execute(_PAUSE_INDEXES, self._table)
        await self._transaction.start()
        await self._connection.execute(f"TRUNCATE {self._table} CASCADE")

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:
            await self._transaction.rollback()
            return
        await self._transaction.commit()
        await self._connection.execute(f"REINDEX TABLE {self._table}")
