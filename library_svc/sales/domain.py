"""Sales of products, and notifying the users who have the product on their wishlist. Contract section 6, `catalog.price.updated`,
`library.wishlist.item.on_sale`.

Told is everyone who wished for the product when the sale was heard of and still does when their turn comes, once for each sale,
whatever happens to its discount afterwards. Who wishes for a product that is on sale already has seen its price, and is not told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from library_svc.ids import ProductId, SaleId, UserId
from library_svc.stamps import Stamp


class SaleStatus(StrEnum):
    """The progress of notifying users of a sale."""

    TELLING = "telling"
    """There may be users who are not notified yet."""
    ENDED = "ended"
    """It ended, or another one replaced it, before everybody was notified; nobody more is notified."""
    TOLD = "told"
    """Everybody is notified."""


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale of a product, and the users who are notified of it.

    Attributes:
        heard_at: when it was first received.
        told_until: the users up to this one, in the order of ids, are notified; None: nobody, or, once all are notified, everybody.
    """

    product_id: ProductId
    sale_id: SaleId
    discount_percent: int
    ends_at: datetime
    heard_at: datetime
    status: SaleStatus = SaleStatus.TELLING
    told_until: UserId | None = None

    def is_on(self, now: datetime) -> bool:
        """Return True when there is a discount to notify users of."""
        return self.discount_percent > 0 and now < self.ends_at

    def announced_again(self, *, discount_percent: int, ends_at: datetime) -> "Sale":
        """The same sale on other terms. Notified users are not notified again; one that had ended goes on where it was."""
        status = SaleStatus.TELLING if self.status is SaleStatus.ENDED else self.status
        return replace(self, discount_percent=discount_percent, ends_at=ends_at, status=status)

    def ended(self) -> "Sale":
        """Nobody more is notified."""
        return replace(self, status=SaleStatus.ENDED) if self.status is SaleStatus.TELLING else self

    def told_to(self, last: UserId | None) -> "Sale":
        """Return the sale with everybody up to this user notified; None: there was nobody left."""
        if last is None:
            return replace(self, status=SaleStatus.TOLD, told_until=None)
        return replace(self, told_until=last)


@dataclass(frozen=True, slots=True)
class WishlistItemOnSale:
    """A product on a user's wishlist is on sale."""

    user_id: UserId
    product_id: ProductId
    discount_percent: int
    sale_id: SaleId
    ends_at: datetime


class Sales(Protocol):
    """The sales of a transaction. What is found is locked until the transaction ends."""

    async def of_product(self, product_id: ProductId) -> Sequence[Sale]: ...

    async def next_to_notify(self, now: datetime) -> Sale | None:
        """Return the sale that was saved the longest ago, of those whose users are being notified, that are not set aside, and
        that no other transaction holds.
        """

    async def is_newest(self, product_id: ProductId, price: Stamp) -> bool:
        """Return True when no later price of the product was recorded, and record this one then."""

    async def save(self, sale: Sale) -> None:
        """Adds the sale, or replaces what was known of it; it is not set aside then."""

    async def set_aside(self, sale: Sale, *, until: datetime, reason: str) -> None:
        """Leaves the sale out for a time, and notes why."""
