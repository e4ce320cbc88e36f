"""The loads of `bench.library`: pages, heartbeats, unlocks and questions about access, each at a steady rate (bench.open_loop)."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp
import asyncpg
import orjson
from library.v1 import playtime_pb2, query_pb2
from library.v1.playtime_pb2_grpc import PlaytimeTrackerServiceStub
from library.v1.query_pb2_grpc import LibraryQueryServiceStub
from prometheus_client.parser import text_string_to_metric_families

from bench.library_data import ACHIEVEMENTS, MANY_ITEMS, SEED, SESSIONS
from bench.library_sides import Ground, Side, cpu_seconds
from bench.open_loop import Times, at_rate
from chassis.grpc_client.rpc_client import open_channel
from sandbox.demo.scene import DemoFailed

API = "/api/v1/library"
MEDIA_TYPE = "application/vnd.api+json"
PAGE_LIMIT = 20
ATTEMPTS = 6
"""Each at half the rate of the one before, until one is held."""
CLOSED_LOOP_CALLERS = 64
"""For the most that can be had: so many ask one after another."""
ACCESS = "/CheckGameAccess"
ACCESS_BOUND = "0.002"
"""A bucket of the service's histogram, in seconds: what 95 % should stay within."""
ASKED_AGAIN_AFTER = 8
"""Questions: long enough that the first one is answered."""
RARITY_SECONDS = 60.0
SPARE_ACHIEVEMENT = ACHIEVEMENTS - 1
"""Not of the load: bench.library_plans unlocks it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A load that was held, at less than was wanted when the machine could not."""

    times: Times
    cpu_us: dict[str, float]
    """CPU time of each program per answer."""

    def figures(self, name: str, *shares: int) -> dict[str, float]:
        quantiles = {f"{name}_p{share}_ms": self.times.at(share / 100) for share in shares}
        offered, achieved = self.times.offered_per_second, self.times.achieved_per_second
        rates = {f"{name}_offered": round(offered, 1), f"{name}_achieved": round(achieved, 1)}
        return {**quantiles, **rates}


async def steady(side: Side, rate: float, seconds: float, request: Callable[[], Awaitable[None]]) -> Measured:
    """The load at this rate, or at the half of it, and so on, if the machine cannot hold it."""
    measured: Measured | None = None
    for _ in range(ATTEMPTS):
        before = {name: cpu_seconds(process) for name, process in side.programs.items()}
        times = await at_rate(rate, seconds, request)
        after = {name: cpu_seconds(process) for name, process in side.programs.items()}
        if times.failed:
            # Overloaded, a service refuses, and a deadline runs out. What is wrong at any rate is still wrong at the last one.
            print(f"    offered {rate:.0f}/s, {times.failed} failed: {times.first_failure[:150]}")
            rate /= 2
            continue
        spent = {name: (after[name] - before[name]) / len(times.seconds) * 1e6 for name in after}
        measured = Measured(times, spent)
        achieved = f"achieved {times.achieved_per_second:.0f}/s"
        print(f"    offered {rate:.0f}/s, {achieved}, p50 {times.at(0.5)} ms, p99 {times.at(0.99)} ms")
        if times.is_held:
            return measured
        rate /= 2
    if measured is None:
        raise DemoFailed(f"{times.failed} requests of a load failed: {times.first_failure}")
    return measured


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def _answered(
    http: aiohttp.ClientSession, method: str, url: str, token: str, body: dict[str, Any] | None = None
) -> bytes:
    headers = {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE}
    if body is not None:
        headers["Content-Type"] = MEDIA_TYPE
    async with http.request(method, url, headers=headers, data=orjson.dumps(body) if body else None) as answer:
        content = await answer.read()
        if answer.status >= 300:
            raise DemoFailed(f"{method} {url} answered {answer.status}: {content[:300]!r}")
        return content


def pages(side: Side, http: aiohttp.ClientSession, query: str = "") -> Callable[[], Awaitable[None]]:
    """First pages of 20, of random users of the load."""
    chance, url = Random(SEED), f"{side.gateway_url}{API}/items{query}"

    async def one() -> None:
        await _answered(http, "GET", url, chance.choice(side.tokens))

    return one


async def check_page(side: Side, http: aiohttp.ClientSession) -> None:
    """A page is what it should be: so that not errors are measured."""
    page = orjson.loads(await _answered(http, "GET", f"{side.gateway_url}{API}/items", side.tokens[0]))
    titles = [item["attributes"]["title"] for item in page["data"]]
    if len(titles) != PAGE_LIMIT or page["meta"]["total_items"] != MANY_ITEMS or None in titles:
        raise DemoFailed(f"a page is not as it was loaded: {page['meta']}, {titles}")


async def heartbeats(side: Side, rate: float, seconds: float) -> dict[str, float]:
    """Over gRPC, as game clients send them, each session in its turn; then as many as can be had."""
    async with open_channel(
        side.service_address, audience="library-service", service_tokens=None, services=()
    ) as channel:
        stub = PlaytimeTrackerServiceStub(channel)
        calls = itertools.cycle(
            [
                (
                    playtime_pb2.RecordPlaytimeHeartbeatRequest(session_id=str(player.session_id(place))),
                    _bearer(token),
                )
                for place in range(SESSIONS)
                for player, token in zip(side.players, side.tokens, strict=True)
            ]
        )

        async def beat() -> None:
            request, metadata = next(calls)
            await stub.RecordPlaytimeHeartbeat(request, metadata=metadata)

        print("  heartbeats over gRPC")
        await _closed_loop(beat, times=SESSIONS * len(side.players))  # the first of a session looks into the database
        held = await steady(side, rate, seconds, beat)
        most = await _closed_loop(beat, times=int(held.times.achieved_per_second * seconds))
        print(f"    at most {most:.0f}/s")
    return {**held.figures("heartbeats", 50, 99), "heartbeats_most": round(most, 1), **_cpu("heartbeat", held)}


async def rest_heartbeats(side: Side, http: aiohttp.ClientSession, rate: float, seconds: float) -> dict[str, float]:
    """The same through the gateway, as everybody else sends them."""
    urls = itertools.cycle(
        [
            (f"{side.gateway_url}{API}/playtime/sessions/{player.session_id(place)}/heartbeat", token)
            for place in range(SESSIONS)
            for player, token in zip(side.players, side.tokens, strict=True)
        ]
    )

    async def beat() -> None:
        url, token = next(urls)
        await _answered(http, "POST", url, token)

    print("  heartbeats through the gateway")
    held = await steady(side, rate, seconds, beat)
    return {**held.figures("rest_heartbeats", 50, 99), **_cpu("rest_heartbeat", held)}


async def _closed_loop(request: Callable[[], Awaitable[None]], *, times: int) -> float:
    """How many were answered a second by callers that ask again as soon as they are answered."""
    left = iter(range(times))

    async def caller() -> None:
        for _ in left:
            await request()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CLOSED_LOOP_CALLERS):
            group.create_task(caller())
    return times / (time.perf_counter() - began)


def _steps(side: Side) -> Iterator[tuple[str, str]]:
    """Where to post an unlock, and whose token: each once."""
    for ordinal in range(SPARE_ACHIEVEMENT):
        for player, token in zip(side.players, side.tokens, strict=True):
            path = f"{player.product_id(0)}/{player.achievement_id(0, ordinal)}/progress"
            yield f"{side.gateway_url}{API}/achievements/{path}", token


async def unlocks(side: Side, http: aiohttp.ClientSession, rate: float, seconds: float) -> dict[str, float]:
    """Through the gateway, each of another user or another achievement; then until their rarity is counted."""
    steps = _steps(side)
    body = {"data": {"type": "achievementProgress", "attributes": {"current_progress": 1}}}
    done = 0

    async def unlock() -> None:
        nonlocal done
        url, token = next(steps)
        answer = await _answered(http, "POST", url, token, body)
        if b'"is_unlocked":true' not in answer:
            raise DemoFailed(f"not unlocked: {answer[:300]!r}")
        done += 1

    print("  unlocks through the gateway")
    before = await _counted(side.dsn)
    held = await steady(side, rate, seconds, unlock)
    began = time.perf_counter()
    async with asyncio.timeout(RARITY_SECONDS):
        while await _counted(side.dsn) < before + done:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.1)
    behind = round(time.perf_counter() - began, 1)
    return {**held.figures("unlock", 50, 99), "rarity_behind_seconds": behind, **_cpu("unlock", held)}


async def _counted(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT coalesce(sum(unlocked_count), 0) FROM achievement_stats"))
    finally:
        await connection.close()


async def _calls(side: Side, http: aiohttp.ClientSession) -> dict[str, float]:
    """How many questions about access the service has answered, by how long each took it at most."""
    async with http.get(side.metrics_url) as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = (sample for family in families for sample in family.samples)
    return {
        sample.labels["le"]: sample.value
        for sample in samples
        if sample.name == "rpc_server_duration_seconds_bucket" and sample.labels["method"].endswith(ACCESS)
    }


async def access(
    side: Side, base: Ground, http: aiohttp.ClientSession, rate: float, seconds: float
) -> dict[str, float]:
    """CheckGameAccess, as the Download Service asks: of each right twice, so half of the answers are remembered ones. How many the
    service answered in time by its own metrics, and how long they took for who asked, generator and all.
    """
    first, again = Times(), Times()
    rights = [(player, place) for place in range(MANY_ITEMS) for player in side.players]
    async with open_channel(
        side.service_address, audience="library-service", service_tokens=None, services=()
    ) as channel:
        stub = LibraryQueryServiceStub(channel)
        metadata = (("x-service-authorization", f"Bearer {base.service_token('download-service')}"),)
        left = iter(rights)
        asked: list[query_pb2.CheckGameAccessRequest] = []

        async def timed(request: query_pb2.CheckGameAccessRequest, times: Times) -> None:
            began = time.perf_counter()
            answer = await stub.CheckGameAccess(request, metadata=metadata)
            times.seconds.append(time.perf_counter() - began)
            if not answer.has_access:
                raise DemoFailed("a game that was bought is not theirs")

        async def ask() -> None:
            if len(asked) > ASKED_AGAIN_AFTER:
                await timed(asked.pop(0), again)
                return
            player, place = next(left)
            request = query_pb2.CheckGameAccessRequest(
                user_id=str(player.user_id), product_id=str(player.product_id(place))
            )
            await timed(request, first)
            asked.append(request)

        print("  questions about access over gRPC")
        before = await _calls(side, http)
        held = await steady(side, rate, seconds, ask)
        after = await _calls(side, http)
    in_time, calls = (after[bound] - before.get(bound, 0) for bound in (ACCESS_BOUND, "+Inf"))
    print(f"    at the service {in_time / calls:.1%} of {calls:.0f} within {float(ACCESS_BOUND) * 1000:.0f} ms")
    return {
        "access_in_time_share": round(in_time / calls, 4),
        **held.figures("access", 50, 95, 99),
        "access_first_p95_ms": first.at(0.95),
        "access_again_p95_ms": again.at(0.95),
        **_cpu("access", held),
    }


def _cpu(name: str, held: Measured) -> dict[str, float]:
    """The service's own."""
    return {f"{name}_service_cpu_us": round(held.cpu_us["service"], 1)}
