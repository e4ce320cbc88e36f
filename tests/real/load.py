"""What goes on while a server is away: people who buy, read and change things without end, and what each of them was told. Used by
test_real_faults.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import grpc
from catalog.v1 import product_pb2
from samovar.sandbox.v1 import sandbox_pb2

from chassis.bus.event_bus import EventBus
from chassis.runtime.backends import EventSettings
from sandbox.client import PlatformAway, sandbox_stub
from tests.e2e.clients import DOWNLOADS, ITEMS, Answer, Api, CommandLine, Shop
from tests.e2e.running import Platform
from tests.real.servers import Servers

BUY_PAUSE_SECONDS = 0.1
READ_PAUSE_SECONDS = 0.05
WRITE_PAUSE_SECONDS = 0.2
COUNT_PAUSE_SECONDS = 1.0
MAX_WAITING_PURCHASES = 300
STALL_SECONDS = 120.0
"""Nothing moves for so long: it will not move any more."""

TOLD_TO_COME_AGAIN = {503: ["SERVICE_UNAVAILABLE"], 504: ["DEADLINE_EXCEEDED"]}
"""What the contract has for a server behind the platform that is away, by status."""


@dataclass
class Town:
    """The platform, its servers, and a connection pool for everybody."""

    servers: Servers
    platform: Platform
    http: aiohttp.ClientSession
    folder: Path

    async def new_user(self, number: int = 0) -> Api:
        """Somebody at one of the gateways."""
        async with sandbox_stub(self.platform.private) as stub:
            request = sandbox_pb2.IssueTokenRequest(user_id=str(uuid.uuid4()), roles=["user"], ttl_seconds=3600)
            token = (await stub.IssueToken(request)).token
        urls = self.platform.ready["gateway_urls"]
        return Api(urls[number % len(urls)], token, self.http)

    @property
    def shop(self) -> Shop:
        return Shop(self.platform.private)

    def launcher(self, api: Api) -> CommandLine:
        launcher = CommandLine(self.platform.home, self.folder / f"config-{uuid.uuid4().hex[:8]}")
        launcher.environment |= {"SAMOVAR_TOKEN": str(api.token), "SAMOVAR_GATEWAY": api.url}
        return launcher

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[EventBus]:
        settings = EventSettings(**{name.lower(): value for name, value in self.platform.private["events"].items()})
        async with settings.open_event_bus("test") as bus:
            yield bus

    async def rows(self, database: str, statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.platform.private["dsns"][database])
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


@dataclass
class Told:
    """What clients of one kind saw: how often which status, and when something was last refused."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused_at: float = 0.0

    def note(self, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        if answer.status >= 400:
            assert answer.codes == TOLD_TO_COME_AGAIN.get(answer.status), answer.document
            assert answer.status != 503 or int(answer.headers["Retry-After"]) >= 1
            self.refused_at = time.monotonic()

    def since(self, moment: float) -> str:
        """For the figures: what was seen, and how long after the moment the last refusal was."""
        seen = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return f"{seen} (the last refusal after {max(self.refused_at - moment, 0):.1f} s)" if self.refused_at else seen


@dataclass
class Load:
    """People who buy and read, and one who owns `game` and rates, starts and cancels it; what they were told."""

    town: Town
    users: list[Api]
    player: Api
    game: str
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    reads: Told = field(default_factory=Told)
    writes: Told = field(default_factory=Told)
    arrived: int = 0
    """Of the acknowledged purchases, how many were in their libraries when that was last looked at."""

    async def buy(self) -> None:
        while True:
            await self._room()
            for api in self.users:
                product_id = str(uuid.uuid4())
                self.tried[api.user_id, product_id] += 1
                try:
                    await _sell(self.town, api.user_id, product_id)
                except (grpc.aio.AioRpcError, PlatformAway):
                    continue  # it may have been sold: the answer was lost
                self.acknowledged.setdefault(api.user_id, []).append(product_id)
            await asyncio.sleep(BUY_PAUSE_SECONDS)

    async def read(self) -> None:
        while True:
            for api in self.users:
                for path in (ITEMS, DOWNLOADS):
                    self.reads.note(await api.get(path))
            await asyncio.sleep(READ_PAUSE_SECONDS)

    async def change(self) -> None:
        item = f"{ITEMS}/{(await self.player.owns(self.game))['id']}"
        rating = {"data": {"type": "libraryItemUpdate", "attributes": {"user_rating": 5}}}
        while True:
            self.writes.note(await self.player.call("PATCH", item, body=rating))
            started = await self.player.start(self.game, device_id=str(uuid.uuid4()))
            self.writes.note(started)
            if started.status == 202:
                self.writes.note(await self.player.call("DELETE", f"{DOWNLOADS}/{started.data['id']}"))
            await asyncio.sleep(WRITE_PAUSE_SECONDS)

    async def _room(self) -> None:
        """Waits while too many purchases are on their way: how many an outage leaves behind must not depend on how long this
        machine takes to start a server.
        """
        while self.sold - self.arrived >= MAX_WAITING_PURCHASES:
            sold = self.sold
            self.arrived = sold - await self._missing(self.bought())
            await asyncio.sleep(COUNT_PAUSE_SECONDS)

    @property
    def sold(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    async def owned(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {api.user_id: Counter() for api in self.users}
        for row in await self.town.rows("library", "SELECT user_id, product_id FROM user_library_items"):
            if str(row["user_id"]) in found:
                found[str(row["user_id"])][str(row["product_id"])] += 1
        return found

    def bought(self) -> dict[str, list[str]]:
        """What was acknowledged so far, by user."""
        return {user: list(products) for user, products in self.acknowledged.items()}

    async def until_there(self, bought: Mapping[str, Sequence[str]]) -> None:
        """Waits until these purchases are in their libraries."""
        await until_none_is_left(lambda: self._missing(bought), "acknowledged purchases are missing")

    async def _missing(self, bought: Mapping[str, Sequence[str]]) -> int:
        try:
            owned = await self.owned()
        except (OSError, asyncpg.PostgresError):
            return sum(map(len, bought.values()))
        return sum(len(set(products) - set(owned[user])) for user, products in bought.items())


async def until_none_is_left(left: Callable[[], Awaitable[int]], what: str) -> None:
    """Waits as long as they become fewer: how fast that goes is the machine's affair."""
    fewest, since = None, time.monotonic()
    while found := await left():
        if fewest is None or found < fewest:
            fewest, since = found, time.monotonic()
        assert time.monotonic() - since < STALL_SECONDS, f"{found} of them for {STALL_SECONDS:.0f} s: {what}"
        await asyncio.sleep(COUNT_PAUSE_SECONDS)


async def _sell(town: Town, user_id: str, product_id: str) -> None:
    titles = product_pb2.LocalizedText(ru="Игра", en="Game")
    product = product_pb2.Product(product_id=product_id, titles=titles, product_type="game", currency="RUB")
    async with sandbox_stub(town.platform.private) as stub:
        await stub.PutProduct(sandbox_pb2.PutProductRequest(product=product))
        await stub.Buy(sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[product_id]))
