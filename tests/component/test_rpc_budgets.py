"""What one caller may take of a gRPC port that game clients call directly: nothing is read of those who may not call, and nobody
takes all of anything.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from uuid import uuid4

import grpc
import pytest
from download.v1 import downloads_pb2, downloads_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from library.v1 import items_pb2, items_pb2_grpc
from rest.routes import ROUTES, STREAMS

from chassis.auth.access import access_of
from chassis.errors import Kind
from chassis.errors.wire import from_rpc_error
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import REQUEST_LIMIT_BYTES
from chassis.quota.rate_limits import Budget, Grant, RateLimiter
from chassis.quota.redis_permits import RedisPermits
from chassis.quota.redis_store import StoreAway, open_redis_store
from tests.component.rpc_rig import ITEM, SERVICE, Rig, as_service, as_user, rig, user_token

GET = items_pb2.GetItemRequest(library_item_id=ITEM)
UPDATE = items_pb2.UpdateItemRequest(
    library_item_id=ITEM, item=items_pb2.LibraryItemChanges(is_hidden=True), update_mask={"paths": ["is_hidden"]}
)
GET_PATH = "/library.v1.LibraryService/GetItem"
CHECK_PATH = "/grpc.health.v1.Health/Check"
ANYTHING = health_pb2.HealthCheckRequest()
SERVING = health_pb2.HealthCheckResponse.SERVING
DOWNLOADS = ("download.v1.DownloadService",)
OTHER = "11111111-2222-4333-8444-555555555555"
PATIENCE_SECONDS = 30.0
FEW = 3


class Watching(downloads_pb2_grpc.DownloadServiceServicer):
    async def WatchDownloads(self, request, context):
        yield downloads_pb2.WatchDownloadsResponse()
        await asyncio.Event().wait()


Watching.__abstractmethods__ = frozenset()


async def refusal(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(_answer(call), PATIENCE_SECONDS)
    return caught.value


async def _answer(call):
    return await call


async def eventually(condition) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


def without_message(channel: grpc.aio.Channel, path: str, metadata=()):
    """A unary call that never sends its message: to the client it is one of streamed requests."""
    return channel.stream_unary(path)(metadata=metadata)


async def plain_channel(stack: AsyncExitStack, r: Rig) -> grpc.aio.Channel:
    """gRPC's own, on a connection of its own."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    return await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{r.port}", options=options))


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        (tuple, Kind.UNAUTHENTICATED),
        (lambda: as_user(user_token(kid="stranger")), Kind.UNAUTHENTICATED),
        (lambda: as_user("garbage"), Kind.UNAUTHENTICATED),
        (lambda: as_service("gateway", ttl_seconds=-1), Kind.UNAUTHENTICATED),
        (lambda: as_service("gateway"), Kind.UNAUTHENTICATED),
        (lambda: as_user(user_token(roles=["guest"])), Kind.PERMISSION_DENIED),
    ],
)
async def test_whoever_may_not_call_is_refused_before_anything_is_read(metadata, kind):
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(rig())
        channel = await plain_channel(stack, r)
        assert from_rpc_error(await refusal(without_message(channel, GET_PATH, metadata()))).kind is kind
        assert r.library.callers == []


async def test_a_large_message_without_a_token_is_refused_for_the_token_by_both_clients():
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(rig())
        large = items_pb2.GetItemRequest(library_item_id="x" * (REQUEST_LIMIT_BYTES - 100))
        for channel in (r.channel, await plain_channel(stack, r)):
            error = await refusal(items_pb2_grpc.LibraryServiceStub(channel).GetItem(large))
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_message_is_no_longer_than_the_limit():
    async with rig() as r:
        too_large = items_pb2.GetItemRequest(library_item_id="x" * REQUEST_LIMIT_BYTES)
        error = await refusal(r.items.GetItem(too_large, metadata=as_user()))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_one_users_calls_at_once_are_limited_and_nobody_elses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.interceptors.CALLS_PER_USER", FEW)
    go_on = asyncio.Event()
    async with rig() as r:

        async def hang(request, _context):
            await go_on.wait()
            return items_pb2.GetItemResponse()

        r.library.get_item = hang
        mine = as_user()
        running = [asyncio.ensure_future(_answer(r.items.GetItem(GET, metadata=mine))) for _ in range(FEW)]

        async def all_run() -> bool:
            return len(r.library.callers) == FEW

        await eventually(all_run)
        error = from_rpc_error(await refusal(r.items.GetItem(GET, metadata=mine)))
        assert (error.kind, error.reason) == (Kind.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED")
        assert error.retry_after_seconds
        through_gateway = r.items.GetItem(GET, metadata=(*mine, *as_service("gateway")))
        others = r.items.GetItem(GET, metadata=as_user(user_token(sub=OTHER)))
        admitted = [asyncio.ensure_future(_answer(call)) for call in (through_gateway, others)]

        async def admitted_run() -> bool:
            return len(r.library.callers) == FEW + 2

        await eventually(admitted_run)
        go_on.set()
        await asyncio.gather(*running, *admitted)
        await eventually(lambda: is_answered(r, mine))


async def is_answered(r: Rig, metadata) -> bool:
    try:
        await r.items.GetItem(GET, metadata=metadata)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_calls_that_never_send_their_message_count_until_they_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.interceptors.CALLS_PER_USER", FEW)
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(rig())
        channel = await plain_channel(stack, r)
        mine = as_user()
        hanging = [without_message(channel, GET_PATH, mine) for _ in range(FEW)]

        async def is_full() -> bool:
            return not await is_answered(r, mine)

        await eventually(is_full)
        for call in hanging:
            call.cancel()
        await eventually(lambda: is_answered(r, mine))


async def test_one_users_streams_at_once_are_limited_and_nobody_elses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.interceptors.STREAMS_PER_USER", FEW)
    async with rig(
        services=DOWNLOADS,
        register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(Watching(), server),
    ) as r:
        stub = downloads_pb2_grpc.DownloadServiceStub(r.channel)

        def watch(metadata):
            return stub.WatchDownloads(downloads_pb2.WatchDownloadsRequest(), metadata=metadata)

        mine = as_user()
        streams = [watch(mine) for _ in range(FEW)]
        for stream in streams:
            await stream.read()
        error = from_rpc_error(await refusal(watch(mine).read()))
        assert error.reason == "RATE_LIMIT_EXCEEDED"
        for metadata in (as_user(user_token(sub=OTHER)), (*mine, *as_service("gateway"))):
            await watch(metadata).read()
        streams[0].cancel()

        async def is_free() -> bool:
            try:
                await watch(mine).read()
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(is_free)


async def reasons(r: Rig, call, metadata, times: int) -> list[str]:
    """The reason of each of the calls; empty for one that was answered."""
    found = []
    for _ in range(times):
        try:
            await call(metadata=metadata)
        except grpc.aio.AioRpcError as error:
            found.append(from_rpc_error(error).reason)
        else:
            found.append("")
    return found


@pytest.mark.parametrize("with_service_tokens", [True, False])
async def test_a_users_own_calls_are_counted_by_class_and_those_through_the_gateway_are_not(
    valkey_url: str,
    with_service_tokens: bool,  # noqa: FBT001
):
    """Without names of services nobody can say which calls come through the gateway, and nothing is counted."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_redis_store(valkey_url, prefix=f"test:{uuid4()}:"))
        permits = RedisPermits(store)
        await permits.lease("somebody", Budget("read", 1), 1)  # connected: redis-py reads a file when it connects
        limiter = RateLimiter(permits, {"read": 5, "write": 2})
        r = await stack.enter_async_context(rig(rate_limiter=limiter, with_service_tokens=with_service_tokens))
        read, write = partial(r.items.GetItem, GET), partial(r.items.UpdateItem, UPDATE)
        mine, others = as_user(), as_user(user_token(sub=OTHER))
        limited = "RATE_LIMIT_EXCEEDED" if with_service_tokens else ""
        assert await reasons(r, read, mine, 7) == [""] * 5 + [limited] * 2
        assert await reasons(r, write, mine, 3) == [""] * 2 + [limited]
        assert await reasons(r, read, others, 5) == [""] * 5
        if with_service_tokens:
            assert await reasons(r, read, (*mine, *as_service("gateway")), 9) == [""] * 9
            refused = await refusal(read(metadata=mine))
            assert (from_rpc_error(refused).retry_after_seconds or 0) > 0


class NoPermits:
    """A count that is unavailable."""

    async def lease(self, user: str, budget: Budget, wanted: int) -> Grant:
        raise StoreAway(f"{wanted} of {budget.name} for {user}")


async def test_while_the_count_is_unavailable_everybody_may_call():
    async with rig(rate_limiter=RateLimiter(NoPermits(), {"read": 1, "write": 1})) as r:
        assert await reasons(r, partial(r.items.GetItem, GET), as_user(), 3) == [""] * 3


def test_a_method_has_the_same_rate_class_at_both_doors():
    classes = {one.rpc: one.access.rate_class for one in STREAMS}
    for route in ROUTES:
        classes.setdefault(route.rpc, route.access.rate_class)
    assert {rpc: access_of(rpc).rate_class for rpc in classes} == classes
    assert set(classes.values()) == {"read", "write", "none"}


async def watchers(stack: AsyncExitStack, r: Rig, number: int) -> list:
    """Watches of a caller without a name, each on a connection of its own."""
    opened = []
    for _ in range(number):
        watch = health_pb2_grpc.HealthStub(await plain_channel(stack, r)).Watch(ANYTHING)
        assert (await watch.read()).status == SERVING
        opened.append(watch)
    return opened


async def test_one_peer_takes_its_share_of_watchers_and_our_services_find_a_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.health.WATCHERS_PER_PEER", FEW)
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(rig())
        opened = await watchers(stack, r, FEW - 1)  # the rig's own channel has no name, and watches too
        await r.items.GetItem(GET, metadata=as_user())
        health = health_pb2_grpc.HealthStub(await plain_channel(stack, r))
        assert (await refusal(health.Watch(ANYTHING).read())).code() is grpc.StatusCode.UNIMPLEMENTED
        assert (await health.Check(ANYTHING)).status == SERVING
        assert (await health.Watch(ANYTHING, metadata=as_service("gateway")).read()).status == SERVING
        opened[0].cancel()

        async def is_free() -> bool:
            try:
                await health.Watch(ANYTHING).read()
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(is_free)


async def test_a_channel_that_finds_no_place_to_watch_asks_and_follows_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.health.WATCHERS_PER_PEER", 0)
    monkeypatch.setattr("chassis.grpc_client.rpc_connections.WATCH_SECONDS", 0.02)
    is_away = asyncio.Event()

    async def check() -> None:
        if is_away.is_set():
            raise OSError("away")

    readiness = Readiness()
    readiness.add("database", check)
    async with rig(readiness=readiness) as r:
        await r.items.GetItem(GET, metadata=as_user())
        is_away.set()

        async def is_refused() -> bool:
            return r.channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE

        await eventually(is_refused)
        is_away.clear()
        await r.items.GetItem(GET, metadata=as_user(), wait_for_ready=True)


async def test_streams_of_a_channel_begin_where_it_finds_no_place_to_watch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.health.WATCHERS_PER_PEER", 0)
    async with (
        rig(
            services=DOWNLOADS,
            register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(Watching(), server),
        ) as r,
        open_channel(f"127.0.0.1:{r.port}", audience=SERVICE, service_tokens=None, services=DOWNLOADS) as channel,
    ):
        stub = downloads_pb2_grpc.DownloadServiceStub(channel)
        await stub.WatchDownloads(downloads_pb2.WatchDownloadsRequest(), metadata=as_user()).read()


async def test_one_peer_has_few_health_requests_read_at_once_and_our_services_any(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.health.UNREAD_PER_PEER", FEW)
    monkeypatch.setattr("chassis.grpc_server.health.READ_SECONDS", PATIENCE_SECONDS)
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(rig())
        channel = await plain_channel(stack, r)
        hanging = [without_message(channel, CHECK_PATH) for _ in range(FEW)]
        health = health_pb2_grpc.HealthStub(channel)

        async def is_full() -> bool:
            try:
                await health.Check(ANYTHING)
            except grpc.aio.AioRpcError:
                return True
            return False

        await eventually(is_full)
        assert (await health.Check(ANYTHING, metadata=as_service("gateway"))).status == SERVING
        for call in hanging:
            call.cancel()

        async def is_free() -> bool:
            return not await is_full()

        await eventually(is_free)


async def test_a_health_request_that_never_comes_is_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.grpc_server.health.READ_SECONDS", 0.05)
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(rig())
        error = await refusal(without_message(await plain_channel(stack, r), CHECK_PATH))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
