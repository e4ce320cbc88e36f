"""The services under a steady load, through the gateway: `POST /downloads`, `POST /links`, and progress reports that travel on to
WebSockets. Used by bench.delivery. Where more comes than is answered, times say only how long the queue grew: then half the rate is
tried, and the figures name the rate that was held. The load's own work shares the machine.
"""

import asyncio
import itertools
import json
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4, uuid5

import aiohttp
import psutil
from samovar.sandbox.v1 import sandbox_pb2

from bench.open_loop import Times, at_rate
from chassis.bus.event_log import open_event_log
from sandbox.client import read_platform, sandbox_stub
from sandbox.demo.scene import DemoFailed, Gateway, until
from sandbox.devstack.platform import Running

DOWNLOADS = "/api/v1/download-client/downloads"
MEDIA_TYPE = "application/vnd.api+json"
SLOTS = 3
"""Of a user's sessions so many may fetch at once, and so get links."""
LINKS_IDS = 100
REPORTED_PATH = "000/000000.bin"
TOKEN_SECONDS = 3600
SETTLE_SECONDS = 20.0
STARTS_PER_USER = 10
TRIES = 5
"""Each at half the rate of the one before."""
WARM_UP_SECONDS = 2.0
"""At the beginning of each load, not counted."""
GROUPS = ("library-service", "download-service", "download-service-live")


@dataclass(frozen=True, slots=True)
class Load:
    """So many requests a second for so long; so many sessions that report once a second for so long."""

    rate: int
    seconds: float
    live_sessions: int


@dataclass(slots=True)
class _User:
    token: str
    sessions: list[str] = field(default_factory=list)


async def call(
    http: aiohttp.ClientSession, url: str, token: str, body: Mapping[str, Any] | None, method: str = "POST"
) -> Any:
    """One request; answers its document, raises DemoFailed for a refusal."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": MEDIA_TYPE}
    data = None if body is None else json.dumps(body)
    async with http.request(method, url, data=data, headers=headers) as answer:
        content = await answer.read()
        if answer.status >= 300:
            raise DemoFailed(f"{method} {url} answered {answer.status}: {content[:300]!r}")
        return json.loads(content) if content else None


async def start(http: aiohttp.ClientSession, gateway_url: str, token: str, product_id: str, device_id: str) -> str:
    """Starts a download; answers the session's id."""
    attributes = {"product_id": product_id, "device_id": device_id}
    body = {"data": {"type": "downloadRequest", "attributes": attributes}}
    started = await call(http, gateway_url + DOWNLOADS, token, body)
    return str(started["data"]["id"])


async def cancel(http: aiohttp.ClientSession, gateway_url: str, token: str, session_id: str) -> None:
    await call(http, f"{gateway_url}{DOWNLOADS}/{session_id}", token, None, "DELETE")


async def measure(up: Running, product_id: str, chunk_ids: Sequence[str], load: Load) -> Mapping[str, Any]:
    """All three, one after another, on users of their own."""
    gateway_url = up.ready["gateway_url"]
    starts = load.rate * (WARM_UP_SECONDS + load.seconds) * 2  # of all tries together: 1 + 1/2 + 1/4 + …
    users = await _make_users(up, product_id, max(load.live_sessions, math.ceil(starts / STARTS_PER_USER), 1))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await _all_own(http, gateway_url, users, product_id)
        turn = itertools.cycle(users)

        async def start_one() -> None:
            user = next(turn)
            user.sessions.append(await start(http, gateway_url, user.token, product_id, str(uuid4())))

        async def starts_at(rate: float) -> Times:
            return await at_rate(rate, load.seconds, start_one, warm_up_seconds=WARM_UP_SECONDS)

        downloads = await _held(up, "POST /downloads", load.rate, starts_at)
        fetching = itertools.cycle([(user, one) for user in users for one in user.sessions[:SLOTS]])
        body = {"data": {"type": "linkRequest", "attributes": {"ids": list(chunk_ids[:LINKS_IDS])}}}

        async def sign_some() -> None:
            user, session_id = next(fetching)
            await call(http, f"{gateway_url}{DOWNLOADS}/{session_id}/links", user.token, body)

        async def links_at(rate: float) -> Times:
            return await at_rate(rate, load.seconds, sign_some, warm_up_seconds=WARM_UP_SECONDS)

        links = await _held(up, f"POST /links of {len(chunk_ids[:LINKS_IDS])}", load.rate, links_at)
        live = users[: load.live_sessions]
        steps = itertools.count(1)

        async def reports_at(rate: float) -> Times:
            return await _report_and_listen(http, gateway_url, live, product_id, len(live) / rate, load.seconds, steps)

        delays = await _held(up, f"report to WebSocket, {len(live)} live sessions", len(live), reports_at)
    failed = (downloads, links, delays)
    return {
        "downloads_p95_ms": downloads.at(0.95),
        "links_p95_ms": links.at(0.95),
        "ws_delay_p99_ms": delays.at(0.99),
        "load": {
            "seconds": load.seconds,
            "links_ids": len(chunk_ids[:LINKS_IDS]),
            "live_sessions": len(live),
            "downloads": downloads.figures(),
            "links": links.figures(),
            "reports": delays.figures(),
        },
        "load_failed": sum(times.failed for times in failed),
        "load_first_failure": next((times.first_failure for times in failed if times.failed), ""),
    }


async def _held(up: Running, name: str, rate: float, run: Callable[[float], Awaitable[Times]]) -> Times:
    """The load at its rate, or at the highest of some lower ones that is answered as fast as it comes; says all that was seen."""
    for _ in range(TRIES):
        await _settled(up)
        before = os.getloadavg()[0]
        psutil.cpu_percent()
        times = await run(rate)
        times.cpu_percent = psutil.cpu_percent()
        took = f"p50 {times.at(0.5)} ms, p95 {times.at(0.95)} ms, p99 {times.at(0.99)} ms, " if times.seconds else ""
        print(
            f"{name}: offered {times.offered_per_second:.1f}/s, achieved {times.achieved_per_second:.1f}/s"
            f"{'' if times.is_held else ' (NOT HELD: times are of a growing queue)'}, {took}failed {times.failed}; "
            f"CPU {times.cpu_percent:.0f} % of {os.cpu_count()} cores, load average before {before:.1f}",
            flush=True,
        )
        if times.is_held:
            return times
        rate /= 2
    return times


async def _settled(up: Running) -> None:
    """What the load before has caused is done with: every event was told and heard."""
    async with open_event_log(read_platform(up.home.root)["dsns"]["events"]) as log:

        async def is_heard() -> bool:
            return all([await log.lag(group) == 0 for group in GROUPS])

        await until("the events of a load are not heard", is_heard)


async def _make_users(up: Running, product_id: str, count: int) -> list[_User]:
    users = []
    async with sandbox_stub(read_platform(up.home.root)) as stub:
        for _ in range(count):
            user_id = str(uuid4())
            await stub.Buy(sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[product_id]))
            request = sandbox_pb2.IssueTokenRequest(user_id=user_id, roles=["user"], ttl_seconds=TOKEN_SECONDS)
            users.append(_User((await stub.IssueToken(request)).token))
    return users


async def _all_own(http: aiohttp.ClientSession, gateway_url: str, users: Sequence[_User], product_id: str) -> None:
    for user in users:
        gateway = Gateway(gateway_url, user.token, http)

        async def owns(gateway: Gateway = gateway) -> bool:
            return product_id in await gateway.library()

        await until("a purchase is not in the library", owns)


async def _report_and_listen(
    http: aiohttp.ClientSession,
    gateway_url: str,
    users: Sequence[_User],
    product_id: str,
    every_seconds: float,
    seconds: float,
    steps: Iterator[int],
) -> Times:
    """Each session reports again and again, all spread evenly; the delay is from the report's moment to the user's socket.

    `steps` numbers the reports, of this load above those of the one before.
    """
    for user in users:
        if not user.sessions:
            user.sessions.append(await start(http, gateway_url, user.token, product_id, str(uuid4())))
    delays = Times(offered_per_second=len(users) / every_seconds)
    rounds = [next(steps) for _ in range(math.ceil((WARM_UP_SECONDS + seconds) / every_seconds))]
    warm_up = rounds[: math.ceil(WARM_UP_SECONDS / every_seconds)]
    connected = asyncio.Barrier(len(users) + 1)
    async with asyncio.TaskGroup() as group:
        for number, user in enumerate(users):
            reports = _Reports(user, rounds, len(warm_up), number * every_seconds / len(users), every_seconds)
            group.create_task(_one_session(http, gateway_url, reports, delays, connected))
        await connected.wait()
        counts_from = time.perf_counter() + len(warm_up) * every_seconds
    counted_seconds = (len(rounds) - len(warm_up)) * every_seconds
    delays.achieved_per_second = len(delays.seconds) / max(counted_seconds, time.perf_counter() - counts_from)
    return delays


@dataclass(frozen=True, slots=True)
class _Reports:
    """What one session reports, and when; the first ones are not counted."""

    user: _User
    rounds: Sequence[int]
    warm_up: int
    offset_seconds: float
    every_seconds: float

    @property
    def session_id(self) -> str:
        return self.user.sessions[0]


async def _one_session(
    http: aiohttp.ClientSession, gateway_url: str, reports: _Reports, delays: Times, connected: asyncio.Barrier
) -> None:
    token, session_id = reports.user.token, reports.session_id
    sent: dict[int, float] = {}
    headers = {"Authorization": f"Bearer {token}"}
    async with http.ws_connect(f"{gateway_url}/api/v1/ws/download-progress", headers=headers) as socket:
        await connected.wait()
        listening = asyncio.create_task(_listen(socket, reports, sent, delays))
        began = time.perf_counter() + reports.offset_seconds
        item_id = str(uuid5(UUID(session_id), REPORTED_PATH))
        for number, step in enumerate(reports.rounds):
            due = began + number * reports.every_seconds
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent[step] = due
            attributes = {
                "sequence": step,
                "items": [{"item_id": item_id, "status": "downloading", "downloaded_bytes": step}],
                "cdn": [],
            }
            body = {"data": {"type": "downloadReport", "attributes": attributes}}
            try:
                await call(http, f"{gateway_url}{DOWNLOADS}/{session_id}/report", token, body)
            except (DemoFailed, aiohttp.ClientError, TimeoutError) as error:
                delays.fail(str(error))
                sent.pop(step, None)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await listening
        if sent:
            delays.fail("reports did not reach the WebSocket", times=len(sent))


async def _listen(
    socket: aiohttp.ClientWebSocketResponse, reports: _Reports, sent: dict[int, float], delays: Times
) -> None:
    """Until the last report has come; an earlier one may be superseded, which its sender counts."""
    counted = frozenset(reports.rounds[reports.warm_up :])
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        envelope = json.loads(message.data)
        payload = envelope["payload"]
        if envelope["event_type"] != "downloadProgressUpdate" or payload["download_session_id"] != reports.session_id:
            continue
        step = payload["downloaded_bytes"]
        due = sent.pop(step, None)
        if due is not None and step in counted:
            delays.seconds.append(time.perf_counter() - due)
        if step == reports.rounds[-1]:
            return
