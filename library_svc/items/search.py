"""The search for titles: word by word, in whatever order, each from the beginning of a word, or anywhere in one when it is long
enough to mean something; and when nothing is found that way, with one typing error in each longer word, or with the keyboard in the
other language. ADR 6.

Titles and searches are compared as keys: the letters of both alphabets as a to z, so that PostgreSQL's trigrams, which know other
letters only in some locales, can index them anywhere. A key also has what people type for what is in a title: initials together,
numbers in the other numerals and without separators. Called by the readers of items.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from library_svc.text import folded

STAND_INS: Final = {
    **dict(zip("абвгдежзийклмнопрстуфхцчшщыэюя", "abvgdejziiklmnoprstufhcqwwiexy", strict=True)),
    **dict(zip("іїєґў", "iiegu", strict=True)),
    **dict(zip("øłđðæœþı", "olddeeti", strict=True)),
}
"""One letter for each, so that a typing error is one letter of the key too. Letters that are taken for each other are one: и, й, ы;
е, э; ш, щ.
"""
LEFT_OUT: Final = "ьъ'’ʼ`´"
"""The characters that people leave out."""

ANY: Final = "_"
"""Stands for any one character in a part, as it does for LIKE."""

LETTERS_WITHIN_A_WORD: Final = 3
"""So many letters are found inside of words too; fewer are found in everything."""
LETTERS_WITH_AN_ERROR: Final = 4
"""The shortest word that may have a typing error: with one letter unsure, fewer say nothing."""
MAX_LETTERS_WITH_AN_ERROR: Final = 32
"""The longest: each letter is some more ways to read the word."""
LETTERS_IN_THE_OTHER_ALPHABET: Final = 4
"""The shortest word that is also read as one of the other alphabet, written by its sound."""

MAX_ROMAN: Final = 39
"""The highest number that is read as a Roman numeral; titles do not go beyond, words do."""
_NUMBER_OF: Final = {
    "x" * (number // 10) + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[number % 10]: number
    for number in range(1, MAX_ROMAN + 1)
}

_KEY_LETTERS: Final = str.maketrans(STAND_INS) | dict.fromkeys(map(ord, LEFT_OUT))
_WITHOUT_LEFT_OUT: Final = str.maketrans(dict.fromkeys(LEFT_OUT.replace("ь", "").replace("ъ", "")))
_NOT_OF_A_KEY: Final = re.compile("[^a-z0-9]+")
_OF_A_KEY: Final = re.compile("[a-z0-9]+")

_LETTER: Final = r"[^\W\d_]"
_INITIALS: Final = re.compile(rf"(?<!\w){_LETTER}(?:\.{_LETTER})+(?!\w)")
_GROUPED: Final = re.compile(r"(?<![\w.,])\d{1,3}(?:[ ,.'’]\d{3})+(?!\w)", re.ASCII)
_ROUND_NUMBER: Final = re.compile(r"(?<![\w.,])\d{1,3}(?:000|k)(?!\w|[.,]\d)", re.ASCII)
# One letter alone is a numeral behind a word, and an I only where a name ends: not in "I, Robot" nor "Can I Play".
_ROMAN: Final = re.compile(r"(?<![\w.])(?:[ivx]{2,}|(?<=\w\W)[vx]|(?<=\w\W)i(?=$|[:,(–—-]| [–—-]))(?!\w|\.\w)")
_JOINS: Final = re.compile(r"(?<!\w)(?:and|и)(?!\w)")
_TOKEN: Final = re.compile(r"[^\W_]+")
_OURS_OR_NOT: Final = re.compile(f"[a-z0-9{''.join(STAND_INS)}ьъ]+|[^a-z0-9{''.join(STAND_INS)}ьъ]+")

_BY_SOUND_IN_LATIN: Final = {
    "дж": "j",
    "кс": "x",
    "щ": "sch",
    "ш": "sh",
    "ч": "ch",
    "ж": "zh",
    "ю": "yu",
    "я": "ya",
    "ц": "ts",
    "й": "y",
    "ы": "y",
}
_BY_SOUND_IN_KEY: Final = {
    "shch": "w",
    "sch": "w",
    "sh": "w",
    "ch": "q",
    "zh": "j",
    "kh": "h",
    "ts": "c",
    "yu": "x",
    "ju": "x",
    "ya": "y",
    "ja": "y",
    "yo": "e",
    "jo": "e",
    "ye": "e",
    "j": "i",
    "y": "i",
    "w": "v",
    "x": "ks",
}
_TO_LATIN: Final = re.compile("|".join(_BY_SOUND_IN_LATIN))
_TO_KEY: Final = re.compile("|".join(_BY_SOUND_IN_KEY))

_KEYS_RU: Final = "йцукенгшщзхъфывапролджэячсмитьбю"
_KEYS_EN: Final = "qwertyuiop[]asdfghjkl;'zxcvbnm,."
_TO_RU_KEYS: Final = str.maketrans(_KEYS_EN, _KEYS_RU)
_TO_EN_KEYS: Final = str.maketrans(_KEYS_RU, _KEYS_EN)


@dataclass(frozen=True, slots=True)
class Word:
    """A word that a title has to have.

    Attributes:
        key: in the letters of keys.
        by_sound: as it would be written in the other alphabet, by its sound, if it is another word then.
        number: what it is as a Roman numeral.
    """

    key: str
    by_sound: str | None = None
    number: int | None = None

    @property
    def parts(self) -> Sequence[str]:
        """The parts of which a key has at least one if the title has the word."""
        return [*map(part, self._forms), *self._numbers]

    @property
    def misspelt_parts(self) -> Sequence[str]:
        """The parts of which a key has at least one if the word has at most one error."""
        return list(dict.fromkeys([*(one for form in self._forms for one in misspelt_parts(form)), *self._numbers]))

    @property
    def _forms(self) -> Sequence[str]:
        return [self.key] if self.by_sound is None else [self.key, self.by_sound]

    @property
    def _numbers(self) -> Sequence[str]:
        return [] if self.number is None else [f" {self.number} "]


@dataclass(frozen=True, slots=True)
class TitleSearch:
    """A user's search for titles. Without words and others, its folded form is compared as it is: signs.

    Attributes:
        folded: the text as it was typed, folded.
        words: those of the two alphabets, all of which a title has.
        others: those of other alphabets; a folded title has each of them as it is.
        slipped: the words of the same keys with the keyboard in the other language.
    """

    folded: str
    words: tuple[Word, ...]
    others: tuple[str, ...] = ()
    slipped: tuple[Word, ...] = ()


def title_search(text: str) -> TitleSearch:
    """The search that the text means."""
    plain = folded(text)
    words, others = _words(plain)
    slipped: tuple[Word, ...] = ()
    if words and not others:
        has_cyrillic = any(letter in _KEYS_RU for letter in plain)
        slipped, _ = _words(plain.translate(_TO_EN_KEYS if has_cyrillic else _TO_RU_KEYS))
        if all(len(word.key) < LETTERS_WITH_AN_ERROR for word in slipped):
            slipped = ()
    return TitleSearch(plain, words, others, slipped)


def title_key(folded_ru: str | None, folded_en: str | None) -> str:
    """The key of a product's titles: words between single spaces, those that are spelt in them before those that are also meant.
    The database makes the same of the folded titles and `also_meant` (migration 0010).
    """
    spelt = _NOT_OF_A_KEY.sub(" ", f" {folded_ru or ''} {folded_en or ''} ".translate(_KEY_LETTERS))
    return spelt + also_meant(folded_ru or "") + also_meant(folded_en or "")


def also_meant(folded_title: str) -> str:
    """Return the words that people type for parts of a title, each followed by a space: S.T.A.L.K.E.R. as one word, VII as 7,
    40,000 as 40000 and 40k. (7 is not VII here: a V that is typed would be its beginning.)
    """
    return "".join(f"{word} " for word in dict.fromkeys(_meant_words(folded_title)) if _OF_A_KEY.fullmatch(word))


def _meant_words(title: str) -> Iterator[str]:
    for found in _INITIALS.findall(title):
        yield found.replace(".", "").translate(_KEY_LETTERS)
    for found in _ROMAN.findall(title):
        if found in _NUMBER_OF:
            yield str(_NUMBER_OF[found])
    together = _GROUPED.sub(_digits_together, title)
    if together != title:
        yield from (_digits_together(found) for found in _GROUPED.finditer(title))
    for found in _ROUND_NUMBER.findall(together):
        yield f"{found[:-1]}000" if found.endswith("k") else f"{found[:-3]}k"


def _digits_together(found: re.Match[str]) -> str:
    return re.sub(r"\D", "", found[0])


def _words(plain: str) -> tuple[tuple[Word, ...], tuple[str, ...]]:
    """The words of a folded text, and those of other alphabets."""
    text = _GROUPED.sub(_digits_together, _INITIALS.sub(lambda found: found[0].replace(".", ""), plain))
    # "and" is a sign in one title and nothing in another; alone it is the beginning of something.
    text = text.translate(_WITHOUT_LEFT_OUT)
    unjoined = _JOINS.sub(" ", text)
    text = unjoined if _TOKEN.search(unjoined) else text
    runs = [run for token in _TOKEN.findall(text) for run in _OURS_OR_NOT.findall(token)]
    words = [word for place, run in enumerate(runs) if (word := _word(run, first_time=place == 0)) is not None]
    others = [run for run in runs if not _OF_A_KEY.match(run.translate(_KEY_LETTERS)) and run.strip(LEFT_OUT)]
    return tuple(dict.fromkeys(words)), tuple(dict.fromkeys(others))


def _word(run: str, *, first_time: bool) -> Word | None:
    """The word of letters of ours; None: there are none."""
    key = run.translate(_KEY_LETTERS)
    if not _OF_A_KEY.fullmatch(key):
        return None
    if run in _NUMBER_OF and not (first_time and len(run) == 1):
        return Word(key, number=_NUMBER_OF[run])
    if _is_number(key) or len(key) < LETTERS_IN_THE_OTHER_ALPHABET:
        return Word(key)
    if run.isascii():
        by_sound = _TO_KEY.sub(partial(_sound, _BY_SOUND_IN_KEY), run)
    else:
        by_sound = _TO_LATIN.sub(partial(_sound, _BY_SOUND_IN_LATIN), run).translate(_KEY_LETTERS)
    return Word(key, by_sound if by_sound != key and len(by_sound) >= LETTERS_WITHIN_A_WORD else None)


def _sound(sounds: dict[str, str], found: re.Match[str]) -> str:
    return sounds[found[0]]


def _is_number(word: str) -> bool:
    return word.isdigit() or (len(word) >= LETTERS_WITHIN_A_WORD and word in _NUMBER_OF)


def part(word: str) -> str:
    """Return the part that a title's key contains if the title has the word. VII is not in VIII."""
    if word in _NUMBER_OF and len(word) >= LETTERS_WITHIN_A_WORD:
        return f" {word} "
    return word if len(word) >= LETTERS_WITHIN_A_WORD else f" {word}"


def misspelt_parts(word: str) -> tuple[str, ...]:
    """Return the parts that a key may contain if the word has at most one error: a letter that is wrong, missing, extra, or swapped
    with the next. A number is no misspelling of another.
    """
    if _is_number(word) or not LETTERS_WITH_AN_ERROR <= len(word) <= MAX_LETTERS_WITH_AN_ERROR:
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
    """Return True when the key contains the part, as LIKE does with `%` around the part."""
    return re.search(wanted.replace(ANY, "."), key) is not None
