"""The server's life: health tells readiness, the drain loses no call and ends streams, a port is nobody else's."""

import asyncio

import grpc
import pytest
from download.v1 import downloads_pb2, downloads_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from library.v1 import items_pb2, items_pb2_grpc

from chassis.auth.tokens import open_key_set
from chassis.errors import Kind
from chassis.errors.wire import from_rpc_error
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_server.health import LIVENESS
from chassis.grpc_server.readiness import Readiness
from sandbox.devstack.free_port import free_port
from tests.component.rpc_rig import (
    ITEM,
    SERVICE,
    SERVICES,
    Library,
    as_user,
    auth_server,
    certificate,
    library_server,
    public_jwk,
    rig,
    user_token,
)

GET = items_pb2.GetItemRequest(library_item_id=ITEM)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def until(condition, *, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_health_follows_readiness_for_every_service():
    away = asyncio.Event()

    async def check() -> None:
        if away.is_set():
            raise OSError("away")

    readiness = Readiness()
    readiness.add("database", check)
    async with rig(readiness=readiness) as r:
        health = health_pb2_grpc.HealthStub(r.channel)

        async def status(service: str) -> int:
            return (await health.Check(health_pb2.HealthCheckRequest(service=service))).status

        for service in ("", *SERVICES):
            assert await status(service) == SERVING
        async with grpc.aio.insecure_channel(f"127.0.0.1:{r.port}") as plain:
            watch = health_pb2_grpc.HealthStub(plain).Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
            assert (await watch.read()).status == SERVING
            away.set()
            assert (await watch.read()).status == NOT_SERVING
            away.clear()
            assert (await watch.read()).status == SERVING


async def test_health_does_not_know_a_service_that_is_not_here():
    async with rig() as r:
        health = health_pb2_grpc.HealthStub(r.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(service="nobody.v1.Service"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health.Watch(health_pb2.HealthCheckRequest(service="nobody.v1.Service"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


async def test_a_drain_lets_every_running_call_finish():
    running = 0
    all_run, go_on = asyncio.Event(), asyncio.Event()
    calls = 20

    async def slow(request, _context):
        nonlocal running
        running += 1
        if running == calls:
            all_run.set()
        await go_on.wait()
        return items_pb2.GetItemResponse(item=items_pb2.LibraryItem(id=request.library_item_id))

    library = Library()
    library.get_item = slow
    async with auth_server() as auth, open_key_set(auth.jwks_url) as keys:
        serving = library_server(library, keys=keys, drain_seconds=10)
        server = await serving.__aenter__()
        async with open_channel(
            f"127.0.0.1:{server.port}", audience=SERVICE, service_tokens=None, services=SERVICES
        ) as channel:
            stub = items_pb2_grpc.LibraryServiceStub(channel)
            answers = [asyncio.ensure_future(_answer(stub.GetItem(GET, metadata=as_user()))) for _ in range(calls)]
            await all_run.wait()
            stopping = asyncio.ensure_future(serving.__aexit__(None, None, None))
            health = health_pb2_grpc.HealthStub(channel)

            async def refused() -> bool:
                try:
                    answer = await health.Check(health_pb2.HealthCheckRequest())
                except grpc.aio.AioRpcError:
                    return True
                return answer.status == NOT_SERVING

            await until(refused)
            assert not stopping.done()
            go_on.set()
            assert [answer.item.id for answer in await asyncio.gather(*answers)] == [ITEM] * calls
            await stopping


async def _answer(call):
    return await call


async def test_calls_move_to_the_other_replica_while_one_drains_and_none_fails():
    async with auth_server() as auth, open_key_set(auth.jwks_url) as keys:
        first, second = Library(), Library()
        staying = library_server(first, keys=keys)
        going = library_server(second, keys=keys, drain_seconds=10)
        async with staying as stays:
            goes = await going.__aenter__()
            address = f"ipv4:127.0.0.1:{stays.port},127.0.0.1:{goes.port}"
            async with open_channel(address, audience=SERVICE, service_tokens=None, services=SERVICES) as channel:
                stub = items_pb2_grpc.LibraryServiceStub(channel)
                metadata = as_user()

                async def both_called() -> bool:
                    await stub.GetItem(GET, metadata=metadata)
                    return bool(first.callers) and bool(second.callers)

                await until(both_called)
                stopping = asyncio.ensure_future(going.__aexit__(None, None, None))
                failures = []
                while not stopping.done():
                    answers = [_answer(stub.GetItem(GET, metadata=metadata)) for _ in range(10)]
                    results = await asyncio.gather(*answers, return_exceptions=True)
                    failures += [result for result in results if isinstance(result, BaseException)]
                await stopping
                assert failures == []
                seen = len(second.callers)
                await stub.GetItem(GET, metadata=metadata)
                assert len(second.callers) == seen


class Watching(downloads_pb2_grpc.DownloadServiceServicer):
    def __init__(self) -> None:
        self.ended: list[BaseException | None] = []

    async def WatchDownloads(self, request, context):
        ended: BaseException | None = None
        try:
            yield downloads_pb2.WatchDownloadsResponse()
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:  # scopes that need one task for all steps
                group.create_task(asyncio.sleep(0))
                yield downloads_pb2.WatchDownloadsResponse()
                await asyncio.Event().wait()
        except BaseException as error:
            ended = error
            raise
        finally:
            self.ended.append(ended)


Watching.__abstractmethods__ = frozenset()
DOWNLOADS = ("download.v1.DownloadService",)


async def test_a_drain_ends_streams_with_unavailable():
    service = Watching()
    async with auth_server() as auth, open_key_set(auth.jwks_url) as keys:
        serving = library_server(
            Library(),
            keys=keys,
            drain_seconds=100,
            services=DOWNLOADS,
            register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(service, server),
        )
        server = await serving.__aenter__()
        async with open_channel(
            f"127.0.0.1:{server.port}", audience=SERVICE, service_tokens=None, services=DOWNLOADS
        ) as channel:
            stub = downloads_pb2_grpc.DownloadServiceStub(channel)
            stream = stub.WatchDownloads(downloads_pb2.WatchDownloadsRequest(), metadata=as_user())
            await stream.read()
            await stream.read()
            stopping = asyncio.ensure_future(serving.__aexit__(None, None, None))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            error = from_rpc_error(caught.value)
            assert (error.kind, error.reason, error.retry_after_seconds) == (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", 0)
            async with asyncio.timeout(30):  # far below the drain's 100: nothing is left to wait for
                await stopping
    assert len(service.ended) == 1


async def test_a_stream_ends_in_the_servicer_when_the_client_goes():
    service = Watching()
    async with rig(
        services=DOWNLOADS,
        register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(service, server),
    ) as r:
        stub = downloads_pb2_grpc.DownloadServiceStub(r.channel)
        stream = stub.WatchDownloads(downloads_pb2.WatchDownloadsRequest(), metadata=as_user())
        await stream.read()
        await stream.read()
        stream.cancel()

        async def ended() -> bool:
            return bool(service.ended)

        await until(ended)
    assert isinstance(service.ended[0], asyncio.CancelledError)


async def ending_of_a_stream(token: str, *, leave: bool) -> tuple[grpc.StatusCode, str]:
    """How a stream ends that the service itself would never end; with `leave` the token's key leaves the set meanwhile."""
    service = Watching()
    async with rig(
        services=DOWNLOADS,
        register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(service, server),
    ) as r:
        stub = downloads_pb2_grpc.DownloadServiceStub(r.channel)
        stream = stub.WatchDownloads(downloads_pb2.WatchDownloadsRequest(), metadata=as_user(token))
        messages = aiter(stream)
        await anext(messages)
        if leave:
            r.auth.keys = [public_jwk("k2")]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(_to_the_end(messages), 30)
        assert isinstance(service.ended[0], asyncio.CancelledError)
    return caught.value.code(), from_rpc_error(caught.value).reason


async def _to_the_end(messages) -> None:
    async for _ in messages:
        pass


async def test_a_stream_ends_when_its_token_expires():
    ending = await ending_of_a_stream(user_token(ttl_seconds=4), leave=False)
    assert ending == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_a_stream_ends_when_the_key_of_its_token_left_the_set(quick_keys):
    ending = await ending_of_a_stream(user_token(), leave=True)
    assert ending == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


class Flooding(downloads_pb2_grpc.DownloadServiceServicer):
    """Says more than a client that does not read can take."""

    def __init__(self) -> None:
        self.sent = 0

    async def WatchDownloads(self, request, context):
        while True:
            self.sent += 1
            yield downloads_pb2.WatchDownloadsResponse(event_id="x" * 64 * 1024)


Flooding.__abstractmethods__ = frozenset()


async def test_a_stream_that_nobody_reads_ends_with_its_credential_too(quick_keys):
    service = Flooding()
    async with rig(
        services=DOWNLOADS,
        register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(service, server),
    ) as r:
        stub = downloads_pb2_grpc.DownloadServiceStub(r.channel)
        messages = aiter(stub.WatchDownloads(downloads_pb2.WatchDownloadsRequest(), metadata=as_user()))
        await anext(messages)
        r.auth.keys = [public_jwk("k2")]

        async def is_refused() -> bool:
            return not r.keys.holds("k1")

        await until(is_refused)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(_to_the_end(messages), 30)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_port_in_use_is_an_os_error_that_names_it():
    async with rig() as r:
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{r.port}"):
            async with library_server(Library(), keys=r.keys, bind=f"127.0.0.1:{r.port}"):
                pass


async def test_an_error_in_the_block_comes_out_as_it_is():
    async with auth_server() as auth, open_key_set(auth.jwks_url) as keys:
        with pytest.raises(KeyError, match="mine"):
            async with library_server(Library(), keys=keys):
                raise KeyError("mine")


async def test_probes_need_no_certificate_and_a_missing_database_is_no_reason_to_restart():
    probes = f"127.0.0.1:{free_port()}"

    async def check() -> None:
        raise OSError("away")

    readiness = Readiness()
    readiness.add("database", check)
    async with (
        rig(tls=certificate(SERVICE), readiness=readiness, health_bind=probes),
        grpc.aio.insecure_channel(probes) as plain,
    ):
        health = health_pb2_grpc.HealthStub(plain)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
        assert (await health.Check(health_pb2.HealthCheckRequest(service=LIVENESS))).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await items_pb2_grpc.LibraryServiceStub(plain).GetItem(GET)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
