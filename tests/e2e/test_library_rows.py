"""Every endpoint of the library (contract section 2), each asked the same questions: does it do what it is for, what does it tell a
stranger, does it meet each error that its method names, what does it say to bad input. An endpoint without its row fails here.
"""

import asyncio
import hashlib
import inspect
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from catalog.v1 import product_pb2
from google.protobuf import descriptor_pool
from rest.routes import ROUTES
from samovar.options.v1 import options_pb2

from chassis.errors.reasons import REASONS, reason_name
from gateway.contract import Route
from tests.contract.library import test_library_saves_port
from tests.e2e import test_library_saves, test_library_wishlist
from tests.e2e.clients import Answer, Api, Shop, assert_error, until
from tests.e2e.conftest import IssueToken
from tests.e2e.running import Platform

LIBRARY = "/api/v1/library"
BY_NAME = {route.rpc.rpartition(".")[2]: route for route in ROUTES if route.path.startswith(LIBRARY)}
"""`LibraryService/GetItem` → its route."""
STEPS = 1_000_000
"""Of an achievement that no test unlocks."""


@dataclass(frozen=True)
class Ask:
    """What is asked of an endpoint; `{name}` in a text stands for what the World has or makes under that name."""

    path: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] | None = None
    linkage: Sequence[str] | None = None
    query: str = ""
    if_match: str | None = None


@dataclass(frozen=True)
class Row:
    """What an endpoint is for, what meets each of its method's own errors, and what a stranger is told who asks the same; "" = it
    is the stranger's own that is asked for.
    """

    good: Ask
    stranger: str = ""
    refused: Mapping[str, Ask] = field(default_factory=dict)


ITEM, NO_ITEM = {"library_item_id": "{item}"}, {"library_item_id": "{nobody}"}
CATEGORY, NO_CATEGORY = {"category_id": "{category}"}, {"category_id": "{nobody}"}
WISH, NO_WISH = {"wishlist_item_id": "{wish}"}, {"wishlist_item_id": "{nobody}"}
SESSION, NO_SESSION = {"session_id": "{session}"}, {"session_id": "{nobody}"}
GAME, UNPLAYED, NO_GAME = {"product_id": "{game}"}, {"product_id": "{unplayed}"}, {"product_id": "{nobody}"}
SAVE, NO_SAVE = {"savegame_id": "{save}"}, {"savegame_id": "{nobody}"}
NO_SLOT, NO_VERSION = "SAVEGAME_SLOT_NOT_FOUND", "SAVEGAME_VERSION_NOT_FOUND"
UPLOAD = {"save_slot_name": "{new name}", "file_size_bytes": 3, "file_hash_sha256": "0" * 64}
STEP, SETTINGS, TOO_LARGE = {"increment": 1}, {"settings_payload": {"a": 1}}, {"settings_payload": {"a": "я" * 131_072}}

ROWS: Mapping[str, Row] = {
    "LibraryService/ListItems": Row(Ask(query="include_hidden=true&include=categories,product")),
    "LibraryService/GetItem": Row(
        Ask(ITEM), "LIBRARY_ITEM_NOT_FOUND", {"LIBRARY_ITEM_NOT_FOUND": Ask(NO_ITEM, query="include=product")}
    ),
    "LibraryService/UpdateItem": Row(
        Ask(ITEM, {"is_favorite": True, "user_rating": 5, "notes": "да", "category_ids": ["{category}"]}),
        "LIBRARY_ITEM_NOT_FOUND",
        {
            "LIBRARY_ITEM_NOT_FOUND": Ask(NO_ITEM, {"is_hidden": True}),
            "CATEGORY_NOT_FOUND": Ask(ITEM, {"is_hidden": True, "category_ids": ["{nobody}"]}),
        },
    ),
    "LibraryService/ListItemCategories": Row(
        Ask(ITEM), "LIBRARY_ITEM_NOT_FOUND", {"LIBRARY_ITEM_NOT_FOUND": Ask(NO_ITEM)}
    ),
    "LibraryService/GetItemCategoryLinkage": Row(
        Ask(ITEM), "LIBRARY_ITEM_NOT_FOUND", {"LIBRARY_ITEM_NOT_FOUND": Ask(NO_ITEM)}
    ),
    **{
        f"LibraryService/{name}ItemCategories": Row(
            Ask(ITEM, linkage=["{category}"]),
            "LIBRARY_ITEM_NOT_FOUND",
            {
                "LIBRARY_ITEM_NOT_FOUND": Ask(NO_ITEM, linkage=["{category}"]),
                "CATEGORY_NOT_FOUND": Ask(ITEM, linkage=["{category}", "{nobody}"]),
            },
        )
        for name in ("Add", "Replace")
    },
    "LibraryService/RemoveItemCategories": Row(
        Ask(ITEM, linkage=["{category}"]),
        "LIBRARY_ITEM_NOT_FOUND",
        {"LIBRARY_ITEM_NOT_FOUND": Ask(NO_ITEM, linkage=["{category}"])},
    ),
    "CategoryService/ListCategories": Row(Ask()),
    "CategoryService/CreateCategory": Row(
        Ask(attributes={"name": "{new name}", "display_order": 1}),
        refused={"CATEGORY_ALREADY_EXISTS": Ask(attributes={"name": "{name}"})},
    ),
    "CategoryService/GetCategory": Row(Ask(CATEGORY), "CATEGORY_NOT_FOUND", {"CATEGORY_NOT_FOUND": Ask(NO_CATEGORY)}),
    "CategoryService/UpdateCategory": Row(
        Ask(CATEGORY, {"display_order": 2}),
        "CATEGORY_NOT_FOUND",
        {
            "CATEGORY_NOT_FOUND": Ask(NO_CATEGORY, {"display_order": 2}),
            "CATEGORY_ALREADY_EXISTS": Ask({"category_id": "{new category}"}, {"name": "{name}"}),
        },
    ),
    "CategoryService/DeleteCategory": Row(
        Ask({"category_id": "{new category}"}), "CATEGORY_NOT_FOUND", {"CATEGORY_NOT_FOUND": Ask(NO_CATEGORY)}
    ),
    "PlaytimeTrackerService/StartPlaytimeSession": Row(
        Ask(attributes={"product_id": "{game}", "platform": "linux", "device_id": "{nobody}"}),
        "PRODUCT_ACCESS_DENIED",
        {"PRODUCT_ACCESS_DENIED": Ask(attributes={"product_id": "{new product}"})},
    ),
    "PlaytimeTrackerService/GetPlaytimeSession": Row(
        Ask(SESSION), "PLAYTIME_SESSION_NOT_FOUND", {"PLAYTIME_SESSION_NOT_FOUND": Ask(NO_SESSION)}
    ),
    "PlaytimeTrackerService/RecordPlaytimeHeartbeat": Row(
        Ask(SESSION, {"sequence": 1, "client_time": "2001-01-01T00:00:00Z"}),
        "PLAYTIME_SESSION_NOT_FOUND",
        {
            "PLAYTIME_SESSION_NOT_FOUND": Ask(NO_SESSION),
            "INVALID_STATE_TRANSITION": Ask({"session_id": "{ended session}"}, {"sequence": 1}),
        },
    ),
    "PlaytimeTrackerService/EndPlaytimeSession": Row(
        Ask({"session_id": "{new session}"}),
        "PLAYTIME_SESSION_NOT_FOUND",
        {"PLAYTIME_SESSION_NOT_FOUND": Ask(NO_SESSION)},
    ),
    "PlaytimeTrackerService/GetPlaytime": Row(Ask(query="product_ids={game}")),
    "AchievementService/ListAchievementStatus": Row(Ask(GAME), refused={"PRODUCT_NOT_FOUND": Ask(NO_GAME)}),
    "AchievementService/UpdateAchievementProgress": Row(
        Ask({**GAME, "achievement_meta_id": "{long}"}, STEP),
        "ACHIEVEMENT_PROGRESS_REJECTED",
        {
            "ACHIEVEMENT_NOT_FOUND": Ask({**GAME, "achievement_meta_id": "{nobody}"}, STEP),
            "ACHIEVEMENT_ALREADY_UNLOCKED": Ask({**GAME, "achievement_meta_id": "{unlocked}"}, STEP),
            "ACHIEVEMENT_PROGRESS_REJECTED": Ask({**UNPLAYED, "achievement_meta_id": "{locked}"}, STEP),
        },
    ),
    "WishlistService/ListWishlistItems": Row(Ask(query="include=product")),
    "WishlistService/GetWishlistItem": Row(
        Ask(WISH), "GAME_NOT_FOUND_IN_WISHLIST", {"GAME_NOT_FOUND_IN_WISHLIST": Ask(NO_WISH, query="include=product")}
    ),
    "WishlistService/AddWishlistItem": Row(
        Ask(attributes={"product_id": "{new product}", "priority": 7, "notes": "ах"}),
        refused={
            "PRODUCT_NOT_FOUND": Ask(attributes={"product_id": "{nobody}"}),
            "PRODUCT_ALREADY_OWNED": Ask(attributes={"product_id": "{game}"}),
            "WISHLIST_ITEM_ALREADY_EXISTS": Ask(attributes={"product_id": "{wished}"}),
        },
    ),
    "WishlistService/UpdateWishlistItem": Row(
        Ask(WISH, {"priority": 3, "notes": None}),
        "GAME_NOT_FOUND_IN_WISHLIST",
        {"GAME_NOT_FOUND_IN_WISHLIST": Ask(NO_WISH, {"priority": 3})},
    ),
    "WishlistService/RemoveWishlistItem": Row(
        Ask({"wishlist_item_id": "{new wish}"}),
        "GAME_NOT_FOUND_IN_WISHLIST",
        {"GAME_NOT_FOUND_IN_WISHLIST": Ask(NO_WISH)},
    ),
    "GameSettingsSyncService/GetGameSettings": Row(
        Ask(GAME), "GAME_SETTINGS_NOT_FOUND", {"GAME_SETTINGS_NOT_FOUND": Ask(UNPLAYED)}
    ),
    **{
        f"GameSettingsSyncService/{name}GameSettings": Row(
            Ask(GAME, SETTINGS, if_match="*"),
            "PRODUCT_ACCESS_DENIED",
            {
                "PRODUCT_ACCESS_DENIED": Ask({"product_id": "{new product}"}, SETTINGS, if_match="*"),
                "PRECONDITION_REQUIRED": Ask(GAME, SETTINGS),
                "SETTINGS_VERSION_CONFLICT": Ask(GAME, SETTINGS, if_match='"0"'),
                "PAYLOAD_TOO_LARGE": Ask(GAME, TOO_LARGE, if_match="*"),
                **more,
            },
        )
        for name, more in {
            "Put": {},
            "Patch": {"GAME_SETTINGS_NOT_FOUND": Ask(UNPLAYED, SETTINGS, if_match="*")},
        }.items()
    },
    "CloudSaveService/ListSavegames": Row(Ask(query="product_id={game}")),
    "CloudSaveService/GetSavegame": Row(Ask(SAVE), NO_SLOT, {NO_SLOT: Ask(NO_SAVE)}),
    "CloudSaveService/UpdateSavegame": Row(
        Ask(SAVE, {"comment": "перед боссом"}), NO_SLOT, {NO_SLOT: Ask(NO_SAVE, {"comment": None})}
    ),
    "CloudSaveService/DeleteSavegame": Row(
        Ask({"savegame_id": "{new save}"}),
        NO_SLOT,
        {NO_SLOT: Ask(NO_SAVE), "SAVEGAME_VERSION_CONFLICT": Ask(SAVE, query="base_version=99")},
    ),
    "CloudSaveService/ListSavegameVersions": Row(Ask(SAVE), NO_SLOT, {NO_SLOT: Ask(NO_SAVE)}),
    "CloudSaveService/CreateUploadUrl": Row(
        Ask(attributes={**UPLOAD, "product_id": "{game}", "device_id": "{nobody}"}),
        "PRODUCT_ACCESS_DENIED",
        {
            "PRODUCT_ACCESS_DENIED": Ask(attributes={**UPLOAD, "product_id": "{new product}"}),
            "SAVEGAME_FILE_TOO_LARGE": Ask(
                attributes={**UPLOAD, "product_id": "{game}", "file_size_bytes": (50 << 20) + 1}
            ),
        },
    ),
    "CloudSaveService/ConfirmUpload": Row(
        Ask(attributes={"internal_save_id": "{new upload}"}),
        "SAVEGAME_UPLOAD_NOT_FOUND",
        {
            "SAVEGAME_UPLOAD_NOT_FOUND": Ask(attributes={"internal_save_id": "{nobody}"}),
        },
    ),
    "CloudSaveService/CreateDownloadUrl": Row(
        Ask(attributes={"savegame_id": "{save}"}),
        NO_SLOT,
        {
            NO_SLOT: Ask(attributes={"savegame_id": "{nobody}"}),
            NO_VERSION: Ask(attributes={"savegame_id": "{save}", "version": 99}),
        },
    ),
    **{
        f"CloudSaveService/{name}SavegameVersion": Row(
            Ask({**SAVE, "version": "1"}),
            NO_SLOT,
            {NO_SLOT: Ask({**NO_SAVE, "version": "1"}), NO_VERSION: Ask({**SAVE, "version": "99"})},
        )
        for name in ("Restore", "Lock", "Unlock")
    },
    "CloudSaveService/DeleteSavegameVersion": Row(
        Ask({"savegame_id": "{new grown save}", "version": "1"}),
        NO_SLOT,
        {
            NO_SLOT: Ask({**NO_SAVE, "version": "1"}),
            NO_VERSION: Ask({**SAVE, "version": "99"}),
            "INVALID_STATE_TRANSITION": Ask({**SAVE, "version": "1"}),
        },
    ),
    "CloudSaveService/ResolveSavegameConflict": Row(
        Ask({"savegame_id": "{new conflicting save}"}, {"keep": "both"}),
        NO_SLOT,
        {
            NO_SLOT: Ask(NO_SAVE, {"keep": "cloud"}),
            "INVALID_STATE_TRANSITION": Ask(SAVE, {"keep": "local"}),
            "SAVEGAME_VERSION_CONFLICT": Ask(
                {"savegame_id": "{new conflicting save}"}, {"keep": "cloud", "conflict_version": 99}
            ),
        },
    ),
    "CloudSaveService/GetSavegameQuota": Row(Ask()),
}

ELSEWHERE = {
    ("WishlistService/AddWishlistItem", "WISHLIST_LIMIT_EXCEEDED"): (
        test_library_wishlist.test_the_hundred_and_first_wish_is_422
    ),
    ("CloudSaveService/ConfirmUpload", "SAVEGAME_VERSION_CONFLICT"): (
        test_library_saves.test_a_conflict_is_409_with_both_numbers_and_ends_as_the_user_wants
    ),
    ("CloudSaveService/ConfirmUpload", "FILE_HASH_MISMATCH"): (
        test_library_saves_port.test_other_bytes_in_the_store_are_refused
    ),
    **{
        (f"CloudSaveService/{name}", "USER_QUOTA_EXCEEDED"): (
            test_library_saves.test_a_user_whose_saves_take_up_the_quota_is_told_422
        )
        for name in ("CreateUploadUrl", "RestoreSavegameVersion", "ResolveSavegameConflict")
    },
}
"""What takes a hundred requests to meet, or a store that lies, has a test of its own."""


@dataclass(frozen=True)
class Request:
    """What an Ask comes to."""

    route: Route
    method: str
    path: str
    query: str
    body: Any
    headers: Mapping[str, str]

    async def by(self, api: Api) -> Answer:
        path = f"{self.path}?{self.query}" if self.query else self.path
        raw = self.body if isinstance(self.body, bytes) else None
        return await api.call(self.method, path, body=None if raw is not None else self.body, raw=raw, **self.headers)

    def with_data(self, **members: Any) -> "Request":
        """The same with other members of `data`, or of the first resource identifier there."""
        data = self.body["data"]
        changed = [{**data[0], **members}] if isinstance(data, list) else {**data, **members}
        return replace(self, body={"data": changed})

    def with_header(self, **headers: str) -> "Request":
        return replace(self, headers={**self.headers, **headers})


class World:
    """Anna, who has one of everything, and boris, who has nothing."""

    def __init__(self, anna: Api, boris: Api, shop: Shop, ids: dict[str, str]) -> None:
        self.anna = anna
        self.boris = boris
        self.shop = shop
        self.ids = ids

    async def request(self, route: Route, ask: Ask) -> Request:
        path = route.path
        for name, value in ask.path.items():
            path = path.replace(f"{{{name}}}", await self._named(value))
        body = None
        if ask.linkage is not None:
            assert route.linkage is not None
            body = {"data": [{"type": route.linkage.type, "id": await self._named(one)} for one in ask.linkage]}
        elif ask.attributes is not None:
            kind = (*route.request_types, route.resource_type)[0]
            body = {"data": {"type": kind, "attributes": await self._named(ask.attributes)}}
        headers = {} if ask.if_match is None else {"If_Match": ask.if_match}
        return Request(route, route.method, path, await self._named(ask.query), body, headers)

    async def _named(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: await self._named(one) for key, one in value.items()}
        if isinstance(value, list):
            return [await self._named(one) for one in value]
        for name in re.findall(r"\{([\w ]+)\}", value) if isinstance(value, str) else ():
            found = self.ids[name] if name in self.ids else await self.new(name)
            value = value.replace(f"{{{name}}}", found)
        return value

    async def new(self, name: str) -> str:
        """Makes what can be used once; returns its id."""
        match name:
            case "new name":
                return uuid.uuid4().hex
            case "new product":
                return await self.shop.new_product("Новинка")
            case "new category":
                return await self.make("categories", "userCategory", name=uuid.uuid4().hex)
            case "new wish":
                return await self.make("wishlist/items", "wishlistItem", product_id=await self.new("new product"))
            case "new session":
                return await self.make("playtime/sessions/start", "playtimeSession", product_id=self.ids["game"])
            case _:
                return await self._new_save(name)

    async def _new_save(self, name: str) -> str:
        slot = uuid.uuid4().hex
        if name == "new upload":
            return await self._upload(slot=slot, content=b"one")
        made = await self._save(slot, b"one")
        match name:
            case "new save":
                return made
            case "new grown save":
                return await self._save(slot, b"two", base=1)
            case "new conflicting save":
                await self._confirm(await self._upload(slot=slot, content=b"other"), 409)
                return made
            case _:
                raise KeyError(name)

    async def _upload(self, *, slot: str, content: bytes, base: int | None = None) -> str:
        attributes = {
            "product_id": self.ids["game"],
            "save_slot_name": slot,
            "file_size_bytes": len(content),
            "file_hash_sha256": hashlib.sha256(content).hexdigest(),
            **({} if base is None else {"base_version": base}),
        }
        signed = await self.anna.post(f"{LIBRARY}/savegames/upload-url", "savegameUploadRequest", **attributes)
        assert signed.status == 200, signed.document
        target = signed.data["attributes"]
        put = await self.anna.http.put(target["upload_url"], data=content, headers=target["headers"])
        assert put.status == 200, await put.text()
        return str(signed.data["id"])

    async def _confirm(self, upload_id: str, status: int = 200) -> Answer:
        confirmed = await self.anna.post(
            f"{LIBRARY}/savegames/confirm-upload", "savegameUploadConfirmation", internal_save_id=upload_id
        )
        assert confirmed.status == status, confirmed.document
        return confirmed

    async def _save(self, slot: str, content: bytes, *, base: int | None = None) -> str:
        return str((await self._confirm(await self._upload(slot=slot, content=content, base=base))).data["id"])

    async def make(self, collection: str, kind: str, **attributes: Any) -> str:
        """Returns the id of what anna has made."""
        made = await self.anna.post(f"{LIBRARY}/{collection}", kind, **attributes)
        assert made.status == 201, made.document
        return str(made.data["id"])

    async def has_one_of_everything(self) -> None:
        ids, anna = self.ids, self.anna
        meta_ids = {name: str(uuid.uuid4()) for name in ("long", "unlocked", "locked")}
        ids.update(meta_ids, nobody=str(uuid.uuid4()), name=uuid.uuid4().hex)
        long, unlocked, locked = (
            product_pb2.Achievement(achievement_meta_id=meta_id, total_progress_needed=total)
            for meta_id, total in zip(meta_ids.values(), (STEPS, 1, 1), strict=True)
        )
        ids["game"] = await self.shop.new_product("Игра", [long, unlocked])
        ids["unplayed"] = await self.shop.new_product("Нетронутая", [locked])
        for product_id in (ids["game"], ids["unplayed"]):
            await self.shop.buy(anna.user_id, product_id)
        ids["category"] = await self.make("categories", "userCategory", name=ids["name"])
        ids["wished"] = await self.new("new product")
        ids["wish"] = await self.make("wishlist/items", "wishlistItem", product_id=ids["wished"])
        await anna.owns(ids["unplayed"])
        ids["item"] = (await anna.owns(ids["game"]))["id"]
        ids["ended session"] = await self.new("new session")
        for path, kind, attributes in (
            (f"playtime/sessions/{ids['ended session']}/end", "playtimeSession", {}),
            (f"achievements/{ids['game']}/{ids['unlocked']}/progress", "achievementProgress", STEP),
        ):
            done = await anna.post(f"{LIBRARY}/{path}", kind if attributes else None, **attributes)
            assert done.status == 200, done.document
        ids["save"] = await self._save("Слот 1", b"saved")
        settings = {"data": {"type": "gameSettings", "attributes": SETTINGS}}
        put = await anna.call("PUT", f"{LIBRARY}/game-settings/{ids['game']}", body=settings)
        assert put.status == 200, put.document

        async def titled() -> bool:
            items = (await anna.get(f"{LIBRARY}/items")).data
            return all(item["attributes"]["title"] for item in items)

        await until(titled, "titles of Catalog's are not there")

    async def shown(self) -> Mapping[str, Any]:
        """All that anna sees; how rare an achievement is comes a little later."""
        seen = {}
        for name, row in ROWS.items():
            if BY_NAME[name].method == "GET":
                answer = await (await self.request(BY_NAME[name], row.good)).by(self.anna)
                assert answer.status == 200, answer.document
                seen[name] = re.sub(r'"rarity_percentage": [\d.]+', "", json.dumps(answer.data))
        return seen


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What the first test makes and all others use: HTTP sessions belong to one test's loop, users do not."""
    return {}


@pytest.fixture
async def world(
    platform: Platform,
    http: aiohttp.ClientSession,
    shop: Shop,
    new_user: Callable[[], Awaitable[Api]],
    made: dict[str, Any],
) -> World:
    if not made:
        world = World(await new_user(), await new_user(), shop, {})
        await world.has_one_of_everything()
        made.update(anna=world.anna.token, boris=world.boris.token, ids=world.ids)
    url = platform.ready["gateway_url"]
    world = World(Api(url, made["anna"], http), Api(url, made["boris"], http), shop, made["ids"])
    world.ids["session"] = await world.new("new session")  # one that was not heard for long would end
    return world


def _errors(route: Route) -> set[str]:
    """What the method says of itself that it may answer."""
    method: Any = descriptor_pool.Default().FindMethodByName(route.rpc.lstrip("/").replace("/", "."))
    return set(method.GetOptions().Extensions[options_pb2.errors].reasons)


def test_every_endpoint_of_the_library_has_its_row_and_every_error_of_its_its_request() -> None:
    assert ROWS.keys() == BY_NAME.keys()
    assert len(ROWS) >= 28
    for name, row in ROWS.items():
        elsewhere = {code for method, code in ELSEWHERE if method == name}
        assert {*row.refused, *elsewhere} == _errors(BY_NAME[name]), name
        assert row.refused.keys().isdisjoint(elsewhere)
        assert row.stranger in {"", *_errors(BY_NAME[name])}
    for (_, code), test in ELSEWHERE.items():
        assert code in inspect.getsource(test)


async def test_each_does_what_it_is_for(world: World) -> None:
    for name, row in ROWS.items():
        route = BY_NAME[name]
        answer = await (await world.request(route, row.good)).by(world.anna)
        assert answer.status == route.success_status, (name, answer.document)
        if route.no_content:
            assert answer.document is None, name
            continue
        shown = answer.data if isinstance(answer.data, list) else [answer.data]
        assert shown, name
        kind = "userCategory" if "/relationships/" in route.path else route.resource_type
        assert {one["type"] for one in shown} == {kind}, name
        if route.location:
            assert answer.headers["Location"] == answer.data["links"]["self"], name
        for one in shown:  # what has an address is there
            if "self" in one.get("links", {}):
                assert (await world.anna.get(one["links"]["self"])).data["id"] == one["id"], name


async def test_each_value_of_a_parameter_is_understood(world: World) -> None:
    tried = 0
    for name, row in ROWS.items():
        request = await world.request(BY_NAME[name], row.good)
        for parameter, value in _values(BY_NAME[name]):
            answer = await replace(request, query=f"{request.query}&{parameter}={value}".lstrip("&")).by(world.anna)
            assert answer.status == 200, (name, parameter, value, answer.document)
            tried += 1
    assert tried >= 15


def _values(route: Route) -> Iterator[tuple[str, str]]:
    """Every value of every closed set in the query."""
    for one in route.request_type.DESCRIPTOR.fields:
        if one.enum_type is not None and route.pointers[one.name].startswith("?"):
            for value in one.enum_type.values:
                if value.number:
                    yield one.name, reason_name(one.enum_type.name, value.name).lower()


async def test_what_comes_again_with_its_key_is_done_once(world: World) -> None:
    posts = [name for name, route in BY_NAME.items() if route.method == "POST" and not route.signed_urls]
    assert len(posts) >= 12
    for name in posts:
        request = (await world.request(BY_NAME[name], ROWS[name].good)).with_header(Idempotency_Key=uuid.uuid4().hex)
        first, again = await request.by(world.anna), await request.by(world.anna)
        assert first.status == request.route.success_status, (name, first.document)
        assert (again.status, again.document) == (first.status, first.document), name
        assert again.headers["Idempotency-Replayed"] == "true", name
        if request.route.has_body:
            other = await replace(request, body={"data": None}).by(world.anna)
            assert_error(other, 422, "IDEMPOTENCY_KEY_REUSED")


async def test_of_twenty_that_come_at_once_with_one_key_one_is_done(world: World) -> None:
    route = BY_NAME["AchievementService/UpdateAchievementProgress"]
    request = await world.request(route, ROWS["AchievementService/UpdateAchievementProgress"].good)
    before = (await request.by(world.anna)).data["attributes"]["current_progress"]["current"]
    request = request.with_header(Idempotency_Key=uuid.uuid4().hex)

    answers = await asyncio.gather(*(request.by(world.anna) for _ in range(20)))

    told = [answer.data for answer in answers if answer.status == 200]
    assert told[0]["attributes"]["current_progress"]["current"] == before + 1
    assert all(each == told[0] for each in told)
    for answer in answers:
        assert answer.status == 200 or answer.codes == ["IDEMPOTENCY_KEY_IN_USE"]
    listed = (await world.anna.get(f"{LIBRARY}/achievements/status/{world.ids['game']}")).data
    long = next(each for each in listed if each["id"] == world.ids["long"])
    assert long["attributes"]["current_progress"]["current"] == before + 1


async def test_each_error_of_a_method_is_met_and_changes_nothing(world: World) -> None:
    asked = [
        (code, await world.request(BY_NAME[name], ask))
        for name, row in ROWS.items()
        for code, ask in row.refused.items()
    ]
    before = await world.shown()
    for code, request in asked:
        assert_error(await request.by(world.anna), REASONS[code].http, code)
    assert await world.shown() == before


async def test_a_stranger_sees_and_changes_nothing_of_anybodys(world: World) -> None:
    asked = [(row.stranger, await world.request(BY_NAME[name], row.good)) for name, row in ROWS.items()]
    before = await world.shown()
    private = [world.anna.user_id, *(world.ids[name] for name in ("item", "category", "wish", "session"))]
    for code, request in asked:
        answer = await request.by(world.boris)
        if code:
            assert_error(answer, REASONS[code].http, code)
            continue
        assert answer.status == request.route.success_status, (request, answer.document)
        assert not [one for one in private if one in json.dumps(answer.document)], request
    assert await world.shown() == before


async def test_bad_input_is_told_where_it_is_and_changes_nothing(world: World, issue_token: IssueToken) -> None:
    expired = world.anna.with_token(await issue_token(user_id=world.anna.user_id, ttl_seconds=-3600))
    guest = world.anna.with_token(await issue_token(user_id=world.anna.user_id, roles=["guest"]))
    requests = [await world.request(BY_NAME[name], row.good) for name, row in ROWS.items()]
    before = await world.shown()
    for request in requests:
        assert_error(await request.by(world.anna.with_token(None)), 401, "UNAUTHENTICATED")
        assert_error(await request.by(expired), 401, "TOKEN_EXPIRED")
        assert_error(await request.by(guest), 403, "PERMISSION_DENIED")
        for code, wrong in (*_wrong_anyhow(request), *_wrong_bodies(request)):
            assert_error(await wrong.by(world.anna), REASONS[code].http, code)
        for source, wrong in _wrong_values(request):
            answer = await wrong.by(world.anna)
            assert_error(answer, 400, answer.codes[0])
            assert set(answer.codes) <= {"VALIDATION_ERROR", "INVALID_QUERY_PARAMETER"}, (request, answer.document)
            told = [next(iter(error["source"].values())) for error in answer.document["errors"]]
            assert [one for one in told if one.startswith(source)], (request, source, answer.document)
    assert await world.shown() == before


def _wrong_anyhow(request: Request) -> Iterator[tuple[str, Request]]:
    yield "INVALID_QUERY_PARAMETER", replace(request, query=f"{request.query}&colour=red".lstrip("&"))
    yield "NOT_ACCEPTABLE", request.with_header(Accept="text/html")


def _wrong_bodies(request: Request) -> Iterator[tuple[str, Request]]:
    if not request.route.has_body:
        return
    yield "MALFORMED_JSON", replace(request, body=b"{")
    yield "UNSUPPORTED_MEDIA_TYPE", replace(request, body=b"<a/>").with_header(Content_Type="text/xml")
    yield "RESOURCE_TYPE_CONFLICT", request.with_data(type="samovar")
    if request.route.linkage is None:
        is_create = request.route.document_id_parameter is None
        code = "CLIENT_ID_NOT_SUPPORTED" if is_create else "RESOURCE_TYPE_CONFLICT"
        yield code, request.with_data(id=str(uuid.uuid4()))


def _wrong_values(request: Request) -> Iterator[tuple[str, Request]]:
    """A value that cannot be, everywhere where there can be one; with the beginning of where it is."""
    for place in request.route.pointers.values():
        if place.startswith("?"):
            yield place[1:], replace(request, query=f"{place[1:]}=%00")
        elif place.startswith("{"):
            at = request.route.path.split("/").index(place)
            parts = request.path.split("/")
            yield place.strip("{}"), replace(request, path="/".join([*parts[:at], "not-a-uuid", *parts[at + 1 :]]))
        elif place == "/data/@":
            yield "/data/0/id", request.with_data(id="not-a-uuid")
        elif place.startswith("/data/attributes/"):
            yield place, request.with_data(attributes={place.rpartition("/")[2]: [["?"]]})
