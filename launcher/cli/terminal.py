"""Runs and ends every command of the launcher: on uvloop, interruptible, its failure as a line, as JSON for scripts, and as an
exit code. Used by launcher.cli.app and launcher.cli.library_app; imports nothing heavy, because `--help` must not wait for it.
"""

import asyncio
import importlib
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from depot.terminal import say, say_json
from launcher.failures import ExitCode, LauncherError

_T = TypeVar("_T")

_EXIT_CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HUNG_UP,
}

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


class ListsByDefault(TyperGroup):
    """Commands of which `list` need not be said: what is no command's name is a word for `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `list` before the words if no command is named. (Typer does not say what type a context has.)"""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs on uvloop. Ctrl-C, SIGTERM and a terminal that closes cancel the work, which keeps its state; then the process ends with
    130, 143 or 129. Who said nohup is not interrupted by a terminal.
    """
    signals: list[int] = []

    async def interruptible() -> _T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # inside a task

        def interrupted(number: int) -> None:
            # One that follows another, as a closing terminal sends them, must not cut the farewell short; Ctrl-C again may.
            if not signals or number == signal.SIGINT:
                task.cancel()
            signals.append(number)

        loop = asyncio.get_running_loop()
        for number in _EXIT_CODES:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, interrupted, number)
        return await work

    try:
        with asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop) as runner:
            return runner.run(interruptible())
    except asyncio.CancelledError:
        code = _EXIT_CODES[signal.Signals(signals[0])] if signals else ExitCode.INTERRUPTED
        raise LauncherError("INTERRUPTED", "interrupted; run the command again to go on", code) from None


@contextmanager
def ending(*, as_json: bool = False) -> Iterator[None]:
    """Shows the failure that ends the command, as JSON too for scripts, and ends with its exit code."""
    try:
        yield
    except LauncherError as failure:
        say(f"samovar: {failure}", err=True)
        if as_json:
            say_json(_document(failure))
        raise typer.Exit(failure.exit_code) from None


def _document(failure: LauncherError) -> dict[str, object]:
    error = {"code": failure.code, "message": failure.message, "file": failure.file}
    names = {ExitCode.PAUSED: "paused", ExitCode.CANCELLED: "cancelled", ExitCode.INTERRUPTED: "interrupted"}
    return {"status": names.get(failure.exit_code, "error"), "error": error, "exit_code": int(failure.exit_code)}
