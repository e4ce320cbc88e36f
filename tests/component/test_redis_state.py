"""chassis.live.redis_state against a real Valkey that goes away, comes back, and comes back empty."""

import asyncio
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack, aclosing
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from chassis.errors import DomainError
from chassis.live.live_state import StreamGap
from chassis.live.redis_state import open_redis, open_redis_state
from sandbox.devstack.free_port import free_port
from tests.component.data_rig import proxied, until
from tests.conftest import valkey_server

TURNS_OF_THE_LOOP = 30
"""More than a connection and a command take."""
READERS = 288


@pytest.fixture
def stream() -> str:
    return f"test_events:{uuid.uuid4()}"


async def test_a_server_that_is_not_there_is_unavailable(stream: str):
    async with open_redis_state(f"127.0.0.1:{free_port()}") as state:
        for call in (
            state.values.get("a"),
            state.values.put("a", {"b": "c"}, ttl_seconds=1),
            state.streams.append(stream, [b"1"]),
            state.streams.position(stream),
            state.ping(),
        ):
            with pytest.raises(DomainError) as caught:
                await call
            assert caught.value.reason == "SERVICE_UNAVAILABLE"


async def test_a_server_that_hangs_is_unavailable(stream: str):
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    hanging = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    async with hanging, open_redis_state(f"127.0.0.1:{hanging.sockets[0].getsockname()[1]}") as state:
        calls = (
            state.values.get("a"),
            state.values.put("a", {"b": "c"}, ttl_seconds=1),
            state.streams.append(stream, [b"1"]),
            state.ping(),
        )
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [getattr(outcome, "reason", outcome) for outcome in outcomes] == ["SERVICE_UNAVAILABLE"] * len(calls)


async def test_a_server_that_takes_no_writes_for_now_is_unavailable(stream: str):
    """Here for want of replicas, as for want of room on its disk: what waits for it is tried again, and is no dead letter."""
    with valkey_server() as url:
        async with open_redis_state(url) as state, open_redis(url) as admin:
            await admin.config_set("min-replicas-to-write", "1")
            for call in (
                state.values.put("a", {"b": "c"}, ttl_seconds=60),
                state.streams.append(stream, [b"1"], once="event"),
            ):
                with pytest.raises(DomainError) as caught:
                    await call
                assert caught.value.reason == "SERVICE_UNAVAILABLE"
            await admin.config_set("min-replicas-to-write", "0")
            assert await state.streams.append(stream, [b"1"], once="event")


async def test_a_wrong_password_is_unavailable_and_the_cause_says_why(valkey_url: str):
    async with open_redis_state(valkey_url, password="wrong") as state:
        with pytest.raises(DomainError) as caught:
            await state.ping()
    assert isinstance(caught.value.__cause__, AuthenticationError)


async def test_environments_with_prefixes_of_their_own_share_a_server(valkey_url: str, stream: str):
    key = f"test:{uuid.uuid4()}"
    async with (
        open_redis_state(valkey_url, prefix="one.") as one,
        open_redis_state(valkey_url, prefix="two.") as two,
    ):
        begin = await two.streams.position(stream)
        await one.values.put(key, {"a": "1"}, ttl_seconds=60)
        await one.streams.append(stream, [b"one"])
        assert await two.values.get(key) is None
        assert await one.values.get_many([key]) == {key: {"a": "1"}}
        await two.streams.append(stream, [b"two"])
        async with aclosing(two.streams.read(stream, after=begin)) as records:
            assert (await anext(records)).payload == b"two"
        await two.values.delete([key])
        assert await one.values.get(key) == {"a": "1"}


async def test_a_command_after_an_outage_works(valkey_url: str):
    key = f"test:{uuid.uuid4()}"
    async with proxied(valkey_url) as proxy, open_redis_state(proxy.dsn) as state:
        await state.values.put(key, {"a": "1"}, ttl_seconds=60)
        proxy.cut()
        with pytest.raises(DomainError):
            await state.values.get(key)
        proxy.mend()
        assert await state.values.get(key) == {"a": "1"}


@pytest.mark.parametrize("is_connected", [False, True], ids=["connecting", "connected"])
async def test_no_cancellation_is_lost_whenever_it_comes(valkey_url: str, is_connected: bool):  # noqa: FBT001
    """redis-py alone loses those that come as it has written: the task then goes on, and a loop in it for ever."""
    for turns in range(TURNS_OF_THE_LOOP):
        async with open_redis(valkey_url) as client:
            if is_connected:
                await client.ping()
            task = asyncio.create_task(cast("Coroutine[Any, Any, object]", client.get("nothing")))
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.cancel():
                await asyncio.wait({task}, timeout=20)
                assert task.cancelled(), f"after {turns} turns of the loop"


async def test_a_reader_gets_what_was_appended_during_an_outage_of_its_own(valkey_url: str, stream: str):
    async with (
        proxied(valkey_url) as proxy,
        open_redis_state(proxy.dsn) as reading,
        open_redis_state(valkey_url) as writing,
    ):
        start = await writing.streams.position(stream)
        async with aclosing(reading.streams.read(stream, after=start)) as records, asyncio.timeout(60):
            await writing.streams.append(stream, [b"1"])
            assert (await anext(records)).payload == b"1"
            proxy.cut()
            await writing.streams.append(stream, [b"2", b"3"])
            proxy.mend()
            assert [(await anext(records)).payload for _ in range(2)] == [b"2", b"3"]
            await writing.streams.append(stream, [b"4"])
            assert (await anext(records)).payload == b"4"


async def test_a_reader_of_a_server_that_comes_back_empty_is_told_of_the_gap(stream: str):
    port = free_port()
    async with AsyncExitStack() as stack:
        with valkey_server(port) as url:
            state = await stack.enter_async_context(open_redis_state(url))
            start = await state.streams.position(stream)
            records = await stack.enter_async_context(aclosing(state.streams.read(stream, after=start)))
            await state.streams.append(stream, [b"1"])
            assert (await anext(records)).payload == b"1"
        with valkey_server(port), pytest.raises(StreamGap) as caught:
            async with asyncio.timeout(60):
                await anext(records)
    assert caught.value.reason == "unknown_id"


async def test_all_readers_of_a_process_share_one_connection(valkey_url: str, stream: str):
    async with open_redis_state(valkey_url) as state, AsyncExitStack() as stack:
        readers = []
        for number in range(40):
            name = f"{stream}:{number}"
            start = await state.streams.position(name)
            records = await stack.enter_async_context(aclosing(state.streams.read(name, after=start)))
            await state.streams.append(name, [b"first"])
            assert (await anext(records)).payload == b"first"
            readers.append(records)
        clients: list[dict[str, str]] = await state.client.client_list()
        subscribed = [client for client in clients if int(client["sub"]) > 0]
        assert max(int(client["sub"]) for client in subscribed) == 40
        assert sum(1 for client in subscribed if int(client["sub"]) == 40) == 1


async def test_a_reader_that_leaves_is_unsubscribed(valkey_url: str, stream: str):
    async with open_redis_state(valkey_url) as state:
        start = await state.streams.position(stream)
        async with aclosing(state.streams.read(stream, after=start)) as records:
            await state.streams.append(stream, [b"1"])
            assert (await anext(records)).payload == b"1"
            assert await _is_subscribed(state.client, stream)

        async def gone() -> bool:
            return not await _is_subscribed(state.client, stream)

        await until(gone)


async def test_readers_that_come_and_go_interrupt_nobody(
    valkey_url: str, stream: str, caplog: pytest.LogCaptureFixture
):
    """Whenever one is cancelled: a client may open streams and drop them as fast as it likes."""
    async with open_redis_state(valkey_url) as state:
        steady = state.streams.read(stream, after=None)
        coming = asyncio.ensure_future(anext(steady))
        await until(lambda: subscribed(valkey_url, stream))

        async def come_and_go(number: int) -> None:
            async with aclosing(state.streams.read(f"{stream}:{number}", after=None)) as reader:
                await anext(reader)

        for number in range(READERS):
            task = asyncio.create_task(come_and_go(number))
            for _ in range(number % TURNS_OF_THE_LOOP):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
        at_once = [asyncio.create_task(come_and_go(number)) for number in range(READERS)]
        await until(lambda: subscribed(valkey_url, f"{stream}:{READERS - 1}"))
        for task in at_once:
            task.cancel()
        await asyncio.wait(at_once)
        await state.streams.append(stream, [b"after all"])
        assert (await asyncio.wait_for(coming, 30)).payload == b"after all"
        await steady.aclose()
    assert "live streams interrupted" not in caplog.text


async def subscribed(url: str, stream: str) -> bool:
    async with open_redis(url) as admin:
        return bool(await admin.pubsub_channels(f"*{stream}}}:channel"))


async def test_streams_vanish_from_the_server_when_nobody_uses_them(valkey_url: str, stream: str):
    async with open_redis_state(valkey_url) as state:
        await state.streams.append(stream, [b"1"])
        keys = [key async for key in state.client.scan_iter(f"live_stream:*{stream}*")]
        lives = [await state.client.ttl(key) for key in keys]
    assert len(keys) == 2
    assert all(0 < life <= 86_400 for life in lives)


async def _is_subscribed(client: "Redis", stream: str) -> bool:
    channels = await client.pubsub_channels(f"*{stream}*")
    return bool(channels)


@pytest.mark.parametrize("garbage", [b"", b"one", b"two words", b"epoch x-y payload", b"\xff 1-1 payload", b"a b c d"])
async def test_what_another_hand_publishes_stops_no_stream(stream: str, garbage: bytes):
    with valkey_server() as url:
        async with open_redis_state(url) as state:
            start = await state.streams.position(stream)
            async with aclosing(state.streams.read(stream, after=start)) as records, asyncio.timeout(60):
                waiting = asyncio.ensure_future(anext(records))
                (channel,) = await _channels_of(state.client)
                await state.client.publish(channel, garbage)
                await state.streams.append(stream, [b"after it"])
                assert (await waiting).payload == b"after it"  # type: ignore[union-attr]


async def _channels_of(client: Redis) -> list[bytes]:
    """The channels that somebody listens to, once there are some."""
    while not (found := await client.pubsub_channels()):
        await asyncio.sleep(0)
    return list(found)
