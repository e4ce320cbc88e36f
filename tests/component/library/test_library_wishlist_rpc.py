"""The wishlist as its users see it: over gRPC, with the database behind and Catalog beside."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from library.v1 import wishlist_pb2 as pb

from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, statements, until, user

# Each test has users of its own, so one running service does for all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

LIBRARY_TOPIC = "com.platform.library.events.v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


async def add(rig: Rig, user_id: UUID, product_id: UUID | None = None, **attributes: object) -> pb.WishlistItem:
    """Wishes for a product, which Catalog knows."""
    product_id = product_id or uuid4()
    rig.catalog.titles[product_id] = ("Игра", "Game")
    request = pb.AddWishlistItemRequest(product_id=str(product_id), **attributes)
    return (await rig.wishes.AddWishlistItem(request, metadata=user(user_id))).item


async def refusal(call) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


async def told_of(rig: Rig, user_id: UUID) -> list[tuple[str, str]]:
    """Types and subjects of the wishlist events of a user."""
    told = [event for event, _ in await rig.told(LIBRARY_TOPIC) if event.partition_key == str(user_id)]
    prefix = "com.platform.library.wishlist.item."
    return [(event.type.removeprefix(prefix), event.subject) for event in told if event.type.startswith(prefix)]


async def test_wishes_are_added_listed_changed_and_removed_and_told(rig: Rig):
    user_id = uuid4()
    me = user(user_id, language="en")
    first = await add(rig, user_id, notes="на день рождения")
    second = await add(rig, user_id, priority=5)
    assert (first.title, first.notes, first.priority) == ("Игра", "на день рождения", 0)
    assert first.cover_image_url

    with statements() as seen:
        page = await rig.wishes.ListWishlistItems(pb.ListWishlistItemsRequest(), metadata=me)
    assert [item.id for item in page.items] == [second.id, first.id]
    assert [item.title for item in page.items] == ["Game", "Game"]
    assert page.page.total_items == 2
    assert len(seen) == 1
    changed = await rig.wishes.UpdateWishlistItem(
        pb.UpdateWishlistItemRequest(
            wishlist_item_id=first.id,
            item=pb.WishlistItemChanges(priority=9),
            update_mask=FieldMask(paths=["priority", "notes"]),
        ),
        metadata=me,
    )
    assert (changed.item.priority, changed.item.HasField("notes")) == (9, False)
    await rig.wishes.RemoveWishlistItem(pb.RemoveWishlistItemRequest(wishlist_item_id=first.id), metadata=me)
    await rig.buy(user_id, UUID(second.product_id))

    async def all_told() -> bool:
        return len(await told_of(rig, user_id)) == 5

    await until(all_told)
    assert await told_of(rig, user_id) == [
        ("added.v1", first.id),
        ("added.v1", second.id),
        ("updated.v1", first.id),
        ("removed.v1", first.id),
        ("removed.v1", second.id),
    ]
    left = await rig.wishes.ListWishlistItems(pb.ListWishlistItemsRequest(), metadata=me)
    assert (list(left.items), left.page.total_items) == ([], 0)


async def test_products_come_with_the_wishes_in_the_same_statement(rig: Rig):
    user_id = uuid4()
    me = user(user_id, language="en")
    wish = await add(rig, user_id)

    with statements() as seen:
        page = await rig.wishes.ListWishlistItems(pb.ListWishlistItemsRequest(include=["product"]), metadata=me)
    assert len(seen) == 1
    one = await rig.wishes.GetWishlistItem(
        pb.GetWishlistItemRequest(wishlist_item_id=wish.id, include=["product"]), metadata=me
    )
    assert [(each.id, each.title, each.product_type) for each in page.included_products] == [
        (wish.product_id, "Game", "game")
    ]
    assert list(one.included_products) == list(page.included_products)
    plain = await rig.wishes.ListWishlistItems(pb.ListWishlistItemsRequest(), metadata=me)
    assert list(plain.included_products) == []
    unknown = await refusal(rig.wishes.ListWishlistItems(pb.ListWishlistItemsRequest(include=["x"]), metadata=me))
    assert unknown.reason == "VALIDATION_ERROR"


async def test_each_refusal_has_its_reason(rig: Rig):
    user_id = uuid4()
    me, stranger = user(user_id), user(uuid4())
    wish = await add(rig, user_id)

    again = pb.AddWishlistItemRequest(product_id=wish.product_id)
    error = await refusal(rig.wishes.AddWishlistItem(again, metadata=me))
    assert (error.kind, error.reason) == (Kind.ALREADY_EXISTS, "WISHLIST_ITEM_ALREADY_EXISTS")
    unknown = pb.AddWishlistItemRequest(product_id=str(uuid4()))
    error = await refusal(rig.wishes.AddWishlistItem(unknown, metadata=me))
    assert (error.kind, error.reason) == (Kind.NOT_FOUND, "PRODUCT_NOT_FOUND")
    owned = uuid4()
    await rig.buy(user_id, owned)
    error = await refusal(add(rig, user_id, owned))
    assert (error.kind, error.reason) == (Kind.ALREADY_EXISTS, "PRODUCT_ALREADY_OWNED")
    change = pb.UpdateWishlistItemRequest(
        wishlist_item_id=wish.id, item=pb.WishlistItemChanges(priority=1), update_mask=FieldMask(paths=["priority"])
    )
    for call in (
        rig.wishes.GetWishlistItem(pb.GetWishlistItemRequest(wishlist_item_id=wish.id), metadata=stranger),
        rig.wishes.UpdateWishlistItem(change, metadata=stranger),
        rig.wishes.RemoveWishlistItem(pb.RemoveWishlistItemRequest(wishlist_item_id=wish.id), metadata=stranger),
        rig.wishes.GetWishlistItem(pb.GetWishlistItemRequest(wishlist_item_id=str(uuid4())), metadata=me),
    ):
        error = await refusal(call)
        assert (error.kind, error.reason) == (Kind.NOT_FOUND, "GAME_NOT_FOUND_IN_WISHLIST")
    for _ in range(99):
        await add(rig, user_id)
    full = await refusal(add(rig, user_id))
    assert (full.kind, full.reason) == (Kind.RESOURCE_EXHAUSTED, "WISHLIST_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    "attributes",
    [{"product_id": "x"}, {"priority": -1}, {"priority": 1_000_001}, {"notes": "x" * 4001}, {"notes": "a\0b"}],
)
async def test_a_wish_beyond_its_limits_is_refused(rig: Rig, attributes: dict[str, object]):
    request = pb.AddWishlistItemRequest(**{"product_id": str(uuid4()), **attributes})

    error = await refusal(rig.wishes.AddWishlistItem(request, metadata=user(uuid4())))

    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR")
