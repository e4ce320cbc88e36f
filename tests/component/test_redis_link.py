"""chassis.live.redis_link: answers go to who asked, whatever happens to others, and however they come."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from chassis.live import redis_link
from chassis.live.redis_link import RedisLink, Script, ServerUnableError
from chassis.live.redis_state import open_link, open_redis
from tests.component.data_rig import proxied

ECHO = Script("return {KEYS[1], ARGV[1], 1, false, {}}")


@pytest.fixture
async def link(valkey_url: str) -> AsyncIterator[RedisLink]:
    async with open_redis(valkey_url) as client, open_link(client) as link:
        yield link


@asynccontextmanager
async def answered(*parts: bytes, answer_seconds: float = 5.0) -> AsyncIterator[RedisLink]:
    """A link to a server that says this as soon as it is asked anything, a packet each."""

    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        await reader.read(1)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        while await reader.read(1000):
            pass
        writer.close()

    async def connect(protocol: asyncio.Protocol) -> asyncio.Transport:
        port = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, "127.0.0.1", port)
        return transport

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = RedisLink(connect, answer_seconds=answer_seconds)
    async with server:
        try:
            yield link
        finally:
            await link.close()
            await asyncio.gather(*serving, return_exceptions=True)


async def test_answers_have_the_kinds_that_the_server_gave_them(link: RedisLink):
    key = f"test-{uuid.uuid4()}"
    assert await link.call("SET", key, b"\x00\r\n$5\r\n\xff") == b"OK"
    assert await link.call("GET", key) == b"\x00\r\n$5\r\n\xff"
    assert await link.call("GET", f"{key}-absent") is None
    assert await link.call("APPEND", key, 7) == 9
    assert await link.call_all([("GETRANGE", key, -1, -1), ("DEL", key), ("EXISTS", key)]) == [b"7", 1, 0]


async def test_a_script_is_loaded_when_the_server_does_not_know_it(link: RedisLink):
    script = Script(f"{ECHO.text} -- {uuid.uuid4()}")
    for _ in range(2):
        assert await link.run(script, ["{key}"], [b"value"]) == [b"{key}", b"value", 1, None, []]


async def test_a_refusal_is_the_asker_s_alone(link: RedisLink):
    asked = [link.call("PING"), link.call("HGETALL"), link.call("PING")]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == (b"PONG", ResponseError, b"PONG")


async def test_everybody_gets_the_own_answer(link: RedisLink):
    async def ask(number: int) -> bool:
        asked = asyncio.create_task(link.call("ECHO", number))
        if number % 3 == 0:  # before it is sent, while it is under way, or too late
            for _ in range(number % 7):
                await asyncio.sleep(0)
            asked.cancel()
        try:
            return await asked == b"%d" % number
        except asyncio.CancelledError:
            return number % 3 == 0

    assert all(await asyncio.gather(*map(ask, range(500))))


async def test_who_is_cancelled_while_it_connects_leaves_the_connection_to_the_others(valkey_url: str):
    async with open_redis(valkey_url) as client, open_link(client) as link:
        first, second = asyncio.create_task(link.call("PING")), asyncio.create_task(link.call("PING"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == b"PONG"
        assert first.cancelled()


async def test_a_connection_that_breaks_ends_what_waits_and_the_next_call_has_a_new_one(valkey_url: str):
    async with proxied(valkey_url) as proxy, open_redis(proxy.dsn) as client, open_link(client) as link:
        assert await link.call("PING") == b"PONG"
        blocked = asyncio.create_task(link.call("BLPOP", f"test-{uuid.uuid4()}", 60))
        await asyncio.sleep(0)
        proxy.cut()
        with pytest.raises(RedisConnectionError):
            await blocked
        proxy.mend()
        assert await link.call("PING") == b"PONG"


async def test_a_server_that_falls_silent_is_not_waited_for(valkey_url: str):
    async with open_redis(valkey_url) as client, open_link(client, answer_seconds=1.0) as link:
        assert await link.call("PING") == b"PONG"
        asked = [link.call("BLPOP", f"test-{uuid.uuid4()}", 60), link.call("PING")]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RedisTimeoutError] * 2
        assert await link.call("PING") == b"PONG"


async def test_no_more_wait_than_are_allowed(link: RedisLink, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(redis_link, "MAX_WAITING", 2)
    await link.call("PING")
    outcomes = await asyncio.gather(*[link.call("PING") for _ in range(3)], return_exceptions=True)
    assert outcomes[:2] == [b"PONG", b"PONG"]
    assert isinstance(outcomes[2], RedisConnectionError)


async def test_an_answer_that_nobody_asked_for_ends_the_connection():
    async with answered(b"+one\r\n+two\r\n") as link:
        assert [await link.call("PING") for _ in range(2)] == [b"one", b"one"], "of another connection each"


ANSWERS: Sequence[tuple[bytes, object]] = [
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*3\r\n:-1\r\n*0\r\n$0\r\n\r\n", [-1, [], b""]),
    (b"*2\r\n*2\r\n$4\r\n\r\n+O\r\n+K\r\n$1\r\na\r\n", [[b"\r\n+O", b"K"], b"a"]),
]


@given(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4), st.lists(st.integers(1, 60), max_size=5))
async def test_an_answer_may_come_in_any_pieces(answers: Sequence[tuple[bytes, object]], cuts: Sequence[int]):
    said = b"".join(wire for wire, _ in answers)
    places = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    parts = [said[start:end] for start, end in pairwise(places)]
    async with answered(*parts) as link:
        assert await link.call_all([("PING",)] * len(answers)) == [value for _, value in answers]


async def test_a_replica_says_that_it_is_one():
    async with answered(b"-READONLY You can't write against a read only replica.\r\n") as link:
        with pytest.raises(ReadOnlyError):
            await link.call("SET", "a", "b")


async def test_a_full_disk_is_no_mistake_of_the_command():
    async with answered(
        b"-MISCONF Errors writing to the AOF file: No space left on device script: on @user_script:2.\r\n"
    ) as link:
        with pytest.raises(ServerUnableError, match="No space left"):
            await link.call("SET", "a", "b")
