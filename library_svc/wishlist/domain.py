"""The wishlist: products that a user wants, until they acquire them. Contract section 2."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from chassis.errors import DomainError, Kind
from library_svc.changes import UNCHANGED, Unchanged, changed
from library_svc.ids import ProductId, SaleId, UserId, WishlistItemId
from library_svc.sales.domain import Sale

WISHLIST_LIMIT: Final = 100
"""Products on one user's wishlist."""


@dataclass(frozen=True, slots=True)
class WishlistItemChanges:
    """The changes that a user may make to a wishlist item. None clears a field; one that is UNCHANGED stays as it is."""

    priority: int | Unchanged = UNCHANGED
    notes: str | Unchanged | None = UNCHANGED


@dataclass(frozen=True, slots=True)
class WishlistItem:
    """A product on a user's wishlist; each is there once.

    Attributes:
        priority: the highest is shown first; 0 is not ranked.
        notified_on_sale_id: the last sale that the user was notified of.
    """

    id: WishlistItemId
    user_id: UserId
    product_id: ProductId
    added_at: datetime
    priority: int = 0
    notes: str | None = None
    notified_on_sale_id: SaleId | None = None

    def changed(self, changes: WishlistItemChanges) -> "WishlistItem":
        """Return the wishlist item with the user's changes."""
        return changed(self, changes)


@dataclass(frozen=True, slots=True)
class WishlistItemAdded:
    """A user added a product to their wishlist."""

    user_id: UserId
    product_id: ProductId
    wishlist_item_id: WishlistItemId
    added_at: datetime


@dataclass(frozen=True, slots=True)
class WishlistItemUpdated:
    """A wishlist item changed."""

    user_id: UserId
    product_id: ProductId
    wishlist_item_id: WishlistItemId


@dataclass(frozen=True, slots=True)
class WishlistItemRemoved:
    """A product left a user's wishlist: they removed it, or have it now."""

    user_id: UserId
    product_id: ProductId
    wishlist_item_id: WishlistItemId
    removed_at: datetime


class WishlistItemNotFound(DomainError):
    """There is no such item on the caller's wishlist. Another user's answers the same."""

    def __init__(self, wish_id: WishlistItemId) -> None:
        super().__init__(Kind.NOT_FOUND, "GAME_NOT_FOUND_IN_WISHLIST", details={"wishlist_item_id": str(wish_id)})


class ProductAlreadyOwned(DomainError):
    """The user already has the product, so it cannot be on their wishlist."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(Kind.ALREADY_EXISTS, "PRODUCT_ALREADY_OWNED", details={"product_id": str(product_id)})


class WishlistItemAlreadyExists(DomainError):
    """The product is on the user's wishlist."""

    def __init__(self, wish: WishlistItem) -> None:
        details = {"product_id": str(wish.product_id), "wishlist_item_id": str(wish.id)}
        super().__init__(Kind.ALREADY_EXISTS, "WISHLIST_ITEM_ALREADY_EXISTS", details=details)


class WishlistFull(DomainError):
    """The user's wishlist has no room for another product."""

    def __init__(self) -> None:
        super().__init__(Kind.RESOURCE_EXHAUSTED, "WISHLIST_LIMIT_EXCEEDED", details={"limit": str(WISHLIST_LIMIT)})


class Wishlist(Protocol):
    """The wishlist items of a transaction. What is found is locked until the transaction ends."""

    async def find(self, user_id: UserId, wish_id: WishlistItemId) -> WishlistItem | None: ...

    async def of_product(self, user_id: UserId, product_id: ProductId) -> WishlistItem | None: ...

    async def count(self, user_id: UserId) -> int: ...

    async def wishing(self, sale: Sale, *, limit: int) -> Sequence[WishlistItem]:
        """Return the next wishlist items to notify of the sale, in the order of users: after those who were notified, created
        before the sale was received, and of users who do not have the product.
        """

    async def mark_notified(self, wishes: Sequence[WishlistItem], sale_id: SaleId) -> None:
        """Record in each that its user was notified of the sale, in one statement."""

    async def add(self, wish: WishlistItem) -> None: ...

    async def save(self, wish: WishlistItem) -> None: ...

    async def remove(self, wish: WishlistItem) -> None: ...
