"""kill -9 of any one program of the platform in the middle of an installation."""

from pathlib import Path

import pytest

from tests.e2e.clients import Shop, until
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.faults.conftest import Game, User
from tests.faults.follower import following
from tests.faults.installs import installing
from tests.faults.origin import Origins
from tests.faults.programs import signal_program, started_again
from tests.faults.truth import assert_installed_once, assert_no_event_was_lost, status_moves

LIMIT_KBPS = "6000"
"""1.5 MB a second: an installation of make_tree lasts more than two."""
MIDDLE_BYTES = 700_000
PROGRAMS = ("postgres", "valkey", "library", "download", "gateway", "sandbox")
IN_EVERY_RUN = ("postgres", "download")
"""What an installation hangs on most; the others are long."""


@pytest.mark.parametrize(
    "program", [pytest.param(name, marks=() if name in IN_EVERY_RUN else pytest.mark.long) for name in PROGRAMS]
)
async def test_an_install_survives_the_kill_of(
    program: str, platform: Platform, origins: Origins, game: Game, shop: Shop, user: User, tmp_path: Path
) -> None:
    await game.given_to(user, shop)
    async with (
        following(user.api) as client,
        installing(user.samovar, game.product_id, tmp_path / "disk", "--limit", LIMIT_KBPS) as install,
    ):
        await install.reaches(MIDDLE_BYTES)
        old_pid = signal_program(platform, program)
        final = await install.succeeds()
        await started_again(platform, program, old_pid)
        assert digests(tmp_path / "disk") == digests(game.source)

        await assert_no_event_was_lost(platform)
        moves = await status_moves(platform, final["session_id"])
        assert moves[-1] == ("verifying", "completed")

        async def told() -> bool:
            return client.was_told_to_resync or client.moves(final["session_id"])[-1:] == moves[-1:]

        await until(told, lambda: f"the client was not told of the end: {client.envelopes[-3:]}")
        assert client.was_told_to_resync or client.moves(final["session_id"]) == moves
    await assert_installed_once(platform, user.id, game.product_id)
