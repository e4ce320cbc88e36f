"""Where the CPU time of running Python programs goes: samples of their stacks during a load, by py-spy. Used by bench.library."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLES_A_SECOND = 200
HOW_TO_GET_IT = "py-spy is missing; it comes with the dev dependencies: uv pip install 'py-spy~=0.4'"


@dataclass(frozen=True, slots=True)
class Profile:
    """Samples by stack, the outermost frame first."""

    stacks: Mapping[Sequence[str], int]

    @property
    def samples(self) -> int:
        return sum(self.stacks.values())

    def own(self, most: int) -> Sequence[tuple[str, float]]:
        """The functions that the CPU was in, with their share in percent."""
        return self._shares(Counter(), most, lambda stack: stack[-1:])

    def under(self, most: int) -> Sequence[tuple[str, float]]:
        """The functions that it was in or below, with their share in percent."""
        return self._shares(Counter(), most, lambda stack: tuple(set(stack)))

    def _shares(self, counter, most, frames) -> Sequence[tuple[str, float]]:  # noqa: ANN001
        for stack, number in self.stacks.items():
            for frame in frames(stack):
                counter[frame] += number
        return [(frame, round(100 * number / max(self.samples, 1), 1)) for frame, number in counter.most_common(most)]


def find_py_spy() -> str | None:
    return shutil.which("py-spy")


async def record(
    program: str, processes: Mapping[str, psutil.Process], seconds: int, folder: Path
) -> dict[str, Profile]:
    """A profile of each of the processes, at the same time; run it beside a load."""
    found = {}

    async def one(name: str, process: psutil.Process) -> None:
        file = folder / f"{name}.stacks"
        words = ("record", "--pid", str(process.pid), "--duration", str(seconds), "--rate", str(SAMPLES_A_SECOND))
        recorder = await asyncio.create_subprocess_exec(
            program,
            *words,
            *("--format", "raw", "--output", str(file), "--nonblocking"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await recorder.wait()
        found[name] = _read(await asyncio.to_thread(file.read_text) if file.exists() else "")

    async with asyncio.TaskGroup() as group:
        for name, process in processes.items():
            group.create_task(one(name, process))
    return found


def _read(text: str) -> Profile:
    stacks: Counter[Sequence[str]] = Counter()
    for line in text.splitlines():
        frames, _, number = line.rpartition(" ")
        # "function (file:line)": samples of several lines of one function belong together.
        stacks[tuple(frame.rpartition(":")[0] + ")" if ":" in frame else frame for frame in frames.split(";"))] += int(
            number
        )
    return Profile(stacks)
