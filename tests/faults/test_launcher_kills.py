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
    for _ in range(kills):
        async with installing(user.samovar, game.product_id, disk, *options) as install:
            try:
                async with asyncio.timeout(chance.uniform(0.5, LONGEST_SECONDS)):
                    await install.process.wait()
            except TimeoutError:
                install.process.kill()
                killed += 1
        in_place = digests(disk) if disk.exists() else {}
        assert in_place.items() <= right.items(), "something that is not the published file lies in place"
        if await is_completed(user, game):
            break  # the moment came too late: another run would be another installation
    else:
        async with installing(user.samovar, game.product_id, disk, *options) as install:
            await install.succeeds()
    assert digests(disk) == right
    twice = sum(times - 1 for times in origins.done.sent.values())
    assert twice <= killed * PARALLEL, f"{twice} chunks were fetched again after {killed} kills"
    await assert_no_event_was_lost(platform)
    await assert_installed_once(platform, user.id, game.product_id)


async def is_completed(user: User, game: Game) -> bool:
    sessions = await answered(user.api, f"{DOWNLOADS}?product_id={game.product_id}")
    return [session["attributes"]["status"] for session in sessions] == ["completed"]
