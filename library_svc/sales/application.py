"""Hearing of sales, and telling those who wish for the product. `hear` is called by the consumer of Catalog's prices, and does no
more than note the sale; `keep_telling` goes on beside, started by main.py.

A batch of users is one transaction: their notices, and how far the sale is told by then. So a crash loses and doubles nothing, any
instance goes on where another stopped, and those that run share the sales: what one holds the others pass over.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from chassis.errors import RETRYABLE_KINDS, DomainError
from library_svc.ids import EventId, UserId
from library_svc.sales.domain import Sale, SaleStatus, WishlistItemOnSale
from library_svc.transaction import Begin


class Outgoing(Protocol):
    """What was recorded in transactions, and is on its way to the platform."""

    async def has_room(self) -> bool:
        """Whether so little waits that a new event is told without delay."""


BATCH_USERS = 200
"""Users told in one transaction: some milliseconds, in which nothing else of this process runs."""
POLL_SECONDS = 1.0
"""How long a new sale may go unnoticed."""
ROOM_SECONDS = 0.1
"""How long to wait when events are behind already."""

logger = logging.getLogger(__name__)


async def hear(begin: Begin, *, event_id: EventId, news: Sale, now: datetime) -> None:
    """Notes what is true of the product's price now, in one transaction; again, it changes nothing.

    There is one sale of a product at a time: another one, or none, ends the one before, told or not.
    """
    async with begin() as tx:
        if not await tx.is_first(event_id):
            return
        known = {sale.sale_id: sale for sale in await tx.sales.of_product(news.product_id)}
        same = known.pop(news.sale_id, None) if news.is_on(now) else None
        for other in known.values():
            if other.status is SaleStatus.TELLING:
                await tx.sales.save(other.ended())
        if same is not None:
            await tx.sales.save(same.announced_again(discount_percent=news.discount_percent, ends_at=news.ends_at))
        elif news.is_on(now):
            await tx.sales.save(news)
        await tx.commit()
    logger.info("sale heard", extra={"product_id": str(news.product_id), "discount_percent": news.discount_percent})


async def tell_batch(begin: Begin, *, now: datetime, limit: int = BATCH_USERS) -> bool:
    """Tells the next users of the sale that waits longest, in one transaction.

    Returns:
        Whether there was anything to do.
    """
    async with begin() as tx:
        sale = await tx.sales.next_to_tell()
        if sale is None:
            return False
        if not sale.is_on(now):
            await tx.sales.save(sale.ended())
            await tx.commit()
            return True
        wishes = await tx.wishlist.wishing(sale, limit=limit)
        if wishes:
            await tx.wishlist.note_told(wishes, sale.sale_id)
        for wish in wishes:
            if wish.notified_on_sale_id != sale.sale_id:
                tx.record(_notice(sale, wish.user_id))
        await tx.sales.save(sale.told_to(wishes[-1].user_id if wishes else None))
        await tx.commit()
    if not wishes:
        logger.info("sale told", extra={"product_id": str(sale.product_id)})
    return True


async def keep_telling(begin: Begin, outgoing: Outgoing, *, now: Callable[[], datetime]) -> None:
    """Tells of sales, again and again. It lets other events pass: a hundred thousand notices at once would stand before them."""
    while True:
        pause_seconds = POLL_SECONDS
        try:
            if not await outgoing.has_room():
                pause_seconds = ROOM_SECONDS
            elif await tell_batch(begin, now=now()):
                pause_seconds = 0
        except DomainError as error:
            if error.kind not in RETRYABLE_KINDS:
                raise
            logger.warning("sales are not told of for now", extra={"error": error.reason})
        await asyncio.sleep(pause_seconds)


def _notice(sale: Sale, user_id: UserId) -> WishlistItemOnSale:
    return WishlistItemOnSale(user_id, sale.product_id, sale.discount_percent, sale.sale_id, sale.ends_at)
