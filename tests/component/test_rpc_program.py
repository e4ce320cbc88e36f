"""Programs as processes: signals drain them, failures end them with one line, workers live and die together."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sandbox.devstack.free_port import free_port

ROOT = Path(__file__).resolve().parents[2]


async def until(condition, *, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def marks(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.isdigit()]


@asynccontextmanager
async def program(folder: Path, **settings: str):
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gen'}",
        "FOLDER": str(folder),
        "DRAIN_SECONDS": "1",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.component.rpc_program",
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def end_of(process) -> tuple[int, list[dict], str]:
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


async def test_sigterm_drains_the_program_and_it_ends_well(tmp_path):
    async with program(tmp_path) as process:
        await until(lambda: marks(tmp_path))
        (mark,) = marks(tmp_path)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{mark.read_text()}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        process.terminate()
        code, lines, err = await end_of(process)
    assert (code, err) == (0, "")
    assert mark.with_suffix(".stopped").exists()
    assert [line["message"] for line in lines] == ["serving", "stopping", "stopped"]
    assert {line["service"] for line in lines} == {"test-program"}


async def test_metrics_are_served_on_their_own_port_until_ctrl_c(tmp_path):
    port = free_port()
    async with program(tmp_path, METRICS_PORT=str(port)) as process:
        await until(lambda: marks(tmp_path))
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert response.status == 200
            assert "rpc_server_calls" in await response.text()
        process.send_signal(signal.SIGINT)
        code, _lines, err = await end_of(process)
    assert (code, err) == (0, "")


async def test_a_port_in_use_is_one_clear_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with program(tmp_path, PORT=str(port)) as process:
            code, lines, _err = await end_of(process)
    assert code == 1
    (line,) = [line for line in lines if line["level"] == "ERROR"]
    assert f"cannot listen on 127.0.0.1:{port}" in line["error"]
    assert "exception" not in line


async def test_a_program_that_cannot_be_built_says_why_and_fails(tmp_path):
    async with program(tmp_path, FAILS="true") as process:
        code, lines, err = await end_of(process)
    assert (code, err) == (1, "")
    assert "cannot be built" in lines[-1]["exception"]


async def test_bad_settings_end_it_before_it_starts(tmp_path):
    async with program(tmp_path, PORT="many", WORKERS="0") as process:
        code, lines, err = await end_of(process)
    assert (code, lines) == (2, [])
    assert [line.partition(":")[0] for line in err.splitlines()] == ["WORKERS", "PORT"]


async def test_workers_share_one_port_and_drain_together_on_ctrl_c(tmp_path):
    async with program(tmp_path, WORKERS="2", PORT=str(free_port())) as process:
        await until(lambda: len(marks(tmp_path)) == 2)
        assert len({mark.read_text() for mark in marks(tmp_path)}) == 1
        for pid in (*(int(mark.name) for mark in marks(tmp_path)), process.pid):  # a terminal tells the whole group
            os.kill(pid, signal.SIGINT)
        code, _lines, err = await end_of(process)
        assert (code, err) == (0, "")
        assert len(list(tmp_path.glob("*.stopped"))) == 2


async def test_a_worker_that_dies_takes_the_others_along(tmp_path):
    async with program(tmp_path, WORKERS="2", PORT=str(free_port())) as process:
        await until(lambda: len(marks(tmp_path)) == 2)
        one, other = (int(mark.name) for mark in marks(tmp_path))
        os.kill(one, signal.SIGKILL)
        code, _lines, _err = await end_of(process)
        assert code == 1
        assert not psutil.pid_exists(other)


async def test_workers_do_not_outlive_their_parent(tmp_path):
    async with program(tmp_path, WORKERS="2", PORT=str(free_port())) as process:
        await until(lambda: len(marks(tmp_path)) == 2)
        workers = [int(mark.name) for mark in marks(tmp_path)]
        process.kill()
        await until(lambda: not any(_is_running(pid) for pid in workers))
        assert len(list(tmp_path.glob("*.stopped"))) == 2


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
