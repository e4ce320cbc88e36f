"""chassis.bus.kafka_driver: a coordinator that is still loading is not taken for one that knows of no commits, and nobody waits for
clients that do not end.
"""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import GroupLoadInProgressError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from aiokafka.protocol.group import HeartbeatRequest, HeartbeatResponse_v1

from chassis.bus.kafka_driver import end_quietly, heed_refusals

LOADING = 14


class Client:
    """The driver's client as far as it sends."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def send(self, _node_id: int, _request: Any, *, group: int = 0) -> Any:
        del group
        return self._answer


async def test_a_refusal_to_say_where_a_group_is_is_an_error_that_is_tried_again():
    client = Client(OffsetFetchResponse_v3(0, [], LOADING))
    heed_refusals(client)
    with pytest.raises(GroupLoadInProgressError) as caught:
        await client.send(1, OffsetFetchRequest("group", None), group=1)
    assert caught.value.retriable


async def test_an_answer_of_where_a_group_is_stays_as_it_is():
    answer = OffsetFetchResponse_v3(0, [("topic", [(0, 7, "", 0)])], 0)
    client = Client(answer)
    heed_refusals(client)
    assert await client.send(1, OffsetFetchRequest("group", None)) is answer


async def test_other_refusals_are_left_to_the_driver():
    answer = HeartbeatResponse_v1(0, LOADING)
    client = Client(answer)
    heed_refusals(client)
    assert await client.send(1, HeartbeatRequest("group", 1, "member")) is answer


async def test_a_client_that_swallows_its_cancellation_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.bus.kafka_driver.CLOSE_TIMEOUT_SECONDS", 0.01)
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def stop() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    async with asyncio.timeout(20):
        await end_quietly(stop())
        assert not ended.is_set()
        may_end.set()
        await ended.wait()


async def test_a_client_that_cannot_say_goodbye_is_no_error():
    async def stop() -> None:
        raise GroupLoadInProgressError

    assert await end_quietly(stop()) is None
