"""What every adapter of the LibraryReader and Products ports promises."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from library_svc.catalog.application import CATALOG_BATCH_LIMIT
from library_svc.catalog.domain import Language, Product
from library_svc.ids import ItemId, ProductId
from library_svc.items.application import ItemSort
from library_svc.items.domain import AcquisitionType, InstallationStatus, Item
from tests.contract.library.shelf import Shelf

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def shelf(adapters) -> Shelf:
    return Shelf(adapters)


class TestPages:
    async def test_an_empty_library_is_an_empty_page(self, shelf: Shelf):
        page = await shelf.page()

        assert (list(page.items), page.total_items, list(page.unknown_products)) == ([], 0, [])

    async def test_pages_follow_each_other_without_gap_or_repetition(self, shelf: Shelf):
        items = [await shelf.put("Игра", "Game", added_at=NOON) for _ in range(7)]

        pages = [await shelf.page(page=number, limit=3) for number in (1, 2, 3)]

        seen = [shown.item for page in pages for shown in page.items]
        assert seen == sorted(items, key=lambda item: item.id)
        assert [len(page.items) for page in pages] == [3, 3, 1]
        assert {page.total_items for page in pages} == {7}

    async def test_beyond_the_last_page_the_total_is_still_told(self, shelf: Shelf):
        await shelf.put("Игра", "Game")

        page = await shelf.page(page=1_000_000, limit=100)

        assert (list(page.items), page.total_items) == ([], 1)

    async def test_another_users_items_are_not_seen(self, shelf: Shelf):
        item = await shelf.put("Игра", "Game")
        stranger = Shelf(shelf.adapters)

        assert (await stranger.page()).total_items == 0
        assert await shelf.adapters.reader.get_item(stranger.user_id, item.id) is None
        assert await shelf.adapters.reader.owned_items(stranger.user_id, []) == []

    async def test_one_item_is_shown_with_its_product(self, shelf: Shelf):
        item = await shelf.put("Игра", "Game", notes="!")

        shown = await shelf.adapters.reader.get_item(shelf.user_id, item.id)

        assert shown.item == item
        assert (shown.product.title(Language.EN), shown.product.cover_image_url) == ("Game", "https://c/1")

    async def test_owned_items_are_newest_first_and_can_be_picked(self, shelf: Shelf):
        old, new = await shelf.put(added_at=NOON), await shelf.put(added_at=NOON + HOUR)

        assert await shelf.adapters.reader.owned_items(shelf.user_id, []) == [new, old]
        assert await shelf.adapters.reader.owned_items(shelf.user_id, [old.product_id, ProductId(uuid4())]) == [old]


class TestFilters:
    async def test_hidden_items_are_left_out_unless_asked_for(self, shelf: Shelf):
        seen, hidden = await shelf.put(added_at=NOON + HOUR), await shelf.put(is_hidden=True)

        assert await shelf.ids() == [seen.id]
        assert await shelf.ids(include_hidden=True) == [seen.id, hidden.id]

    async def test_favourites_or_the_others(self, shelf: Shelf):
        favourite, other = await shelf.put(is_favorite=True), await shelf.put()

        assert await shelf.ids(is_favorite=True) == [favourite.id]
        assert await shelf.ids(is_favorite=False) == [other.id]

    @pytest.mark.parametrize("status", list(InstallationStatus))
    async def test_by_installation_status(self, shelf: Shelf, status: InstallationStatus):
        items = {each: await shelf.put(installation_status=each) for each in InstallationStatus}

        assert await shelf.ids(status=status) == [items[status].id]

    @pytest.mark.parametrize(
        ("search", "titles"),
        [
            ("ведьмак", ["Ведьмак 3"]),
            ("ДЬМА", ["Ведьмак 3"]),
            ("witcher", ["Ведьмак 3"]),
            ("елка", ["Ёлка 100%_"]),
            ("100%", ["Ёлка 100%_"]),
            ("%", ["Ёлка 100%_"]),
            ("_", ["Ёлка 100%_"]),
            ("  ведьмак   3 ", ["Ведьмак 3"]),
            ("\\", []),
            ("нет такой", []),
        ],
    )
    async def test_by_a_part_of_a_title_in_either_language_blind_to_case(
        self, shelf: Shelf, search: str, titles: Sequence[str]
    ):
        await shelf.put("Ведьмак 3", "The Witcher 3")
        await shelf.put("Ёлка 100%_", "Fir")
        await shelf.put()

        page = await shelf.page(search=search)

        assert [shown.product.title_ru for shown in page.items] == titles
        assert page.total_items == len(titles)

    async def test_filters_hold_together(self, shelf: Shelf):
        wanted = await shelf.put("Баня", "Bath", is_favorite=True, installation_status=InstallationStatus.INSTALLED)
        await shelf.put("Баня 2", "Bath 2", is_favorite=True)
        await shelf.put("Чай", "Tea", is_favorite=True, installation_status=InstallationStatus.INSTALLED)

        query = {"search": "bath", "is_favorite": True, "status": InstallationStatus.INSTALLED}
        assert await shelf.ids(**query) == [wanted.id]


class TestOrder:
    async def test_by_name_in_the_callers_language_unknown_last(self, shelf: Shelf):
        await shelf.put("Яблоко", "Apple")
        await shelf.put("ёж", "Hedgehog")
        await shelf.put("Жук", None)
        await shelf.put()
        await shelf.put("ель", "Spruce")

        assert await shelf.titles(sort=ItemSort.NAME_ASC) == ["ёж", "ель", "Жук", "Яблоко", None]
        assert await shelf.titles(sort=ItemSort.NAME_DESC) == ["Яблоко", "Жук", "ель", "ёж", None]
        assert await shelf.titles(Language.EN, sort=ItemSort.NAME_ASC) == ["Apple", "Hedgehog", "Spruce", "Жук", None]

    async def test_the_newest_first_is_the_default(self, shelf: Shelf):
        items = [await shelf.put(added_at=NOON + hour * HOUR) for hour in (1, 3, 2)]

        assert await shelf.ids() == [items[1].id, items[2].id, items[0].id]

    async def test_the_last_played_first_the_never_played_last(self, shelf: Shelf):
        items = [await shelf.put(last_played_at=time) for time in (NOON, None, NOON + HOUR)]

        assert await shelf.ids(sort=ItemSort.LAST_PLAYED_DESC) == [items[2].id, items[0].id, items[1].id]

    async def test_the_most_played_first(self, shelf: Shelf):
        items = [await shelf.put(total_playtime_seconds=seconds) for seconds in (5, 500, 50)]

        assert await shelf.ids(sort=ItemSort.PLAYTIME_DESC) == [items[1].id, items[2].id, items[0].id]

    @pytest.mark.parametrize("sort", list(ItemSort))
    async def test_equals_are_ordered_by_id(self, shelf: Shelf, sort: ItemSort):
        items = [await shelf.put("Игра", "Game") for _ in range(5)]

        assert await shelf.ids(sort=sort) == sorted(item.id for item in items)


class TestUnknownProducts:
    async def test_those_of_the_page_are_named(self, shelf: Shelf):
        await shelf.put("Игра", "Game", added_at=NOON + 2 * HOUR)
        first, second = await shelf.put(added_at=NOON + HOUR), await shelf.put()

        assert set((await shelf.page()).unknown_products) == {first.product_id, second.product_id}
        assert (await shelf.page(limit=2)).unknown_products == [first.product_id]
        assert list((await shelf.page(limit=1)).unknown_products) == []

    async def test_all_that_could_be_on_it_when_titles_decide(self, shelf: Shelf):
        item = await shelf.put()

        assert (await shelf.page(search="x")).unknown_products == [item.product_id]
        assert (await shelf.page(sort=ItemSort.NAME_ASC, page=2)).unknown_products == [item.product_id]

    async def test_a_product_known_in_part_is_named_and_shown(self, shelf: Shelf):
        item = await shelf.put()
        await shelf.adapters.products.save([Product(item.product_id, NOON, is_complete=False, title_ru="Новинка")])

        page = await shelf.page()

        assert page.unknown_products == [item.product_id]
        assert page.items[0].product.title(Language.RU) == "Новинка"

    async def test_no_more_than_catalog_takes_in_one_call(self, shelf: Shelf):
        async with shelf.adapters.begin() as tx:
            for _ in range(CATALOG_BATCH_LIMIT + 1):
                item = Item(ItemId(uuid4()), shelf.user_id, ProductId(uuid4()), NOON, AcquisitionType.PURCHASE)
                await tx.items.add(item)
            await tx.commit()

        page = await shelf.page(search="x")

        assert len(page.unknown_products) == len(set(page.unknown_products)) == CATALOG_BATCH_LIMIT


class TestProducts:
    PIECES = (
        Product(
            ProductId(UUID(int=0)), NOON, is_complete=True, title_ru="А", title_en="A", cover_image_url="https://c/1"
        ),
        Product(ProductId(UUID(int=0)), NOON + HOUR, is_complete=False, title_ru="Б"),
        Product(ProductId(UUID(int=0)), NOON + 2 * HOUR, is_complete=False, title_en="C", product_type="game"),
    )

    @pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0), (0, 1, 1, 2, 2, 0)])
    async def test_an_answer_and_events_merge_by_time(self, shelf: Shelf, order: Sequence[int]):
        item = await shelf.put()
        for number in order:
            await shelf.adapters.products.save([replace(self.PIECES[number], product_id=item.product_id)])

        shown = await shelf.adapters.reader.get_item(shelf.user_id, item.id)

        assert shown.product == Product(
            item.product_id, NOON + 2 * HOUR, is_complete=True, title_ru="Б", title_en="C",
            cover_image_url="https://c/1", product_type="game",
        )  # fmt: skip
        assert await shelf.ids(search="б") == [item.id]
        assert await shelf.ids(search="а") == []

    async def test_many_are_saved_at_once(self, shelf: Shelf):
        items = [await shelf.put() for _ in range(3)]
        await shelf.adapters.products.save(
            [Product(item.product_id, NOON, is_complete=True, title_ru="Игра") for item in items]
        )

        assert await shelf.titles() == ["Игра"] * 3
