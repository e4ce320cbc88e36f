"""A steady load and how long its requests took. Used by the benches.

Requests go out at their times whether or not earlier ones were answered, and a request's time counts from the moment it was due: a
server that stalls is not spared the requests that it held up.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import grpc.aio

from sandbox.demo import DemoFailed


@dataclass(slots=True)
class Times:
    """Of one kind of request, in seconds."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    first_failure: str = ""

    def fail(self, why: str, *, times: int = 1) -> None:
        self.failed += times
        self.first_failure = self.first_failure or why

    def at(self, share: float) -> float:
        """The nearest-rank quantile, in ms."""
        if not self.seconds:
            raise DemoFailed(f"no request of a load was answered: {self.first_failure}")
        ordered = sorted(self.seconds)
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 1)


async def at_rate(rate: float, seconds: float, request: Callable[[], Awaitable[None]], times: Times) -> float:
    """Asks so many times a second for so long; then waits for the last answer.

    Returns:
        How many were answered a second, from the first request to the last answer: less than `rate` when the machine cannot.
    """
    began = time.perf_counter()
    answered = len(times.seconds)

    async def one(due: float) -> None:
        try:
            await request()
            times.seconds.append(time.perf_counter() - due)
        except (DemoFailed, aiohttp.ClientError, grpc.aio.AioRpcError, TimeoutError) as error:
            times.fail(str(error))

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    return (len(times.seconds) - answered) / max(time.perf_counter() - began, seconds)
