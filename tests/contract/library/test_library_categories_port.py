"""What every adapter of the Categories and CategoryReader ports promises."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from library_svc.catalog.domain import Language
from library_svc.categories.application import create_category, delete_category, update_category
from library_svc.categories.domain import Category, CategoryAlreadyExists, CategoryChanges, CategoryNotFound
from library_svc.ids import CategoryId, ItemId, ProductId, UserId
from library_svc.items.application import ItemQuery, update_item
from library_svc.items.domain import AcquisitionType, Item, ItemChanges

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def user_id() -> UserId:
    return UserId(uuid4())


async def make(adapters, user_id: UserId, name: str, display_order: int = 0) -> Category:
    return await create_category(adapters.begin, user_id=user_id, name=name, display_order=display_order)


async def put(adapters, user_id: UserId, *category_ids: CategoryId) -> Item:
    """A new item in these categories."""
    item = Item(ItemId(uuid4()), user_id, ProductId(uuid4()), NOON, AcquisitionType.PURCHASE)
    async with adapters.begin() as tx:
        await tx.items.add(item)
        await tx.categories.put(item, set(category_ids))
        await tx.commit()
    return item


async def test_categories_are_saved_removed_and_found_by_id_and_name(adapters, user_id):
    category, other = await make(adapters, user_id, "Ёлки / 100 %", 5), await make(adapters, user_id, "b")
    async with adapters.begin() as tx:
        await tx.categories.save(Category(category.id, user_id, "c", 6))
        await tx.categories.remove(other)
        await tx.commit()

    expected = Category(category.id, user_id, "c", 6)
    async with adapters.begin() as tx:
        assert await tx.categories.find(user_id, category.id) == expected
        assert await tx.categories.named(user_id, "c") == expected
        assert await tx.categories.named(user_id, "C") is None
        assert await tx.categories.find(user_id, other.id) is None
        assert await tx.categories.find(UserId(uuid4()), category.id) is None
        assert await tx.categories.existing(user_id, {category.id, other.id}) == {category.id}
        assert await tx.categories.existing(user_id, set()) == set()
    assert await adapters.categories.get_category(user_id, category.id) == expected
    assert await adapters.categories.get_category(UserId(uuid4()), category.id) is None


@pytest.mark.parametrize("name", ["Ёлка\u200b", "\ufeffЁлка", "Е\u0308лка", "Ёл\u00adка", " Ёлка ", "\u3164Ёлка\ufe0f"])
async def test_what_looks_the_same_is_one_name(adapters, user_id, name: str):
    await make(adapters, user_id, "Ёлка")
    other = await make(adapters, user_id, "Елка")

    with pytest.raises(CategoryAlreadyExists):
        await make(adapters, user_id, name)
    with pytest.raises(CategoryAlreadyExists):
        await update_category(adapters.begin, user_id=user_id, category_id=other.id, changes=CategoryChanges(name=name))
    await make(adapters, user_id, "ёлка")


async def test_names_that_were_two_before_can_be_changed(adapters, user_id):
    """Before, what could not be seen made another name."""
    old = [Category(CategoryId(uuid4()), user_id, name) for name in ("RPG", "RPG\u200b")]
    async with adapters.begin() as tx:
        for category in old:
            await tx.categories.add(category)
        await tx.commit()
    for category in old:
        changes = CategoryChanges(display_order=5)
        await update_category(adapters.begin, user_id=user_id, category_id=category.id, changes=changes)
    with pytest.raises(CategoryAlreadyExists):
        await update_category(
            adapters.begin, user_id=user_id, category_id=old[0].id, changes=CategoryChanges(name="RPG\u200b")
        )


async def test_numbers_in_names_are_in_order(adapters, user_id):
    for name in ("Часть 10", "Часть\u200b 2", "Часть 1"):
        await make(adapters, user_id, name)

    found = await adapters.categories.list_categories(user_id, page=1, limit=10)
    assert [category.name for category in found.categories] == ["Часть 1", "Часть\u200b 2", "Часть 10"]


async def test_a_list_is_by_place_then_by_name_and_paged(adapters, user_id):
    await make(adapters, UserId(uuid4()), "another's")
    for name, place in (("яблоко", 1), ("Ёж", 1), ("last", 2), ("First", 0), ("жук", 1), ("елка", 1)):
        await make(adapters, user_id, name, place)

    async def names(page: int, limit: int) -> list[str]:
        found = await adapters.categories.list_categories(user_id, page=page, limit=limit)
        assert found.total_items == 6
        return [category.name for category in found.categories]

    assert await names(1, 10) == ["First", "Ёж", "елка", "жук", "яблоко", "last"]
    assert await names(2, 4) == ["яблоко", "last"]
    assert await names(3, 4) == []
    nothing = await adapters.categories.list_categories(UserId(uuid4()), page=1, limit=10)
    assert (list(nothing.categories), nothing.total_items) == ([], 0)


async def test_items_are_shown_with_their_categories_and_filtered_by_one(adapters, user_id):
    first, second = [(await make(adapters, user_id, name)).id for name in "ab"]
    both, one, none = await put(adapters, user_id, first, second), await put(adapters, user_id, first), None
    none = await put(adapters, user_id)

    async def shown(**query: object) -> dict[ItemId, list[CategoryId]]:
        page = await adapters.reader.list_items(ItemQuery(user_id, Language.RU, **query))
        assert page.total_items == len(page.items)
        return {each.item.id: list(each.category_ids) for each in page.items}

    assert await shown() == {both.id: sorted([first, second]), one.id: [first], none.id: []}
    assert set(await shown(category_id=first)) == {both.id, one.id}
    assert set(await shown(category_id=second, is_favorite=False)) == {both.id}
    assert await shown(category_id=CategoryId(uuid4())) == {}
    assert list((await adapters.reader.get_item(user_id, both.id)).category_ids) == sorted([first, second])


async def test_items_tell_their_categories_if_they_are_asked_for_them(adapters, user_id):
    first, second = await make(adapters, user_id, "a", 7), await make(adapters, user_id, "b")
    item, bare = await put(adapters, user_id, first.id, second.id), await put(adapters, user_id)
    expected = sorted([first, second], key=lambda category: category.id)

    page = await adapters.reader.list_items(ItemQuery(user_id, Language.RU, include_categories=True))
    told = {each.item.id: (list(each.category_ids), list(each.categories)) for each in page.items}
    assert told == {item.id: ([category.id for category in expected], expected), bare.id: ([], [])}
    plain = await adapters.reader.list_items(ItemQuery(user_id, Language.RU))
    assert [list(each.categories) for each in plain.items] == [[], []]
    one = await adapters.reader.get_item(user_id, item.id, include_categories=True)
    assert (list(one.category_ids), list(one.categories)) == told[item.id]
    async with adapters.begin() as tx:
        assert await tx.categories.of_item(item) == {first.id, second.id}
        assert await tx.categories.of_item(bare) == set()


async def test_another_users_category_filters_to_nothing(adapters, user_id):
    category_id = (await make(adapters, user_id, "a")).id
    await put(adapters, user_id, category_id)

    page = await adapters.reader.list_items(ItemQuery(UserId(uuid4()), Language.RU, category_id=category_id))

    assert page.total_items == 0


async def test_a_removed_item_leaves_its_categories(adapters, user_id):
    category_id = (await make(adapters, user_id, "a")).id
    item = await put(adapters, user_id, category_id)
    async with adapters.begin() as tx:
        await tx.items.remove(item)
        await tx.items.add(item)
        await tx.commit()

    assert list((await adapters.reader.get_item(user_id, item.id)).category_ids) == []


class TestConcurrency:
    async def test_of_twenty_that_make_one_name_one_succeeds(self, adapters, user_id):
        outcomes = await asyncio.gather(
            *(make(adapters, user_id, "RPG", place) for place in range(20)), return_exceptions=True
        )

        assert sum(isinstance(outcome, Category) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, CategoryAlreadyExists) for outcome in outcomes) == 19
        found = await adapters.categories.list_categories(user_id, page=1, limit=100)
        assert found.total_items == 1

    async def test_twenty_changes_leave_what_one_of_them_said(self, adapters, user_id):
        sets = [frozenset([(await make(adapters, user_id, str(number))).id]) for number in range(6)]
        item = await put(adapters, user_id)
        wanted = [left | right for left in sets for right in sets[:4]][:20]

        await asyncio.gather(
            *(
                update_item(
                    adapters.begin, user_id=user_id, item_id=item.id, changes=ItemChanges(category_ids=category_ids)
                )
                for category_ids in wanted
            )
        )

        assert frozenset((await adapters.reader.get_item(user_id, item.id)).category_ids) in wanted

    async def test_a_category_that_goes_while_items_come_in_is_gone(self, adapters, user_id):
        category = await make(adapters, user_id, "a")
        items = [await put(adapters, user_id) for _ in range(5)]
        changes = ItemChanges(category_ids=frozenset([category.id]))

        outcomes = await asyncio.gather(
            *(update_item(adapters.begin, user_id=user_id, item_id=item.id, changes=changes) for item in items),
            delete_category(adapters.begin, user_id=user_id, category_id=category.id),
            return_exceptions=True,
        )

        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(failure, CategoryNotFound) for failure in failures)
        page = await adapters.reader.list_items(ItemQuery(user_id, Language.RU))
        assert [list(shown.category_ids) for shown in page.items] == [[]] * 5
