"""What a search means: words, keys, and what counts as one typing error."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from library_svc.catalog.domain import folded
from library_svc.items.search import (
    LETTERS_WITH_AN_ERROR,
    MAX_LETTERS_WITH_AN_ERROR,
    STAND_INS,
    has_part,
    misspelt_parts,
    part,
    title_key,
    title_search,
)

words = st.text("abcd7", min_size=1, max_size=7)


def distance(one: str, other: str) -> int:
    """How many letters to change, add, leave out or swap with the next (optimal string alignment)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, other_letter in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (letter != other_letter))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], other_letter):
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def is_meant(word: str, key: str) -> bool:
    """The rule, said without patterns: the word is there, or a word of the key begins with something one error away from it."""
    if part(word) in key:
        return True
    if word.isdigit() or len(word) < LETTERS_WITH_AN_ERROR:
        return False
    shortest = len(word) - (len(word) > LETTERS_WITH_AN_ERROR)
    beginnings = [place + 1 for place, letter in enumerate(key) if letter == " "]
    return any(
        len(begun := key[start : start + length]) == length and distance(word, begun) <= 1
        for start in beginnings
        for length in range(shortest, len(word) + 2)
    )


@given(words, st.lists(words, max_size=3))
@example("abcd", ["acbd"])
@example("abcda", ["abcd"])
@example("abcd", ["abdd", "a"])
def test_the_parts_are_the_rule(word: str, title: list[str]):
    key = title_key(" ".join(title), None)

    assert any(has_part(key, each) for each in misspelt_parts(word)) == is_meant(word, key)


@given(st.text(string.ascii_lowercase, min_size=5, max_size=20), st.data())
def test_a_word_with_one_error_is_found(word: str, data: st.DataObject):
    place = data.draw(st.integers(0, len(word) - 2))
    letter = data.draw(st.sampled_from(string.ascii_lowercase))
    key = title_key(f"the {word} returns", None)
    rest = word[place + 1 :]
    swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    for typed in (word[:place] + letter + rest, word[:place] + letter + word[place:], word[:place] + rest, swapped):
        assert any(has_part(key, each) for each in misspelt_parts(typed))


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_title_is_found_by_itself_and_by_each_of_its_words(ru: str, en: str):
    key = title_key(folded(ru), folded(en))

    for text in (ru, en, *ru.split()):
        assert all(has_part(key, part(word)) for word in title_search(text).words)
    assert set(key) <= set(string.ascii_lowercase + string.digits + " ")
    assert "  " not in key
    assert key[0] == key[-1] == " "


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ведьмак 3", ("vedmak", "3")),
        ("ЁЖ-ёж", ("ej",)),
        ("Ґанок ї є ў", ("ganok", "i", "e", "u")),
        ("Øresund Straße", ("oresund", "strasse")),
        ("Baldur's Gate™", ("baldurs", "gate")),
        ("%_", ()),
        ("東方", ()),
        ("東方 project", ()),
        ("", ()),
    ],
)
def test_the_words_of_a_search(text: str, found: tuple[str, ...]):
    search = title_search(text)

    assert (search.words, search.folded) == (found, folded(text))


def test_both_alphabets_have_stand_ins():
    assert set("абвгдежзийклмнопрстуфхцчшщыэюя") <= set(STAND_INS)
    assert set(STAND_INS.values()) <= set(string.ascii_lowercase)


@pytest.mark.parametrize("word", ["abc", "2077", "x" * (MAX_LETTERS_WITH_AN_ERROR + 1)])
def test_short_words_numbers_and_overlong_words_have_no_errors(word: str):
    assert misspelt_parts(word) == (part(word),)


def test_the_ways_to_misspell_a_word_are_bounded():
    assert len(misspelt_parts("x" * MAX_LETTERS_WITH_AN_ERROR)) <= 4 * MAX_LETTERS_WITH_AN_ERROR
