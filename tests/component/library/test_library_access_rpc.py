"""CheckGameAccess as other services call it, over two instances of the service with one database and one live state."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from library.v1 import internal_pb2 as pb
from library.v1.events_pb2 import REMOVAL_REASON_REFUND
from library.v1.query_pb2 import CheckGameAccessRequest
from library.v1.query_pb2_grpc import LibraryQueryServiceStub

from chassis.grpc_client.rpc_client import open_channel
from chassis.live.redis_state import open_redis
from library_svc.main import NAME, SERVICES, build
from tests.component.library.library_rig import Rig, library_rig, refund, statements, until
from tests.component.rpc_rig import as_service

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Two:
    """The rig's service, and what another instance answers."""

    rig: Rig
    other: LibraryQueryServiceStub

    async def first(self, user_id: UUID, product_id: UUID) -> bool:
        """What the rig's service says."""
        request = CheckGameAccessRequest(user_id=str(user_id), product_id=str(product_id))
        answer = await self.rig.query.CheckGameAccess(request, metadata=as_service("download-service"))
        return bool(answer.has_access)

    async def ask(self, user_id: UUID, product_id: UUID) -> list[bool]:
        """What each of the two says."""
        request = CheckGameAccessRequest(user_id=str(user_id), product_id=str(product_id))
        asker = as_service("download-service")
        answers = [await one.CheckGameAccess(request, metadata=asker) for one in (self.rig.query, self.other)]
        assert answers[0] == answers[1]
        return [answer.has_access for answer in answers]

    async def grant(self, user_id: UUID, product_id: UUID, source_id: str) -> None:
        request = pb.GrantEntitlementRequest(
            user_id=str(user_id), product_id=str(product_id), source=pb.ENTITLEMENT_SOURCE_GIFT, source_id=source_id
        )
        await self.rig.internal.GrantEntitlement(request, metadata=as_service("payment-service"))

    async def revoke(self, user_id: UUID, product_id: UUID, source_id: str) -> None:
        request = pb.RevokeEntitlementRequest(
            user_id=str(user_id),
            product_id=str(product_id),
            source=pb.ENTITLEMENT_SOURCE_GIFT,
            source_id=source_id,
            reason=REMOVAL_REASON_REFUND,
        )
        await self.rig.internal.RevokeEntitlement(request, metadata=as_service("payment-service"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(new_database, valkey_url) -> AsyncIterator[Two]:
    async with (
        library_rig(new_database, redis_addr=urlsplit(valkey_url).netloc, redis_prefix=f"test-{uuid4()}") as rig,
        build(rig.program_settings) as server,
        open_channel(f"127.0.0.1:{server.port}", audience=NAME, service_tokens=None, services=SERVICES) as channel,
    ):
        yield Two(rig, LibraryQueryServiceStub(channel))


async def test_what_was_answered_once_is_no_statement_until_it_changes(two: Two, valkey_url: str):
    user_id, product_id = uuid4(), uuid4()
    key = f"{two.rig.program_settings.redis_prefix}game_access:{{{user_id}}}:{product_id}"
    async with open_redis(valkey_url) as client:

        async def is_remembered() -> bool:
            return bool(await client.hexists(key, "since"))

        for has_access, change in ((True, two.grant), (False, two.revoke)):
            await change(user_id, product_id, "1")
            with statements() as seen:
                assert await two.first(user_id, product_id) == has_access
                await until(is_remembered)
                assert await two.ask(user_id, product_id) == [has_access] * 2
                assert await two.ask(user_id, product_id) == [has_access] * 2
            assert len(seen) == 1


async def test_a_purchase_and_its_refund_are_answered_as_soon_as_they_are_told(two: Two):
    """The word of a removal must find no instance that still says yes: the Download Service asks when it hears it."""
    user_id, product_id = uuid4(), uuid4()
    assert await two.ask(user_id, product_id) == [False, False]
    order_id = await two.rig.buy(user_id, product_id)
    assert await two.ask(user_id, product_id) == [True, True]
    await two.rig.publish(refund(user_id, product_id, order_id=order_id))

    async def is_told() -> bool:
        told = [event for event, _ in await two.rig.told("com.platform.library.events.v1")]
        return any(event.subject == str(product_id) and "removed" in event.type for event in told)

    await until(is_told)
    assert await two.ask(user_id, product_id) == [False, False]


async def test_of_twenty_grants_and_refunds_at_once_the_last_answer_is_right(two: Two):
    user_id, product_id = uuid4(), uuid4()

    async def come_and_go(number: int) -> None:
        await two.grant(user_id, product_id, str(number))
        if number:
            await two.revoke(user_id, product_id, str(number))

    await asyncio.gather(*(come_and_go(number) for number in range(20)))
    assert await two.ask(user_id, product_id) == [True, True]
    await two.revoke(user_id, product_id, "0")
    assert await two.ask(user_id, product_id) == [False, False]


async def test_when_the_live_state_is_lost_the_answers_stay_right(two: Two, valkey_url: str):
    user_id, product_id = uuid4(), uuid4()
    await two.grant(user_id, product_id, "1")
    assert await two.ask(user_id, product_id) == [True, True]
    async with open_redis(valkey_url) as client:
        keys = await client.keys(f"{two.rig.program_settings.redis_prefix}*")
        assert keys
        await client.delete(*keys)
    assert await two.ask(user_id, product_id) == [True, True]
    await two.revoke(user_id, product_id, "1")
    assert await two.ask(user_id, product_id) == [False, False]


async def test_without_the_live_state_the_database_answers(new_database):
    async with library_rig(new_database) as rig:
        alone = Two(rig, rig.query)
        user_id, product_id = uuid4(), uuid4()
        await alone.grant(user_id, product_id, "1")
        assert await alone.ask(user_id, product_id) == [True, True]
        await alone.revoke(user_id, product_id, "1")
        assert await alone.ask(user_id, product_id) == [False, False]
