"""Readiness of the program: named checks of everything it depends on. Feeds gRPC health and the gateway's /readyz."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from logging import getLogger

from prometheus_client import Gauge

CHECK_TIMEOUT_SECONDS = 2.0

_log = getLogger(__name__)

_up = Gauge("dependency_up", "1 while what the program depends on answers.", ["dependency"])

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency answers, raises whatever it likes when it does not."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One dependency: `error` is None when it is well, otherwise the kind of failure, safe to show."""

    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


class Readiness:
    """The checks of one program. A program without checks is ready."""

    def __init__(self, *, timeout_seconds: float = CHECK_TIMEOUT_SECONDS) -> None:
        self._checks: dict[str, Check] = {}
        self._failing: set[str] = set()
        self._timeout_seconds = timeout_seconds

    def add(self, name: str, check: Check) -> None:
        self._checks[name] = check

    async def report(self) -> Mapping[str, CheckResult]:
        """Runs every check at once, each under its own deadline. Never raises for a failing check."""
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._run(name, check)) for name, check in self._checks.items()}
        return {name: task.result() for name, task in tasks.items()}

    async def ready(self) -> bool:
        return all(result.ok for result in (await self.report()).values())

    async def _run(self, name: str, check: Check) -> CheckResult:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await check()
        except Exception as error:  # noqa: BLE001  a check may fail in any way its driver invents
            _up.labels(name).set(0)
            # Said once per outage: health asks every second.
            if name not in self._failing:
                self._failing.add(name)
                _log.warning("dependency away", extra={"dependency": name, "error": str(error)}, exc_info=error)
            return CheckResult(type(error).__name__)
        _up.labels(name).set(1)
        if name in self._failing:
            self._failing.discard(name)
            _log.info("dependency back", extra={"dependency": name})
        return CheckResult()
