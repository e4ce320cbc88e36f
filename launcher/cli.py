"""The launcher's own commands: login, library, install, update, verify, repair, uninstall. Parses, calls, shows, and turns
a failure into an exit code. Mounted by launcher.main.
"""

import asyncio
import getpass
import importlib
import json
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import typer

from launcher.failures import EXIT_CODES_HELP, ExitCode, LauncherError
from launcher.settings import (
    Account,
    Environment,
    Profile,
    account,
    default_gateway_url,
    device_id,
    read_profile,
    write_profile,
)

_T = TypeVar("_T")
PLATFORM_NAMES = ("windows", "linux", "macos")
MAX_PARALLEL = 64

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
GameFolder = Annotated[Path, typer.Argument(help="Folder of an installed game.", exists=True, file_okay=False)]
Limit = Annotated[int, typer.Option(help="Limit in kilobits (1,000 bit) a second; 0 = none.", min=0)]
Parallel = Annotated[int, typer.Option(help="Chunks fetched at a time.", min=1, max=MAX_PARALLEL)]
Priority = Annotated[int | None, typer.Option(help="0 to 10, higher first.", min=0, max=10)]


def login(
    gateway: Annotated[str, typer.Option(help="Base URL of the gateway; default: the local platform's.")] = "",
    token: Annotated[str, typer.Option(help="The token; default: $SAMOVAR_TOKEN, else read from stdin.")] = "",
    trust_keys: Annotated[
        str, typer.Option(help="Manifest keys to trust: key_id=base64,…; default: $MANIFEST_PUBLIC_KEYS.")
    ] = "",
) -> None:
    """Sign in: check the token at the gateway and keep it for this user's eyes only."""
    try:
        environment = Environment.read()
        gateway_url = (gateway or default_gateway_url(environment)).rstrip("/")
        _check_gateway_url(gateway_url)
        token = token.strip() or environment.token or _read_token()
        kept = read_profile(environment)
        keys = _commands().checked_keys(
            trust_keys or environment.manifest_public_keys or (kept.trusted_keys if kept else "")
        )
        _run(_commands().check_token(Account(gateway_url, token, device_id(environment), keys, environment.language)))
        path = write_profile(environment, Profile(gateway_url, token, keys))
    except LauncherError as failure:
        raise _exit(failure) from None
    typer.echo(f"signed in at {gateway_url}; kept in {path}")


def library(*, as_json: AsJson = False) -> None:
    """Show what you own."""
    try:
        entries = _run(_commands().library(account(Environment.read())))
    except LauncherError as failure:
        raise _exit(failure, as_json=as_json) from None
    _commands().show_library(entries, as_json=as_json)


def watch(
    count: Annotated[int | None, typer.Option(help="End after so many events; default: Ctrl-C ends it.", min=1)] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what happens in your library as it happens: games, playtime, achievements, wishes, settings, categories."""
    try:
        _run(_commands().watch_library(account(Environment.read()), count, as_json=as_json))
    except LauncherError as failure:
        raise _exit(failure, as_json=as_json) from None


def install(
    product: Annotated[str, typer.Argument(help="Id or title of a game in your library.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the game; made if it is missing.")],
    version: Annotated[str | None, typer.Option(help="Id of a version; default: the newest.")] = None,
    platform: Annotated[str | None, typer.Option(help="windows, linux or macos; default: the game's only one.")] = None,
    limit: Limit = 0,
    parallel: Parallel = 16,
    priority: Priority = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Install a game, or go on with an installation that was interrupted."""
    try:
        if platform is not None and platform not in PLATFORM_NAMES:
            message = f"the platform is one of {', '.join(PLATFORM_NAMES)}"
            raise LauncherError("INVALID_ARGUMENT", message, ExitCode.USAGE)
        owner = account(Environment.read())
        version_id = _uuid_of(version, "version") if version else None
        wish = _commands().Wish(product, to.absolute(), version_id, platform, limit, parallel, priority)
        result = _run(_commands().install_game(owner, wish, as_json=as_json))
    except LauncherError as failure:
        raise _exit(failure, as_json=as_json) from None
    _commands().show_result(result, as_json=as_json)


def update(
    folder: GameFolder,
    version: Annotated[str | None, typer.Option(help="Id of a version; default: the newest.")] = None,
    limit: Limit = 0,
    parallel: Parallel = 16,
    priority: Priority = None,
    *,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Back to an older version; default: the one before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring an installed game to another version, fetching only what its folder does not hold; the old one stays till then."""
    try:
        version_id = _uuid_of(version, "version") if version else None
        pace = _commands().Pace(limit, parallel, priority)
        owner = account(Environment.read())
        updating = _commands().update_game(
            owner, folder.absolute(), version_id, pace, is_rollback=rollback, as_json=as_json
        )
        result = _run(updating)
    except LauncherError as failure:
        raise _exit(failure, as_json=as_json) from None
    _commands().show_result(result, as_json=as_json)


def verify(
    folder: GameFolder,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not tell the server what was found.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare every file of an installed game with what was published; ends with code 6 when something is damaged.

    Who is signed in tells the server, too; nobody needs to be.
    """
    try:
        owner = None if offline else _account_if_any()
        found = _run(_commands().verify_game(owner, folder.absolute()))
    except LauncherError as failure:
        raise _exit(failure, as_json=as_json) from None
    _commands().show_verification(found, as_json=as_json)
    if found.damage:
        raise typer.Exit(ExitCode.CORRUPT)


def repair(
    folder: GameFolder,
    limit: Limit = 0,
    parallel: Parallel = 16,
    priority: Priority = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Verify an installed game and fetch what is damaged or missing; what you added stays."""
    try:
        pace = _commands().Pace(limit, parallel, priority)
        owner = account(Environment.read())
        found, result = _run(_commands().repair_game(owner, folder.absolute(), pace, as_json=as_json))
    except LauncherError as failure:
        raise _exit(failure, as_json=as_json) from None
    _commands().show_repair(found, result, as_json=as_json)


def uninstall(folder: GameFolder, *, as_json: AsJson = False) -> None:
    """Remove an installed game; what you added to its folder stays."""
    try:
        owner = account(Environment.read())
        installed, removed = _run(_commands().uninstall_game(owner, folder.absolute()))
    except LauncherError as failure:
        raise _exit(failure, as_json=as_json) from None
    _commands().show_uninstalled(installed, removed, as_json=as_json)


for _command in (install, update, verify, repair, uninstall):
    _command.__doc__ = f"{_command.__doc__}\n\n{EXIT_CODES_HELP}"


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs on uvloop. Ctrl-C and SIGTERM cancel the work, which keeps its state; then the process ends with 130 or 143."""
    signals: list[int] = []

    async def interruptible() -> _T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # inside a task

        def interrupted(number: int) -> None:
            signals.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupted, number)
        return await work

    try:
        with asyncio.Runner(loop_factory=_commands().new_event_loop) as runner:
            return runner.run(interruptible())
    except asyncio.CancelledError:
        code = ExitCode.TERMINATED if signal.SIGTERM in signals else ExitCode.INTERRUPTED
        raise LauncherError("INTERRUPTED", "interrupted; run the command again to go on", code) from None


def _exit(failure: LauncherError, *, as_json: bool = False) -> typer.Exit:
    """Shows a failure, as JSON too for scripts, and answers with its exit code."""
    typer.echo(f"samovar: {failure}", err=True)
    if as_json:
        error = {"code": failure.code, "message": failure.message, "file": failure.file}
        names = {ExitCode.PAUSED: "paused", ExitCode.CANCELLED: "cancelled", ExitCode.INTERRUPTED: "interrupted"}
        status = names.get(failure.exit_code, "error")
        typer.echo(json.dumps({"status": status, "error": error, "exit_code": int(failure.exit_code)}))
    return typer.Exit(failure.exit_code)


def _account_if_any() -> Account | None:
    try:
        return account(Environment.read())
    except LauncherError as failure:
        if failure.exit_code is not ExitCode.NOT_SIGNED_IN:
            raise
        return None


def _read_token() -> str:
    token = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not token.strip():
        raise LauncherError("UNAUTHENTICATED", "no token was given", ExitCode.USAGE)
    return token.strip()


def _check_gateway_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LauncherError("INVALID_ARGUMENT", f"{url!r} is not the URL of a gateway", ExitCode.USAGE)
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        typer.echo(f"samovar: warning: the token goes to {parts.hostname} unencrypted", err=True)


def _uuid_of(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise LauncherError("INVALID_ARGUMENT", f"the {name} {text!r} is not a UUID", ExitCode.USAGE) from None


def _commands() -> ModuleType:
    """The work behind the commands, imported when there is some: `--help` must not wait for it."""
    return importlib.import_module("launcher.commands")
