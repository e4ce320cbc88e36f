"""Showing a user their wishlist, and changing it. Called by WishlistService; acquired products leave it (entitlements.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from library_svc.catalog.application import ProductFiller
from library_svc.catalog.domain import Product, ProductNotFound
from library_svc.entitlements.domain import foundation
from library_svc.ids import ProductId, UserId, WishlistItemId
from library_svc.transaction import Begin
from library_svc.wishlist.domain import (
    WISHLIST_LIMIT,
    ProductAlreadyOwned,
    WishlistFull,
    WishlistItem,
    WishlistItemAdded,
    WishlistItemAlreadyExists,
    WishlistItemChanges,
    WishlistItemNotFound,
    WishlistItemRemoved,
    WishlistItemUpdated,
)


@dataclass(frozen=True, slots=True)
class WishlistItemView:
    """A wishlist item with what is known of its product."""

    wish: WishlistItem
    product: Product | None

    @property
    def is_known(self) -> bool:
        """True when Catalog has reported all attributes of the product."""
        return self.product is not None and self.product.is_complete


@dataclass(frozen=True, slots=True)
class WishlistPage:
    """One page of a user's wishlist, the highest priority first, then the newest; `total_items` on all pages."""

    wishes: Sequence[WishlistItemView]
    total_items: int


class WishlistReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_wishes(self, user_id: UserId, *, page: int, limit: int) -> WishlistPage: ...

    async def get_wish(self, user_id: UserId, wish_id: WishlistItemId) -> WishlistItemView | None: ...


async def list_wishes(
    reader: WishlistReader, filler: ProductFiller, *, user_id: UserId, page: int, limit: int
) -> WishlistPage:
    """One page. When products were missed and could be had, it is read again."""
    found = await reader.list_wishes(user_id, page=page, limit=limit)
    unknown = [shown.wish.product_id for shown in found.wishes if not shown.is_known]
    if unknown and await filler.fill(unknown):
        found = await reader.list_wishes(user_id, page=page, limit=limit)
    return found


async def get_wish(
    reader: WishlistReader, filler: ProductFiller, *, user_id: UserId, wish_id: WishlistItemId
) -> WishlistItemView:
    """Return one item of the user's wishlist.

    Raises:
        WishlistItemNotFound: the user has no such wishlist item.
    """
    shown = await reader.get_wish(user_id, wish_id)
    if shown is not None and not shown.is_known and await filler.fill([shown.wish.product_id]):
        shown = await reader.get_wish(user_id, wish_id)
    if shown is None:
        raise WishlistItemNotFound(wish_id)
    return shown


async def add_wish(
    begin: Begin,
    filler: ProductFiller,
    *,
    user_id: UserId,
    product_id: ProductId,
    priority: int,
    notes: str | None,
    now: datetime,
) -> WishlistItem:
    """Add a product in one transaction. If Catalog is unavailable, any product is assumed to exist.

    Raises:
        ProductNotFound: Catalog does not know the product.
        ProductAlreadyOwned: the user has it.
        WishlistItemAlreadyExists: it is on the wishlist.
        WishlistFull: there is no room for it.
    """
    if await filler.exists(product_id) is False:
        raise ProductNotFound(product_id)
    wish = WishlistItem(WishlistItemId(uuid4()), user_id, product_id, now, priority, notes)
    async with begin(user_id) as tx:
        # Wishes that may be on their way count too.
        await tx.lock_user(user_id)
        if foundation(await tx.entitlements.of_product(user_id, product_id)) is not None:
            raise ProductAlreadyOwned(product_id)
        if known := await tx.wishlist.of_product(user_id, product_id):
            raise WishlistItemAlreadyExists(known)
        if await tx.wishlist.count(user_id) >= WISHLIST_LIMIT:
            raise WishlistFull
        await tx.wishlist.add(wish)
        tx.record(WishlistItemAdded(user_id, product_id, wish.id, added_at=now))
        await tx.commit()
    return wish


async def update_wish(
    begin: Begin, *, user_id: UserId, wish_id: WishlistItemId, changes: WishlistItemChanges
) -> WishlistItem:
    """Change a wishlist item in one transaction; doing it again changes nothing more.

    Raises:
        WishlistItemNotFound: the user has no such wishlist item.
    """
    async with begin(user_id) as tx:
        wish = await tx.wishlist.find(user_id, wish_id)
        if wish is None:
            raise WishlistItemNotFound(wish_id)
        before, wish = wish, wish.changed(changes)
        await tx.wishlist.save(wish)
        if wish != before:
            tx.record(WishlistItemUpdated(user_id, wish.product_id, wish.id))
        await tx.commit()
    return wish


async def remove_wish(begin: Begin, *, user_id: UserId, wish_id: WishlistItemId, now: datetime) -> None:
    """Remove an item from the wishlist in one transaction.

    Raises:
        WishlistItemNotFound: the user has no such wishlist item.
    """
    async with begin(user_id) as tx:
        wish = await tx.wishlist.find(user_id, wish_id)
        if wish is None:
            raise WishlistItemNotFound(wish_id)
        await tx.wishlist.remove(wish)
        tx.record(WishlistItemRemoved(user_id, wish.product_id, wish.id, removed_at=now))
        await tx.commit()
