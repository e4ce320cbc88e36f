"""The wishlist: each product once, in the user's order, up to its limit, until the user comes by it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library_svc.catalog.application import ProductFiller
from library_svc.catalog.domain import Language, Product, ProductNotFound
from library_svc.entitlements.application import grant
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import ProductId, UserId, WishlistItemId
from library_svc.items.domain import GameAdded
from library_svc.wishlist.application import WishlistItemView, add_wish, get_wish, list_wishes, remove_wish, update_wish
from library_svc.wishlist.domain import (
    WISHLIST_LIMIT,
    WishlistFull,
    WishlistItem,
    WishlistItemAdded,
    WishlistItemAlreadyExists,
    WishlistItemChanges,
    WishlistItemNotFound,
    WishlistItemRemoved,
)
from library_svc.wishlist.postgres import wish_of, wish_row
from library_svc.wishlist.presentation import wish_message
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryCatalog, MemoryLibrary, MemoryProducts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
USER, STRANGER = UserId(uuid4()), UserId(uuid4())


class Window:
    """A shop window that a user looks into. Catalog is away unless it is given products."""

    def __init__(self) -> None:
        products = MemoryProducts()
        self.now = NOON
        self.library, self.catalog = MemoryLibrary(products), MemoryCatalog()
        self.catalog.is_away = True
        self.filler = ProductFiller(self.catalog, products, now=lambda: self.now)

    def sells(self, *product_ids: UUID) -> None:
        self.catalog.is_away = False
        self.catalog.products = {
            product_id: Product(product_id, NOON, is_complete=True, title_ru="Игра", title_en="Game")
            for product_id in product_ids
        }

    async def add(self, product_id: UUID | None = None, *, priority: int = 0, at: datetime = NOON) -> WishlistItem:
        return await add_wish(
            self.library.begin,
            self.filler,
            user_id=USER,
            product_id=ProductId(product_id or uuid4()),
            priority=priority,
            notes=None,
            now=at,
        )

    async def wishes(self) -> list[WishlistItem]:
        page = await list_wishes(self.library, self.filler, user_id=USER, page=1, limit=200)
        assert page.total_items == len(page.wishes)
        return [shown.wish for shown in page.wishes]


@pytest.fixture
def window() -> Window:
    return Window()


async def test_a_wish_is_added_told_and_removed(window: Window):
    wish = await window.add(priority=3)

    assert await window.wishes() == [wish] == [WishlistItem(wish.id, USER, wish.product_id, NOON, 3)]
    await remove_wish(window.library.begin, user_id=USER, wish_id=wish.id, now=LATER)
    assert await window.wishes() == []
    assert window.library.events == (
        WishlistItemAdded(USER, wish.product_id, wish.id, NOON),
        WishlistItemRemoved(USER, wish.product_id, wish.id, LATER),
    )


async def test_the_highest_priority_is_first_then_the_newest(window: Window):
    old, new = await window.add(), await window.add(at=LATER)
    low, high = await window.add(priority=1), await window.add(priority=9)

    assert await window.wishes() == [high, low, new, old]
    raised = await update_wish(
        window.library.begin, user_id=USER, wish_id=old.id, changes=WishlistItemChanges(priority=10, notes="!")
    )
    assert (await window.wishes())[0] == raised == WishlistItem(old.id, USER, old.product_id, NOON, 10, "!")


async def test_a_product_is_there_once(window: Window):
    wish = await window.add()

    with pytest.raises(WishlistItemAlreadyExists) as refused:
        await window.add(wish.product_id)

    assert refused.value.details["wishlist_item_id"] == str(wish.id)


async def test_a_full_wishlist_takes_no_more_until_something_leaves_it(window: Window):
    wishes = [await window.add() for _ in range(WISHLIST_LIMIT)]

    with pytest.raises(WishlistFull):
        await window.add()
    await remove_wish(window.library.begin, user_id=USER, wish_id=wishes[0].id, now=NOON)
    assert (await window.add()).user_id == USER


@pytest.mark.parametrize("kind", list(SourceKind))
async def test_what_the_user_comes_by_leaves_the_wishlist(window: Window, kind: SourceKind):
    wish, other = await window.add(), await window.add(at=LATER)

    for _ in range(2):
        await grant(
            window.library.begin,
            MemoryAccessCache(),
            event_id=None,
            user_id=USER,
            product_ids=[wish.product_id],
            source=Source(kind, "1"),
            at=LATER,
        )

    assert await window.wishes() == [other]
    assert isinstance(window.library.events[2], GameAdded)
    assert window.library.events[3:] == (WishlistItemRemoved(USER, wish.product_id, wish.id, LATER),)


async def test_another_users_wish_is_not_found(window: Window):
    wish = await window.add()

    with pytest.raises(WishlistItemNotFound):
        await remove_wish(window.library.begin, user_id=STRANGER, wish_id=wish.id, now=NOON)
    with pytest.raises(WishlistItemNotFound):
        await update_wish(
            window.library.begin, user_id=STRANGER, wish_id=wish.id, changes=WishlistItemChanges(priority=1)
        )
    with pytest.raises(WishlistItemNotFound):
        await get_wish(window.library, window.filler, user_id=STRANGER, wish_id=wish.id)
    assert await window.wishes() == [wish]


class TestCatalog:
    async def test_what_catalog_does_not_know_cannot_be_wished_for_until_it_does(self, window: Window):
        product_id = uuid4()
        window.sells()

        with pytest.raises(ProductNotFound):
            await window.add(product_id)
        assert window.library.events == ()
        window.sells(product_id)
        assert (await window.add(product_id)).product_id == product_id

    async def test_titles_come_from_catalog_in_one_call(self, window: Window):
        wishes = [await window.add() for _ in range(3)]
        window.sells(*(wish.product_id for wish in wishes))
        window.catalog.calls.clear()
        window.now = LATER

        page = await list_wishes(window.library, window.filler, user_id=USER, page=1, limit=10)
        again = await get_wish(window.library, window.filler, user_id=USER, wish_id=wishes[0].id)

        assert [shown.product.title(Language.EN) for shown in page.wishes] == ["Game"] * 3
        assert again.is_known
        assert [len(call) for call in window.catalog.calls] == [3]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
wishes = st.builds(
    WishlistItem,
    id=st.uuids().map(WishlistItemId),
    user_id=st.uuids(),
    product_id=st.uuids(),
    added_at=st.just(NOON),
    priority=st.integers(0, 10**6),
    notes=st.none() | texts,
)


@given(wishes)
def test_a_wish_comes_back_from_its_row_and_is_shown_as_it_is(wish: WishlistItem):
    assert wish_of(wish_row(wish)) == wish

    message = wish_message(WishlistItemView(wish, None), Language.RU)
    assert (message.id, message.product_id, message.priority) == (str(wish.id), str(wish.product_id), wish.priority)
    assert (message.notes if message.HasField("notes") else None) == wish.notes
    assert not message.HasField("title")
