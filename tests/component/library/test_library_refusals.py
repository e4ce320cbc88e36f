"""What the Library Service refuses, and how it says so: contract sections 5 and 9."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from library.v1 import items_pb2 as pb
from library.v1.query_pb2 import CheckGameAccessRequest

from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, own_items, user
from tests.component.rpc_rig import as_service, as_user, user_token

# A refusal leaves nothing behind, so one running service does for all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


@pytest.fixture
def user_id() -> UUID:
    return uuid4()


async def refusal(call) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


async def test_another_users_item_is_not_found(rig: Rig, user_id: UUID):
    await rig.buy(user_id, uuid4())
    item = (await own_items(rig, user_id))[0]
    stranger = user(uuid4())
    update = pb.UpdateItemRequest(
        library_item_id=item.id, item=pb.LibraryItemChanges(notes="mine"), update_mask=FieldMask(paths=["notes"])
    )

    for call in (
        rig.items.GetItem(pb.GetItemRequest(library_item_id=item.id), metadata=stranger),
        rig.items.UpdateItem(update, metadata=stranger),
        rig.items.GetItem(pb.GetItemRequest(library_item_id=str(uuid4())), metadata=user(user_id)),
    ):
        error = await refusal(call)
        assert (error.kind, error.reason) == (Kind.NOT_FOUND, "LIBRARY_ITEM_NOT_FOUND")
    assert not (await own_items(rig, user_id))[0].HasField("notes")


async def test_the_service_checks_access_itself(rig: Rig, user_id: UUID):
    ask = CheckGameAccessRequest(user_id=str(user_id), product_id=str(uuid4()))

    async def kind(call) -> Kind:
        return (await refusal(call)).kind

    assert await kind(rig.items.ListItems(pb.ListItemsRequest())) is Kind.UNAUTHENTICATED
    expired = as_user(user_token(sub=str(user_id), ttl_seconds=-60))
    assert (await refusal(rig.items.ListItems(pb.ListItemsRequest(), metadata=expired))).reason == "TOKEN_EXPIRED"
    guest = user(user_id, roles=["guest"])
    assert await kind(rig.items.ListItems(pb.ListItemsRequest(), metadata=guest)) is Kind.PERMISSION_DENIED
    assert await kind(rig.query.CheckGameAccess(ask, metadata=user(user_id))) is Kind.PERMISSION_DENIED
    sandbox = as_service("sandbox")
    assert await kind(rig.query.CheckGameAccess(ask, metadata=sandbox)) is Kind.PERMISSION_DENIED


@pytest.mark.parametrize(
    "request_",
    [
        pb.ListItemsRequest(limit=101),
        pb.ListItemsRequest(limit=0),
        pb.ListItemsRequest(page=0),
        pb.ListItemsRequest(search=""),
        pb.ListItemsRequest(search="x" * 201),
        pb.ListItemsRequest(search="a\0b"),
        pb.ListItemsRequest(sort_by=99),
        pb.ListItemsRequest(status=99),
    ],
)
async def test_a_query_beyond_its_limits_is_refused(rig: Rig, user_id: UUID, request_: pb.ListItemsRequest):
    error = await refusal(rig.items.ListItems(request_, metadata=user(user_id)))

    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR")
    assert len(error.violations) == 1


@pytest.mark.parametrize(
    ("changes", "paths", "reason"),
    [
        ({"user_rating": 6}, ["user_rating"], "VALIDATION_ERROR"),
        ({"notes": "x" * 4001}, ["notes"], "VALIDATION_ERROR"),
        ({"notes": "a\0b"}, ["notes"], "VALIDATION_ERROR"),
        ({}, ["title"], "INVALID_ARGUMENT"),
        ({}, ["is_hidden"], "INVALID_ARGUMENT"),
    ],
)
async def test_a_change_that_cannot_be_is_refused(rig: Rig, user_id: UUID, changes, paths, reason: str):
    await rig.buy(user_id, uuid4())
    item = (await own_items(rig, user_id))[0]
    request = pb.UpdateItemRequest(
        library_item_id=item.id, item=pb.LibraryItemChanges(**changes), update_mask=FieldMask(paths=paths)
    )

    error = await refusal(rig.items.UpdateItem(request, metadata=user(user_id)))

    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, reason)
    assert len(error.violations) == 1
