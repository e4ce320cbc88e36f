"""`samovar up` and `samovar reset`: the platform from the command line. Mounted by launcher.cli.main."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.markup import escape
from rich.table import Table

from depot.console import PlainConsole
from depot.terminal import plain_lines, say
from depot.trust import NotOwn, config_home, trusting
from sandbox.devstack import platform
from sandbox.devstack.embedded import EmbeddedServerError
from sandbox.devstack.platform_config import (
    EMBEDDED_SERVERS,
    PlatformError,
    Ports,
    read_overrides,
    samovar_home,
    write_private,
)
from sandbox.devstack.supervisor import LogSink, Supervised

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")
EXIT_CANNOT_START = 1


class BackendsName(StrEnum):
    """The kind of backends that the platform uses."""

    EMBEDDED = "embedded"
    REAL = "real"


class Starting(Protocol):
    """sandbox.devstack.platform.running with every argument but the destination of its log."""

    def __call__(self, *, log: LogSink) -> AbstractAsyncContextManager[platform.Running]: ...


Port = Annotated[int | None, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535, rich_help_panel="Ports")]


def up(
    ready_file: Annotated[Path | None, typer.Option(help="Write addresses, users and tokens here when ready.")] = None,
    gateway_port: Port = None,
    download_port: Port = None,
    library_port: Port = None,
    sandbox_port: Port = None,
    sandbox_http_port: Port = None,
    postgres_port: Port = None,
    valkey_port: Port = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PROGRAM.NAME=VALUE",
            help="A setting of one program (gateway, library, download, sandbox).",
        ),
    ] = None,
    backends: Annotated[
        BackendsName,
        typer.Option(help="real: Kafka, S3, Redis and PostgreSQL of ./taskw backends:up, or those in the environment."),
    ] = BackendsName.EMBEDDED,
    instances: Annotated[
        int,
        typer.Option(min=1, max=8, help="How many of each service and of the gateway; the further ones on free ports."),
    ] = 1,
    *,
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take free ports instead of the usual ones.")
    ] = False,
    raw_logs: Annotated[bool, typer.Option("--raw-logs", help="Pass log lines on as they are (JSON).")] = False,
) -> None:
    """Start the platform and keep it running until Ctrl-C. Data stay in .samovar ($SAMOVAR_HOME)."""
    wanted = {
        "gateway": gateway_port,
        "download": download_port,
        "library": library_port,
        "sandbox": sandbox_port,
        "sandbox_http": sandbox_http_port,
        "postgres": postgres_port,
        "valkey": valkey_port,
    }
    console = PlainConsole(stderr=True, soft_wrap=True)
    failure: BaseException | None = None
    try:
        on_real_backends = backends is BackendsName.REAL
        ports = Ports.choose(
            {name: port for name, port in wanted.items() if port},
            free=free_ports,
            without=EMBEDDED_SERVERS if on_real_backends else (),
            instances=instances,
        )
        starting = partial(
            platform.running,
            samovar_home(),
            ports,
            overrides=read_overrides(settings or ()),
            on_real_backends=on_real_backends,
        )
        asyncio.run(_up(console, starting, ready_file, raw_logs=raw_logs))
    except* (PlatformError, EmbeddedServerError) as group:
        # Not raised here: before Python 3.11.4 it would come out in a group.
        failure = _first_leaf(group)
    if failure is not None:
        console.print(f"samovar up: {failure}", style="red", markup=False)
        raise typer.Exit(EXIT_CANNOT_START)


def reset() -> None:
    """Remove all data of the platform, on real backends too."""
    try:
        platform.reset(samovar_home())
    except PlatformError as error:
        say(f"samovar reset: {error}", err=True)
        raise typer.Exit(EXIT_CANNOT_START) from None


def _first_leaf(group: BaseException) -> BaseException:
    return _first_leaf(group.exceptions[0]) if isinstance(group, BaseExceptionGroup) else group


async def _up(console: PlainConsole, start: Starting, ready_file: Path | None, *, raw_logs: bool) -> None:
    printer = LogPrinter(console, raw=raw_logs)
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, enough.set)
    starting = asyncio.create_task(_run(console, printer, start, ready_file, enough))
    asking_to_stop = asyncio.create_task(enough.wait())
    await asyncio.wait({starting, asking_to_stop}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done() and not printer.is_ready:
        starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    asking_to_stop.cancel()


async def _run(
    console: PlainConsole, printer: "LogPrinter", start: Starting, ready_file: Path | None, enough: asyncio.Event
) -> None:
    async with start(log=printer) as up_and_running, contextlib.AsyncExitStack() as noted:
        if not os.environ.get("SAMOVAR_HOME"):
            try:
                noted.enter_context(_trusting(up_and_running.ready))
            except (NotOwn, OSError) as error:
                console.print(f"samovar login will need --trust-keys: {error}", style="yellow", markup=False)
        console.print(_table(up_and_running.supervisor.programs))
        user = up_and_running.ready["users"][0]
        console.print(f"demo token ({user['name']}): {user['token']}", markup=False, highlight=False)
        with _announced(ready_file, up_and_running.ready):
            printer.is_ready = True
            await enough.wait()
            console.print("stopping", style="dim")


def _trusting(facts: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
    """Where no `SAMOVAR_HOME` says it, this user's launcher finds the platform's keys in the profile, not in a current folder."""
    return trusting(config_home(os.environ), facts["gateway_urls"], facts["manifest_public_keys"])


@contextlib.contextmanager
def _announced(ready_file: Path | None, facts: Mapping[str, Any]) -> Iterator[None]:
    """The ready file is there exactly while the platform is up."""
    if ready_file is not None:
        write_private(ready_file.absolute(), json.dumps(facts, indent=2, ensure_ascii=False))
    yield
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)


def _table(programs: Sequence[Supervised]) -> Table:
    table = Table("program", "process", "address", "state")
    for one in programs:
        table.add_row(
            one.program.name, str(one.pid), one.program.address, "[green]ready[/]" if one.pid else "[red]down[/]"
        )
    return table


class LogPrinter:
    """Prints a program's line behind its coloured name; JSON lines as time, level, event and the rest."""

    def __init__(self, console: PlainConsole, *, raw: bool) -> None:
        self._console = console
        self._raw = raw
        self._colours: dict[str, str] = {}
        self.is_ready = False

    def __call__(self, name: str, line: str) -> None:
        text = line if self._raw else _readable(line)
        if not self._console.is_terminal:
            # Searching for colours that are not shown takes longer than most requests.
            self._console.file.write(plain_lines(f"{name:>10} {text}") + "\n")
            self._console.file.flush()
            return
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        self._console.print(f"[{colour}]{escape(name):>10}[/] {escape(text)}", highlight=False)


def _readable(line: str) -> str:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "message" not in entry:
        return line
    at = str(entry.pop("time", ""))[11:23]
    level = str(entry.pop("level", "")).upper()
    event = entry.pop("message")
    for dull in ("logger", "service", "trace_id", "span_id", "request_id"):
        entry.pop(dull, None)
    trace = entry.pop("exception", None)
    rest = " ".join(f"{key}={value}" for key, value in entry.items())
    return f"{at} {level:<7} {event} {rest}".rstrip() + (f"\n{trace}" if trace else "")
