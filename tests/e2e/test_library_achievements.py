"""Achievements through the gateway, as any client sees them: contract section 2."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from catalog.v1 import product_pb2

from tests.e2e.clients import Answer, Api, Shop, assert_error

ACHIEVEMENTS = "/api/v1/library/achievements"
SESSIONS = "/api/v1/library/playtime/sessions"


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def boris(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


def defined(total: int = 1, *, is_hidden: bool = False) -> product_pb2.Achievement:
    return product_pb2.Achievement(
        achievement_meta_id=str(uuid.uuid4()),
        names=product_pb2.LocalizedText(ru="Мастер", en="Master"),
        descriptions=product_pb2.LocalizedText(ru="Победить всех", en="Beat everybody"),
        icon_url_unlocked="https://icons.test/1",
        total_progress_needed=total,
        is_hidden=is_hidden,
    )


async def owned(api: Api, shop: Shop, *achievements: product_pb2.Achievement) -> str:
    product_id = await shop.new_product(achievements=achievements)
    await shop.buy(api.user_id, product_id)
    await api.owns(product_id)
    return product_id


async def play(api: Api, product_id: str) -> None:
    assert (await api.post(f"{SESSIONS}/start", "playtimeSessionStart", product_id=product_id)).status == 201


async def advance(api: Api, product_id: str, achievement_id: str, **step: Any) -> Answer:
    return await api.post(f"{ACHIEVEMENTS}/{product_id}/{achievement_id}/progress", "achievementProgress", **step)


async def test_a_user_gets_on_and_unlocks(shop: Shop, anna: Api, boris: Api) -> None:
    long, secret = defined(10), defined(is_hidden=True)
    product_id = await owned(anna, shop, long, secret)
    await play(anna, product_id)
    listed = await anna.get(f"{ACHIEVEMENTS}/status/{product_id}")
    assert listed.status == 200, listed.document
    assert [one["id"] for one in listed.data] == [long.achievement_meta_id, secret.achievement_meta_id]
    assert {one["type"] for one in listed.data} == {"userAchievementStatus"}
    open_one, hidden_one = (one["attributes"] for one in listed.data)
    assert (open_one["name"], open_one["current_progress"]) == ("Мастер", {"current": 0, "total": 10})
    assert (hidden_one["name"], hidden_one["description"], hidden_one["icon_url_unlocked"]) == (None, None, None)

    after = await advance(anna, product_id, long.achievement_meta_id, increment=4)
    assert (after.status, after.data["attributes"]["current_progress"]) == (200, {"current": 4, "total": 10})
    after = await advance(anna, product_id, long.achievement_meta_id, current_progress=10)
    assert (after.status, after.data["attributes"]["is_unlocked"]) == (200, True)
    again = await advance(anna, product_id, long.achievement_meta_id, current_progress=10)
    assert_error(again, 409, "ACHIEVEMENT_ALREADY_UNLOCKED")
    latest = await anna.get(f"{ACHIEVEMENTS}/status/{product_id}?sort_by=unlocked_at_desc", Accept_Language="en")
    assert [one["id"] for one in latest.data] == [long.achievement_meta_id, secret.achievement_meta_id]
    assert latest.data[0]["attributes"]["name"] == "Master"
    theirs = await boris.get(f"{ACHIEVEMENTS}/status/{product_id}")
    assert [one["attributes"]["is_unlocked"] for one in theirs.data] == [False, False]


async def test_twenty_at_once_unlock_once(shop: Shop, anna: Api) -> None:
    one = defined()
    product_id = await owned(anna, shop, one)
    await play(anna, product_id)
    calls = (advance(anna, product_id, one.achievement_meta_id, increment=1) for _ in range(20))
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19


async def test_of_twenty_steps_at_once_each_counts_once(shop: Shop, anna: Api) -> None:
    one = defined(100)
    product_id = await owned(anna, shop, one)
    await play(anna, product_id)

    answers = await asyncio.gather(
        *(advance(anna, product_id, one.achievement_meta_id, increment=2) for _ in range(20))
    )

    told = [answer.data["attributes"]["current_progress"]["current"] for answer in answers]
    assert sorted(told) == list(range(2, 42, 2))
    (shown,) = (await anna.get(f"{ACHIEVEMENTS}/status/{product_id}")).data
    assert (shown["attributes"]["current_progress"], shown["attributes"]["is_unlocked"]) == (
        {"current": 40, "total": 100},
        False,
    )


async def test_what_cannot_have_happened_is_refused(shop: Shop, anna: Api, boris: Api) -> None:
    one = defined()
    product_id = await owned(anna, shop, one)
    never_played = await advance(anna, product_id, one.achievement_meta_id, increment=1)
    assert_error(never_played, 422, "ACHIEVEMENT_PROGRESS_REJECTED")
    not_owned = await advance(boris, product_id, one.achievement_meta_id, increment=1)
    assert_error(not_owned, 422, "ACHIEVEMENT_PROGRESS_REJECTED")
    await play(anna, product_id)
    assert (await advance(anna, product_id, one.achievement_meta_id, increment=1)).status == 200


async def test_bad_input_is_told(shop: Shop, anna: Api) -> None:
    one = defined(5)
    product_id = await owned(anna, shop, one)
    unknown = str(uuid.uuid4())
    assert_error(await advance(anna, product_id, unknown, increment=1), 404, "ACHIEVEMENT_NOT_FOUND")
    assert_error(await advance(anna, unknown, unknown, increment=1), 404, "ACHIEVEMENT_NOT_FOUND")
    assert_error(await anna.get(f"{ACHIEVEMENTS}/status/{unknown}"), 404, "PRODUCT_NOT_FOUND")
    assert (await advance(anna, product_id, one.achievement_meta_id)).status == 400
    both = await advance(anna, product_id, one.achievement_meta_id, increment=1, current_progress=1)
    assert both.status == 400
    assert_error(await advance(anna, product_id, one.achievement_meta_id, increment=0), 400, "VALIDATION_ERROR")
    answer = await anna.get(f"{ACHIEVEMENTS}/status/{product_id}?sort_by=luck")
    assert_error(answer, 400, "INVALID_QUERY_PARAMETER")
    assert_error(await anna.with_token(None).get(f"{ACHIEVEMENTS}/status/{product_id}"), 401, "UNAUTHENTICATED")
