"""A steady load and how long its requests took. Used by the benches.

Requests go out at their times whether or not earlier ones were answered, and a request's time counts from the moment it was due: a
server that stalls is not spared the requests that it held up.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc.aio

from sandbox.demo.scene import DemoFailed

HELD_SHARE = 0.95
"""Of the offered rate that must be answered for a rate to count as held."""


@dataclass(slots=True)
class Times:
    """Of one kind of request at one rate, in seconds."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    first_failure: str = ""
    offered_per_second: float = 0.0
    achieved_per_second: float = 0.0
    cpu_percent: float = 0.0
    """Of all cores together, by everything that ran on the machine."""

    def fail(self, why: str, *, times: int = 1) -> None:
        self.failed += times
        self.first_failure = self.first_failure or why

    def at(self, share: float) -> float:
        """The nearest-rank quantile, in ms."""
        if not self.seconds:
            raise DemoFailed(f"no request of a load was answered: {self.first_failure}")
        ordered = sorted(self.seconds)
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 1)

    @property
    def is_held(self) -> bool:
        return self.achieved_per_second >= HELD_SHARE * self.offered_per_second

    def figures(self) -> Mapping[str, Any]:
        return {
            "offered_per_second": round(self.offered_per_second, 1),
            "achieved_per_second": round(self.achieved_per_second, 1),
            "is_held": self.is_held,
            "p50_ms": self.at(0.5),
            "p95_ms": self.at(0.95),
            "p99_ms": self.at(0.99),
            "failed": self.failed,
            "first_failure": self.first_failure,
            "cpu_percent": self.cpu_percent,
        }


async def at_rate(
    rate: float, seconds: float, request: Callable[[], Awaitable[None]], *, warm_up_seconds: float = 0.0
) -> Times:
    """Asks so many times a second for so long, after a warm-up that is not counted; then waits for the last answer."""
    times = Times(offered_per_second=rate)
    began = time.perf_counter()
    counts_from = began + warm_up_seconds

    async def one(due: float) -> None:
        try:
            await request()
            if due >= counts_from:
                times.seconds.append(time.perf_counter() - due)
        except (DemoFailed, aiohttp.ClientError, grpc.aio.AioRpcError, TimeoutError) as error:
            times.fail(str(error))

    async with asyncio.TaskGroup() as group:
        for number in range(math.ceil(rate * (warm_up_seconds + seconds))):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    times.achieved_per_second = len(times.seconds) / max(seconds, time.perf_counter() - counts_from)
    return times
