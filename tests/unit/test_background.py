"""chassis.concurrency.background: nothing that a step raises ends a job."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from chassis.concurrency.background import attempt, background, repeat
from chassis.errors import DomainError, Kind

AWAY = DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
FAILURES = [
    ValueError(),
    OverflowError("date value out of range"),
    OSError(28, "full"),
    AWAY,
    DomainError(Kind.INTERNAL, "INTERNAL_ERROR"),
    asyncio.CancelledError(),
    ExceptionGroup("many", [ValueError(), ExceptionGroup("more", [AWAY, KeyError()])]),
    RecursionError(),
]


def failing(*failures: BaseException, then: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """A step that raises these, one after the other, and works after them."""
    left = list(failures)

    async def step() -> None:
        if left:
            raise left.pop(0)
        then.set()

    return step


def counted(job: str) -> float:
    return REGISTRY.get_sample_value("job_failures_total", {"job": job}) or 0.0


async def test_whatever_a_step_raises_it_comes_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.concurrency.background.LAST_PAUSE_SECONDS", 0.001)
    works = asyncio.Event()
    async with background(repeat("a job", failing(*FAILURES, then=works), pause_seconds=0)), asyncio.timeout(60):
        await works.wait()
    assert counted("a job") == len(FAILURES) + 2


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_an_attempt_says_whether_it_worked(failure: BaseException):
    step = failing(failure, then=asyncio.Event())
    assert not await attempt("another job", step)
    assert await attempt("another job", step)


async def test_a_job_ends_when_it_is_cancelled():
    begun, waits = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        begun.set()
        await waits.wait()

    job = asyncio.create_task(repeat("a job", step, pause_seconds=0))
    await begun.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
