"""A program that tells users of their libraries as the Library Service does and kills itself (SIGKILL) at the step that it is told:
run by test_feed_kills. Arguments: the library's DSN, the log's DSN, the URL of the hot state, the step or `none`.
"""

import asyncio
import sys

from chassis.bus.consumers import Consumer
from chassis.bus.event_log import open_event_log
from chassis.bus.outbox import OutboxRelay
from chassis.live.redis_state import open_redis_state
from chassis.postgres.database import open_database
from library_svc.feed.presentation import live_subscriptions
from library_svc.feed.redis import RedisLibraryFeed
from library_svc.ids import UserId
from tests.faults.death import Bus, Death

GROUP = "library-service-live"


class Feed(RedisLibraryFeed):
    """A feed that dies when it has heard of the second event: the first of the batch is in it by then, the last is not."""

    death: Death
    heard = 0

    async def append(self, user_id: UserId, update: bytes, *, event_id: str) -> None:
        await super().append(user_id, update, event_id=event_id)
        self.heard += 1
        if self.heard == 2:
            self.death.at("fed")


async def main(library_dsn: str, events_dsn: str, redis: str, step: str) -> None:
    death = Death(step)
    async with (
        open_database(library_dsn) as database,
        open_event_log(events_dsn) as log,
        open_redis_state(redis) as hot,
    ):
        bus, feed = Bus(log, death), Feed(hot.streams)
        feed.death = death
        async with asyncio.TaskGroup() as group:
            group.create_task(OutboxRelay(database, bus, "platform.library-service").run())
            group.create_task(Consumer(bus, GROUP, live_subscriptions(feed)).run())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
