"""Playtime through the gateway, as any client sees it: contract section 2."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e.clients import ITEMS, Answer, Api, Shop, assert_error, until

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
    assert began.headers["Location"] == began.data["links"]["self"] == session
    assert (await anna.get(session)).data == began.data
    bare = await anna.post(f"{session}/heartbeat")
    counted = await anna.post(
        f"{session}/heartbeat", "playtimeHeartbeat", sequence=1, client_time="2001-01-01T00:00:00Z"
    )
    assert [(answer.status, answer.document) for answer in (bare, counted)] == [(204, None)] * 2
    theirs = (boris.get(session), boris.post(f"{session}/heartbeat"), boris.post(f"{session}/end"))
    for answer in await asyncio.gather(*theirs):
        assert_error(answer, 404, "PLAYTIME_SESSION_NOT_FOUND")

    ended = await anna.post(f"{session}/end")
    assert (ended.status, ended.data["attributes"]["status"]) == (200, "completed")
    assert (await anna.post(f"{session}/end")).data == (await anna.get(session)).data == ended.data
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


async def test_of_twenty_starts_on_one_device_at_once_one_lives(shop: Shop, anna: Api) -> None:
    product_id, device_id = await given(anna, shop), str(uuid.uuid4())

    began = await asyncio.gather(*(start(anna, product_id, device_id=device_id) for _ in range(20)))

    assert {answer.status for answer in began} == {201}
    assert len({answer.data["id"] for answer in began}) == 20
    shown = await asyncio.gather(*(anna.get(answer.data["links"]["self"]) for answer in began))
    statuses = [answer.data["attributes"]["status"] for answer in shown]
    assert sorted(statuses) == ["active"] + ["terminated"] * 19


async def test_of_twenty_ends_at_once_all_tell_the_same_and_it_counts_once(shop: Shop, anna: Api) -> None:
    product_id = await given(anna, shop)
    session = f"{SESSIONS}/{(await start(anna, product_id)).data['id']}"
    beats = (anna.post(f"{session}/heartbeat", "playtimeHeartbeat", sequence=number) for number in range(20))
    assert {answer.status for answer in await asyncio.gather(*beats)} == {204}

    ended = await asyncio.gather(*(anna.post(f"{session}/end") for _ in range(20)))

    assert {answer.status for answer in ended} == {200}
    assert all(answer.data == ended[0].data for answer in ended)
    seconds = ended[0].data["attributes"]["duration_seconds"]
    assert (await anna.get(PLAYTIME)).data["attributes"]["total_playtime_seconds"] == seconds
    assert (await anna.owns(product_id))["attributes"]["total_playtime_seconds"] == seconds


async def test_who_gets_the_money_back_plays_no_more(shop: Shop, anna: Api) -> None:
    product_id = await shop.new_product()
    order_id = await shop.buy(anna.user_id, product_id)
    item = await anna.owns(product_id)
    session = (await start(anna, product_id)).data["links"]["self"]
    assert (await anna.post(f"{session}/heartbeat")).status == 204
    await shop.refund(order_id)

    async def is_refused() -> bool:
        return (await anna.post(f"{session}/heartbeat")).status == 409

    await until(is_refused, "the heartbeats of a game that was paid back are still taken")
    assert_error(await anna.get(f"{ITEMS}/{item['id']}"), 404, "LIBRARY_ITEM_NOT_FOUND")
    assert (await anna.get(session)).data["attributes"]["status"] == "terminated"
    assert_error(await anna.post(f"{session}/heartbeat"), 409, "INVALID_STATE_TRANSITION")
    assert_error(await start(anna, product_id), 403, "PRODUCT_ACCESS_DENIED")


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
