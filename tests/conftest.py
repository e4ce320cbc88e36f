"""The servers that tests run against: one embedded PostgreSQL and one embedded Valkey per test process (so per xdist worker), on
free ports, in temporary folders, started when first asked for and stopped at the end.

`new_database` makes an empty database and answers its DSN; `postgres_url` is the server's DSN; `valkey_url` is Valkey's. Tests
share Valkey, so they use keys of their own.
"""

import asyncio
import gc
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from sandbox.devstack import embedded
from sandbox.devstack.free_port import free_port

pytest_plugins = ["adapters", "memory_folder", "order"]

# Over what the library has for a desk or, with CI=true, for CI: how long an example takes is the machine's affair.
settings.register_profile(
    "patient", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

NewDatabase = Callable[..., Awaitable[str]]

_made_databases: list[str] = []

START_SECONDS = 30.0
START_ATTEMPTS = 3
STOP_SECONDS = 10.0
# A test's server may lose everything in a power cut, and should be fast.
POSTGRES_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
    "autovacuum": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
}


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """DSN of the session's PostgreSQL (its `postgres` database, as superuser): the embedded one, or with TEST_POSTGRES=real that of
    `backends:up`.
    """
    if os.environ.get("TEST_POSTGRES") == "real":
        from adapters import settings_of  # noqa: PLC0415  a plugin must not be imported before pytest has rewritten it

        dsn = settings_of("postgres 15")["POSTGRES_DSN"]
        yield dsn
        asyncio.run(_drop(dsn, _made_databases))
    else:
        with postgres_server() as dsn:
            yield dsn


async def _drop(dsn: str, databases: Sequence[str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for name in databases:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> NewDatabase:
    """`await new_database("library")` makes an empty database with a name of its own and returns its DSN."""

    async def create(name_prefix: str = "test") -> str:
        name = f"{name_prefix}_{uuid.uuid4().hex[:12]}"
        _made_databases.append(name)
        connection = await asyncpg.connect(postgres_url)
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        finally:
            await connection.close()
        return postgres_url.rsplit("/", 1)[0] + f"/{name}"

    return create


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """URL of the session's Valkey: `redis://127.0.0.1:<port>/0`."""
    with valkey_server() as url:
        yield url


@contextmanager
def postgres_server(port: int | None = None, folder: Path | None = None) -> Iterator[str]:
    """Runs a PostgreSQL; with a port and a folder a test can stop one and start it again on the same data."""
    with server_folder("samovar-postgres-", folder) as data:
        cluster = data / "cluster"
        embedded.prepare_postgres(cluster)

        def command(port: int) -> embedded.Command:
            return embedded.postgres_command(cluster, port, options=POSTGRES_SETTINGS)

        with served(command, postgres_answers, port, data / "server.log", signal.SIGINT) as port:
            yield embedded.postgres_dsn(cluster, port)


@contextmanager
def valkey_server(port: int | None = None, folder: Path | None = None) -> Iterator[str]:
    """Runs a Valkey without persistence."""
    with server_folder("samovar-valkey-", folder) as data:

        def command(port: int) -> embedded.Command:
            return embedded.valkey_command(data, port, password=None, persistent=False)

        with served(command, _answers_ping, port, data / "server.log", signal.SIGTERM) as port:
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def server_folder(prefix: str, folder: Path | None = None) -> Iterator[Path]:
    """A temporary folder that a server's account can be given, or the one that is there already."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    made = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def served(
    command: Callable[[int], embedded.Command],
    answers: Callable[[int], bool],
    wanted_port: int | None,
    log: Path,
    stop_signal: signal.Signals,
) -> Iterator[int]:
    """Starts the server, on another port if somebody was faster to take the free one, and stops it at the end."""
    for _ in range(1 if wanted_port else START_ATTEMPTS):
        port = wanted_port or free_port()
        start = command(port)
        with log.open("ab") as output:
            server = subprocess.Popen(
                start.argv,
                env={**os.environ, **start.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            if _is_ready(server, lambda port=port: answers(port)):
                yield port
                return
        finally:
            server.send_signal(stop_signal)
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    pytest.fail(f"{command(0).argv[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _is_ready(server: subprocess.Popen[bytes], answers: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        # Asked again whether it lives: the answer may have come from somebody else on the same port.
        if answers() and server.poll() is None:
            return True
        time.sleep(0.02)
    return False


def postgres_answers(port: int) -> bool:
    # A program of its own: a fixture may be asked for while an event loop runs, so no client can run here.
    ask = [str(embedded.postgres_binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(ask, check=False, capture_output=True).returncode == 0


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def pytest_collection_finish() -> None:
    """What the imports of all tests left stays: no garbage collection looks at it again, for a tenth of the unit tests' time."""
    gc.freeze()
