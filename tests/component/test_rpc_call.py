"""What a unary call tells beside its response, the same as grpcio's call object tells: every test runs on both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from chassis.grpc_client.rpc_client import open_channel
from tests.component.http2_rig import SAY, grpcio_server, nothing_escapes, soon, until

__all__ = ["nothing_escapes"]

Code = grpc.StatusCode
SENT = (("x-first", "1"), ("x-bytes-bin", bytes(range(256))))


@asynccontextmanager
async def _ours(target: str) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(target, audience="", service_tokens=None, services=(), timeout_seconds=30) as channel:
        yield channel


def _theirs(target: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(target)


both = pytest.mark.parametrize("channel_to", [_ours, _theirs], ids=["ours", "grpcio"])


def _ours_of(metadata: grpc.aio.Metadata) -> list[tuple[str, str | bytes]]:
    return sorted((key, value) for key, value in metadata if key.startswith("x-"))


async def _polite(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
    await context.send_initial_metadata(SENT)
    context.set_trailing_metadata((("x-last", "2"),))
    if message == b"fail":
        await context.abort(Code.ABORTED, "as asked")
    return message


@both
async def test_a_response_comes_with_its_metadata(channel_to):
    async with grpcio_server(_polite) as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello")
        assert await soon(call) == b"hello"
        assert _ours_of(await call.initial_metadata()) == sorted(SENT)
        assert _ours_of(await call.trailing_metadata()) == [("x-last", "2")]
        assert (await call.code(), await call.details()) == (Code.OK, "")
        assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)
        assert await soon(call) == b"hello"
        assert server.calls == 1


@both
async def test_only_the_protocols_own_fields_are_left_out_of_what_the_server_sent(channel_to):
    async with grpcio_server(_polite) as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello")
        assert {key for key, _ in await soon(call.initial_metadata())} == {key for key, _ in SENT}
        assert {key for key, _ in await call.trailing_metadata()} == {"x-last"}


@both
async def test_metadata_can_be_asked_for_before_the_response(channel_to):
    async with grpcio_server(_polite) as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello")
        assert _ours_of(await soon(call.initial_metadata())) == sorted(SENT)
        assert await soon(call) == b"hello"
        assert server.calls == 1


@both
async def test_an_error_carries_both_kinds_of_metadata(channel_to):
    async with grpcio_server(_polite) as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"fail")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await soon(call)
        assert _ours_of(caught.value.initial_metadata()) == sorted(SENT)
        assert _ours_of(caught.value.trailing_metadata()) == [("x-last", "2")]
        assert (await call.code(), await call.details()) == (Code.ABORTED, "as asked")
        assert _ours_of(await call.trailing_metadata()) == [("x-last", "2")]
        with pytest.raises(grpc.aio.AioRpcError, match="as asked"):
            await call
        assert server.calls == 1


@both
async def test_callbacks_run_when_the_call_ends_and_at_once_after_that(channel_to):
    async with grpcio_server() as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello")
        seen = []
        call.add_done_callback(lambda _: seen.append("first"))
        assert seen == []
        await soon(call)
        await until(lambda: seen == ["first"])
        call.add_done_callback(lambda _: seen.append("second"))
        await until(lambda: seen == ["first", "second"])


@both
async def test_several_may_wait_for_one_call(channel_to):
    async with grpcio_server() as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello")

        async def code() -> grpc.StatusCode:
            return await call.code()

        async def response() -> bytes:
            return await call

        assert await soon(asyncio.gather(response(), code(), response())) == [b"hello", Code.OK, b"hello"]
        assert server.calls == 1


@both
async def test_a_cancelled_call_ends_for_all_who_wait_and_at_the_server(channel_to):
    started = asyncio.Event()

    async def never(_message: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with grpcio_server(never) as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello")
        asked = asyncio.create_task(call.code())
        await soon(started.wait())
        assert call.cancel()
        assert await soon(asked) is Code.CANCELLED
        assert call.done()
        assert call.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: server.ended)


@both
async def test_a_call_that_is_cancelled_at_once_never_succeeds(channel_to):
    async with grpcio_server() as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello")
        assert call.cancel()
        assert await soon(call.code()) is Code.CANCELLED
        with pytest.raises(asyncio.CancelledError):
            await call


@both
async def test_the_time_that_is_left_is_told(channel_to):
    async with grpcio_server() as server, channel_to(server.target) as channel:
        call = channel.unary_unary(SAY)(b"hello", timeout=20)
        assert 0 < call.time_remaining() <= 20
        await soon(call)
