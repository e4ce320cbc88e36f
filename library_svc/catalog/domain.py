"""What the library knows of Catalog's products: enough to show, find and sort items by title.

It is Catalog's data, heard in pieces (events) and as a whole (answers); the pieces merge by their time.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chassis.errors import DomainError, Kind
from library_svc.ids import ProductId

_TRADE_MARKS = str.maketrans("", "", "™℠®©")
_OWN_LETTERS = frozenset("й")


class Language(StrEnum):
    """A language of the platform."""

    RU = "ru"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Product:
    """What is known of a product; None is not known.

    Attributes:
        as_of: the time that the newest of it was true at.
        is_complete: Catalog has told all of it, not only what changed.
    """

    product_id: ProductId
    as_of: datetime
    is_complete: bool
    title_ru: str | None = None
    title_en: str | None = None
    cover_image_url: str | None = None
    product_type: str | None = None

    def title(self, language: Language) -> str | None:
        """The title in the language, or else in the other one."""
        if language is Language.EN:
            return self.title_en or self.title_ru
        return self.title_ru or self.title_en

    def merged(self, other: "Product") -> "Product":
        """Both taken together: of each attribute the newer known value.

        An answer may come after events that are newer than it, and does not undo them. Events come in their own order.
        """
        newer, older = (other, self) if other.as_of >= self.as_of else (self, other)
        return Product(
            product_id=self.product_id,
            as_of=newer.as_of,
            is_complete=self.is_complete or other.is_complete,
            title_ru=newer.title_ru or older.title_ru,
            title_en=newer.title_en or older.title_en,
            cover_image_url=newer.cover_image_url or older.cover_image_url,
            product_type=newer.product_type or older.product_type,
        )


class ProductNotFound(DomainError):
    """Catalog has no such product."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(Kind.NOT_FOUND, "PRODUCT_NOT_FOUND", details={"product_id": str(product_id)})


def folded(text: str) -> str:
    """The form in which titles are compared: blind to case, accents, ё, trade marks and spacing.

    It is computed here and not by the database, whose notion of case and order depends on how its cluster was made.
    """
    text = text.translate(_TRADE_MARKS)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(_base_letter(letter) for letter in text).split())


def _base_letter(letter: str) -> str:
    if letter in _OWN_LETTERS:  # й is a letter of the alphabet, not an и with a mark
        return letter
    return "".join(part for part in unicodedata.normalize("NFD", letter) if not unicodedata.combining(part))
