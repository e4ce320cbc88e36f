"""Comparison and order of texts that people write: invisible characters and the Unicode form are ignored, and numbers are compared
by value. It is computed here and not by the database, whose rules for letters and order depend on how its cluster was created.
"""

import re
import unicodedata
from typing import Final

# Default_Ignorable_Code_Point of Unicode 16, controls that are no space, the marks of interlinear notes, the empty Braille cell.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_TRADE_MARKS: Final = str.maketrans("", "", "™℠®©")
_OWN_LETTERS: Final = frozenset("й")
_DIGITS: Final = re.compile("[0-9]+")

NUMBER_DIGITS: Final = 20
"""Numbers of up to so many digits are ordered by their value."""


def same_to_the_eye(text: str) -> str:
    """The form in which names are one: without what cannot be seen, one of Unicode's forms of each letter, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).split())


def folded(text: str) -> str:
    """The form in which titles are compared: blind to case, accents, ё, trade marks, spacing and what cannot be seen."""
    text = _INVISIBLE.sub("", text).translate(_TRADE_MARKS)
    text = "".join(map(_apart, text))
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(map(_base_letter, text)).split())


def natural(text: str) -> str:
    """The form by which texts are ordered: as they are, but numbers by value. The database makes the same (migration 0010)."""
    return _DIGITS.sub(lambda found: found[0].lstrip("0").rjust(NUMBER_DIGITS, "0"), text)


def _apart(letter: str) -> str:
    """3½ is not 31/2."""
    return f" {letter}" if unicodedata.decomposition(letter).startswith("<fraction>") else letter


def _base_letter(letter: str) -> str:
    if letter in _OWN_LETTERS:  # й is a letter of the alphabet, not an и with a mark
        return letter
    if not letter.isascii() and letter.isdecimal():
        return str(unicodedata.decimal(letter))
    return "".join(part for part in unicodedata.normalize("NFD", letter) if not unicodedata.combining(part))
