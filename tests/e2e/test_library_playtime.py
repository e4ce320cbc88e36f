"""Playtime through the gateway, as any client sees it: contract section 2."""

import uuid
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e.clients import Answer, Api, Shop, assert_error

PLAYTIME = "/api/v1/library/playtime"
SESSIONS = f"{PLAYTIME}/sessions"


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def boris(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


async def given(api: Api, shop: Shop) -> str:
    """A product that the user owns."""
    product_id = await shop.new_product()
    await shop.buy(api.user_id, product_id)
    await api.owns(product_id)
    return product_id


async def start(api: Api, product_id: str, **attributes: str) -> Answer:
    return await api.post(f"{SESSIONS}/start", "playtimeSessionStart", product_id=product_id, **attributes)


async def test_a_user_plays_and_sees_how_long(shop: Shop, anna: Api, boris: Api) -> None:
    product_id, device_id = await given(anna, shop), str(uuid.uuid4())
    began = await start(anna, product_id, platform="linux", device_id=device_id)
    assert began.status == 201, began.document
    attributes = began.data["attributes"]
    assert (began.data["type"], attributes["status"]) == ("playtimeSession", "active")
    assert (attributes["platform"], attributes["device_id"]) == ("linux", device_id)
    assert attributes["heartbeat_interval_seconds"] == 60
    assert "end_time" not in attributes or attributes["end_time"] is None

    session = f"{SESSIONS}/{began.data['id']}"
    bare = await anna.post(f"{session}/heartbeat")
    counted = await anna.post(
        f"{session}/heartbeat", "playtimeHeartbeat", sequence=1, client_time="2001-01-01T00:00:00Z"
    )
    assert [(answer.status, answer.document) for answer in (bare, counted)] == [(204, None)] * 2
    for answer in (await boris.post(f"{session}/heartbeat"), await boris.post(f"{session}/end")):
        assert_error(answer, 404, "PLAYTIME_SESSION_NOT_FOUND")

    ended = await anna.post(f"{session}/end")
    assert (ended.status, ended.data["attributes"]["status"]) == (200, "completed")
    assert (await anna.post(f"{session}/end")).data == ended.data
    assert_error(await anna.post(f"{session}/heartbeat"), 409, "INVALID_STATE_TRANSITION")

    shown = await anna.get(PLAYTIME)
    assert (shown.status, shown.data["type"]) == (200, "playtimeStatistics")
    (product,) = shown.data["attributes"]["products"]
    assert product["product_id"] == product_id
    assert product["total_playtime_seconds"] == ended.data["attributes"]["duration_seconds"]
    assert shown.data["attributes"]["last_played_at"] == ended.data["attributes"]["end_time"]
    assert (await anna.get(f"{PLAYTIME}?period=last_2_weeks&product_ids={product_id}")).data == shown.data
    assert (await anna.get(f"{PLAYTIME}?product_ids={uuid.uuid4()}")).data["attributes"]["products"] == []
    assert (await boris.get(PLAYTIME)).data["attributes"]["total_playtime_seconds"] == 0
    item = await anna.owns(product_id)
    assert item["attributes"]["last_played_at"] == ended.data["attributes"]["end_time"]


async def test_a_second_start_on_the_same_device_ends_the_first(shop: Shop, anna: Api) -> None:
    product_id, device_id = await given(anna, shop), str(uuid.uuid4())
    first, second = [await start(anna, product_id, device_id=device_id) for _ in range(2)]
    ended = await anna.post(f"{SESSIONS}/{first.data['id']}/end")
    assert ended.data["attributes"]["status"] == "terminated"
    live = await anna.post(f"{SESSIONS}/{second.data['id']}/heartbeat")
    assert live.status == 204


async def test_bad_input_is_told_and_changes_nothing(shop: Shop, anna: Api) -> None:
    product_id = await given(anna, shop)
    assert_error(await start(anna, str(uuid.uuid4())), 403, "PRODUCT_ACCESS_DENIED")
    assert_error(await start(anna, "no-uuid", device_id="no"), 400, "VALIDATION_ERROR")
    wrong_type = await anna.post(f"{SESSIONS}/start", "playtimeSession2", product_id=product_id)
    assert_error(wrong_type, 409, "RESOURCE_TYPE_CONFLICT")
    assert_error(await anna.post(f"{SESSIONS}/{uuid.uuid4()}/heartbeat"), 404, "PLAYTIME_SESSION_NOT_FOUND")
    assert_error(await anna.post(f"{SESSIONS}/{uuid.uuid4()}/end"), 404, "PLAYTIME_SESSION_NOT_FOUND")
    negative = await anna.post(f"{SESSIONS}/{uuid.uuid4()}/heartbeat", "playtimeHeartbeat", sequence=-1)
    assert_error(negative, 400, "VALIDATION_ERROR")
    assert_error(await anna.get(f"{PLAYTIME}?period=never"), 400, "INVALID_QUERY_PARAMETER")
    assert_error(await anna.with_token(None).get(PLAYTIME), 401, "UNAUTHENTICATED")
    assert (await anna.get(PLAYTIME)).data["attributes"]["products"] == []
