"""Calls to servers of two other implementations, h2 and grpcio: messages of every size through windows of every size."""

import asyncio

import grpc
import pytest
import uvloop
from h2.settings import SettingCodes

from chassis.grpc_client import http2_connection
from chassis.grpc_client.http2_connection import MESSAGE_LIMIT_BYTES
from tests.component.http2_rig import (
    failing,
    grpcio_server,
    h2_server,
    nothing_escapes,
    opened,
    say,
)
from tests.component.rpc_rig import certificate

__all__ = ["nothing_escapes"]

SIZES = [0, 1, 16_378, 16_379, 16_380, 16_384, 65_530, 65_531, 1024 * 1024]


def _bytes(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@pytest.mark.parametrize("window", [1_000, 65_535, 2**31 - 1])
async def test_h2_sends_back_what_it_got(window):
    sizes = [size for size in SIZES if size <= window * 100]
    async with h2_server({SettingCodes.INITIAL_WINDOW_SIZE: window}) as target, opened(target) as connections:
        for size in sizes:
            assert await say(connections, _bytes(size)) == _bytes(size)


async def test_h2_with_a_window_of_one_byte_sends_back_what_it_got():
    async with h2_server({SettingCodes.INITIAL_WINDOW_SIZE: 1}) as target, opened(target) as connections:
        assert await say(connections, _bytes(1_000)) == _bytes(1_000)


async def test_grpcio_sends_back_what_it_got():
    async with grpcio_server() as server, opened(server.target) as connections:
        for size in SIZES:
            assert await say(connections, _bytes(size)) == _bytes(size)


async def test_messages_may_be_as_large_as_the_limit_and_no_larger_both_ways():
    async with grpcio_server(_sized) as server, opened(server.target) as connections:
        assert await say(connections, _bytes(MESSAGE_LIMIT_BYTES)) == b""
        assert await say(connections, b"%d" % MESSAGE_LIMIT_BYTES) == bytes(MESSAGE_LIMIT_BYTES)
        refused = await failing(say(connections, _bytes(MESSAGE_LIMIT_BYTES + 1)))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        refused = await failing(say(connections, b"%d" % (MESSAGE_LIMIT_BYTES + 1)))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server.calls == 3  # what is too large is not even sent


async def _sized(message: bytes, _context: object) -> bytes:
    return bytes(int(message)) if len(message) < 20 else b""


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_five_hundred_calls_at_a_time_whatever_the_peer_takes(limit):
    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: limit, SettingCodes.HEADER_TABLE_SIZE: 0}
    async with h2_server(settings) as target, opened(target) as connections:
        answers = await asyncio.gather(*(say(connections, b"%d" % number, seconds=60) for number in range(500)))
        assert answers == [b"%d" % number for number in range(500)]


async def test_five_hundred_calls_at_a_time_to_grpcio():
    async with grpcio_server() as server, opened(server.target) as connections:
        answers = await asyncio.gather(*(say(connections, b"%d" % number, seconds=60) for number in range(500)))
        assert answers == [b"%d" % number for number in range(500)]


async def test_windows_last_for_thousands_of_calls(monkeypatch):
    # 64 MiB in all through a connection window of one: a byte that is not given back each time would end it.
    monkeypatch.setattr(http2_connection, "CONNECTION_WINDOW_BYTES", 1024 * 1024)
    async with h2_server() as target, opened(target) as connections:
        for _ in range(50):
            answers = await asyncio.gather(*(say(connections, b"answer 32000") for _ in range(42)))
            assert {len(answer) for answer in answers} == {32_000}
        assert len(connections._held) == 1


async def test_the_same_over_uvloop_which_programs_run_on():
    def calls() -> None:
        async def scenario() -> None:
            async with grpcio_server() as server, opened(server.target) as connections:
                for size in (0, 1, 16_380, 1024 * 1024):
                    assert await say(connections, _bytes(size)) == _bytes(size)
                answers = await asyncio.gather(*(say(connections, b"%d" % number) for number in range(200)))
                assert answers == [b"%d" % number for number in range(200)]
                tasks = [asyncio.create_task(say(connections, _bytes(100_000))) for _ in range(20)]
                await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert [isinstance(each, BaseException) for each in results] == [True, False] * 10
            late = await failing(say(connections))
            assert late.code() is grpc.StatusCode.CANCELLED

        uvloop.run(scenario())

    # grpcio binds itself to the loop of the thread that asks first.
    await asyncio.to_thread(calls)


async def test_tls_peers_get_and_send_the_same():
    tls = certificate("peer")
    async with grpcio_server(tls=tls) as server, opened(f"dns:///localhost:{server.port}", tls) as connections:
        for size in (0, 1, 16_380, 1024 * 1024):
            assert await say(connections, _bytes(size)) == _bytes(size)
