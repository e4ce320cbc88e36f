"""The gateway of the running platform under requests with anything wrong with them: no 500, no status that the document does not
have, no hang, nothing of its insides in an answer, no memory that stays. FUZZ_SEED replays a run.
"""

import asyncio
import json
import os
import random
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest
from samovar.sandbox.v1 import sandbox_pb2

from chassis.errors.reasons import REASONS
from sandbox.client import sandbox_stub
from tests.e2e.clients import DOWNLOADS, ITEMS, Api, CommandLine
from tests.e2e.conftest import Platform
from tests.e2e.fuzzing import MANNERS, Fuzzed, Fuzzer, Manner
from tests.e2e.trees import make_tree
from tests.unit.codegen.documents import OPENAPI, read

SEED = "FUZZ_SEED"
CONNECTIONS = 16
ANSWER_SECONDS = 30.0
"""The platform's own deadline, and much more for a machine that has other things to do."""
READ_AT_ONCE_BYTES = 16 * 1024
UNFRAMED_SECONDS = 0.2
"""How long a request that may not be whole waits for an answer before its connection is ended."""
BEFORE, AFTER = (0.1, 0.4), (0.7, 1.0)
"""Parts of a run between which memory must not grow; at its start programs are not warm yet."""
REQUESTS_BETWEEN_LOOKS = 50
STALL_SECONDS = 60.0
"""The gateway's patience with a body that does not come, and much more."""
PIECES = 12
CPU_SECONDS = 0.005
"""Of a request, on the average: one that takes seconds by itself is felt."""
GROWTH_BYTES = 16 * 1024 * 1024

WORDS_WITHIN = (
    *(b"Traceback", b"site-packages", b"asyncpg", b"sqlalchemy", b"grpc.aio", b"grpc_", b"AioRpcError", b"aiohttp"),
    *(b"orjson", b"protobuf", b"psycopg", b"redis", b"Error(", b"Exception", b"object at 0x", b"INSERT INTO"),
    *(b"/home/", b"/root/", b"/work/", b"/tmp/"),
)
"""Of the insides. Sought one by one, which takes a small part of the time that one pattern of all takes."""
PATTERNS_WITHIN = {
    word: re.compile(pattern)
    for word, pattern in {b".py": rb"\.py\b", b"SELECT": rb"\bSELECT\b", b"UPDATE ": rb"\bUPDATE \w+ SET\b"}.items()
}
"""By what is in all that they find."""
ELSEWHERE = frozenset({"503", "504"})
"""Errors of the server that any address may have."""
MEDIA_TYPES = {"application/vnd.api+json", "application/json"}


@dataclass(frozen=True, slots=True)
class Told:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """A connection that says what it is told to say, and reads what comes."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Fuzzed) -> Told:
        """The answer to a request that is whole. Raises: TimeoutError; OSError, EOFError when there is none."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=2**22)
        reader, writer = self._streams
        writer.write(request.raw)
        async with asyncio.timeout(ANSWER_SECONDS):
            told = await _read_answer(reader, is_head=request.method == "HEAD")
        # The answer to one that is too long comes before its end is read; the rest may then meet a closed connection.
        is_unread = told.status in {400, 413} and len(request.raw) > READ_AT_ONCE_BYTES
        if told.headers.get("connection") == "close" or is_unread or not writer.transport.is_reading():
            await self.close()
        return told

    async def ask_in_its_manner(self, request: Fuzzed) -> Told:
        """The answer to a whole request that is not sent at once, on a connection of its own.

        Raises: TimeoutError; OSError, EOFError when there is none.
        """
        reader, writer = await asyncio.open_connection(*self._address, limit=2**22)
        try:
            match request.manner:
                case "dripping":
                    step = -(-len(request.raw) // PIECES)
                    for start in range(0, len(request.raw), step):
                        writer.write(request.raw[start : start + step])
                        await asyncio.sleep(0)
                case "stalling":
                    writer.write(request.raw[:-1])
                case _:
                    writer.write(request.raw)
                    writer.write_eof()
            async with asyncio.timeout(ANSWER_SECONDS + STALL_SECONDS):
                told = await _read_answer(reader, is_head=request.method == "HEAD")
                if request.manner != "dripping":
                    # Nothing more comes of these, and the gateway knows.
                    await _read_to_the_end(reader)
            return told
        finally:
            writer.close()

    async def try_out(self, request: Fuzzed) -> Told | None:
        """The answer to what may be no request at all, if there is one; on a connection of its own, that ends in any case.

        Raises: TimeoutError when the gateway does not let go of it.
        """
        reader, writer = await asyncio.open_connection(*self._address, limit=2**22)
        told = None
        try:
            writer.write(request.raw)
            async with asyncio.timeout(UNFRAMED_SECONDS):
                told = await _read_answer(reader, is_head=request.method == "HEAD")
        except (TimeoutError, OSError, EOFError, ValueError):
            pass
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if writer.can_write_eof():
                    writer.write_eof()
                while await reader.read(2**16):
                    pass
        except OSError:
            pass
        finally:
            writer.close()
        return told

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read_to_the_end(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(2**16):
            pass
    except OSError:
        pass


async def _read_answer(reader: asyncio.StreamReader, *, is_head: bool) -> Told:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    status = int(first.split(" ")[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if is_head or status in {101, 204, 304} or status < 200:
        return Told(status, headers, b"")
    return Told(status, headers, await reader.readexactly(int(headers["content-length"])))


@dataclass
class Run:
    """What came of a run so far."""

    fuzzer: Fuzzer
    wires: list[Wire]
    gateway: psutil.Process
    statuses: Counter[str] = field(default_factory=Counter)
    manners: Counter[Manner] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Of the gateway, in bytes, looked at again and again."""

    async def requests(self, count: int) -> None:
        numbers = iter(range(count))

        async def work(wire: Wire) -> None:
            for number in numbers:
                if number % REQUESTS_BETWEEN_LOOKS == 0:
                    self.sizes.append(self.gateway.memory_info().rss)
                if len(self.faults) < 20:
                    await self._one(wire, number)
            await wire.close()

        async with asyncio.TaskGroup() as group:
            for wire in self.wires:
                group.create_task(work(wire))

    def grown_bytes(self) -> int:
        """Least against least: what requests hold for a while, and what is garbage until it is collected, comes and goes."""
        before, after = (
            min(self.sizes[int(len(self.sizes) * first) : int(len(self.sizes) * end)]) for first, end in (BEFORE, AFTER)
        )
        return after - before

    async def _told(self, wire: Wire, request: Fuzzed) -> Told | None:
        if not request.is_framed:
            return await wire.try_out(request)
        self.manners[request.manner] += 1
        return await (wire.ask(request) if request.manner == "at once" else wire.ask_in_its_manner(request))

    async def _one(self, wire: Wire, number: int) -> None:
        request = self.fuzzer.request(number)
        try:
            told = await self._told(wire, request)
        except (TimeoutError, OSError, EOFError) as error:
            await wire.close()
            self.faults.append(f"no answer ({error!r}) to request {number}: {request.raw[:2000]!r}")
            return
        self.statuses[str(told.status) if told is not None else "none"] += 1
        for fault in faults_of(request, told) if told is not None else ():
            assert told is not None
            self.faults.append(
                f"{fault} in {told.status} {told.body[:500]!r} to request {number}: {request.raw[:2000]!r}"
            )


def faults_of(request: Fuzzed, told: Told) -> list[str]:
    """Everything that an answer should not be."""
    found = []
    documented = request.operation["responses"] if request.operation is not None else ELSEWHERE
    if told.status == 500 or (told.status > 500 and str(told.status) not in documented):
        found.append("a server error")
    if request.operation is not None and request.is_framed and str(told.status) not in documented:
        found.append("an undocumented status")
    about = told.body + repr(sorted(told.headers.items())).encode()
    found += [f"a leak ({leak!r})" for leak in _leaks_in(about) if leak not in request.raw]
    if told.status >= 400 and told.body:
        found += _faults_of_errors(told)
    elif told.status >= 400 and request.method != "HEAD":
        found.append("an error without words")
    return found


def _leaks_in(about: bytes) -> Iterator[bytes]:
    yield from (word for word in WORDS_WITHIN if word in about)
    for word, pattern in PATTERNS_WITHIN.items():
        if word in about:
            yield from (found[0] for found in pattern.finditer(about))


def _faults_of_errors(told: Told) -> list[str]:
    if told.headers["content-type"].partition(";")[0] not in MEDIA_TYPES:
        return ["an error of another media type"]
    if "content-encoding" in told.headers:
        return []
    errors: Any = json.loads(told.body)["errors"]
    codes = [error["code"] for error in errors]
    statuses = {int(error["status"]) for error in errors}
    is_told = told.status in statuses or told.status == 400
    return [] if codes and set(codes) <= REASONS.keys() and is_told else ["errors that are none"]


async def _start(platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, folder: Path) -> Run:
    """As a user of its own, who has one of everything."""
    user_id = str(uuid.uuid4())
    async with sandbox_stub(platform.private) as stub:
        token = (await stub.IssueToken(sandbox_pb2.IssueTokenRequest(user_id=user_id))).token
    api = Api(platform.ready["gateway_url"], token, http)
    published = await samovar.publish(make_tree(folder / "source", "mutants"), "mutated-game", "1.0")
    product_id = published["product_id"]
    await samovar.buy(user_id, product_id)
    item = await api.owns(product_id)
    session = await api.startable(product_id, device_id=str(uuid.uuid4()))
    category = await api.post("/api/v1/library/categories", "userCategory", name="Fuzz", display_order=1)
    files = await api.get(f"{DOWNLOADS}/{session.data['id']}/items")
    known = {
        "product_id": product_id,
        "version_id": published["version_id"],
        "library_item_id": item["id"],
        "download_id": session.data["id"],
        "category_id": category.data["id"],
        "item_id": files.data[0]["id"],
    }
    seed = int(os.environ.get(SEED, random.randrange(2**32)))
    print(f"{SEED}={seed}")
    address = urlsplit(api.url)
    assert address.hostname is not None
    assert address.port is not None
    fuzzer = Fuzzer(read(OPENAPI.read_text()), seed, host=address.netloc, token=token, known=known)
    wires = [Wire(address.hostname, address.port) for _ in range(CONNECTIONS)]
    assert (await api.get(ITEMS)).status == 200
    return Run(fuzzer, wires, _gateway(platform))


def _gateway(platform: Platform) -> psutil.Process:
    """The process as it is now: other tests of the platform kill it."""
    children = psutil.Process(platform.process.pid).children()
    found = [child for child in children if any(word.endswith("gateway") for word in child.cmdline())]
    assert len(found) == 1, [child.cmdline() for child in children]
    return found[0]


async def _fuzz(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, folder: Path, requests: int
) -> None:
    run = await _start(platform, samovar, http, folder)
    cpu_seconds = sum(run.gateway.cpu_times()[:2])
    await run.requests(requests)
    cpu_seconds = sum(run.gateway.cpu_times()[:2]) - cpu_seconds
    print(f"{cpu_seconds / requests * 1000:.1f} ms of CPU per request, {dict(run.manners)}")
    print(f"{dict(sorted(run.statuses.items()))}, {run.grown_bytes() / 2**20:+.1f} MiB")
    assert not run.faults, "\n\n".join(run.faults)
    assert sum(run.statuses.values()) == requests
    assert run.statuses["200"] > requests / 50, "most of it never reaches a service"
    assert run.statuses["400"] > requests / 5
    assert run.statuses["503"] + run.statuses["504"] < requests / 50
    assert cpu_seconds / requests < CPU_SECONDS
    assert run.manners.keys() >= {"at once", "half-closed", "dripping"}
    assert run.grown_bytes() < GROWTH_BYTES
    assert run.gateway.is_running()
    async with http.get(f"{platform.ready['gateway_url']}/readyz") as answer:
        assert answer.status == 200


def test_a_request_follows_from_its_seed_and_number() -> None:
    document = read(OPENAPI.read_text())
    one, same, other = (Fuzzer(document, seed, host="h", token="t", known={"product_id": "p"}) for seed in (1, 1, 2))
    made = [one.request(number) for number in range(300)]
    assert made == [same.request(number) for number in range(300)]
    assert made != [other.request(number) for number in range(300)]
    assert {request.is_framed for request in made} == {True, False}
    assert {request.manner for request in made} >= {name for name, _ in MANNERS} - {"stalling"}
    raw = b"".join(request.raw for request in made)
    for kind in (b"Content-Encoding: ", b"9999-12-31T23:59:59", b"0001-01-01T00:00:00", b",,,,,,,,,,"):
        assert kind in raw
    repeated = [max(Counter(re.findall(rb"\r\n([\w-]+): ", request.raw)).values()) for request in made]
    assert max(repeated) >= 60
    assert max(len(request.raw) for request in made) > 1_000_000
    assert len({request.raw for request in made}) > 290


@pytest.mark.timeout(300)
async def test_nothing_that_is_sent_breaks_the_gateway(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await _fuzz(platform, samovar, http, tmp_path, 5_000)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_nothing_that_is_sent_in_an_hour_breaks_the_gateway(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await _fuzz(platform, samovar, http, tmp_path, 100_000)
