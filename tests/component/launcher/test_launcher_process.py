"""The launcher as users run it: a real process, killed, interrupted, short of disk, driven by scripts."""

import asyncio
import json
import os
import random
import signal
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from launcher_platform import assert_installed, environment, finished, make_game, run_platform, spawn

from depot import signing

KEY = Ed25519PrivateKey.generate()
CHUNK_BYTES = 16 * 1024
KILLS = 3


def tree(seed: int) -> dict[str, bytes]:
    source = random.Random(seed)
    files = {f"small/{number:03}": source.randbytes(source.randrange(1, 20_000)) for number in range(60)}
    return files | {"big/one.pak": source.randbytes(1_500_000), "big/two.pak": source.randbytes(700_000)}


@pytest.mark.parametrize("seed", range(2))
async def test_after_kill_9_at_any_moment_no_more_than_what_was_in_flight_is_fetched_again(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    parallel = 4
    game = make_game(KEY, tree(seed), chunk_bytes=CHUNK_BYTES)
    async with run_platform(game, chunk_delay_seconds=0.005) as platform:
        arguments = ("install", str(game.product_id), "--to", str(tmp_path / "game"), "--parallel", str(parallel))
        env = environment(platform, KEY, tmp_path)
        for kills in range(1, KILLS + 1):
            before = platform.delivered.total()
            goal = before + chance.randrange(1, len(game.chunks) // (KILLS + 1))
            process = await spawn(env, *arguments)
            await platform.wait_until(lambda goal=goal: platform.delivered.total() >= goal)
            process.kill()
            await finished(process)
            again = platform.delivered.total() - len(platform.delivered)
            assert again <= parallel * kills
        end = await finished(await spawn(env, *arguments, "--json"))
        assert end.code == 0, end.stderr
        assert_installed(tmp_path / "game", game)
        result = json.loads(end.stdout.splitlines()[-1])
        assert result["resumed_bytes"] > 0
        assert platform.delivered.total() - len(game.chunks) <= parallel * KILLS
        assert len(platform.sessions) == 1


async def test_kill_9_while_files_are_put_in_place_costs_no_fetch(tmp_path: Path) -> None:
    source = random.Random(5)
    game = make_game(KEY, {f"{n % 7}/{n:04}": source.randbytes(50) for n in range(1500)})
    async with run_platform(game) as platform:
        arguments = ("install", str(game.product_id), "--to", str(tmp_path / "game"))
        env = environment(platform, KEY, tmp_path)
        process = await spawn(env, *arguments)
        await platform.wait_until(lambda: len(platform.delivered) == len(game.chunks))
        process.kill()
        await finished(process)
        assert (await finished(await spawn(env, *arguments))).code == 0
        assert_installed(tmp_path / "game", game)
        assert platform.delivered.total() - len(game.chunks) <= 16


async def test_ctrl_c_keeps_what_there_is_and_pauses_the_session(tmp_path: Path) -> None:
    game = make_game(KEY, tree(7), chunk_bytes=CHUNK_BYTES)
    async with run_platform(game, chunk_delay_seconds=0.01) as platform:
        arguments = ("install", str(game.product_id), "--to", str(tmp_path / "game"), "--parallel", "4")
        env = environment(platform, KEY, tmp_path)
        process = await spawn(env, *arguments)
        await platform.wait_until(lambda: platform.delivered.total() >= 20)
        process.send_signal(signal.SIGINT)
        end = await finished(process)
        assert end.code == 130
        assert "Traceback" not in end.stderr
        assert platform.session.status == "paused"
        delivered = platform.delivered.total()
        platform.chunk_delay_seconds = 0
        assert (await finished(await spawn(env, *arguments))).code == 0
        assert_installed(tmp_path / "game", game)
        assert platform.delivered.total() - len(game.chunks) <= 4
        assert delivered < len(game.chunks)


async def test_a_full_disk_is_exit_7_and_the_next_run_goes_on(tmp_path: Path) -> None:
    game = make_game(KEY, tree(8), chunk_bytes=CHUNK_BYTES)
    async with run_platform(game) as platform:
        arguments = ("install", str(game.product_id), "--to", str(tmp_path / "game"), "--json")
        env = environment(platform, KEY, tmp_path)
        # A file may not grow beyond this: the disk says so in the middle of big/one.pak, as a full one would.
        full = await finished(await spawn(env, *arguments, prefix=("bash", "-c", 'ulimit -f 1000; exec "$@"', "bash")))
        assert full.code == 7, full.stderr
        answer = json.loads(full.stdout.splitlines()[-1])
        assert answer["error"]["code"] == "INSUFFICIENT_CLIENT_DISK_SPACE"
        assert answer["error"]["file"] == "big/one.pak"
        assert "Traceback" not in full.stderr
        assert platform.session.status == "error"
        assert platform.session.error == {"code": "INSUFFICIENT_CLIENT_DISK_SPACE", "message": "it failed"}
        end = await finished(await spawn(env, *arguments))
        assert end.code == 0, end.stderr
        assert_installed(tmp_path / "game", game)
        assert json.loads(end.stdout.splitlines()[-1])["resumed_bytes"] > 0


async def test_json_output_is_lines_of_progress_and_a_result(tmp_path: Path) -> None:
    game = make_game(KEY, tree(9))
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path)
        end = await finished(await spawn(env, "install", "the game", "--to", str(tmp_path / "game"), "--json"))
        assert end.code == 0, end.stderr
        *progress, result = [json.loads(line) for line in end.stdout.splitlines()]
        assert progress
        assert all(line["event"] == "progress" for line in progress)
        assert result["status"] == "completed"
        assert result["files"] == len(game.files)
        assert result["bytes"] == sum(map(len, game.files.values()))
        assert result["fetched_bytes"] == game.stored_bytes
        assert result["resumed_bytes"] == 0
        assert result["seconds"] > 0


async def test_login_checks_the_token_and_keeps_it_for_this_user_only(tmp_path: Path) -> None:
    game = make_game(KEY, {"a": b"a"})
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path)
        keys, token = env.pop("MANIFEST_PUBLIC_KEYS"), env.pop("SAMOVAR_TOKEN")
        del env["SAMOVAR_GATEWAY"]
        login = ("login", "--gateway", platform.url, "--trust-keys", keys)
        refused = await finished(await spawn(env, *login), stdin="wrong\n")
        assert refused.code == 3
        assert not (tmp_path / "config" / "profile.json").exists()
        assert (await finished(await spawn(env, "library"))).code == 3
        accepted = await finished(await spawn(env, *login), stdin=f"{token}\n")
        assert accepted.code == 0, accepted.stderr
        assert token not in accepted.stdout + accepted.stderr
        assert stat.S_IMODE((tmp_path / "config" / "profile.json").stat().st_mode) == 0o600
        owned = await finished(await spawn(env, "library", "--json"))
        assert [entry["title"] for entry in json.loads(owned.stdout)] == ["The Game"]
        table = await finished(await spawn(env, "library"))
        assert "The Game" in table.stdout
        assert (await finished(await spawn(env, "install", "The Game", "--to", str(tmp_path / "game")))).code == 0
        assert_installed(tmp_path / "game", game)


async def test_the_local_platforms_keys_are_trusted_at_its_gateway_only(tmp_path: Path) -> None:
    game = make_game(KEY, {"a": b"a"})
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path)
        keys = env.pop("MANIFEST_PUBLIC_KEYS")
        arguments = ("install", str(game.product_id), "--to", str(tmp_path / "game"))
        assert (await finished(await spawn(env, *arguments))).code == 2, "no key, no installation"
        (tmp_path / "platform").mkdir()
        described = {"gateway_url": "http://127.0.0.1:1", "manifest_public_keys": keys}
        (tmp_path / "platform" / "platform.json").write_text(json.dumps(described))
        assert (await finished(await spawn(env, *arguments))).code == 2
        described["gateway_url"] = platform.url
        (tmp_path / "platform" / "platform.json").write_text(json.dumps(described))
        assert (await finished(await spawn(env, *arguments))).code == 0
        assert_installed(tmp_path / "game", game)


async def test_what_cannot_be_installed_has_an_exit_code_and_a_line_but_no_stack_trace(tmp_path: Path) -> None:
    game = make_game(KEY, {"a": b"a"})
    async with run_platform(game) as platform:
        platform.titles["The Other Game"] = game.version_id
        env = environment(platform, KEY, tmp_path)
        for product, to, code in (("No such title", "x", 4), ("game", "x", 2), ("The Game", "/proc/x", 7)):
            end = await finished(await spawn(env, "install", product, "--to", to))
            assert end.code == code, end.stderr
            assert end.stderr.startswith("samovar: ")
            assert len(end.stderr.splitlines()) == 1
        assert not platform.asked


async def test_the_keys_round_trip_through_the_login(tmp_path: Path) -> None:
    keys = signing.format_public_keys({"a": signing.public_key(KEY), "b": signing.public_key(KEY)})
    game = make_game(KEY, {"a": b"a"})
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path) | {"MANIFEST_PUBLIC_KEYS": keys}
        assert (await finished(await spawn(env, "login"))).code == 0
        profile = json.loads((tmp_path / "config" / "profile.json").read_text())
        assert profile["trusted_keys"] == keys
        assert profile["gateway_url"] == platform.url
        first = (tmp_path / "config" / "device.json").read_text()
        assert (await finished(await spawn(env, "login"))).code == 0
        assert (tmp_path / "config" / "device.json").read_text() == first, "the device's id is made once"


async def test_a_killed_launcher_leaves_its_folder_free_for_the_next(tmp_path: Path) -> None:
    game = make_game(KEY, tree(11))
    async with run_platform(game, slots=0) as platform:
        env = environment(platform, KEY, tmp_path)
        arguments = ("install", str(game.product_id), "--to", str(tmp_path / "game"))
        process = await spawn(env, *arguments)
        await platform.wait_until(lambda: bool(platform.sessions))
        os.kill(process.pid, signal.SIGKILL)
        await finished(process)
        platform.give_slots(1)
        second = await asyncio.wait_for(finished(await spawn(env, *arguments)), 60)
        assert second.code == 0, second.stderr
        assert_installed(tmp_path / "game", game)
