"""The promises of chassis.live.live_state.LiveValues, over every adapter."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from adapters import adapters, redis_url

from chassis.live.live_state import LiveValues
from chassis.live.redis_state import open_redis_state
from tests.fakes.live_state import MemoryLiveValues


def server_of(request: pytest.FixtureRequest) -> str:
    """The embedded Valkey, or a real Redis."""
    if request.param == "redis":
        return redis_url()
    url: str = request.getfixturevalue("valkey_url")
    return url


@pytest.fixture(params=adapters(__file__))
async def values(request: pytest.FixtureRequest) -> AsyncIterator[LiveValues]:
    if request.param == "memory":
        yield MemoryLiveValues()
    else:
        async with open_redis_state(server_of(request)) as state:
            yield state.values


@pytest.fixture
def key() -> str:
    return f"test:{{{uuid.uuid4()}}}"


async def test_a_mapping_is_given_back_as_it_was_put(values: LiveValues, key: str):
    await values.put(key, {"status": "загрузка", "empty": ""}, ttl_seconds=60)
    assert await values.get(key) == {"status": "загрузка", "empty": ""}


async def test_a_key_that_was_never_put_is_none(values: LiveValues, key: str):
    assert await values.get(key) is None


async def test_put_replaces_the_whole_mapping(values: LiveValues, key: str):
    await values.put(key, {"a": "1", "b": "2"}, ttl_seconds=60)
    await values.put(key, {"b": "3"}, ttl_seconds=60)
    assert await values.get(key) == {"b": "3"}


async def test_putting_nothing_deletes(values: LiveValues, key: str):
    await values.put(key, {"a": "1"}, ttl_seconds=60)
    await values.put(key, {}, ttl_seconds=60)
    assert await values.get(key) is None


async def test_a_mapping_vanishes_after_its_time(values: LiveValues, key: str):
    await values.put(key, {"a": "1"}, ttl_seconds=0.05)
    async with asyncio.timeout(30):
        while await values.get(key) is not None:
            await asyncio.sleep(0.01)
    assert await values.get_many([key]) == {}


async def test_a_second_put_renews_the_time(values: LiveValues, key: str):
    await values.put(key, {"a": "1"}, ttl_seconds=0.05)
    await values.put(key, {"a": "1"}, ttl_seconds=600)
    marker = key + ":marker"
    await values.put(marker, {"a": "1"}, ttl_seconds=0.1)
    async with asyncio.timeout(30):
        while await values.get(marker) is not None:
            await asyncio.sleep(0.01)
    assert await values.get(key) == {"a": "1"}


async def test_many_are_given_by_key_and_the_missing_left_out(values: LiveValues, key: str):
    await values.put(key + ":1", {"n": "1"}, ttl_seconds=60)
    await values.put(key + ":2", {"n": "2"}, ttl_seconds=60)
    found = await values.get_many([key + ":2", key + ":absent", key + ":1"])
    assert found == {key + ":1": {"n": "1"}, key + ":2": {"n": "2"}}


async def test_no_keys_are_no_error(values: LiveValues):
    assert await values.get_many([]) == {}
    await values.delete([])


async def test_delete_forgets_and_does_not_mind_absence(values: LiveValues, key: str):
    await values.put(key, {"a": "1"}, ttl_seconds=60)
    await values.delete([key, key + ":absent"])
    assert await values.get(key) is None


async def test_a_reader_cannot_change_what_is_stored(values: LiveValues, key: str):
    await values.put(key, {"a": "1"}, ttl_seconds=60)
    first = dict(await values.get(key) or {})
    first["a"] = "2"
    assert await values.get(key) == {"a": "1"}
