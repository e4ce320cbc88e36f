"""Categories as their users see them: over gRPC, with the database behind."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from library.v1 import categories_pb2 as pb
from library.v1 import items_pb2

from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, own_items, statements, user

# Each test has users of its own, so one running service does for all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


@pytest.fixture
def user_id() -> UUID:
    return uuid4()


async def make(rig: Rig, user_id: UUID, name: str, display_order: int = 0) -> pb.Category:
    request = pb.CreateCategoryRequest(name=name, display_order=display_order)
    return (await rig.categories.CreateCategory(request, metadata=user(user_id))).category


def into(item: items_pb2.LibraryItem, *category_ids: str) -> items_pb2.UpdateItemRequest:
    return items_pb2.UpdateItemRequest(
        library_item_id=item.id,
        item=items_pb2.LibraryItemChanges(category_ids=category_ids),
        update_mask=FieldMask(paths=["category_ids"]),
    )


async def refusal(call) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


async def test_categories_are_made_listed_renamed_and_removed(rig: Rig, user_id: UUID):
    me = user(user_id)
    later, first = await make(rig, user_id, "  Потом ", 1), await make(rig, user_id, "Ролевые")

    listed = await rig.categories.ListCategories(pb.ListCategoriesRequest(limit=1, page=2), metadata=me)
    assert [category.name for category in listed.categories] == ["Потом"]
    assert (listed.page.total_items, listed.page.current_page, listed.page.per_page) == (2, 2, 1)

    renamed = await rig.categories.UpdateCategory(
        pb.UpdateCategoryRequest(
            category_id=first.id,
            category=pb.CategoryChanges(name="RPG", display_order=9),
            update_mask=FieldMask(paths=["name"]),
        ),
        metadata=me,
    )
    assert renamed.category == pb.Category(id=first.id, name="RPG", display_order=0)
    await rig.categories.DeleteCategory(pb.DeleteCategoryRequest(category_id=later.id), metadata=me)
    gone = await refusal(rig.categories.GetCategory(pb.GetCategoryRequest(category_id=later.id), metadata=me))
    assert (gone.kind, gone.reason) == (Kind.NOT_FOUND, "CATEGORY_NOT_FOUND")
    shown = await rig.categories.GetCategory(pb.GetCategoryRequest(category_id=first.id), metadata=me)
    assert shown.category == renamed.category


async def test_items_are_put_into_categories_and_listed_by_them_in_one_statement(rig: Rig, user_id: UUID):
    await rig.buy(user_id, uuid4(), uuid4())
    names = [(await make(rig, user_id, name)).id for name in "ab"]
    item, other = await own_items(rig, user_id)

    changed = await rig.items.UpdateItem(into(item, *names, names[0]), metadata=user(user_id))
    await rig.items.UpdateItem(into(other, names[1]), metadata=user(user_id))

    assert list(changed.item.category_ids) == sorted(names)
    await own_items(rig, user_id, category_id=names[0])
    with statements() as seen:
        found = await own_items(rig, user_id, category_id=names[0])
        everything = await own_items(rig, user_id)
    assert [each.id for each in found] == [item.id]
    assert [set(each.category_ids) for each in everything] == [set(names), {names[1]}]
    assert len(seen) == 2
    with statements() as seen:
        await rig.categories.ListCategories(pb.ListCategoriesRequest(), metadata=user(user_id))
    assert len(seen) == 1


async def test_what_cannot_be_is_refused_and_changes_nothing(rig: Rig, user_id: UUID):
    await rig.buy(user_id, uuid4())
    item = (await own_items(rig, user_id))[0]
    mine, others = await make(rig, user_id, "a"), await make(rig, uuid4(), "a")

    unknown = await refusal(rig.items.UpdateItem(into(item, mine.id, others.id), metadata=user(user_id)))
    assert (unknown.reason, unknown.details["category_id"]) == ("CATEGORY_NOT_FOUND", others.id)
    assert list((await own_items(rig, user_id))[0].category_ids) == []
    twice = await refusal(rig.categories.CreateCategory(pb.CreateCategoryRequest(name="a"), metadata=user(user_id)))
    assert (twice.kind, twice.reason) == (Kind.ALREADY_EXISTS, "CATEGORY_ALREADY_EXISTS")
    for request in (
        pb.UpdateCategoryRequest(
            category_id=others.id, category=pb.CategoryChanges(name="x"), update_mask=FieldMask(paths=["name"])
        ),
    ):
        strange = await refusal(rig.categories.UpdateCategory(request, metadata=user(user_id)))
        assert strange.reason == "CATEGORY_NOT_FOUND"


@pytest.mark.parametrize(
    "request_",
    [
        pb.CreateCategoryRequest(),
        pb.CreateCategoryRequest(name=" \t"),
        pb.CreateCategoryRequest(name="\u00a0\u2003\u001f"),
        pb.CreateCategoryRequest(name="\u200b\ufeff \u3164\u2800"),
        pb.CreateCategoryRequest(name="\u00ad\ufe0f"),
        pb.CreateCategoryRequest(name="a\0b"),
        pb.CreateCategoryRequest(name="x" * 101),
        pb.CreateCategoryRequest(name="x", display_order=-1),
        pb.CreateCategoryRequest(name="x", display_order=1_000_001),
    ],
)
async def test_a_name_or_place_beyond_its_limits_is_refused(rig: Rig, user_id: UUID, request_):
    error = await refusal(rig.categories.CreateCategory(request_, metadata=user(user_id)))

    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR")


@pytest.mark.parametrize("category_ids", [["not-a-uuid"], [str(uuid4()) for _ in range(101)]])
async def test_category_ids_beyond_their_limits_are_refused(rig: Rig, user_id: UUID, category_ids: list[str]):
    request = into(items_pb2.LibraryItem(id=str(uuid4())), *category_ids)
    error = await refusal(rig.items.UpdateItem(request, metadata=user(user_id)))

    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR")


def linkage(kind: type, item: items_pb2.LibraryItem, *category_ids: str):
    return kind(library_item_id=item.id, category_ids=category_ids)


async def test_what_is_included_comes_with_the_page_in_the_same_statement(rig: Rig, user_id: UUID):
    product_id = uuid4()
    rig.catalog.titles[product_id] = ("Чайка", "Seagull")
    await rig.buy(user_id, product_id, uuid4())
    names = [(await make(rig, user_id, name, place)).id for place, name in enumerate("ab", 1)]
    item = next(each for each in await own_items(rig, user_id) if each.product_id == str(product_id))
    for each in await own_items(rig, user_id):
        await rig.items.UpdateItem(into(each, *names), metadata=user(user_id))

    with statements() as seen:
        request = items_pb2.ListItemsRequest(include=["categories", "product"])
        page = await rig.items.ListItems(request, metadata=user(user_id))
    assert len(seen) == 1
    assert {(each.id, each.name, each.display_order) for each in page.included_categories} == {
        (names[0], "a", 1),
        (names[1], "b", 2),
    }
    assert len(page.included_categories) == 2
    known = next(each for each in page.included_products if each.id == str(product_id))
    assert (known.title, known.cover_image_url, known.product_type) == (
        "Чайка",
        f"https://covers.test/{product_id}",
        "game",
    )
    assert [list(each.category_ids) for each in page.items] == [sorted(names)] * 2

    with statements() as seen:
        plain = await rig.items.ListItems(items_pb2.ListItemsRequest(), metadata=user(user_id))
        request = items_pb2.GetItemRequest(library_item_id=item.id, include=["product", "categories"])
        one = await rig.items.GetItem(request, metadata=user(user_id))
    assert len(seen) == 2
    assert list(plain.items) == list(page.items)
    assert (len(plain.included_categories), len(plain.included_products)) == (0, 0)
    assert [each.id for each in one.included_categories] == sorted(names)
    assert [each.id for each in one.included_products] == [str(product_id)]


async def test_an_item_is_added_to_categories_and_taken_out_of_them(rig: Rig, user_id: UUID):
    me = user(user_id)
    await rig.buy(user_id, uuid4())
    item = (await own_items(rig, user_id))[0]
    a, b, c = [(await make(rig, user_id, name)).id for name in "abc"]

    async def shown() -> list[str]:
        request = items_pb2.GetItemCategoryLinkageRequest(library_item_id=item.id)
        return list((await rig.items.GetItemCategoryLinkage(request, metadata=me)).item.category_ids)

    for added in ([a], [a, b], []):
        await rig.items.AddItemCategories(linkage(items_pb2.AddItemCategoriesRequest, item, *added), metadata=me)
    assert await shown() == sorted([a, b])
    await rig.items.RemoveItemCategories(linkage(items_pb2.RemoveItemCategoriesRequest, item, a, c), metadata=me)
    assert await shown() == [b]
    await rig.items.ReplaceItemCategories(linkage(items_pb2.ReplaceItemCategoriesRequest, item, c, c), metadata=me)
    assert await shown() == [c]
    request = items_pb2.ListItemCategoriesRequest(library_item_id=item.id)
    with statements() as seen:
        listed = await rig.items.ListItemCategories(request, metadata=me)
    assert [each.name for each in listed.categories] == ["c"]
    assert len(seen) == 1


async def test_twenty_that_add_to_one_item_at_once_lose_nothing(rig: Rig, user_id: UUID):
    me = user(user_id)
    await rig.buy(user_id, uuid4())
    item = (await own_items(rig, user_id))[0]
    made = [(await make(rig, user_id, f"c{number}")).id for number in range(20)]

    await asyncio.gather(
        *(
            rig.items.AddItemCategories(linkage(items_pb2.AddItemCategoriesRequest, item, each), metadata=me)
            for each in made
        )
    )

    assert list((await own_items(rig, user_id))[0].category_ids) == sorted(made)


async def test_another_users_item_or_category_is_not_linked(rig: Rig, user_id: UUID):
    me, stranger = user(user_id), uuid4()
    await rig.buy(user_id, uuid4())
    item = (await own_items(rig, user_id))[0]
    mine, theirs = await make(rig, user_id, "mine"), await make(rig, stranger, "theirs")

    for call, kind in (
        (rig.items.AddItemCategories, items_pb2.AddItemCategoriesRequest),
        (rig.items.ReplaceItemCategories, items_pb2.ReplaceItemCategoriesRequest),
    ):
        refused = await refusal(call(linkage(kind, item, mine.id, theirs.id), metadata=me))
        assert (refused.reason, refused.details["category_id"]) == ("CATEGORY_NOT_FOUND", theirs.id)
        refused = await refusal(call(linkage(kind, item, theirs.id), metadata=user(stranger)))
        assert refused.reason == "LIBRARY_ITEM_NOT_FOUND"
    taken = linkage(items_pb2.RemoveItemCategoriesRequest, item, theirs.id)
    assert (
        await refusal(rig.items.RemoveItemCategories(taken, metadata=user(stranger)))
    ).reason == "LIBRARY_ITEM_NOT_FOUND"
    for call, request in (
        (rig.items.ListItemCategories, items_pb2.ListItemCategoriesRequest(library_item_id=item.id)),
        (rig.items.GetItemCategoryLinkage, items_pb2.GetItemCategoryLinkageRequest(library_item_id=item.id)),
    ):
        assert (await refusal(call(request, metadata=user(stranger)))).reason == "LIBRARY_ITEM_NOT_FOUND"
    assert list((await own_items(rig, user_id))[0].category_ids) == []


async def test_an_item_is_in_so_many_categories_and_no_more(rig: Rig, user_id: UUID):
    me = user(user_id)
    await rig.buy(user_id, uuid4())
    item = (await own_items(rig, user_id))[0]
    made = [(await make(rig, user_id, f"c{number}")).id for number in range(101)]
    await rig.items.AddItemCategories(linkage(items_pb2.AddItemCategoriesRequest, item, *made[:100]), metadata=me)

    full = await refusal(
        rig.items.AddItemCategories(linkage(items_pb2.AddItemCategoriesRequest, item, made[100]), metadata=me)
    )

    assert (full.reason, full.violations[0].field) == ("VALIDATION_ERROR", "category_ids")
    await rig.items.AddItemCategories(linkage(items_pb2.AddItemCategoriesRequest, item, made[0]), metadata=me)
