"""A circuit breaker per backend: a service that mostly fails is left alone for a while, and requests for it are refused at once
instead of each waiting for its own failure. Called by gateway.upstream.backends. (M. Nygard, Release It!, "Circuit Breaker".)
"""

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from chassis.errors import DomainError, Kind

WINDOW_SECONDS = 10.0
FAILURES_TO_OPEN = 10
FAILED_SHARE_TO_OPEN = 0.5
"""Opens when so many calls of a window failed and they are at least this share: one slow method or replica must not do it."""
OPEN_MIN_SECONDS = 1.0
OPEN_MAX_SECONDS = 10.0
"""The longest time without calls; the time doubles whenever the call that tries again fails."""
PROBE_RETRY_SECONDS = 1.0
"""The retry delay for requests that arrive while that call is running."""

FAILURES = frozenset({"SERVICE_UNAVAILABLE", "DEADLINE_EXCEEDED"})
"""Reasons that describe the state of the service and not the request."""

OPEN = Gauge("gateway_breaker_open", "1 while a backend is not called because it mostly fails", ("backend",))
REFUSED = Counter("gateway_breaker_refused_calls", "Calls that an open breaker refused", ("backend",))


class Breaker:
    """Watches the calls to one backend. Closed: all pass. Open: none. After that one passes, and decides."""

    def __init__(self, backend: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._clock = clock
        self._open_until: float | None = None
        self._open_seconds = OPEN_MIN_SECONDS
        self._probing = False
        self._era = 0
        """Counts the changes of state: the outcome of a call that began in an earlier state is ignored."""
        self._window_ends_at = 0.0
        self._calls = 0
        self._failures = 0
        OPEN.labels(backend).set(0)
        REFUSED.labels(backend)

    def check(self) -> None:
        """Raises: DomainError SERVICE_UNAVAILABLE while the breaker is open. For calls that neither probe nor report: streams."""
        now = self._clock()
        if self._open_until is not None and now < self._open_until:
            self._refuse(self._open_until - now)

    def heard_that_it_serves(self) -> None:
        """The service reported that it serves, or a connection to it was opened: the next call may try at once."""
        if self._open_until is not None:
            self._open_until = self._clock()

    def watch(self, *, is_telling: Callable[[DomainError], bool]) -> "_Watch":
        """Around one call: lets it pass and counts its outcome. Not counted are failures for which `is_telling` is false, nor
        cancellations.

        Raises:
            DomainError: SERVICE_UNAVAILABLE, with the time to come back, while the breaker is open (when the block is entered).
        """
        return _Watch(self, is_telling)

    def begin(self) -> int:
        """Lets a call pass; what it gives goes back in with `end`. Raises: DomainError SERVICE_UNAVAILABLE."""
        if self._open_until is not None:
            self.check()
            if self._probing:
                self._refuse(PROBE_RETRY_SECONDS)
            self._probing = True
        return self._era

    def end(self, era: int, raised: BaseException | None, is_telling: Callable[[DomainError], bool]) -> None:
        """Learns from a call that began in `era` and ended with `raised`."""
        if raised is None or (isinstance(raised, DomainError) and raised.reason not in FAILURES):
            self._succeeded(era)
        elif isinstance(raised, DomainError) and is_telling(raised):
            self._failed(era)
        if era == self._era:
            self._probing = False

    def _refuse(self, retry_after_seconds: float) -> None:
        REFUSED.labels(self._backend).inc()
        raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=retry_after_seconds)

    def _succeeded(self, era: int) -> None:
        if era != self._era:
            return
        if self._open_until is None:
            self._count(failures=0)
            return
        self._open_until, self._open_seconds = None, OPEN_MIN_SECONDS
        self._change_state(is_open=False)

    def _failed(self, era: int) -> None:
        if era != self._era:
            return
        if self._open_until is None:
            self._count(failures=1)
            if self._failures < FAILURES_TO_OPEN or self._failures < self._calls * FAILED_SHARE_TO_OPEN:
                return
        else:
            self._open_seconds = min(self._open_seconds * 2, OPEN_MAX_SECONDS)
        self._open_until = self._clock() + self._open_seconds
        self._change_state(is_open=True)

    def _count(self, *, failures: int) -> None:
        now = self._clock()
        if now >= self._window_ends_at:
            self._window_ends_at = now + WINDOW_SECONDS
            self._calls = self._failures = 0
        self._calls += 1
        self._failures += failures

    def _change_state(self, *, is_open: bool) -> None:
        self._era += 1
        self._probing = False
        self._window_ends_at = 0.0
        OPEN.labels(self._backend).set(int(is_open))


class _Watch:
    """One call under a breaker's eyes. A generator's context manager would cost three times as much, for every request."""

    __slots__ = ("_breaker", "_era", "_is_telling")

    def __init__(self, breaker: Breaker, is_telling: Callable[[DomainError], bool]) -> None:
        self._breaker = breaker
        self._is_telling = is_telling
        self._era = 0

    def __enter__(self) -> None:
        self._era = self._breaker.begin()

    def __exit__(self, _: object, raised: BaseException | None, __: object) -> None:
        self._breaker.end(self._era, raised, self._is_telling)
