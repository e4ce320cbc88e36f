"""kill -9 of the launcher at random moments: it resumes, fetches little twice, and leaves nothing that only looks whole."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.e2e.clients import DOWNLOADS, Shop
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.faults.conftest import Game, User
from tests.faults.installs import answered, installing
from tests.faults.origin import Origins
from tests.faults.truth import assert_installed_once, assert_no_event_was_lost

PARALLEL = 4
LIMIT_KBPS = 16_000
LONGEST_SECONDS = 3.0
"""Start of the program included, an uninterrupted installation takes about so long."""


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
async def test_a_launcher_that_is_killed_again_and_again_resumes(
    kills: int,
    platform: Platform,
    origins: Origins,
    game: Game,
    shop: Shop,
    user: User,
    seed: int,
    tmp_path: Path,
) -> None:
    chance = random.Random(seed)
    await game.given_to(user, shop)
    right, disk = digests(game.source), tmp_path / "disk"
    options = ("--parallel", str(PARALLEL), "--limit", str(LIMIT_KBPS if kills < 10 else LIMIT_KBPS // 10))
    killed = 0
    in_place: dict[str, str] = {}
    # Once all is in place there is only the last report to come, and that may be on its way.
    while killed < kills and in_place != right:
        async with installing(user.samovar, game.product_id, disk, *options) as install:
            try:
                async with asyncio.timeout(chance.uniform(0.5, LONGEST_SECONDS)):
                    code, said = await install.outcome()
                assert code == 0, said
            except TimeoutError:
                install.process.kill()
                killed += 1
        in_place = digests(disk) if disk.exists() else {}
        assert in_place.items() <= right.items(), "something that is not the published file lies in place"
    sessions = await statuses(user, game)
    if sessions != ["completed"]:
        async with installing(user.samovar, game.product_id, disk, *options) as install:
            await install.succeeds()
        sessions = await statuses(user, game)
    # The report that was on its way may have completed the session after all: then the last run was an installation of its own.
    assert len(sessions) == 1 or (len(sessions) == 2 and in_place == right)
    assert digests(disk) == right
    twice = sum(times - 1 for times in origins.done.sent.values())
    assert twice <= killed * PARALLEL, f"{twice} chunks were fetched again after {killed} kills"
    await assert_no_event_was_lost(platform)
    await assert_installed_once(platform, user.id, game.product_id, sessions=len(sessions))


async def statuses(user: User, game: Game) -> list[str]:
    sessions = await answered(user.api, f"{DOWNLOADS}?product_id={game.product_id}")
    return [session["attributes"]["status"] for session in sessions]
