"""The library's copy of Catalog's products: enough to show, find and sort items by title.

It is Catalog's data, received in pieces (events) and as a whole (answers); the pieces merge attribute by attribute, by their
stamps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from chassis.errors import DomainError, Kind
from library_svc.ids import ProductId
from library_svc.stamps import Stamp, stamp


class Language(StrEnum):
    """A language of the platform."""

    RU = "ru"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Product:
    """The known attributes of a product; None means not known.

    Attributes:
        as_of: the time that the newest of it was true at.
        is_complete: Catalog has reported all attributes, not only what changed.
        event_id: the event that said so; empty for an answer of Catalog's.
        stamps: of the attributes that were merged; those of a single piece all have its own.
    """

    product_id: ProductId
    as_of: datetime
    is_complete: bool
    title_ru: str | None = None
    title_en: str | None = None
    cover_image_url: str | None = None
    product_type: str | None = None
    event_id: str = field(default="", compare=False)
    stamps: Mapping[str, Stamp] = field(default_factory=dict, compare=False)

    def title(self, language: Language) -> str | None:
        """The title in the language, or else in the other one."""
        if language is Language.EN:
            return self.title_en or self.title_ru
        return self.title_ru or self.title_en

    def stamp_of(self, name: str) -> Stamp:
        """The stamp of an attribute."""
        return self.stamps.get(name) or stamp(self.as_of, self.event_id)

    def merged(self, other: "Product") -> "Product":
        """Both taken together: of each attribute the value with the later stamp, whichever comes first."""
        values: dict[str, str] = {}
        stamps: dict[str, Stamp] = {}
        for name in MERGED_ATTRIBUTES:
            # Two answers of one time have one stamp; the values themselves decide, so that the order does not.
            known = [(each.stamp_of(name), value) for each in (self, other) if (value := getattr(each, name))]
            if known:
                stamps[name], values[name] = max(known)
        return Product(
            self.product_id,
            max(self.as_of, other.as_of),
            self.is_complete or other.is_complete,
            **values,
            stamps=stamps,
        )


MERGED_ATTRIBUTES: Final = ("title_ru", "title_en", "cover_image_url", "product_type")
"""The attributes of a product that are merged one by one."""


class ProductNotFound(DomainError):
    """Catalog has no such product."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(Kind.NOT_FOUND, "PRODUCT_NOT_FOUND", details={"product_id": str(product_id)})


class Products(Protocol):
    """The read model of Catalog's products."""

    async def save(self, products: Sequence[Product]) -> None:
        """Merges each into what is known (domain `Product.merged`)."""
