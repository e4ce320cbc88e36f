"""What the library costs: `./taskw bench:library` (docs/performance.md explains the figures; `-- --quick` proves that it runs).

One run on an embedded PostgreSQL and Valkey, the generator of the load on the same cores:

* first pages of `GET /items` through the gateway over libraries of 1 M and of 10 M rows, the sides taking turns; the CPU time of
  gateway and service per page, and where it goes (py-spy);
* heartbeats over gRPC and through the gateway, unlocks through the gateway, and how far their rarity is behind;
* CheckGameAccess at the service;
* what PostgreSQL does for each statement that counts, at 1 M rows.

A rate that the machine cannot hold is halved, and both rates are told. The last line is one JSON object.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import orjson
import uvloop

from bench import library_load, profiles
from bench.gateway_sides import ToolMissing
from bench.library_data import ITEMS_PER_USER, MANY_EVERY, begin_playing
from bench.library_load import Measured
from bench.library_plans import explain, unused_indexes
from bench.library_sides import Ground, Side, drop, fill, ground, side
from chassis.postgres.database import open_database
from sandbox.demo.scene import DemoFailed
from sandbox.devstack.embedded import EmbeddedServerError

BYTES_PER_ROW = 700
"""Of the small side, with its past; the other takes half of it."""
TOP = 15
"""Functions of a profile that are printed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    small_rows: int = 1_000_000
    large_rows: int = 10_000_000
    players: int = 3_000
    rounds: int = 5
    seconds: float = 15.0
    pages_rate: float = 200
    heartbeats_rate: float = 1_000
    unlocks_rate: float = 100
    access_rate: float = 300
    is_quick: bool = False

    @property
    def disk_bytes(self) -> int:
        return BYTES_PER_ROW * (self.small_rows + self.large_rows // 2)


QUICK = Plan(2_000, 20_000, players=40, rounds=1, seconds=1, pages_rate=20, heartbeats_rate=40, unlocks_rate=20,
             access_rate=20, is_quick=True)  # fmt: skip


async def measure(plan: Plan, work: Path) -> Mapping[str, Any]:
    async with ground(work) as base, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        chosen, loaded = {}, {}
        for name, rows in (("small", plan.small_rows), ("large", plan.large_rows)):
            began = time.perf_counter()
            chosen[name] = await fill(base, name, rows // ITEMS_PER_USER, plan.players, with_past=name == "small")
            loaded[f"{name}_loaded_seconds"] = round(time.perf_counter() - began, 1)
            print(f"{rows:,} items loaded in {loaded[f'{name}_loaded_seconds']} s", flush=True)
        found: dict[str, Any] = {"rows": [plan.small_rows, plan.large_rows], **loaded}
        async with side(base, "small", plan.small_rows, chosen["small"]) as small:
            async with side(base, "large", plan.large_rows, chosen["large"]) as large:
                found |= await compare_pages(small, large, http, plan)
            await drop(base, "large")
            found |= await profile_pages(small, http, plan, work)
            await begin_playing(small.dsn, small.players)
            found |= await library_load.heartbeats(small, plan.heartbeats_rate, plan.seconds)
            found |= await library_load.rest_heartbeats(small, http, plan.heartbeats_rate, plan.seconds)
            found |= await library_load.unlocks(small, http, plan.unlocks_rate, plan.seconds)
            found |= await library_load.access(small, base, http, plan.access_rate, plan.seconds)
        found |= await explain_all(base, chosen["small"])
    return found


async def compare_pages(small: Side, large: Side, http: aiohttp.ClientSession, plan: Plan) -> Mapping[str, Any]:
    """Both sides in turns, at the rate that the first turns could hold."""
    turns: dict[int, list[Measured]] = {small.rows: [], large.rows: []}
    rate = plan.pages_rate
    for each in (small, large):
        await library_load.check_page(each, http)
        if plan.is_quick:
            continue
        print(f"first pages of {each.rows:,} items, to begin with")
        warm = await library_load.steady(each, rate, plan.seconds, library_load.pages(each, http))
        rate = min(rate, warm.times.offered_per_second)
    for number in range(plan.rounds):
        # Who goes first changes, so that a drift of the machine favours nobody.
        for each in (small, large) if number % 2 else (large, small):
            print(f"  round {number + 1}, {each.rows:,} items")
            turns[each.rows].append(await library_load.steady(each, rate, plan.seconds, library_load.pages(each, http)))
    pairs = list(zip(turns[small.rows], turns[large.rows], strict=True))
    of_both = [turn for pair in pairs for turn in pair]
    return {
        "pages_wanted": plan.pages_rate,
        "pages_offered": min(turn.times.offered_per_second for turn in of_both),
        "pages_achieved": round(median(turn.times.achieved_per_second for turn in of_both), 1),
        "pages_small_p50_ms": median(one.times.at(0.5) for one, _ in pairs),
        "pages_small_p95_ms": median(one.times.at(0.95) for one, _ in pairs),
        "pages_large_p50_ms": median(other.times.at(0.5) for _, other in pairs),
        "pages_large_p95_ms": median(other.times.at(0.95) for _, other in pairs),
        "pages_ratio_p95": round(median(other.times.at(0.95) / one.times.at(0.95) for one, other in pairs), 3),
        **{
            f"page_{name}_cpu_us": round(median(turn.cpu_us[name] for turn in of_both), 1)
            for name in ("gateway", "service", "postgres")
        },
        "page_cpu_us": round(median(turn.cpu_us["gateway"] + turn.cpu_us["service"] for turn in of_both), 1),
    }


async def profile_pages(small: Side, http: aiohttp.ClientSession, plan: Plan, work: Path) -> Mapping[str, Any]:
    """Where gateway and service spend it."""
    program = profiles.find_py_spy()
    if program is None:
        print(profiles.HOW_TO_GET_IT)
        return {"profile": None}
    processes = {name: small.programs[name] for name in ("gateway", "service")}
    async with asyncio.TaskGroup() as group:
        recording = group.create_task(profiles.record(program, processes, max(1, int(plan.seconds)), work))
        load = library_load.pages(small, http)
        await library_load.steady(small, plan.pages_rate / 2, plan.seconds + 1, load)
    for name, profile in recording.result().items():
        print(f"{name}: {profile.samples} samples, in percent; in the function itself, and in or below it")
        for (own, own_share), (under, under_share) in zip(profile.own(TOP), profile.under(3 * TOP)[::3], strict=False):
            print(f"  {own_share:5} {own[-70:]:70} {under_share:5} {under[-70:]}")
    return {"profile": {name: profile.own(5) for name, profile in recording.result().items()}}


async def explain_all(base: Ground, chosen: Sequence[Any]) -> Mapping[str, Any]:
    """The plans, and what no statement has used in all this."""
    async with open_database(base.dsn("small")) as database:
        plans = await explain(database, chosen[-1])
        for each in plans:
            print(each)
        unused = await unused_indexes(database)
    for name, size_bytes in unused:
        print(f"no statement used {name}, {size_bytes / 1e6:.0f} MB")
    return {
        "plans": {each.name: [round(each.milliseconds, 2), each.buffers] for each in plans},
        "read_whole": sorted({table for each in plans for table in each.scanned_tables}),
        "unused_indexes": [name for name, _ in unused],
    }


def read_plan(words: Sequence[str] | None = None) -> Plan:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="./taskw bench:library --", description="What the library costs")
    add = parser.add_argument
    add("--quick", action="store_true", help="few rows, one short round of each: proves that it runs, measures nothing")
    add("--small-rows", type=int, default=usual.small_rows)
    add("--large-rows", type=int, default=usual.large_rows)
    add("--rounds", type=int, default=usual.rounds)
    add("--seconds", type=float, default=usual.seconds, help="of one load")
    given = parser.parse_args(words)
    if given.quick:
        return QUICK
    with_many_items = given.small_rows // ITEMS_PER_USER // MANY_EVERY
    return Plan(
        given.small_rows,
        given.large_rows,
        players=min(usual.players, with_many_items),
        rounds=given.rounds,
        seconds=given.seconds,
    )


def main() -> int:
    plan = read_plan()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended so, it leaves nothing behind either
    work = Path(tempfile.mkdtemp(prefix="samovar-bench-"))
    try:
        free_bytes = shutil.disk_usage(work).free
        if free_bytes < plan.disk_bytes:
            print(
                f"bench: {plan.disk_bytes / 1e9:.1f} GB are needed in {work}, {free_bytes / 1e9:.1f} are free",
                file=sys.stderr,
            )
            return 2
        found = uvloop.run(measure(plan, work))
    except KeyboardInterrupt:
        return 130
    except (DemoFailed, EmbeddedServerError, ToolMissing, TimeoutError, BaseExceptionGroup) as error:
        logs = {log.stem: log.read_text(errors="replace")[-500:] for log in work.glob("*.log")}
        print(f"bench: {error!r}; {logs}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for name, value in found.items():
        print(f"{name:28} {value}")
    print(orjson.dumps({"bench": "library", "cpus": os.cpu_count(), "quick": plan.is_quick, **found}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
