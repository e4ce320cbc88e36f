"""A program that hears of purchases as the Library Service does and kills itself (SIGKILL) at the step that it is told: run by
test_step_kills, and on Kafka by tests/real. Arguments: the library's DSN, the step or `none`; the bus is in the environment.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from chassis.bus.consumers import Consumer
from chassis.bus.outbox import OutboxRelay
from chassis.postgres.database import open_database
from chassis.runtime.backends import EventSettings
from library_svc.consumers import Consumers
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.postgres import PostgresLibrary
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.live_state import MemoryLiveValues
from tests.faults.death import Bus, Death

NAME = "library-service"
STEPS = (
    "event read",
    "rows written",
    "event written",
    "committed",
    "acknowledged",
    "about to relay",
    "relayed",
)


async def main(library_dsn: str, step: str) -> None:
    death = Death(step)
    death.watch_transactions()
    async with open_database(library_dsn) as database, EventSettings().open_event_bus(NAME) as real:
        bus = Bus(real, death)
        library = PostgresLibrary(database, consumer=NAME)
        consumers = Consumers(
            library.begin,
            MemoryAccessCache(),
            RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
            now=lambda: datetime.now(UTC),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(OutboxRelay(database, bus, f"platform.{NAME}").run())
            group.create_task(Consumer(bus, NAME, consumers.subscriptions()).run())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
