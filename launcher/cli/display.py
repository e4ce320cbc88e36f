"""Shows an installation while it runs: bars on a terminal, plain lines in a log, JSON lines for scripts. Used by
launcher.cli.app.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress

from depot.console import PlainConsole
from depot.terminal import plain, say, say_json
from launcher.install.progress import Phase, Progress

BAR_INTERVAL_SECONDS = 0.2
LINE_INTERVAL_SECONDS = 2.0
JSON_INTERVAL_SECONDS = 0.5
SPEED_WINDOW_SECONDS = 5.0


class Speed:
    """Bytes a second over the last moments, and what they make of the time left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def update(self, fetched_bytes: int) -> float:
        """The speed now that so much was fetched in all."""
        now = self._clock()
        self._marks.append((now, fetched_bytes))
        while len(self._marks) > 2 and now - self._marks[0][0] > SPEED_WINDOW_SECONDS:
            self._marks.popleft()
        since, before = self._marks[0]
        return (fetched_bytes - before) / (now - since) if now > since else 0.0


class Display(Protocol):
    """One way to show progress."""

    interval_seconds: float

    def update(self, progress: Progress, speed_bytes: float, left_seconds: float | None) -> None: ...


class BarDisplay:
    """A bar on a terminal."""

    interval_seconds = BAR_INTERVAL_SECONDS

    def __init__(self, bars: RichProgress, title: str) -> None:
        self._bars = bars
        self._title = title
        self._task: TaskID = bars.add_task(title, total=None, figures="")

    def update(self, progress: Progress, speed_bytes: float, left_seconds: float | None) -> None:
        self._bars.update(
            self._task,
            description=f"{self._title}: {_phase(progress)}",
            total=progress.total_bytes or None,
            completed=progress.done_bytes,
            figures=f"{progress.done_files}/{progress.total_files} files  {_rate(speed_bytes)}  {_left(left_seconds)}",
        )


class LineDisplay:
    """A line now and then."""

    interval_seconds = LINE_INTERVAL_SECONDS

    def update(self, progress: Progress, speed_bytes: float, left_seconds: float | None) -> None:
        share = 100 * progress.done_bytes / progress.total_bytes if progress.total_bytes else 0.0
        say(
            f"{_phase(progress)}: {share:.1f} %  {_size(progress.done_bytes)} of {_size(progress.total_bytes)}  "
            f"{progress.done_files}/{progress.total_files} files  {_rate(speed_bytes)}  {_left(left_seconds)}".rstrip()
        )


class JsonDisplay:
    """A JSON object on a line of its own."""

    interval_seconds = JSON_INTERVAL_SECONDS

    def update(self, progress: Progress, speed_bytes: float, left_seconds: float | None) -> None:
        write_json(
            {
                "event": "progress",
                "status": progress.phase.value,
                "queue_position": progress.queue_position if progress.phase is Phase.QUEUED else None,
                "slot_holders": progress.slot_holders or None if progress.phase is Phase.QUEUED else None,
                "done_files": progress.done_files,
                "files": progress.total_files,
                "done_bytes": progress.done_bytes,
                "bytes": progress.total_bytes,
                "fetched_bytes": progress.fetched_bytes,
                "speed_bps": round(speed_bytes * 8),
                "estimated_time_left_seconds": None if left_seconds is None else round(left_seconds),
            }
        )


def write_json(value: object) -> None:
    """One line on stdout; what JSON does not know, ids for one, as text."""
    say_json(value)


@contextmanager
def open_display(title: str, *, as_json: bool) -> Iterator[Display]:
    """The display that fits where the output goes."""
    console = PlainConsole()
    if as_json:
        yield JsonDisplay()
    elif not console.is_terminal:
        yield LineDisplay()
    else:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
        with RichProgress(*columns, TextColumn("{task.fields[figures]}", markup=False), console=console) as bars:
            yield BarDisplay(bars, plain(title))


async def keep_showing(display: Display, progress: Progress) -> None:
    """Shows until cancelled."""
    speed = Speed()
    while True:
        show(display, progress, speed)
        await asyncio.sleep(display.interval_seconds)


def show(display: Display, progress: Progress, speed: Speed) -> None:
    """Shows once."""
    speed_bytes = speed.update(progress.fetched_bytes)
    left_bytes = progress.total_bytes - progress.done_bytes
    # Compressed bytes come in, plain bytes are left: their ratio so far turns one into the other.
    gained_bytes = progress.done_bytes - progress.resumed_bytes
    ratio = gained_bytes / progress.fetched_bytes if progress.fetched_bytes else 0.0
    left_seconds = left_bytes / (speed_bytes * ratio) if speed_bytes and ratio else None
    display.update(progress, speed_bytes, left_seconds if progress.phase is Phase.DOWNLOADING else None)


def _phase(progress: Progress) -> str:
    if progress.phase is Phase.QUEUED and progress.queue_position:
        behind = f", behind {progress.slot_holders}" if progress.slot_holders else ""
        return f"waits in the queue, place {progress.queue_position}{behind}"
    return progress.phase.value


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _rate(speed_bytes: float) -> str:
    return f"{speed_bytes / 1e6:.1f} MB/s"


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left"
