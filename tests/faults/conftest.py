"""The whole platform, with two CDNs that misbehave as a test tells them. Each test takes users of its own."""

import asyncio
import json
import os
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import grpc
import pytest
from samovar.sandbox.v1 import sandbox_pb2

from sandbox.client import sandbox_stub
from tests.e2e.clients import DOWNLOADS, ITEMS, Api, CommandLine, Shop, until
from tests.e2e.running import Platform, start_platform, stop_platform
from tests.e2e.trees import make_tree
from tests.faults.origin import Origins
from tests.faults.programs import BACK_SECONDS
from tests.faults.truth import rows

SEED_VARIABLE = "SAMOVAR_FAULTS_SEED"
TOKEN_SECONDS = 24 * 3600


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Printed with a failure; SAMOVAR_FAULTS_SEED makes it happen again."""
    chosen = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED_VARIABLE}={chosen}")
    return chosen


@pytest.fixture(scope="session")
def all_origins() -> Iterator[Origins]:
    origins = Origins()
    origins.start()
    yield origins
    origins.stop()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, all_origins: Origins) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("platform") / "home"
    cdns = f"download.CDN_PROVIDERS={all_origins.providers()}"
    often = "library.PLAYTIME_HEARTBEAT_INTERVAL_SECONDS=1"
    # What takes long on a busy machine is no fault; rows that a test holds, and what is killed, hold calls up as well.
    patience = "gateway.GRPC_DEADLINE_SECONDS=20"
    running = start_platform(home, "--raw-logs", "--set", cdns, "--set", often, "--set", patience)
    all_origins.upstream = running.private["sandbox_http_url"]
    yield running
    left = stop_platform(running)
    assert left == [], "the platform left processes behind"


@pytest.fixture
def origins(all_origins: Origins) -> Iterator[Origins]:
    all_origins.reset()
    yield all_origins
    all_origins.reset()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
    await asyncio.sleep(0)  # let the transports close before the loop does


async def is_well(platform: Platform, http: aiohttp.ClientSession) -> None:
    """Returns when everything answers again, after what an earlier test did: the gateway's breakers may still be open then."""
    gateway, token = platform.ready["gateway_url"], platform.user("anna")["token"]
    urls = (
        f"{gateway}/readyz",
        f"{platform.private['sandbox_http_url']}/.well-known/jwks.json",
        f"{gateway}{ITEMS}?limit=1",
        f"{gateway}{DOWNLOADS}?limit=1",
    )

    async def answers() -> bool:
        try:
            for url in urls:
                headers = {"Authorization": f"Bearer {token}"} if url.startswith(f"{gateway}/api/") else {}
                async with http.get(url, headers=headers) as answer:
                    if answer.status != 200:
                        return False
            await rows(platform, "events", "SELECT 1")
            async with sandbox_stub(platform.private) as stub:
                await stub.ListProducts(sandbox_pb2.ListProductsRequest())
        except (OSError, aiohttp.ClientError, asyncpg.PostgresError, grpc.aio.AioRpcError, TimeoutError):
            return False
        return True

    await until(answers, "the platform did not come back", BACK_SECONDS)


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform.private)


@dataclass(frozen=True)
class User:
    """Somebody with a token, and a launcher of their own."""

    id: str
    api: Api
    samovar: CommandLine


class Town:
    """Where users come from."""

    def __init__(self, platform: Platform, http: aiohttp.ClientSession, folder: Path) -> None:
        self._platform = platform
        self._http = http
        self._folder = folder

    async def new_user(self) -> User:
        user_id = str(uuid.uuid4())
        async with sandbox_stub(self._platform.private) as stub:
            request = sandbox_pb2.IssueTokenRequest(user_id=user_id, roles=["user"], ttl_seconds=TOKEN_SECONDS)
            token = (await stub.IssueToken(request)).token
        api = Api(self._platform.ready["gateway_url"], token, self._http)
        return User(user_id, api, self.new_launcher(token))

    def new_launcher(self, token: str) -> CommandLine:
        """A device of its own: another configuration, signed in by environment."""
        launcher = CommandLine(self._platform.home, self._folder / f"config-{uuid.uuid4().hex[:8]}")
        launcher.environment["SAMOVAR_TOKEN"] = token
        launcher.environment["SAMOVAR_GATEWAY"] = self._platform.ready["gateway_url"]
        return launcher


@pytest.fixture
async def town(platform: Platform, http: aiohttp.ClientSession, tmp_path: Path) -> Town:
    await is_well(platform, http)
    return Town(platform, http, tmp_path)


@pytest.fixture
async def user(town: Town) -> User:
    return await town.new_user()


@dataclass(frozen=True)
class Game:
    """A published product and the tree that it was made of."""

    product_id: str
    source: Path
    platform: Platform

    async def given_to(self, user: User, shop: Shop) -> None:
        """Bought, in the library, and known to the Download Service."""

        async def is_bought() -> bool:
            try:
                await shop.buy(user.id, self.product_id)
            except grpc.aio.AioRpcError as error:
                # The sandbox, too, may still find connections that a test before has cut.
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return False
            return True

        await until(is_bought, "the sandbox sells nothing", BACK_SECONDS)
        await user.api.owns(self.product_id)
        statement = "SELECT FROM product_versions WHERE product_id = $1"
        await until(lambda: rows(self.platform, "download", statement, self.product_id), "the version is not known")


class Publisher:
    """Publishes trees for the tests of a session."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._samovar = CommandLine(platform.home, folder / "publisher")

    async def publish(self, source: Path) -> Game:
        name = f"game-{uuid.uuid4().hex[:8]}"
        return Game((await self._samovar.publish(source, name, "1.0"))["product_id"], source, self._platform)


@pytest.fixture(scope="session")
def game(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Game:
    """One for all tests that have no wish of their own: each installs it for a user of its own."""
    folder = tmp_path_factory.mktemp("game")
    source = make_tree(folder / "source", "faults")
    # In a thread, because an event loop may be running where a fixture is first asked for.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(Publisher(platform, folder).publish(source))).result()


@pytest.fixture
def publisher(platform: Platform, tmp_path: Path) -> Publisher:
    return Publisher(platform, tmp_path)


def last_line(out: str) -> dict[str, object]:
    """What a command with --json says at its end."""
    found: dict[str, object] = json.loads(out.strip().splitlines()[-1])
    return found
