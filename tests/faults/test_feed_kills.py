"""kill -9 of the Library between a commit and the moment in which its user is told: each change is told once and in order."""

import asyncio
import signal
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable

import pytest
from library.v1 import updates_pb2 as pb

from chassis.live.redis_state import RedisState, open_redis_state
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.categories.application import create_category
from library_svc.ids import CategoryId, UserId
from library_svc.postgres import PostgresLibrary
from tests.e2e.clients import until
from tests.faults.download_steps import fetch
from tests.faults.feed_steps import GROUP

DEATH_SECONDS = 60
CHANGES = 3
STEPS = ("about to relay", "relayed", "event read", "fed", "committed", "acknowledged")
TELLING = frozenset({"relayed", "fed"})
"""Steps of the normal run; their neighbours tell nearly as much."""


def program(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.faults.feed_steps", *words], stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=() if step in TELLING else pytest.mark.soak) for step in STEPS]
)
async def test_a_change_is_told_once_when_the_library_dies_at(
    step: str, new_database: Callable[[str], Awaitable[str]], valkey_url: str
) -> None:
    dsn, events_dsn = await new_database("library"), await new_database("events")
    await upgrade(dsn, "library_svc")
    user_id = UserId(uuid.uuid4())
    async with open_redis_state(valkey_url) as hot:
        stream = f"library_events:{{{user_id}}}"
        start = await hot.streams.position(stream)
        # Committed, and nothing else: so it is, too, when a service dies right after its commit.
        made = await changes(dsn, user_id)
        dying = program(dsn, events_dsn, valkey_url, step)
        assert await asyncio.to_thread(dying.wait, DEATH_SECONDS) == -signal.SIGKILL

        living = program(dsn, events_dsn, valkey_url, "none")
        try:
            await until(lambda: is_settled(dsn, events_dsn), "not told after the restart", DEATH_SECONDS)
        finally:
            living.kill()
            living.wait()
        assert await told(hot, stream, start) == made


async def changes(dsn: str, user_id: UserId) -> list[CategoryId]:
    async with open_database(dsn) as database:
        begin = PostgresLibrary(database, consumer="-").begin
        return [
            (await create_category(begin, user_id=user_id, name=str(number), display_order=0)).id
            for number in range(CHANGES)
        ]


async def is_settled(dsn: str, events_dsn: str) -> bool:
    if await fetch(dsn, "SELECT FROM outbox WHERE published_at IS NULL"):
        return False
    (row,) = await fetch(
        events_dsn,
        """SELECT count(*) AS partitions, count(*) FILTER (WHERE EXISTS (SELECT FROM log l
        WHERE l.topic = o.topic AND l.partition = o.partition AND l.id > o.id)) AS behind FROM offsets o
        WHERE "group" = $1""",
        GROUP,
    )
    return bool(row["partitions"] and not row["behind"])


async def told(hot: RedisState, stream: str, start: str) -> list[CategoryId]:
    """What is in the stream after a place."""
    end, found = await hot.streams.position(stream), []
    async with asyncio.timeout(DEATH_SECONDS):
        async for record in hot.streams.read(stream, after=start):
            update = pb.WatchLibraryUpdatesResponse.FromString(record.payload)
            found.append(CategoryId(uuid.UUID(update.category_updated.category_id)))
            if record.id == end:
                break
    return found
