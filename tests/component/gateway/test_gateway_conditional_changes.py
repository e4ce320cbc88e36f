"""If-Match and If-None-Match on whatever can be changed: nobody's change is lost for one who said what it was made of."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from chassis.errors import DomainError
from chassis.quota.redis_store import open_redis_store
from gateway.jsonapi.preconditions import AddressLocks
from gateway.quota.redis_locks import RedisLocks
from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    ITEM,
    ITEM_PATH,
    ITEMS_PATH,
    PRODUCT,
    WAIT_SECONDS,
    FakeLibrary,
    GatewayRig,
    gateway_rig,
    not_found,
)

OTHER = '"0190b7a65f3c7c1e"'


@pytest.fixture
async def rig() -> AsyncIterator[GatewayRig]:
    async with gateway_rig() as rig:
        yield rig


def hidden(is_hidden: bool) -> dict[str, Any]:  # noqa: FBT001  a document's value
    return {"data": {"type": "libraryItem", "id": ITEM, "attributes": {"is_hidden": is_hidden}}}


def changes(rig: GatewayRig) -> int:
    return sum(type(request).__name__ == "UpdateItemRequest" for request in rig.library.requests)


async def test_a_change_of_what_has_changed_meanwhile_is_refused(rig: GatewayRig) -> None:
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    assert (await rig.call("PATCH", ITEM_PATH, body=hidden(True), If_Match=tag)).status == 200

    late = await rig.call("PATCH", ITEM_PATH, body=hidden(False), If_Match=tag)

    assert (late.status, late.codes, late.sources) == (412, ["PRECONDITION_FAILED"], [{"header": "If-Match"}])
    assert (rig.library.is_hidden, changes(rig)) == (True, 1)
    fresh = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    assert fresh != tag
    assert (await rig.call("PATCH", ITEM_PATH, body=hidden(False), If_Match=f"{OTHER}, {fresh}")).status == 200


@pytest.mark.parametrize("accept", ["application/vnd.api+json", "application/json"])
@pytest.mark.parametrize("language", ["ru", "en"])
async def test_the_tag_of_every_representation_counts(rig: GatewayRig, accept: str, language: str) -> None:
    read = await rig.call("GET", ITEM_PATH, Accept=accept, Accept_Language=language)
    assert (await rig.call("PATCH", ITEM_PATH, body=hidden(False), If_Match=read.headers["ETag"])).status == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_the_tag_of_a_compressed_answer_counts(rig: GatewayRig, coding: str) -> None:
    plain = (await rig.call("GET", ITEM_PATH)).headers["ETag"].strip('"')
    assert (await rig.call("PATCH", ITEM_PATH, body=hidden(False), If_Match=f'"{plain}-{coding}"')).status == 200
    assert (await rig.call("PATCH", ITEM_PATH, body=hidden(False), If_Match=f'"{plain}-lz4"')).status == 412


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_Match": "*"}, 200),
        ({"If_Match": ""}, 200),
        ({"If_Match": OTHER}, 412),
        ({"If_Match": "W/{tag}"}, 412),
        ({"If_None_Match": "*"}, 412),
        ({"If_None_Match": "{tag}"}, 412),
        ({"If_None_Match": "W/{tag}"}, 412),
        ({"If_None_Match": OTHER}, 200),
        ({"If_Match": "{tag}", "If_None_Match": OTHER}, 200),
        ({"If_Match": "no tag"}, 400),
    ],
)
async def test_conditions_are_read_as_http_wants_it(rig: GatewayRig, headers: dict[str, str], status: int) -> None:
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    sent = {name: value.replace("{tag}", tag) for name, value in headers.items()}
    assert (await rig.call("PATCH", ITEM_PATH, body=hidden(True), **sent)).status == status
    assert changes(rig) == (status == 200)


async def test_what_is_not_there_is_answered_as_without_a_condition(rig: GatewayRig) -> None:
    rig.library.error = not_found()
    answer = await rig.call("PATCH", ITEM_PATH, body=hidden(True), If_Match=OTHER)
    assert (answer.status, answer.codes) == (404, ["LIBRARY_ITEM_NOT_FOUND"])
    # Nothing there is what the second asks for; what then comes is the service's.
    answer = await rig.call("PATCH", ITEM_PATH, body=hidden(True), If_None_Match="*")
    assert (answer.status, answer.codes, changes(rig)) == (404, ["LIBRARY_ITEM_NOT_FOUND"], 1)


async def test_what_cannot_be_compared_is_not_done(rig: GatewayRig) -> None:
    """A method whose address cannot be read: who says a condition must not believe that it was kept."""
    answer = await rig.call("POST", f"{DOWNLOAD_PATH}/pause", If_Match=OTHER)
    assert (answer.status, answer.codes) == (412, ["PRECONDITION_FAILED"])
    assert rig.download.requests == []
    # Where no state is, none is there that is not to be there.
    assert (await rig.call("POST", f"{DOWNLOAD_PATH}/pause", If_None_Match="*")).status == 200


async def test_who_may_not_change_it_learns_nothing_of_it(rig: GatewayRig) -> None:
    answer = await rig.call("PATCH", ITEM_PATH, body=hidden(True), token=None, If_Match=OTHER)
    assert (answer.status, rig.library.requests) == (401, [])


async def test_of_many_changes_of_one_state_one_is_made(rig: GatewayRig) -> None:
    """What is compared is still there when the change is made: conditional changes go one after another."""
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    answers = await asyncio.gather(*(rig.call("PATCH", ITEM_PATH, body=hidden(True), If_Match=tag) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    assert changes(rig) == 1


async def test_changes_over_two_gateways_take_turns_too(valkey_url: str) -> None:
    library = FakeLibrary()
    async with (
        open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store,
        open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as other_store,
        gateway_rig(library=library, locks=RedisLocks(store)) as one,
        gateway_rig(library=library, locks=RedisLocks(other_store)) as other,
    ):
        item = f"{ITEMS_PATH}/{uuid4()}"
        body = hidden(True)
        del body["data"]["id"]
        for _ in range(3):
            library.is_hidden = False
            tag = (await one.call("GET", item)).headers["ETag"]
            before = changes(one)
            answers = await asyncio.gather(
                *(rig.call("PATCH", item, body=body, If_Match=tag) for rig in (one, other) for _ in range(4))
            )
            assert sorted(answer.status for answer in answers) == [200] + [412] * 7
            assert changes(one) == before + 1


async def test_a_lock_is_given_back_and_goes_away_with_its_holder(valkey_url: str) -> None:
    name = uuid4().hex
    async with open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        locks = RedisLocks(store)
        assert await locks.take(name, "a", held_seconds=WAIT_SECONDS)
        assert not await locks.take(name, "b", held_seconds=WAIT_SECONDS)
        await locks.release(name, "b")
        assert not await locks.take(name, "b", held_seconds=WAIT_SECONDS)
        await locks.release(name, "a")
        assert await locks.take(name, "b", held_seconds=0.001)
        async with asyncio.timeout(WAIT_SECONDS):
            while not await locks.take(name, "c", held_seconds=WAIT_SECONDS):
                pass


async def test_without_the_store_changes_are_made_all_the_same() -> None:
    async with (
        open_redis_store("127.0.0.1:1", answer_seconds=0.1) as store,
        gateway_rig(locks=RedisLocks(store)) as rig,
    ):
        tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
        assert (await rig.call("PATCH", ITEM_PATH, body=hidden(True), If_Match=tag)).status == 200
        assert (await rig.call("PATCH", ITEM_PATH, body=hidden(False), If_Match=tag)).status == 412


async def test_what_waits_too_long_for_others_is_told_so() -> None:
    locks = AddressLocks()
    async with locks.locked("/x/{}", ["a"], None, WAIT_SECONDS):
        with pytest.raises(DomainError, match="DEADLINE_EXCEEDED"):
            async with locks.locked("/x/{}", ["A"], None, 0.01):
                raise AssertionError("another has it")
        async with locks.locked("/x/{}", ["b"], None, WAIT_SECONDS):
            pass
    async with locks.locked("/x/{}", ["a"], None, WAIT_SECONDS):
        pass


async def test_a_create_may_ask_that_nothing_is_overwritten(rig: GatewayRig) -> None:
    body = {"data": {"type": "downloadSession", "attributes": {"product_id": PRODUCT}}}
    answer = await rig.call("POST", "/api/v1/download-client/downloads", body=body, If_None_Match="*")
    assert answer.status != 412
