"""`./taskw demo`: real game engines travel from a publisher through the services and the gateway to a disk, are updated to their
next version by what is there already, damaged, verified and repaired; each time all files are compared with their sources. Then
one of them is sorted, played, achieved something in. The last line of output is one JSON object; the exit code is 0 only if all
of it held.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp

from depot.console import PlainConsole
from depot.terminal import say_json
from sandbox.demo import content as demo_content
from sandbox.demo import library as demo_library
from sandbox.demo.content import ContentMissing, Game
from sandbox.demo.delivery import install_all, publish_all, repair_all, update_all
from sandbox.demo.scene import CommandLine, DemoFailed, Gateway, Scene, until
from sandbox.devstack import platform
from sandbox.devstack.embedded import EmbeddedServerError
from sandbox.devstack.platform_config import EMBEDDED_SERVERS, PlatformError, Ports

DISK_MARGIN = 2


async def show(
    console: PlainConsole, games: Sequence[Game], work: Path, *, on_real_backends: bool
) -> Mapping[str, Any]:
    """The whole demo on a fresh platform; returns the summary.

    Raises:
        DemoFailed: something did not hold.
    """
    started = time.monotonic()
    home, target = work / "home", work / "games"
    logs = (work / "platform.log").open("w")

    def log(name: str, text: str) -> None:
        logs.write(f"{name:>10} {text}\n")

    ports = Ports.choose({}, free=True, without=EMBEDDED_SERVERS if on_real_backends else ())
    async with (
        platform.running(home, ports, log, on_real_backends=on_real_backends) as up,
        aiohttp.ClientSession() as http,
    ):
        console.print(f"platform ready after {time.monotonic() - started:.1f} s at {up.ready['gateway_url']}")
        user = up.ready["users"][0]
        gateway = Gateway(up.ready["gateway_url"], user["token"], http)
        scene = Scene(console, gateway, CommandLine(home, work / "config"), target)
        await scene.line.run("login", "--gateway", up.ready["gateway_url"], token=user["token"])
        products = await buy_all(scene, games, user["user_id"])
        wishes_fulfilled = await demo_library.fulfilled(scene)
        await scene.line.run("library", show=True)
        async with gateway.watching() as events:
            await install_all(scene, games, products)
            updates = await update_all(scene, games, products)
            await repair_all(scene, games)
            done = await demo_library.use(scene, products[games[0].slug])

            async def all_told() -> bool:
                return events.statuses.count("completed") == 3 * len(games)

            await until(f"the WebSocket told only {events.counts}", all_told)
        console.print(f"WebSocket events: {events.counts}; statuses: {' → '.join(events.statuses)}", markup=False)
        summary = {
            "backends": "real" if on_real_backends else "embedded",
            "files": sum(update.files for update in updates.values()),
            "bytes": sum(update.bytes for update in updates.values()),
            "verified": True,
            "library_status": "installed",
            "ws_events": events.total,
            "update_bytes": sum(update.fetched_bytes for update in updates.values()),
            "update_full_bytes": sum(update.full_bytes for update in updates.values()),
            "updates": {
                slug: {
                    "update_bytes": update.fetched_bytes,
                    "update_full_bytes": update.full_bytes,
                    "update_chunk_bytes": update.chunk_bytes,
                    "patched_files": update.patched_files,
                }
                for slug, update in updates.items()
            },
            "repaired": True,
            **asdict(done),
            "wishes_fulfilled": wishes_fulfilled,
        }
    logs.close()
    return {**summary, "seconds": round(time.monotonic() - started, 1)}


async def buy_all(scene: Scene, games: Sequence[Game], user_id: str) -> Mapping[str, str]:
    """Publishes the first version of each, wishes for the last, buys all. Their product ids by slug, when the library has them
    and they can be installed.
    """
    published = await publish_all(scene.line, [(game, game.first) for game in games])
    products = {game.slug: one["product_id"] for game, one in zip(games, published, strict=True)}
    async with asyncio.TaskGroup() as group:
        group.create_task(demo_library.define_achievements(scene, products[games[0].slug]))
        group.create_task(demo_library.wish(scene, products[games[-1].slug]))
    for game in games:
        await scene.line.run("sandbox", "buy", user_id, products[game.slug])
        scene.console.print(f"published and bought {game.title_en} {game.first.version}")

    async def all_owned() -> bool:
        return set(products.values()) <= set(await scene.gateway.library())

    await until("the purchases are not in the library", all_owned)
    for one in published:
        await scene.downloadable(one["product_id"], one["version_id"])
    return products


def main() -> None:
    words = argparse.ArgumentParser(prog="./taskw demo --", description="The platform's main job on real content.")
    words.add_argument("--backends", choices=("embedded", "real"), default="embedded", help="real: of backends:up")
    on_real_backends = words.parse_args().backends == "real"
    console = PlainConsole(soft_wrap=True)
    work = Path(tempfile.mkdtemp(prefix="samovar-demo-"))
    try:
        games = demo_content.fetch(demo_content.default_cache())
        needed = DISK_MARGIN * sum(
            path.stat().st_size
            for game in games
            for release in (game.first, game.next)
            for path in release.folder.rglob("*")
        )
        if shutil.disk_usage(work).free < needed:
            raise DemoFailed(f"{work} has less than the {needed / 1e6:.0f} MB that the demo needs")
        summary = asyncio.run(show(console, games, work, on_real_backends=on_real_backends))
        platform.reset(work / "home")
    except (ContentMissing, DemoFailed, EmbeddedServerError, PlatformError, BaseExceptionGroup) as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        console.print(f"demo: {first}", style="red", markup=False)
        console.print(f"the platform's log is in {work}", markup=False)
        console.print(
            json.dumps({"verified": False, "error": str(first)}), markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)
    shutil.rmtree(work)
    say_json(summary)


if __name__ == "__main__":
    main()
