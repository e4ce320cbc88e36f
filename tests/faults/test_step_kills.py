"""kill -9 between each pair of steps of a use case: row written, event written, committed, acknowledged, relayed, marked."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from payment.v1.events_pb2 import PurchaseCompleted, PurchasedItem

from chassis.bus.event_bus import EventBus
from chassis.bus.event_log import open_event_log
from chassis.cloudevents.events import CloudEvent, from_wire, new_event
from chassis.postgres.migrations import upgrade
from tests.e2e.clients import until
from tests.faults.steps import STEPS

DEATH_SECONDS = 60
LIBRARY_TOPIC = "com.platform.library.events.v1"
LESS_TELLING = frozenset({"event read", "event written", "acknowledged", "about to relay"})
"""Steps whose neighbours tell nearly as much; only in the long run."""
IN_LOG_TWICE = {"relayed"}
"""The relay is at least once: only a death between the log and the mark repeats an event, under its id."""


def program(environment: Mapping[str, str], *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.faults.steps", *words]
    return subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL)


def purchase(user_id: uuid.UUID, product_id: uuid.UUID) -> CloudEvent:
    message = PurchaseCompleted(
        user_id=str(user_id),
        order_id=str(uuid.uuid4()),
        items=[PurchasedItem(product_id=str(product_id), quantity=1)],
        purchase_timestamp=datetime.now(UTC),
    )
    made = new_event(message, key=str(user_id))
    return CloudEvent(
        id=str(made.id),
        source="platform.payment-service",
        type=made.type,
        subject=made.subject,
        time=made.time,
        topic=made.topic,
        partition_key=made.partition_key,
        trace_parent=None,
        data=made.data,
    )


async def fetch(dsn: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.soak if step in LESS_TELLING else ()) for step in STEPS]
)
async def test_a_purchase_has_its_whole_effect_once_when_the_library_dies_at(
    step: str, new_database: Callable[[str], Awaitable[str]]
) -> None:
    library_dsn, events_dsn = await new_database("library"), await new_database("events")
    environment = {"EVENTS_BACKEND": "postgres", "EVENTS_POSTGRES_DSN": events_dsn}

    async def unread() -> int:
        behind = "SELECT FROM offsets o JOIN log l ON l.topic = o.topic AND l.partition = o.partition AND l.id > o.id"
        return len(await fetch(events_dsn, behind))

    async with open_event_log(events_dsn) as log:
        await dies_and_comes_back(step, library_dsn, log, environment, unread)


async def dies_and_comes_back(
    step: str, library_dsn: str, bus: EventBus, environment: Mapping[str, str], unread: Callable[[], Awaitable[int]]
) -> float:
    """One purchase through a library that dies at the step and is started again; returns how long the second one took to have all
    done. `environment` names the bus, `unread` tells what its group has not dealt with.
    """
    await upgrade(library_dsn, "library_svc")
    bought = purchase(uuid.uuid4(), uuid.uuid4())
    await bus.publish([bought])
    dying = program(environment, library_dsn, step)
    assert await asyncio.to_thread(dying.wait, DEATH_SECONDS) == -signal.SIGKILL
    items = await fetch(library_dsn, "SELECT FROM user_library_items")
    events = await fetch(library_dsn, "SELECT FROM outbox")
    assert len(items) == len(events), "an item without its event, or an event without its item"
    assert len(items) == (step not in STEPS[:3])

    began = time.monotonic()
    living = program(environment, library_dsn, "none")
    try:

        async def settled() -> bool:
            outbox = await fetch(library_dsn, "SELECT published_at FROM outbox")
            return bool(outbox) and all(row["published_at"] for row in outbox) and not await unread()

        await until(settled, "the effect did not come after the restart", DEATH_SECONDS)
    finally:
        living.kill()
        living.wait()
    seconds = time.monotonic() - began
    assert len(await fetch(library_dsn, "SELECT FROM user_library_items")) == 1
    assert len(await fetch(library_dsn, "SELECT FROM entitlements WHERE revoked_at IS NULL")) == 1
    assert len(await fetch(library_dsn, f"SELECT FROM inbox WHERE event_id = '{bought.id}'")) == 1
    written = [str(row["id"]) for row in await fetch(library_dsn, "SELECT id FROM outbox")]
    told = [from_wire(record.value, topic=LIBRARY_TOPIC).id async for record in bus.scan(LIBRARY_TOPIC)]
    assert len(written) == 1
    assert told == written * (2 if step in IN_LOG_TWICE else 1)
    return seconds
