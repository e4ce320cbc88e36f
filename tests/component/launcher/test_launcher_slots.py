"""Slots: whatever ends an installation gives its slot back, one that lapsed is taken up again, and the user sees who holds them."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from launcher_platform import (
    FakePlatform,
    FakeSession,
    Game,
    assert_installed,
    environment,
    finished,
    make_account,
    make_game,
    run_platform,
    spawn,
)

from launcher.api.download_client import open_api
from launcher.failures import ExitCode, LauncherError
from launcher.install.installation import install
from launcher.install.pipeline import Patience
from launcher.install.progress import Progress
from launcher.install.sessions import InstallRequest
from launcher.install.slots import titles_of, where

KEY = Ed25519PrivateKey.generate()
QUICK = Patience(max_tries=3, first_delay_seconds=0.01)


def a_game() -> Game:
    return make_game(KEY, {f"data/{number}": bytes([number]) * 5_000 for number in range(8)}, chunk_bytes=1_000)


def foreign(game: Game, status: str) -> FakeSession:
    """A session of another device."""
    return FakeSession(uuid4(), game.product_id, game.version_id, str(uuid4()), status, "/elsewhere", {})


async def running(platform: FakePlatform, directory: Path, patience: Patience = QUICK) -> "asyncio.Task[Any]":
    """An installation in the middle of its work: it waits for chunks that do not come."""
    platform.fault = lambda *_: "hang"
    request = InstallRequest(platform.game.product_id, directory)
    task = asyncio.create_task(install(make_account(platform, KEY), request, patience=patience))
    await platform.wait_until(lambda: bool(platform.asked) and platform.session.status == "downloading")
    return task


async def test_a_failure_of_no_file_gives_the_slot_back(tmp_path: Path) -> None:
    game = a_game()
    async with run_platform(game, refuse_manifests=True) as platform:
        account, request = make_account(platform, KEY), InstallRequest(game.product_id, tmp_path)
        with pytest.raises(LauncherError) as failure:
            await install(account, request, patience=QUICK)
        assert failure.value.code == "CDN_ERROR"
        assert platform.session.status == "paused"
        platform.refuse_manifests = False
        await install(account, request, patience=QUICK)
        assert_installed(tmp_path, game)


async def test_what_nobody_expected_gives_the_slot_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def survey(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("launcher.install.installation.survey", survey)
    game = a_game()
    async with run_platform(game) as platform:
        with pytest.raises(ZeroDivisionError):
            await install(make_account(platform, KEY), InstallRequest(game.product_id, tmp_path), patience=QUICK)
        assert platform.session.status == "paused"


@pytest.mark.parametrize(
    ("prefix", "signals", "codes"),
    [
        ((), [signal.SIGHUP], {ExitCode.HUNG_UP}),
        ((), [signal.SIGHUP, signal.SIGTERM], {ExitCode.HUNG_UP, ExitCode.TERMINATED}),
        (("nohup",), [signal.SIGHUP, signal.SIGTERM], {ExitCode.TERMINATED}),
    ],
    ids=["terminal", "session-end", "nohup"],
)
async def test_a_terminal_that_closes_pauses_the_session_unless_nohup_was_said(
    tmp_path: Path, prefix: tuple[str, ...], signals: list[signal.Signals], codes: set[ExitCode]
) -> None:
    game = a_game()
    async with run_platform(game, fault=lambda *_: "hang") as platform:
        env = environment(platform, KEY, tmp_path)
        process = await spawn(
            env, "install", str(game.product_id), "--to", str(tmp_path / "game"), "--json", prefix=prefix
        )
        await platform.wait_until(lambda: bool(platform.asked) and platform.session.status == "downloading")
        for number in signals:
            process.send_signal(number)
        ended = await finished(process)
        assert ended.code in codes, ended.stderr
        assert "Traceback" not in ended.stderr
        assert platform.session.status == "paused"


async def test_the_server_hears_of_a_client_that_looks_at_its_disk(tmp_path: Path) -> None:
    game = a_game()
    async with run_platform(game) as platform:
        platform.manifest_may_come.clear()
        patience = Patience(max_tries=3, first_delay_seconds=0.01, keep_alive_seconds=0.01)
        request = InstallRequest(game.product_id, tmp_path)
        task = asyncio.create_task(install(make_account(platform, KEY), request, patience=patience))
        await platform.wait_until(lambda: len(platform.reports) >= 3)
        assert all(report["items"] == [] for report in platform.reports)
        platform.manifest_may_come.set()
        assert (await task).status == "completed"
        assert_installed(tmp_path, game)
        sequences = [report["sequence"] for report in platform.reports]
        assert sequences == sorted(set(sequences))


async def test_a_session_that_lapsed_goes_on_when_its_client_is_back(tmp_path: Path) -> None:
    game = a_game()
    async with run_platform(game, slots=1) as platform:
        task = await running(platform, tmp_path)
        other = foreign(game, "downloading")
        platform.sessions = {other.id: other, **platform.sessions}
        platform.session.lapse()
        await platform.wait_until(lambda: platform.session.status == "queued")
        platform.fault = lambda *_: None
        platform.hung.set()
        other.status = "completed"
        platform.give_slots(1)
        assert (await task).status == "completed"
        assert_installed(tmp_path, game)


async def test_a_session_that_lapsed_while_it_waited_is_queued_again(tmp_path: Path) -> None:
    game = a_game()
    async with run_platform(game, slots=0) as platform:
        request = InstallRequest(game.product_id, tmp_path)
        task = asyncio.create_task(install(make_account(platform, KEY), request, patience=QUICK))
        await platform.wait_until(lambda: bool(platform.sessions))
        platform.session.lapse()
        platform.slots = 1
        assert (await task).status == "completed"


async def test_a_withdrawn_version_is_said_by_name_and_the_next_run_takes_another(tmp_path: Path) -> None:
    game = a_game()
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        platform.fault = lambda *_: "hang"
        request = InstallRequest(game.product_id, tmp_path)
        task = asyncio.create_task(install(account, request, patience=QUICK))
        await platform.wait_until(lambda: bool(platform.asked) and platform.session.status == "downloading")
        first = platform.session
        first.status, first.error = "error", {"code": "VERSION_NOT_AVAILABLE", "message": "the version was withdrawn"}
        with pytest.raises(LauncherError) as refused:
            await task
        assert (refused.value.code, refused.value.exit_code) == ("VERSION_NOT_AVAILABLE", ExitCode.DENIED)
        platform.fault = lambda *_: None
        platform.hung.set()
        result = await install(account, request, patience=QUICK)
        assert result.session_id != str(first.id)
        assert_installed(tmp_path, game)


async def test_who_waits_is_told_which_games_on_which_devices_hold_the_slots(tmp_path: Path) -> None:
    game = a_game()
    async with run_platform(game, slots=1) as platform:
        other = foreign(game, "verifying")
        platform.sessions[other.id] = other
        progress = Progress()
        request = InstallRequest(game.product_id, tmp_path)
        task = asyncio.create_task(install(make_account(platform, KEY), request, patience=QUICK, progress=progress))
        while not progress.slot_holders:
            await asyncio.sleep(0.01)
        assert progress.slot_holders == f"The Game on device {str(other.device_id)[:8]}"
        other.status = "completed"
        platform.give_slots(1)
        assert (await task).status == "completed"


async def test_downloads_are_listed_paused_resumed_and_cancelled(tmp_path: Path) -> None:
    game = a_game()
    folder = tmp_path / "game"
    async with run_platform(game, fault=lambda *_: "hang") as platform:
        env = environment(platform, KEY, tmp_path)

        async def samovar(*words: str, code: int = 0) -> Any:
            ended = await finished(await spawn(env, "downloads", *words, "--json"))
            assert ended.code == code, ended.stderr
            return json.loads(ended.stdout.strip().splitlines()[-1])

        installing = await spawn(env, "install", str(game.product_id), "--to", str(folder))
        await platform.wait_until(lambda: bool(platform.asked) and platform.session.status == "downloading")
        other, old = foreign(game, "paused"), foreign(game, "completed")
        other.pause_reason = "client_silent"
        platform.sessions = {old.id: old, other.id: other, **platform.sessions}
        own = platform.session
        found = await samovar()
        assert [(one["id"], one["status"], one["is_this_device"]) for one in found] == [
            (str(own.id), "downloading", True),
            (str(other.id), "paused", False),
        ]
        assert (found[1]["pause_reason"], found[1]["title"]) == ("client_silent", "The Game")
        assert len(await samovar("list", "--all")) == 3

        assert (await samovar("pause", str(own.id)))["status"] == "paused"
        assert (await finished(installing)).code == ExitCode.PAUSED
        ambiguous = await samovar("resume", "the game", code=ExitCode.USAGE)
        assert str(other.id) in ambiguous["error"]["message"]
        assert (await samovar("resume", str(other.id)))["status"] == "initializing"
        assert (await samovar("cancel", str(own.id)))["status"] == "cancelled"
        assert not (folder / ".samovar").exists(), "what was fetched is gone with it"
        other.status, other.error = "error", {"code": "CDN_ERROR", "message": "it failed"}
        failed = await samovar("cancel", str(other.id))
        assert (failed["status"], failed["error_code"]) == ("error", "CDN_ERROR")
        assert (await samovar("pause", "no such game", code=ExitCode.DENIED))["error"]["code"] == "DOWNLOAD_NOT_FOUND"
        assert (await samovar("pause", str(uuid4()), code=ExitCode.DENIED))["error"]["code"] == "DOWNLOAD_NOT_FOUND"

        shown = await finished(await spawn(env, "downloads", "list"))
        assert f"on device {str(other.device_id)[:8]}" in shown.stdout


async def test_titles_and_paths_are_shown_escaped(tmp_path: Path) -> None:
    game = a_game()
    async with run_platform(game) as platform:
        platform.titles = {"The \x1b]0;Game\x07\u202e": game.product_id}
        env = environment(platform, KEY, tmp_path)
        account = make_account(platform, KEY)
        own = foreign(game, "paused")
        own.device_id, own.path = str(account.device_id), "/games/\x1b[2J"
        platform.sessions[own.id] = own
        titles = await titles_of(account)
        async with open_api(account) as api:
            session = await api.download(own.id)
        assert where(session, account.device_id) == r"on this device in '/games/\x1b[2J'"
        assert titles[game.product_id] == r"The \x1b]0;Game\x07\u202e"
        listed = await finished(await spawn(env, "downloads"))
        assert listed.code == 0, listed.stderr
        assert not {"\x1b", "\x07", "\u202e"} & set(listed.stdout)
