"""Game settings through the gateway, as a launcher sees them: contract section 2; RFC 9110 section 13; RFC 7396."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.clients import ITEMS, Answer, Api, Shop, assert_error, until

SETTINGS = "/api/v1/library/game-settings"


async def send(api: Api, method: str, path: str, payload: Any, if_match: str | None = None, **members: Any) -> Answer:
    headers = {} if if_match is None else {"If_Match": if_match}
    data = {"type": "gameSettings", "attributes": {"settings_payload": payload}, **members}
    return await api.call(method, path, body={"data": data}, **headers)


def tag_of(answer: Answer) -> str:
    return next(value for name, value in answer.headers.items() if name.lower() == "etag")


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def boris(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def path(shop: Shop, anna: Api) -> str:
    """The address of anna's settings of a game that she has."""
    product_id = await shop.new_product()
    await shop.buy(anna.user_id, product_id)
    await anna.owns(product_id)
    return f"{SETTINGS}/{product_id}"


async def test_settings_are_put_read_patched_and_replaced(anna: Api, path: str) -> None:
    payload = {"звук": {"громкость": 0.5, "вкл": True}, "keys": ["w", 1, None], "n": 5}
    first = await send(anna, "PUT", path, payload, id=path.rsplit("/", 1)[1])
    assert first.status == 200, first.document
    assert first.data["links"]["self"] == path
    attributes = first.data["attributes"]
    assert (attributes["settings_payload"], attributes["version"]) == (payload, 1)
    assert attributes["last_updated_at"] == attributes["last_synced_with_cloud_at"]

    read = await anna.get(path)
    assert (read.status, read.data, tag_of(read)) == (200, first.data, tag_of(first))
    patched = await send(anna, "PATCH", path, {"звук": {"вкл": None}, "n": 6}, tag_of(read))
    assert patched.status == 200, patched.document
    assert patched.data["attributes"]["settings_payload"] == {
        "звук": {"громкость": 0.5},
        "keys": ["w", 1, None],
        "n": 6,
    }
    assert tag_of(patched) != tag_of(read)
    assert tag_of(await anna.get(path)) == tag_of(patched)

    again = await send(anna, "PUT", path, patched.data["attributes"]["settings_payload"], tag_of(patched))
    assert (tag_of(again), again.data["attributes"]["last_updated_at"]) == (
        tag_of(patched),
        patched.data["attributes"]["last_updated_at"],
    )
    assert again.data["attributes"]["last_synced_with_cloud_at"] > patched.data["attributes"]["last_updated_at"]
    replaced = await send(anna, "PUT", path, {}, "*")
    assert replaced.data["attributes"]["settings_payload"] == {}


async def test_a_change_needs_the_tag_of_what_is_there(anna: Api, path: str) -> None:
    assert_error(await send(anna, "PUT", path, {"a": 1}, '"1"'), 412, "SETTINGS_VERSION_CONFLICT", header="If-Match")
    assert_error(await send(anna, "PATCH", path, {"a": 1}, "*"), 404, "GAME_SETTINGS_NOT_FOUND")
    assert_error(await anna.get(path), 404, "GAME_SETTINGS_NOT_FOUND")
    tag = tag_of(await send(anna, "PUT", path, {"a": 1}))

    for method in ("PUT", "PATCH"):
        assert_error(await send(anna, method, path, {"a": 2}), 428, "PRECONDITION_REQUIRED", header="If-Match")
        for stale in ('"0"', f"W/{tag}", '"x", "y"', '""'):
            assert_error(await send(anna, method, path, {"a": 2}, stale), 412, "SETTINGS_VERSION_CONFLICT")
        assert_error(await send(anna, method, path, {"a": 2}, "1"), 400, "INVALID_ARGUMENT", header="If-Match")
    stale = await send(anna, "PUT", path, {"a": 2}, '"0"')
    assert stale.document["errors"][0]["meta"]["current_version"] == tag.strip('"')
    assert (await anna.get(path)).data["attributes"]["settings_payload"] == {"a": 1}
    assert (await send(anna, "PATCH", path, {"a": 2}, f'"0", {tag}')).status == 200


async def test_of_twenty_devices_that_change_one_version_one_succeeds(anna: Api, path: str) -> None:
    first = await asyncio.gather(*(send(anna, "PUT", path, {"n": number}) for number in range(20)))
    assert sorted(answer.status for answer in first) == [200] + [428] * 19
    tag = tag_of(next(answer for answer in first if answer.status == 200))

    later = await asyncio.gather(*(send(anna, "PATCH", path, {f"k{number}": 1}, tag) for number in range(20)))

    assert sorted(answer.status for answer in later) == [200] + [412] * 19
    kept = (await anna.get(path)).data["attributes"]
    assert (kept["version"], len(kept["settings_payload"])) == (2, 2)


async def test_another_user_sees_and_changes_their_own_only(shop: Shop, anna: Api, boris: Api, path: str) -> None:
    mine = await send(anna, "PUT", path, {"a": 1})
    tag = tag_of(mine)

    assert_error(await boris.get(path), 404, "GAME_SETTINGS_NOT_FOUND")
    for method in ("PUT", "PATCH"):
        assert_error(await send(boris, method, path, {"a": 2}, tag), 403, "PRODUCT_ACCESS_DENIED")
    product_id = path.rsplit("/", 1)[1]
    await shop.buy(boris.user_id, product_id)
    await boris.owns(product_id)
    assert_error(await send(boris, "PATCH", path, {"a": 2}, tag), 404, "GAME_SETTINGS_NOT_FOUND")
    assert (await send(boris, "PUT", path, {"a": 2})).status == 200
    assert (await anna.get(path)).data == mine.data


async def test_after_a_refund_settings_can_be_read_and_not_changed(shop: Shop, anna: Api) -> None:
    product_id = await shop.new_product()
    order_id = await shop.buy(anna.user_id, product_id)
    item = await anna.owns(product_id)
    path = f"{SETTINGS}/{product_id}"
    mine = await send(anna, "PUT", path, {"a": 1})
    await shop.refund(order_id)

    async def is_gone() -> bool:
        return (await anna.get(f"{ITEMS}/{item['id']}")).status == 404

    await until(is_gone, "the item is still there after the refund")

    assert_error(await send(anna, "PUT", path, {}, tag_of(mine)), 403, "PRODUCT_ACCESS_DENIED")
    assert (await anna.get(path)).data == mine.data


async def test_bad_input_is_refused_and_changes_nothing(anna: Api, path: str) -> None:
    tag = tag_of(await send(anna, "PUT", path, {"a": 1}))

    for payload in ([], "x", 1, True):
        assert_error(await send(anna, "PUT", path, payload, tag), 400, "VALIDATION_ERROR")
        assert_error(await send(anna, "PATCH", path, payload, tag), 400, "VALIDATION_ERROR")
    assert_error(await send(anna, "PUT", path, None, tag), 400, "VALIDATION_ERROR")
    assert_error(await send(anna, "PATCH", path, None, tag), 400, "INVALID_ARGUMENT")
    nul = await send(anna, "PUT", path, {"a": "\0"}, tag)
    assert_error(nul, 400, "INVALID_ARGUMENT", pointer="/data/attributes/settings_payload")
    for method in ("PUT", "PATCH"):
        assert_error(await send(anna, method, path, {"a": "я" * 131_072}, tag), 413, "PAYLOAD_TOO_LARGE")
    assert (await send(anna, "PUT", path, {"a": "я" * 131_068}, tag)).status == 200
    assert_error(await anna.get(f"{SETTINGS}/not-a-uuid"), 400, "VALIDATION_ERROR")
    wrong_id = await send(anna, "PUT", path, {}, tag, id=str(uuid.uuid4()))
    assert_error(wrong_id, 409, "RESOURCE_TYPE_CONFLICT")
    wrong_type = await anna.call("PUT", path, body={"data": {"type": "libraryItem", "attributes": {}}})
    assert_error(wrong_type, 409, "RESOURCE_TYPE_CONFLICT")
    assert_error(await anna.with_token(None).get(path), 401, "UNAUTHENTICATED")
    assert_error(await anna.call("DELETE", path), 405, "METHOD_NOT_ALLOWED")
