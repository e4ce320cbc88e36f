"""The read model of products: how pieces merge, which title is shown, how titles compare."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library_svc.catalog.domain import Language, Product
from library_svc.ids import ProductId
from library_svc.text import folded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = ProductId(UUID(int=7))

products = st.builds(
    Product,
    product_id=st.just(ID),
    as_of=st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
    is_complete=st.booleans(),
    title_ru=st.none() | st.text(min_size=1, max_size=3),
    title_en=st.none() | st.text(min_size=1, max_size=3),
    cover_image_url=st.none() | st.text(min_size=1, max_size=3),
    product_type=st.none() | st.just("game"),
)


def test_the_title_is_of_the_callers_language_or_else_of_the_other():
    both = Product(ID, NOON, is_complete=True, title_ru="Ведьмак", title_en="The Witcher")
    assert both.title(Language.RU) == "Ведьмак"
    assert both.title(Language.EN) == "The Witcher"

    english_only = Product(ID, NOON, is_complete=True, title_en="The Witcher")
    assert english_only.title(Language.RU) == "The Witcher"
    assert Product(ID, NOON, is_complete=False).title(Language.RU) is None


def test_an_older_answer_does_not_undo_a_newer_event():
    event = Product(ID, NOON + timedelta(seconds=1), is_complete=False, title_ru="Новое")
    answer = Product(ID, NOON, is_complete=True, title_ru="Старое", title_en="Old", cover_image_url="https://c/1")

    merged = event.merged(answer)

    assert merged.title_ru == "Новое"
    assert merged.title_en == "Old"
    assert merged.is_complete


@given(products, products)
def test_hearing_the_same_twice_changes_nothing(one: Product, other: Product):
    merged = one.merged(other)
    assert merged.merged(other) == merged


@given(products, products)
def test_two_pieces_of_different_times_merge_the_same_in_either_order(one: Product, other: Product):
    if one.as_of != other.as_of:
        assert one.merged(other) == other.merged(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ВЕДЬМАК", "ведьмак"),
        ("Пёс", "ПЕС"),
        ("Pokémon", "pokemon"),
        ("DOOM™", "doom"),
        ("Metro\u00a02033 ", "metro 2033"),
        ("Straße", "STRASSE"),
        ("Ге\u200bрои\ufeff \u00adмеча", "герои меча"),
        ("\u3164Герои\u2800\ufe0f", "герои"),
        ("Ａｂｃ ﬁx", "abc fix"),
        ("Игра ٣", "игра 3"),
        ("3½", "3 ½"),
        ("ги\u200b\u0306", "гй"),
    ],
)
def test_titles_that_people_call_equal_fold_equal(one: str, other: str):
    assert folded(one) == folded(other)


def test_short_i_stays_a_letter_of_its_own():
    assert folded("йод") != folded("иод")
    assert folded("и\u0306од") == folded("йод")


@given(st.text())
def test_folding_twice_is_folding_once(text: str):
    assert folded(folded(text)) == folded(text)
