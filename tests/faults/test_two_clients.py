"""Several clients of one user at once: they do not harm each other, and what one says the others obey."""

import asyncio
import random
import signal
from pathlib import Path

from tests.e2e.clients import DOWNLOADS, Answer, CommandLine, Shop, until
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.faults.conftest import Game, Publisher, Town, User
from tests.faults.installs import answered, installing, session_of
from tests.faults.origin import Origins
from tests.faults.test_drain import held_up
from tests.faults.test_origin_faults import many_small_files, settled
from tests.faults.truth import assert_installed_once, assert_no_event_was_lost, rows

LIMIT_KBPS = "6000"
MIDDLE_BYTES = 700_000
PAUSED, CANCELLED = 9, 8
CANCELS = 4


async def test_two_launchers_install_the_same_game_on_two_devices(
    platform: Platform, game: Game, shop: Shop, user: User, town: Town, tmp_path: Path
) -> None:
    await game.given_to(user, shop)
    other = town.new_launcher(user.api.token or "")
    async with (
        installing(user.samovar, game.product_id, tmp_path / "desktop") as first,
        installing(other, game.product_id, tmp_path / "laptop") as second,
    ):
        finals = await asyncio.gather(first.succeeds(), second.succeeds())
    assert finals[0]["session_id"] != finals[1]["session_id"]
    assert digests(tmp_path / "desktop") == digests(tmp_path / "laptop") == digests(game.source)
    await assert_no_event_was_lost(platform)
    await assert_installed_once(platform, user.id, game.product_id, devices=2)


async def test_a_second_launcher_on_the_same_folder_is_refused_and_harms_nothing(
    platform: Platform, game: Game, shop: Shop, user: User, tmp_path: Path
) -> None:
    await game.given_to(user, shop)
    async with installing(user.samovar, game.product_id, tmp_path / "disk", "--limit", LIMIT_KBPS) as first:
        await first.reaches(1)
        first.process.send_signal(signal.SIGSTOP)  # it is at work for as long as the second looks
        async with installing(user.samovar, game.product_id, tmp_path / "disk") as second:
            code, final = await second.outcome()
        first.process.send_signal(signal.SIGCONT)
        assert code != 0
        assert final["error"]["code"] == "FOLDER_IN_USE"
        await first.succeeds()
    assert digests(tmp_path / "disk") == digests(game.source)
    await assert_installed_once(platform, user.id, game.product_id)


async def test_a_pause_from_another_client_stops_the_launcher_and_a_second_run_goes_on(
    platform: Platform, origins: Origins, game: Game, shop: Shop, user: User, tmp_path: Path
) -> None:
    await game.given_to(user, shop)
    async with installing(user.samovar, game.product_id, tmp_path / "disk", "--limit", LIMIT_KBPS) as install:
        await install.reaches(MIDDLE_BYTES)
        session = await session_of(user.api, game.product_id)
        paused = await user.api.post(f"{DOWNLOADS}/{session['id']}/pause")
        assert paused.data["attributes"]["status"] == "paused"
        code, final = await install.outcome()
    assert (code, final["status"]) == (PAUSED, "paused")
    assert (await session_of(user.api, game.product_id))["attributes"]["status"] == "paused"
    files = sum(path.is_file() for path in game.source.rglob("*"))
    assert sum(origins.done.sent.values()) < files, "nothing was left to fetch"
    async with installing(user.samovar, game.product_id, tmp_path / "disk") as install:
        assert (await install.succeeds())["session_id"] == session["id"]
    assert digests(tmp_path / "disk") == digests(game.source)
    await assert_installed_once(platform, user.id, game.product_id)


async def test_a_cancel_while_the_launcher_finishes_is_obeyed_or_refused_never_both(
    platform: Platform, publisher: Publisher, shop: Shop, user: User, town: Town, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    game = await publisher.publish(many_small_files(tmp_path / "source", 6, 3))
    await game.given_to(user, shop)
    for number in range(CANCELS):
        launcher = town.new_launcher(user.api.token or "")
        disk = tmp_path / f"disk-{number}"
        await cancel_at_the_end(platform, user, game, launcher, disk, chance)
    await assert_no_event_was_lost(platform)


async def cancel_at_the_end(
    platform: Platform, user: User, game: Game, launcher: CommandLine, disk: Path, chance: random.Random
) -> None:
    """The launcher's last report and a DELETE meet at the session's row, held until both are on their way."""
    live = "SELECT id FROM download_sessions WHERE user_id = $1 AND status NOT IN ('completed', 'cancelled')"
    async with installing(launcher, game.product_id, disk) as install:
        session_id = (await until(lambda: rows(platform, "download", live, user.id), "there is no session"))[0]["id"]
        async with held_up(platform, "download", "SELECT FROM download_sessions WHERE id = $1", session_id):

            async def in_place() -> bool:
                return disk.exists() and digests(disk) == digests(game.source)

            await until(in_place, "the files are not in place")
            cancelling = asyncio.create_task(user.api.call("DELETE", f"{DOWNLOADS}/{session_id}"))
            await asyncio.sleep(chance.uniform(0.0, 0.3))
        cancelled: Answer = await cancelling
        code, final = await install.outcome()
    session = (await answered(user.api, f"{DOWNLOADS}/{session_id}"))["attributes"]["status"]
    statement = "SELECT FROM installations WHERE user_id = $1 AND product_id = $2"
    installations = len(await rows(platform, "download", statement, user.id, game.product_id))
    if cancelled.status == 204:
        assert (code, session) == (CANCELLED, "cancelled"), final
        await settled(user.api, game, "installed" if installations else "not_installed")
    else:
        assert (cancelled.status, cancelled.codes) == (409, ["INVALID_STATE_TRANSITION"])
        assert (code, session) == (0, "completed"), final
        assert installations
        await settled(user.api, game, "installed")
    assert not list(disk.glob(".samovar*/staged*/*")), "work files were left"
