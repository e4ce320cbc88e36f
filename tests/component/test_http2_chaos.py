"""Many calls at a time to servers that do anything: each call ends, with its own answer or an error, and nothing is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import grpc
import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from chassis.grpc_client import rpc_connections
from chassis.grpc_client.http2_connection import Connection
from tests.component.http2_rig import (
    WATCH,
    Peer,
    WindowUpdateFrame,
    nothing_escapes,
    opened,
    peer_server,
    say,
)

__all__ = ["nothing_escapes"]

CALLS = 250


class Wild:
    """A server that answers most of what it is asked, and now and then does something else."""

    def __init__(self, random: Random) -> None:
        self._random = random

    async def serve(self, peer: Peer) -> None:
        random = self._random
        await peer.greet(
            {
                SettingsFrame.INITIAL_WINDOW_SIZE: random.choice((5, 3_000, 65_535)),
                SettingsFrame.MAX_CONCURRENT_STREAMS: random.choice((3, 1_000)),
                SettingsFrame.HEADER_TABLE_SIZE: random.choice((0, 4_096)),
            }
        )
        peer.send(WindowUpdateFrame(0, window_increment=2**30))
        bodies: dict[int, bytes] = {}
        while True:
            frame = await peer.read()
            if isinstance(frame, HeadersFrame):
                bodies[frame.stream_id] = b""
                if peer.fields(frame.data)[":path"] == WATCH:
                    peer.send(peer.refuse(frame.stream_id, 12))
            elif isinstance(frame, DataFrame):
                bodies[frame.stream_id] += frame.data
                if "END_STREAM" in frame.flags:
                    self._answer(peer, frame.stream_id, bodies.pop(frame.stream_id)[5:])
                elif frame.data:
                    peer.send(WindowUpdateFrame(frame.stream_id, window_increment=random.choice((1, 7, 9_000))))

    def _answer(self, peer: Peer, stream_id: int, message: bytes) -> None:
        random = self._random
        if stream_id == 1:
            return  # the watch
        answer = peer.answer(stream_id, message)
        window = {SettingsFrame.INITIAL_WINDOW_SIZE: random.randrange(9_000)}
        (what,) = random.choices(
            (
                [answer],
                [PingFrame(0), SettingsFrame(0, settings=window), answer],
                [],
                [RstStreamFrame(stream_id, error_code=random.choice((0, 2, 7, 8, 11)))],
                [answer, RstStreamFrame(stream_id, error_code=0), answer[:9]],
                [GoAwayFrame(0, last_stream_id=2**31 - 1), GoAwayFrame(0, last_stream_id=stream_id), answer],
                [GoAwayFrame(0, last_stream_id=random.randrange(stream_id + 2)), answer],
                [random.randbytes(30)],
                [answer[: random.randrange(len(answer))], None],
                [None],
            ),
            weights=(70, 5, 4, 5, 5, 3, 2, 1, 2, 2),
        )
        peer.send(*(each for each in what if each is not None))
        if what == [None]:
            peer.cut()
        elif None in what:
            peer.writer.close()


@asynccontextmanager
async def wild_server(random: Random) -> AsyncIterator[str]:
    async with peer_server() as server, asyncio.TaskGroup() as group:

        async def one(peer: Peer) -> None:
            with suppress(OSError, EOFError):
                await Wild(random).serve(peer)

        async def accept() -> None:
            while True:
                group.create_task(one(await server._peers.get()))

        accepting = group.create_task(accept())
        yield server.target
        accepting.cancel()
        for peer in server.all:
            peer.cut()


async def _call(connections, number: int, random: Random) -> str:
    message = b"%d " % number * random.choice((1, 1, 1, 10, 3_000))
    task = asyncio.create_task(
        say(connections, message, seconds=random.uniform(0.05, 1.0), is_repeatable=random.random() < 0.5)
    )
    if random.random() < 0.2:
        for _ in range(random.randrange(40)):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is None:
        assert task.result() == message  # never another call's
        return "answered"
    assert isinstance(error, grpc.aio.AioRpcError)
    return error.code().name


@pytest.mark.parametrize("seed", range(2))
async def test_every_call_ends_and_none_gets_anothers_answer(seed, monkeypatch):
    monkeypatch.setattr(rpc_connections, "RECONNECT_MIN_SECONDS", 0.01)
    random = Random(seed)
    async with (
        wild_server(random) as one,
        wild_server(random) as other,
        opened(f"{one},{other.removeprefix('ipv4:')}") as connections,
    ):
        held: set[Connection] = set()
        ends: list[str] = []
        for start in range(0, CALLS, 50):
            calls = (_call(connections, number, random) for number in range(start, start + 50))
            ends += await asyncio.gather(*calls)
            held |= set(connections._held.values())
        for connection in held:
            assert not connection._queued
            assert not [each for each in connection._exchanges.values() if each.on_data is None]
    assert {"answered", "cancelled", "UNAVAILABLE"} <= set(ends)
