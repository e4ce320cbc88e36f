"""A game that is played goes on while the gateway and the Library Service are killed under it."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.clients import Shop, until
from tests.e2e.running import Platform
from tests.faults.conftest import User
from tests.faults.programs import BACK_SECONDS, signal_program, started_again
from tests.faults.truth import rows

HEARD = "SELECT last_heartbeat_at FROM playtime_sessions WHERE user_id = $1 AND last_heartbeat_at > start_time"
KEPT = "SELECT status, duration_seconds FROM playtime_sessions WHERE user_id = $1"
TOTAL = "SELECT total_playtime_seconds FROM user_library_items WHERE user_id = $1"


async def listen(game: asyncio.subprocess.Process, told: bytearray) -> None:
    """What the game tells its player, as it comes."""
    assert game.stderr is not None
    while part := await game.stderr.read(1024):
        told.extend(part)


@pytest.mark.long
async def test_a_game_outlives_its_platform_and_all_of_its_time_counts(
    platform: Platform, user: User, shop: Shop
) -> None:
    product_id = await shop.new_product()
    await shop.buy(user.id, product_id)
    await user.api.owns(product_id)
    game = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("samovar")), "play", product_id, "--json"),
        env=user.samovar.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told = bytearray()
    listening = asyncio.create_task(listen(game, told))

    def said() -> str:
        return f"of the game ({game.returncode}) was heard {told.decode(errors='replace')!r}"

    async def runs() -> bool:
        # Its session is there before it knows: a game whose start nobody answers has not begun, and gives up.
        return b"the game runs" in told

    await until(runs, said, BACK_SECONDS)
    await started_again(platform, "library", signal_program(platform, "library"))

    async def outage_is_noticed() -> bool:
        # One that ends between two heartbeats is none to the game.
        await started_again(platform, "gateway", signal_program(platform, "gateway"))
        return b"the game goes on" in told

    await until(outage_is_noticed, said, BACK_SECONDS)
    # Who is heard after all that is heard by the new programs: the old ones have written nothing down since the start.
    await until(lambda: rows(platform, "library", HEARD, user.id), "no heartbeat came through again", BACK_SECONDS)
    game.send_signal(signal.SIGINT)
    assert game.stdout is not None
    out = await asyncio.wait_for(game.stdout.read(), BACK_SECONDS)
    await listening
    assert await game.wait() == 0, told
    played = json.loads(out)
    assert (played["status"], played["sessions"]) == ("completed", 1)
    assert played["heartbeats"] > 0
    (kept,), (item,) = await rows(platform, "library", KEPT, user.id), await rows(platform, "library", TOTAL, user.id)
    assert (kept["status"], kept["duration_seconds"]) == ("completed", played["seconds"])
    assert item["total_playtime_seconds"] == played["total_seconds"] == played["seconds"]
