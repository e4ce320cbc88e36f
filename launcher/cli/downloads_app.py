"""The commands about what is being downloaded: list, pause, resume, cancel. Parses and calls; the work is launcher.cli.downloads,
imported when there is some. Mounted by launcher.cli.main.
"""

import importlib
from types import ModuleType
from typing import Annotated

import typer

from launcher.cli.terminal import AsJson, ListsByDefault, ending, run
from launcher.failures import EXIT_CODES_HELP
from launcher.settings import Account, Environment, account

Download = Annotated[str, typer.Argument(help="Id of a download, or id or title of its game.", metavar="DOWNLOAD|GAME")]

downloads_app = typer.Typer(
    name="downloads",
    cls=ListsByDefault,
    help="What is being downloaded, on all your devices. Without a command: list.",
    epilog=EXIT_CODES_HELP,
)


@downloads_app.command("list")
def downloads_list(
    *,
    ended: Annotated[bool, typer.Option("--all", help="Those that were completed or cancelled, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show your downloads, newest first."""
    with ending(as_json=as_json):
        run(_work().show_downloads(_owner(), with_ended=ended, as_json=as_json))


@downloads_app.command("pause")
def downloads_pause(download: Download, *, as_json: AsJson = False) -> None:
    """Hold a download back; its slot goes to the next."""
    with ending(as_json=as_json):
        run(_work().pause_download(_owner(), download, as_json=as_json))


@downloads_app.command("resume")
def downloads_resume(download: Download, *, as_json: AsJson = False) -> None:
    """Queue a download again that was paused or failed."""
    with ending(as_json=as_json):
        run(_work().resume_download(_owner(), download, as_json=as_json))


@downloads_app.command("cancel")
def downloads_cancel(download: Download, *, as_json: AsJson = False) -> None:
    """End a download, and remove what was fetched for it on this device; an installed version stays."""
    with ending(as_json=as_json):
        run(_work().cancel_download(_owner(), download, as_json=as_json))


def _owner() -> Account:
    return account(Environment.read())


def _work() -> ModuleType:
    return importlib.import_module("launcher.cli.downloads")
