"""The wishlist and the sales of what is on it in memory: the parts of memory.py that concern them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from library_svc.entitlements.domain import Entitlements, foundation
from library_svc.ids import ProductId, SaleId, UserId, WishlistItemId
from library_svc.sales.domain import Sale, SaleStatus
from library_svc.stamps import NO_STAMP, Stamp
from library_svc.wishlist.domain import WishlistItem


@dataclass(slots=True)
class WishRows:
    """Wishes, and sales in the order in which they were saved last."""

    wishes: dict[tuple[UserId, WishlistItemId], WishlistItem] = field(default_factory=dict)
    sales: dict[tuple[ProductId, SaleId], Sale] = field(default_factory=dict)
    prices: dict[ProductId, Stamp] = field(default_factory=dict)
    sales_aside: dict[tuple[ProductId, SaleId], datetime] = field(default_factory=dict)


class MemoryWishlist:
    def __init__(self, rows: WishRows, entitlements: Entitlements) -> None:
        self._rows = rows
        self._entitlements = entitlements

    async def find(self, user_id: UserId, wish_id: WishlistItemId) -> WishlistItem | None:
        return self._rows.wishes.get((user_id, wish_id))

    async def of_product(self, user_id: UserId, product_id: ProductId) -> WishlistItem | None:
        own = (wish for wish in self._rows.wishes.values() if wish.user_id == user_id)
        return next((wish for wish in own if wish.product_id == product_id), None)

    async def count(self, user_id: UserId) -> int:
        return sum(wish.user_id == user_id for wish in self._rows.wishes.values())

    async def wishing(self, sale: Sale, *, limit: int) -> Sequence[WishlistItem]:
        wishes = [
            wish
            for wish in self._rows.wishes.values()
            if wish.product_id == sale.product_id
            and wish.added_at <= sale.heard_at
            and (sale.told_until is None or wish.user_id > sale.told_until)
        ]
        wishes.sort(key=lambda wish: wish.user_id)
        grants = [await self._entitlements.of_product(wish.user_id, wish.product_id) for wish in wishes]
        return [wish for wish, own in zip(wishes, grants, strict=True) if foundation(own) is None][:limit]

    async def mark_notified(self, wishes: Sequence[WishlistItem], sale_id: SaleId) -> None:
        for wish in wishes:
            await self.save(replace(wish, notified_on_sale_id=sale_id))

    async def add(self, wish: WishlistItem) -> None:
        await self.save(wish)

    async def save(self, wish: WishlistItem) -> None:
        self._rows.wishes[wish.user_id, wish.id] = wish

    async def remove(self, wish: WishlistItem) -> None:
        del self._rows.wishes[wish.user_id, wish.id]


class MemorySales:
    def __init__(self, rows: WishRows) -> None:
        self._rows = rows

    async def of_product(self, product_id: ProductId) -> Sequence[Sale]:
        return [sale for sale in self._rows.sales.values() if sale.product_id == product_id]

    async def next_to_notify(self, now: datetime) -> Sale | None:
        telling = (sale for sale in self._rows.sales.values() if sale.status is SaleStatus.TELLING)
        aside = self._rows.sales_aside
        return next((sale for sale in telling if aside.get((sale.product_id, sale.sale_id), now) <= now), None)

    async def is_newest(self, product_id: ProductId, price: Stamp) -> bool:
        newest = self._rows.prices.get(product_id, NO_STAMP)
        self._rows.prices[product_id] = max(newest, price)
        return price >= newest

    async def save(self, sale: Sale) -> None:
        self._rows.sales.pop((sale.product_id, sale.sale_id), None)
        self._rows.sales[sale.product_id, sale.sale_id] = sale
        self._rows.sales_aside.pop((sale.product_id, sale.sale_id), None)

    async def set_aside(self, sale: Sale, *, until: datetime, reason: str) -> None:
        self._rows.sales_aside[sale.product_id, sale.sale_id] = until
