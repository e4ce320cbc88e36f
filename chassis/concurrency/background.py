"""Work that runs beside a block and ends with it: refreshing, watching, relaying. Called by the code that opens such a resource.

A job is a step that is repeated. Whatever a step raises is logged and counted, and the step is repeated: nothing that a row holds
ends a job, and no job ends its program.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from logging import getLogger
from typing import Any

from prometheus_client import Counter

from chassis.errors import DomainError, is_unavailable

LAST_PAUSE_SECONDS = 10.0
"""The longest pause after a step that failed, unless its normal pause is longer."""

_log = getLogger(__name__)

_failures = Counter("job_failures", "What went wrong in work that goes on beside the calls, by the job.", ["job"])


@asynccontextmanager
async def background(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs the jobs while the block runs, cancels them and waits for them at its end. A job that fails ends the block.

    The error of the block, or of the one job that failed, comes out as it is and not wrapped in a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise


async def repeat(job: str, step: Callable[[], Awaitable[object]], *, pause_seconds: float) -> None:
    """Pauses and runs the step, again and again until it is cancelled. `job` is its name in logs and metrics. After failures the
    pause grows to a bound.
    """
    failures = 0
    _failures.labels(job)  # present from the start: an increase from nothing to one is not visible
    while True:
        await asyncio.sleep(max(pause_seconds, min(2.0**failures, LAST_PAUSE_SECONDS)) if failures else pause_seconds)
        failures = 0 if await attempt(job, step) else min(failures + 1, 10)


async def attempt(job: str, step: Callable[[], Awaitable[object]]) -> bool:
    """Runs one step of a job. A step that continues after single failures raises them at its end, in a group.

    Returns:
        Whether it raised nothing.
    """
    error = await failure_of(step)
    if error is None:
        return True
    for each in _leaves(error):
        _failures.labels(job).inc()
        if is_unavailable(each) or isinstance(each, OSError):
            _log.warning("job has to wait", extra={"job": job, "error": repr(each)})
        else:
            _log.error("job failed", exc_info=each, extra={"job": job, "details": _details_of(each)})
    return False


async def failure_of(step: Callable[[], Awaitable[object]]) -> Exception | None:
    """Runs the step and returns what it raised. A cancellation not requested from this task is a failure like any other."""
    try:
        await step()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        failure = RuntimeError("cancelled from within")
        failure.__cause__ = error
        return failure
    except Exception as error:  # noqa: BLE001 - loops decide what every failure of their steps means
        return error
    return None


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _details_of(error: Exception) -> str:
    """Return the notes of the error, such as the row at which it occurred; for a DomainError, its text first."""
    notes = list(getattr(error, "__notes__", ()))
    return "; ".join([str(error), *notes] if isinstance(error, DomainError) else notes)
