"""Channels to other services: their metadata, deadlines, retries and tokens, against real servers."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest
from download.v1 import downloads_pb2, downloads_pb2_grpc
from grpc._cython import cygrpc
from library.v1 import items_pb2, items_pb2_grpc, query_pb2, query_pb2_grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY

from chassis.auth.access import Caller, caller_scope
from chassis.auth.calls import remaining_seconds
from chassis.auth.identity import open_identity
from chassis.auth.service_tokens import RETRY_SECONDS, ServiceTokenSource
from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from chassis.grpc_client import rpc_client
from chassis.grpc_client.rpc_client import open_channel, repeatable_methods
from chassis.grpc_client.rpc_unary import MAX_ATTEMPTS
from chassis.grpc_server import server as rpc_server
from chassis.observability import telemetry
from chassis.settings import ProgramSettings
from sandbox.devstack.free_port import free_port
from tests.component.rpc_rig import (
    ISSUER,
    ITEM,
    SERVICE,
    SERVICES,
    USER,
    Rig,
    as_user,
    certificate,
    public_jwk,
    rig,
    user_token,
)

GET = items_pb2.GetItemRequest(library_item_id=ITEM)
CHECK = query_pb2.CheckGameAccessRequest(user_id=USER, product_id=ITEM)


@asynccontextmanager
async def caller_named(name: str, r: Rig, **options):
    """A channel of the program `name` with its own service tokens."""
    async with aiohttp.ClientSession() as session:
        source = ServiceTokenSource(r.auth.token_url, client_id=name, client_secret="s", session=session)
        async with open_channel(
            f"127.0.0.1:{r.port}", audience=SERVICE, service_tokens=source, services=SERVICES, **options
        ) as channel:
            yield channel


async def test_a_channel_brings_the_programs_own_token_and_asks_for_it_once():
    async with rig() as r, caller_named("download-service", r) as channel:
        stub = query_pb2_grpc.LibraryQueryServiceStub(channel)
        calls = [_answer(stub.CheckGameAccess(CHECK)) for _ in range(10)]
        assert all(answer.has_access for answer in await asyncio.gather(*calls))
        await stub.CheckGameAccess(CHECK)
        assert {caller.service for caller in r.library.callers} == {"download-service"}
        assert r.auth.token_requests == [
            {
                "grant_type": "client_credentials",
                "client_id": "download-service",
                "client_secret": "s",
                "audience": "library-service",
            }
        ]


async def _answer(call):
    return await call


async def test_without_a_token_from_auth_the_call_is_unavailable():
    async with rig() as r, caller_named("download-service", r) as channel:
        r.auth.fails = True
        with pytest.raises(DomainError) as caught:
            await query_pb2_grpc.LibraryQueryServiceStub(channel).CheckGameAccess(CHECK)
        assert caught.value.kind is Kind.UNAVAILABLE


async def without_the_old_key(r: Rig, *, signs_with: str) -> None:
    """Removes the key of all tokens so far, and waits until the service knows."""
    r.auth.rotate(signs_with=signs_with)
    async with asyncio.timeout(30):
        while r.keys.holds("k1"):
            await asyncio.sleep(0.01)


async def test_calls_go_on_when_the_key_of_the_programs_token_was_removed(quick_keys):
    async with rig() as r, caller_named("download-service", r) as channel:
        stub = query_pb2_grpc.LibraryQueryServiceStub(channel)
        await stub.CheckGameAccess(CHECK)
        await without_the_old_key(r, signs_with="k2")
        answers = await asyncio.gather(*(_answer(stub.CheckGameAccess(CHECK)) for _ in range(20)))
        assert all(answer.has_access for answer in answers)
        assert len(r.auth.token_requests) == 2  # one new token, however many calls were refused


async def test_a_token_that_is_refused_again_makes_the_service_unavailable_and_is_not_asked_for_by_each_call(
    quick_keys,
):
    async with rig() as r, caller_named("gateway", r) as channel:
        stub = items_pb2_grpc.LibraryServiceStub(channel)
        await stub.GetItem(GET, metadata=as_user())
        await without_the_old_key(r, signs_with="k1")
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            with pytest.raises(DomainError) as caught:
                await stub.GetItem(GET, metadata=as_user(user_token(kid="k2")))
            assert (caught.value.kind, caught.value.reason) == (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        seconds = asyncio.get_running_loop().time() - began
        assert len(r.auth.token_requests) <= 2 + seconds / RETRY_SECONDS
        assert len(r.library.callers) == 1


async def test_a_users_bad_token_is_the_users_and_costs_no_token_of_ours():
    async with rig() as r, caller_named("gateway", r) as channel:
        stub = items_pb2_grpc.LibraryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetItem(GET, metadata=as_user(user_token(kid="stranger")))
        assert from_rpc_error(caught.value).kind is Kind.UNAUTHENTICATED
        assert len(r.auth.token_requests) == 1


class Progress(downloads_pb2_grpc.DownloadServiceServicer):
    async def WatchDownloads(self, request, context):
        for number in range(3):
            yield downloads_pb2.WatchDownloadsResponse(event_id=str(number))


Progress.__abstractmethods__ = frozenset()


@pytest.mark.parametrize(("signs_with", "seen"), [("k2", ["0", "1", "2"]), ("k1", None)])
async def test_a_stream_is_begun_with_another_token_when_the_first_is_refused(quick_keys, signs_with, seen):
    async with (
        rig(
            services=("download.v1.DownloadService",),
            register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(Progress(), server),
        ) as r,
        caller_named("gateway", r) as channel,
    ):
        stub = downloads_pb2_grpc.DownloadServiceStub(channel)

        async def events() -> list[str]:
            call = stub.WatchDownloads(downloads_pb2.WatchDownloadsRequest(), metadata=as_user(user_token(kid="k2")))
            await call.initial_metadata()
            return [message.event_id async for message in call]

        r.auth.keys = [public_jwk("k1"), public_jwk("k2")]
        assert await events() == ["0", "1", "2"]
        await without_the_old_key(r, signs_with=signs_with)
        if seen is None:
            with pytest.raises(DomainError) as caught:
                await events()
            assert caught.value.kind is Kind.UNAVAILABLE
        else:
            assert await events() == seen


async def test_the_users_token_goes_along_only_where_it_is_passed():
    async with rig() as r, caller_named("gateway", r) as channel:
        stub = items_pb2_grpc.LibraryServiceStub(channel)
        await stub.GetItem(GET, metadata=as_user())
        with caller_scope(Caller(request_id="r")), pytest.raises(grpc.aio.AioRpcError):
            await stub.GetItem(GET)
        assert [str(caller.user_id) for caller in r.library.callers] == [USER]


async def test_request_id_and_language_of_the_running_call_go_along():
    async with rig() as r, caller_named("gateway", r) as channel:
        stub = items_pb2_grpc.LibraryServiceStub(channel)
        with caller_scope(Caller(request_id="req-7", language="en")):
            await stub.GetItem(GET, metadata=as_user())
        caller = r.library.callers[0]
    assert (caller.request_id, caller.language) == ("req-7", "en")


async def test_one_trace_runs_through_both_sides():
    seen: list[str] = []

    async def note(_request, _context):
        seen.append(telemetry.current_trace_id())
        return items_pb2.GetItemResponse()

    provider = TracerProvider(shutdown_on_exit=False)
    async with rig() as r:
        r.library.get_item = note
        with provider.get_tracer("test").start_as_current_span("root") as root:
            await r.items.GetItem(GET, metadata=as_user())
    assert seen == [trace.format_trace_id(root.get_span_context().trace_id)]


async def test_a_calls_deadline_is_never_longer_than_the_call_it_serves():
    left: list[float | None] = []

    async def note(request, _context):
        left.append(remaining_seconds())
        if request.library_item_id == USER:  # the outer call
            await inner.GetItem(GET, metadata=as_user())
        return items_pb2.GetItemResponse()

    async with rig() as r:
        inner = r.items
        r.library.get_item = note
        await r.items.GetItem(items_pb2.GetItemRequest(library_item_id=USER), metadata=as_user(), timeout=4.0)
    outer, nested = left
    assert outer is not None
    assert nested is not None
    assert outer <= 4.0
    assert nested <= outer + 0.01  # the wire rounds deadlines; the channel's own would be five seconds


async def test_a_call_without_a_deadline_gets_the_channels():
    left: list[float | None] = []

    async def note(_request, _context):
        left.append(remaining_seconds())
        return items_pb2.GetItemResponse()

    async with rig() as r, caller_named("gateway", r, timeout_seconds=3.0) as channel:
        r.library.get_item = note
        await items_pb2_grpc.LibraryServiceStub(channel).GetItem(GET, metadata=as_user())
    assert left[0] is not None
    assert 0 < left[0] <= 3.0


async def test_idempotent_methods_are_repeated_while_the_service_says_unavailable():
    attempts = 0

    async def flaky(_request, _context):
        nonlocal attempts
        attempts += 1
        if attempts < MAX_ATTEMPTS:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        return items_pb2.GetItemResponse(item=items_pb2.LibraryItem(id=ITEM))

    async with rig() as r:
        r.library.get_item = flaky
        assert (await r.items.GetItem(GET, metadata=as_user())).item.id == ITEM
    assert attempts == MAX_ATTEMPTS


async def test_nothing_else_is_repeated():
    attempts = 0

    async def fail(_request, _context):
        nonlocal attempts
        attempts += 1
        raise DomainError(Kind.NOT_FOUND, "LIBRARY_ITEM_NOT_FOUND")

    async with rig() as r:
        r.library.get_item = fail
        with pytest.raises(grpc.aio.AioRpcError):
            await r.items.GetItem(GET, metadata=as_user())
    assert attempts == 1


class Starting(downloads_pb2_grpc.DownloadServiceServicer):
    attempts = 0

    async def StartDownload(self, request, context):
        self.attempts += 1
        raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")


Starting.__abstractmethods__ = frozenset()


async def test_a_method_with_side_effects_is_not_repeated():
    service = Starting()
    services = ("download.v1.DownloadService",)
    async with (
        rig(
            services=services,
            register=lambda server: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(service, server),
        ) as r,
        open_channel(f"127.0.0.1:{r.port}", audience=SERVICE, service_tokens=None, services=services) as channel,
    ):
        stub = downloads_pb2_grpc.DownloadServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.StartDownload(downloads_pb2.StartDownloadRequest(product_id=ITEM), metadata=as_user())
    assert from_rpc_error(caught.value).kind is Kind.UNAVAILABLE
    assert service.attempts == 1


def test_the_retry_policy_names_exactly_the_methods_the_proto_calls_repeatable():
    methods = repeatable_methods(("library.v1.LibraryService", "download.v1.DownloadService"))
    named = {path.rpartition("/")[2] for path in methods}
    assert {"ListItems", "GetItem", "UpdateItem", "GetDownload", "ReportDownload"} <= named
    assert "StartDownload" not in named


def test_every_option_of_channels_and_servers_is_one_that_grpc_knows():
    # It ignores others without a word, and a server that misses its own drops idle connections for the pings that keep them.
    known = Path(cygrpc.__file__).read_bytes()
    options = [*rpc_client._options(SERVICES), *rpc_server._options(workers=1)]
    assert [name for name, _ in options if name.encode() not in known] == []


async def test_a_channel_comes_back_when_the_service_does():
    port = free_port()  # one of the system's might be a connection's by the time the service is back
    async with rig(bind=f"127.0.0.1:{port}") as r:
        await r.items.GetItem(GET, metadata=as_user())
    async with open_channel(f"127.0.0.1:{port}", audience=SERVICE, service_tokens=None, services=SERVICES) as channel:
        stub = items_pb2_grpc.LibraryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetItem(GET, metadata=as_user())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        async with rig(bind=f"127.0.0.1:{port}"):
            answer = await stub.GetItem(GET, metadata=as_user(), wait_for_ready=True)
    assert answer.item.id == ITEM


async def test_calls_are_counted_on_both_sides_by_method_and_code():
    method = "/library.v1.LibraryService/GetItem"

    def count(name: str, code: str) -> float:
        return REGISTRY.get_sample_value(f"{name}_total", {"method": method, "code": code}) or 0

    names = ("rpc_server_calls", "rpc_client_calls")
    before = [(count(name, "OK"), count(name, "UNAUTHENTICATED")) for name in names]
    async with rig() as r:
        await r.items.GetItem(GET, metadata=as_user())
        with pytest.raises(grpc.aio.AioRpcError):
            await r.items.GetItem(GET)
    after = [(count(name, "OK"), count(name, "UNAUTHENTICATED")) for name in names]
    assert after == [(ok + 1, refused + 1) for ok, refused in before]


async def test_a_programs_identity_is_made_of_its_settings():
    async with rig() as r:
        settings = ProgramSettings(
            auth_jwks_url=r.auth.jwks_url,
            auth_token_url=r.auth.token_url,
            auth_issuer=ISSUER,
            service_tokens_enabled=True,
            service_client_secret="s",
        )
        async with open_identity(settings, name=SERVICE) as identity:
            assert identity.service_tokens is not None
            assert identity.service_verifier is not None
            token = await identity.service_tokens.token(SERVICE)
            assert (await identity.service_verifier.verify(token)).service == SERVICE
        async with open_identity(ProgramSettings(), name=SERVICE) as identity:
            assert (identity.verifier, identity.service_verifier, identity.service_tokens) == (None, None, None)


async def test_a_client_certificate_names_the_calling_service():
    async with rig(tls=certificate(SERVICE), with_service_tokens=False) as r:
        for name, admitted in (("download-service", True), ("stranger", False)):
            async with open_channel(
                f"localhost:{r.port}",
                audience=SERVICE,
                service_tokens=None,
                services=SERVICES,
                tls=certificate(name),
            ) as channel:
                stub = query_pb2_grpc.LibraryQueryServiceStub(channel)
                if admitted:
                    assert (await stub.CheckGameAccess(CHECK)).has_access
                    continue
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.CheckGameAccess(CHECK)
                assert from_rpc_error(caught.value).kind is Kind.PERMISSION_DENIED
        assert [caller.service for caller in r.library.callers] == ["download-service"]


async def test_a_tls_port_does_not_talk_to_a_client_without_acertificate():
    async with rig(tls=certificate(SERVICE)) as r:
        authorities = grpc.ssl_channel_credentials(certificate(SERVICE).authorities)
        async with grpc.aio.secure_channel(f"localhost:{r.port}", authorities) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await items_pb2_grpc.LibraryServiceStub(channel).GetItem(GET, metadata=as_user(), timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
