"""The limit: bytes pass at the rate, pauses are made good only so far."""

import pytest

from launcher.cdn.limiter import Limiter, limiter_of


class Time:
    """A clock that moves only by being slept on."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("rate", [1_000.0, 125_000.0, 12_500_000.0])
async def test_the_average_is_the_rate(rate: float) -> None:
    time = Time()
    limiter = Limiter(rate, clock=time.clock, sleep=time.sleep)
    for size in (1, 16_384, 777, 100_000) * 50:
        await limiter.take(size)
    assert (1 + 16_384 + 777 + 100_000) * 50 / (time.now - 100) == pytest.approx(rate)


async def test_a_short_pause_is_made_good_and_a_long_one_only_by_a_second() -> None:
    time = Time()
    limiter = Limiter(1000, clock=time.clock, sleep=time.sleep)
    await limiter.take(1000)
    time.now += 0.5
    await limiter.take(1000)
    assert time.now == pytest.approx(102)
    time.now += 60
    await limiter.take(1000)
    assert time.now == pytest.approx(162), "the second that was saved is used"
    await limiter.take(1000)
    assert time.now == pytest.approx(163)


def test_zero_is_no_limit_and_a_kilobit_is_a_thousand_bit() -> None:
    assert limiter_of(0) is None
    limiter = limiter_of(8)
    assert limiter is not None
    assert limiter.rate_bytes == 1000
