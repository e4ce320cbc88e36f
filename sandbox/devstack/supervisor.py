"""Keeps a set of programs running as child processes: starts each, waits until it answers, passes its log lines on, restarts
what dies, and leaves none behind. Knows nothing about the programs themselves; sandbox.devstack.platform describes them.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from sandbox.devstack.embedded import Command
from sandbox.devstack.platform_config import PlatformError

READY_TIMEOUT_SECONDS = 60.0
READY_POLL_SECONDS = 0.05
STOP_TIMEOUT_SECONDS = 20.0
RESTART_DELAYS_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
STABLE_AFTER_SECONDS = 30.0
LOG_LINE_LIMIT_BYTES = 256 * 1024
LAST_LINES_KEPT = 20

LogSink = Callable[[str, str], None]
"""Takes a program's name and one line of its output."""


class Tier(IntEnum):
    """The order of calls between programs: a program calls those of lower tiers, so higher ones stop first."""

    SERVER = 0
    SERVICE = 1
    GATEWAY = 2


@dataclass(frozen=True, slots=True)
class Program:
    """A program to keep running. `is_ready` returns when the program answers and raises anything until then."""

    name: str
    command: Command
    address: str
    is_ready: Callable[[], Awaitable[None]]
    tier: Tier
    stop_signal: signal.Signals = signal.SIGTERM


@dataclass(slots=True)
class Supervised:
    """One program's life over its restarts."""

    program: Program
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    last_lines: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.returncode is None else None


async def spawn(command: Command) -> asyncio.subprocess.Process:
    """Starts a child in a session of its own, so that a terminal's Ctrl-C reaches only the supervisor."""
    return await asyncio.create_subprocess_exec(
        *command.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **command.environment},
        start_new_session=True,
        limit=LOG_LINE_LIMIT_BYTES,
    )


class Supervisor:
    """Starts programs in order, restarts them while it runs, and stops them tier by tier."""

    def __init__(self, log: LogSink, on_change: Callable[[Mapping[str, int]], None]) -> None:
        self._log = log
        self._on_change = on_change
        self._running: dict[str, Supervised] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}

    @property
    def programs(self) -> Sequence[Supervised]:
        return tuple(self._running.values())

    def pids(self) -> dict[str, int]:
        return {name: one.pid for name, one in self._running.items() if one.pid is not None}

    async def start(self, programs: Sequence[Program]) -> None:
        """Starts programs side by side and waits until all of them are ready.

        Raises:
            PlatformError: one ended or was not ready in time.
        """
        for program in programs:
            supervised = Supervised(program)
            supervised.process = await spawn(program.command)
            self._running[program.name] = supervised
            self._keepers[program.name] = asyncio.create_task(self._keep(supervised), name=f"keep {program.name}")
        self._on_change(self.pids())
        async with asyncio.TaskGroup() as group:
            for program in programs:
                group.create_task(self._until_ready(self._running[program.name]))

    async def stop(self) -> None:
        """Stops the programs, those of a tier side by side, callers before whom they call; what does not end in time is killed."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        for tier in reversed(Tier):
            await asyncio.gather(*(self._end(one) for one in self.programs if one.program.tier is tier))

    async def _until_ready(self, supervised: Supervised) -> None:
        name = supervised.program.name
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while True:
            if supervised.restarts:
                raise PlatformError(f"{name} does not start: {' | '.join(supervised.last_lines[-3:])}")
            try:
                async with asyncio.timeout(2):
                    await supervised.program.is_ready()
            except Exception as error:
                if time.monotonic() > deadline:
                    raise PlatformError(
                        f"{name} is not ready after {READY_TIMEOUT_SECONDS:.0f} s: {error!r}"
                    ) from error
                await asyncio.sleep(READY_POLL_SECONDS)
            else:
                return

    async def _keep(self, supervised: Supervised) -> None:
        program = supervised.program
        attempt = 0
        while True:
            started = time.monotonic()
            process = supervised.process
            if process is None:
                raise PlatformError(f"{program.name} was never started")
            await _pass_lines_on(supervised, self._log)
            code = await process.wait()
            attempt = 0 if time.monotonic() - started > STABLE_AFTER_SECONDS else attempt + 1
            delay = RESTART_DELAYS_SECONDS[min(attempt, len(RESTART_DELAYS_SECONDS)) - 1]
            self._log(program.name, f"ended with code {code}; starting it again in {delay} s")
            supervised.restarts += 1
            await asyncio.sleep(delay)
            supervised.process = await spawn(program.command)
            self._on_change(self.pids())

    async def _end(self, supervised: Supervised) -> None:
        process = supervised.process
        if process is None or process.returncode is not None:
            return
        reader = asyncio.create_task(_pass_lines_on(supervised, self._log))
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(supervised.program.stop_signal)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await process.wait()
        except TimeoutError:
            self._log(supervised.program.name, "does not stop; killing it")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # a line above the limit: what came of it is dropped, the next one is read
            continue
        if not line:
            return
        yield line.decode(errors="replace").rstrip("\n")


async def _pass_lines_on(supervised: Supervised, log: LogSink) -> None:
    process = supervised.process
    if process is None or process.stdout is None:
        return
    async for line in _lines(process.stdout):
        supervised.last_lines = [*supervised.last_lines[-LAST_LINES_KEPT:], line]
        log(supervised.program.name, line)
