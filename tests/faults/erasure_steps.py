"""A program that erases users as the services do, a few rows at a time, and kills itself (SIGKILL) at the step that it is told: run
by test_erasure_kills. Arguments: the service's package, its DSN, the step (tests.faults.death) or `none`; it ends when all is done.
"""

import asyncio
import sys
from uuid import UUID

from chassis.erasure import job
from chassis.erasure.job import Erasures
from chassis.erasure.plan import ErasurePlan
from chassis.postgres.database import open_database
from download_svc.erasure import postgres as download_erasure
from library_svc.erasure import postgres as library_erasure
from tests.faults.death import Death

ROWS_AT_ONCE = 2
ERASED = {"library_svc": library_erasure.ERASED, "download_svc": download_erasure.ERASED}


class Store:
    """A store beside the database, at whose calls the program may die as well."""

    def __init__(self, name: str, death: Death) -> None:
        self.name = name
        self._death = death

    async def erase(self, _: UUID) -> int:
        self._death.at(f"{self.name} erased")
        return 1


async def main(package: str, dsn: str, step: str) -> None:
    job.BATCH_ROWS = ROWS_AT_ONCE  # type: ignore[misc]
    death = Death(step)
    death.watch_transactions()
    plan = ErasurePlan(ERASED[package], stores=[Store("objects", death)], last=[Store("feed", death)])
    async with open_database(dsn) as database:
        await Erasures(database, plan).run_pending()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
