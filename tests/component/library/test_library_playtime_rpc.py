"""Playtime as a game client and other services see it: over gRPC, with the database and the live state behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from library.v1 import playtime_pb2 as pb
from library.v1 import query_pb2

from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, own_items, refund, statements, until, user
from tests.component.rpc_rig import as_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIBRARY_TOPIC = "com.platform.library.events.v1"
INTERVAL_SECONDS = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database, valkey_url) -> AsyncIterator[Rig]:
    async with library_rig(
        new_database, redis_addr=urlsplit(valkey_url).netloc, playtime_heartbeat_interval_seconds=INTERVAL_SECONDS
    ) as running:
        yield running


async def refusal(call: Any) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


def heartbeat(session_id: str, sequence: int | None = None) -> pb.RecordPlaytimeHeartbeatRequest:
    return pb.RecordPlaytimeHeartbeatRequest(session_id=session_id, heartbeat=pb.PlaytimeHeartbeat(sequence=sequence))


async def test_a_session_from_start_to_end_is_told_and_shown(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    me = user(user_id)
    await rig.buy(user_id, product_id)
    request = pb.StartPlaytimeSessionRequest(product_id=str(product_id), platform="linux", device_id=str(uuid4()))
    began = (await rig.playtime.StartPlaytimeSession(request, metadata=me)).session
    assert (began.status, began.heartbeat_interval_seconds) == (pb.PLAYTIME_SESSION_STATUS_ACTIVE, INTERVAL_SECONDS)
    assert (began.platform, began.device_id) == ("linux", request.device_id)
    assert not began.HasField("end_time")

    with statements() as seen:
        for sequence in (1, 2, 2):
            await rig.playtime.RecordPlaytimeHeartbeat(heartbeat(began.id, sequence), metadata=me)
    assert seen == [], "a heartbeat is no statement of the database"

    end = pb.EndPlaytimeSessionRequest(session_id=began.id)
    ended = (await rig.playtime.EndPlaytimeSession(end, metadata=me)).session
    assert ended.status == pb.PLAYTIME_SESSION_STATUS_COMPLETED
    played = (ended.end_time.ToNanoseconds() - ended.start_time.ToNanoseconds()) // 10**9
    assert ended.duration_seconds == played
    assert (await rig.playtime.EndPlaytimeSession(end, metadata=me)).session == ended

    one = pb.GetPlaytimeSessionRequest(session_id=began.id)
    with statements() as seen:
        assert (await rig.playtime.GetPlaytimeSession(one, metadata=me)).session == ended
    assert len(seen) == 1
    not_theirs = await refusal(rig.playtime.GetPlaytimeSession(one, metadata=user(uuid4())))
    assert not_theirs.reason == "PLAYTIME_SESSION_NOT_FOUND"

    with statements() as seen:
        mine = (await rig.playtime.GetPlaytime(pb.GetPlaytimeRequest(), metadata=me)).statistics
    assert len(seen) == 1
    assert [product.product_id for product in mine.products] == [str(product_id)]
    assert mine.last_played_at == ended.end_time
    (item,) = await own_items(rig, user_id)
    assert (item.total_playtime_seconds, item.last_played_at) == (played, ended.end_time)
    theirs = await rig.query.GetPlaytimeStats(
        query_pb2.GetPlaytimeStatsRequest(user_id=str(user_id)), metadata=as_service("download-service")
    )
    assert theirs.statistics == mine

    async def is_told() -> bool:
        events = [event for event, _ in await rig.told(LIBRARY_TOPIC) if event.subject == began.id]
        return [event.data["totalPlaytimeSeconds"] for event in events] == [played]

    await until(is_told)


async def test_what_is_not_there_not_owned_or_over_is_refused(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    me, stranger = user(user_id), user(uuid4())
    order_id = await rig.buy(user_id, product_id)
    request = pb.StartPlaytimeSessionRequest(product_id=str(product_id))
    session = (await rig.playtime.StartPlaytimeSession(request, metadata=me)).session

    refused = await refusal(rig.playtime.StartPlaytimeSession(request, metadata=stranger))
    assert (refused.kind, refused.reason) == (Kind.PERMISSION_DENIED, "PRODUCT_ACCESS_DENIED")
    for call in (
        rig.playtime.RecordPlaytimeHeartbeat(heartbeat(session.id), metadata=stranger),
        rig.playtime.RecordPlaytimeHeartbeat(heartbeat(str(uuid4())), metadata=me),
        rig.playtime.EndPlaytimeSession(pb.EndPlaytimeSessionRequest(session_id=session.id), metadata=stranger),
    ):
        refused = await refusal(call)
        assert (refused.kind, refused.reason) == (Kind.NOT_FOUND, "PLAYTIME_SESSION_NOT_FOUND")

    await rig.publish(refund(user_id, product_id, order_id=order_id))

    async def is_gone() -> bool:
        return not await own_items(rig, user_id)

    await until(is_gone)
    end = pb.EndPlaytimeSessionRequest(session_id=session.id)
    ended = (await rig.playtime.EndPlaytimeSession(end, metadata=me)).session
    assert ended.status == pb.PLAYTIME_SESSION_STATUS_TERMINATED

    async def is_refused() -> bool:
        """The pulse is forgotten after the commit that all others can see."""
        try:
            await rig.playtime.RecordPlaytimeHeartbeat(heartbeat(session.id), metadata=me)
        except grpc.aio.AioRpcError:
            return True
        return False

    await until(is_refused)
    refused = await refusal(rig.playtime.RecordPlaytimeHeartbeat(heartbeat(session.id), metadata=me))
    assert (refused.kind, refused.reason) == (Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
    refused = await refusal(rig.playtime.RecordPlaytimeHeartbeat(heartbeat("no-uuid", -1), metadata=me))
    assert refused.reason == "VALIDATION_ERROR"
    assert {violation.field for violation in refused.violations} == {"session_id", "heartbeat.sequence"}


async def test_ten_devices_that_play_at_once_play_no_longer_than_the_clock(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    me = user(user_id)
    await rig.buy(user_id, product_id)

    async def play() -> pb.PlaytimeSession:
        request = pb.StartPlaytimeSessionRequest(product_id=str(product_id), device_id=str(uuid4()))
        session = (await rig.playtime.StartPlaytimeSession(request, metadata=me)).session
        await rig.playtime.RecordPlaytimeHeartbeat(heartbeat(session.id, 1), metadata=me)
        end = pb.EndPlaytimeSessionRequest(session_id=session.id)
        return (await rig.playtime.EndPlaytimeSession(end, metadata=me)).session

    sessions = await asyncio.gather(*(play() for _ in range(10)))
    first = min(session.start_time.ToNanoseconds() for session in sessions)
    last = max(session.end_time.ToNanoseconds() for session in sessions)
    (item,) = await own_items(rig, user_id)
    assert item.total_playtime_seconds <= (last - first) / 10**9
    assert item.last_played_at.ToNanoseconds() == last
