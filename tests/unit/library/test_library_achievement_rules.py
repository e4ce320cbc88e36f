"""What gets a user further with an achievement, and how rare one is."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Kind
from library_svc.achievements.domain import (
    Achievement,
    AlreadyUnlocked,
    Definition,
    Increment,
    SetTo,
    rarity_percentage,
)
from library_svc.catalog.domain import Language
from library_svc.ids import AchievementId, ProductId, UserId

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAX_INT32 = 2**31 - 1


def defined(total: int = 1, **texts: str) -> Definition:
    return Definition(ProductId(uuid4()), AchievementId(uuid4()), 0, total, **texts)


def achievement(progress: int = 0) -> Achievement:
    return Achievement(UserId(uuid4()), AchievementId(uuid4()), ProductId(uuid4()), current_progress=progress)


@pytest.mark.parametrize(
    ("known", "step", "reached"),
    [
        (0, SetTo(3), 3),
        (3, SetTo(3), 3),
        (3, SetTo(1), 3),
        (3, SetTo(0), 3),
        (3, Increment(1), 4),
        (3, Increment(6), 9),
    ],
)
def test_progress_goes_on_and_never_back(known: int, step: SetTo | Increment, reached: int):
    after = achievement(known).advanced(step, defined(10), NOON)
    assert (after.current_progress, after.total_progress_needed, after.is_unlocked) == (reached, 10, False)
    assert after.unlocked_at is None


@pytest.mark.parametrize("step", [SetTo(10), SetTo(MAX_INT32), Increment(7), Increment(MAX_INT32)])
def test_at_the_total_it_is_unlocked_and_no_further(step: SetTo | Increment):
    after = achievement(3).advanced(step, defined(10), NOON)
    assert (after.current_progress, after.is_unlocked, after.unlocked_at) == (10, True, NOON)
    with pytest.raises(AlreadyUnlocked) as refused:
        after.advanced(Increment(1), defined(10), NOON)
    assert (refused.value.kind, refused.value.reason) == (Kind.FAILED_PRECONDITION, "ACHIEVEMENT_ALREADY_UNLOCKED")


def test_a_total_that_catalog_lowered_unlocks_with_the_next_step():
    after = achievement(8).advanced(SetTo(0), defined(5), NOON)
    assert (after.current_progress, after.is_unlocked) == (5, True)


@given(st.lists(st.one_of(st.builds(SetTo, st.integers(0, 30)), st.builds(Increment, st.integers(1, 9))), max_size=20))
def test_whatever_comes_the_progress_is_within_its_bounds(steps: list[SetTo | Increment]):
    known, definition = achievement(), defined(20)
    for step in steps:
        before = known.current_progress
        try:
            known = known.advanced(step, definition, NOON)
        except AlreadyUnlocked:
            assert before == 20
        assert before <= known.current_progress <= 20
        assert known.is_unlocked == (known.current_progress == 20) == (known.unlocked_at is not None)


def test_texts_are_in_the_language_or_else_in_the_other_one():
    both, only_ru = defined(name_ru="Мастер", name_en="Master"), defined(name_ru="Мастер", description_ru="Всё")
    assert (both.name(Language.RU), both.name(Language.EN)) == ("Мастер", "Master")
    assert (only_ru.name(Language.EN), only_ru.description(Language.EN)) == ("Мастер", "Всё")
    assert defined().name(Language.RU) is None


@pytest.mark.parametrize(
    ("unlocked", "players", "percentage"), [(0, 0, 0.0), (3, 0, 0.0), (1, 3, 33.33), (3, 3, 100.0), (4, 3, 100.0)]
)
def test_rarity_is_a_share_of_those_who_played(unlocked: int, players: int, percentage: float):
    assert rarity_percentage(unlocked, players) == percentage
