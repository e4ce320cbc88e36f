"""Death at a step: a program kills itself (SIGKILL) where it is told, between two steps of its work. Used by tests.faults.steps and
tests.faults.download_steps, which run as programs of their own.
"""

import os
import signal
from collections.abc import Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from chassis.bus.event_bus import BusRecord, EventBus, EventReader
from chassis.cloudevents.events import CloudEvent

BEFORE_COMMIT = "event written"


class Death:
    """Comes at one step. `passed` are the steps that were passed, as the dry run of a use case wants to know them."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._has_event = False
        self._statements = 0
        self.passed: list[str] = []

    def at(self, step: str) -> None:
        self.passed.append(step)
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_transactions(self) -> None:
        """The steps inside a transaction, seen where the driver sees them."""
        event.listen(Engine, "before_cursor_execute", self._before_statement)
        event.listen(Engine, "commit", self._before_commit)

    def _before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("NOTIFY"):
            return  # the announcement, in a task of its own: no step of a use case
        self._statements += 1
        self.at(f"statement {self._statements}")
        if "INSERT INTO outbox" in statement:
            self.at("rows written")
            self._has_event = True

    def _before_commit(self, _connection: Any) -> None:
        self.at(BEFORE_COMMIT if self._has_event else "rows written")


class Reader:
    """A member of a consumer group that dies at its steps."""

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
    """An event bus that dies at its steps."""

    def __init__(self, bus: EventBus, death: Death) -> None:
        self._bus = bus
        self._death = death
        self.dead_letter = bus.dead_letter
        self.lag, self.resend, self.scan, self.ping = bus.lag, bus.resend, bus.scan, bus.ping

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        self._death.at("about to relay")
        await self._bus.publish(events)
        self._death.at("relayed")

    @asynccontextmanager
    async def subscribe(self, group: str, topics: Sequence[str]) -> Any:
        async with self._bus.subscribe(group, topics) as reader:
            yield Reader(reader, self._death)
