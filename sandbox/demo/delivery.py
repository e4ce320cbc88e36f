"""The demo's delivery: games are published, installed, updated by what is on the disk, damaged, verified and repaired. Called by
sandbox.demo.__main__.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from depot import manifest as depot_manifest
from sandbox.demo.content import Game, Release
from sandbox.demo.scene import CommandLine, DemoFailed, Gateway, Scene, last_object, until

DAMAGED_EXIT_CODE = 6
PATCH_PATIENCE_SECONDS = 90.0
PATCH_QUIET_SECONDS = 15.0
"""The time without a cheaper update after which its patches are considered built."""


@dataclass(frozen=True, slots=True)
class Update:
    """The results and costs of an update."""

    files: int
    bytes: int
    fetched_bytes: int
    full_bytes: int
    chunk_bytes: int
    """The bytes that it would have fetched without patches."""
    patched_files: int


async def publish(line: CommandLine, game: Game, release: Release) -> Mapping[str, Any]:
    """Return the publisher's report: ids, sizes."""
    published = await line.run(
        *("publish", str(release.folder), "--product", game.slug, "--version", release.version, "--platform", "linux"),
        *("--title-ru", game.title_ru, "--title-en", game.title_en, "--json"),
    )
    return last_object(published)


async def publish_all(line: CommandLine, releases: Sequence[tuple[Game, Release]]) -> Sequence[Mapping[str, Any]]:
    """Publish all releases at once; return the reports in their order."""
    async with asyncio.TaskGroup() as group:
        publishing = [group.create_task(publish(line, game, release)) for game, release in releases]
    return [task.result() for task in publishing]


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
    """Publishes the next version of each and updates to it, by what is on the disk and by patches. By slug."""
    table = Table(
        *("update", "files", "MB", "seconds", "patched files", "fetched MB", "by chunks MB", "whole version MB"),
        "same as source",
    )
    updates, by_chunks = {}, {}
    following = await publish_all(scene.line, [(game, game.next) for game in games])
    for game, published in zip(games, following, strict=True):
        await scene.downloadable(products[game.slug], published["version_id"])
        by_chunks[game.slug] = await _update_size(scene.gateway, products[game.slug])
    for game, published in zip(games, following, strict=True):
        version_id = published["version_id"]
        await _patches_built(scene.gateway, products[game.slug])
        chunk_bytes = by_chunks[game.slug]
        began = time.monotonic()
        result = await scene.launch("update", str(scene.folder(game)), "--version", version_id)
        took = time.monotonic() - began
        files, size_bytes = await scene.compare(game, game.next)
        await _library_says(scene.gateway, products[game.slug], version_id)
        full_bytes = await asyncio.to_thread(stored_size, scene.folder(game))
        updates[game.slug] = update = Update(
            files, size_bytes, result["fetched_bytes"], full_bytes, chunk_bytes, result["patched_files"]
        )
        table.add_row(
            f"{game.title_en} {game.first.version} → {game.next.version}",
            *(str(files), f"{size_bytes / 1e6:.1f}", f"{took:.1f}"),
            *(str(update.patched_files), f"{update.fetched_bytes / 1e6:.1f}", f"{chunk_bytes / 1e6:.1f}"),
            *(f"{full_bytes / 1e6:.1f}", f"{files} of {files}"),
        )
    scene.console.print(table)
    return updates


async def _update_size(gateway: Gateway, product_id: str) -> int:
    """Bytes that the update of what is installed would fetch now."""
    installed = (await gateway.library())[product_id]["installed_version_id"]
    return await gateway.update_size(product_id, installed) or 0


async def _patches_built(gateway: Gateway, product_id: str) -> None:
    """Waits until the update gets no cheaper: its patches are built in the background."""
    size_bytes = await _update_size(gateway, product_id)
    changed = began = time.monotonic()
    while time.monotonic() - changed < PATCH_QUIET_SECONDS and time.monotonic() - began < PATCH_PATIENCE_SECONDS:
        await asyncio.sleep(0.5)
        now = await _update_size(gateway, product_id)
        if now != size_bytes:
            size_bytes, changed = now, time.monotonic()


async def repair_all(scene: Scene, games: Sequence[Game]) -> None:
    """Flips a byte in the middle of each game's largest file, lets the launcher find it, and repair it."""
    for game in games:
        folder = scene.folder(game)
        damaged = await asyncio.to_thread(damage_largest, folder)
        found = last_object(await scene.line.run("verify", str(folder), "--json", code=DAMAGED_EXIT_CODE))
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
    """Return the bytes to fetch for the whole installed version: each chunk of its manifest once, as stored."""
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
