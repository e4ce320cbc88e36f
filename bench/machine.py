"""What running a program costs: wall time, CPU of its whole tree of processes, and the most memory that the tree held at once.
Linux only: reads /proc. Used by bench.delivery.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

RSS_EVERY_SECONDS = 0.02
PSS_EVERY_SECONDS = 0.2
"""Dearer than RSS: the kernel walks the page tables, and the program waits meanwhile."""
TREE_EVERY_SECONDS = 0.25
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProgramFailed(Exception):
    """A measured program ended with another code than 0; the text has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run. RSS counts pages that two processes share twice, PSS halves them."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    peak_pss_bytes: int


async def run(command: Sequence[str], *, output: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Runs a program to its end; what it says goes to a file, so that nobody's reading slows it.

    Raises:
        ProgramFailed: it did not end well.
    """
    return await asyncio.to_thread(_run, command, output, {**os.environ, **(environment or {})})


def _run(command: Sequence[str], output: Path, environment: Mapping[str, str]) -> Cost:
    with output.open("wb") as out:
        started = time.perf_counter()
        pid = os.posix_spawnp(
            command[0],
            list(command),
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, out.fileno(), 2),
            ],
        )
        peak = _Peak(pid)
        # Only a process that was waited for is counted in its parent's times: wait4 tells of the whole tree.
        while not (ended := os.wait4(pid, os.WNOHANG))[0]:
            peak.look()
            time.sleep(RSS_EVERY_SECONDS)
        wall_seconds = time.perf_counter() - started
    _, status, usage = ended
    if status:
        tail = output.read_text(errors="replace")[-2000:]
        raise ProgramFailed(f"{command[0]} ended with code {os.waitstatus_to_exitcode(status)}: {tail}")
    # The kernel's own ru_maxrss begins with what the spawning process had, and says nothing of this one.
    return Cost(wall_seconds, usage.ru_utime + usage.ru_stime, peak.rss_bytes, peak.pss_bytes)


class _Peak:
    """Looks at the tree cheaply: the looking takes CPU from what is measured."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._pids = [pid]
        self._next_tree = 0.0
        self._next_pss = 0.0
        self.rss_bytes = 0
        self.pss_bytes = 0

    def look(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._next_tree:
                self._next_tree = now + TREE_EVERY_SECONDS
                self._pids = [self._root.pid, *(child.pid for child in self._root.children(recursive=True))]
            self.rss_bytes = max(self.rss_bytes, sum(map(_rss_bytes, self._pids)))
            if now >= self._next_pss:
                self._next_pss = now + PSS_EVERY_SECONDS
                self.pss_bytes = max(self.pss_bytes, sum(map(_pss_bytes, self._pids)))
        except (psutil.Error, OSError):
            self._next_tree = 0.0  # one of them ended just now


def _rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _pss_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
