"""No statement that the library sends often reads a table of users' rows from end to end, as PostgreSQL itself explains it."""

import pytest

from bench.library_data import SESSIONS, begin_playing, load, players
from bench.library_plans import FLUSHED, explain
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade

USERS = 1_000
STRANGERS = """
INSERT INTO user_game_categories (user_id, name, folded_name, display_order)
SELECT gen_random_uuid(), 'Полка', 'полка', 1 FROM generate_series(1, 20000)
"""
"""Categories of users who are not asked about: a table of a few pages is rightly read from end to end."""
USERS_TABLES = {
    "entitlements",
    "playtime_sessions",
    "user_achievements",
    "user_game_categories",
    "user_library_item_to_categories",
    "user_library_items",
}


@pytest.mark.timeout(240)
async def test_no_statement_that_counts_reads_a_table_of_users_from_end_to_end(new_database):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    chosen = players(USERS, 20)
    await load(dsn, USERS, chosen, with_past=True)
    async with open_database(dsn) as database:
        async with database.connect() as connection:
            await connection.exec_driver_sql(STRANGERS)
            await connection.exec_driver_sql("ANALYZE user_game_categories")
        plans = await explain(database, chosen[0])
    assert len(plans) > 20
    for plan in plans:
        assert not USERS_TABLES & set(plan.scanned_tables), str(plan)


PLAYERS = 200
BUFFERS_OF_A_HEARTBEAT = 60
"""Pages of indexes and of the table that are looked at to find a session by its key, lock it and write it."""


@pytest.mark.timeout(240)
async def test_writing_a_heartbeat_down_costs_the_same_however_many_play_and_whatever_the_planner_knows_of_them(
    new_database,
):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    chosen = players(USERS, PLAYERS)
    await load(dsn, USERS, chosen, with_past=True)  # and analyses: of sessions that live nothing is known
    await begin_playing(dsn, chosen)
    assert PLAYERS * SESSIONS > FLUSHED / 2
    async with open_database(dsn) as database:
        plans = {plan.name: plan for plan in await explain(database, chosen[0])}
    flush = plans["flush of heartbeats"]
    assert flush.buffers < BUFFERS_OF_A_HEARTBEAT * FLUSHED, str(flush)
