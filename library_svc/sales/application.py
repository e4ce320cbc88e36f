"""Recording sales, and notifying users who have the product on their wishlist. The consumer of Catalog's prices only records
the sale; `notify_all` goes on beside, repeated by main.py.

A batch of users is one transaction: their notices, and the progress of the sale by then. So a crash loses and doubles nothing, any
instance continues where another stopped, and running instances share the sales: each skips those that another one holds.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from chassis.errors import is_unavailable
from library_svc.ids import EventId, UserId
from library_svc.sales.domain import Sale, SaleStatus, WishlistItemOnSale
from library_svc.stamps import Stamp
from library_svc.transaction import Begin


class Outgoing(Protocol):
    """The events that were recorded in transactions and are not published yet."""

    async def has_room(self) -> bool:
        """Return True when so few events wait that a new one is published without delay."""


BATCH_USERS = 200
"""Users notified in one transaction: some milliseconds, in which nothing else of this process runs."""
POLL_SECONDS = 1.0
"""Seconds between two looks for new sales."""
ROOM_SECONDS = 0.1
"""Seconds to wait when events are behind already."""
SET_ASIDE_FOR = timedelta(minutes=10)
"""The time for which a failing sale is set aside, so that it does not delay the others."""

logger = logging.getLogger(__name__)


async def hear(begin: Begin, *, event_id: EventId, news: Sale, price: Stamp, now: datetime) -> None:
    """Notes what is true of the product's price now, in one transaction; again, or after a later price, it changes nothing.

    There is one sale of a product at a time: another one, or none, ends the one before, notified or not.
    """
    async with begin() as tx:
        if not await tx.first_time(event_id):
            return
        if not await tx.sales.is_newest(news.product_id, price):
            await tx.commit()
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


async def notify_batch(begin: Begin, *, now: datetime, limit: int = BATCH_USERS) -> bool:
    """Tells the next users of the sale that waits longest, in one transaction.

    Returns:
        Whether there was anything to do.
    """
    async with begin() as tx:
        sale = await tx.sales.next_to_notify(now)
        if sale is None:
            return False
        if not sale.is_on(now):
            await tx.sales.save(sale.ended())
            await tx.commit()
            return True
        wishes = await tx.wishlist.wishing(sale, limit=limit)
        if wishes:
            await tx.wishlist.mark_notified(wishes, sale.sale_id)
        for wish in wishes:
            if wish.notified_on_sale_id != sale.sale_id:
                tx.record(_notice(sale, wish.user_id))
        await tx.sales.save(sale.told_to(wishes[-1].user_id if wishes else None))
        await tx.commit()
    if not wishes:
        logger.info("sale told", extra={"product_id": str(sale.product_id)})
    return True


async def notify_all(begin: Begin, outgoing: Outgoing, *, now: Callable[[], datetime]) -> None:
    """Notify users of sales until nobody is left. It lets other events pass: a hundred thousand notices at once would stand
    before them. A user at whom it fails is passed over; a sale that cannot be gone on with is set aside for a time.

    Raises:
        DomainError: the database is unavailable.
        ExceptionGroup: what failed; everybody else is notified.
    """
    failures: list[Exception] = []
    while True:
        if not await outgoing.has_room():
            await asyncio.sleep(ROOM_SECONDS)
            continue
        try:
            if not await notify_batch(begin, now=now()):
                break
        except Exception as error:
            if is_unavailable(error):
                raise
            if (found := await _find_failure(begin, now())) is not None:
                failures.append(found)
    if failures:
        raise ExceptionGroup("not everybody was told of a sale", failures)


async def _find_failure(begin: Begin, now: datetime) -> Exception | None:
    """Tells one user after the other, up to the one at whom it fails, and gets past them. None: it did not fail again."""
    for _ in range(BATCH_USERS):
        try:
            if not await notify_batch(begin, now=now, limit=1):
                break
        except Exception as error:
            if is_unavailable(error):
                raise
            await _pass_over(begin, now, error)
            return error
    return None


async def _pass_over(begin: Begin, now: datetime, failure: Exception) -> None:
    """Leaves out the user who is next, for whom it failed."""
    try:
        async with begin() as tx:
            if (sale := await tx.sales.next_to_notify(now)) is None:
                return
            failure.add_note(f"product {sale.product_id}, sale {sale.sale_id}")
            (wish,) = await tx.wishlist.wishing(sale, limit=1)
            failure.add_note(f"user {wish.user_id} is passed over")
            await tx.sales.save(sale.told_to(wish.user_id))
            await tx.commit()
    except Exception as error:
        if is_unavailable(error):
            raise
        async with begin() as tx:
            if (sale := await tx.sales.next_to_notify(now)) is not None:
                failure.add_note("the sale is set aside")
                await tx.sales.set_aside(sale, until=now + SET_ASIDE_FOR, reason=repr(error))
                await tx.commit()


def _notice(sale: Sale, user_id: UserId) -> WishlistItemOnSale:
    return WishlistItemOnSale(user_id, sale.product_id, sale.discount_percent, sale.sale_id, sale.ends_at)
