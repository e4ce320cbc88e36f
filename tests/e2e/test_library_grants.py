"""Gifts, keys and free games: granted by another service over gRPC, seen by their user through the gateway."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from library.v1 import internal_pb2 as pb
from library.v1.events_pb2 import REMOVAL_REASON_ADMIN
from library.v1.internal_pb2_grpc import LibraryInternalServiceStub

from chassis.errors import Kind
from chassis.errors.wire import from_rpc_error
from tests.e2e.clients import ITEMS, Api, Shop
from tests.e2e.conftest import IssueToken, Platform

AUDIENCE = "library-service"


@pytest.fixture
async def internal(platform: Platform) -> AsyncIterator[LibraryInternalServiceStub]:
    async with grpc.aio.insecure_channel(platform.private["library_grpc_addr"]) as channel:
        yield LibraryInternalServiceStub(channel)


async def as_service(issue_token: IssueToken, name: str, audience: str = AUDIENCE) -> tuple[tuple[str, str], ...]:
    return (("x-service-authorization", f"Bearer {await issue_token(service=name, audience=audience)}"),)


def granting(user_id: str, product_id: str, source: Any = pb.ENTITLEMENT_SOURCE_GIFT) -> pb.GrantEntitlementRequest:
    return pb.GrantEntitlementRequest(user_id=user_id, product_id=product_id, source=source, source_id="1")


async def test_a_gift_is_in_the_library_once_and_leaves_when_it_is_taken_back(
    platform: Platform, issue_token: IssueToken, shop: Shop, internal: LibraryInternalServiceStub, anna: Api, boris: Api
) -> None:
    product_id, user_id = await shop.new_product("Подарок"), platform.user("anna")["user_id"]
    metadata = await as_service(issue_token, "sandbox-cli")

    calls = (internal.GrantEntitlement(granting(user_id, product_id), metadata=metadata) for _ in range(20))
    answers = await asyncio.gather(*calls)
    assert [answer.is_new for answer in answers].count(True) == 1

    item = await anna.owns(product_id)
    assert (item["attributes"]["acquisition_type"], item["attributes"]["title"]) == ("gift", "Подарок")
    path = f"{ITEMS}/{item['id']}"
    assert (await boris.get(path)).codes == ["LIBRARY_ITEM_NOT_FOUND"]

    request = pb.RevokeEntitlementRequest(
        user_id=user_id,
        product_id=product_id,
        source=pb.ENTITLEMENT_SOURCE_GIFT,
        source_id="1",
        reason=REMOVAL_REASON_ADMIN,
    )
    ended = await asyncio.gather(*(internal.RevokeEntitlement(request, metadata=metadata) for _ in range(20)))
    assert [answer.was_active for answer in ended].count(True) == 1
    assert len({answer.revoked_at.ToNanoseconds() for answer in ended}) == 1
    assert (await anna.get(path)).codes == ["LIBRARY_ITEM_NOT_FOUND"]
    assert not (await internal.GrantEntitlement(granting(user_id, product_id), metadata=metadata)).is_active


@pytest.mark.parametrize(
    ("source", "acquired"),
    [(pb.ENTITLEMENT_SOURCE_KEY, "key_activation"), (pb.ENTITLEMENT_SOURCE_FREE, "free_to_play")],
)
async def test_the_item_says_how_it_was_come_by(
    platform: Platform,
    issue_token: IssueToken,
    internal: LibraryInternalServiceStub,
    anna: Api,
    source: Any,
    acquired: str,
) -> None:
    product_id, metadata = str(uuid.uuid4()), await as_service(issue_token, "sandbox-cli")

    await internal.GrantEntitlement(granting(platform.user("anna")["user_id"], product_id, source), metadata=metadata)

    item = await anna.owns(product_id, is_titled=False)
    assert item["attributes"]["acquisition_type"] == acquired


async def test_nobody_else_may_call_and_the_gateway_has_no_address_for_it(
    platform: Platform, issue_token: IssueToken, internal: LibraryInternalServiceStub, anna: Api
) -> None:
    request = granting(platform.user("anna")["user_id"], str(uuid.uuid4()))
    users = (("authorization", f"Bearer {anna.token}"),)
    gateways = await as_service(issue_token, "gateway")
    elsewhere = await as_service(issue_token, "sandbox-cli", audience="download-service")

    for metadata, kinds in (
        (users, {Kind.PERMISSION_DENIED}),
        (gateways, {Kind.PERMISSION_DENIED}),
        (elsewhere, {Kind.UNAUTHENTICATED, Kind.PERMISSION_DENIED}),
        ((), {Kind.UNAUTHENTICATED}),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await internal.GrantEntitlement(request, metadata=metadata)
        assert from_rpc_error(refused.value).kind in kinds
    answer = await anna.call("POST", "/library.v1.LibraryInternalService/GrantEntitlement", body={})
    assert answer.codes == ["ROUTE_NOT_FOUND"]


async def test_a_grant_that_cannot_be_is_refused(
    platform: Platform, issue_token: IssueToken, internal: LibraryInternalServiceStub
) -> None:
    metadata = await as_service(issue_token, "sandbox-cli")

    for request in (
        granting("nobody", str(uuid.uuid4())),
        granting(platform.user("anna")["user_id"], str(uuid.uuid4()), pb.ENTITLEMENT_SOURCE_ORDER),
        pb.GrantEntitlementRequest(),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await internal.GrantEntitlement(request, metadata=metadata)
        assert from_rpc_error(refused.value).reason == "VALIDATION_ERROR"
