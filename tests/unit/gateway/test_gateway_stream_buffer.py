import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract import StreamedEvent
from gateway.streams.buffer import BufferFull, StreamBuffer


def event(number: int, supersedes: str | None = None) -> StreamedEvent:
    return StreamedEvent("e", str(number), "", {}, supersedes)


async def drain(buffer: StreamBuffer) -> list[str]:
    buffer.finish()
    taken = []
    while (found := await buffer.take()) is not None:
        taken.append(found.id)
    return taken


async def test_events_come_out_in_order():
    buffer = StreamBuffer(10)
    for number in range(5):
        buffer.put(event(number))
    assert await drain(buffer) == ["0", "1", "2", "3", "4"]


async def test_a_newer_event_replaces_the_older_of_its_key_and_goes_to_the_end():
    buffer = StreamBuffer(3)
    for number, key in enumerate(["a", "b", None, "a"]):
        buffer.put(event(number, key))
    assert await drain(buffer) == ["1", "2", "3"]


async def test_an_event_without_room_is_not_dropped_in_silence():
    buffer = StreamBuffer(2)
    buffer.put(event(0))
    buffer.put(event(1, "a"))
    buffer.put(event(2, "a"))
    with pytest.raises(BufferFull):
        buffer.put(event(3))
    with pytest.raises(BufferFull):
        buffer.put(event(4, "b"))
    assert await drain(buffer) == ["0", "2"]


async def test_take_waits_for_an_event_and_for_the_end():
    buffer = StreamBuffer(2)
    taking = asyncio.create_task(buffer.take())
    await asyncio.sleep(0)
    assert not taking.done()
    buffer.put(event(7))
    assert (await taking) == event(7)
    ending = asyncio.create_task(buffer.take())
    await asyncio.sleep(0)
    buffer.finish()
    assert await ending is None


async def test_clear_forgets_what_waits():
    buffer = StreamBuffer(2)
    buffer.put(event(0))
    buffer.clear()
    buffer.put(event(1))
    assert await drain(buffer) == ["1"]


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=30), st.integers(1, 6))
def test_nothing_is_lost_but_what_was_superseded(keys, room):
    async def play() -> None:
        buffer = StreamBuffer(room)
        expected: list[tuple[str, str | None]] = []
        for number, key in enumerate(keys):
            kept = [pair for pair in expected if key is None or pair[1] != key]
            if len(kept) >= room:
                with pytest.raises(BufferFull):
                    buffer.put(event(number, key))
                expected = kept
                break
            buffer.put(event(number, key))
            expected = [*kept, (str(number), key)]
            assert len(buffer) <= room
        assert await drain(buffer) == [number for number, _ in expected]

    asyncio.run(play())
