"""The launcher's own commands: login, library, install, update, verify, repair, uninstall. Parses, calls, shows, and turns
a failure into an exit code. Mounted by launcher.cli.main; what else can be done with the library is launcher.cli.library_app.
"""

import getpass
import importlib
import sys
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer

from depot.terminal import say
from launcher.cli.terminal import AsJson, ending, run
from launcher.failures import EXIT_CODES_HELP, ExitCode, LauncherError
from launcher.settings import (
    Account,
    Environment,
    Profile,
    account,
    checked_gateway_url,
    checked_token,
    default_gateway_url,
    device_id,
    read_profile,
    write_profile,
)

PLATFORM_NAMES = ("windows", "linux", "macos")
MAX_PARALLEL = 64


def _folder(text: str) -> Path:
    """A folder that was named: an empty name, of an unset variable for one, must not become the current folder."""
    if not text.strip():
        raise typer.BadParameter("the folder has no name")
    return Path(text)


GameFolder = Annotated[Path, typer.Argument(help="Folder of an installed game.", exists=True, file_okay=False)]
Limit = Annotated[int, typer.Option(help="Limit in kilobits (1,000 bit) a second; 0 = none.", min=0)]
Parallel = Annotated[int, typer.Option(help="Chunks fetched at a time.", min=1, max=MAX_PARALLEL)]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace files of yours at the game's paths; else they are renamed to .samovar-kept-NAME."
    ),
]
Priority = Annotated[int | None, typer.Option(help="0 to 10, higher first.", min=0, max=10)]


class ItemStatus(StrEnum):
    """States of a game over all of a user's devices."""

    NOT_INSTALLED = "not_installed"
    INSTALLING = "installing"
    INSTALLED = "installed"
    UPDATING = "updating"
    REPAIR_NEEDED = "repair_needed"
    ERROR = "error"


class ItemSort(StrEnum):
    """Orders of the library."""

    NAME_ASC = "name_asc"
    NAME_DESC = "name_desc"
    LAST_PLAYED_DESC = "last_played_desc"
    ADDED_AT_DESC = "added_at_desc"
    PLAYTIME_DESC = "playtime_desc"


def login(
    gateway: Annotated[str, typer.Option(help="Base URL of the gateway; default: the local platform's.")] = "",
    token: Annotated[str, typer.Option(help="The token; default: $SAMOVAR_TOKEN, else read from stdin.")] = "",
    trust_keys: Annotated[
        str, typer.Option(help="Manifest keys to trust: key_id=base64,…; default: $MANIFEST_PUBLIC_KEYS.")
    ] = "",
) -> None:
    """Sign in: check the token at the gateway and keep it for this user's eyes only."""
    with ending():
        environment = Environment.read()
        gateway_url = (gateway or default_gateway_url(environment)).rstrip("/")
        _check_gateway_url(checked_gateway_url(gateway_url))
        say(f"samovar: signing in at {gateway_url}", err=True)
        token = token.strip() or environment.token or _read_token()
        checked_token(token)
        kept = read_profile(environment)
        keys = _commands().checked_keys(
            trust_keys
            or environment.manifest_public_keys
            or (kept.trusted_keys if kept and kept.gateway_url == gateway_url else "")
        )
        run(_commands().check_token(Account(gateway_url, token, device_id(environment), keys, environment.language)))
        path = write_profile(environment, Profile(gateway_url, token, keys))
    say(f"signed in at {gateway_url}; kept in {path}")


def library(
    search: Annotated[str | None, typer.Option(help="Part of a title, in either language.")] = None,
    status: Annotated[ItemStatus | None, typer.Option(help="Only what is in this state.")] = None,
    category: Annotated[str | None, typer.Option(help="Only what is in this category: its name or id.")] = None,
    sort: Annotated[ItemSort | None, typer.Option(help="Order; default: the newest first.")] = None,
    *,
    favorite: Annotated[
        bool | None, typer.Option("--favorite/--no-favorite", help="Only favourites; no others.")
    ] = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="What you hid, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what you own."""
    with ending(as_json=as_json):
        wanted = {
            "search": search,
            "status": status,
            "is_favorite": favorite,
            "include_hidden": hidden,
            "sort_by": sort,
        }
        run(_library_commands().show_items(account(Environment.read()), wanted, category, as_json=as_json))


def watch(
    count: Annotated[int | None, typer.Option(help="End after so many events; default: Ctrl-C ends it.", min=1)] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what happens in your library as it happens: games, playtime, achievements, wishes, settings, categories."""
    with ending(as_json=as_json):
        run(_commands().watch_library(account(Environment.read()), count, as_json=as_json))


def install(
    product: Annotated[str, typer.Argument(help="Id or title of a game in your library.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the game; made if it is missing.", parser=_folder)],
    version: Annotated[str | None, typer.Option(help="Id of a version; default: the newest.")] = None,
    platform: Annotated[str | None, typer.Option(help="windows, linux or macos; default: the game's only one.")] = None,
    limit: Limit = 0,
    parallel: Parallel = 16,
    priority: Priority = None,
    *,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Install a game, or go on with an installation that was interrupted."""
    with ending(as_json=as_json):
        if platform is not None and platform not in PLATFORM_NAMES:
            message = f"the platform is one of {', '.join(PLATFORM_NAMES)}"
            raise LauncherError("INVALID_ARGUMENT", message, ExitCode.USAGE)
        owner = account(Environment.read())
        version_id = _uuid_of(version, "version") if version else None
        wish = _commands().Wish(product, to.absolute(), version_id, platform, limit, parallel, priority, overwrite)
        result = run(_commands().install_game(owner, wish, as_json=as_json))
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
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Bring an installed game to another version, fetching only what its folder does not hold; the old one stays till then.

    With nothing newer nothing is touched: `samovar repair` mends what is damaged.
    """
    with ending(as_json=as_json):
        version_id = _uuid_of(version, "version") if version else None
        pace = _commands().TransferOptions(limit, parallel, priority)
        owner = account(Environment.read())
        updating = _commands().update_game(
            owner,
            folder.absolute(),
            version_id,
            pace,
            is_rollback=rollback,
            may_overwrite=overwrite,
            as_json=as_json,
        )
        result = run(updating)
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
    with ending(as_json=as_json):
        owner = None if offline else _account_if_any()
        found = run(_commands().verify_game(owner, folder.absolute()))
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
    with ending(as_json=as_json):
        pace = _commands().TransferOptions(limit, parallel, priority)
        owner = account(Environment.read())
        found, result = run(_commands().repair_game(owner, folder.absolute(), pace, as_json=as_json))
    _commands().show_repair(found, result, as_json=as_json)


def uninstall(
    folder: Annotated[Path, typer.Argument(help="Folder of a game, or where one was.", parser=_folder)],
    *,
    delete_changed: Annotated[
        bool, typer.Option("--delete-changed", help="Also files of the game that were changed since; else they stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove an installed game, or drop an installation that was interrupted; what you added or changed in its folder stays.

    Of a folder that is gone the server is notified all the same.
    """
    with ending(as_json=as_json):
        owner = account(Environment.read())
        installed, removed = run(_commands().uninstall_game(owner, folder.absolute(), delete_changed=delete_changed))
    _commands().show_uninstalled(installed, removed, as_json=as_json)


for _command in (install, update, verify, repair, uninstall):
    _command.__doc__ = f"{_command.__doc__}\n\n{EXIT_CODES_HELP}"


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
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        say(f"samovar: warning: the token goes to {parts.hostname} unencrypted", err=True)


def _uuid_of(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise LauncherError("INVALID_ARGUMENT", f"the {name} {text!r} is not a UUID", ExitCode.USAGE) from None


def _commands() -> ModuleType:
    """The work behind the commands, imported when there is some: `--help` must not wait for it."""
    return importlib.import_module("launcher.cli.commands")


def _library_commands() -> ModuleType:
    return importlib.import_module("launcher.cli.library_commands")
