"""What every adapter of the Sales port, and of the Wishlist's part in sales, promises."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from library_svc.ids import EventId, ProductId, SaleId, UserId, WishlistItemId
from library_svc.sales.application import hear, notify_batch
from library_svc.sales.domain import Sale, SaleStatus
from library_svc.stamps import stamp
from library_svc.wishlist.application import remove_wish
from library_svc.wishlist.domain import WishlistItem

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOTICE = "wishlist.item.on_sale.v1"


@pytest.fixture
async def product_id(adapters) -> ProductId:
    """A product of a test's own. Sales that other tests left are ended: all tests share what is told next."""
    async with adapters.begin() as tx:
        while left := await tx.sales.next_to_notify(NOON):
            await tx.sales.save(left.ended())
        await tx.commit()
    return ProductId(uuid4())


def a_sale(product_id: ProductId, sale_id: str = "spring") -> Sale:
    return Sale(product_id, SaleId(sale_id), 25, NOON + HOUR, heard_at=NOON)


async def keep(adapters, *sales: Sale) -> None:
    for sale in sales:
        async with adapters.begin() as tx:
            await tx.sales.save(sale)
            await tx.commit()


async def wish(adapters, product_id: ProductId, count: int, at: datetime = NOON) -> Sequence[WishlistItem]:
    """Wishes of new users, in the order of their ids."""
    wishes = [WishlistItem(WishlistItemId(uuid4()), UserId(uuid4()), product_id, at) for _ in range(count)]
    async with adapters.begin() as tx:
        for one in wishes:
            await tx.wishlist.add(one)
        await tx.commit()
    return sorted(wishes, key=lambda one: one.user_id)


async def notices(adapters, wishes: Sequence[WishlistItem]) -> Counter[UserId]:
    told = [(one.user_id, await adapters.told(one.user_id)) for one in wishes]
    return Counter(user_id for user_id, events in told for kind, _ in events if kind == NOTICE)


async def test_a_sale_is_saved_found_and_replaced(adapters, product_id: ProductId):
    sale = a_sale(product_id)
    await keep(adapters, sale, a_sale(product_id, "summer"), a_sale(ProductId(uuid4())))
    changed = replace(sale, discount_percent=100, told_until=UserId(uuid4()), status=SaleStatus.TOLD)
    await keep(adapters, changed)

    async with adapters.begin() as tx:
        found = {one.sale_id: one for one in await tx.sales.of_product(product_id)}
        assert found == {"spring": changed, "summer": a_sale(product_id, "summer")}
        assert list(await tx.sales.of_product(ProductId(uuid4()))) == []


async def test_the_sale_that_waits_longest_is_next(adapters, product_id: ProductId):
    first, second = a_sale(product_id), a_sale(product_id, "summer")
    await keep(adapters, first, second)
    assert await next_to_notify(adapters) == first
    await keep(adapters, first)
    assert await next_to_notify(adapters) == second
    await keep(adapters, second.ended())
    assert await next_to_notify(adapters) == first
    await keep(adapters, first.told_to(None))
    assert await next_to_notify(adapters) is None


async def test_a_sale_that_is_set_aside_comes_again_when_its_time_is_over_or_it_is_saved(
    adapters, product_id: ProductId
):
    first, second = a_sale(product_id), a_sale(product_id, "summer")
    await keep(adapters, first, second)
    until = NOON + timedelta(minutes=1)
    async with adapters.begin() as tx:
        await tx.sales.set_aside(first, until=until, reason="\0 broken " * 500)
        await tx.commit()
    assert await next_to_notify(adapters) == second
    await keep(adapters, second.ended())
    assert await next_to_notify(adapters) is None
    assert await next_to_notify(adapters, until) == first
    await keep(adapters, first)
    assert await next_to_notify(adapters) == first
    await keep(adapters, first.ended())


async def next_to_notify(adapters, now: datetime = NOON) -> Sale | None:
    async with adapters.begin() as tx:
        found: Sale | None = await tx.sales.next_to_notify(now)
        return found


async def test_those_who_wish_for_it_come_in_batches_in_the_order_of_users(adapters, product_id: ProductId):
    wishes = await wish(adapters, product_id, 5)
    await wish(adapters, product_id, 2, at=NOON + timedelta(microseconds=1))
    await wish(adapters, ProductId(uuid4()), 2)
    sale = a_sale(product_id)

    async with adapters.begin() as tx:
        first = await tx.wishlist.wishing(sale, limit=2)
        second = await tx.wishlist.wishing(sale.told_to(first[-1].user_id), limit=10)
        assert [*first, *second] == wishes
        assert list(await tx.wishlist.wishing(sale.told_to(second[-1].user_id), limit=10)) == []
        await tx.wishlist.mark_notified(first, sale.sale_id)
        await tx.wishlist.mark_notified([], sale.sale_id)
        await tx.commit()

    async with adapters.begin() as tx:
        found = [await tx.wishlist.find(one.user_id, one.id) for one in wishes]
    assert found == [replace(one, notified_on_sale_id="spring") for one in wishes[:2]] + wishes[2:]


async def test_what_is_not_committed_is_neither_told_nor_passed_over(adapters, product_id: ProductId):
    wishes = await wish(adapters, product_id, 3)
    await keep(adapters, a_sale(product_id))

    class Gone(Exception):
        pass

    async def dies(tx) -> None:
        sale = await tx.sales.next_to_notify(NOON)
        await tx.wishlist.mark_notified(await tx.wishlist.wishing(sale, limit=2), sale.sale_id)
        await tx.sales.save(sale.told_to(wishes[1].user_id))
        raise Gone

    with pytest.raises(Gone):
        async with adapters.begin() as tx:
            await dies(tx)
    while await notify_batch(adapters.begin, now=NOON, limit=2):
        pass

    assert await notices(adapters, wishes) == Counter(one.user_id for one in wishes)


async def test_those_who_tell_at_once_share_the_sales_and_tell_each_user_once(adapters, product_id: ProductId):
    other_id = ProductId(uuid4())
    wishes = [*await wish(adapters, product_id, 30), *await wish(adapters, other_id, 30)]
    for product in (product_id, other_id):
        await hear(
            adapters.begin, event_id=EventId("test", str(uuid4())), news=a_sale(product), price=stamp(NOON), now=NOON
        )

    async def instance() -> None:
        while await next_is_left():
            await notify_batch(adapters.begin, now=NOON, limit=3)

    async def next_is_left() -> bool:
        async with adapters.begin() as tx:
            sales = [*await tx.sales.of_product(product_id), *await tx.sales.of_product(other_id)]
        return any(sale.status is SaleStatus.TELLING for sale in sales)

    await asyncio.gather(*(instance() for _ in range(4)))

    assert await notices(adapters, wishes) == Counter(one.user_id for one in wishes)


async def test_wishes_that_leave_meanwhile_are_told_at_most_once_and_hold_nothing_up(adapters, product_id: ProductId):
    wishes = await wish(adapters, product_id, 40)
    await hear(
        adapters.begin, event_id=EventId("test", str(uuid4())), news=a_sale(product_id), price=stamp(NOON), now=NOON
    )

    async def tell() -> None:
        while await notify_batch(adapters.begin, now=NOON, limit=3):
            pass

    async def leave() -> None:
        for one in wishes[::2]:
            await remove_wish(adapters.begin, user_id=one.user_id, wish_id=one.id, now=NOON)

    await asyncio.gather(tell(), leave())

    told = await notices(adapters, wishes)
    assert all(told[one.user_id] == 1 for one in wishes[1::2])
    for one in wishes[::2]:
        kinds = [kind for kind, _ in await adapters.told(one.user_id)]
        assert kinds in ([NOTICE, "wishlist.item.removed.v1"], ["wishlist.item.removed.v1"])


async def test_of_twenty_deliveries_of_one_event_one_counts(adapters, product_id: ProductId):
    wishes = await wish(adapters, product_id, 3)
    event_id = EventId("test", str(uuid4()))

    await asyncio.gather(
        *(
            hear(adapters.begin, event_id=event_id, news=a_sale(product_id), price=stamp(NOON), now=NOON)
            for _ in range(20)
        )
    )
    while await notify_batch(adapters.begin, now=NOON):
        pass

    assert await notices(adapters, wishes) == Counter(one.user_id for one in wishes)
