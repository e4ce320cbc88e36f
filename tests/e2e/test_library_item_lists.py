"""Items through the gateway, as any client sees them: filters, orders, changes, and what brings and takes them; contract section 2.
Search is in test_library_search.py, categories are in test_library_categories.py.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.clients import ITEMS, Answer, Api, Shop, assert_error, until

TITLES = ("Арбуз", "Берёза", "Вишня")
SESSIONS = "/api/v1/library/playtime/sessions"


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


async def change(api: Api, item_id: str, **attributes: Any) -> Answer:
    body = {"data": {"type": "libraryItemUpdate", "attributes": attributes}}
    return await api.call("PATCH", f"{ITEMS}/{item_id}", body=body)


async def titles(api: Api, query: str) -> list[str]:
    answer = await api.get(f"{ITEMS}?{query}")
    assert answer.status == 200, answer.document
    assert answer.document["meta"]["total_items"] == len(answer.data)
    return [item["attributes"]["title"] for item in answer.data]


async def bought(api: Api, shop: Shop, title: str = "Игра") -> dict[str, Any]:
    product_id = await shop.new_product(title)
    await shop.buy(api.user_id, product_id)
    return await api.owns(product_id)


async def test_items_are_filtered_and_come_in_every_order(shop: Shop, anna: Api) -> None:
    first, second, third = [await bought(anna, shop, title) for title in TITLES]
    for item in (third, first):  # `first` was played last
        product_id = item["attributes"]["product_id"]
        began = await anna.post(f"{SESSIONS}/start", "playtimeSessionStart", product_id=product_id)
        assert (await anna.post(f"{SESSIONS}/{began.data['id']}/end")).status == 200
    assert (await change(anna, second["id"], is_favorite=True)).status == 200
    assert (await change(anna, third["id"], is_hidden=True)).status == 200

    a, b, c = TITLES
    for query, found in {
        "": [b, a],
        "include_hidden=true": [c, b, a],
        "include_hidden=true&sort_by=name_asc": [a, b, c],
        "include_hidden=true&sort_by=name_desc": [c, b, a],
        "include_hidden=true&sort_by=last_played_desc": [a, c, b],
        "include_hidden=true&sort=-added_at": [c, b, a],
        "is_favorite=true": [b],
        "is_favorite=false&include_hidden=true": [c, a],
        "filter[is_favorite]=true&filter[include_hidden]=true": [b],
        "status=not_installed": [b, a],
        "status=installed": [],
        "status=repair_needed&include_hidden=true": [],
    }.items():
        assert await titles(anna, query) == found, query
    assert sorted(await titles(anna, "include_hidden=true&sort_by=playtime_desc")) == [a, b, c]
    for query in ("status=broken", "sort_by=luck", "is_favorite=perhaps", "is_favorite=true&filter[is_favorite]=true"):
        assert_error(await anna.get(f"{ITEMS}?{query}"), 400, "INVALID_QUERY_PARAMETER")


async def test_what_a_user_says_of_an_item_has_its_bounds(shop: Shop, anna: Api) -> None:
    item = await bought(anna, shop)
    assert (await change(anna, item["id"], user_rating=1, notes="x" * 4000)).status == 200
    for attributes in (
        {"user_rating": 0},
        {"user_rating": 6},
        {"user_rating": 2.5},
        {"notes": "x" * 4001},
        {"notes": "a\0b"},
        {"is_hidden": "yes"},
        {"category_ids": [str(uuid.uuid4())] * 101},
    ):
        assert_error(await change(anna, item["id"], **attributes), 400, "VALIDATION_ERROR")
    for attributes in ({"is_hidden": None}, {"is_favorite": None}):
        assert_error(await change(anna, item["id"], **attributes), 400, "INVALID_ARGUMENT")
    # What is not the user's to say is refused, and nothing of the request is done.
    refused = await change(anna, item["id"], total_playtime_seconds=1_000_000, notes="mine")
    assert refused.status == 400, refused.document
    shown = (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]
    assert (shown["user_rating"], len(shown["notes"]), shown["total_playtime_seconds"]) == (1, 4000, 0)


async def test_of_twenty_who_change_one_item_at_once_each_has_their_way(shop: Shop, anna: Api) -> None:
    item = await bought(anna, shop)
    changes: list[dict[str, Any]] = [{"notes": f"заметка {number}"} for number in range(5)]
    changes += [{"user_rating": rating} for rating in range(1, 6)]
    changes += [{"is_favorite": True}] * 5 + [{"is_hidden": True}] * 5

    answers = await asyncio.gather(*(change(anna, item["id"], **each) for each in changes))

    assert {answer.status for answer in answers} == {200}
    shown = (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]
    assert (shown["is_favorite"], shown["is_hidden"]) == (True, True)
    assert (shown["notes"].startswith("заметка"), shown["user_rating"] in range(1, 6)) == (True, True)


async def test_a_game_bought_twenty_times_at_once_is_one_item_that_goes_with_the_last_grant(
    shop: Shop, anna: Api
) -> None:
    product_id, marker = await shop.new_product(), await shop.new_product()
    orders = await asyncio.gather(*(shop.buy(anna.user_id, product_id) for _ in range(20)))
    item = await anna.owns(product_id)
    await shop.buy(anna.user_id, marker)
    await anna.owns(marker)  # a user's events are heard in their order: all orders have been
    listed = (await anna.get(ITEMS)).data
    assert [each["id"] for each in listed if each["attributes"]["product_id"] == product_id] == [item["id"]]

    await asyncio.gather(*(shop.refund(order_id) for order_id in orders[1:]))
    last = await shop.new_product()  # and so are refunds
    await shop.buy(anna.user_id, last)
    await anna.owns(last)
    assert (await anna.get(f"{ITEMS}/{item['id']}")).data == item

    await shop.refund(orders[0])

    async def is_gone() -> bool:
        return (await anna.get(f"{ITEMS}/{item['id']}")).status == 404

    await until(is_gone, "the item is still there after the last refund")
