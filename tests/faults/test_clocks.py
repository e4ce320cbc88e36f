"""The user's clock is an hour off: what the launcher makes of it may cost a request or two, never a file."""

import shutil
from pathlib import Path

import libfaketime
import pytest

from tests.e2e.clients import CommandLine, Shop
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.faults.conftest import Game, Town, User
from tests.faults.installs import installing, session_of
from tests.faults.origin import Asked, Fault, Origins
from tests.faults.truth import assert_installed_once, assert_no_event_was_lost

LIBRARY = Path(libfaketime.__file__).with_name("vendor") / "libfaketime" / "src" / "libfaketime.so.1"
LIMIT_KBPS = "3000"
"""Slow enough that the launcher is killed well before its end, however late the test hears of the middle."""
MIDDLE_BYTES = 700_000


def shifted(launcher: CommandLine, shift: str) -> CommandLine:
    """The launcher on a machine whose clock is off: its C library says another time of day (the monotonic clock is right)."""
    launcher.environment.update(LD_PRELOAD=str(LIBRARY), FAKETIME=shift, DONT_FAKE_MONOTONIC="1")
    return launcher


def refused_once(asked: Asked) -> Fault | None:
    """As a CDN does with links whose time is over."""
    return Fault.FORBIDDEN if asked.nth == 0 else None


@pytest.mark.parametrize("shift", ["+1h", "-1h"])
async def test_an_install_does_not_mind_a_clock_that_is_an_hour_off(
    shift: str, platform: Platform, origins: Origins, game: Game, shop: Shop, user: User, town: Town, tmp_path: Path
) -> None:
    """Fast: every link looks as if its time were over. Slow: none ever does, and the CDN refuses."""
    await game.given_to(user, shop)
    origins.reset(refused_once)
    launcher = shifted(town.new_launcher(user.api.token or ""), shift)
    async with installing(launcher, game.product_id, tmp_path / "disk") as install:
        await install.succeeds()
    assert digests(tmp_path / "disk") == digests(game.source)
    assert set(origins.done.sent.values()) == {1}, "right chunks were fetched again"
    await assert_no_event_was_lost(platform)
    await assert_installed_once(platform, user.id, game.product_id)


@pytest.mark.parametrize(
    "folder", [pytest.param("kept", marks=pytest.mark.soak), pytest.param("lost", marks=pytest.mark.long)]
)
async def test_an_install_goes_on_after_the_clock_was_put_back_an_hour(
    folder: str, platform: Platform, game: Game, shop: Shop, user: User, town: Town, tmp_path: Path
) -> None:
    """What the server heard "in an hour" must not make it deaf to what it hears now."""
    await game.given_to(user, shop)
    disk = tmp_path / "disk"
    launcher = town.new_launcher(user.api.token or "")
    async with installing(shifted(launcher, "+1h"), game.product_id, disk, "--limit", LIMIT_KBPS) as install:
        await install.reaches(MIDDLE_BYTES)
    begun = await session_of(user.api, game.product_id)
    assert begun["attributes"]["status"] == "downloading"
    if folder == "lost":
        shutil.rmtree(disk)
    async with installing(shifted(launcher, "+0"), game.product_id, disk) as install:
        assert (await install.succeeds())["session_id"] == begun["id"]
    assert digests(disk) == digests(game.source)
    await assert_installed_once(platform, user.id, game.product_id)
