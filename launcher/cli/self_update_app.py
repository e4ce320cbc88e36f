"""`samovar self-update`: the launcher brings itself to the release that it should have, or says which command does. Mounted by
launcher.cli.main; what is heavy is imported when it runs.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depot.terminal import say, say_json
from launcher.cli.terminal import AsJson, ending

if TYPE_CHECKING:
    from launcher.self_update.updating import Client


class ChannelName(StrEnum):
    """The source of releases."""

    STABLE = "stable"
    BETA = "beta"
    TEST = "test"


def self_update(
    channel: Annotated[ChannelName | None, typer.Option(help="Another channel than the installation's own.")] = None,
    limit: Annotated[int, typer.Option(help="Limit in kilobits (1,000 bit) a second; 0 = none.", min=0)] = 0,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say whether there is a newer version.")] = False,
    automatic: Annotated[
        bool, typer.Option("--automatic", help="Not asked for by a person: wait for one's stage of a roll-out.")
    ] = False,
    prove: Annotated[bool, typer.Option("--prove", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """Update the launcher itself: checked, proven to run, then swapped; if anything fails, the installed version stays."""
    from launcher.self_update import updating  # noqa: PLC0415  not for `--help`
    from launcher.self_update.advice import ask, other_command  # noqa: PLC0415
    from launcher.self_update.versions import Versions  # noqa: PLC0415

    with ending(as_json=as_json):
        client = updating.read_client(Path(__file__))
        if prove:
            say(f"samovar {_own_version(client)}")
            return
        if client is None:
            command = other_command()
            if as_json:
                say_json({"status": "other_installation", "command": command})
            else:
                say(f"this launcher does not update itself; update it with: {command}")
            return
        wanted = channel.value if channel else client.channel
        installed = Versions(client.root).current()
        advice = ask(client, wanted, installed, is_manual=not automatic)
        if check or not advice.is_available:
            _tell(installed, advice.version if advice.is_available else installed, as_json=as_json, is_done=False)
            return
        running = updating.update(
            client, advice, channel=wanted, limit_kbps=limit, say=lambda text: None if as_json else say(text)
        )
        _tell(installed, running, as_json=as_json, is_done=True)


def _own_version(client: "Client | None") -> str:
    if client is not None:
        return Path(__file__).resolve().relative_to(client.root / "versions").parts[0]
    from importlib.metadata import version  # noqa: PLC0415

    return version("samovar")


def _tell(installed: str, version: str, *, as_json: bool, is_done: bool) -> None:
    is_newest = installed == version
    if as_json:
        status = "newest" if is_newest else ("updated" if is_done else "available")
        say_json({"status": status, "from": installed, "version": version})
    elif is_newest:
        say(f"samovar {installed} is the version to have")
    else:
        say(
            f"samovar {installed} -> {version}"
            if is_done
            else f"samovar {version} is available ({installed} installed)"
        )
