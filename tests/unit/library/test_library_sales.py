"""Sales of what users wish for: what is heard, who is told, and how often."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.cloudevents.moments import EARLIEST, LATEST, moment_text
from chassis.concurrency.background import background, repeat
from chassis.errors import DomainError, Kind
from library_svc.ids import EventId, ProductId, SaleId, UserId, WishlistItemId
from library_svc.outgoing import outgoing
from library_svc.sales import application as sales
from library_svc.sales.application import hear, notify_batch
from library_svc.sales.domain import Sale, SaleStatus, WishlistItemOnSale
from library_svc.sales.postgres import sale_of, sale_row
from library_svc.stamps import stamp
from library_svc.transaction import Transaction
from library_svc.wishlist.domain import WishlistItem
from tests.fakes.library.store import MemoryLibrary, MemoryProducts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GAME, OTHER = ProductId(UUID(int=1)), ProductId(UUID(int=2))


def sale(sale_id: str = "spring", *, percent: int = 25, product_id: ProductId = GAME, hours: float = 24) -> Sale:
    return Sale(product_id, SaleId(sale_id), percent, NOON + hours * HOUR, heard_at=NOON)


class Market:
    """Users 1, 2, 3, … who wish for things, and what they are told."""

    def __init__(self) -> None:
        self.library = MemoryLibrary(MemoryProducts())
        self.now, self.prices = NOON, 0

    async def wish(self, *users: int, product_id: ProductId = GAME, at: datetime = NOON) -> None:
        async with self.library.begin() as tx:
            for number in users:
                await tx.wishlist.add(WishlistItem(WishlistItemId(uuid4()), UserId(UUID(int=number)), product_id, at))
            await tx.commit()

    async def forget(self, user: int) -> None:
        async with self.library.begin() as tx:
            wish = await tx.wishlist.of_product(UserId(UUID(int=user)), GAME)
            assert wish is not None
            await tx.wishlist.remove(wish)
            await tx.commit()

    async def hear(self, news: Sale, event_id: str | None = None) -> None:
        """Hears a price that is newer than those before it."""
        self.prices += 1
        price = stamp(NOON + self.prices * timedelta(seconds=1))
        await hear(
            self.library.begin, event_id=EventId("test", event_id or str(uuid4())), news=news, price=price, now=self.now
        )

    async def tell(self, *, limit: int = 2) -> bool:
        return await notify_batch(self.library.begin, now=self.now, limit=limit)

    async def tell_all(self, *, limit: int = 2) -> None:
        while await self.tell(limit=limit):
            pass

    def told(self) -> Sequence[tuple[int, str, int]]:
        notices = [event for event in self.library.events if isinstance(event, WishlistItemOnSale)]
        return [(notice.user_id.int, notice.sale_id, notice.discount_percent) for notice in notices]

    async def sales(self) -> dict[str, SaleStatus]:
        async with self.library.begin() as tx:
            return {one.sale_id: one.status for one in await tx.sales.of_product(GAME)}


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_everybody_who_wishes_for_it_is_told_once_and_nobody_else(market: Market, limit: int):
    await market.wish(3, 1, 5, 2, 4)
    await market.wish(6, 1, product_id=OTHER)
    await market.hear(sale())
    await market.tell_all(limit=limit)

    assert market.told() == [(user, "spring", 25) for user in (1, 2, 3, 4, 5)]
    assert await market.sales() == {"spring": SaleStatus.TOLD}


async def test_hearing_is_all_that_the_consumer_does(market: Market):
    await market.wish(1)
    await market.hear(sale())

    assert market.told() == []


@pytest.mark.parametrize("is_told_between", [False, True])
async def test_a_sale_that_is_heard_again_is_told_once(market: Market, *, is_told_between: bool):
    await market.wish(1, 2, 3)
    await market.hear(sale(), "event")
    if is_told_between:
        await market.tell_all()
    await market.hear(sale(), "event")
    await market.hear(sale(), "the same in another event")
    await market.tell_all()

    assert market.told() == [(1, "spring", 25), (2, "spring", 25), (3, "spring", 25)]


async def test_another_sale_is_told_again(market: Market):
    await market.wish(1)
    for name in ("spring", "summer"):
        await market.hear(sale(name))
        await market.tell_all()

    assert market.told() == [(1, "spring", 25), (1, "summer", 25)]


async def test_new_terms_of_a_sale_are_told_to_those_who_do_not_know_of_it(market: Market):
    await market.wish(1, 2, 3)
    await market.hear(sale())
    await market.tell()
    await market.hear(sale(percent=50))
    await market.tell_all()

    assert market.told() == [(1, "spring", 25), (2, "spring", 25), (3, "spring", 50)]


@pytest.mark.parametrize("end", ["no discount", "time", "over when heard"])
async def test_when_a_sale_is_over_nobody_more_is_told(market: Market, end: str):
    await market.wish(1, 2, 3)
    await market.hear(sale())
    await market.tell()
    if end == "no discount":
        await market.hear(sale("a name of its own", percent=0))
    elif end == "time":
        market.now = NOON + 24 * HOUR
    else:
        await market.hear(sale("late", hours=0))
    await market.tell_all()

    assert market.told() == [(1, "spring", 25), (2, "spring", 25)]
    assert await market.sales() == {"spring": SaleStatus.ENDED}


async def test_a_sale_that_goes_on_after_all_is_told_to_the_rest(market: Market):
    await market.wish(1, 2, 3)
    await market.hear(sale())
    await market.tell()
    await market.hear(sale(percent=0))
    await market.tell_all()
    await market.hear(sale(percent=30))
    await market.tell_all()

    assert market.told() == [(1, "spring", 25), (2, "spring", 25), (3, "spring", 30)]


async def test_a_sale_in_the_place_of_another_is_told_to_all_and_the_other_to_nobody_more(market: Market):
    await market.wish(1, 2, 3)
    await market.hear(sale())
    await market.tell()
    await market.hear(sale("flash", percent=80))
    await market.tell_all()
    await market.hear(sale(percent=25))
    await market.tell_all()

    flash = [(user, "flash", 80) for user in (1, 2, 3)]
    assert market.told() == [(1, "spring", 25), (2, "spring", 25), *flash, (3, "spring", 25)]


async def test_who_wishes_for_it_later_or_no_more_is_not_told(market: Market):
    await market.wish(1, 2, 3, 4)
    await market.hear(sale())
    await market.tell()
    await market.forget(3)
    await market.wish(5, at=NOON + HOUR)
    # Once told, nobody is told again for having wished anew.
    await market.forget(1)
    await market.wish(1, at=NOON + HOUR)
    await market.tell_all()

    assert [user for user, *_ in market.told()] == [1, 2, 4]


async def test_sales_take_turns(market: Market):
    await market.wish(1, 2, 3, 4)
    await market.wish(5, product_id=OTHER)
    await market.hear(sale())
    await market.hear(sale(product_id=OTHER))
    for _ in range(2):
        await market.tell()

    assert [user for user, *_ in market.told()] == [1, 2, 5]


async def test_it_goes_on_by_itself_and_after_the_database_was_away(market: Market, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.concurrency.background.LAST_PAUSE_SECONDS", 0.01)
    await market.wish(*range(1, 500))
    failures = [DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")] * 3

    @asynccontextmanager
    async def begin() -> AsyncIterator[Transaction]:
        if failures:
            raise failures.pop()
        async with market.library.begin() as tx:
            yield tx

    step = partial(sales.notify_all, begin, market.library, now=lambda: NOON)
    async with background(repeat("sales", step, pause_seconds=0)), asyncio.timeout(60):
        await market.hear(sale())
        while len(market.told()) < 499:
            await asyncio.sleep(0)
    assert len(set(market.told())) == len(market.told()) == 499


class BadRows:
    """Transactions of a library in which some rows cannot be worked with."""

    def __init__(self, market: Market, *, users: Collection[int] = (), products: Collection[ProductId] = ()) -> None:
        self._market = market
        self.users = set(users)
        self.products = set(products)

    @asynccontextmanager
    async def begin(self, user_id: UserId | None = None, /) -> AsyncIterator[Transaction]:
        async with self._market.library.begin(user_id) as tx:
            mark_notified, wishing = tx.wishlist.mark_notified, tx.wishlist.wishing

            async def noting(wishes: Sequence[WishlistItem], sale_id: SaleId) -> None:
                if any(wish.user_id.int in self.users for wish in wishes):
                    raise OverflowError("date value out of range")
                await mark_notified(wishes, sale_id)

            async def reading(sale: Sale, *, limit: int) -> Sequence[WishlistItem]:
                if sale.product_id in self.products:
                    raise ValueError("no such row")
                return await wishing(sale, limit=limit)

            tx.wishlist.mark_notified, tx.wishlist.wishing = noting, reading  # type: ignore[method-assign]
            yield tx


async def test_a_user_at_whom_it_fails_is_passed_over(market: Market):
    rows = BadRows(market, users=[2, 4])
    await market.wish(*range(1, 7))
    await market.hear(sale())
    with pytest.raises(ExceptionGroup) as raised:
        await sales.notify_all(rows.begin, market.library, now=lambda: NOON)
    assert [user for user, *_ in market.told()] == [1, 3, 5, 6]
    assert len(raised.value.exceptions) == 2
    assert "is passed over" in str(raised.value.exceptions[0].__notes__)
    assert [*(await market.sales()).values()] == [SaleStatus.TOLD]


async def test_a_sale_that_cannot_be_gone_on_with_is_set_aside_and_those_behind_it_go_on(market: Market):
    rows = BadRows(market, products=[GAME])
    await market.wish(1, 2)
    await market.wish(3, product_id=OTHER)
    await market.hear(sale())
    await market.hear(sale(product_id=OTHER))
    with pytest.raises(ExceptionGroup):
        await sales.notify_all(rows.begin, market.library, now=lambda: NOON)
    assert [user for user, *_ in market.told()] == [3]
    await sales.notify_all(rows.begin, market.library, now=lambda: NOON)  # it waits
    rows.products.clear()
    await sales.notify_all(rows.begin, market.library, now=lambda: NOON + sales.SET_ASIDE_FOR)
    assert sorted(user for user, *_ in market.told()) == [1, 2, 3]


async def test_without_a_sale_there_is_nothing_to_do(market: Market):
    await market.wish(1)
    assert not await market.tell()
    await market.hear(sale(percent=0))

    assert not await market.tell()
    assert await market.sales() == {}


@pytest.mark.parametrize("ends_at", [EARLIEST, LATEST])
def test_a_sale_for_ever_is_told_of_as_any_other(ends_at: datetime):
    event = outgoing(WishlistItemOnSale(UserId(uuid4()), GAME, 25, SaleId("spring"), ends_at))
    assert event.data["endsAt"] == moment_text(ends_at)


def test_the_notice_is_on_the_wire_as_the_contract_says():
    user_id = UserId(uuid4())
    event = outgoing(WishlistItemOnSale(user_id, GAME, 25, SaleId("spring"), NOON))

    assert (event.type, event.topic, event.partition_key, event.subject) == (
        "com.platform.library.wishlist.item.on_sale.v1",
        "com.platform.library.events.v1",
        str(user_id),
        str(GAME),
    )
    assert event.data == {
        "userId": str(user_id),
        "productId": str(GAME),
        "discountPercent": 25,
        "saleId": "spring",
        "endsAt": "2026-03-01T12:00:00Z",
    }


@given(
    st.builds(
        Sale,
        product_id=st.uuids().map(ProductId),
        sale_id=st.text(min_size=1).map(SaleId),
        discount_percent=st.integers(1, 100),
        ends_at=st.just(NOON),
        heard_at=st.just(NOON),
        status=st.sampled_from(SaleStatus),
        told_until=st.none() | st.uuids().map(UserId),
    )
)
def test_a_sale_comes_back_from_its_row(one: Sale):
    assert sale_of(sale_row(one)) == one
