"""Which CDN is asked: the server's order, past those that fail."""

from datetime import UTC, datetime

from launcher.api.resources import Candidate
from launcher.cdn.cdn import FIRST_REST_SECONDS, Providers

END = datetime(2026, 1, 1, tzinfo=UTC)
NORTH, SOUTH, EAST = (Candidate(name, name, END) for name in ("north", "south", "east"))
ALL = (NORTH, SOUTH, EAST)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_servers_order_stands_while_nothing_fails() -> None:
    assert Providers(clock=Clock()).choose(ALL, {}) is NORTH


def test_one_that_failed_rests_for_every_chunk_and_longer_each_time() -> None:
    clock = Clock()
    providers = Providers(clock=clock)
    providers.failed("north")
    providers.failed("north")
    assert providers.choose(ALL, {}) is SOUTH
    clock.seconds = FIRST_REST_SECONDS
    assert providers.choose(ALL, {}) is NORTH, "failures at the same time count once"
    providers.failed("north")
    clock.seconds += FIRST_REST_SECONDS
    assert providers.choose(ALL, {}) is SOUTH
    clock.seconds += FIRST_REST_SECONDS
    providers.worked("north")
    assert providers.choose(ALL, {}) is NORTH


def test_a_chunk_goes_round_all_of_them_before_it_comes_back() -> None:
    providers, failed, asked = Providers(clock=Clock()), dict[str, int](), []
    for _ in range(6):
        chosen = providers.choose(ALL, failed)
        asked.append(chosen.provider)
        failed[chosen.provider] = failed.get(chosen.provider, 0) + 1
        providers.failed(chosen.provider)
    assert sorted(asked[:3]) == sorted(asked[3:]) == ["east", "north", "south"]


def test_when_all_rest_one_is_asked_all_the_same() -> None:
    providers = Providers(clock=Clock())
    for candidate in ALL:
        providers.failed(candidate.provider)
    assert providers.choose(ALL, {}) is NORTH
