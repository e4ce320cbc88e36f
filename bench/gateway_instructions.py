"""How many instructions a request costs the gateway, with its middleware and without, counted by valgrind: a figure that other
programs on the machine do not change, for comparing one version of the code with another. It says nothing of caches and of the
kernel; `bench.gateway` does.

`python -m bench.gateway_instructions`; needs valgrind (Debian: `apt-get install valgrind`). The last line is one JSON object.
"""

import asyncio
import re
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import orjson

from bench.gateway import QUICK_REQUESTS, UNCOUNTED_PERMITS, load
from bench.gateway_cases import CASES, Case
from bench.gateway_sides import Ground, Side, ToolMissing, bare, ground, ours

WARM_TURNS = 3
"""Each in the names of the same users, so that all tokens are known."""

_TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def valgrind(counted: Path) -> tuple[str, ...]:
    """What a program is started by, so that its instructions can be counted into files that begin with `counted`."""
    if shutil.which("valgrind") is None:
        raise ToolMissing("valgrind is missing; on Debian: apt-get install valgrind")
    return ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counted}")


async def control(side: Side, *words: str) -> None:
    """Tells the running callgrind."""
    done = await asyncio.create_subprocess_exec(
        "callgrind_control",
        *words,
        str(side.process.pid),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await done.wait():
        raise ToolMissing(f"callgrind_control {' '.join(words)} failed")


async def count(case: Case, side: Side, base: Ground, counted: Path) -> int:
    """Instructions of one request."""
    for _ in range(WARM_TURNS):
        await load(case, side, base)
    known = set(counted.parent.glob(f"{counted.name}.*"))
    await control(side, "-i", "on")
    await control(side, "-z")
    found = await load(case, side, base)
    await control(side, "-d")
    await control(side, "-i", "off")
    if found["refused"]:
        raise AssertionError(f"{case.name} of {side.name}: {found}")
    (dump,) = set(counted.parent.glob(f"{counted.name}.*")) - known
    totals = _TOTALS.findall(await asyncio.to_thread(dump.read_text))
    return int(totals[-1]) // QUICK_REQUESTS


async def measure() -> dict[str, int]:
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="samovar-bench-") as folder:
        files = {name: Path(folder) / f"counted-{name}" for name in ("ours", "bare")}
        async with ground(Path(folder)) as base, AsyncExitStack() as stack:
            for start in (
                ours(permits_a_minute=UNCOUNTED_PERMITS, under=valgrind(files["ours"])),
                bare(under=valgrind(files["bare"])),
            ):
                side = await start(stack, base)
                for case in CASES:
                    counts[f"{case.name}_{side.name}"] = await count(case, side, base, files[side.name])
                    print(f"{case.name:6} {side.name:6} {counts[f'{case.name}_{side.name}']:10,}", flush=True)
    return {f"{name}_instructions": value for name, value in counts.items()}


def main() -> int:
    try:
        found = asyncio.run(measure())
    except ToolMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    print(orjson.dumps({"bench": "gateway_instructions", **found}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
