"""A user whose changes wait for each other leaves connections to everybody else."""

import asyncio
from uuid import uuid4

from chassis.postgres.database import CONNECTIONS_PER_KEY, open_database
from chassis.postgres.migrations import upgrade
from library_svc.categories.application import create_category
from library_svc.categories.postgres import PostgresCategoryReader
from library_svc.ids import UserId
from library_svc.postgres import PostgresLibrary

CHANGES = 20
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""


async def test_a_user_with_many_changes_at_once_leaves_room_for_others_and_loses_none(new_database):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    busy, other = UserId(uuid4()), UserId(uuid4())
    async with open_database(dsn, pool_size=CONNECTIONS_PER_KEY + 2) as database:
        library = PostgresLibrary(database, consumer="test")

        async def change(user_id: UserId, number: int) -> None:
            await create_category(library.begin, user_id=user_id, name=f"Полка {number}", display_order=number)

        async with asyncio.TaskGroup() as group, library.begin() as tx:
            await tx.lock_user(busy)
            for number in range(CHANGES):
                group.create_task(change(busy, number))
            async with asyncio.timeout(10), database.connect() as connection:
                while (await connection.exec_driver_sql(WAITING)).scalar_one() < CONNECTIONS_PER_KEY:
                    await asyncio.sleep(0.01)
            # They have all connections that are theirs and wait; this one finds the last.
            await change(other, 0)
            await tx.commit()
        categories = PostgresCategoryReader(database)
        kept = [await categories.list_categories(user_id, page=1, limit=2 * CHANGES) for user_id in (busy, other)]
    assert [len(page.categories) for page in kept] == [CHANGES, 1]
