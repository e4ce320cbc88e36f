"""Places: the limit of each key and of all, and nothing is kept of who is gone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.concurrency.places import Places
from chassis.errors import DomainError

PER_KEY, TOTAL = 2, 4


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_places_are_counted_by_key_and_in_all(steps: list[tuple[str, bool]]):
    places = Places(PER_KEY, total=TOTAL)
    taken: Counter[str] = Counter()
    for key, is_coming in steps:
        if is_coming:
            has_room = taken[key] < PER_KEY and taken.total() < TOTAL
            try:
                places.take(key)
            except DomainError as error:
                assert (error.reason, has_room) == ("RATE_LIMIT_EXCEEDED", False)  # noqa: PT017  both ways are right
            else:
                assert has_room
                taken[key] += 1
        elif taken[key]:
            places.free(key)
            taken[key] -= 1
        assert len(places) == taken.total()
    assert places._taken == +taken


def test_a_block_gives_its_place_back_however_it_ends():
    places = Places(1)
    with pytest.raises(KeyError), places.taken("a"):
        raise KeyError
    with places.taken("a"), pytest.raises(DomainError):
        places.take("a")
    assert len(places) == 0
