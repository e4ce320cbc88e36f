"""`samovar saves`: parses and calls; the work is launcher.cli.saves_commands. Mounted by launcher.cli.main."""

import importlib
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from launcher.cli.library_app import Owned
from launcher.cli.terminal import AsJson, ListsByDefault, ending, run
from launcher.failures import EXIT_CODES_HELP
from launcher.settings import Account, Environment, account

saves_app = typer.Typer(
    name="saves",
    cls=ListsByDefault,
    help="Your saves in the cloud. Without a command: list.",
    epilog=EXIT_CODES_HELP,
)

key_app = typer.Typer(
    name="key",
    help="The key that saves are encrypted with before they leave.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
)
saves_app.add_typer(key_app)

Number = Annotated[int, typer.Argument(help="Number of a version.", min=1)]


class Side(StrEnum):
    """The resolution of a conflict."""

    CLOUD = "cloud"
    LOCAL = "local"
    BOTH = "both"


@saves_app.command("list")
def saves_list(*, as_json: AsJson = False) -> None:
    """Show your slots in the cloud."""
    with ending(as_json=as_json):
        run(_commands().show_slots(_owner(), as_json=as_json))


@saves_app.command("rule")
def saves_rule(
    game: Owned,
    folder: Annotated[Path, typer.Option(help="Folder that the game saves in.")],
    pattern: Annotated[list[str] | None, typer.Option(help="Which files, such as *.sav; default: all.")] = None,
    slot: Annotated[str, typer.Option(help="Name of the slot in the cloud.")] = "saves",
    *,
    as_json: AsJson = False,
) -> None:
    """Say where a game's saves lie on this device."""
    with ending(as_json=as_json):
        run(_commands().set_rule(_owner(), game, folder.absolute(), pattern or [], slot, as_json=as_json))


@saves_app.command("sync")
def saves_sync(
    game: Annotated[str | None, typer.Argument(help="Id or title; default: all games with a rule.")] = None,
    prefer: Annotated[Side | None, typer.Option(help="What to keep of a conflict; default: ask.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Bring saves here and in the cloud together; ends with code 11 when both changed and nobody decided."""
    with ending(as_json=as_json):
        run(_commands().sync(_owner(), game, prefer.value if prefer else None, as_json=as_json))


@saves_app.command("push")
def saves_push(game: Owned, *, as_json: AsJson = False) -> None:
    """Upload what is here."""
    with ending(as_json=as_json):
        run(_commands().push(_owner(), game, as_json=as_json))


@saves_app.command("pull")
def saves_pull(
    game: Owned,
    version: Annotated[int | None, typer.Option(help="Number; default: the current one.", min=1)] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Put a version here; what it replaces is kept beside."""
    with ending(as_json=as_json):
        run(_commands().pull(_owner(), game, version, as_json=as_json))


@saves_app.command("versions")
def saves_versions(game: Owned, *, as_json: AsJson = False) -> None:
    """Show the kept versions of a game's saves."""
    with ending(as_json=as_json):
        run(_commands().show_versions(_owner(), game, as_json=as_json))


@saves_app.command("restore")
def saves_restore(game: Owned, version: Number, *, as_json: AsJson = False) -> None:
    """Make an older version current, in the cloud and here; what it replaces is kept beside."""
    with ending(as_json=as_json):
        run(_commands().restore(_owner(), game, version, as_json=as_json))


@saves_app.command("lock")
def saves_lock(game: Owned, version: Number, *, as_json: AsJson = False) -> None:
    """Keep a version from being removed for newer ones."""
    with ending(as_json=as_json):
        run(_commands().lock(_owner(), game, version, is_locked=True, as_json=as_json))


@saves_app.command("unlock")
def saves_unlock(game: Owned, version: Number, *, as_json: AsJson = False) -> None:
    """Let a locked version be removed again."""
    with ending(as_json=as_json):
        run(_commands().lock(_owner(), game, version, is_locked=False, as_json=as_json))


@saves_app.command("resolve")
def saves_resolve(
    game: Owned, keep: Annotated[Side, typer.Option(help="What to keep.")], *, as_json: AsJson = False
) -> None:
    """End a conflict that the cloud keeps."""
    with ending(as_json=as_json):
        run(_commands().resolve(_owner(), game, keep.value, as_json=as_json))


@saves_app.command("check-quota")
def saves_check_quota(*, as_json: AsJson = False) -> None:
    """Show how much room your saves take."""
    with ending(as_json=as_json):
        run(_commands().check_quota(_owner(), as_json=as_json))


@key_app.command("new")
def key_new(*, as_json: AsJson = False) -> None:
    """Make a key and print it: saves are encrypted from now on."""
    with ending(as_json=as_json):
        _commands().new_key(_owner(), as_json=as_json)


@key_app.command("show")
def key_show(*, as_json: AsJson = False) -> None:
    """Print the key, to be carried to another device."""
    with ending(as_json=as_json):
        _commands().show_key(_owner(), as_json=as_json)


@key_app.command("import")
def key_import(
    source: Annotated[Path | None, typer.Argument(help="A file with the key; default: stdin.", metavar="FILE")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Take the key of another device."""
    with ending(as_json=as_json):
        _commands().import_key(_owner(), source, as_json=as_json)


def _owner() -> Account:
    return account(Environment.read())


def _commands() -> ModuleType:
    return importlib.import_module("launcher.cli.saves_commands")
