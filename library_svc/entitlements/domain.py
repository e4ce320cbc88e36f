"""Entitlements: the grants that let a user have a product, and what they mean for the item in the library.

A grant is (user, product, source) and is recorded once: the same order or key again changes nothing, and a grant that ended
does not stand up again. The item exists while a grant stands. What is known of a grant is the earliest that was said of its begin
and of its end, so that events of them may come in any order. Contract section 2, "Entitlements".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from chassis.errors import DomainError, Kind
from library_svc.ids import ProductId, UserId
from library_svc.items.domain import AcquisitionType

WHOLE_SOURCE: Final = ProductId(UUID(int=0))
"""Stands for the product of a grant that says of its source that all of it ended, whatever it granted or will be said to grant."""


class SourceKind(StrEnum):
    """The source of a grant."""

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

    def granted(self, at: datetime) -> "Grant":
        """The grant, said to have begun at this time too; the earliest begin counts."""
        return replace(self, granted_at=min(self.granted_at, at))

    def revoked(self, at: datetime) -> "Grant":
        """The grant, ended; the earliest end counts. It began no later."""
        return replace(self.granted(at), revoked_at=min(self.revoked_at or at, at))


class ProductAccessDenied(DomainError):
    """The user has no right to the product."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(Kind.PERMISSION_DENIED, "PRODUCT_ACCESS_DENIED", details={"product_id": str(product_id)})


class KeyAlreadyActivated(DomainError):
    """Another user activated the key: one key is one user's, for good."""

    def __init__(self) -> None:
        super().__init__(Kind.ALREADY_EXISTS, "KEY_ALREADY_ACTIVATED")


def foundation(grants: Iterable[Grant]) -> Grant | None:
    """The grant that an item rests on: of those that stand, the oldest that is not a free claim, or else the oldest. None: the user
    has no right to the product.

    It says how the user came by the product: what was claimed for nothing and then bought is bought.
    """
    standing = (grant for grant in grants if grant.stands)
    return min(
        standing,
        key=lambda grant: (grant.source.kind is SourceKind.FREE, grant.granted_at, grant.source.kind, grant.source.id),
        default=None,
    )


def held_since(grants: Iterable[Grant]) -> datetime | None:
    """Since when the user has had the product without a break, by whatever grants; None: they do not have it."""
    grants = list(grants)
    standing = [grant.granted_at for grant in grants if grant.stands]
    if not standing:
        return None
    since = min(standing)
    for grant in sorted(grants, key=lambda grant: grant.revoked_at or since, reverse=True):
        if grant.revoked_at is not None and grant.revoked_at >= since:
            since = min(since, grant.granted_at)
    return since


class Entitlements(Protocol):
    """The grants of a transaction."""

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Sequence[Grant]:
        """All grants, the revoked ones too."""

    async def of_source(self, user_id: UserId, source: Source) -> Sequence[Grant]:
        """All grants out of the source, the revoked ones too."""

    async def save(self, grant: Grant) -> None:
        """Adds the grant, or changes the one of the same source."""

    async def claim_key(self, user_id: UserId, key: str) -> UserId:
        """Records that the user activated the key, unless somebody had; waits for another who is about to.

        Returns:
            Who activated it.
        """
