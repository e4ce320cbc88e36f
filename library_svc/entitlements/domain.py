"""Entitlements: the grants that let a user have a product, and what they mean for the item in the library.

A grant is (user, product, source) and is recorded once: the same order or key again changes nothing, and a grant that ended
does not stand up again. The item exists while a grant stands. Contract section 2, "Entitlements".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chassis.errors import DomainError, Kind
from library_svc.ids import ProductId, UserId
from library_svc.items.domain import AcquisitionType


class SourceKind(StrEnum):
    """Where a grant comes from."""

    ORDER = "order"
    KEY = "key"
    GIFT = "gift"
    FREE = "free"


_ACQUIRED_BY = {
    SourceKind.ORDER: AcquisitionType.PURCHASE,
    SourceKind.KEY: AcquisitionType.KEY_ACTIVATION,
    SourceKind.GIFT: AcquisitionType.GIFT,
    SourceKind.FREE: AcquisitionType.FREE_TO_PLAY,
}


@dataclass(frozen=True, slots=True)
class Source:
    """One act that grants: an order, a key, a gift, a claim. Its id is the other service's, in that service's form."""

    kind: SourceKind
    id: str

    @property
    def acquisition_type(self) -> AcquisitionType:
        return _ACQUIRED_BY[self.kind]


@dataclass(frozen=True, slots=True)
class Grant:
    """A user's right to a product out of one source; it stands until it is revoked."""

    user_id: UserId
    product_id: ProductId
    source: Source
    granted_at: datetime
    revoked_at: datetime | None = None

    @property
    def stands(self) -> bool:
        return self.revoked_at is None

    def revoked(self, at: datetime) -> "Grant":
        """The grant, ended; the first end counts."""
        return self if self.revoked_at else replace(self, revoked_at=at)


class ProductAccessDenied(DomainError):
    """The user has no right to the product."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(Kind.PERMISSION_DENIED, "PRODUCT_ACCESS_DENIED", details={"product_id": str(product_id)})


def foundation(grants: Iterable[Grant]) -> Grant | None:
    """The grant that an item rests on: the oldest that stands. None: the user has no right to the product.

    It says how the user came by the product, and since when.
    """
    standing = (grant for grant in grants if grant.stands)
    return min(standing, key=lambda grant: (grant.granted_at, grant.source.kind, grant.source.id), default=None)


class Entitlements(Protocol):
    """The grants of a transaction."""

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Sequence[Grant]:
        """All grants, the revoked ones too."""

    async def save(self, grant: Grant) -> None:
        """Adds the grant, or changes the one of the same source."""
