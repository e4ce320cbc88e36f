"""The wishlist through the gateway, as any client sees it: contract section 2."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from tests.e2e.clients import Answer, Api, Shop, assert_error, until
from tests.e2e.running import Platform

WISHES = "/api/v1/library/wishlist/items"
NOTICE = "com.platform.library.wishlist.item.on_sale.v1"


async def add(api: Api, product_id: str, **attributes: Any) -> dict[str, Any]:
    added = await api.post(WISHES, "wishlistItemCreation", product_id=product_id, **attributes)
    assert added.status == 201, added.document
    return added.data


async def patch(api: Api, path: str, **attributes: Any) -> Answer:
    return await api.call("PATCH", path, body={"data": {"type": "wishlistItem", "attributes": attributes}})


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def boris(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


async def test_a_wish_is_added_shown_changed_listed_and_removed(shop: Shop, anna: Api) -> None:
    product_id, other_id = await shop.new_product("Чай"), await shop.new_product("Кофе")
    added = await anna.post(WISHES, "wishlistItemCreation", product_id=product_id, priority=3, notes="очень")
    assert added.status == 201, added.document
    path = f"{WISHES}/{added.data['id']}"
    assert added.headers["Location"] == added.data["links"]["self"] == path
    attributes = added.data["attributes"]
    assert (attributes["title"], attributes["priority"], attributes["notes"]) == ("Чай", 3, "очень")
    assert added.data["relationships"]["product"]["data"] == {"type": "product", "id": product_id}
    assert (await anna.get(path)).data == added.data

    other = await add(anna, other_id)
    listed = await anna.get(WISHES)
    assert [wish["id"] for wish in listed.data] == [added.data["id"], other["id"]]
    assert listed.document["meta"]["total_items"] == 2
    changed = await patch(anna, path, priority=0, notes=None)
    assert (changed.status, changed.data["attributes"]["notes"]) == (200, None)
    assert [wish["id"] for wish in (await anna.get(WISHES)).data] == [other["id"], added.data["id"]]
    assert [wish["id"] for wish in (await anna.get(f"{WISHES}?page=2&limit=1")).data] == [added.data["id"]]

    removed = await anna.call("DELETE", path)
    assert (removed.status, removed.document) == (204, None)
    for answer in (await anna.get(path), await anna.call("DELETE", path), await patch(anna, path, priority=1)):
        assert_error(answer, 404, "GAME_NOT_FOUND_IN_WISHLIST")


async def test_a_purchase_takes_the_wish_away(shop: Shop, anna: Api) -> None:
    product_id, other_id = await shop.new_product(), await shop.new_product()
    path = f"{WISHES}/{(await add(anna, product_id))['id']}"
    other = await add(anna, other_id)

    await shop.buy(anna.user_id, product_id)
    await anna.owns(product_id)

    async def is_gone() -> bool:
        return (await anna.get(path)).status == 404

    await until(is_gone, "the wish is still there")
    assert [wish["id"] for wish in (await anna.get(WISHES)).data] == [other["id"]]


async def test_each_refusal_has_its_code(shop: Shop, anna: Api, boris: Api) -> None:
    product_id = await shop.new_product()
    wish = await add(anna, product_id)
    path = f"{WISHES}/{wish['id']}"

    again = await anna.post(WISHES, "wishlistItem", product_id=product_id)
    assert_error(again, 409, "WISHLIST_ITEM_ALREADY_EXISTS")
    unknown = await anna.post(WISHES, "wishlistItem", product_id=str(uuid.uuid4()))
    assert_error(unknown, 404, "PRODUCT_NOT_FOUND")
    # Another user's wish is nobody's business.
    assert_error(await boris.get(path), 404, "GAME_NOT_FOUND_IN_WISHLIST")
    assert_error(await patch(boris, path, priority=1), 404, "GAME_NOT_FOUND_IN_WISHLIST")
    assert_error(await boris.call("DELETE", path), 404, "GAME_NOT_FOUND_IN_WISHLIST")
    assert (await boris.get(WISHES)).data == []
    assert (await add(boris, product_id))["id"] != wish["id"]
    # Bad input.
    for attributes in (
        {},
        {"product_id": "x"},
        {"product_id": product_id, "priority": -1},
        {"product_id": product_id, "notes": "x" * 4001},
        {"product_id": product_id, "notes": "a\0b"},
        {"product_id": product_id, "priority": "high"},
    ):
        assert_error(await anna.post(WISHES, "wishlistItem", **attributes), 400, "VALIDATION_ERROR")
    assert_error(await anna.get(f"{WISHES}/not-a-uuid"), 400, "VALIDATION_ERROR")
    assert_error(await anna.get(f"{WISHES}?limit=101"), 400, "VALIDATION_ERROR")
    assert_error(await patch(anna, path, priority=None), 400, "INVALID_ARGUMENT")
    assert_error(await anna.post(WISHES, "libraryItem", product_id=product_id), 409, "RESOURCE_TYPE_CONFLICT")
    own_id = {"data": {"type": "wishlistItem", "id": str(uuid.uuid4()), "attributes": {"product_id": product_id}}}
    assert_error(await anna.call("POST", WISHES, body=own_id), 403, "CLIENT_ID_NOT_SUPPORTED")
    another_id = {"data": {"type": "wishlistItem", "id": str(uuid.uuid4()), "attributes": {"priority": 1}}}
    assert_error(await anna.call("PATCH", path, body=another_id), 409, "RESOURCE_TYPE_CONFLICT")
    assert_error(await anna.call("PATCH", path, raw=b"{"), 400, "MALFORMED_JSON")
    assert_error(await anna.get(f"{WISHES}?colour=red"), 400, "INVALID_QUERY_PARAMETER")
    for refused in (
        await anna.with_token(None).get(WISHES),
        await anna.with_token(None).post(WISHES, "wishlistItem", product_id=product_id),
        await patch(anna.with_token(None), path, priority=1),
        await anna.with_token(None).call("DELETE", path),
    ):
        assert_error(refused, 401, "UNAUTHENTICATED")
    assert (await anna.get(path)).data == wish


async def test_of_twenty_wishes_for_one_game_at_once_one_is_kept(shop: Shop, anna: Api) -> None:
    product_id = await shop.new_product()

    answers = await asyncio.gather(
        *(anna.post(WISHES, "wishlistItemCreation", product_id=product_id) for _ in range(20))
    )

    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    assert (await anna.get(WISHES)).document["meta"]["total_items"] == 1


async def test_of_twenty_who_write_at_once_nothing_is_lost(shop: Shop, anna: Api) -> None:
    products = [await shop.new_product() for _ in range(20)]
    added = await asyncio.gather(*(add(anna, product_id) for product_id in products))
    assert len({wish["id"] for wish in added}) == 20
    paths = [f"{WISHES}/{wish['id']}" for wish in added]

    # Ten write the one attribute of one wish, ten the other: the last of each stays.
    changes: list[dict[str, Any]] = [{"priority": number} for number in range(1, 11)]
    changes += [{"notes": f"заметка {number}"} for number in range(1, 11)]
    changed = await asyncio.gather(*(patch(anna, paths[0], **change) for change in changes))
    assert {answer.status for answer in changed} == {200}
    kept = (await anna.get(paths[0])).data["attributes"]
    assert (kept["priority"] in range(1, 11), kept["notes"].startswith("заметка")) == (True, True)

    removed = await asyncio.gather(*(anna.call("DELETE", path) for path in [paths[0]] * 20))
    assert sorted(answer.status for answer in removed) == [204] + [404] * 19
    left = await anna.get(f"{WISHES}?limit=100")
    assert {wish["id"] for wish in left.data} == {wish["id"] for wish in added[1:]}


async def test_a_sale_is_one_notice_to_those_who_wish_for_it_and_none_to_others(
    platform: Platform, shop: Shop, new_user: Callable[[], Awaitable[Api]]
) -> None:
    game, other = await shop.new_product("Самовар"), await shop.new_product("Чайник")
    wisher, changed_mind, owner, stranger = [await new_user() for _ in range(4)]
    for user in (wisher, changed_mind, owner):
        wish = await add(user, game)
    await add(stranger, other)
    wishes = (await changed_mind.get(WISHES)).data
    assert (await changed_mind.call("DELETE", f"{WISHES}/{wishes[0]['id']}")).status == 204
    await shop.buy(owner.user_id, game)

    async def is_fulfilled() -> bool:
        return (await owner.get(f"{WISHES}/{wish['id']}")).status == 404

    await until(is_fulfilled, "the wish is still there")

    async def notices() -> list[tuple[str, str, int]]:
        connection = await asyncpg.connect(platform.private["dsns"]["library"])
        try:
            found = await connection.fetch(
                """SELECT partition_key, payload->>'saleId' AS sale, (payload->>'discountPercent')::int AS percent FROM outbox
                WHERE type = $1 AND payload->>'productId' = ANY ($2) AND published_at IS NOT NULL ORDER BY position""",
                NOTICE,
                [game, other],
            )
        finally:
            await connection.close()
        return [(row["partition_key"], row["sale"], row["percent"]) for row in found]

    async def is_told(expected: list[tuple[str, str, int]]) -> bool:
        told = await notices()
        assert told == expected[: len(told)]
        return len(told) == len(expected)

    first = await shop.discount(game, 40)
    expected = [(wisher.user_id, first, 40)]
    await until(lambda: is_told(expected), "the sale is not told")
    # Who wishes for it now knows the price; and with no discount there is nothing to tell.
    await add(changed_mind, game)
    await shop.discount(game, 0)
    expected.append((stranger.user_id, await shop.discount(other, 15), 15))
    await until(lambda: is_told(expected), "the other sale is not told")
    second = await shop.discount(game, 60)
    expected += sorted((user.user_id, second, 60) for user in (wisher, changed_mind))
    await until(lambda: is_told(expected), "the second sale is not told")


async def test_the_hundred_and_first_wish_is_422(shop: Shop, anna: Api) -> None:
    products = [await shop.new_product() for _ in range(103)]
    for start in range(0, 95, 10):  # all at once they would wait for each other longer than a busy machine lets them
        await asyncio.gather(*(add(anna, product_id) for product_id in products[start : min(start + 10, 95)]))

    last = await asyncio.gather(
        *(anna.post(WISHES, "wishlistItemCreation", product_id=product_id) for product_id in products[95:])
    )

    assert sorted(answer.status for answer in last) == [201] * 5 + [422] * 3
    assert {answer.codes[0] for answer in last if answer.status == 422} == {"WISHLIST_LIMIT_EXCEEDED"}
    assert (await anna.get(WISHES)).document["meta"]["total_items"] == 100
