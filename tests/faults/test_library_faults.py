"""A user sorts, plays and achieves while the Library is killed and Valkey loses everything: what was acknowledged is kept, playtime
is what the clock says, an achievement is had once, and who listens is told all of it or that something was lost.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from catalog.v1 import product_pb2
from redis.asyncio import Redis

from tests.e2e.clients import ITEMS, LIBRARY_UPDATES, TRY_AGAIN, Answer, Shop, until
from tests.e2e.running import Platform
from tests.faults.conftest import User
from tests.faults.follower import Follower, following
from tests.faults.installs import answered
from tests.faults.programs import signal_program, started_again
from tests.faults.test_lost_state import valkey_url
from tests.faults.truth import assert_no_event_was_lost, rows

LIBRARY = "/api/v1/library"
BETWEEN_FAULTS = 5
"""Acknowledged changes before, and after, each fault."""


@dataclass
class Life:
    """What one user does without a pause, and what of it was acknowledged."""

    user: User
    item_id: str
    session_id: str
    notes: list[int] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    async def change(self) -> None:
        number = 0
        while True:
            number += 1
            body = {"data": {"type": "libraryItemUpdate", "attributes": {"notes": str(number)}}}
            answer = await self.user.api.call("PATCH", f"{ITEMS}/{self.item_id}", body=body)
            self.statuses.add(answer.status)
            if answer.status == 200:
                self.notes.append(number)

    async def play(self) -> None:
        sequence = 0
        while True:
            sequence += 1
            path = f"{LIBRARY}/playtime/sessions/{self.session_id}/heartbeat"
            answer = await self.user.api.post(path, "playtimeHeartbeat", sequence=sequence)
            self.statuses.add(answer.status)
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(one) for one in (self.change(), self.play())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def gets_on(self) -> None:
        """Returns when some more changes were acknowledged."""
        before = len(self.notes)

        async def has() -> bool:
            return len(self.notes) >= before + BETWEEN_FAULTS

        await until(has, lambda: f"nothing is acknowledged any more: {self.statuses}")


async def settled(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer, when there is one: asked again while the service is away."""

    async def ask() -> Answer | None:
        answer = await call()
        return None if answer.status == TRY_AGAIN else answer

    found: Answer = await until(ask, "the service does not come back")
    return found


def told_notes(client: Follower) -> list[str]:
    changes = (one["payload"]["changes"] for one in client.envelopes if one["event_type"] == "library.item.updated")
    return [change["notes"] for change in changes if "notes" in change]


@pytest.mark.long
async def test_a_library_in_use_survives_kills_and_the_loss_of_all_hot_state(
    platform: Platform, shop: Shop, user: User
) -> None:
    meta_id = str(uuid.uuid4())
    names = product_pb2.LocalizedText(ru="Мастер", en="Master")
    achievement = product_pb2.Achievement(achievement_meta_id=meta_id, names=names, total_progress_needed=1)
    product_id = await shop.new_product(achievements=[achievement])
    await shop.buy(user.id, product_id)
    item = await user.api.owns(product_id)
    async with following(user.api, LIBRARY_UPDATES) as client:
        before = time.monotonic()
        began = await user.api.post(f"{LIBRARY}/playtime/sessions/start", "playtimeSessionStart", product_id=product_id)
        started = time.monotonic()
        life = Life(user, item["id"], began.data["id"])
        async with life.going_on():
            await life.gets_on()
            old_pid = signal_program(platform, "library")
            await started_again(platform, "library", old_pid)
            await life.gets_on()
            await until(lambda: is_told(client, life.notes[-1]), "the client is not told after the kill")
            missed_nothing = not client.was_told_to_resync
            async with Redis.from_url(valkey_url(platform), protocol=2) as valkey:
                await valkey.flushall()
            await life.gets_on()
        ending = time.monotonic()
        ended = await settled(lambda: user.api.post(f"{LIBRARY}/playtime/sessions/{life.session_id}/end"))
        after = time.monotonic()
        progress = f"{LIBRARY}/achievements/{product_id}/{meta_id}/progress"
        unlocked = await settled(lambda: user.api.post(progress, "achievementProgress", increment=1))

        async def told_all() -> bool:
            kinds = {one["event_type"] for one in client.envelopes}
            return {"playtime.updated", "achievement.unlocked", "resync_required"} <= kinds

        await until(told_all, lambda: f"not all is told: {client.envelopes[-5:]}")
    assert missed_nothing
    assert life.statuses <= {200, 204, TRY_AGAIN}
    assert (ended.status, unlocked.status) == (200, 200)
    seconds = ended.data["attributes"]["duration_seconds"]
    assert ending - started - 1 <= seconds <= after - before + 1
    kept = (await answered(user.api, f"{ITEMS}/{item['id']}"))["attributes"]
    assert int(kept["notes"]) >= life.notes[-1], "an acknowledged change was lost"
    assert kept["total_playtime_seconds"] == seconds
    told = told_notes(client)
    assert told == sorted(told, key=int), "the client was told out of order"
    ids = [one["id"] for one in client.envelopes if not one["event_type"].startswith("stream.")]
    assert len(set(ids)) == len(ids), "the client was told something twice"
    await assert_no_event_was_lost(platform)
    assert await events_of(platform, user) == {
        "game.added.v1": 1,
        "playtime.session.ended.v1": 1,
        "achievement.unlocked.v1": 1,
    }


async def is_told(client: Follower, number: int) -> bool:
    return any(int(notes) >= number for notes in told_notes(client))


async def events_of(platform: Platform, user: User) -> dict[str, Any]:
    """How often each thing happened but the changes of the item, whose number nobody knows."""
    statement = """SELECT replace(type, 'com.platform.library.', '') AS kind, count(*) AS times FROM outbox
        WHERE partition_key = $1 AND type NOT LIKE '%.item.updated.v1' GROUP BY type"""
    return {row["kind"]: row["times"] for row in await rows(platform, "library", statement, user.id)}
