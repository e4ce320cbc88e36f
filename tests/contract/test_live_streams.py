"""The promises of chassis.live.live_state.LiveStreams, over every adapter."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import pytest
from adapters import adapters, redis_url

from chassis.concurrency.background import background
from chassis.live.live_state import READER_MAX_RECORDS, LiveStreams, StreamBreak, StreamGap, StreamRecord, followed
from chassis.live.redis_state import RedisLiveStreams, open_redis_state
from tests.fakes.live_state import MemoryLiveStreams

MAX_RECORDS = 3
"""Streams of `small_streams` keep no more, so that a test can push records out."""

Record = TypeVar("Record")

Store = tuple[LiveStreams, Callable[[str], Awaitable[None]]]


def server_of(request: pytest.FixtureRequest) -> str:
    """The embedded Valkey, or a real Redis."""
    if request.param == "redis":
        return redis_url()
    url: str = request.getfixturevalue("valkey_url")
    return url


@pytest.fixture(params=adapters(__file__))
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """The streams, and how to lose one as a store without persistence does."""
    if request.param == "memory":
        memory = MemoryLiveStreams()

        async def forget_in_memory(stream: str) -> None:
            memory.forget(stream)

        yield memory, forget_in_memory
    else:
        async with open_redis_state(server_of(request)) as state:

            async def forget_in_redis(stream: str) -> None:
                await state.client.delete(*[key async for key in state.client.scan_iter(f"live_stream:*{stream}*")])

            yield state.streams, forget_in_redis


@pytest.fixture
def streams(store: Store) -> LiveStreams:
    return store[0]


@pytest.fixture(params=adapters(__file__))
async def small_streams(request: pytest.FixtureRequest) -> AsyncIterator[LiveStreams]:
    if request.param == "memory":
        yield MemoryLiveStreams(max_records=MAX_RECORDS)
    else:
        async with open_redis_state(server_of(request)) as state:
            streams = RedisLiveStreams(state.client, state.link, max_records=MAX_RECORDS)
            async with background(streams.tail()):
                yield streams


@pytest.fixture
def stream() -> str:
    return f"test_events:{uuid.uuid4()}"


async def take(records: AsyncIterator[Record], count: int) -> list[Record]:
    async with asyncio.timeout(30):
        return [await anext(records) for _ in range(count)]


async def test_a_reader_gets_what_is_appended_after_it_came(streams: LiveStreams, stream: str):
    await streams.append(stream, [b"before"])
    start = await streams.position(stream)
    async with aclosing(streams.read(stream, after=start)) as records:
        waiting = asyncio.ensure_future(anext(records))
        ids = await streams.append(stream, [b"one", b"\x00\xff two \r\n"])
        assert await waiting == StreamRecord(ids[0], b"one")
        assert await take(records, 1) == [StreamRecord(ids[1], b"\x00\xff two \r\n")]


async def test_without_an_id_a_reader_begins_now(streams: LiveStreams, stream: str):
    await streams.append(stream, [b"before"])
    async with aclosing(streams.read(stream, after=None)) as records:
        waiting = asyncio.ensure_future(anext(records))
        async with asyncio.timeout(30):
            # Nobody can tell from outside when the reader has begun, so something new comes until it has.
            while not waiting.done():
                await streams.append(stream, [b"now"])
                await asyncio.sleep(0.01)
        assert (await waiting).payload == b"now"


async def test_a_reader_with_an_id_gets_what_it_missed_and_then_the_new(streams: LiveStreams, stream: str):
    ids = await streams.append(stream, [b"1", b"2", b"3"])
    async with aclosing(streams.read(stream, after=ids[0])) as records:
        assert await take(records, 2) == [StreamRecord(ids[1], b"2"), StreamRecord(ids[2], b"3")]
        (fresh,) = await streams.append(stream, [b"4"])
        assert await take(records, 1) == [StreamRecord(fresh, b"4")]


async def test_a_position_taken_before_the_first_record_misses_nothing(streams: LiveStreams, stream: str):
    start = await streams.position(stream)
    ids = await streams.append(stream, [b"1"])
    async with aclosing(streams.read(stream, after=start)) as records:
        assert await take(records, 1) == [StreamRecord(ids[0], b"1")]


async def test_readers_of_a_deleted_stream_meet_a_gap_at_its_next_record(streams: LiveStreams, stream: str):
    (before,) = await streams.append(stream, [b"before"])
    async with aclosing(streams.read(stream, after=before)) as records:
        waiting = asyncio.ensure_future(anext(records))
        await streams.position(stream)
        assert await streams.delete(stream)
        assert not await streams.delete(stream)
        await streams.append(stream, [b"after"])
        with pytest.raises(StreamGap):
            async with asyncio.timeout(30):
                await waiting


async def test_the_position_is_the_last_record(streams: LiveStreams, stream: str):
    ids = await streams.append(stream, [b"1", b"2"])
    assert await streams.position(stream) == ids[1]


async def test_a_stream_with_a_hash_tag_of_its_own_works_alike(streams: LiveStreams, stream: str):
    tagged = f"download:{{{stream}}}"
    start = await streams.position(tagged)
    ids = await streams.append(tagged, [b"1"])
    async with aclosing(streams.read(tagged, after=start)) as records:
        assert await take(records, 1) == [StreamRecord(ids[0], b"1")]


async def test_ids_are_unique_and_begin_with_the_epoch_of_the_stream(streams: LiveStreams, stream: str):
    ids = [*await streams.append(stream, [b"1"] * 50), *await streams.append(stream, [b"2"] * 50)]
    assert len(set(ids)) == 100
    assert len({record_id.split("-")[0] for record_id in ids}) == 1


async def test_appending_nothing_is_no_error(streams: LiveStreams, stream: str):
    assert list(await streams.append(stream, [])) == []


async def test_what_is_told_once_is_appended_once_to_each_stream(streams: LiveStreams, stream: str):
    start = await streams.position(stream)
    ids = await streams.append(stream, [b"1", b"2"], once="event")
    assert len(ids) == 2
    assert list(await streams.append(stream, [b"1", b"2"], once="event")) == []
    assert len(await streams.append(stream, [b"3"], once="another event")) == 1
    assert len(await streams.append(stream, [b"3"])) == 1
    assert len(await streams.append(stream + ":other", [b"1"], once="event")) == 1
    async with aclosing(streams.read(stream, after=start)) as records:
        assert [record.payload for record in await take(records, 4)] == [b"1", b"2", b"3", b"3"]


async def test_of_many_who_tell_the_same_one_is_heard(streams: LiveStreams, stream: str):
    answers = await asyncio.gather(*(streams.append(stream, [b"1"], once="event") for _ in range(20)))
    assert sum(len(ids) for ids in answers) == 1


async def test_a_stream_that_was_lost_hears_again_what_it_was_told(store: Store, stream: str):
    streams, forget = store
    await streams.append(stream, [b"1"], once="event")
    await forget(stream)
    assert len(await streams.append(stream, [b"1"], once="event")) == 1


async def test_who_follows_a_stream_is_told_of_a_gap_in_its_place_and_goes_on(store: Store, stream: str):
    streams, forget = store
    (seen,) = await streams.append(stream, [b"1"])
    async with aclosing(followed(streams, stream, after=seen)) as records:
        (second,) = await streams.append(stream, [b"2"])
        assert await take(records, 1) == [StreamRecord(second, b"2")]
        await forget(stream)
        await streams.append(stream, [b"3"])
        (lost,) = await take(records, 1)
        assert isinstance(lost, StreamBreak)
        assert (lost.reason, lost.id) == ("unknown_id", await streams.position(stream))
        (fourth,) = await streams.append(stream, [b"4"])
        assert await take(records, 1) == [StreamRecord(fourth, b"4")]
    async with aclosing(followed(streams, stream, after="nonsense")) as records:
        assert await take(records, 1) == [StreamBreak(fourth, "unknown_id")]


async def test_many_readers_of_many_streams_each_get_their_own(streams: LiveStreams, stream: str):
    names = [f"{stream}:{number}" for number in range(20)]
    starts = {name: await streams.position(name) for name in names}

    async def read_two(name: str) -> list[bytes]:
        async with aclosing(streams.read(name, after=starts[name])) as records:
            return [record.payload for record in await take(records, 2)]

    async with asyncio.TaskGroup() as tasks:
        readers = {name: [tasks.create_task(read_two(name)) for _ in range(3)] for name in names}
        for name in names:
            await streams.append(name, [name.encode(), b"end"])
    assert all(reader.result() == [name.encode(), b"end"] for name, group in readers.items() for reader in group)


async def test_a_slow_reader_gets_everything_that_the_stream_still_has(streams: LiveStreams, stream: str):
    start = await streams.position(stream)
    total = READER_MAX_RECORDS * 2 + 10
    async with aclosing(streams.read(stream, after=start)) as records:
        waiting = asyncio.ensure_future(anext(records))
        for first in range(0, total, 500):
            await streams.append(stream, [str(number).encode() for number in range(first, min(first + 500, total))])
        payloads = [(await waiting).payload, *(record.payload for record in await take(records, total - 1))]
    assert payloads == [str(number).encode() for number in range(total)]


@pytest.mark.parametrize(
    "unknown", ["", "nonsense", "0-0", "abc-1-x", "zz-1-1", "00000000-1-1", "deadbeef-99999999999999-0"]
)
async def test_an_id_of_no_stream_is_a_gap(streams: LiveStreams, stream: str, unknown: str):
    await streams.append(stream, [b"1"])
    with pytest.raises(StreamGap) as caught:
        await anext(streams.read(stream, after=unknown))
    assert caught.value.reason == "unknown_id"


async def test_an_id_of_another_stream_is_a_gap(streams: LiveStreams, stream: str):
    await streams.append(stream, [b"1"])
    foreign = await streams.append(stream + ":other", [b"1"])
    with pytest.raises(StreamGap) as caught:
        await anext(streams.read(stream, after=foreign[0]))
    assert caught.value.reason == "unknown_id"


async def test_an_id_that_was_never_given_is_a_gap(streams: LiveStreams, stream: str):
    ids = await streams.append(stream, [b"1", b"2"])
    epoch, milliseconds, _ = ids[0].split("-")
    for invented in (f"{epoch}-{int(milliseconds) + 1_000_000}-0", f"{epoch}-1-0"):
        with pytest.raises(StreamGap) as caught:
            await anext(streams.read(stream, after=invented))
        assert caught.value.reason == "unknown_id"


async def test_an_id_whose_successors_are_gone_is_a_gap(small_streams: LiveStreams, stream: str):
    ids = await small_streams.append(stream, [str(number).encode() for number in range(MAX_RECORDS + 2)])
    with pytest.raises(StreamGap) as caught:
        await anext(small_streams.read(stream, after=ids[0]))
    assert caught.value.reason == "expired"


async def test_an_id_that_is_gone_but_whose_successors_are_not_is_no_gap(small_streams: LiveStreams, stream: str):
    ids = await small_streams.append(stream, [str(number).encode() for number in range(MAX_RECORDS + 2)])
    async with aclosing(small_streams.read(stream, after=ids[1])) as records:
        assert [record.payload for record in await take(records, MAX_RECORDS)] == [b"2", b"3", b"4"]


async def test_a_stream_that_was_lost_is_a_gap_for_those_who_come_back(store: Store, stream: str):
    streams, forget = store
    ids = await streams.append(stream, [b"1"])
    await forget(stream)
    await streams.append(stream, [b"2"])
    with pytest.raises(StreamGap) as caught:
        await anext(streams.read(stream, after=ids[0]))
    assert caught.value.reason == "unknown_id"


async def test_a_stream_that_is_lost_is_a_gap_for_those_who_are_reading(store: Store, stream: str):
    streams, forget = store
    ids = await streams.append(stream, [b"1", b"2"])
    async with aclosing(streams.read(stream, after=ids[0])) as records:
        assert (await take(records, 1))[0].payload == b"2"
        await forget(stream)
        await streams.append(stream, [b"3"])
        with pytest.raises(StreamGap) as caught:
            await take(records, 1)
    assert caught.value.reason == "unknown_id"
