"""The whole platform as real processes, started once: `samovar up` on free ports, in a folder of its own."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
from samovar.sandbox.v1 import sandbox_pb2

from sandbox.client import sandbox_stub
from tests.e2e.clients import Api, CommandLine, Shop
from tests.e2e.running import Platform, start_platform, stop_platform

LARGE_PIECES_GO_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""To the kernel when they are freed. Else the C library keeps a hundred MiB of them, more and less by turns, and no test could see
whether a program's memory grows.
"""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    # What takes long on a busy machine is no fault; that calls end in time has tests of its own (tests/component/gateway).
    patience = "gateway.GRPC_DEADLINE_SECONDS=20"
    home = tmp_path_factory.mktemp("platform") / "home"
    running = start_platform(home, "--raw-logs", "--set", patience, environment=LARGE_PIECES_GO_BACK)
    yield running
    left = stop_platform(running)
    assert left == [], "the platform left processes behind"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
    await asyncio.sleep(0)  # let the transports close before the loop does


@pytest.fixture
def anna(platform: Platform, http: aiohttp.ClientSession) -> Api:
    return Api(platform.ready["gateway_url"], platform.user("anna")["token"], http)


@pytest.fixture
def boris(platform: Platform, http: aiohttp.ClientSession) -> Api:
    return Api(platform.ready["gateway_url"], platform.user("boris")["token"], http)


@pytest.fixture
def samovar(platform: Platform, tmp_path: Path) -> CommandLine:
    return CommandLine(platform.home, tmp_path / "config")


class IssueToken(Protocol):
    """Has the Auth stand-in issue a token: the fields of its request."""

    async def __call__(self, **fields: Any) -> str: ...


@pytest.fixture
def issue_token(platform: Platform) -> IssueToken:
    async def issue(**fields: Any) -> str:
        async with sandbox_stub(platform.private) as stub:
            return (await stub.IssueToken(sandbox_pb2.IssueTokenRequest(**fields))).token

    return issue


@pytest.fixture
def new_user(platform: Platform, http: aiohttp.ClientSession, issue_token: IssueToken) -> Callable[[], Awaitable[Api]]:
    """Makes users of a test's own, for tests that write much: budgets and lists are each user's."""

    async def make() -> Api:
        return Api(platform.ready["gateway_url"], await issue_token(user_id=str(uuid.uuid4())), http)

    return make


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform.private)
