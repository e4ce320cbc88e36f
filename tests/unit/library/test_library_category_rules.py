"""Categories: named once per user, in the user's order, and what is in them."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from library_svc.catalog.domain import Language
from library_svc.categories.application import create_category, delete_category, update_category
from library_svc.categories.domain import Category, CategoryAlreadyExists, CategoryChanges, CategoryNotFound
from library_svc.ids import CategoryId, ItemId, ProductId, UserId
from library_svc.items.application import ItemQuery, update_item
from library_svc.items.domain import AcquisitionType, Item, ItemChanges
from tests.fakes.library.store import MemoryLibrary, MemoryProducts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER, STRANGER = UserId(uuid4()), UserId(uuid4())


class Shelves:
    """A user who sorts their library."""

    def __init__(self) -> None:
        self.library = MemoryLibrary(MemoryProducts())

    async def make(self, name: str, display_order: int = 0, user_id: UserId = USER) -> Category:
        return await create_category(self.library.begin, user_id=user_id, name=name, display_order=display_order)

    async def item(self) -> Item:
        item = Item(ItemId(uuid4()), USER, ProductId(uuid4()), NOON, AcquisitionType.PURCHASE)
        async with self.library.begin() as tx:
            await tx.items.add(item)
            await tx.commit()
        return item

    async def put(self, item: Item, *categories: Category, **changes: object) -> None:
        ids = frozenset(category.id for category in categories)
        await update_item(
            self.library.begin, user_id=USER, item_id=item.id, changes=ItemChanges(category_ids=ids, **changes)
        )

    async def found_in(self, item: Item) -> set[CategoryId]:
        shown = await self.library.get_item(USER, item.id)
        return set(shown.category_ids)


@pytest.fixture
def shelves() -> Shelves:
    return Shelves()


async def test_a_category_is_made_and_found(shelves: Shelves):
    category = await shelves.make("Ролевые", 3)

    assert (category.name, category.display_order) == ("Ролевые", 3)
    assert await shelves.library.get_category(USER, category.id) == category


async def test_a_users_categories_have_different_names(shelves: Shelves):
    await shelves.make("RPG")
    other = await shelves.make("rpg")

    for name in ("RPG", "  RPG\t"):
        with pytest.raises(CategoryAlreadyExists):
            await shelves.make(name)
    with pytest.raises(CategoryAlreadyExists):
        await update_category(
            shelves.library.begin, user_id=USER, category_id=other.id, changes=CategoryChanges(name="RPG")
        )
    assert (await shelves.make("RPG", user_id=STRANGER)).name == "RPG"


async def test_a_category_keeps_its_own_name_when_it_moves(shelves: Shelves):
    category = await shelves.make("RPG")

    moved = await update_category(
        shelves.library.begin,
        user_id=USER,
        category_id=category.id,
        changes=CategoryChanges(name=" RPG ", display_order=7),
    )

    assert moved == Category(category.id, USER, "RPG", 7)
    assert await shelves.library.get_category(USER, category.id) == moved


async def test_an_item_is_in_exactly_the_categories_that_were_named_last(shelves: Shelves):
    first, second, third = [await shelves.make(name) for name in "abc"]
    item = await shelves.item()

    await shelves.put(item, first, second)
    await shelves.put(item, second, third)

    assert await shelves.found_in(item) == {second.id, third.id}
    await update_item(shelves.library.begin, user_id=USER, item_id=item.id, changes=ItemChanges(notes="x"))
    assert await shelves.found_in(item) == {second.id, third.id}
    await shelves.put(item)
    assert await shelves.found_in(item) == set()


async def test_an_unknown_category_changes_nothing_at_all(shelves: Shelves):
    known, strange = await shelves.make("a"), await shelves.make("b", user_id=STRANGER)
    item = await shelves.item()

    with pytest.raises(CategoryNotFound):
        await shelves.put(item, known, strange, notes="lost")

    shown = await shelves.library.get_item(USER, item.id)
    assert (shown.item, list(shown.category_ids)) == (item, [])


async def test_a_removed_category_lets_its_items_go(shelves: Shelves):
    gone, kept = await shelves.make("a"), await shelves.make("b")
    item = await shelves.item()
    await shelves.put(item, gone, kept)

    await delete_category(shelves.library.begin, user_id=USER, category_id=gone.id)

    assert await shelves.found_in(item) == {kept.id}
    page = await shelves.library.list_items(ItemQuery(USER, Language.RU, category_id=gone.id))
    assert page.total_items == 0


async def test_another_users_category_is_not_found(shelves: Shelves):
    category = await shelves.make("a")

    with pytest.raises(CategoryNotFound):
        await delete_category(shelves.library.begin, user_id=STRANGER, category_id=category.id)
    with pytest.raises(CategoryNotFound):
        await update_category(
            shelves.library.begin, user_id=STRANGER, category_id=category.id, changes=CategoryChanges(name="mine")
        )
    assert await shelves.library.get_category(STRANGER, category.id) is None
    assert await shelves.library.get_category(USER, category.id) == category
