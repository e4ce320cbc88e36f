"""A program that hears of purchases as the Library Service does and kills itself (SIGKILL) at the step that it is told: run by
test_step_kills. Arguments: the library's DSN, the log's DSN, the step or `none`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from chassis.consumers import Consumer
from chassis.database import open_database
from chassis.event_bus import BusRecord, EventReader
from chassis.event_log import PostgresEventLog, open_event_log
from chassis.events import CloudEvent
from chassis.outbox import OutboxRelay
from library_svc.infrastructure.postgres import PostgresLibrary, PostgresProducts
from library_svc.presentation.consumers import Consumers

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


class Death:
    """Comes at one step."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._has_event = False

    def at(self, step: str) -> None:
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_transactions(self) -> None:
        """The steps inside a transaction, seen where the driver sees them."""
        event.listen(Engine, "before_cursor_execute", self._before_statement)
        event.listen(Engine, "commit", self._before_commit)

    def _before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO outbox" in statement:
            self.at("rows written")
            self._has_event = True

    def _before_commit(self, _connection: Any) -> None:
        if self._has_event:
            self.at("event written")


class Reader:
    def __init__(self, reader: EventReader, death: Death) -> None:
        self._reader = reader
        self._death = death

    async def poll(self, *, held: Collection[Any] = (), max_records: int, wait_seconds: float) -> Sequence[BusRecord]:
        records = await self._reader.poll(held=held, max_records=max_records, wait_seconds=wait_seconds)
        if records:
            self._death.at("event read")
        return records

    async def commit(self, record: BusRecord) -> None:
        self._death.at("committed")
        await self._reader.commit(record)
        self._death.at("acknowledged")

    def wake(self) -> None:
        self._reader.wake()


class Bus:
    def __init__(self, log: PostgresEventLog, death: Death) -> None:
        self._log = log
        self._death = death
        self.dead_letter = log.dead_letter
        self.lag, self.resend, self.scan, self.ping = log.lag, log.resend, log.scan, log.ping

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        self._death.at("about to relay")
        await self._log.publish(events)
        self._death.at("relayed")

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> AsyncIterator[Reader]:
        async with self._log.subscribe(group, topics) as reader:
            yield Reader(reader, self._death)


async def main(library_dsn: str, events_dsn: str, step: str) -> None:
    death = Death(step)
    death.watch_transactions()
    async with open_database(library_dsn) as database, open_event_log(events_dsn) as log:
        bus = Bus(log, death)
        library = PostgresLibrary(database, consumer=NAME)
        consumers = Consumers(library.begin, PostgresProducts(database))
        async with asyncio.TaskGroup() as group:
            group.create_task(OutboxRelay(database, bus, f"platform.{NAME}").run())
            group.create_task(Consumer(bus, NAME, consumers.subscriptions()).run())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
