"""The library's live stream through the gateway, as any client sees it: contract section 4."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from catalog.v1 import product_pb2

from tests.e2e.clients import ITEMS, LIBRARY_UPDATES, Api, CommandLine, Heard, Shop, until
from tests.e2e.conftest import IssueToken

LIBRARY = "/api/v1/library"
CATEGORIES = f"{LIBRARY}/categories"
TOKEN_SECONDS = 3


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def boris(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


async def make_category(api: Api) -> str:
    made = await api.post(CATEGORIES, "userCategory", name=str(uuid.uuid4()))
    assert made.status == 201, made.document
    return str(made.data["id"])


def is_of(category_id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda envelope: envelope["payload"].get("category_id") == category_id


async def first(heard: Heard, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first event of the kind, as soon as it is told."""

    async def find() -> dict[str, Any] | None:
        return next(filter(matches, heard.envelopes), None)

    found: dict[str, Any] = await until(find, lambda: f"not told; only {heard.envelopes}")
    return found


@contextlib.asynccontextmanager
async def listening(api: Api) -> AsyncIterator[Heard]:
    """Events from the moment on at which the stream surely stands; nothing of what it took to find that out is among them."""
    async with api.watching(LIBRARY_UPDATES) as heard:

        async def stands() -> bool:
            await make_category(api)
            return bool(heard.envelopes)

        await until(stands, "nothing is told")
        await first(heard, is_of(await make_category(api)))
        heard.envelopes.clear()
        yield heard


async def change(api: Api, item_id: str, **attributes: Any) -> None:
    body = {"data": {"type": "libraryItemUpdate", "attributes": attributes}}
    changed = await api.call("PATCH", f"{ITEMS}/{item_id}", body=body)
    assert changed.status == 200, changed.document


async def test_what_happens_in_a_library_is_told_to_its_user_in_order_and_to_nobody_else(
    shop: Shop, anna: Api, boris: Api
) -> None:
    meta_id = str(uuid.uuid4())
    names = product_pb2.LocalizedText(ru="Мастер", en="Master")
    achievement = product_pb2.Achievement(achievement_meta_id=meta_id, names=names, total_progress_needed=1)
    product_id = await shop.new_product(achievements=[achievement])
    async with listening(boris) as other, listening(anna) as heard:
        wish = await anna.post(f"{LIBRARY}/wishlist/items", "wishlistItemCreation", product_id=product_id)
        assert wish.status == 201, wish.document
        order_id = await shop.buy(anna.user_id, product_id)
        item = await anna.owns(product_id)
        await change(anna, item["id"], is_favorite=True, user_rating=5)
        stored = await anna.call(
            "PUT",
            f"{LIBRARY}/game-settings/{product_id}",
            body={"data": {"type": "gameSettings", "attributes": {"settings_payload": {"sound": 7}}}},
        )
        assert stored.status == 200, stored.document
        began = await anna.post(f"{LIBRARY}/playtime/sessions/start", "playtimeSessionStart", product_id=product_id)
        assert began.status == 201, began.document
        unlocked = await anna.post(
            f"{LIBRARY}/achievements/{product_id}/{meta_id}/progress", "achievementProgress", current_progress=1
        )
        assert unlocked.status == 200, unlocked.document
        assert (await anna.post(f"{LIBRARY}/playtime/sessions/{began.data['id']}/end")).status == 200
        await shop.refund(order_id)
        await first(heard, lambda one: one["event_type"] == "library.item.removed")
        # Whatever was told to others by mistake would have come before this.
        await first(other, is_of(await make_category(boris)))

    assert [one["event_type"] for one in heard.envelopes] == [
        "wishlist.updated",
        "library.item.added",
        "wishlist.updated",
        "library.item.updated",
        "game_settings.updated",
        "achievement.unlocked",
        "playtime.updated",
        "library.item.removed",
    ]
    assert all(set(one) == {"event_type", "id", "timestamp", "payload"} for one in heard.envelopes)
    payloads = [one["payload"] for one in heard.envelopes]
    assert [one["change"] for one in (payloads[0], payloads[2])] == ["added", "removed"]
    assert payloads[1] | {"added_at": None} == {
        "library_item_id": item["id"],
        "product_id": product_id,
        "acquisition_type": "purchase",
        "added_at": None,
    }
    assert payloads[3] == {
        "library_item_id": item["id"],
        "product_id": product_id,
        "changes": {"is_favorite": True, "user_rating": 5},
    }
    shown = {"product_id": product_id, "achievement_id": meta_id, "achievement_name": "Мастер", "unlocked_at": None}
    assert payloads[5] | {"unlocked_at": None} == shown
    assert payloads[6]["session_id"] == began.data["id"]
    assert (payloads[7]["product_id"], payloads[7]["reason"]) == (product_id, "refund")
    assert [one["event_type"] for one in other.envelopes] == ["category.updated"]


async def test_a_sale_is_told_to_who_wishes_for_the_game_and_to_nobody_else(shop: Shop, anna: Api, boris: Api) -> None:
    product_id = await shop.new_product()
    wish = await anna.post(f"{LIBRARY}/wishlist/items", "wishlistItemCreation", product_id=product_id)
    assert wish.status == 201, wish.document
    async with listening(boris) as other, listening(anna) as heard:
        sale_id = await shop.discount(product_id, 30)
        told = await first(heard, lambda one: one["event_type"] == "wishlist.sale")
        await first(other, is_of(await make_category(boris)))

    payload = told["payload"]
    assert (payload["product_id"], payload["sale_id"], payload["discount_percent"]) == (product_id, sale_id, 30)
    assert payload["ends_at"].endswith("Z")
    assert [one["event_type"] for one in heard.envelopes] == ["wishlist.sale"]
    assert [one["event_type"] for one in other.envelopes] == ["category.updated"]


async def test_who_comes_back_with_the_last_event_gets_what_was_missed_and_no_more(anna: Api, boris: Api) -> None:
    async with listening(anna) as heard:
        seen = await first(heard, is_of(await make_category(anna)))
    missed = [await make_category(anna) for _ in range(3)]
    async with anna.watching(LIBRARY_UPDATES, last_event_id=seen["id"]) as heard:
        await first(heard, is_of(missed[-1]))
        assert [one["payload"]["category_id"] for one in heard.envelopes] == missed
        again = heard.envelopes[1]["id"]
    async with anna.watching(LIBRARY_UPDATES, last_event_id=again) as heard:
        await first(heard, is_of(missed[-1]))
        assert [one["payload"]["category_id"] for one in heard.envelopes] == missed[-1:]
    for place in (seen["id"], "nonsense"):
        async with boris.watching(LIBRARY_UPDATES, last_event_id=place) as heard:
            told = await first(heard, lambda one: one["event_type"] == "resync_required")
            assert told["payload"] == {"reason": "unknown_id"}
            # From there on nothing is missed.
            made = await make_category(boris)
            await first(heard, is_of(made))
            kinds = [one["event_type"] for one in heard.envelopes]
            assert kinds == ["resync_required", "category.updated"], heard.envelopes


async def test_the_same_events_come_as_server_sent_events(anna: Api) -> None:
    async with listening(anna) as heard:
        seen = await first(heard, is_of(await make_category(anna)))
    made = await make_category(anna)
    headers = {"Authorization": f"Bearer {anna.token}", "Accept": "text/event-stream", "Last-Event-ID": seen["id"]}
    async with anna.http.get(anna.url + LIBRARY_UPDATES, headers=headers) as answer, asyncio.timeout(20):
        assert answer.status == 200
        told: dict[str, str] = {}
        while "data" not in told:
            name, _, value = (await answer.content.readline()).decode().strip().partition(": ")
            told[name] = value
    assert told["event"] == "category.updated"
    assert json.loads(told["data"])["payload"] == {"user_id": anna.user_id, "category_id": made, "change": "created"}


async def farewell(api: Api, bearer: str) -> tuple[list[str], int | None]:
    """The codes that a client is told at the end, and the close code."""
    async with api.with_token(bearer).watching(LIBRARY_UPDATES) as heard:

        async def is_closed() -> bool:
            return heard.close_code is not None

        await until(is_closed, "the socket stays open")
    return [one["payload"]["code"] for one in heard.envelopes if one["event_type"] == "stream.error"], heard.close_code


async def test_who_may_not_listen_is_told_why_and_closed(issue_token: IssueToken, anna: Api) -> None:
    assert await farewell(anna, "rubbish") == (["UNAUTHENTICATED"], 4401)
    assert await farewell(anna, await issue_token(user_id=anna.user_id, ttl_seconds=-5)) == (["TOKEN_EXPIRED"], 4401)
    soon_over = await issue_token(user_id=anna.user_id, ttl_seconds=TOKEN_SECONDS)
    assert await farewell(anna, soon_over) == (["TOKEN_EXPIRED"], 4401)
    guest = await issue_token(user_id=anna.user_id, roles=["guest"])
    assert await farewell(anna, guest) == (["PERMISSION_DENIED"], 4403)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await anna.http.ws_connect(
            anna.url + LIBRARY_UPDATES,
            headers={"Authorization": f"Bearer {anna.token}", "Origin": "https://elsewhere.example"},
        )
    assert refused.value.status == 403


async def test_the_launcher_shows_what_happens(samovar: CommandLine, anna: Api) -> None:
    await samovar.login(anna)
    made: list[str] = []
    is_over = asyncio.Event()

    async def keep_making() -> None:
        while not is_over.is_set():
            made.append(await make_category(anna))
            await asyncio.sleep(0.1)

    # The last one that is shown may be told before it is answered to who makes it.
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_making())
        shown = [json.loads(line) for line in (await samovar.ok("watch", "--count", "3", "--json")).splitlines()]
        is_over.set()
    assert [one["event"] for one in shown] == ["category.updated"] * 3, shown
    told = [one["payload"]["category_id"] for one in shown]
    assert told[0] in made, (told, made)
    begin = made.index(told[0])
    assert told == made[begin : begin + 3]
    out = await samovar.run("watch", "--count", "1", token="rubbish")
    assert (out[0], "samovar:" in out[2]) == (3, True)
