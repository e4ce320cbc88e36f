"""The embedded platform: it restarts what dies, says in one line why it cannot start, and leaves nothing behind."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

import aiohttp
import psutil
import pytest

from sandbox.devstack import embedded
from tests.e2e.clients import DOWNLOADS, ITEMS, WAIT_SECONDS, Api, until
from tests.e2e.running import SAMOVAR, Platform, start_platform, stop_platform

CANNOT_START = 1


def up(home: Path, *options: str) -> tuple[int, str]:
    result = subprocess.run(
        [SAMOVAR, "up", *options],
        env={**os.environ, "SAMOVAR_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    return result.returncode, result.stderr.strip()


@pytest.mark.long
@pytest.mark.parametrize("name", ["library", "gateway", "valkey", "postgres"])
async def test_what_is_killed_is_started_again_and_serves(platform: Platform, anna: Api, name: str) -> None:
    def program() -> psutil.Process | None:
        words = {"library": "library_svc", "gateway": "gateway", "valkey": "valkey-server", "postgres": "-D"}
        for child in psutil.Process(platform.process.pid).children():
            with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
                if words[name] in " ".join(child.cmdline()):
                    return child
        return None

    victim = program()
    assert victim is not None
    victim.send_signal(signal.SIGKILL)

    async def another_one() -> bool:
        now = program()
        return now is not None and now.pid != victim.pid

    await until(another_one, f"{name} was not started again")

    async def serves() -> bool:
        """Both services, and who watches over all: the next test finds nothing of this one."""
        try:
            answers = [await anna.get(path) for path in (ITEMS, DOWNLOADS)]
            async with anna.http.get(f"{anna.url}/readyz") as ready:
                return {ready.status, *(answer.status for answer in answers)} == {200}
        except (OSError, aiohttp.ClientError):
            return False

    await until(serves, f"the platform does not answer after {name} was killed")


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, text = up(tmp_path / "home", "--free-ports", "--gateway-port", str(port))
    assert code == CANNOT_START
    assert text == f"samovar up: port {port} (gateway) is in use: choose another with --gateway-port"


def test_data_of_another_postgresql_major_is_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "postgres"
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text("12\n")
    code, text = up(tmp_path / "home", "--free-ports")
    assert code == CANNOT_START
    assert f"made by PostgreSQL 12, the wheel has {embedded.postgres_major()}" in text
    assert "\n" not in text


def test_a_second_platform_on_the_same_data_is_refused(platform: Platform) -> None:
    code, text = up(platform.home, "--free-ports")
    assert code == CANNOT_START
    assert text == f"samovar up: a platform is running on {platform.home} already"


def test_a_killed_supervisor_takes_its_programs_with_it(tmp_path: Path) -> None:
    running = start_platform(tmp_path / "home")
    tree = psutil.Process(running.process.pid).children(recursive=True)
    assert len(tree) >= 6
    running.process.kill()
    running.process.wait()
    assert psutil.wait_procs(tree, timeout=WAIT_SECONDS)[1] == []
    again = start_platform(tmp_path / "home")
    assert again.ready["users"][0]["token"]
    assert stop_platform(again) == []
