"""What a search means: words, keys, and what counts as one typing error."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from library_svc.items.search import (
    LETTERS_WITH_AN_ERROR,
    MAX_LETTERS_WITH_AN_ERROR,
    STAND_INS,
    also_meant,
    has_part,
    misspelt_parts,
    part,
    title_key,
    title_search,
)
from library_svc.text import folded

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
        search = title_search(text)
        assert all(any(has_part(key, one) for one in word.parts) for word in search.words)
        assert all(other in folded(ru) or other in folded(en) for other in search.others)
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
        ("東方 project", ("project",)),
        ("", ()),
        # "And" is a sign in one title and nothing in another.
        ("Ratchet and Clank", ("ratchet", "clank")),
        ("Ratchet & Clank", ("ratchet", "clank")),
        ("Рэтчет и Кланк", ("retqet", "klank")),
        ("и", ("i",)),
        ("and", ("and",)),
        ("Andor и", ("andor",)),
        # Initials and numbers are one word, however they are separated.
        ("S.T.A.L.K.E.R. 2", ("stalker", "2")),
        ("40,000", ("40000",)),
        ("40 000", ("40000",)),
        ("1.5 2,5", ("1", "5", "2")),
    ],
)
def test_the_words_of_a_search(text: str, found: tuple[str, ...]):
    search = title_search(text)

    assert (tuple(word.key for word in search.words), search.folded) == (found, folded(text))


@pytest.mark.parametrize(
    ("title", "meant"),
    [
        ("S.T.A.L.K.E.R. 2: Сердце Чернобыля", {"stalker"}),
        ("F.E.A.R. 3", {"fear"}),
        ("Т.Р.О.Н", {"tron"}),
        ("Final Fantasy VII", {"7"}),
        ("Final Fantasy Ⅶ", {"7"}),
        ("GTA V", {"5"}),
        ("Quest for Glory I: So You Want", {"1"}),
        ("Mega Man X XXXIX", {"10", "39"}),
        ("Warhammer 40,000: Dawn of War", {"40000", "40k"}),
        ("Warhammer 40\u00a0000", {"40000", "40k"}),
        ("Warhammer 40000", {"40k"}),
        ("Warhammer 40K", {"40000"}),
        # What only looks like it.
        ("I, Robot", set()),
        ("Can I Play", set()),
        ("V Rising", set()),
        ("X-COM", set()),
        ("Mix Vivid IIII", set()),
        ("Half-Life 1.5", set()),
        ("Street Fighter 2077 x40", set()),
        ("В небе и в море", set()),
        ("東.方", set()),
    ],
)
def test_what_a_title_also_means(title: str, meant: set[str]):
    assert set(also_meant(folded(title)).split()) == meant


@pytest.mark.parametrize(
    ("typed", "title", "is_found"),
    [
        ("vii", "final fantasy vii", True),
        ("vii", "final fantasy 7", True),
        ("vii", "final fantasy viii", False),
        ("vii", "final fantasy 77", False),
        ("gta v", "gta 5", True),
        ("gta v", "gta vice city", True),
        ("v", "gta 5", False),
        ("в", "gta 5", False),
        ("7", "final fantasy vii", True),
        ("viii", "final fantasy xiii", False),
    ],
)
def test_numbers_are_one_in_either_numerals(typed: str, title: str, *, is_found: bool):
    for parts in (
        [word.parts for word in title_search(typed).words],
        [w.misspelt_parts for w in title_search(typed).words],
    ):
        assert all(any(has_part(title_key(title, None), one) for one in each) for each in parts) is is_found


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cnfkrth", "сталкер"),
        ("ыефдлук", "stalker"),
        ("dtlmvfr", "ведьмак"),
        ("j,]tpl", "объезд"),
        ("цшесрук 3", "witcher"),
    ],
)
def test_a_slip_of_the_keyboard_is_what_was_meant(typed: str, meant: str):
    assert title_search(meant).words[0].key in [word.key for word in title_search(typed).slipped]


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("chaynik", "Чайник"),
        ("shchuka", "Щука"),
        ("voyna", "Война"),
        ("цивилизация", "Civilizaciya"),
        ("шторм", "Shtorm"),
    ],
)
def test_a_word_is_found_as_it_sounds_in_the_other_alphabet(typed: str, title: str):
    (word,) = title_search(typed).words

    assert any(has_part(title_key(folded(title), None), one) for one in word.misspelt_parts)


def test_both_alphabets_have_stand_ins():
    assert set("абвгдежзийклмнопрстуфхцчшщыэюя") <= set(STAND_INS)
    assert set(STAND_INS.values()) <= set(string.ascii_lowercase)


@pytest.mark.parametrize("word", ["abc", "2077", "x" * (MAX_LETTERS_WITH_AN_ERROR + 1)])
def test_short_words_numbers_and_overlong_words_have_no_errors(word: str):
    assert misspelt_parts(word) == (part(word),)


def test_the_ways_to_misspell_a_word_are_bounded():
    assert len(misspelt_parts("x" * MAX_LETTERS_WITH_AN_ERROR)) <= 4 * MAX_LETTERS_WITH_AN_ERROR
