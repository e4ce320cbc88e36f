"""Drives the announcements of new versions: a look every second, and on with what is not done. Started by main."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from logging import getLogger
from typing import Protocol

from chassis.errors import DomainError

POLL_SECONDS = 1.0
PAUSE_AFTER_FAILURE_SECONDS = 5.0

_log = getLogger(__name__)


class Announce(Protocol):
    """application.announcements.announce_pending with its ports."""

    def __call__(self, *, now: datetime) -> Awaitable[None]: ...


async def run(announce: Announce, now: Callable[[], datetime]) -> None:
    """Runs until cancelled; what fails is tried again."""
    while True:
        pause_seconds = POLL_SECONDS
        try:
            await announce(now=now())
        except DomainError as error:
            _log.warning("new versions cannot be announced now", extra={"reason": error.reason})
            pause_seconds = PAUSE_AFTER_FAILURE_SECONDS
        await asyncio.sleep(pause_seconds)
