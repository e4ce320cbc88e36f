"""Health and reflection of the running services, by an implementation that shares nothing with grpcio: grpclib, over h2. From what
reflection says a client without any generated code makes a call that works.
"""

from collections.abc import AsyncIterator, Iterable

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from rest.routes import ROUTES, STREAMS

from tests.e2e.clients import Api
from tests.e2e.running import Platform

BACKENDS = ("library", "download")
SERVICES = {
    name: {
        rpc.lstrip("/").partition("/")[0]
        for rpc in (one.rpc for one in (*ROUTES, *STREAMS))
        if rpc.startswith(f"/{name}.")
    }
    for name in BACKENDS
}


@pytest.fixture(params=BACKENDS)
async def channel(request: pytest.FixtureRequest, platform: Platform) -> AsyncIterator[tuple[str, Channel]]:
    host, _, port = platform.private[f"{request.param}_grpc_addr"].rpartition(":")
    async with Channel(host, int(port)) as made:
        yield request.param, made


async def _reflect(channel: Channel, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    ask = StreamStreamMethod(channel, method, ServerReflectionRequest, ServerReflectionResponse)
    return list(await ask(requests))


async def test_health_is_told_for_the_server_and_for_each_service(channel: tuple[str, Channel]) -> None:
    name, opened = channel
    check = UnaryUnaryMethod(opened, "/grpc.health.v1.Health/Check", HealthCheckRequest, HealthCheckResponse)
    watch = UnaryStreamMethod(opened, "/grpc.health.v1.Health/Watch", HealthCheckRequest, HealthCheckResponse)
    for service in ("", *SERVICES[name]):
        answer = await check(HealthCheckRequest(service=service))
        assert answer.status == HealthCheckResponse.SERVING
        async with watch.open() as stream:
            await stream.send_message(HealthCheckRequest(service=service), end=True)
            first = await stream.recv_message()
            assert first is not None
            assert first.status == HealthCheckResponse.SERVING
            await stream.cancel()
    with pytest.raises(GRPCError) as refused:
        await check(HealthCheckRequest(service="nobody.v1.NobodyService"))
    assert refused.value.status is Status.NOT_FOUND


async def test_reflection_lists_every_service_and_no_other(channel: tuple[str, Channel]) -> None:
    name, opened = channel
    (answer,) = await _reflect(opened, ServerReflectionRequest(list_services=""))
    listed = {one.name for one in answer.list_services_response.service}
    assert SERVICES[name] <= listed
    assert {one for one in listed if not one.startswith(("grpc.", f"{name}."))} == set()


async def _pool(channel: Channel, symbols: Iterable[str]) -> descriptor_pool.DescriptorPool:
    """A pool with nothing but what reflection says: the files of the symbols and all that they import."""
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    wanted = [ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols]
    while wanted:
        for answer in await _reflect(channel, *wanted):
            assert not answer.HasField("error_response"), answer.error_response
            for raw in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(raw)
                files[file.name] = file
        missing = {name for file in files.values() for name in file.dependency} - files.keys()
        wanted = [ServerReflectionRequest(file_by_filename=name) for name in sorted(missing)]
    pool = descriptor_pool.DescriptorPool()
    left = dict(files)
    while left:
        ready = [file for file in left.values() if not left.keys() & set(file.dependency)]
        assert ready
        for file in ready:
            pool.Add(left.pop(file.name))
    return pool


async def test_everything_that_is_served_can_be_reflected(channel: tuple[str, Channel]) -> None:
    name, opened = channel
    pool = await _pool(opened, SERVICES[name])
    for rpc in {one.rpc for one in (*ROUTES, *STREAMS) if one.rpc.startswith(f"/{name}.")}:
        service, _, method = rpc.lstrip("/").partition("/")
        found = pool.FindServiceByName(service).FindMethodByName(method)
        assert found.input_type.full_name.partition(".")[0] == name


async def test_what_is_not_served_is_not_found(channel: tuple[str, Channel]) -> None:
    _, opened = channel
    request = ServerReflectionRequest(file_containing_symbol="nobody.v1.NobodyService")
    (answer,) = await _reflect(opened, request)
    assert answer.error_response.error_code == Status.NOT_FOUND.value


async def test_a_client_that_knows_only_reflection_makes_a_call(channel: tuple[str, Channel], anna: Api) -> None:
    name, opened = channel
    service, method = {
        "library": ("library.v1.LibraryService", "ListItems"),
        "download": ("download.v1.DownloadService", "ListDownloads"),
    }[name]
    pool = await _pool(opened, [service])
    found = pool.FindServiceByName(service).FindMethodByName(method)
    request, response = map(message_factory.GetMessageClass, (found.input_type, found.output_type))
    call = UnaryUnaryMethod(opened, f"/{service}/{method}", request, response)
    answer = await call(request(limit=7), metadata={"authorization": f"Bearer {anna.token}"})
    assert answer.page.per_page == 7
    with pytest.raises(GRPCError) as refused:
        await call(request(limit=0), metadata={"authorization": f"Bearer {anna.token}"})
    assert refused.value.status is Status.INVALID_ARGUMENT
