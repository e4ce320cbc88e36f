"""The tools of the demo: the platform as any client sees it, the command line as a person types it, the disk. Used by
sandbox.demo.__main__, sandbox.demo.delivery and sandbox.demo.library, and by benches.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from sandbox.demo.content import Game, Release

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1


class DemoFailed(Exception):
    """Something that the demo shows did not hold."""


@dataclass(slots=True)
class Events:
    """The events received from the WebSocket, by event type."""

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

    async def update_size(self, product_id: str, version_id: str) -> int | None:
        """Bytes that an update from the version would fetch now; None when there is nothing newer."""
        installed = {"type": "installedProduct", "id": product_id, "attributes": {"current_version_id": version_id}}
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/vnd.api+json"}
        path = "/api/v1/download-client/updates/check"
        async with self._http.post(self._url + path, headers=headers, json={"data": [installed]}) as answer:
            document = await answer.json(content_type=None)
            if answer.status != 200:
                raise DemoFailed(f"POST {path} answered {answer.status}: {document}")
            size_bytes: int | None = document["data"][0]["attributes"].get("update_size_bytes")
            return size_bytes

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
class Scene:
    """The surroundings of the demo: the platform as a client sees it, the command line, the disk."""

    console: Console
    gateway: Gateway
    line: CommandLine
    target: Path

    def folder(self, game: Game) -> Path:
        return self.target / game.slug

    async def launch(self, *words: str) -> Mapping[str, Any]:
        """Runs a launcher's command; returns its last JSON object."""
        return last_object(await self.line.run(*words, "--json"))

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
            try:
                versions = await self.gateway.get(f"/api/v1/download-client/versions?product_id={product_id}")
            except DemoFailed:  # it knows no version at all
                return False
            return version_id in [version["id"] for version in versions]

        await until(f"version {version_id} is not known to the Download Service", known)


async def until(what: str, condition: Callable[[], Any]) -> Any:
    """Waits until an asynchronous condition gives something true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        if found := await condition():
            return found
        if time.monotonic() > deadline:
            raise DemoFailed(f"after {WAIT_SECONDS:.0f} s: {what}")
        await asyncio.sleep(POLL_SECONDS)


def last_object(output: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found
