"""Readiness: every check at once, none endless, no text of a driver outside."""

import asyncio

import pytest

from chassis.concurrency.background import background
from chassis.grpc_server.readiness import Readiness


async def fine() -> None:
    return None


async def test_a_program_without_checks_is_ready():
    assert await Readiness().ready()


async def test_one_failing_check_makes_the_program_unready_and_is_named():
    async def broken() -> None:
        raise OSError("password=hunter2")

    readiness = Readiness()
    readiness.add("database", broken)
    readiness.add("cache", fine)
    report = await readiness.report()
    assert not await readiness.ready()
    assert (report["database"].ok, report["database"].error) == (False, "OSError")
    assert report["cache"].ok


async def test_a_check_that_hangs_fails_at_its_deadline_and_holds_nobody_up():
    readiness = Readiness(timeout_seconds=0.05)
    for name in ("a", "b", "c"):
        readiness.add(name, asyncio.Event().wait)  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        report = await readiness.report()
    assert {result.error for result in report.values()} == {"TimeoutError"}


async def test_an_outage_is_logged_once_and_its_end_once(caplog):
    caplog.set_level("INFO")
    away = True

    async def check() -> None:
        if away:
            raise OSError

    readiness = Readiness()
    readiness.add("database", check)
    for _ in range(3):
        await readiness.report()
    away = False
    for _ in range(3):
        await readiness.report()
    assert [record.message for record in caplog.records] == ["dependency away", "dependency back"]


async def test_background_work_ends_with_its_block():
    ended = asyncio.Event()

    async def job() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with background(job()):
        await asyncio.sleep(0)
    assert ended.is_set()


async def test_background_work_that_fails_ends_the_block_with_its_own_error():
    async def job() -> None:
        raise LookupError("job")

    with pytest.raises(LookupError, match="job"):
        async with background(job()):
            await asyncio.Event().wait()


async def test_the_blocks_own_error_is_not_wrapped():
    with pytest.raises(KeyError):
        async with background(asyncio.Event().wait()):  # type: ignore[arg-type]
            raise KeyError("mine")
