"""`./taskw demo`: real game engines travel from a publisher through the services and the gateway to a disk, are updated to their
next version by what is there already, damaged, verified and repaired; each time all files are compared with their sources. The
last line of output is one JSON object; the exit code is 0 only if all of it held.
"""

import argparse
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

from depot import manifest as depot_manifest
from sandbox import demo_content, platform
from sandbox.demo_content import ContentMissing, Game, Release
from sandbox.embedded import EmbeddedServerError
from sandbox.platform_config import EMBEDDED_SERVERS, PlatformError, Ports

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.1
DISK_MARGIN = 2
DAMAGED_EXIT_CODE = 6


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

    async def run(self, *words: str, token: str | None = None, show: bool = False, code: int = 0) -> str:
        """Returns its standard output; with `show` the person sees it instead.

        Raises:
            DemoFailed: it ended with another code than expected.
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
        if process.returncode != code:
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


@dataclass(frozen=True, slots=True)
class Update:
    """What an update brought and cost."""

    files: int
    bytes: int
    fetched_bytes: int
    full_bytes: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the demo plays: the platform as a client sees it, the command line, the disk."""

    console: Console
    gateway: Gateway
    line: CommandLine
    target: Path

    def folder(self, game: Game) -> Path:
        return self.target / game.slug

    async def launch(self, *words: str) -> Mapping[str, Any]:
        """Runs a launcher's command; returns its last JSON object."""
        return _last_object(await self.line.run(*words, "--json"))

    async def compare(self, game: Game, release: Release) -> tuple[int, int]:
        """Files and bytes of the release.

        Raises:
            DemoFailed: the folder differs from what was published.
        """
        source, installed = await asyncio.gather(
            asyncio.to_thread(digests, release.folder), asyncio.to_thread(digests, self.folder(game))
        )
        installed = {name: digest for name, digest in installed.items() if not name.startswith(".samovar")}
        if source != installed:
            odd = sorted(set(source.items()) ^ set(installed.items()))[:5]
            raise DemoFailed(f"{game.title_en} on the disk is not what was published: {odd}")
        return len(source), sum(path.stat().st_size for path in release.folder.rglob("*") if path.is_file())

    async def downloadable(self, product_id: str, version_id: str) -> None:
        """Waits until the Download Service has the version."""

        async def known() -> bool:
            versions = await self.gateway.get(f"/api/v1/download-client/versions?product_id={product_id}")
            return version_id in [version["id"] for version in versions]

        await until("the new version is not known to the Download Service", known)


async def until(what: str, condition: Callable[[], Any]) -> Any:
    """Waits until an asynchronous condition gives something true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        if found := await condition():
            return found
        if time.monotonic() > deadline:
            raise DemoFailed(f"after {WAIT_SECONDS:.0f} s: {what}")
        await asyncio.sleep(POLL_SECONDS)


async def publish(line: CommandLine, game: Game, release: Release) -> Mapping[str, Any]:
    """Returns what the publisher says of it: ids, sizes."""
    published = await line.run(
        *("publish", str(release.folder), "--product", game.slug, "--version", release.version, "--platform", "linux"),
        *("--title-ru", game.title_ru, "--title-en", game.title_en, "--json"),
    )
    return _last_object(published)


async def publish_all(line: CommandLine, releases: Sequence[tuple[Game, Release]]) -> Sequence[Mapping[str, Any]]:
    """All at once; answers in their order."""
    async with asyncio.TaskGroup() as group:
        publishing = [group.create_task(publish(line, game, release)) for game, release in releases]
    return [task.result() for task in publishing]


async def show(console: Console, games: Sequence[Game], work: Path, *, on_real_backends: bool) -> Mapping[str, Any]:
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
        line = CommandLine(home, work / "config")
        products = {}
        for game, published in zip(games, await publish_all(line, [(game, game.first) for game in games]), strict=True):
            products[game.slug] = published["product_id"]
            await line.run("sandbox", "buy", user["user_id"], products[game.slug])
            console.print(f"published and bought {game.title_en} {game.first.version}")

        async def all_owned() -> bool:
            return set(products.values()) <= set(await gateway.library())

        await until("the purchases are not in the library", all_owned)
        await line.run("login", "--gateway", up.ready["gateway_url"], token=user["token"])
        await line.run("library", show=True)
        scene = Scene(console, gateway, line, target)
        async with gateway.watching() as events:
            await install_all(scene, games, products)
            updates = await update_all(scene, games, products)
            await repair_all(scene, games)

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
                slug: {"update_bytes": update.fetched_bytes, "update_full_bytes": update.full_bytes}
                for slug, update in updates.items()
            },
            "repaired": True,
        }
    logs.close()
    return {**summary, "seconds": round(time.monotonic() - started, 1)}


async def install_all(scene: Scene, games: Sequence[Game], products: Mapping[str, str]) -> None:
    """Installs the first version of each with the launcher; the person watches its progress bars."""
    table = Table("game", "version", "files", "MB", "seconds", "same as source", "library says")
    for game in games:
        began = time.monotonic()
        await scene.launch("install", products[game.slug], "--to", str(scene.folder(game)))
        took = time.monotonic() - began
        files, size_bytes = await scene.compare(game, game.first)
        status = await _library_says(scene.gateway, products[game.slug], None)
        row = (str(files), f"{size_bytes / 1e6:.1f}", f"{took:.1f}", f"{files} of {files}", status)
        table.add_row(game.title_en, game.first.version, *row)
    scene.console.print(table)


async def update_all(scene: Scene, games: Sequence[Game], products: Mapping[str, str]) -> Mapping[str, Update]:
    """Publishes the next version of each and updates to it, by what is on the disk. By slug."""
    table = Table("update", "files", "MB", "seconds", "fetched MB", "whole version MB", "same as source")
    updates = {}
    for game, published in zip(
        games, await publish_all(scene.line, [(game, game.next) for game in games]), strict=True
    ):
        version_id = published["version_id"]
        await scene.downloadable(products[game.slug], version_id)
        began = time.monotonic()
        result = await scene.launch("update", str(scene.folder(game)), "--version", version_id)
        took = time.monotonic() - began
        files, size_bytes = await scene.compare(game, game.next)
        await _library_says(scene.gateway, products[game.slug], version_id)
        full_bytes = await asyncio.to_thread(stored_size, scene.folder(game))
        updates[game.slug] = update = Update(files, size_bytes, result["fetched_bytes"], full_bytes)
        table.add_row(
            f"{game.title_en} {game.first.version} → {game.next.version}",
            *(str(files), f"{size_bytes / 1e6:.1f}", f"{took:.1f}"),
            *(f"{update.fetched_bytes / 1e6:.1f}", f"{full_bytes / 1e6:.1f}", f"{files} of {files}"),
        )
    scene.console.print(table)
    return updates


async def repair_all(scene: Scene, games: Sequence[Game]) -> None:
    """Flips a byte in the middle of each game's largest file, lets the launcher find it, and repair it."""
    for game in games:
        folder = scene.folder(game)
        damaged = await asyncio.to_thread(damage_largest, folder)
        found = _last_object(await scene.line.run("verify", str(folder), "--json", code=DAMAGED_EXIT_CODE))
        if found["issues"] != [{"path": damaged, "kind": "corrupted"}]:
            raise DemoFailed(f"{damaged} was damaged, the launcher found {found['issues'][:5]}")
        result = await scene.launch("repair", str(folder))
        await scene.compare(game, game.next)
        scene.console.print(
            f"damaged, found and repaired {game.title_en}'s {damaged} with {result['fetched_bytes'] / 1e6:.1f} MB fetched",
            markup=False,
        )


def damage_largest(folder: Path) -> str:
    """Returns the damaged file's path in the tree."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    largest = max((path for path in files if ".samovar" not in path.parts), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        middle = largest.stat().st_size // 2
        file.seek(middle)
        byte = file.read(1)
        file.seek(middle)
        file.write(bytes([byte[0] ^ 1]))
    return largest.relative_to(folder).as_posix()


def stored_size(folder: Path) -> int:
    """What fetching the whole installed version would cost: each chunk of its manifest once, as stored."""
    own = folder / ".samovar"
    installed = json.loads((own / "installed.json").read_text())
    manifest = depot_manifest.parse((own / installed["manifest"]).read_bytes())
    chunks = {chunk.sha256: chunk.stored_size_bytes for entry in manifest.entries for chunk in entry.chunks}
    return sum(chunks.values())


async def _library_says(gateway: Gateway, product_id: str, version_id: str | None) -> str:
    async def installed() -> str | None:
        item = (await gateway.library())[product_id]
        is_there = version_id is None or item["installed_version_id"] == version_id
        return item["installation_status"] if item["installation_status"] == "installed" and is_there else None

    status: str = await until("the library does not say `installed`", installed)
    return status


def _last_object(output: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found


def main() -> None:
    words = argparse.ArgumentParser(prog="./taskw demo --", description="The platform's main job on real content.")
    words.add_argument("--backends", choices=("embedded", "real"), default="embedded", help="real: of backends:up")
    on_real_backends = words.parse_args().backends == "real"
    console = Console(soft_wrap=True)
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
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main()
