"""`./taskw demo`: real game engines travel from a publisher through the services and the gateway to a disk, and every installed
file is compared with its source. The last line of output is one JSON object; the exit code is 0 only if all of it held.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from sandbox import demo_content, platform
from sandbox.demo_content import ContentMissing, Game
from sandbox.embedded import EmbeddedServerError
from sandbox.platform_config import PlatformError, Ports

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.1
DISK_MARGIN = 3


class DemoFailed(Exception):
    """Something that the demo shows did not hold."""


@dataclass(slots=True)
class Events:
    """What the WebSocket told, by event type."""

    counts: dict[str, int] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=list)

    def take(self, envelope: Mapping[str, Any]) -> None:
        event_type = envelope["event_type"]
        self.counts[event_type] = self.counts.get(event_type, 0) + 1
        if event_type == "downloadStatusChanged":
            self.statuses.append(envelope["payload"]["new_status"])

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Gateway:
    """The demo's own view of the platform: REST and WebSocket as any client sees them."""

    def __init__(self, url: str, token: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._token = token
        self._http = http

    async def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Accept-Language": "en"}
        async with self._http.get(self._url + path, headers=headers) as answer:
            document = await answer.json(content_type=None)
            if answer.status != 200:
                raise DemoFailed(f"GET {path} answered {answer.status}: {document}")
            return document["data"]

    async def library(self) -> Mapping[str, Mapping[str, Any]]:
        """The library's items by product id."""
        items = await self.get("/api/v1/library/items")
        return {item["attributes"]["product_id"]: item["attributes"] for item in items}

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Events]:
        """Listens to the download events of the user."""
        events = Events()
        headers = {"Authorization": f"Bearer {self._token}"}
        async with self._http.ws_connect(f"{self._url}/api/v1/ws/download-progress", headers=headers) as socket:
            listener = asyncio.create_task(self._listen(socket, events))
            try:
                yield events
            finally:
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse, events: Events) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                events.take(json.loads(message.data))


class CommandLine:
    """Runs `samovar …` as a person would."""

    def __init__(self, home: Path, config: Path) -> None:
        self._environment = {**os.environ, "SAMOVAR_HOME": str(home), "SAMOVAR_CONFIG_HOME": str(config)}

    async def run(self, *words: str, token: str | None = None, show: bool = False) -> str:
        """Returns its standard output; with `show` the person sees it instead.

        Raises:
            DemoFailed: it ended with another code than 0.
        """
        environment = {**self._environment, **({"SAMOVAR_TOKEN": token} if token else {})}
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("samovar")),
            *words,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=None if show else asyncio.subprocess.PIPE,
            stderr=None if show else asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            raise DemoFailed(
                f"samovar {words[0]} ended with code {process.returncode}: {(err or b'').decode()[-2000:]}"
            )
        return (out or b"").decode()


def digests(tree: Path) -> Mapping[str, str]:
    """SHA-256 of every file below a folder, with its executable bit; links by their target. By relative path."""
    found = {}
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if path.is_symlink():
            found[name] = f"link {path.readlink()}"
        elif path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[name] = f"{digest} {bool(path.stat().st_mode & 0o100)}"
    return found


async def until(what: str, condition: Callable[[], Any]) -> Any:
    """Waits until an asynchronous condition gives something true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        if found := await condition():
            return found
        if time.monotonic() > deadline:
            raise DemoFailed(f"after {WAIT_SECONDS:.0f} s: {what}")
        await asyncio.sleep(POLL_SECONDS)


async def publish_and_buy(line: CommandLine, game: Game, user_id: str) -> str:
    """Returns the product's id."""
    published = await line.run(
        *("publish", str(game.folder), "--product", game.slug, "--version", game.version, "--platform", "linux"),
        *("--title-ru", game.title_ru, "--title-en", game.title_en, "--json"),
    )
    product_id: str = json.loads(published.strip().splitlines()[-1])["product_id"]
    await line.run("sandbox", "buy", user_id, product_id)
    return product_id


async def install(line: CommandLine, product_id: str, folder: Path, console: Console) -> None:
    """Installs with the launcher; the person watches its progress bars."""
    words = ("install", product_id, "--to", str(folder))
    if console.is_terminal:
        await line.run(*words, show=True)
    else:
        await line.run(*words, "--json")


async def show(console: Console, games: Sequence[Game], work: Path) -> Mapping[str, Any]:
    """The whole demo on a fresh platform; returns the summary.

    Raises:
        DemoFailed: something did not hold.
    """
    started = time.monotonic()
    home, target = work / "home", work / "games"
    logs = (work / "platform.log").open("w")

    def log(name: str, text: str) -> None:
        logs.write(f"{name:>10} {text}\n")

    async with platform.running(home, Ports.choose({}, free=True), log) as up, aiohttp.ClientSession() as http:
        console.print(f"platform ready after {time.monotonic() - started:.1f} s at {up.ready['gateway_url']}")
        user = up.ready["users"][0]
        gateway = Gateway(up.ready["gateway_url"], user["token"], http)
        line = CommandLine(home, work / "config")
        products = {}
        for game in games:
            products[game.slug] = await publish_and_buy(line, game, user["user_id"])
            console.print(f"published and bought {game.title_en} {game.version}")

        async def all_owned() -> bool:
            return set(products.values()) <= set(await gateway.library())

        await until("the purchases are not in the library", all_owned)
        await line.run("login", "--gateway", up.ready["gateway_url"], token=user["token"])
        await line.run("library", show=True)
        summary = await _install_all(console, games, products, gateway, line, target)
    logs.close()
    return {**summary, "seconds": round(time.monotonic() - started, 1)}


async def _install_all(
    console: Console,
    games: Sequence[Game],
    products: Mapping[str, str],
    gateway: Gateway,
    line: CommandLine,
    target: Path,
) -> Mapping[str, Any]:
    table = Table("game", "version", "files", "MB", "seconds", "same as source", "library says")
    files = size_bytes = 0
    async with gateway.watching() as events:
        for game in games:
            began = time.monotonic()
            folder = target / game.slug
            await install(line, products[game.slug], folder, console)
            took = time.monotonic() - began
            source, installed = await asyncio.gather(
                asyncio.to_thread(digests, game.folder), asyncio.to_thread(digests, folder)
            )
            installed = {name: digest for name, digest in installed.items() if not name.startswith(".samovar")}
            if source != installed:
                odd = sorted(set(source.items()) ^ set(installed.items()))[:5]
                raise DemoFailed(f"{game.title_en} on the disk is not what was published: {odd}")
            status = await _library_says_installed(gateway, products[game.slug])
            game_bytes = sum(path.stat().st_size for path in game.folder.rglob("*") if path.is_file())
            files, size_bytes = files + len(source), size_bytes + game_bytes
            row = (
                str(len(source)),
                f"{game_bytes / 1e6:.1f}",
                f"{took:.1f}",
                f"{len(source)} of {len(source)}",
                status,
            )
            table.add_row(game.title_en, game.version, *row)

        async def all_told() -> bool:
            return events.statuses.count("completed") == len(games)

        await until(f"the WebSocket told only {events.counts}", all_told)
    console.print(table)
    console.print(f"WebSocket events: {events.counts}; statuses: {' → '.join(events.statuses)}", markup=False)
    return {
        "files": files,
        "bytes": size_bytes,
        "verified": True,
        "library_status": "installed",
        "ws_events": events.total,
    }


async def _library_says_installed(gateway: Gateway, product_id: str) -> str:
    async def installed() -> str | None:
        status: str = (await gateway.library())[product_id]["installation_status"]
        return status if status == "installed" else None

    status: str = await until("the library does not say `installed`", installed)
    return status


def main() -> None:
    console = Console(soft_wrap=True)
    work = Path(tempfile.mkdtemp(prefix="samovar-demo-"))
    try:
        games = demo_content.fetch(demo_content.default_cache())
        needed = DISK_MARGIN * sum(path.stat().st_size for game in games for path in game.folder.rglob("*"))
        if shutil.disk_usage(work).free < needed:
            raise DemoFailed(f"{work} has less than the {needed / 1e6:.0f} MB that the demo needs")
        summary = asyncio.run(show(console, games, work))
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
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main()
