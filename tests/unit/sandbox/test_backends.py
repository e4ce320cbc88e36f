"""The start and stop of real servers (sandbox.devstack.backends), with a small server in the place of a big one."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox.devstack import backend_servers, backends
from sandbox.devstack.backend_servers import PORTS, Backend, BackendUnavailable, Site
from sandbox.devstack.embedded import Command

SERVER = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen()\nwhile True: s.accept()"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> backends.BackendsHome:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return backends.backends_home()


def small_server(program: str = SERVER) -> Backend:
    async def answers(site: Site) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", site.ports["small"])
        writer.close()
        await writer.wait_closed()

    return Backend(
        "small",
        "Small server",
        "small",
        lambda site: Command([sys.executable, "-c", program, str(site.ports["small"])]),
        answers,
        lambda site: {"SMALL": str(site.ports["small"])},
    )


@pytest.fixture
def only_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "BACKENDS", (small_server(),))
    monkeypatch.setattr(backends, "PORTS", {"small": 0})


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(backends.app, list(words))
    return done.exit_code, done.output


def test_up_starts_waits_and_writes_the_environment_and_down_leaves_nothing(
    home: backends.BackendsHome, only_a_small_one: None
):
    code, said = run("up", "--free-ports")
    (started,) = home.started().values()
    process = started.process()
    assert code == 0, said
    assert process is not None
    assert home.environment_file.read_text().startswith("SMALL='")
    assert run("status")[0] == 0
    assert run("down")[0] == 0
    assert not process.is_running()
    assert not home.environment_file.exists()
    assert run("status") == (1, "Small server: down\n")


def test_a_second_up_keeps_what_runs(home: backends.BackendsHome, only_a_small_one: None):
    run("up", "--free-ports")
    before = home.started()
    try:
        assert run("up")[0] == 0
        assert home.started() == before
    finally:
        run("down")


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(
    home: backends.BackendsHome, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backends, "BACKENDS", (small_server("raise SystemExit('no disk here')"),))
    monkeypatch.setattr(backends, "PORTS", {"small": 0})
    code, said = run("up", "--free-ports")
    assert code == 1
    assert "Small server: not up: it ended at once" in said
    assert "no disk here" in said
    assert home.started() == {}


def test_another_process_with_the_same_number_is_not_ours():
    assert backends.Started(os.getpid(), 0.0).process() is None


def test_a_name_that_is_no_backend_is_refused(home: backends.BackendsHome):
    code, said = run("up", "--only", "kafka,oracle")
    assert code == 2
    assert "oracle" in said


@pytest.mark.parametrize(("backend", "program"), [("kafka", "java"), ("redis", "redis-server")])
def test_a_machine_that_lacks_a_program_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, program: str
):
    monkeypatch.setenv("PATH", str(tmp_path))
    site = Site(tmp_path / backend, tmp_path / "cache", PORTS, "access", "secret", "password")
    (wanted,) = [one for one in backend_servers.BACKENDS if one.name == backend]
    with pytest.raises(BackendUnavailable) as caught:
        wanted.prepare(site)
    assert program in str(caught.value)
    assert "apt install" in str(caught.value)
    assert "\n" not in str(caught.value)
