"""How a user finds titles: word by word, in whatever order, each from the beginning of a word, or anywhere in one when it is long
enough to mean something; and when nothing is found that way, with one typing error in each longer word. ADR 6.

Titles and searches are compared as keys: the letters of both alphabets as a to z, so that PostgreSQL's trigrams, which know other
letters only in some locales, can index them anywhere. Called by the readers of items.
"""

import re
from dataclasses import dataclass
from typing import Final

from library_svc.catalog.domain import folded

STAND_INS: Final = {
    **dict(zip("абвгдежзийклмнопрстуфхцчшщыэюя", "abvgdejziiklmnoprstufhcqwwiexy", strict=True)),
    **dict(zip("іїєґў", "iiegu", strict=True)),
    **dict(zip("øłđðæœþı", "olddeeti", strict=True)),
}
"""One letter for each, so that a typing error is one letter of the key too. Letters that are taken for each other are one: и, й, ы;
е, э; ш, щ.
"""
LEFT_OUT: Final = "ьъ'’ʼ`´"
"""What people leave out."""

ANY: Final = "_"
"""Stands for any one character in a part, as it does for LIKE."""

LETTERS_WITHIN_A_WORD: Final = 3
"""So many letters are found inside of words too; fewer are found in everything."""
LETTERS_WITH_AN_ERROR: Final = 4
"""The shortest word that may have a typing error: with one letter unsure, fewer say nothing."""
MAX_LETTERS_WITH_AN_ERROR: Final = 32
"""The longest: each letter is some more ways to read the word."""

_KEY_LETTERS: Final = str.maketrans(STAND_INS) | dict.fromkeys(map(ord, LEFT_OUT))
_NOT_OF_A_KEY: Final = re.compile("[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class TitleSearch:
    """What a user looks for. Without words it is compared as it is, by its folded form: signs, and other alphabets.

    Attributes:
        folded: the text as it was typed, folded.
        words: the words of its key.
    """

    folded: str
    words: tuple[str, ...]


def title_search(text: str) -> TitleSearch:
    """The search that the text means."""
    plain = folded(text)
    key = plain.translate(_KEY_LETTERS)
    is_of_our_alphabets = all(letter.isascii() for letter in key if letter.isalnum())
    words = _NOT_OF_A_KEY.sub(" ", key).split() if is_of_our_alphabets else ()
    return TitleSearch(plain, tuple(dict.fromkeys(words)))


def title_key(folded_ru: str | None, folded_en: str | None) -> str:
    """The key of a product's titles: words between single spaces. The database makes the same (migration 0008)."""
    return _NOT_OF_A_KEY.sub(" ", f" {folded_ru or ''} {folded_en or ''} ".translate(_KEY_LETTERS))


def part(word: str) -> str:
    """What the key of a title has in it if the title has the word."""
    return word if len(word) >= LETTERS_WITHIN_A_WORD else f" {word}"


def misspelt_parts(word: str) -> tuple[str, ...]:
    """What keys may have in them if the word has at most one error: a letter that is wrong, missing, too much, or swapped with the
    next. A number is no misspelling of another.
    """
    if word.isdigit() or not LETTERS_WITH_AN_ERROR <= len(word) <= MAX_LETTERS_WITH_AN_ERROR:
        return (part(word),)
    places = range(len(word))
    wrong = (word[:place] + ANY + word[place + 1 :] for place in places)
    missing = (word[:place] + ANY + word[place:] for place in places)
    swapped = (word[:place] + word[place + 1] + word[place] + word[place + 2 :] for place in places[:-1])
    # Of a word of four letters, three are too few to go by.
    too_much = (word[:place] + word[place + 1 :] for place in places if len(word) > LETTERS_WITH_AN_ERROR)
    variants = (f" {variant}" for way in (wrong, missing, swapped, too_much) for variant in way)
    return tuple(dict.fromkeys((part(word), *variants)))


def has_part(key: str, wanted: str) -> bool:
    """Whether the part is in the key: what LIKE with `%` around the part says."""
    return re.search(wanted.replace(ANY, "."), key) is not None
