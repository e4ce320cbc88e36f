"""When the breaker opens, whom it lets try again, when it closes."""

import asyncio

import pytest

from chassis.errors import DomainError, Kind
from gateway.upstream.breaker import (
    FAILURES_TO_OPEN,
    OPEN,
    OPEN_MAX_SECONDS,
    OPEN_MIN_SECONDS,
    REFUSED,
    WINDOW_SECONDS,
    Breaker,
)

AWAY = DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
LATE = DomainError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


class Rig:
    def __init__(self):
        self.now = 1000.0
        self.breaker = Breaker("test", lambda: self.now)

    def call(self, error: BaseException | None = None, *, is_telling: bool = True) -> bool:
        """True when the call was let through."""
        passed = False
        try:
            with self.breaker.watch(is_telling=lambda _: is_telling):
                passed = True
                if error is not None:
                    raise error
        except (DomainError, asyncio.CancelledError):
            pass
        return passed

    def open(self) -> None:
        for _ in range(FAILURES_TO_OPEN):
            assert self.call(AWAY)

    def is_open(self) -> bool:
        return bool(OPEN.labels("test")._value.get())


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("error", [AWAY, LATE])
def test_a_service_that_mostly_fails_is_not_called(rig: Rig, error):
    for _ in range(FAILURES_TO_OPEN):
        assert not rig.is_open()
        assert rig.call(error)
    refused = REFUSED.labels("test")._value.get()
    rig.now += 0.25
    with pytest.raises(DomainError) as raised, rig.breaker.watch(is_telling=lambda _: True):
        pytest.fail("the call was let through")
    assert (raised.value.kind, raised.value.reason) == (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    assert raised.value.retry_after_seconds == OPEN_MIN_SECONDS - 0.25
    assert rig.is_open()
    assert REFUSED.labels("test")._value.get() == refused + 1
    with pytest.raises(DomainError):
        rig.breaker.check()


def test_failures_among_more_successes_do_not_open_it(rig: Rig):
    for _ in range(FAILURES_TO_OPEN * 3):
        assert rig.call()
        assert rig.call()
        assert rig.call(AWAY)
    assert not rig.is_open()


def test_failures_that_lie_far_apart_do_not_open_it(rig: Rig):
    for _ in range(FAILURES_TO_OPEN * 3):
        rig.now += WINDOW_SECONDS / 5
        assert rig.call(AWAY)
    assert not rig.is_open()


@pytest.mark.parametrize(
    "error",
    [
        DomainError(Kind.NOT_FOUND, "DOWNLOAD_NOT_FOUND"),
        DomainError(Kind.INTERNAL, "INTERNAL_ERROR"),
        DomainError(Kind.UNAVAILABLE, "CDN_ERROR"),
        asyncio.CancelledError(),
    ],
)
def test_errors_about_the_request_do_not_open_it(rig: Rig, error):
    for _ in range(FAILURES_TO_OPEN * 3):
        assert rig.call(error)


def test_a_failure_that_tells_nothing_does_not_open_it(rig: Rig):
    for _ in range(FAILURES_TO_OPEN * 3):
        assert rig.call(LATE, is_telling=False)


def test_after_a_while_one_call_may_try_and_its_success_closes_it(rig: Rig):
    rig.open()
    assert not rig.call()
    rig.now += OPEN_MIN_SECONDS
    rig.breaker.check()
    with rig.breaker.watch(is_telling=lambda _: True):
        assert not rig.call(), "only one may try"
    assert not rig.is_open()
    assert rig.call()


def test_each_failed_try_doubles_the_wait_up_to_a_limit(rig: Rig):
    rig.open()
    waits = []
    for _ in range(6):
        started = rig.now
        while not rig.call(AWAY):
            rig.now += 0.5
        waits.append(rig.now - started)
    assert waits == [1.0, 2.0, 4.0, 8.0, OPEN_MAX_SECONDS, OPEN_MAX_SECONDS]
    rig.now += OPEN_MAX_SECONDS
    assert rig.call()
    rig.open()
    rig.now += OPEN_MIN_SECONDS
    assert rig.call()


def test_a_service_that_says_it_serves_is_tried_at_once_and_only_by_one(rig: Rig):
    rig.open()
    rig.breaker.heard_that_it_serves()
    rig.breaker.check()
    with rig.breaker.watch(is_telling=lambda _: True):
        assert not rig.call(), "only one may try"
    assert not rig.is_open()


def test_a_service_that_says_it_serves_and_fails_is_left_alone_again(rig: Rig):
    rig.open()
    rig.breaker.heard_that_it_serves()
    assert rig.call(AWAY)
    assert rig.is_open()
    rig.now += OPEN_MIN_SECONDS
    assert not rig.call()


def test_that_a_service_serves_is_no_news_while_it_is_called(rig: Rig):
    rig.breaker.heard_that_it_serves()
    assert not rig.is_open()
    assert rig.call()


def test_a_try_that_is_cancelled_leaves_the_next_one_to_try(rig: Rig):
    rig.open()
    rig.now += OPEN_MIN_SECONDS
    assert rig.call(asyncio.CancelledError())
    assert rig.is_open()
    assert rig.call()
    assert not rig.is_open()


def test_what_calls_report_that_began_before_it_opened_is_no_news(rig: Rig):
    old = rig.breaker.watch(is_telling=lambda _: True)
    old.__enter__()
    rig.open()
    old.__exit__(None, None, None)
    assert rig.is_open()
    assert not rig.call()
