"""`./taskw backends:up|down|status`: the platform's real servers on this machine, without containers: Apache Kafka, SeaweedFS,
PostgreSQL 15 and Redis 7, on loopback, with data under .samovar/backends. They go on running until `down`.

It lives beside the embedded platform because it is the same thing for the same people (a developer's or CI's machine), and no
production program may depend on it.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import psutil  # type: ignore[import-untyped]
import typer

from depot.terminal import say
from sandbox.devstack.backend_servers import BACKENDS, PORTS, Backend, BackendUnavailable, Site
from sandbox.devstack.free_port import free_port
from sandbox.devstack.platform_config import HOST, PlatformError, samovar_home, usable, write_private

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 30.0
PROBE_INTERVAL_SECONDS = 0.1
PROBE_TIMEOUT_SECONDS = 10.0
LOG_TAIL_CHARACTERS = 1500
EXIT_INCOMPLETE = 1
SAME_PROCESS_SECONDS = 1.0

app = typer.Typer(
    help="Real servers on this machine, without containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Only = Annotated[str, typer.Option(help="Names with commas between: kafka, s3, postgres, redis. All, if left out.")]


@dataclass(frozen=True, slots=True)
class Started:
    """A server's process, distinguished from a later one with the same number by its start time."""

    pid: int
    created_at: float

    def process(self) -> psutil.Process | None:
        """The process if it still lives."""
        with suppress(psutil.Error):
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created_at) < SAME_PROCESS_SECONDS
            if same and found.status() != psutil.STATUS_ZOMBIE:
                return found
        return None


class BackendsHome:
    """The folder .samovar/backends: what runs, on which ports, with which keys, and the environment for the services."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self._cache = cache
        self._facts_file = root / "backends.json"
        self.environment_json = root / "environment.json"
        self.environment_file = root / "environment"

    def facts(self) -> dict[str, dict[str, object]]:
        if not self._facts_file.exists():
            return {}
        found: dict[str, dict[str, object]] = json.loads(self._facts_file.read_text())
        return found

    def started(self) -> dict[str, Started]:
        """Return the backends that `up` has started and that still run."""
        known = {name: Started(**facts) for name, facts in self.facts().get("started", {}).items()}  # type: ignore[arg-type]
        return {name: one for name, one in known.items() if one.process() is not None}

    def remember(self, started: Mapping[str, Started], ports: Mapping[str, int]) -> None:
        facts = {**self.facts(), "ports": dict(ports), "started": {name: asdict(one) for name, one in started.items()}}
        write_private(self._facts_file, json.dumps(facts, indent=2))

    def ports(self) -> Mapping[str, int] | None:
        """The ports chosen by the last `up`."""
        kept = self.facts().get("ports")
        return {name: int(str(port)) for name, port in kept.items()} if kept else None

    def site(self, backend: Backend, ports: Mapping[str, int]) -> Site:
        facts = self.facts()
        kept = facts.get("keys", {})
        keys = {
            "access": secrets.token_hex(10),
            "secret": secrets.token_urlsafe(30),
            "redis": secrets.token_urlsafe(30),
            **kept,
        }
        if keys != kept:
            self.root.mkdir(parents=True, exist_ok=True)
            write_private(self._facts_file, json.dumps({**facts, "keys": keys}, indent=2))
        access, secret, redis = (str(keys[name]) for name in ("access", "secret", "redis"))
        return Site(self.root / backend.name, self._cache, ports, access, secret, redis)

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Write the environment for programs as JSON, for shells as lines (`set -a; . .samovar/backends/environment`)."""
        write_private(self.environment_json, json.dumps(environment, indent=2))
        write_private(self.environment_file, "".join(f"{name}='{value}'\n" for name, value in environment.items()))

    def forget_environment(self) -> None:
        self.environment_json.unlink(missing_ok=True)
        self.environment_file.unlink(missing_ok=True)


def backends_home() -> BackendsHome:
    """Return the home of this working folder's backends."""
    return BackendsHome(samovar_home() / "backends", Path(".cache").absolute())


@app.command()
def up(
    only: Only = "",
    *,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take free ports, not the usual ones.")] = False,
) -> None:
    """Start the servers, wait until each answers, and write the environment for the services."""
    home = backends_home()
    wanted = _chosen(only)
    running = home.started()
    try:
        ports = _ports(home, running, free=free_ports)
    except PlatformError as error:
        say(f"backends: {error}", err=True)
        raise typer.Exit(EXIT_INCOMPLETE) from None
    missing = [one for one in wanted if one.name not in running]
    sites = {one.name: home.site(one, ports) for one in BACKENDS}
    outcomes = asyncio.run(_start_all(missing, sites))
    for one in missing:
        outcome = outcomes[one.name]
        if isinstance(outcome, Started):
            running[one.name] = outcome
    home.remember(running, ports)
    environment: dict[str, str] = {}
    for one in BACKENDS:
        if one.name in running:
            environment |= one.environment(sites[one.name])
    home.write_environment(environment)
    for one in wanted:
        said = f"up on {HOST}:{ports[one.port]}" if one.name in running else f"not up: {outcomes[one.name]}"
        say(f"{one.title}: {said}")
    say(f"environment: {os.path.relpath(home.environment_file)}")
    if any(one.name not in running for one in wanted):
        raise typer.Exit(EXIT_INCOMPLETE)


@app.command()
def down(only: Only = "") -> None:
    """Stop the servers. Their data stay."""
    home = backends_home()
    running = home.started()
    wanted = [one for one in _chosen(only) if one.name in running]
    _stop([(one, running.pop(one.name)) for one in wanted])
    ports = home.ports()
    if ports is not None:
        home.remember(running, ports)
        environment: dict[str, str] = {}
        for one in BACKENDS:
            if one.name in running:
                environment |= one.environment(home.site(one, ports))
        if environment:
            home.write_environment(environment)
        else:
            home.forget_environment()
    for one in wanted:
        say(f"{one.title}: stopped")
    if not wanted:
        say("nothing was running")


@app.command()
def status() -> None:
    """Say which servers run and answer."""
    home = backends_home()
    running, ports = home.started(), home.ports() or PORTS
    complete = True
    for one in BACKENDS:
        started = running.get(one.name)
        if started is None:
            say(f"{one.title}: down")
            complete = False
            continue
        problem = asyncio.run(_probe(one, home.site(one, ports)))
        complete = complete and problem is None
        state = "answers" if problem is None else f"does not answer: {problem}"
        say(f"{one.title}: process {started.pid} on {HOST}:{ports[one.port]} {state}")
    if not complete:
        raise typer.Exit(EXIT_INCOMPLETE)


def start(backend: Backend, site: Site) -> Started:
    """Starts the server's process, in a session of its own.

    Raises:
        BackendUnavailable: it cannot be had here.
    """
    command = backend.prepare(site)
    site.folder.mkdir(parents=True, exist_ok=True)
    with log_file(site).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  the backend's own command line
            command.argv,
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    process.returncode = 0  # it outlives this object; from here on it is psutil's
    return Started(process.pid, psutil.Process(process.pid).create_time())


async def wait_until_it_answers(backend: Backend, site: Site, started: Started) -> None:
    """Raises:
    BackendUnavailable: it ended, or does not answer in time; with the end of its log.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while (problem := await _probe(backend, site)) is not None:
        if started.process() is None:
            raise BackendUnavailable(f"it ended at once; {log_file(site)} ends with: {_tail(site)}")
        if time.monotonic() > deadline:
            raise BackendUnavailable(f"no answer after {START_TIMEOUT_SECONDS:.0f} s ({problem}), see {log_file(site)}")
        await asyncio.sleep(PROBE_INTERVAL_SECONDS)


def log_file(site: Site) -> Path:
    """Return the file for the server's output. It is beside the server's folder, not in it: initdb needs an empty one."""
    return site.folder.with_name(site.folder.name + ".log")


async def _start_all(backends: Sequence[Backend], sites: Mapping[str, Site]) -> Mapping[str, Started | str]:
    async with asyncio.TaskGroup() as tasks:
        starting = {one.name: tasks.create_task(_start_one(one, sites[one.name])) for one in backends}
    return {name: task.result() for name, task in starting.items()}


async def _start_one(backend: Backend, site: Site) -> Started | str:
    try:
        started = await asyncio.to_thread(start, backend, site)
    except BackendUnavailable as error:
        return str(error)
    try:
        await wait_until_it_answers(backend, site, started)
    except BackendUnavailable as error:
        await asyncio.to_thread(_stop, [(backend, started)])
        return str(error)
    return started


async def _probe(backend: Backend, site: Site) -> str | None:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await backend.answers(site)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        return repr(error)
    except Exception as error:  # noqa: BLE001  a server that is starting answers in its own words
        return repr(error)
    return None


def _stop(servers: Sequence[tuple[Backend, Started]]) -> None:
    """Asks all of them to stop, then waits; what does not listen is killed."""
    processes: list[psutil.Process] = []
    for backend, started in servers:
        process = started.process()
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT if backend.stops_by_interrupt else signal.SIGTERM)
                processes.append(process)
    _, deaf = psutil.wait_procs(processes, timeout=STOP_TIMEOUT_SECONDS)
    for process in deaf:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(deaf, timeout=STOP_TIMEOUT_SECONDS)


def _chosen(only: str) -> Sequence[Backend]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = set(names) - {one.name for one in BACKENDS}
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(one.name for one in BACKENDS)}")
    return [one for one in BACKENDS if not names or one.name in names]


def _ports(home: BackendsHome, running: Mapping[str, Started], *, free: bool) -> Mapping[str, int]:
    """The ports in use by what runs already; else the usual ones or free ones."""
    kept = home.ports()
    if running and kept is not None:
        return kept
    if free:
        return {name: free_port() for name in PORTS}
    return {name: usable(name, port, hint="take --free-ports") for name, port in PORTS.items()}


def _tail(site: Site) -> str:
    return " ".join(log_file(site).read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].split())


if __name__ == "__main__":
    app()
