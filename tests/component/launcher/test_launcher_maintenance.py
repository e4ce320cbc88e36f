"""Updating, verifying, repairing, uninstalling, in this process and as commands, against the test platform."""

import asyncio
import json
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from blockbuster import blockbuster_ctx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from launcher_platform import (
    FakePlatform,
    Game,
    assert_installed,
    environment,
    finished,
    make_account,
    make_game,
    problem,
    run_platform,
    spawn,
)

from launcher.disk.workspace import Workspace
from launcher.failures import ExitCode, LauncherError
from launcher.install.installation import InstallResult, install
from launcher.install.maintenance import repair, uninstall, update, verify
from launcher.install.pipeline import Patience
from launcher.install.sessions import InstallRequest
from launcher.settings import Account

KEY = Ed25519PrivateKey.generate()
QUICK = Patience(max_tries=3, first_delay_seconds=0.01)
CHUNK_BYTES = 16 * 1024


def two_versions() -> tuple[Game, Game]:
    source = random.Random(5)
    big, moved, same = source.randbytes(400_000), source.randbytes(100_000), source.randbytes(50_000)
    first = make_game(
        KEY,
        {"data/big.pak": big, "music/theme.ogg": moved, "same": same, "old/dropped": b"dropped", "kind": b"a file"},
        chunk_bytes=CHUNK_BYTES,
        links={"latest": "data"},
    )
    changed = big[:200_000] + b"!" + big[200_001:]
    second = make_game(
        KEY,
        {"data/big.pak": changed, "audio/theme.ogg": moved, "same": same, "kind/new": source.randbytes(30_000)},
        chunk_bytes=CHUNK_BYTES,
        executables=("same",),
        links={"latest": "audio"},
        product_id=first.product_id,
    )
    return first, second


async def install_first(platform: FakePlatform, directory: Path, account: Account | None = None) -> InstallResult:
    wanted = InstallRequest(product_id=platform.game.product_id, directory=directory)
    return await install(account or make_account(platform, KEY), wanted, patience=QUICK)


async def test_an_update_fetches_only_what_no_file_of_the_old_version_holds(tmp_path: Path) -> None:
    first, second = two_versions()
    async with run_platform(first) as platform:
        await install_first(platform, tmp_path)
        platform.game = second
        platform.delivered.clear()
        with blockbuster_ctx():
            result = await update(make_account(platform, KEY), tmp_path, patience=QUICK)
        assert_installed(tmp_path, second)
        new = set(second.chunks) - set(first.chunks)
        assert set(platform.delivered) == new
        assert result.fetched_bytes == sum(len(second.chunks[chunk]) for chunk in new) < second.stored_bytes / 5
        assert result.previous_version_id == str(first.version_id)
        assert result.version_id == str(second.version_id)
        assert result.removed_files == 3
        assert result.written_files == 3, "what did not change is not written again"
        assert platform.starts[-1]["from_version_id"] == str(first.version_id)
        assert "client_free_space_bytes" not in platform.starts[-1]
        assert all(item["bytes"] == item["size"] for item in platform.session.items.values())


async def test_with_nothing_new_an_update_touches_nothing_and_only_a_repair_mends(tmp_path: Path) -> None:
    game, _ = two_versions()
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        await install_first(platform, tmp_path)
        (tmp_path / "music" / "theme.ogg").unlink()
        platform.starts.clear()
        for version_id in (None, game.version_id):
            result = await update(account, tmp_path, version_id=version_id, patience=QUICK)
            assert (result.status, result.version_id, result.session_id) == ("up_to_date", str(game.version_id), None)
        assert platform.starts == []
        assert not (tmp_path / "music" / "theme.ogg").exists()
        assert await repair(account, tmp_path, await verify(tmp_path), patience=QUICK) is not None
        assert_installed(tmp_path, game)


async def test_a_game_of_two_platforms_is_updated_and_installed_again_for_the_one_in_place(tmp_path: Path) -> None:
    first, second = two_versions()
    async with run_platform(first, platforms=("linux", "windows")) as platform:
        account = make_account(platform, KEY)
        request = InstallRequest(first.product_id, tmp_path)
        with pytest.raises(LauncherError) as refused:
            await install(account, request, patience=QUICK)
        assert refused.value.exit_code is ExitCode.USAGE, (
            "of a folder that holds nothing, nobody knows for which platform"
        )
        await install(account, replace(request, platform="linux"), patience=QUICK)
        assert (await update(account, tmp_path, patience=QUICK)).status == "up_to_date"
        assert (await install(account, request, patience=QUICK)).status == "completed"
        assert platform.starts[-1]["platform"] == "linux"
        platform.game = second
        assert (await update(account, tmp_path, patience=QUICK)).version_id == str(second.version_id)
        assert_installed(tmp_path, second)


async def test_where_the_version_in_place_was_withdrawn_an_update_goes_back(tmp_path: Path) -> None:
    older, withdrawn = two_versions()
    async with run_platform(withdrawn, older={older.version_id}) as platform:
        account = make_account(platform, KEY)
        await install(account, InstallRequest(withdrawn.product_id, tmp_path), patience=QUICK)
        platform.game = older
        platform.asked.clear()
        platform.fault = lambda *_: "hang"
        interrupted = asyncio.create_task(update(account, tmp_path, patience=QUICK))
        await platform.wait_until(lambda: bool(platform.asked))
        interrupted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await interrupted
        platform.fault = lambda *_: None
        platform.hung.set()
        result = await update(account, tmp_path, patience=QUICK)
        assert (result.version_id, result.previous_version_id) == (str(older.version_id), str(withdrawn.version_id))
        assert result.was_withdrawn
        assert platform.starts[-1]["to_version_id"] == str(older.version_id)
        assert_installed(tmp_path, older)


async def test_an_uninstall_that_the_folder_or_the_server_refuses_is_called_again(tmp_path: Path) -> None:
    game, _ = two_versions()
    folder = tmp_path / "game"
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        await install_first(platform, folder, account)
        at_work = Workspace.open(folder)
        with pytest.raises(LauncherError) as refused:
            await uninstall(account, folder)
        at_work.close()
        assert refused.value.code == "FOLDER_IN_USE"
        assert platform.uninstalled == [], "the game is still there"
        platform.refuse = lambda request: problem(403, "PERMISSION_DENIED") if request.method == "DELETE" else None
        with pytest.raises(LauncherError):
            await uninstall(account, folder)
        assert not (folder / "data" / "big.pak").exists()
        platform.refuse = lambda _request: None
        installed, removed = await uninstall(account, folder)
        assert (installed.product_id, removed.count) == (game.product_id, 0)
        assert len(platform.uninstalled) == 1
        assert not (folder / ".samovar").exists()


async def test_a_folder_that_is_gone_and_an_installation_that_was_interrupted_can_be_cleared(tmp_path: Path) -> None:
    game, _ = two_versions()
    gone, half = tmp_path / "gone", tmp_path / "half"
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        await install_first(platform, gone, account)
        shutil.rmtree(gone)
        installed, removed = await uninstall(account, gone)
        assert (installed.product_id, removed.count, len(platform.uninstalled)) == (game.product_id, 0, 1)
        assert not gone.exists()
        platform.asked.clear()
        platform.fault = lambda *_: "hang"
        running = asyncio.create_task(install(account, InstallRequest(game.product_id, half), patience=QUICK))
        await platform.wait_until(lambda: bool(platform.asked))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert platform.session.status == "paused"
        await uninstall(account, half)
        assert platform.session.status == "cancelled"
        assert list(half.iterdir()) == []
        with pytest.raises(LauncherError) as nothing:
            await uninstall(account, half)
        assert nothing.value.code == "NOT_INSTALLED"


async def test_a_failed_update_leaves_the_old_version_whole_and_the_next_goes_on(tmp_path: Path) -> None:
    first, second = two_versions()
    async with run_platform(first) as platform:
        await install_first(platform, tmp_path)
        platform.game = second
        lost = min(set(second.chunks) - set(first.chunks))
        platform.fault = lambda _provider, chunk, _times: "500" if chunk == lost else None
        account = make_account(platform, KEY)
        with pytest.raises(LauncherError) as failure:
            await update(account, tmp_path, patience=QUICK)
        assert failure.value.code == "CDN_ERROR"
        assert (await verify(tmp_path)).damage == [], "the old version is playable"
        platform.fault = lambda _provider, _chunk, _times: None
        platform.delivered.clear()
        result = await update(account, tmp_path, patience=QUICK)
        assert_installed(tmp_path, second)
        assert lost in platform.delivered
        assert result.reused_bytes == 0, "what the failed update copied is kept"


async def test_a_repair_fetches_only_what_is_damaged_and_keeps_what_the_user_added(tmp_path: Path) -> None:
    game, _ = two_versions()
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        await install_first(platform, tmp_path)
        (tmp_path / "data" / "save").write_text("mine")
        platform.delivered.clear()
        with (tmp_path / "data" / "big.pak").open("r+b") as file:
            file.seek(CHUNK_BYTES * 3)
            file.write(b"damage")
        (tmp_path / "music" / "theme.ogg").unlink()
        found = await verify(tmp_path)
        assert [(issue.path, issue.kind.value) for issue in found.issues] == [
            ("data/big.pak", "corrupted"),
            ("data/save", "extra"),
            ("music/theme.ogg", "missing"),
        ]
        result = await repair(account, tmp_path, found, patience=QUICK)
        assert result is not None
        assert len(platform.delivered) == 1 + len(game.files["music/theme.ogg"]) // CHUNK_BYTES + 1
        assert (await verify(tmp_path)).damage == []
        assert (tmp_path / "data" / "save").read_text() == "mine"
        assert await repair(account, tmp_path, await verify(tmp_path), patience=QUICK) is None


async def test_the_server_is_told_what_was_found_and_the_repair_is_a_session_of_just_that(tmp_path: Path) -> None:
    game, _ = two_versions()
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        await install_first(platform, tmp_path)
        assert (await verify(tmp_path, account)).damage == []
        (told,) = platform.verifications.values()
        assert told.is_complete
        assert told.attributes["version_id"] == str(game.version_id)
        assert set(told.entries) == {*game.files, *game.links, *game.directories}
        with (tmp_path / "data" / "big.pak").open("r+b") as file:
            file.seek(CHUNK_BYTES * 3)
            file.write(b"damage")
        (tmp_path / "same").chmod(0o755)
        (tmp_path / "latest").unlink()
        (tmp_path / "mine").write_text("mine")
        os.mkfifo(tmp_path / "pipe")
        found = await verify(tmp_path, account)
        assert found.reported_id == list(platform.verifications)[-1]
        entries = platform.verifications[found.reported_id].entries
        big = entries["data/big.pak"]
        right = [chunk.sha256.hex() for e in game.manifest.entries if e.path == "data/big.pak" for chunk in e.chunks]
        assert len(big["chunk_sha256s"]) == len(right)
        assert [n for n, (a, b) in enumerate(zip(big["chunk_sha256s"], right, strict=True)) if a != b] == [3]
        assert (entries["same"]["mode"], "latest" in entries, "mine" in entries) == (0o755, False, True)
        assert entries["data"] == {"path": "data", "size_bytes": 0, "type": "directory"}
        platform.delivered.clear()
        with blockbuster_ctx():
            result = await repair(account, tmp_path, found, patience=QUICK)
        assert result is not None
        assert result.status == "completed"
        assert set(platform.delivered) == {right[3]}
        assert {item["path"] for item in platform.session.items.values()} == {"data/big.pak", "same"}
        assert platform.session.from_version_id == str(game.version_id)
        assert (await verify(tmp_path, account)).damage == []


async def test_a_repair_goes_on_after_it_failed_and_without_a_server_that_verifies(tmp_path: Path) -> None:
    game, _ = two_versions()
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        await install_first(platform, tmp_path)
        for name in ("kind", "same"):
            (tmp_path / name).unlink()
        found = await verify(tmp_path, account)
        platform.fault = lambda _provider, _chunk, _times: "500"
        with pytest.raises(LauncherError) as failure:
            await repair(account, tmp_path, found, patience=QUICK)
        assert failure.value.code == "CDN_ERROR"
        failed = platform.session
        platform.fault = lambda _provider, _chunk, _times: None
        # The next run verifies again; its session is the one that failed.
        again = await repair(account, tmp_path, await verify(tmp_path, account), patience=QUICK)
        assert again is not None
        assert again.session_id == str(failed.id)
        assert {item["path"] for item in failed.items.values()} == {"kind", "same"}
        platform.knows_verifications = False
        (tmp_path / "kind").unlink()
        found = await verify(tmp_path, account)
        assert found.report_failure is not None
        assert (found.report_failure.code, found.reported_id) == ("VERSION_NOT_FOUND", None)
        assert await repair(account, tmp_path, found, patience=QUICK) is not None
        assert len(platform.session.items) == len(game.files), "a whole session, as before there were verifications"


async def test_a_finding_stands_without_the_server(tmp_path: Path) -> None:
    game, _ = two_versions()
    async with run_platform(game) as platform:
        await install_first(platform, tmp_path)
        account = make_account(platform, KEY)
    (tmp_path / "same").unlink()
    found = await verify(tmp_path, account)
    assert [issue.path for issue in found.damage] == ["same"]
    assert found.report_failure is not None
    assert found.report_failure.exit_code is ExitCode.NETWORK


async def test_a_rollback_is_asked_for_as_one_and_an_interrupted_one_is_not_mistaken_for_an_update(
    tmp_path: Path,
) -> None:
    first, second = two_versions()
    async with run_platform(second) as platform:
        account = make_account(platform, KEY)
        await install_first(platform, tmp_path)
        platform.game = first
        platform.next_failures = []
        platform.give_slots(0)
        waiting = asyncio.create_task(update(account, tmp_path, is_rollback=True, patience=QUICK))
        await platform.wait_until(lambda: len(platform.sessions) == 2)
        await platform.wait_until((tmp_path / ".samovar" / "state.json").exists)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        asked = platform.starts[-1]
        assert asked["from_version_id"] == str(second.version_id)
        assert "to_version_id" not in asked
        platform.give_slots(3)
        with pytest.raises(LauncherError) as refusal:
            await update(account, tmp_path, patience=QUICK)
        assert refusal.value.code == "DOWNLOAD_ALREADY_ACTIVE"
        result = await update(account, tmp_path, is_rollback=True, patience=QUICK)
        assert result.version_id == str(first.version_id)
        assert result.session_id == str(platform.session.id)
        assert_installed(tmp_path, first)


async def test_a_second_folder_of_one_device_does_not_take_the_first_ones_session(tmp_path: Path) -> None:
    game, _ = two_versions()
    async with run_platform(game) as platform:
        account = make_account(platform, KEY)
        platform.give_slots(0)

        async def into(name: str) -> InstallResult:
            wanted = InstallRequest(product_id=game.product_id, directory=tmp_path / name)
            return await install(account, wanted, patience=QUICK)

        first = asyncio.create_task(into("first"))
        await platform.wait_until(lambda: len(platform.sessions) == 1)
        with pytest.raises(LauncherError) as refusal:
            await into("second")
        assert refusal.value.code == "DOWNLOAD_ALREADY_ACTIVE"
        assert str(tmp_path / "first") in refusal.value.message
        assert not (tmp_path / "second").exists()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        platform.give_slots(3)
        assert (await into("second")).status == "completed", "the user has chosen another folder"
        assert [session.status for session in platform.sessions.values()] == ["cancelled", "completed"]
        assert_installed(tmp_path / "second", game)
        assert (await into("first")).status == "completed", "what was left there is no hindrance"
        assert_installed(tmp_path / "first", game)


async def test_a_folder_without_a_game_is_told_so_and_left_as_it_was(tmp_path: Path) -> None:
    nobody = Account("http://127.0.0.1:9", "token", uuid4(), "")
    for work in (verify(tmp_path), uninstall(nobody, tmp_path)):
        with pytest.raises(LauncherError) as refusal:
            await work
        assert (refusal.value.code, refusal.value.exit_code) == ("NOT_INSTALLED", ExitCode.USAGE)
    assert list(tmp_path.iterdir()) == []


async def test_the_commands_update_verify_repair_and_uninstall(tmp_path: Path) -> None:
    first, second = two_versions()
    folder = tmp_path / "game"
    async with run_platform(first) as platform:
        env = environment(platform, KEY, tmp_path)

        async def samovar(*words: str, code: int = 0) -> dict[str, object]:
            ended = await finished(await spawn(env, *words, "--json"))
            assert ended.code == code, ended.stderr
            last: dict[str, object] = json.loads(ended.stdout.strip().splitlines()[-1])
            return last

        await samovar("install", str(first.product_id), "--to", str(folder))
        platform.game = second
        assert (await samovar("update", str(folder)))["removed_files"] == 3
        assert_installed(folder, second)
        assert (await samovar("verify", str(folder)))["status"] == "ok"
        os.truncate(folder / "same", 10)
        damaged = await samovar("verify", str(folder), code=ExitCode.CORRUPT)
        assert damaged["issues"] == [{"path": "same", "kind": "corrupted"}]
        mended = await samovar("repair", str(folder))
        assert (mended["status"], mended["repaired"]) == ("repaired", 1)
        assert_installed(folder, second)
        assert (await samovar("repair", str(folder)))["status"] == "ok"
        assert (await samovar("uninstall", str(folder)))["removed_files"] == 5
        assert list(folder.iterdir()) == []
        assert len(platform.uninstalled) == 1, "the server is told"


async def test_files_of_the_users_at_the_games_paths_are_kept_and_reported_by_the_commands(tmp_path: Path) -> None:
    first = make_game(KEY, {"README.txt": b"the game's", "bin/game": b"1"})
    second = make_game(
        KEY, {"README.txt": b"newer", "bin/game": b"2", "saves/1": b"an example"}, product_id=first.product_id
    )
    folder = tmp_path / "game"
    (folder / "saves").mkdir(parents=True)
    (folder / "README.txt").write_text("mine")
    (folder / "saves" / "1").write_text("my save")
    async with run_platform(first) as platform:
        env = environment(platform, KEY, tmp_path)
        told = await finished(await spawn(env, "install", str(first.product_id), "--to", str(folder)))
        assert "kept: your README.txt is .samovar-kept-README.txt now\n" in told.stdout
        assert (folder / ".samovar-kept-README.txt").read_text() == "mine"
        platform.game = second
        updated = await finished(await spawn(env, "update", str(folder), "--json"))
        result = json.loads(updated.stdout.splitlines()[-1])
        assert result["kept"] == [{"path": "saves/1", "kept_as": "saves/.samovar-kept-1"}]
        assert (folder / "saves" / ".samovar-kept-1").read_text() == "my save"
        (folder / "saves" / "1").write_text("played")
        removed = await finished(await spawn(env, "uninstall", str(folder), "--json"))
        assert json.loads(removed.stdout)["left"] == ["saves/1"]
        left = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
        assert left == {"saves/1": "played", "saves/.samovar-kept-1": "my save", ".samovar-kept-README.txt": "mine"}
        forced = await finished(
            await spawn(env, "install", str(first.product_id), "--to", str(folder), "--overwrite", "--json")
        )
        assert json.loads(forced.stdout.splitlines()[-1])["kept"] == []
        assert (folder / "saves" / "1").read_text() == "an example"


@pytest.mark.parametrize("name", ["", " "])
async def test_a_folder_without_a_name_is_never_the_current_one(tmp_path: Path, name: str) -> None:
    game, _ = two_versions()
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path)
        for words in (
            ("install", str(game.product_id), "--to", name),
            ("update", name),
            ("verify", name),
            ("repair", name),
            ("uninstall", name),
        ):
            refused = await finished(await spawn(env, *words))
            assert refused.code == ExitCode.USAGE, words
        assert not (tmp_path / ".samovar").exists()
        assert not platform.sessions
