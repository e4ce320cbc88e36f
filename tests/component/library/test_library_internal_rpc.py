"""LibraryInternalService as other services see it: over gRPC, and by the events that follow."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from library.v1 import internal_pb2 as pb
from library.v1 import items_pb2
from library.v1.events_pb2 import REMOVAL_REASON_ADMIN, REMOVAL_REASON_FAMILY_REVOKED, REMOVAL_REASON_REFUND
from library.v1.query_pb2 import CheckGameAccessRequest

from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, own_items, until, user
from tests.component.rpc_rig import as_service

# Each test has users of its own, so one running service does for all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")


def caller() -> tuple[tuple[str, str], ...]:
    """Whose call it is; a service's token lives for minutes only, so each call has its own."""
    return as_service("payment-service")


LIBRARY_TOPIC = "com.platform.library.events.v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


def granting(user_id: UUID, product_id: UUID, /, **changes: object) -> pb.GrantEntitlementRequest:
    values = {"source": pb.ENTITLEMENT_SOURCE_GIFT, "source_id": "gift-1", **changes}
    return pb.GrantEntitlementRequest(**{"user_id": str(user_id), "product_id": str(product_id), **values})


def revoking(user_id: UUID, product_id: UUID, /, **changes: object) -> pb.RevokeEntitlementRequest:
    values = {"source": pb.ENTITLEMENT_SOURCE_GIFT, "source_id": "gift-1", "reason": REMOVAL_REASON_ADMIN, **changes}
    return pb.RevokeEntitlementRequest(**{"user_id": str(user_id), "product_id": str(product_id), **values})


async def refusal(call) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


async def told_of(rig: Rig, product_id: UUID) -> list[tuple[str, str | None]]:
    """Types and reasons of the events about a product."""
    told = [event for event, _ in await rig.told(LIBRARY_TOPIC)]
    return [
        (event.type.removeprefix("com.platform.library."), event.data.get("reason"))
        for event in told
        if event.subject == str(product_id)
    ]


@pytest.mark.parametrize("caller", ["payment-service", "catalog-service", "sandbox-cli"])
async def test_a_gift_comes_is_told_and_is_taken_back(rig: Rig, caller: str):
    user_id, product_id, metadata = uuid4(), uuid4(), as_service(caller)

    granted = await rig.internal.GrantEntitlement(granting(user_id, product_id), metadata=metadata)
    again = await rig.internal.GrantEntitlement(granting(user_id, product_id), metadata=metadata)

    assert (granted.is_new, granted.is_active, again.is_new, again.is_active) == (True, True, False, True)
    assert granted.granted_at == again.granted_at
    items = await own_items(rig, user_id)
    assert [item.acquisition_type for item in items] == [items_pb2.ACQUISITION_TYPE_GIFT]

    ended = await rig.internal.RevokeEntitlement(revoking(user_id, product_id), metadata=metadata)
    twice = await rig.internal.RevokeEntitlement(revoking(user_id, product_id), metadata=metadata)
    late = await rig.internal.GrantEntitlement(granting(user_id, product_id), metadata=metadata)

    assert (ended.was_active, twice.was_active, late.is_active) == (True, False, False)
    assert ended.revoked_at == twice.revoked_at
    assert list(await own_items(rig, user_id)) == []

    async def is_told() -> bool:
        return len(await told_of(rig, product_id)) == 2

    await until(is_told)
    assert await told_of(rig, product_id) == [("game.added.v1", None), ("game.removed.v1", "admin")]


async def test_a_bought_game_stays_when_the_gift_of_it_is_taken_back(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    order_id = await rig.buy(user_id, product_id)
    before = await own_items(rig, user_id)
    await rig.internal.GrantEntitlement(granting(user_id, product_id), metadata=caller())

    await rig.internal.RevokeEntitlement(revoking(user_id, product_id), metadata=caller())

    assert list(await own_items(rig, user_id)) == list(before)
    access = CheckGameAccessRequest(user_id=str(user_id), product_id=str(product_id))
    assert (await rig.query.CheckGameAccess(access, metadata=as_service("download-service"))).has_access

    by_order = {"source": pb.ENTITLEMENT_SOURCE_ORDER, "source_id": order_id, "reason": REMOVAL_REASON_REFUND}
    assert (
        await rig.internal.RevokeEntitlement(revoking(user_id, product_id, **by_order), metadata=caller())
    ).was_active
    assert not (await rig.query.CheckGameAccess(access, metadata=as_service("download-service"))).has_access


async def test_twenty_grants_of_one_key_at_once_are_one(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    request = granting(user_id, product_id, source=pb.ENTITLEMENT_SOURCE_KEY, source_id=f"key {user_id}")

    answers = await asyncio.gather(*(rig.internal.GrantEntitlement(request, metadata=caller()) for _ in range(20)))

    assert [answer.is_new for answer in answers].count(True) == 1
    assert all(answer.is_active for answer in answers)
    assert len(await own_items(rig, user_id)) == 1


async def test_of_ten_users_who_activate_one_key_at_once_one_has_the_game(rig: Rig):
    user_ids, product_id, key = [uuid4() for _ in range(10)], uuid4(), f"key {uuid4()}"

    async def activate(user_id: UUID) -> str:
        request = granting(user_id, product_id, source=pb.ENTITLEMENT_SOURCE_KEY, source_id=key)
        try:
            return str((await rig.internal.GrantEntitlement(request, metadata=caller())).is_new)
        except grpc.aio.AioRpcError as error:
            refused = from_rpc_error(error)
            assert refused.kind is Kind.ALREADY_EXISTS
            return refused.reason

    outcomes = await asyncio.gather(*map(activate, user_ids))

    assert sorted(outcomes) == ["KEY_ALREADY_ACTIVATED"] * 9 + ["True"]
    assert [len(await own_items(rig, user_id)) for user_id in user_ids] == [int(each == "True") for each in outcomes]
    assert await activate(user_ids[outcomes.index("True")]) == "False"


async def test_only_the_named_services_may_call(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    for metadata in (
        user(user_id),
        user(user_id, roles=["admin"]),
        as_service("gateway"),
        as_service("download-service"),
    ):
        for call in (
            rig.internal.GrantEntitlement(granting(user_id, product_id), metadata=metadata),
            rig.internal.RevokeEntitlement(revoking(user_id, product_id), metadata=metadata),
        ):
            assert (await refusal(call)).kind is Kind.PERMISSION_DENIED
    nobody = await refusal(rig.internal.GrantEntitlement(granting(user_id, product_id)))
    assert nobody.kind is Kind.UNAUTHENTICATED
    assert list(await own_items(rig, user_id)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "x"},
        {"product_id": ""},
        {"source": pb.ENTITLEMENT_SOURCE_UNSPECIFIED},
        {"source": pb.ENTITLEMENT_SOURCE_ORDER},
        {"source": 9},
        {"source_id": ""},
        {"source_id": "x" * 201},
        {"source_id": "a\0b"},
    ],
)
async def test_a_grant_that_cannot_be_is_refused(rig: Rig, changes: dict[str, object]):
    error = await refusal(rig.internal.GrantEntitlement(granting(uuid4(), uuid4(), **changes), metadata=caller()))

    assert (error.kind, error.reason, len(error.violations)) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": pb.ENTITLEMENT_SOURCE_UNSPECIFIED},
        {"source_id": ""},
        {"reason": 0},
        {"reason": REMOVAL_REASON_FAMILY_REVOKED},
    ],
)
async def test_a_revocation_that_cannot_be_is_refused(rig: Rig, changes: dict[str, object]):
    error = await refusal(rig.internal.RevokeEntitlement(revoking(uuid4(), uuid4(), **changes), metadata=caller()))

    assert (error.kind, error.reason, len(error.violations)) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", 1)
