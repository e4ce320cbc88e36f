"""Items: what a user may change of them, and what they are shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from library_svc.catalog.application import ProductFiller
from library_svc.catalog.domain import Language, Product
from library_svc.ids import ItemId, ProductId, UserId
from library_svc.items.application import ItemQuery, ItemSort, get_item, list_items, update_item
from library_svc.items.domain import AcquisitionType, Item, ItemChanges, ItemNotFound
from tests.fakes.library.store import MemoryCatalog, MemoryLibrary, MemoryProducts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = UserId(uuid4())


def an_item(**attributes: object) -> Item:
    return replace(
        Item(
            id=ItemId(uuid4()),
            user_id=USER,
            product_id=ProductId(uuid4()),
            added_at=NOON,
            acquisition_type=AcquisitionType.PURCHASE,
        ),
        **attributes,
    )


def product(product_id: UUID, ru: str, en: str) -> Product:
    return Product(
        ProductId(product_id), NOON, is_complete=True, title_ru=ru, title_en=en, cover_image_url="https://c/1"
    )


class World:
    """The library in memory, with a Catalog beside it and a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOON
        self.products = MemoryProducts()
        self.library = MemoryLibrary(self.products)
        self.catalog = MemoryCatalog()
        self.filler = ProductFiller(self.catalog, self.products, now=lambda: self.now)

    async def add(self, *items: Item) -> None:
        async with self.library.begin() as tx:
            for item in items:
                await tx.items.add(item)
            await tx.commit()

    async def titles(self, language: Language = Language.RU, **query: object) -> list[str | None]:
        page = await list_items(self.library, self.filler, ItemQuery(USER, language, **query))
        return [shown.product.title(language) if shown.product else None for shown in page.items]


@pytest.fixture
def world() -> World:
    return World()


class TestChanging:
    def test_only_what_is_named_changes(self):
        item = an_item(user_rating=4, notes="good", is_favorite=True)

        changed = item.changed(ItemChanges(is_hidden=True))

        assert changed == replace(item, is_hidden=True)

    def test_none_clears(self):
        assert an_item(user_rating=4, notes="good").changed(ItemChanges(user_rating=None)).user_rating is None

    async def test_the_change_is_kept(self, world: World):
        item = an_item()
        await world.add(item)

        changed = await update_item(
            world.library.begin, user_id=USER, item_id=item.id, changes=ItemChanges(notes="later", is_favorite=True)
        )

        shown = await get_item(world.library, world.filler, user_id=USER, item_id=item.id)
        assert shown.item == changed == replace(item, notes="later", is_favorite=True)

    async def test_another_users_item_is_not_found(self, world: World):
        item = an_item()
        await world.add(item)
        stranger = UserId(uuid4())

        with pytest.raises(ItemNotFound):
            await update_item(world.library.begin, user_id=stranger, item_id=item.id, changes=ItemChanges(notes="mine"))
        with pytest.raises(ItemNotFound):
            await get_item(world.library, world.filler, user_id=stranger, item_id=item.id)


class TestTitles:
    async def test_a_page_asks_catalog_once_for_all_that_it_misses(self, world: World):
        items = [an_item() for _ in range(7)]
        await world.add(*items)
        world.catalog.products = {item.product_id: product(item.product_id, "Игра", "Game") for item in items}

        first, second = await world.titles(), await world.titles()

        assert first == second == ["Игра"] * 7
        assert [len(call) for call in world.catalog.calls] == [7]

    async def test_titles_that_come_late_take_part_in_search_and_order(self, world: World):
        items = [an_item(added_at=NOON + timedelta(hours=hour)) for hour in range(3)]
        await world.add(*items)
        names = ["Чайник", "Баня", "Банщик"]
        world.catalog.products = {
            item.product_id: product(item.product_id, name, "-") for item, name in zip(items, names, strict=True)
        }

        assert await world.titles(search="бан", sort=ItemSort.NAME_ASC) == ["Банщик", "Баня"]
        assert len(world.catalog.calls) == 1

    async def test_with_catalog_away_the_items_answer_without_titles(self, world: World):
        await world.add(an_item(), an_item())
        world.catalog.is_away = True

        assert await world.titles() == [None, None]

    async def test_catalog_is_left_alone_for_a_while_after_it_failed(self, world: World):
        await world.add(an_item())
        world.catalog.is_away = True
        await world.titles()
        await world.titles()
        assert len(world.catalog.calls) == 1

        world.now += timedelta(seconds=6)
        await world.titles()
        assert len(world.catalog.calls) == 2

    async def test_a_product_unknown_to_catalog_is_asked_for_once_a_minute(self, world: World):
        known, unknown = an_item(), an_item(added_at=NOON - timedelta(hours=1))
        await world.add(known, unknown)
        world.catalog.products = {known.product_id: product(known.product_id, "Игра", "Game")}

        assert await world.titles() == ["Игра", None]
        assert await world.titles() == ["Игра", None]
        assert len(world.catalog.calls) == 1
        world.now += timedelta(seconds=61)
        await world.titles()
        assert world.catalog.calls[1:] == [(unknown.product_id,)]

    async def test_one_item_is_filled_too(self, world: World):
        item = an_item()
        await world.add(item)
        world.catalog.products = {item.product_id: product(item.product_id, "Игра", "Game")}

        shown = await get_item(world.library, world.filler, user_id=USER, item_id=item.id)

        assert shown.product is not None
        assert shown.product.title(Language.EN) == "Game"
