"""One migrated database and one event log for all tests of this folder, and a running service for each test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.postgres.migrations import upgrade
from tests.component.download.rig import Rig, rig


@pytest.fixture(scope="session")
def download_dsns(new_database, postgres_url) -> tuple[str, str]:
    async def prepare() -> tuple[str, str]:
        dsn = await new_database("download")
        await upgrade(dsn, "download_svc")
        return dsn, await new_database("events")

    with asyncio.Runner() as runner:
        return runner.run(prepare())


@pytest.fixture
async def service(tmp_path: Path, download_dsns: tuple[str, str], valkey_url: str) -> AsyncIterator[Rig]:
    postgres_dsn, events_dsn = download_dsns
    redis_addr = valkey_url.removeprefix("redis://").partition("/")[0]
    async with rig(tmp_path, postgres_dsn=postgres_dsn, events_dsn=events_dsn, redis_addr=redis_addr) as running:
        yield running
