"""Categories as their users see them: over gRPC, with the database behind."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from library.v1 import categories_pb2 as pb
from library.v1 import items_pb2

from chassis.error_wire import from_rpc_error
from chassis.errors import DomainError, Kind
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
