"""`samovar`: one command line for the launcher and, where they are installed, the sandbox and the operator's commands. Those are
imported only when they run, so that `samovar --help` is quick and the launcher stands without them.
"""

import importlib
from collections.abc import Callable
from typing import Any

import typer

from launcher.cli import app as cli
from launcher.cli import downloads_app as downloads_cli
from launcher.cli import library_app as library_cli
from launcher.cli import saves_app as saves_cli
from launcher.cli import self_update_app as self_update_cli
from launcher.failures import EXIT_CODES_HELP
from launcher.process import one_line_at_the_end, prepare_process

_PASS_ON: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
}

app = typer.Typer(
    name="samovar",
    help="Library and delivery of a game platform.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command()(cli.login)

app.command()(cli.watch)

app.add_typer(library_cli.library_app)

app.command()(cli.install)

app.command()(cli.update)

app.command()(cli.verify)

app.command()(cli.repair)

app.command()(cli.uninstall)

app.command("self-update")(self_update_cli.self_update)

app.add_typer(downloads_cli.downloads_app)

app.command()(library_cli.play)

app.add_typer(library_cli.categories_app)

app.add_typer(library_cli.achievements_app)

app.add_typer(library_cli.wishlist_app)

app.add_typer(library_cli.settings_app)

app.add_typer(saves_cli.saves_app)


def _mount(name: str, module: str, attribute: str, text: str, *, panel: str = "Local platform") -> None:
    """A command that is somebody else's: everything after its name goes there, `--help` too."""

    @app.command(name, help=text, rich_help_panel=panel, **_PASS_ON)
    def run(context: typer.Context) -> None:
        _load(module, attribute)(args=context.args, prog_name=f"samovar {name}")


def _load(module: str, attribute: str) -> Callable[..., Any]:
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command()(found)
        found = single
    return typer.main.get_command(found)


_mount("up", "sandbox.devstack.platform_cli", "up", "Start the embedded platform and keep it running until Ctrl-C.")

_mount("reset", "sandbox.devstack.platform_cli", "reset", "Remove all data of the embedded platform.")

_mount("publish", "sandbox.cli", "publish", "Publish a folder as a version of a product.")

_mount("withdraw", "sandbox.cli", "withdraw", "Withdraw a version: who has it goes back to the one before.")

_mount("sandbox", "sandbox.cli", "app", "Stand-ins for the platform's other services: tokens, purchases, prices.")

_mount("events", "operations.events", "app", "Topics, lag and dead letters of the event bus.", panel="Operations")

_mount(
    "release",
    "operations.client_releases",
    "app",
    "Releases of the launcher: signed, rolled out, halted, gone back from.",
    panel="Operations",
)

_mount("erasures", "operations.erasures", "app", "Erased users, and what is held of a user.", panel="Operations")

_mount("objects", "operations.objects", "app", "The bucket of the object store.", panel="Operations")

_mount("backup", "operations.backup_commands", "app", "Backups of the services' databases.", panel="Operations")

_mount("restore", "operations.backup_commands", "restore_command", "Fill a database from a backup.", panel="Operations")


@saves_cli.saves_app.command(
    "check", help="Compare the bucket of saves with the database.", rich_help_panel="Operations", **_PASS_ON
)
def _check_saves(context: typer.Context) -> None:
    _load("operations.saves", "check")(args=context.args, prog_name="samovar saves check")


def main() -> None:
    """The console script."""
    prepare_process()
    with one_line_at_the_end():
        app()
