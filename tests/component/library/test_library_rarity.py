"""Rarity is counted behind, while users unlock a thousand achievements a second: each once, and never more than a minute late."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest

from chassis.concurrency.background import background, repeat
from chassis.postgres.database import Database, open_database
from chassis.postgres.migrations import upgrade
from library_svc.achievements.application import COUNT_SECONDS, count_all
from library_svc.achievements.domain import Achievement, rarity_percentage
from library_svc.achievements.postgres import PostgresAchievementTallies
from library_svc.ids import AchievementId, ProductId, UserId
from library_svc.postgres import PostgresLibrary

UNLOCKS_A_SECOND = 1_000
TRANSACTIONS_A_SECOND = 20
LATE_SECONDS = 60.0
INSTANCES = 2

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCT = ProductId(uuid4())
COMMON, RARE = AchievementId(uuid4()), AchievementId(uuid4())


async def unlock(library: PostgresLibrary, number: int) -> None:
    """As many at once as a second brings in a transaction's time: all of one product, a tenth of them of the rare one."""
    async with library.begin() as tx:
        for each in range(number):
            achievement_id = RARE if each % 10 == 0 else COMMON
            await tx.achievements.save(
                Achievement(UserId(uuid4()), achievement_id, PRODUCT, is_unlocked=True, unlocked_at=NOW)
            )
        await tx.playtime.count_player(PRODUCT)
        await tx.commit()


async def tallies(database: Database) -> tuple[int, int, int]:
    """How many have the common one, the rare one, and how many play."""
    statement = """
        SELECT (SELECT unlocked_count FROM achievement_stats WHERE product_id = $1 AND achievement_meta_id = $2),
               (SELECT unlocked_count FROM achievement_stats WHERE product_id = $1 AND achievement_meta_id = $3),
               (SELECT player_count FROM product_players WHERE product_id = $1)
    """
    async with database.connect() as connection:
        row = (await connection.exec_driver_sql(statement, (PRODUCT, COMMON, RARE))).one()
    return row[0] or 0, row[1] or 0, row[2] or 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [2, pytest.param(90, marks=pytest.mark.soak)])
async def test_a_thousand_unlocks_a_second_are_counted_within_a_minute(
    new_database: Callable[..., Awaitable[str]], seconds: int
):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    async with open_database(dsn) as database:
        library = PostgresLibrary(database, consumer="tests")
        counters = [
            repeat("tallies", partial(count_all, PostgresAchievementTallies(database)), pause_seconds=COUNT_SECONDS)
            for _ in range(INSTANCES)
        ]
        async with background(*counters):
            loop = asyncio.get_running_loop()
            told: list[tuple[float, int]] = []  # until when how many were unlocked
            unlocked, per_transaction = 0, UNLOCKS_A_SECOND // TRANSACTIONS_A_SECOND
            began = loop.time()
            for second in range(seconds):
                await asyncio.sleep(max(0.0, began + second - loop.time()))
                await asyncio.gather(*(unlock(library, per_transaction) for _ in range(TRANSACTIONS_A_SECOND)))
                unlocked += UNLOCKS_A_SECOND
                told.append((loop.time(), unlocked))
                counted = sum((await tallies(database))[:2])
                assert counted >= max((count for at, count in told if loop.time() - at > LATE_SECONDS), default=0)
                assert counted <= unlocked
            async with asyncio.timeout(LATE_SECONDS):
                while sum((await tallies(database))[:2]) < unlocked:
                    await asyncio.sleep(0.1)
        common, rare, players = await tallies(database)
        assert (common, rare, players) == (unlocked * 9 // 10, unlocked // 10, seconds * TRANSACTIONS_A_SECOND)
        assert rarity_percentage(rare, unlocked) == 10.0
        assert await PostgresAchievementTallies(database).add_up(limit=10) == 0
