"""A program that tells users of sales as the Library Service does, a few at a time, and kills itself (SIGKILL) at the step that
it is told: run by test_sale_kills. Arguments: the library's DSN, the step (tests.faults.death) or `none`; it ends when all
are told.
"""

import asyncio
import sys
from datetime import UTC, datetime

from chassis.postgres.database import open_database
from library_svc.postgres import PostgresLibrary
from library_svc.sales.application import notify_batch
from tests.faults.death import Death

USERS_AT_ONCE = 10


async def main(library_dsn: str, step: str) -> None:
    death = Death(step)
    death.watch_transactions()
    async with open_database(library_dsn) as database:
        begin = PostgresLibrary(database, consumer="library-service").begin
        while await notify_batch(begin, now=datetime.now(UTC), limit=USERS_AT_ONCE):
            pass


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
