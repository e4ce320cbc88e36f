"""Every aiohttp server of the platform, given bodies that are compressed or do not come, and clients that close their half. Real
sockets: what is asked here is about bytes and connections.
"""

import asyncio
import re
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import brotli
import pytest
import uvloop
import zstandard
from aiohttp import web
from aiohttp.streams import StreamReader

from chassis.http.server import BODY_BYTES_PER_SECOND, BoundedProtocol, serve_app

WAIT_SECONDS = 30.0
BODY_SECONDS = 0.3
FAR_SECONDS = 600.0
BOMB_BYTES = 64 * 2**20
ALLOCATED_BYTES = 4 * 2**20
REPOSITORY = Path(__file__).parents[2]


class Program:
    """Reads bodies, and answers when it may."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def read(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        await self.may_answer.wait()
        return web.Response(text=f"{len(self.bodies)}")


class Watched(BoundedProtocol):
    """Keeps the bodies that its parser made, whoever reads them."""

    parsed: ClassVar[list[StreamReader]] = []

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.parsed += [body for _, body in self._messages if body not in self.parsed]


@asynccontextmanager
async def serving(
    program: Program, body_seconds: float = FAR_SECONDS, kind: type[BoundedProtocol] = BoundedProtocol
) -> AsyncIterator[int]:
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/read", program.read)
    protocol = partial(kind, body_seconds=body_seconds)
    async with serve_app(app, host="127.0.0.1", port=0, drain_seconds=0.0, protocol=protocol) as port:
        yield port


def head(*headers: str, method: str = "POST", path: str = "/read") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def whole(body: bytes, *headers: str) -> bytes:
    return head(f"Content-Length: {len(body)}", *headers) + body


def statuses(said: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d+) ", said)]


async def say(port: int, *parts: bytes, ends: bool = False) -> bytes:
    """Everything that is answered until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if ends:
            writer.write_eof()
        async with asyncio.timeout(WAIT_SECONDS):
            return await reader.read()
    finally:
        writer.close()


@contextmanager
def allocating_at_most(limit_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit_bytes
    finally:
        tracemalloc.stop()


def _brotli_bomb() -> bytes:
    compressor = brotli.Compressor(quality=1, lgwin=22)
    return b"".join(compressor.process(bytes(2**20)) for _ in range(BOMB_BYTES >> 20)) + compressor.finish()


BOMBS = {
    "gzip": lambda: zlib.compress(bytes(BOMB_BYTES), 9, 31),
    "deflate": lambda: zlib.compress(bytes(BOMB_BYTES), 9),
    "br": _brotli_bomb,
    "zstd": lambda: zstandard.ZstdCompressor().compress(bytes(BOMB_BYTES)),
}


@pytest.mark.parametrize("path", ["/read", "/nowhere"])
@pytest.mark.parametrize("coding", [*BOMBS, "GZIP", "gzip, br", "unheard-of"])
async def test_a_coded_body_is_refused_and_nothing_inflates_it(coding: str, path: str) -> None:
    bomb = BOMBS.get(coding.lower(), BOMBS["gzip"])()
    program = Program()
    request = head(f"Content-Length: {len(bomb)}", f"Content-Encoding: {coding}", "Connection: close", path=path)
    Watched.parsed.clear()
    async with serving(program, kind=Watched) as port:
        with allocating_at_most(ALLOCATED_BYTES):
            said = await say(port, request, bomb)
    assert statuses(said) == [415]
    assert sum(body.total_bytes for body in Watched.parsed) <= len(bomb)
    assert b"\r\nAccept-Encoding: identity\r\n" in said
    assert program.bodies == []


async def test_a_coded_body_in_chunks_is_refused_too() -> None:
    bomb = BOMBS["gzip"]()
    program = Program()
    lines = head("Transfer-Encoding: chunked", "Content-Encoding: gzip", "Connection: close")
    async with serving(program) as port:
        with allocating_at_most(ALLOCATED_BYTES):
            said = await say(port, lines, b"%x\r\n" % len(bomb), bomb, b"\r\n0\r\n\r\n")
    assert (statuses(said), program.bodies) == ([415], [])


async def test_what_has_no_coding_is_taken_whatever_the_header_says() -> None:
    program = Program()
    async with serving(program) as port:
        said = await say(
            port,
            whole(b"as it is", "Content-Encoding: Identity"),
            head("Content-Encoding: br", "Connection: close", method="GET"),
        )
    assert statuses(said) == [200, 200]
    assert program.bodies == [b"as it is", b""]


@pytest.mark.parametrize("begun", [b"", b"x"])
@pytest.mark.parametrize("framing", ["Content-Length: 50", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_ends_in_408_and_the_connection_ends(framing: str, begun: bytes) -> None:
    program = Program()
    if begun and "chunked" in framing:
        begun = b"20\r\nx"
    async with serving(program, BODY_SECONDS) as port:
        said = await say(port, head(framing) + begun)
    assert statuses(said) == [408]
    assert b"\r\nConnection: close\r\n" in said
    assert b'"REQUEST_TIMEOUT"' in said
    assert program.bodies == []


async def test_a_body_that_drips_ends_in_408() -> None:
    program = Program()
    async with serving(program, BODY_SECONDS) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("Content-Length: 100000"))

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(BODY_SECONDS / 20)

        dripping = asyncio.create_task(drip())
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                said = await reader.read()
        finally:
            dripping.cancel()
            writer.close()
    assert statuses(said) == [408]
    assert program.bodies == []


@pytest.mark.parametrize(
    "refused", [b"no HTTP\r\n\r\n", head("X: " + "x" * 20_000), head(*(f"X-{number}: 1" for number in range(200)))]
)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_who_goes_on_sending_after_a_refusal_gets_it_all_the_same(
    run: Callable[[Coroutine[Any, Any, None]], None], refused: bytes
) -> None:
    async def scenario() -> None:
        async with serving(Program()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(WAIT_SECONDS):
                writer.write(refused)
                said = await reader.read(1)  # it is answered, and may be closed already
                for _ in range(20):
                    writer.write(b"x" * 50_000)
                    await writer.drain()
                writer.write_eof()
                said += await reader.read()
            writer.close()
            assert statuses(said) == [400]

    run(scenario())


async def test_a_body_that_comes_steadily_has_more_time() -> None:
    program = Program()
    parts, part = 12, bytes(BODY_BYTES_PER_SECOND)
    async with serving(program, BODY_SECONDS) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(f"Content-Length: {parts * len(part)}", "Connection: close"))
        for _ in range(parts):
            writer.write(part)
            await asyncio.sleep(BODY_SECONDS / 4)
        async with asyncio.timeout(WAIT_SECONDS):
            said = await reader.read()
        writer.close()
    assert statuses(said) == [200]
    assert program.bodies == [part * parts]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_who_closes_its_half_after_whole_requests_gets_their_answers(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def scenario() -> None:
        program = Program()
        async with serving(program) as port:
            for count in (1, 2, 3, 40):
                program.bodies.clear()
                said = await say(port, whole(b"body") * count, ends=True)
                assert statuses(said) == [200] * count
                assert said.count(b"\r\nConnection: close\r\n") == 1

    run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_who_closes_its_half_while_an_answer_is_made_gets_it(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def scenario() -> None:
        program = Program()
        program.may_answer.clear()
        async with serving(program) as port:
            asking = asyncio.create_task(say(port, whole(b"1"), whole(b"2"), ends=True))
            async with asyncio.timeout(WAIT_SECONDS):
                while not program.bodies:
                    await asyncio.sleep(0)
            program.may_answer.set()
            assert statuses(await asking) == [200, 200]

    run(scenario())


async def test_who_closes_its_half_with_nothing_asked_is_let_go() -> None:
    program = Program()
    async with serving(program) as port:
        assert await say(port, ends=True) == b""
        assert await say(port, b"GET / HT", ends=True) == b""
        assert await say(port, head("Content-Length: 50") + b"x", ends=True) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(whole(b"1"))
        async with asyncio.timeout(WAIT_SECONDS):
            await reader.readuntil(b"\r\n\r\n1")
            writer.write_eof()
            assert await reader.read() == b""
        writer.close()
    assert program.bodies == [b"1"]


def test_no_program_opens_an_http_server_in_another_way() -> None:
    programs = ("chassis", "gateway", "sandbox", "library_svc", "download_svc", "launcher", "operations")
    opening = re.compile(r"\b(?:AppRunner|ServerRunner|TCPSite|UnixSite|run_app|web\.Server)\(")
    found = {
        str(path.relative_to(REPOSITORY))
        for program in programs
        for path in (REPOSITORY / program).rglob("*.py")
        if opening.search(path.read_text())
    }
    assert found == {"chassis/http/server.py"}
