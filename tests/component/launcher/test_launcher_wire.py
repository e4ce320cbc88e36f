"""The launcher's own HTTP: whatever a server says, exactly the object comes out or a named failure; connections are used again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from launcher.cdn.cdn import Cdn, DeliveryError, LinkRefusedError, WrongLengthError, open_cdn
from launcher.cdn.limiter import Limiter

BODY = bytes(range(256)) * 2000
HEAD = b"HTTP/1.1 200 OK\r\n"
SIZED = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)


@dataclass
class Server:
    """Answers the requests of each connection with these pieces in turn; None = closes."""

    answers: list[Sequence[bytes | None]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in self.answers.pop(0):
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def running(*answers: Sequence[bytes | None]) -> AsyncIterator[Server]:
    made = Server(list(answers))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/content/a%2Fb?expires=1&signature=x%3D"
    try:
        yield made
    finally:
        server.close()
        await asyncio.sleep(0)


def chunked(body: bytes, size_bytes: int, trailer: bytes = b"") -> bytes:
    pieces = [body[at : at + size_bytes] for at in range(0, len(body), size_bytes)]
    lines = b"".join(b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + lines + b"0\r\n" + trailer + b"\r\n"


async def fetch(cdn: Cdn, server: Server, **options: float) -> bytes:
    async with asyncio.timeout(60):
        return bytes(await cdn.get(server.url, size_bytes=len(BODY), **options))


def in_pieces(data: bytes, *sizes: int) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@pytest.mark.parametrize(
    "answer",
    [
        [SIZED + BODY],
        [SIZED, BODY],
        in_pieces(SIZED + BODY, 1, 3, 15, 20, 2, 70_000),
        [b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED + BODY],
        [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", SIZED + BODY],
        [chunked(BODY, 100_000)],
        in_pieces(chunked(BODY, 7001, b"X-Sum: 1\r\n"), 10, 40, 3, 9000, 1, 1, 1),
        [HEAD + b"content-length:%d \r\nConnection: close\r\n\r\n" % len(BODY) + BODY, None],
        [HEAD + b"\r\n" + BODY, None],
        [b"HTTP/1.0 200 OK\r\n\r\n" + BODY, None],
    ],
)
@pytest.mark.parametrize("rate_bytes", [None, 1e9])
async def test_the_object_comes_however_it_is_framed(answer: Sequence[bytes | None], rate_bytes: float | None):
    async with running(answer) as server:
        with open_cdn(limiter=Limiter(rate_bytes) if rate_bytes else None) as cdn:
            assert await fetch(cdn, server) == BODY
    assert server.requests[0].startswith(b"GET /content/a%2Fb?expires=1&signature=x%3D HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ([HEAD + b"Content-Length: 5\r\n\r\nhello"], WrongLengthError),
        ([SIZED + BODY[:-1], None], DeliveryError),
        ([HEAD + b"\r\n" + BODY + b"!", None], WrongLengthError),
        ([HEAD + b"\r\n" + BODY[1:], None], WrongLengthError),
        ([chunked(BODY + b"!", 60_000)], WrongLengthError),
        ([chunked(BODY[1:], 60_000)], WrongLengthError),
        ([chunked(BODY, 60_000)[:-4000], None], DeliveryError),
        ([b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"], LinkRefusedError),
        ([b"HTTP/1.1 410 Gone\r\n\r\n", None], LinkRefusedError),
        ([b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n"], DeliveryError),
        ([b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY], DeliveryError),
        ([b"HTTP/1.1 500 \r\n\r\n"], DeliveryError),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], DeliveryError),
        ([HEAD + b"Content-Length: 5x\r\n\r\n"], DeliveryError),
        ([HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"], DeliveryError),
        ([HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY], DeliveryError),
        ([HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n"], DeliveryError),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n"], DeliveryError),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n"], DeliveryError),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"5" * 10_000], DeliveryError),
        ([HEAD + b" folded: x\r\n\r\n"], DeliveryError),
        ([HEAD + b"A: " + b"x" * 70_000], DeliveryError),
        ([b"HTTP/1.1", None], DeliveryError),
        ([None], DeliveryError),
    ],
)
async def test_what_is_not_the_object_is_a_named_failure(answer: Sequence[bytes | None], failure: type[Exception]):
    async with running(answer) as server:
        with open_cdn(limiter=None) as cdn:
            with pytest.raises(failure) as told:
                await fetch(cdn, server)
            assert type(told.value) is failure


async def test_one_connection_serves_many_requests():
    async with running([SIZED + BODY], [chunked(BODY, 9999)], [SIZED, BODY]) as server:
        with open_cdn(limiter=None) as cdn:
            for _ in range(3):
                assert await fetch(cdn, server) == BODY
        assert server.connections == 1


async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_failure():
    async with running([SIZED + BODY], [None], [SIZED + BODY]) as server:
        with open_cdn(limiter=None) as cdn:
            assert await fetch(cdn, server) == BODY
            assert await fetch(cdn, server) == BODY
        assert server.connections == 2


async def test_bytes_that_nobody_asked_for_never_become_part_of_another_object():
    async with running([SIZED + BODY + b"more"], *[[SIZED + BODY]] * 3) as server:
        with open_cdn(limiter=None) as cdn:
            assert await fetch(cdn, server) == BODY
            with suppress(DeliveryError):
                assert await fetch(cdn, server) == BODY
            assert await fetch(cdn, server) == BODY


@pytest.mark.parametrize("rate_bytes", [None, 1e9])
async def test_silence_and_trickling_are_given_up(rate_bytes: float | None):
    hangs = [SIZED + BODY[:10]]
    async with running(hangs, hangs) as server:
        with open_cdn(limiter=Limiter(rate_bytes) if rate_bytes else None) as cdn, pytest.raises(DeliveryError):
            await fetch(cdn, server, stall_seconds=0.2, slow_bytes=100)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b",
        "http://a",
        "http://a/b c",
        "http://a/b\r\nX: y",
        "http://u@a/b",
        "http://:80/b",
        "http://a:0/b",
        "http://a:x/b",
        "http://a/б",
        "",
    ],
)
async def test_what_is_no_link_is_never_asked_for(url: str):
    with open_cdn(limiter=None) as cdn, pytest.raises(DeliveryError):
        await cdn.get(url, size_bytes=1)


async def test_a_given_up_request_closes_its_connection():
    hangs = [SIZED + BODY[:10]]
    async with running(hangs, [SIZED + BODY]) as server:
        with open_cdn(limiter=None) as cdn:
            asking = asyncio.create_task(fetch(cdn, server))
            await wait_until(lambda: bool(server.requests))
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            server.answers[:] = [[SIZED + BODY]]
            assert await fetch(cdn, server) == BODY
        assert server.connections == 2


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
