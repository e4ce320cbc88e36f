"""The services under a steady load, through the gateway: `POST /downloads`, `POST /links`, and progress reports that travel on to
WebSockets. Used by bench.delivery. The load's own work shares the machine.
"""

import asyncio
import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4, uuid5

import aiohttp
from samovar.sandbox.v1 import sandbox_pb2

from bench.open_loop import Times, at_rate
from sandbox.client import read_platform, sandbox_stub
from sandbox.demo import DemoFailed, Gateway, until
from sandbox.platform import Running

DOWNLOADS = "/api/v1/download-client/downloads"
MEDIA_TYPE = "application/vnd.api+json"
SLOTS = 3
"""Of a user's sessions so many may fetch at once, and so get links."""
LINKS_IDS = 100
REPORTED_PATH = "000/000000.bin"
TOKEN_SECONDS = 3600
SETTLE_SECONDS = 20.0
STARTS_PER_USER = 10


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
    count = max(load.live_sessions, math.ceil(load.rate * load.seconds / STARTS_PER_USER), 1)
    users = await _make_users(up, product_id, count)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await _all_own(http, gateway_url, users, product_id)
        downloads, links = Times(), Times()
        turn = itertools.cycle(users)

        async def start_one() -> None:
            user = next(turn)
            user.sessions.append(await start(http, gateway_url, user.token, product_id, str(uuid4())))

        await at_rate(load.rate, load.seconds, start_one, downloads)
        fetching = itertools.cycle([(user, one) for user in users for one in user.sessions[:SLOTS]])
        body = {"data": {"type": "linkRequest", "attributes": {"ids": list(chunk_ids[:LINKS_IDS])}}}

        async def sign_some() -> None:
            user, session_id = next(fetching)
            await call(http, f"{gateway_url}{DOWNLOADS}/{session_id}/links", user.token, body)

        await at_rate(load.rate, load.seconds, sign_some, links)
        delays = await _report_and_listen(http, gateway_url, users[: load.live_sessions], product_id, load)
    figures = {
        "load_rate": load.rate,
        "downloads_p50_ms": downloads.at(0.5),
        "downloads_p95_ms": downloads.at(0.95),
        "links_ids": len(chunk_ids[:LINKS_IDS]),
        "links_p50_ms": links.at(0.5),
        "links_p95_ms": links.at(0.95),
        "live_sessions": load.live_sessions,
        "ws_delay_p50_ms": delays.at(0.5),
        "ws_delay_p99_ms": delays.at(0.99),
        "load_failed": downloads.failed + links.failed + delays.failed,
        "load_first_failure": downloads.first_failure or links.first_failure or delays.first_failure,
    }
    print(
        f"POST /downloads p95 {figures['downloads_p95_ms']} ms, /links p95 {figures['links_p95_ms']} ms, "
        f"report to WebSocket p99 {figures['ws_delay_p99_ms']} ms, failed {figures['load_failed']}"
    )
    return figures


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
    http: aiohttp.ClientSession, gateway_url: str, users: Sequence[_User], product_id: str, load: Load
) -> Times:
    """Each session reports once a second, spread over the second; the delay is from the report's moment to the user's socket."""
    delays = Times()
    connected = asyncio.Barrier(len(users) + 1)
    async with asyncio.TaskGroup() as group:
        for number, user in enumerate(users):
            if not user.sessions:
                user.sessions.append(await start(http, gateway_url, user.token, product_id, str(uuid4())))
            offset = number / len(users)
            group.create_task(_one_session(http, gateway_url, user, offset, load.seconds, delays, connected))
        await connected.wait()
    return delays


async def _one_session(
    http: aiohttp.ClientSession,
    gateway_url: str,
    user: _User,
    offset_seconds: float,
    seconds: float,
    delays: Times,
    connected: asyncio.Barrier,
) -> None:
    session_id = user.sessions[0]
    sent: dict[int, float] = {}
    headers = {"Authorization": f"Bearer {user.token}"}
    async with http.ws_connect(f"{gateway_url}/api/v1/ws/download-progress", headers=headers) as socket:
        await connected.wait()
        steps = max(1, int(seconds))
        listening = asyncio.create_task(_listen(socket, session_id, sent, delays, steps))
        began = time.perf_counter() + offset_seconds
        item_id = str(uuid5(UUID(session_id), REPORTED_PATH))
        for step in range(1, steps + 1):
            due = began + step - 1
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent[step] = due
            attributes = {
                "sequence": step,
                "items": [{"item_id": item_id, "status": "downloading", "downloaded_bytes": step}],
                "cdn": [],
            }
            body = {"data": {"type": "downloadReport", "attributes": attributes}}
            try:
                await call(http, f"{gateway_url}{DOWNLOADS}/{session_id}/report", user.token, body)
            except (DemoFailed, aiohttp.ClientError, TimeoutError) as error:
                delays.fail(str(error))
                sent.pop(step, None)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await listening
        delays.fail("reports did not reach the WebSocket", times=len(sent))


async def _listen(
    socket: aiohttp.ClientWebSocketResponse, session_id: str, sent: dict[int, float], delays: Times, last_step: int
) -> None:
    """Until the last report has come; an earlier one may be superseded, which its sender counts."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        envelope = json.loads(message.data)
        payload = envelope["payload"]
        if envelope["event_type"] != "downloadProgressUpdate" or payload["download_session_id"] != session_id:
            continue
        step = payload["downloaded_bytes"]
        due = sent.pop(step, None)
        if due is not None:
            delays.seconds.append(time.perf_counter() - due)
        if step == last_step:
            return
