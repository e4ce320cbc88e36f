"""Installing, in this process, against the test platform: what arrives, what is refused, what the server hears."""

import asyncio
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from blockbuster import blockbuster_ctx
from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from launcher_platform import FakePlatform, assert_installed, make_account, make_game, run_platform

from launcher.disk.workspace import Kept
from launcher.failures import ExitCode, LauncherError
from launcher.install.installation import InstallResult, install
from launcher.install.pipeline import Patience
from launcher.install.sessions import InstallRequest

KEY = Ed25519PrivateKey.generate()
SPOILT = ["flip", "other", "short", "long", "chunked-short", "chunked-long", "drop", "500", "404", "redirect"]
QUICK = Patience(max_tries=4, first_delay_seconds=0.01)


def tree(seed: int = 1) -> dict[str, bytes]:
    source = random.Random(seed)
    shared = source.randbytes(70_000)
    return {
        "bin/run": b"#!/bin/sh\necho played\n",
        "data/empty": b"",
        "data/level1.pak": source.randbytes(300_001),
        "data/copy-of-shared": shared,
        "data/shared": shared,
        "data/zeros.bin": bytes(200_000),
        "звук/ёлка — 1.ogg": source.randbytes(10_000),
        "readme.txt": b"read me\n" * 1000,
    }


async def install_into(
    platform: FakePlatform, directory: Path, *, key: Ed25519PrivateKey = KEY, **request: object
) -> InstallResult:
    wanted = InstallRequest(product_id=platform.game.product_id, directory=directory, **request)
    return await install(make_account(platform, key), wanted, patience=QUICK)


async def test_a_game_arrives_byte_for_byte_with_modes_links_and_empty_folders(tmp_path: Path) -> None:
    game = make_game(
        KEY,
        tree(),
        executables=("bin/run",),
        links={"bin/level": "../data/level1.pak", "latest": "data"},
        directories=("saves/slots",),
    )
    async with run_platform(game) as platform:
        result = await install_into(platform, tmp_path / "game")
        assert_installed(tmp_path / "game", game)
        assert (result.status, result.files, result.resumed_bytes) == ("completed", 8, 0)
        assert result.bytes == sum(map(len, game.files.values()))
        assert result.fetched_bytes == game.stored_bytes, "a chunk of several files is fetched once"
        assert set(platform.delivered.values()) == {1}
        assert platform.session.status == "completed"
        assert platform.authorized_cdn_requests == 0, "the token goes to the gateway only"


async def test_nothing_of_it_blocks_the_event_loop(tmp_path: Path) -> None:
    game = make_game(KEY, tree(), links={"latest": "data"})
    async with run_platform(game) as platform:
        with blockbuster_ctx():
            result = await install_into(platform, tmp_path)
        assert_installed(tmp_path, game)
        assert result.status == "completed"


async def test_the_server_hears_how_every_file_gets_on_in_reports_of_growing_sequence(tmp_path: Path) -> None:
    game = make_game(KEY, tree())
    async with run_platform(game) as platform:
        await install_into(platform, tmp_path)
        sequences = [report["sequence"] for report in platform.reports]
        assert sequences == sorted(set(sequences))
        assert all(item["status"] == "completed" for item in platform.session.items.values())
        assert all(item["bytes"] == item["size"] for item in platform.session.items.values())
        reported = sum(cdn["bytes"] for report in platform.reports for cdn in report["cdn"])
        assert reported == game.stored_bytes


async def test_a_report_without_an_answer_is_told_again_and_counts_once(tmp_path: Path) -> None:
    game = make_game(KEY, tree(), chunk_bytes=10_000)
    told: list[int] = []

    def first_that_tells_of_a_cdn(report: dict[str, Any]) -> bool:
        told.extend([report["sequence"]] if report["cdn"] else [])
        return told == [report["sequence"]]

    async with run_platform(game, is_mute_on=first_that_tells_of_a_cdn, chunk_delay_seconds=0.1) as platform:
        result = await install_into(platform, tmp_path, parallel=4)
        assert_installed(tmp_path, game)
        assert result.status == "completed"
        # One is on its way when the last file comes, and another tells of what came since; in a long installation there are more.
        assert len(told) >= 2
        for kind, expected in (("bytes", game.stored_bytes), ("errors", 0)):
            assert sum(cdn[kind] for report in platform.reports for cdn in report["cdn"]) == expected
        assert all(item["status"] == "completed" for item in platform.session.items.values())


async def test_a_session_that_was_completed_meanwhile_is_not_reported_on_for_ever(tmp_path: Path) -> None:
    """By the last report of a run that was killed as soon as it had sent it."""
    game = make_game(KEY, tree(), chunk_bytes=10_000)

    def complete(report: dict[str, Any]) -> bool:
        if report["cdn"]:  # so it has all its links
            platform.session.status = "completed"
        return False

    async with run_platform(game, is_mute_on=complete, chunk_delay_seconds=0.1) as platform:
        result = await install_into(platform, tmp_path, parallel=4)
        assert_installed(tmp_path, game)
        assert result.status == "completed"


async def test_two_thousand_small_files_arrive_within_a_few_reports(tmp_path: Path) -> None:
    source = random.Random(2)
    files = {f"assets/{n % 40:02}/{n:05}.bin": source.randbytes(source.randrange(8192, 20_000)) for n in range(2000)}
    game = make_game(KEY, files)
    async with run_platform(game) as platform:
        result = await install_into(platform, tmp_path)
        assert_installed(tmp_path, game)
        assert result.files == 2000
        assert max(len(report["items"]) for report in platform.reports) <= 1000
        assert max(platform.link_batches) <= 1000
        assert len(platform.link_batches) <= 5


@pytest.mark.parametrize("fault", SPOILT)
async def test_what_a_cdn_spoils_is_never_accepted_and_had_from_the_other(tmp_path: Path, fault: str) -> None:
    game = make_game(KEY, tree(3), chunk_bytes=20_000)
    async with run_platform(game) as platform:
        platform.fault = lambda provider, _chunk, _times: fault if provider == "north" else None
        await install_into(platform, tmp_path)
        assert_installed(tmp_path, game)
        errors = sum(c["errors"] for r in platform.reports for c in r["cdn"] if c["provider"] == "north")
        assert errors == sum(times for (provider, _), times in platform.asked.items() if provider == "north") > 0


async def test_a_cdn_that_falls_silent_is_left_within_two_seconds(tmp_path: Path) -> None:
    # A machine that has other things to do can only prolong the wait, and seldom does so each time.
    waits: list[float] = []
    while not waits or (waits[-1] >= 2.5 and len(waits) < 3):
        waits.append(await _wait_for_silence(tmp_path / f"{len(waits)}"))
    assert min(waits) < 2.5, waits


async def _wait_for_silence(folder: Path) -> float:
    """The four first chunks hang; then the other CDN is asked: how much later."""
    game = make_game(KEY, tree(12), chunk_bytes=10_000)
    async with run_platform(game) as platform:
        platform.fault = lambda provider, _chunk, _times: "hang" if provider == "north" else None
        await install_into(platform, folder, parallel=4)
        assert_installed(folder, game)
        return platform.chunk_times[4] - platform.chunk_times[0]


@pytest.mark.parametrize(
    ("fault", "code", "exit_code"),
    [
        ("flip", "FILE_HASH_MISMATCH", ExitCode.CORRUPT),
        ("long", "FILE_HASH_MISMATCH", ExitCode.CORRUPT),
        ("500", "CDN_ERROR", ExitCode.NETWORK),
        ("403", "CDN_ERROR", ExitCode.NETWORK),
    ],
)
async def test_when_no_source_has_the_chunk_the_file_is_named_and_the_tries_are_bounded(
    tmp_path: Path, fault: str, code: str, exit_code: ExitCode
) -> None:
    game = make_game(KEY, tree(4))
    bad = game.manifest.entries[[e.path for e in game.manifest.entries].index("data/level1.pak")].chunks[2].sha256.hex()
    async with run_platform(game) as platform:
        platform.fault = lambda _provider, chunk, _times: fault if chunk == bad else None
        with pytest.raises(LauncherError) as failed:
            await install_into(platform, tmp_path)
        assert (failed.value.code, failed.value.exit_code, failed.value.file) == (code, exit_code, "data/level1.pak")
        assert platform.asked["north", bad] + platform.asked["south", bad] == QUICK.max_tries
        assert platform.session.status == "error"
        assert platform.session.error is not None
        assert platform.session.error["code"] == code
        assert not (tmp_path / "data" / "level1.pak").exists()

        platform.fault = lambda _provider, _chunk, _times: None
        again = await install_into(platform, tmp_path)
        assert_installed(tmp_path, game)
        assert len(platform.sessions) == 1, "the failed session is retried, not doubled"
        assert again.resumed_bytes > 0


async def test_links_that_were_refused_are_renewed(tmp_path: Path) -> None:
    game = make_game(KEY, tree(5), chunk_bytes=10_000)
    async with run_platform(game, chunk_delay_seconds=0.01) as platform:
        installing = asyncio.create_task(install_into(platform, tmp_path, parallel=4))
        await platform.wait_until(lambda: sum(platform.delivered.values()) >= 8)
        platform.link_generation += 1
        await installing
        assert_installed(tmp_path, game)
        assert set(platform.delivered.values()) == {1}


async def test_links_are_renewed_before_they_end(tmp_path: Path) -> None:
    game = make_game(KEY, tree(6), chunk_bytes=10_000)
    async with run_platform(game, link_seconds=1.0) as platform:
        await install_into(platform, tmp_path)
        assert_installed(tmp_path, game)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_gateway_that_stumbles_is_asked_again(tmp_path: Path, status: int) -> None:
    game = make_game(KEY, tree(7))
    async with run_platform(game) as platform:
        platform.next_failures = [status, status]
        await install_into(platform, tmp_path)
        assert_installed(tmp_path, game)


async def test_a_gateway_that_is_away_is_exit_5(tmp_path: Path) -> None:
    game = make_game(KEY, tree())
    async with run_platform(game) as platform:
        pass
    with pytest.raises(LauncherError) as failed:
        await install_into(platform, tmp_path)
    assert failed.value.exit_code is ExitCode.NETWORK


async def test_a_refused_token_is_exit_3_and_a_game_not_owned_exit_4(tmp_path: Path) -> None:
    game = make_game(KEY, tree())
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        wanted = InstallRequest(product_id=uuid4(), directory=tmp_path / "game")
        with pytest.raises(LauncherError) as refused:
            await install(account, wanted, patience=QUICK)
        assert (refused.value.code, refused.value.exit_code) == ("PRODUCT_ACCESS_DENIED", ExitCode.DENIED)
        assert not (tmp_path / "game").exists(), "what was refused leaves no folder"
        platform.token = "another"
        with pytest.raises(LauncherError) as refused:
            await install(account, InstallRequest(game.product_id, tmp_path), patience=QUICK)
        assert refused.value.exit_code is ExitCode.NOT_SIGNED_IN


def _rename(path: str) -> Callable[[content.Manifest], None]:
    def change(manifest: content.Manifest) -> None:
        manifest.entries[0].path = path

    return change


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/cron.d/x", "a/../../x", "C:/x", "a\\b", ".samovar/journal", ".SAMOVAR/x"]
)
async def test_a_manifest_with_a_path_that_leads_elsewhere_is_refused_whole(tmp_path: Path, path: str) -> None:
    game = make_game(KEY, {"a": b"content"}, change=_rename(path))
    async with run_platform(game) as platform:
        with pytest.raises(LauncherError) as refused:
            await install_into(platform, tmp_path / "game")
        assert (refused.value.code, refused.value.exit_code) == ("MANIFEST_INVALID", ExitCode.CORRUPT)
        assert not platform.asked
        assert platform.session.status == "cancelled"
    assert {entry.name for entry in tmp_path.rglob("*")} <= {"game", ".samovar", "staging", "lock", "state.json"}


async def test_a_manifest_signed_by_a_stranger_or_changed_after_signing_is_refused(tmp_path: Path) -> None:
    stranger = Ed25519PrivateKey.generate()
    for number, game in enumerate((make_game(stranger, tree()), make_game(KEY, tree(), key_id="unknown"))):
        async with run_platform(game) as platform:
            with pytest.raises(LauncherError) as refused:
                await install_into(platform, tmp_path / str(number))
            assert (refused.value.code, refused.value.exit_code) == ("MANIFEST_SIGNATURE_INVALID", ExitCode.CORRUPT)
            assert not platform.asked


async def test_a_manifest_of_another_product_is_refused_though_it_is_signed(tmp_path: Path) -> None:
    game, other = make_game(KEY, tree()), make_game(KEY, tree())
    game.stored_manifest, game.signature = other.stored_manifest, other.signature
    async with run_platform(game) as platform:
        with pytest.raises(LauncherError) as refused:
            await install_into(platform, tmp_path)
        assert refused.value.code == "MANIFEST_INVALID"


async def test_a_link_in_the_place_of_a_file_is_kept_beside_and_what_it_points_to_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    target = tmp_path / "game"
    target.mkdir()
    (target / "readme.txt").symlink_to(outside)
    game = make_game(KEY, tree())
    async with run_platform(game) as platform:
        result = await install_into(platform, target)
        assert result.kept == [Kept("readme.txt", ".samovar-kept-readme.txt")]
        assert (target / ".samovar-kept-readme.txt").readlink() == outside
        (target / ".samovar-kept-readme.txt").unlink()
        assert_installed(target, game)
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("place", ["data", ".samovar"])
async def test_a_link_in_the_place_of_a_folder_is_refused_before_anything_is_fetched(
    tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "game"
    target.mkdir()
    (target / place).symlink_to(outside)
    game = make_game(KEY, tree())
    async with run_platform(game) as platform:
        with pytest.raises(LauncherError) as refused:
            await install_into(platform, target)
        assert (refused.value.code, refused.value.exit_code) == ("PATH_OBSTRUCTED", ExitCode.DISK)
        assert not platform.asked
        assert all(session.status == "paused" for session in platform.sessions.values()), "its slot is free again"
    assert not list(outside.iterdir())


async def test_a_staged_file_that_became_a_link_or_got_a_second_name_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    target = tmp_path / "game"
    (target / ".samovar" / "staging").mkdir(parents=True)
    for index in range(20):
        staged = target / ".samovar" / "staging" / str(index)
        if index % 2:
            staged.symlink_to(outside)
        else:
            staged.hardlink_to(outside)
    game = make_game(KEY, tree())
    async with run_platform(game) as platform:
        await install_into(platform, target)
        assert_installed(target, game)
    assert outside.read_text() == "mine"
    assert outside.stat().st_nlink == 1


async def test_files_that_are_right_already_stay_and_changed_ones_are_kept_beside(tmp_path: Path) -> None:
    game = make_game(KEY, tree(), executables=("bin/run",))
    async with run_platform(game) as platform:
        await install_into(platform, tmp_path)
        kept = (tmp_path / "data" / "level1.pak").stat().st_ino
        (tmp_path / "readme.txt").write_bytes(b"x" * len(game.files["readme.txt"]))
        (tmp_path / "bin" / "run").chmod(0o600)
        (tmp_path / "data" / "zeros.bin").unlink()
        platform.delivered.clear()
        result = await install_into(platform, tmp_path)
        assert result.kept == [Kept("readme.txt", ".samovar-kept-readme.txt")]
        beside = tmp_path / ".samovar-kept-readme.txt"
        assert beside.read_bytes() == b"x" * len(game.files["readme.txt"])
        beside.unlink()
        assert_installed(tmp_path, game)
        assert (tmp_path / "data" / "level1.pak").stat().st_ino == kept
        lost = len(game.files["readme.txt"]) + len(game.files["data/zeros.bin"])
        assert result.resumed_bytes == result.bytes - lost
        assert sum(platform.delivered.values()) == 3, "one chunk of the text, two distinct ones of zeros"


async def test_a_queued_download_waits_for_its_slot_without_fetching(tmp_path: Path) -> None:
    game = make_game(KEY, tree())
    async with run_platform(game, slots=0) as platform:
        installing = asyncio.create_task(install_into(platform, tmp_path))
        await platform.wait_until(lambda: bool(platform.sessions))
        assert platform.session.status == "queued"
        assert not platform.asked
        platform.give_slots(1)
        await installing
        assert_installed(tmp_path, game)


@pytest.mark.parametrize(("status", "exit_code"), [("paused", ExitCode.PAUSED), ("cancelled", ExitCode.CANCELLED)])
async def test_a_pause_or_cancel_from_another_client_stops_the_launcher(
    tmp_path: Path, status: str, exit_code: ExitCode
) -> None:
    game = make_game(KEY, tree(8), chunk_bytes=5_000)
    async with run_platform(game, chunk_delay_seconds=0.05) as platform:
        device = uuid4()
        wanted = InstallRequest(game.product_id, tmp_path, parallel=2)
        account = make_account(platform, KEY, device_id=device)
        installing = asyncio.create_task(install(account, wanted, patience=QUICK))
        await platform.wait_until(lambda: len(platform.reports) >= 2)
        platform.session.status = status
        with pytest.raises(LauncherError) as stopped:
            await installing
        assert stopped.value.exit_code is exit_code
        staged = list((tmp_path / ".samovar" / "staging").iterdir())
        assert bool(staged) == (status == "paused"), "a cancelled download leaves nothing behind"
        platform.chunk_delay_seconds = 0
        delivered = platform.delivered.total()
        await install(account, wanted, patience=QUICK)
        assert_installed(tmp_path, game)
        if status == "paused":
            assert len(platform.sessions) == 1
            assert platform.delivered.total() - delivered <= len(game.chunks) - delivered + 2


async def test_a_download_sent_back_to_the_queue_stops_fetching_until_it_has_a_slot_again(tmp_path: Path) -> None:
    game = make_game(KEY, tree(9), chunk_bytes=5_000)
    async with run_platform(game, chunk_delay_seconds=0.02) as platform:
        installing = asyncio.create_task(install_into(platform, tmp_path, parallel=2))
        await platform.wait_until(lambda: len(platform.reports) >= 2)
        platform.slots, platform.session.status = 0, "queued"
        reports = len(platform.reports)
        # A look without a report says that the launcher has seen it.
        await platform.wait_until(lambda: platform.asked.total() >= 1)
        while platform.asked.total() != await _settled(platform):
            pass
        assert len(platform.reports) == reports
        platform.give_slots(1)
        await installing
        assert_installed(tmp_path, game)


async def _settled(platform: FakePlatform) -> int:
    """How many chunks were asked for after two more looks at the session."""
    looks = 0

    def looked() -> bool:
        nonlocal looks
        looks += 1
        return looks > 2

    await platform.wait_until(looked)
    return platform.asked.total()


async def test_a_second_launcher_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    game = make_game(KEY, tree())
    async with run_platform(game, slots=0) as platform:
        first = asyncio.create_task(install_into(platform, tmp_path))
        await platform.wait_until(lambda: bool(platform.sessions))
        with pytest.raises(LauncherError) as refused:
            await install_into(platform, tmp_path)
        assert refused.value.code == "FOLDER_IN_USE"
        platform.give_slots(1)
        await first


async def test_a_folder_that_holds_another_product_is_refused(tmp_path: Path) -> None:
    for game in (make_game(KEY, tree()), make_game(KEY, tree(2))):
        async with run_platform(game) as platform:
            if (tmp_path / ".samovar").exists():
                with pytest.raises(LauncherError) as refused:
                    await install_into(platform, tmp_path)
                assert refused.value.code == "FOLDER_IN_USE"
                assert not platform.sessions
            else:
                await install_into(platform, tmp_path)


async def test_a_live_session_of_this_device_is_taken_up_even_without_local_state(tmp_path: Path) -> None:
    game = make_game(KEY, tree())
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        platform.slots = 0
        first = asyncio.create_task(install(account, InstallRequest(game.product_id, tmp_path / "a"), patience=QUICK))
        await platform.wait_until(lambda: bool(platform.sessions))
        first.cancel()
        await asyncio.wait([first])
        assert platform.session.status == "paused", "an interrupted launcher gives its slot back"
        platform.slots = 1
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        (tmp_path / "link").symlink_to(tmp_path / "a")
        (tmp_path / "a").mkdir()
        await install(account, InstallRequest(game.product_id, tmp_path / "link"), patience=QUICK)
        assert_installed(tmp_path / "a", game)
        assert len(platform.sessions) == 1, "the folder is the same one, however it is spelt"


async def test_too_little_room_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)

    def grow(manifest: content.Manifest) -> None:
        # A sparse giant: one chunk many times over.
        entry = next(entry for entry in manifest.entries if entry.path == "zeros")
        chunk = entry.chunks[0]
        times = free.f_bavail * free.f_frsize // chunk.size_bytes + 10
        entry.size_bytes = times * chunk.size_bytes
        entry.chunks.extend([chunk] * (times - 1))

    game = make_game(KEY, {"zeros": bytes(16 << 20)}, chunk_bytes=16 << 20, change=grow)
    async with run_platform(game) as platform:
        with pytest.raises(LauncherError) as refused:
            await install_into(platform, tmp_path)
        assert (refused.value.code, refused.value.exit_code) == ("INSUFFICIENT_CLIENT_DISK_SPACE", ExitCode.DISK)
        assert not platform.asked
        assert platform.session.error is not None
        assert platform.session.error["code"] == "INSUFFICIENT_CLIENT_DISK_SPACE"


async def test_the_manifest_lies_about_a_file_of_several_chunks_and_the_file_is_refused(tmp_path: Path) -> None:
    def lie(manifest: content.Manifest) -> None:
        entry = next(entry for entry in manifest.entries if entry.path == "data/level1.pak")
        entry.sha256 = bytes(32)

    game = make_game(KEY, tree(), change=lie)
    async with run_platform(game) as platform:
        with pytest.raises(LauncherError) as refused:
            await install_into(platform, tmp_path)
        assert (refused.value.code, refused.value.file) == ("FILE_HASH_MISMATCH", "data/level1.pak")
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("limit_kbps", [4_000, 16_000])
async def test_the_bandwidth_limit_holds_within_five_percent(tmp_path: Path, limit_kbps: int) -> None:
    # A machine that has other things to do can only lower the rate, and seldom does so each time.
    rates_kbps: list[float] = []
    while not rates_kbps or (rates_kbps[-1] <= limit_kbps * 0.90 and len(rates_kbps) < 3):
        rates_kbps.append(await _rate_kbps(tmp_path / f"{len(rates_kbps)}", limit_kbps))
    # The end of the installation (checks, renames, last report) is in the time: it, too, can only lower the rate.
    assert limit_kbps * 0.90 < max(rates_kbps) < limit_kbps * 1.05, rates_kbps


async def _rate_kbps(folder: Path, limit_kbps: int) -> float:
    """Of an installation that lasts three seconds."""
    size_bytes = int(limit_kbps * 1000 / 8 * 3)
    game = make_game(KEY, {"noise": random.Random(1).randbytes(size_bytes)}, chunk_bytes=128 * 1024)
    async with run_platform(game) as platform:
        ended: list[float] = []
        loop = asyncio.get_running_loop()
        installing = asyncio.create_task(install_into(platform, folder, limit_kbps=limit_kbps))
        installing.add_done_callback(lambda _: ended.append(loop.time()))
        await platform.wait_until(lambda: bool(platform.chunk_times))
        result = await installing
        assert_installed(folder, game)
        return result.fetched_bytes * 8 / 1000 / (ended[0] - platform.chunk_times[0])
