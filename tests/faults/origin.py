"""Two CDNs of the platform under test, `near` and `far`, that misbehave as they are told: proxies on real sockets between the
launcher and the origin. They run on an event loop in a thread of their own, so that one serves all tests of a session.
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp
from yarl import URL

SLOW_BYTES_A_SECOND = 1024
MAX_HEAD_BYTES = 64 * 1024
UPSTREAM_TIMEOUT = aiohttp.ClientTimeout(total=20)


class Fault(StrEnum):
    """What a CDN can do wrong with one answer."""

    FLIPPED_BIT = "flipped bit"
    TRUNCATED = "truncated"
    SHORTENED = "shortened"
    WRONG_RANGE = "wrong range"
    OTHER_BYTES = "other bytes"
    RESET = "reset"
    STALLED = "stalled"
    SLOW = "slow"
    FORBIDDEN = "403"
    MISSING = "404"
    FAILING = "500"


QUICK_FAULTS = tuple(fault for fault in Fault if fault not in {Fault.STALLED, Fault.SLOW})
"""Those that a client notices at once."""

_STATUSES = {Fault.FORBIDDEN: 403, Fault.MISSING: 404, Fault.FAILING: 500}


@dataclass(frozen=True)
class Asked:
    """One request: which CDN, for which chunk (its SHA-256), and how many came for that chunk before, at all CDNs."""

    provider: str
    chunk: str
    nth: int


Plan = Callable[[Asked], Fault | None]


@dataclass
class Done:
    """What was done since the last reset. `sent_bytes` are bodies that went out whole and right."""

    requests: int = 0
    sent_bytes: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)


def well_behaved(_: Asked) -> Fault | None:
    return None


class Origins:
    """The two CDNs. `plan` says what happens to each request; tests set it and read `done`."""

    def __init__(self) -> None:
        self.plan: Plan = well_behaved
        self.done = Done()
        self.upstream = ""
        self.ports: dict[str, int] = {}
        self._random = random.Random(0)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="origins", daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def reset(self, plan: Plan = well_behaved, *, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.done = Done()
        self.plan = plan

    def providers(self) -> str:
        """As the setting CDN_PROVIDERS."""
        return json.dumps(
            [
                {"name": name, "base_url": f"http://127.0.0.1:{port}/cdn", "region": "local", "weight": 10 - place}
                for place, (name, port) in enumerate(self.ports.items())
            ]
        )

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=UPSTREAM_TIMEOUT) as http:
            connections: set[asyncio.Task[None]] = set()

            def accept(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
                def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    task = asyncio.create_task(self._connection(name, http, reader, writer))
                    connections.add(task)
                    task.add_done_callback(connections.discard)

                return accepted

            servers = []
            for name in ("near", "far"):
                server = await asyncio.start_server(accept(name), "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
                self.ports[name] = server.sockets[0].getsockname()[1]
                servers.append(server)
            self._ready.set()
            await self._stop.wait()
            for server in servers:
                server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _connection(
        self, name: str, http: aiohttp.ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(name, http, reader, writer):
                    pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(
        self, name: str, http: aiohttp.ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answers one request; whether the connection may be used for another."""
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split(b" ", 2)[1].decode()
        chunk = target.partition("?")[0].rpartition("/")[2]
        done = self.done
        fault = self.plan(Asked(name, chunk, done.asked[chunk]))
        done.requests += 1
        done.asked[chunk] += 1
        if fault is not None:
            done.faults[fault] += 1
        try:
            async with http.get(URL(self.upstream + target, encoded=True)) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError):
            status, body = 502, b""
        if status != 200 or fault is None:
            writer.write(_head(status, len(body)) + body)
            await writer.drain()
            if status == 200:
                done.sent_bytes += len(body)
                done.sent[chunk] += 1
            return True
        return await self._misbehave(fault, body, reader, writer)

    async def _misbehave(
        self, fault: Fault, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        half = body[: len(body) // 2]
        match fault:
            case Fault.FLIPPED_BIT:
                broken = bytearray(body)
                broken[self._random.randrange(len(body))] ^= 1 << self._random.randrange(8)
                writer.write(_head(200, len(body)) + broken)
            case Fault.OTHER_BYTES:
                writer.write(_head(200, len(body)) + body[1:] + bytes([body[0] ^ 255]))
            case Fault.SHORTENED:
                writer.write(_head(200, len(half)) + half)
            case Fault.WRONG_RANGE:
                content_range = f"Content-Range: bytes 0-{len(half) - 1}/{len(body)}\r\n"
                writer.write(_head(206, len(half), content_range) + half)
            case Fault.FORBIDDEN | Fault.MISSING | Fault.FAILING:
                writer.write(_head(_STATUSES[fault], 0))
            case Fault.TRUNCATED:
                writer.write(_head(200, len(body)) + half)
                await writer.drain()
                return False
            case Fault.RESET:
                writer.write(_head(200, len(body)) + half)
                await writer.drain()
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case Fault.STALLED:
                writer.write(_head(200, len(body)) + half)
                await reader.read()  # until the client has had enough
                return False
            case Fault.SLOW:
                return await _trickle(body, writer)
        await writer.drain()
        return True


async def _trickle(body: bytes, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, len(body)))
    for start in range(0, len(body), SLOW_BYTES_A_SECOND // 4):
        writer.write(body[start : start + SLOW_BYTES_A_SECOND // 4])
        await writer.drain()
        await asyncio.sleep(0.25)
        if writer.transport.is_closing():
            return False
    return True


def _head(status: int, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} Told So\r\nContent-Length: {length}\r\n{more}\r\n".encode()
