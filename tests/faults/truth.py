"""What is true after a fault, read from the databases themselves: no event lost or doubled in effect."""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.e2e.clients import until
from tests.e2e.running import Platform

SERVICES = ("library", "download", "sandbox")
SETTLE_SECONDS = 60.0

STATUS_EVENT = "com.platform.download.session.status.changed.v1"


def dsn(platform: Platform, database: str) -> str:
    return str(platform.private["dsns"][database])


@contextlib.asynccontextmanager
async def database(platform: Platform, name: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn(platform, name), timeout=30)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def rows(platform: Platform, name: str, statement: str, *values: Any) -> Sequence[Any]:
    async with database(platform, name) as connection:
        found: Sequence[Any] = await connection.fetch(statement, *values)
        return found


@dataclass(frozen=True)
class Events:
    """Events written by the services, by id, and how often each is in the log."""

    written: Counter[str]
    logged: Counter[str]


async def events_settled(platform: Platform) -> Events:
    """Waits until every event is on the bus and every consumer is through; answers what there is."""

    async def settled() -> bool:
        try:
            waiting = 0
            for name in SERVICES:
                found = await rows(platform, name, "SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
                waiting += found[0]["n"]
            lag = """SELECT count(*) AS n FROM offsets o
                JOIN log l ON l.topic = o.topic AND l.partition = o.partition AND l.id > o.id"""
            found = await rows(platform, "events", lag)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        return waiting + found[0]["n"] == 0

    await until(settled, "events are still on their way", SETTLE_SECONDS)
    written: Counter[str] = Counter()
    for name in SERVICES:
        written.update(str(row["id"]) for row in await rows(platform, name, "SELECT id FROM outbox"))
    logged = Counter(
        json.loads(row["value"])["id"]
        for row in await rows(platform, "events", "SELECT value FROM log WHERE topic NOT LIKE '%.dlq'")
    )
    return Events(written, logged)


async def assert_no_event_was_lost(platform: Platform) -> None:
    events = await events_settled(platform)
    assert set(events.written) - set(events.logged) == set(), "events are in an outbox and not in the log"
    letters = await rows(platform, "events", "SELECT topic, headers, value FROM log WHERE topic LIKE '%.dlq'")
    assert not letters, f"there are dead letters: {[dict(letter) for letter in letters]}"


async def assert_installed_once(
    platform: Platform, user_id: str, product_id: str, *, devices: int = 1, sessions: int | None = None
) -> None:
    """The effects of the events of one installation on each device: each there, each once, in both services. `sessions` where more
    brought it than there are devices.
    """
    of_user = (user_id, product_id)
    brought = await rows(
        platform,
        "download",
        """SELECT s.*, (SELECT count(*) FROM download_items i WHERE i.user_id = s.user_id
            AND i.download_session_id = s.id AND i.status = 'completed') AS done
        FROM download_sessions s WHERE user_id = $1 AND product_id = $2""",
        *of_user,
    )
    assert [row["status"] for row in brought] == ["completed"] * (sessions or devices)
    for row in brought:
        assert row["items_completed"] == row["items_total"] == row["done"]
        assert row["downloaded_bytes"] == row["total_size_bytes"]
        assert (row["items_failed"], row["items_verifying"]) == (0, 0)
    of_product = "WHERE user_id = $1 AND product_id = $2"
    installations = await rows(platform, "download", f"SELECT * FROM installations {of_product}", *of_user)
    assert len(installations) == devices
    items = await rows(platform, "library", f"SELECT * FROM user_library_items {of_product}", *of_user)
    assert [row["installation_status"] for row in items] == ["installed"]
    assert [row["installed_version_id"] for row in items] == [brought[0]["version_id"]]
    downloads = await rows(platform, "library", f"SELECT status FROM item_downloads {of_product}", *of_user)
    assert {row["status"] for row in downloads} <= {"completed"}


async def status_moves(platform: Platform, session_id: str) -> list[tuple[str | None, str]]:
    """The session's moves as they were committed, in order: what every client must hear of."""
    statement = "SELECT payload FROM outbox WHERE type = $1 AND subject = $2 ORDER BY position"
    found = await rows(platform, "download", statement, STATUS_EVENT, session_id)
    moves = [json.loads(row["payload"]) for row in found]
    return [(move.get("previousStatus"), move["newStatus"]) for move in moves]
