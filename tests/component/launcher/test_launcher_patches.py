"""Updates by patches, in this process and killed as commands, against the test platform: what is fetched, and every way to fail."""

import asyncio
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from launcher_platform import (
    FakePlatform,
    Game,
    assert_installed,
    environment,
    make_account,
    make_game,
    run_platform,
    spawn,
)

from depot import patches
from launcher.failures import ExitCode, LauncherError
from launcher.install import patching
from launcher.install.installation import InstallResult, install
from launcher.install.maintenance import update
from launcher.install.pipeline import Patience
from launcher.install.sessions import InstallRequest

KEY = Ed25519PrivateKey.generate()
QUICK = Patience(max_tries=3, first_delay_seconds=0.01)
CHANGED = ("a/engine.so", "b/level.pak", "c/text.txt")


def edited(data: bytes, dice: random.Random) -> bytes:
    """A few bytes inserted and changed all over it, so that hardly a chunk stays."""
    pieces = [data[at : at + 4000] for at in range(0, len(data), 4000)]
    return b"".join(piece + dice.randbytes(3) for piece in pieces)


def two_versions() -> tuple[Game, Game]:
    dice = random.Random(9)
    old = {path: dice.randbytes(120_000) for path in CHANGED} | {"same": dice.randbytes(30_000)}
    new = {**old, **{path: edited(old[path], dice) for path in CHANGED}, "more": dice.randbytes(20_000)}
    new["z/copy"] = new["a/engine.so"]
    first = make_game(KEY, old, chunk_bytes=16 * 1024)
    return first, make_game(KEY, new, chunk_bytes=16 * 1024, executables=("a/engine.so",), product_id=first.product_id)


async def installed_first(platform: FakePlatform, directory: Path) -> None:
    request = InstallRequest(product_id=platform.game.product_id, directory=directory)
    await install(make_account(platform, KEY), request, patience=QUICK)


async def prepared(platform: FakePlatform, second: Game, directory: Path) -> dict[str, str]:
    """The first version is in place, the second offered with patches; their names by path."""
    first = platform.game
    await installed_first(platform, directory)
    platform.game = second
    platform.delivered.clear()
    platform.asked.clear()
    return {path: platform.offer_patch(first, path) for path in CHANGED}


async def updated(platform: FakePlatform, directory: Path) -> InstallResult:
    return await update(make_account(platform, KEY), directory, patience=QUICK)


async def test_changed_files_are_had_by_patches_and_nothing_else_of_them_is_fetched(tmp_path: Path) -> None:
    first, second = two_versions()
    async with run_platform(first) as platform:
        names = await prepared(platform, second, tmp_path)
        # The chunks of patched files are poisoned: a single one that is fetched ends the update.
        wanted = {
            chunk.sha256.hex() for entry in second.manifest.entries for chunk in entry.chunks if entry.path in CHANGED
        }
        platform.fault = lambda _provider, chunk, _times: "other" if chunk in wanted else None
        with blockbuster_ctx():
            result = await updated(platform, tmp_path)
        assert_installed(tmp_path, second)
        assert (result.patched_files, result.patch_fallbacks) == (3, {})
        new = {
            chunk.sha256.hex() for entry in second.manifest.entries for chunk in entry.chunks if entry.path == "more"
        }
        assert set(platform.delivered) == {*names.values(), *new}
        expected = sum(len(platform.patch_objects[name]) for name in names.values())
        assert result.fetched_bytes == expected + sum(len(second.chunks[name]) for name in new)
        assert result.fetched_bytes < second.stored_bytes / 5
        reported = sum(cdn["bytes"] for report in platform.reports[-20:] for cdn in report["cdn"])
        assert reported >= result.fetched_bytes
        assert all(item["bytes"] == item["size"] for item in platform.session.items.values())


def deleted(platform: FakePlatform, name: str, _folder: Path) -> None:
    platform.fault = lambda _provider, chunk, _times: "404" if chunk == name else None


def withdrawn(platform: FakePlatform, name: str, _folder: Path) -> None:
    del platform.patch_objects[name]


def spoilt(fault: str) -> Callable[[FakePlatform, str, Path], None]:
    def spoil(platform: FakePlatform, name: str, _folder: Path) -> None:
        platform.fault = lambda _provider, chunk, _times: fault if chunk == name else None

    return spoil


def base_with_one_byte_changed(_platform: FakePlatform, _name: str, folder: Path) -> None:
    path = folder / CHANGED[0]
    data = bytearray(path.read_bytes())
    data[77] ^= 1
    path.write_bytes(data)


def base_cut(_platform: FakePlatform, _name: str, folder: Path) -> None:
    os.truncate(folder / CHANGED[0], 100)


def base_gone(_platform: FakePlatform, _name: str, folder: Path) -> None:
    (folder / CHANGED[0]).unlink()


def wrong_result(platform: FakePlatform, name: str, _folder: Path) -> None:
    """The service vouches for a patch that gives another file."""
    offer = platform.patches[CHANGED[0]]
    base = (_folder / CHANGED[0]).read_bytes()
    new = bytearray(platform.game.files[CHANGED[0]])
    new[500] ^= 1
    stored = patches.build(base, bytes(new))
    other = patches.hashlib.sha256(stored).hexdigest()
    platform.patch_objects[other] = stored
    offer.update(sha256=other, size_bytes=len(stored))


FAULTS = {
    "deleted": deleted,
    "withdrawn": withdrawn,
    **{fault: spoilt(fault) for fault in ("flip", "other", "short", "long", "drop", "500", "redirect", "403")},
    "base changed": base_with_one_byte_changed,
    "base cut": base_cut,
    "base gone": base_gone,
    "wrong result": wrong_result,
}

CHANGED_BY_USER = frozenset({"base changed", "base cut"})


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_patch_that_is_of_no_use_costs_its_file_the_patch_once_and_is_said(tmp_path: Path, fault: str) -> None:
    first, second = two_versions()
    async with run_platform(first) as platform:
        names = await prepared(platform, second, tmp_path)
        FAULTS[fault](platform, names[CHANGED[0]], tmp_path)
        result = await updated(platform, tmp_path)
        assert [one.path for one in result.kept] == ([CHANGED[0]] if fault in CHANGED_BY_USER else [])
        for one in result.kept:
            (tmp_path / one.kept_as).unlink()
        assert_installed(tmp_path, second)
        assert CHANGED[0] in result.patch_fallbacks
        if fault != "withdrawn":  # links are all or none
            assert (result.patched_files, len(result.patch_fallbacks)) == (2, 1)
        per_provider = max(platform.asked[provider, names[CHANGED[0]]] for provider in platform.providers)
        assert per_provider <= 2, "no CDN is asked again and again"
        assert platform.session.status == "completed"


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "newer"},
        {"to_sha256": "00" * 32},
        {"from_sha256": "00" * 32},
        {"size_bytes": 1 << 40},
        {"from_path": "same"},
    ],
)
async def test_an_offer_that_does_not_fit_the_manifests_is_not_even_fetched(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    first, second = two_versions()
    async with run_platform(first) as platform:
        names = await prepared(platform, second, tmp_path)
        platform.patches[CHANGED[0]].update(change)
        result = await updated(platform, tmp_path)
        assert_installed(tmp_path, second)
        assert result.patched_files == 2
        assert not any(platform.asked[provider, names[CHANGED[0]]] for provider in platform.providers)


async def test_without_a_plan_everything_comes_by_chunks(tmp_path: Path) -> None:
    first, second = two_versions()
    async with run_platform(first) as platform:
        await prepared(platform, second, tmp_path)
        platform.patches[CHANGED[0]]["sha256"] = "no hash"
        result = await updated(platform, tmp_path)
        assert_installed(tmp_path, second)
        assert result.patched_files == 0


async def test_a_file_that_an_earlier_run_had_mostly_is_not_patched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_versions()
    async with run_platform(first) as platform:
        names = await prepared(platform, second, tmp_path)
        real, calls = patches.apply, 0

        def dies_at_second(*arguments: Any) -> bytes:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise LauncherError("DISK_ERROR", "the disk refused", ExitCode.DISK)
            return real(*arguments)

        monkeypatch.setattr(patching.patches, "apply", dies_at_second)
        with pytest.raises(LauncherError, match="refused"):
            await updated(platform, tmp_path)
        monkeypatch.setattr(patching.patches, "apply", real)
        applied = calls - 1  # those that were at hand beside it may have got through
        platform.delivered.clear()
        result = await updated(platform, tmp_path)
        assert_installed(tmp_path, second)
        assert 1 <= applied <= 2
        assert result.patched_files == 3 - applied
        assert sum(name in platform.delivered for name in names.values()) == 3 - applied


@pytest.mark.parametrize("updates", [2, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
async def test_killed_at_any_moment_the_next_run_goes_on_with_patches(tmp_path: Path, updates: int) -> None:
    """kill -9 at the first request to the CDN, then at the second of the next run, and so on until an update ends by itself. Every
    other update has no patches.
    """
    for number in range(updates):
        folder, config = tmp_path / f"game-{number}", tmp_path / f"config-{number}"
        config.mkdir()
        first, second = two_versions()
        async with run_platform(first, chunk_delay_seconds=0.02) as platform:
            await prepared(platform, second, folder)
            if number % 2:
                platform.patches.clear()
            stride = 8 if number % 2 else 1  # by chunks there are many more requests
            kills = await update_killed_on_the_way(platform, folder, config, stride=stride)
            assert kills >= 2
            assert_installed(folder, second)
            shutil.rmtree(folder)


async def update_killed_on_the_way(platform: FakePlatform, folder: Path, config: Path, *, stride: int) -> int:
    """Returns how often it was killed; each run may send so many requests more than the one before."""
    kills = 0
    while True:
        last = len(platform.chunk_times) + kills * stride
        process = await spawn(environment(platform, KEY, config), "update", str(folder), "--json")
        ended = asyncio.create_task(process.wait())
        reached = asyncio.create_task(platform.wait_until(lambda last=last: len(platform.chunk_times) > last))
        await asyncio.wait({ended, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        if ended.done():
            assert process.returncode == 0
            return kills
        process.kill()
        await ended
        kills += 1
        assert kills < 60, "it gets on"
