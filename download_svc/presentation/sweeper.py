"""Drives the sweeps: one after the other, with a pause between. Started by main."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from logging import getLogger
from typing import Protocol

from chassis.errors import DomainError

SWEEP_SECONDS = 5.0
PAUSE_AFTER_FAILURE_SECONDS = 15.0

_log = getLogger(__name__)


class Sweep(Protocol):
    """application.sweeps.sweep with its ports."""

    def __call__(self, *, now: datetime) -> Awaitable[None]: ...


async def run(sweep: Sweep, now: Callable[[], datetime], *, pause_seconds: float = SWEEP_SECONDS) -> None:
    """Runs until cancelled; what fails is tried again."""
    while True:
        wait_seconds = pause_seconds
        try:
            await sweep(now=now())
        except DomainError as error:
            _log.warning("downloads cannot be swept now", extra={"reason": error.reason})
            wait_seconds = PAUSE_AFTER_FAILURE_SECONDS
        except Exception:  # noqa: BLE001  # the job goes on, whatever was wrong with one sweep
            _log.exception("a sweep of downloads failed")
            wait_seconds = PAUSE_AFTER_FAILURE_SECONDS
        await asyncio.sleep(wait_seconds)
