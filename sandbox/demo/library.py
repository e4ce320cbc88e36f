"""The demo's piece of what a user does with the library: a wish that a purchase fulfils, a category, a game that is played, an
achievement, settings in the cloud. What the command line says is compared with what the gateway says. Called by
sandbox.demo.__main__.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from sandbox.demo.scene import DemoFailed, Scene, until

PLAYED_SECONDS = 2
CATEGORY = "Engines"
ACHIEVEMENT = "First flight"
HIDDEN_ONE = "Found the teapot"
CONFLICT_EXIT_CODE = 10
SETTINGS = {"video": {"width": 1920, "height": 1080}, "volume": 0.5}
PATCH = {"video": {"height": None}, "volume": 0.8}
PATCHED = {"video": {"width": 1920}, "volume": 0.8}


@dataclass(frozen=True, slots=True)
class Done:
    """The numbers of the summary: how much of each thing was done."""

    categories: int
    played_seconds: int
    achievements_unlocked: int
    settings_version: int


async def wish(scene: Scene, product_id: str) -> None:
    """Wishes for a product that is not owned yet."""
    await scene.launch("wishlist", "add", product_id, "--priority", "1")
    (item,) = await _wishes(scene)
    _hold(item["attributes"]["product_id"] == product_id, f"the wishlist holds {item}")


async def fulfilled(scene: Scene) -> int:
    """Waits until the purchase has emptied the wishlist; returns how many wishes it fulfilled."""

    async def is_empty() -> bool:
        return not await _wishes(scene)

    await until("the purchase left the wish where it was", is_empty)
    return 1


async def define_achievements(scene: Scene, product_id: str) -> None:
    """Catalog gives the game achievements, one of them a secret."""
    await scene.line.run("sandbox", "achievements", product_id, ACHIEVEMENT, "--hidden", HIDDEN_ONE)


async def use(scene: Scene, product_id: str) -> Done:
    """Everything with one game, at the same time."""
    async with asyncio.TaskGroup() as group:
        sorting = group.create_task(_sort(scene, product_id))
        playing = group.create_task(_play(scene, product_id))
        keeping = group.create_task(_keep_settings(scene, product_id))
    played_seconds, unlocked = playing.result()
    done = Done(sorting.result(), played_seconds, unlocked, keeping.result())
    table = Table("library", "shown by the gateway")
    table.add_row(f"category {CATEGORY}", f"{done.categories} game")
    table.add_row("played", f"{done.played_seconds} s")
    table.add_row(f"achievement {ACHIEVEMENT}", f"{done.achievements_unlocked} unlocked, the secret is kept")
    table.add_row("settings in the cloud", f"version {done.settings_version}, one stale change refused")
    scene.console.print(table)
    return done


async def _sort(scene: Scene, product_id: str) -> int:
    """Puts the game into a category; returns how many games are in it."""
    category = await scene.launch("categories", "create", CATEGORY)
    await scene.launch("categories", "assign", product_id, CATEGORY)
    items = await scene.gateway.get(f"/api/v1/library/items?category_id={category['id']}")
    found = [item["attributes"]["product_id"] for item in items]
    _hold(found == [product_id], f"the category holds {found}")
    return len(found)


async def _play(scene: Scene, product_id: str) -> tuple[int, int]:
    """Plays and unlocks an achievement; returns the seconds that count and how many are unlocked."""
    played = await scene.launch("play", product_id, "--for", str(PLAYED_SECONDS))
    counted = (await scene.gateway.get("/api/v1/library/playtime"))["attributes"]["total_playtime_seconds"]
    _hold(counted == played["seconds"] >= PLAYED_SECONDS, f"{played} was played, {counted} s counted")
    await scene.launch("achievements", "unlock", product_id, ACHIEVEMENT)
    shown = await scene.gateway.get(f"/api/v1/library/achievements/status/{product_id}")
    names = {one["attributes"]["name"]: one["attributes"]["is_unlocked"] for one in shown}
    _hold(names == {ACHIEVEMENT: True, None: False}, f"the achievements are {names}")
    return counted, sum(names.values())


async def _keep_settings(scene: Scene, product_id: str) -> int:
    """Puts settings, patches them, and is refused to replace the version that is gone; returns the version that is there."""
    put = await scene.launch("settings", "put", product_id, json.dumps(SETTINGS))
    patch = ("settings", "patch", product_id, json.dumps(PATCH), "--if-match", str(put["version"]))
    await scene.launch(*patch)
    await scene.line.run(*patch, code=CONFLICT_EXIT_CODE)
    kept = (await scene.gateway.get(f"/api/v1/library/game-settings/{product_id}"))["attributes"]
    _hold(kept["settings_payload"] == PATCHED, f"the settings are {kept}")
    return int(kept["version"])


async def _wishes(scene: Scene) -> Any:
    return await scene.gateway.get("/api/v1/library/wishlist/items")


def _hold(is_true: bool, otherwise: str) -> None:  # noqa: FBT001  a condition is its only word
    if not is_true:
        raise DemoFailed(otherwise)
