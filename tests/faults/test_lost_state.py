"""Valkey loses everything, PostgreSQL cuts its connections: the truth is in PostgreSQL's tables, and transactions hold."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

from redis.asyncio import Redis

from chassis.postgres.database import CONNECTIONS_PER_KEY
from tests.e2e.clients import DOWNLOADS, ITEMS, Answer, Api, Shop, until
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.faults.conftest import Game, User
from tests.faults.follower import following
from tests.faults.installs import answered, installing, session_of
from tests.faults.origin import Origins
from tests.faults.test_drain import all_wait, held_up, patches
from tests.faults.truth import assert_installed_once, assert_no_event_was_lost, database, rows, status_moves

LIMIT_KBPS = "6000"
MIDDLE_BYTES = 700_000
CUTS = 8
CALLERS = 4


async def test_an_install_survives_the_loss_of_all_hot_state(
    platform: Platform, origins: Origins, game: Game, shop: Shop, user: User, tmp_path: Path
) -> None:
    await game.given_to(user, shop)
    async with (
        following(user.api) as client,
        installing(user.samovar, game.product_id, tmp_path / "disk", "--limit", LIMIT_KBPS) as install,
    ):
        await install.reaches(MIDDLE_BYTES)
        session = await session_of(user.api, game.product_id)
        heard = len(client.envelopes)
        async with Redis.from_url(valkey_url(platform), protocol=2) as valkey:
            await valkey.flushall()

        async def live_again() -> bool:
            attributes = (await answered(user.api, f"{DOWNLOADS}/{session['id']}"))["attributes"]
            return bool(attributes.get("current_speed_bps")) or attributes["status"] == "completed"

        await until(live_again, "the live state was not built again")
        await install.succeeds()
        moves = await status_moves(platform, session["id"])

        async def told() -> bool:
            return client.moves(session["id"])[-1:] == moves[-1:]

        await until(told, "the client was not told of the end")
        kinds = [one["event_type"] for one in client.envelopes[heard:]]
        assert "resync_required" in kinds, kinds
    assert digests(tmp_path / "disk") == digests(game.source)
    await assert_no_event_was_lost(platform)
    await assert_installed_once(platform, user.id, game.product_id)


async def test_cut_connections_of_postgresql_lose_nothing_and_are_told_as_503(
    platform: Platform, origins: Origins, game: Game, shop: Shop, user: User, tmp_path: Path
) -> None:
    await game.given_to(user, shop)
    item = await user.api.owns(game.product_id)
    answers: Counter[int] = Counter()
    ratings: list[int] = []
    async with installing(user.samovar, game.product_id, tmp_path / "disk", "--limit", LIMIT_KBPS) as install:
        await install.reaches(MIDDLE_BYTES)
        load = asyncio.create_task(keep_calling(user.api, item["id"], answers, ratings))
        for _ in range(CUTS):
            before = answers.total()
            await cut_all(platform)

            async def served(before: int = before) -> bool:
                return answers.total() >= before + 2 * CALLERS

            await until(served, lambda: f"nobody answers any more: {answers}")
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        await install.succeeds()
    assert set(answers) <= {200, 503}, answers
    assert answers[200]
    assert digests(tmp_path / "disk") == digests(game.source)
    kept = (await answered(user.api, f"{ITEMS}/{item['id']}"))["attributes"]["notes"]
    assert int(kept) >= ratings[-1], "an acknowledged change was lost"
    await assert_no_event_was_lost(platform)
    await assert_installed_once(platform, user.id, game.product_id)


async def test_changes_cut_in_mid_transaction_have_happened_whole_or_not_at_all(
    platform: Platform, game: Game, shop: Shop, user: User
) -> None:
    """They have locked the user, and wait for a row of theirs when the connection goes."""
    await game.given_to(user, shop)
    item = await user.api.owns(game.product_id)
    session_id = (await user.api.startable(game.product_id)).data["id"]
    moves = await status_moves(platform, session_id)
    async with (
        held_up(platform, "library", "SELECT FROM user_library_items WHERE id = $1", item["id"]),
        held_up(platform, "download", "SELECT FROM download_sessions WHERE id = $1", session_id),
    ):
        changes = patches(user.api, item["id"])
        pauses = [
            asyncio.create_task(user.api.post(f"{DOWNLOADS}/{session_id}/pause")) for _ in range(CONNECTIONS_PER_KEY)
        ]
        await all_wait(platform, "library", len(changes))
        await all_wait(platform, "download", len(pauses))
        await cut_waiting(platform)
        paused = await asyncio.gather(*pauses)
    assert {answer.status for answer in paused} == {503}
    assert all(answer.codes == ["SERVICE_UNAVAILABLE"] for answer in paused)
    # A change of an item is idempotent: the gateway may have tried it again by itself.
    changed = {answer.status for answer in await asyncio.gather(*changes)}
    assert changed <= {200, 503}
    statement = "SELECT notes FROM user_library_items WHERE id = $1"
    (kept,) = await rows(platform, "library", statement, item["id"])
    assert (kept["notes"] is not None) == (200 in changed)
    assert await status_moves(platform, session_id) == moves
    pause = f"{DOWNLOADS}/{session_id}/pause"
    answer = await until(lambda: not_503(user.api.post(pause)), "the Download Service does not come back")
    assert answer.status == 200
    await assert_no_event_was_lost(platform)


async def not_503(call: Awaitable[Answer]) -> Answer | None:
    """An answer but the one that asks to come again."""
    answer = await call
    return None if answer.status == 503 else answer


async def keep_calling(api: Api, item_id: str, answers: Counter[int], acknowledged: list[int]) -> None:
    """Several callers that read, and one that writes numbers that grow."""

    async def read() -> None:
        while True:
            for path in (f"{ITEMS}/{item_id}", f"{DOWNLOADS}?limit=5"):
                answers[(await api.get(path)).status] += 1

    async def write() -> None:
        number = 0
        while True:
            number += 1
            change = {"data": {"type": "libraryItemUpdate", "attributes": {"notes": str(number)}}}
            answer = await api.call("PATCH", f"{ITEMS}/{item_id}", body=change)
            answers[answer.status] += 1
            if answer.status == 200:
                acknowledged.append(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(CALLERS):
            group.create_task(read())


async def cut_all(platform: Platform) -> None:
    """Ends every session of the services, in the middle of whatever it does."""
    statement = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname IN ('library', 'download', 'sandbox', 'events') AND pid <> pg_backend_pid()"""
    async with database(platform, "postgres") as connection:
        await connection.execute(statement)


async def cut_waiting(platform: Platform) -> None:
    """Ends the sessions that wait for a row, in the middle of their transactions."""
    statement = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname IN ('library', 'download') AND wait_event_type = 'Lock'"""
    async with database(platform, "postgres") as connection:
        await connection.execute(statement)


def valkey_url(platform: Platform) -> str:
    redis = platform.private["redis"]
    return f"redis://:{redis['REDIS_PASSWORD']}@{redis['REDIS_ADDR']}/0"
