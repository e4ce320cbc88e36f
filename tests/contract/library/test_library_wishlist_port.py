"""What every adapter of the Wishlist and WishlistReader ports promises."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from library_svc.catalog.application import ProductFiller
from library_svc.catalog.domain import Language, Product
from library_svc.entitlements.application import grant
from library_svc.entitlements.domain import Grant, Source, SourceKind
from library_svc.ids import EventId, ProductId, SaleId, UserId, WishlistItemId
from library_svc.sales.domain import Sale
from library_svc.wishlist.application import add_wish
from library_svc.wishlist.domain import (
    WISHLIST_LIMIT,
    ProductAlreadyOwned,
    WishlistFull,
    WishlistItem,
    WishlistItemAdded,
    WishlistItemAlreadyExists,
)
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryCatalog

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def user_id() -> UserId:
    return UserId(uuid4())


def a_wish(user_id: UserId, **attributes: object) -> WishlistItem:
    return replace(WishlistItem(WishlistItemId(uuid4()), user_id, ProductId(uuid4()), NOON), **attributes)


async def keep(adapters, *wishes: WishlistItem) -> None:
    async with adapters.begin() as tx:
        for wish in wishes:
            await tx.wishlist.add(wish)
        await tx.commit()


async def wish_for(adapters, user_id: UserId, product_id: ProductId) -> WishlistItem:
    """Adds a wish while Catalog is away."""
    catalog = MemoryCatalog()
    catalog.is_away = True
    filler = ProductFiller(catalog, adapters.products, now=lambda: NOON)
    return await add_wish(
        adapters.begin, filler, user_id=user_id, product_id=product_id, priority=0, notes=None, now=NOON
    )


async def test_wishes_are_saved_removed_and_found(adapters, user_id):
    wish, other = a_wish(user_id, priority=7, notes="Ёлка / 100 %"), a_wish(user_id)
    await keep(adapters, wish, other)
    async with adapters.begin() as tx:
        assert await tx.wishlist.count(user_id) == 2
        await tx.wishlist.save(replace(wish, notes=None, priority=8))
        await tx.wishlist.remove(other)
        await tx.commit()

    expected = replace(wish, notes=None, priority=8)
    async with adapters.begin() as tx:
        assert await tx.wishlist.find(user_id, wish.id) == expected
        assert await tx.wishlist.of_product(user_id, wish.product_id) == expected
        assert await tx.wishlist.find(user_id, other.id) is None
        assert await tx.wishlist.of_product(user_id, other.product_id) is None
        assert await tx.wishlist.find(UserId(uuid4()), wish.id) is None
        assert await tx.wishlist.of_product(UserId(uuid4()), wish.product_id) is None
        assert await tx.wishlist.count(user_id) == 1
        assert await tx.wishlist.count(UserId(uuid4())) == 0
    assert (await adapters.wishes.get_wish(user_id, wish.id)).wish == expected
    assert await adapters.wishes.get_wish(UserId(uuid4()), wish.id) is None


async def test_what_is_not_committed_leaves_no_trace(adapters, user_id):
    wish = a_wish(user_id)
    async with adapters.begin() as tx:
        await tx.wishlist.add(wish)
        tx.record(WishlistItemAdded(user_id, wish.product_id, wish.id, NOON))

    assert await adapters.wishes.get_wish(user_id, wish.id) is None
    assert await adapters.told(user_id) == []


async def test_a_list_is_by_priority_then_the_newest_first_and_paged(adapters, user_id):
    twins = sorted((a_wish(user_id) for _ in range(2)), key=lambda wish: wish.id)
    new, high = a_wish(user_id, added_at=LATER), a_wish(user_id, priority=5)
    await keep(adapters, *reversed(twins), high, new, a_wish(UserId(uuid4())))

    async def listed(page: int, limit: int) -> list[WishlistItem]:
        found = await adapters.wishes.list_wishes(user_id, page=page, limit=limit)
        assert found.total_items == 4
        return [shown.wish for shown in found.wishes]

    assert await listed(1, 10) == [high, new, *twins]
    assert await listed(2, 3) == twins[1:]
    assert await listed(3, 3) == []
    nothing = await adapters.wishes.list_wishes(UserId(uuid4()), page=1, limit=10)
    assert (list(nothing.wishes), nothing.total_items) == ([], 0)


async def test_wishes_are_shown_with_their_products(adapters, user_id):
    known, part, unknown = (a_wish(user_id, priority=number) for number in (3, 2, 1))
    await keep(adapters, known, part, unknown)
    await adapters.products.save(
        [
            Product(known.product_id, NOON, is_complete=True, title_ru="Игра", cover_image_url="https://c/1"),
            Product(part.product_id, NOON, is_complete=False, title_ru="Новинка"),
        ]
    )

    shown = (await adapters.wishes.list_wishes(user_id, page=1, limit=10)).wishes

    assert [each.is_known for each in shown] == [True, False, False]
    titles = [each.product.title(Language.RU) if each.product else None for each in shown]
    assert titles == ["Игра", "Новинка", None]
    assert await adapters.wishes.get_wish(user_id, known.id) == shown[0]


async def test_what_is_owned_cannot_be_wished_for_until_it_is_taken_back(adapters, user_id):
    product_id, order = ProductId(uuid4()), Source(SourceKind.ORDER, str(uuid4()))
    owned = Grant(user_id, product_id, order, NOON)
    await record(adapters, owned)

    with pytest.raises(ProductAlreadyOwned) as refused:
        await wish_for(adapters, user_id, product_id)
    assert refused.value.details == {"product_id": str(product_id)}

    await record(adapters, owned.revoked(LATER))
    assert (await wish_for(adapters, user_id, product_id)).product_id == product_id


async def test_who_has_the_product_is_not_among_those_who_wish_for_it(adapters):
    product_id = ProductId(uuid4())
    users = sorted(UserId(uuid4()) for _ in range(4))
    await keep(adapters, *(a_wish(user_id, product_id=product_id) for user_id in users))
    order = Source(SourceKind.ORDER, str(uuid4()))
    await record(adapters, Grant(users[0], product_id, order, NOON), Grant(users[1], product_id, order, NOON))
    await record(adapters, Grant(users[1], product_id, order, NOON, revoked_at=NOON))
    await record(adapters, Grant(users[2], ProductId(uuid4()), order, NOON))

    async with adapters.begin() as tx:
        sale = Sale(product_id, SaleId("spring"), 25, LATER, heard_at=NOON)
        assert [wish.user_id for wish in await tx.wishlist.wishing(sale, limit=2)] == users[1:3]


async def record(adapters, *grants: Grant) -> None:
    """Records grants that the wishlist does not notice, as those of before did."""
    async with adapters.begin() as tx:
        for one in grants:
            await tx.entitlements.save(one)
        await tx.commit()


class TestConcurrency:
    async def test_of_twenty_wishes_for_one_product_one_is_kept_and_told(self, adapters, user_id):
        product_id = ProductId(uuid4())

        outcomes = await asyncio.gather(
            *(wish_for(adapters, user_id, product_id) for _ in range(20)), return_exceptions=True
        )

        assert sum(isinstance(outcome, WishlistItem) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, WishlistItemAlreadyExists) for outcome in outcomes) == 19
        assert await adapters.told(user_id) == [("wishlist.item.added.v1", str(product_id))]

    async def test_the_limit_holds_when_wishes_race(self, adapters, user_id):
        await keep(adapters, *(a_wish(user_id) for _ in range(WISHLIST_LIMIT - 3)))

        outcomes = await asyncio.gather(
            *(wish_for(adapters, user_id, ProductId(uuid4())) for _ in range(20)), return_exceptions=True
        )

        assert sum(isinstance(outcome, WishlistItem) for outcome in outcomes) == 3
        assert sum(isinstance(outcome, WishlistFull) for outcome in outcomes) == 17

    async def test_a_purchase_takes_the_wish_away_once(self, adapters, user_id):
        wish = await wish_for(adapters, user_id, ProductId(uuid4()))

        await asyncio.gather(
            *(
                grant(
                    adapters.begin,
                    MemoryAccessCache(),
                    event_id=EventId("test", str(uuid4())),
                    user_id=user_id,
                    product_ids=[wish.product_id],
                    source=Source(SourceKind.ORDER, str(number)),
                    at=LATER,
                )
                for number in range(20)
            )
        )

        assert await adapters.wishes.get_wish(user_id, wish.id) is None
        told = [kind for kind, _ in await adapters.told(user_id)]
        assert told == ["wishlist.item.added.v1", "game.added.v1", "wishlist.item.removed.v1"]
