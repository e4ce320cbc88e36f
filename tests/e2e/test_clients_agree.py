"""Every unary method that REST has, asked by three clients that share no code: what it says when it is asked well, by nobody, for
nothing that is there, and with nothing in the request.
"""

import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from rest.routes import ROUTES

from chassis.errors.reasons import REASONS
from gateway.contract import Route
from tests.e2e.clients import Api, CommandLine, Shop, until
from tests.e2e.conftest import Platform
from tests.e2e.three_ways import Outcome, ThreeWays
from tests.e2e.trees import make_tree
from tests.unit.codegen.documents import OPENAPI, read

BY_RPC = {route.rpc.rpartition(".")[2]: route for route in ROUTES}
"""`LibraryService/GetItem` → its route; of several, the last."""

GOOD: Mapping[str, Mapping[str, Any]] = {
    "LibraryService/ListItems": {"limit": 5, "page": 1, "sort_by": "ITEM_SORT_NAME_DESC", "include_hidden": True},
    "LibraryService/GetItem": {"library_item_id": "{item}"},
    "LibraryService/UpdateItem": {
        "library_item_id": "{item}",
        "item": {"user_rating": 4, "notes": "Ёж ≠ e\u0301", "is_favorite": True},
        "update_mask": "userRating,notes,isFavorite,categoryIds",
    },
    "LibraryService/ListItemCategories": {"library_item_id": "{item}"},
    "AchievementService/ListAchievementStatus": {"product_id": "{product}"},
    "PlaytimeTrackerService/GetPlaytime": {"period": "PLAYTIME_PERIOD_LAST_2_WEEKS"},
    "CloudSaveService/ListSavegames": {},
    "CloudSaveService/GetSavegameQuota": {},
    "UpdateService/ListUpdates": {},
    "UpdateService/ListUpdateHistory": {},
    "CategoryService/ListCategories": {},
    "CategoryService/GetCategory": {"category_id": "{category}"},
    "CategoryService/UpdateCategory": {
        "category_id": "{category}",
        "category": {"display_order": 7},
        "update_mask": "displayOrder",
    },
    "WishlistService/ListWishlistItems": {"limit": 10},
    "WishlistService/GetWishlistItem": {"wishlist_item_id": "{wish}"},
    "WishlistService/UpdateWishlistItem": {
        "wishlist_item_id": "{wish}",
        "item": {"priority": 3},
        "update_mask": "priority,notes",
    },
    "GameSettingsSyncService/GetGameSettings": {"product_id": "{product}"},
    "GameSettingsSyncService/PutGameSettings": {
        "product_id": "{product}",
        "settings": {"settings_payload": {"volume": 0.5, "name": "Анна", "deep": {"list": [1, None, "x"]}}},
        "if_match": ["*"],
    },
    "GameSettingsSyncService/PatchGameSettings": {
        "product_id": "{product}",
        "settings": {"settings_payload": {"volume": 0.75}},
        "update_mask": "settingsPayload",
        "if_match": ["*"],
    },
    "DownloadService/ListDownloads": {"product_id": "{product}"},
    "DownloadService/GetDownload": {"download_id": "{download}"},
    "DownloadService/ListDownloadItems": {"download_id": "{download}", "limit": 100},
    "DownloadService/GetDownloadManifest": {"download_id": "{download}"},
    "InstallationService/ListVersions": {"product_id": "{product}", "platform": "PLATFORM_LINUX"},
    "InstallationService/ListInstallations": {},
    "UpdateService/CheckUpdates": {
        "products": [
            {"id": "{product}", "current_version_id": "{version}"},
            {"id": "{nobody}", "current_version_id": "{nobody}"},
        ]
    },
}
"""Requests that succeed and can be repeated, as protobuf's JSON; what they name exists."""

ONCE = frozenset(
    {
        *("DownloadService/StartDownload", "DownloadService/CancelDownload", "DownloadService/PauseDownload"),
        *("DownloadService/ResumeDownload", "DownloadService/RetryDownload", "DownloadService/ReportDownload"),
        *("DownloadService/CreateDownloadLinks", "UpdateService/GetDownloadPlan", "UpdateService/ApplyUpdate"),
        *(
            "InstallationService/GetInstallation",
            "InstallationService/UpdateInstallation",
            "InstallationService/DeleteInstallation",
        ),
        *("ClientUpdateService/CheckClientUpdate", "ClientUpdateService/AddClientRelease"),
        *("ClientUpdateService/SetClientRollout", "ClientUpdateService/RollBackClientRelease"),
        "ClientUpdateService/ListClientReleases",
        *("CategoryService/CreateCategory", "CategoryService/DeleteCategory"),
        *("LibraryService/AddItemCategories", "LibraryService/RemoveItemCategories"),
        *("LibraryService/ReplaceItemCategories", "LibraryService/GetItemCategoryLinkage"),
        *("PlaytimeTrackerService/StartPlaytimeSession", "PlaytimeTrackerService/RecordPlaytimeHeartbeat"),
        *("PlaytimeTrackerService/GetPlaytimeSession", "PlaytimeTrackerService/EndPlaytimeSession"),
        "AchievementService/UpdateAchievementProgress",
        *("VerificationService/CreateVerification", "VerificationService/GetVerification"),
        *("VerificationService/ListVerificationIssues", "VerificationService/RepairVerification"),
        *("VerificationService/SubmitHashes", "UpdateService/RollbackUpdate"),
        *("WishlistService/AddWishlistItem", "WishlistService/RemoveWishlistItem"),
        *("CloudSaveService/CreateUploadUrl", "CloudSaveService/ConfirmUpload", "CloudSaveService/CreateDownloadUrl"),
        *("CloudSaveService/GetSavegame", "CloudSaveService/UpdateSavegame", "CloudSaveService/DeleteSavegame"),
        *("CloudSaveService/ListSavegameVersions", "CloudSaveService/DeleteSavegameVersion"),
        *("CloudSaveService/LockSavegameVersion", "CloudSaveService/UnlockSavegameVersion"),
        *("CloudSaveService/RestoreSavegameVersion", "CloudSaveService/ResolveSavegameConflict"),
    }
)
"""Succeed once, or sign something new each time, need a download that has gone far or an uploaded save, or show linkage: their
refusals are compared."""

OWN = frozenset({"/api/v1/library/playtime", "/api/v1/library/savegames/quota"})
"""Everybody has one, if only an empty one."""

VOLATILE = frozenset({"last_synced_with_cloud_at", "last_updated_at", "version", "manifest_url", "expires_at"})

every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@dataclass(frozen=True)
class World:
    """Somebody who has one of everything, and somebody who has nothing."""

    owner: ThreeWays
    stranger: ThreeWays
    ids: Mapping[str, str]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What the first test makes and all others use: HTTP sessions belong to one test's loop, users do not."""
    return {}


@pytest.fixture
async def world(
    platform: Platform,
    samovar: CommandLine,
    shop: Shop,
    http: aiohttp.ClientSession,
    new_user: Callable[[], Awaitable[Api]],
    tmp_path: Path,
    made: dict[str, Any],
) -> AsyncIterator[World]:
    if not made:
        owner, stranger = await new_user(), await new_user()
        ids = await _one_of_everything(owner, samovar, shop, tmp_path)
        made.update(owner=owner.token, stranger=stranger.token, ids=ids)
    url = platform.ready["gateway_url"]
    addresses = {name: platform.private[f"{name}_grpc_addr"] for name in ("library", "download")}
    async with (
        ThreeWays(Api(url, made["owner"], http), addresses) as owner_ways,
        ThreeWays(Api(url, made["stranger"], http), addresses) as stranger_ways,
    ):
        yield World(owner_ways, stranger_ways, made["ids"])


async def _one_of_everything(owner: Api, samovar: CommandLine, shop: Shop, folder: Path) -> Mapping[str, str]:
    published = await samovar.publish(make_tree(folder / "source", "agree"), f"agree-{uuid.uuid4().hex[:8]}", "1.0")
    product_id = published["product_id"]
    await samovar.buy(owner.user_id, product_id)
    item = await owner.owns(product_id)
    session = await owner.startable(product_id, installation_path="/games/три")
    wish = await owner.post(
        "/api/v1/library/wishlist/items", "wishlistItemCreation", product_id=await shop.new_product(), notes="Хочу"
    )
    category = await owner.post("/api/v1/library/categories", "userCategory", name="Любимые", display_order=2)
    settings = {"data": {"type": "gameSettings", "attributes": {"settings_payload": {"volume": 1}}}}
    assert (await owner.call("PUT", f"/api/v1/library/game-settings/{product_id}", body=settings)).status == 200

    async def settled() -> bool:
        """Titles and statuses come with events; the three must not be asked while they do."""
        attributes = (await owner.get(f"/api/v1/library/items/{item['id']}")).data["attributes"]
        return attributes["title"] is not None and attributes["installation_status"] == "installing"

    await until(settled, "the library does not follow")
    return {
        "item": item["id"],
        "product": product_id,
        "version": published["version_id"],
        "download": session.data["id"],
        "wish": wish.data["id"],
        "category": category.data["id"],
        "nobody": str(uuid.uuid4()),
    }


def _named(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], value)
    if isinstance(value, list):
        return [_named(one, ids) for one in value]
    return {name: _named(one, ids) for name, one in value.items()} if isinstance(value, dict) else value


def _steady(data: Any) -> Any:
    if isinstance(data, list):
        return [_steady(one) for one in data]
    return {name: one for name, one in data.items() if name not in VOLATILE} if isinstance(data, dict) else data


def _agree(route: Route, outcomes: tuple[Outcome, Outcome, Outcome]) -> str:
    """All three were told the same; returns the error's reason, or nothing."""
    plain, typed, http = outcomes
    assert plain.reason == typed.reason == http.reason, outcomes
    if not plain.reason:
        assert _steady(plain.data) == _steady(typed.data) == _steady(http.data)
        assert route.no_content or plain.data is not None
        return ""
    spec = REASONS[plain.reason]
    assert plain.number == typed.number == spec.code.value[0]
    assert http.number == spec.http
    assert plain.places == typed.places
    if plain.reason == "VALIDATION_ERROR":
        assert plain.places == http.places
    return plain.reason


def test_every_method_of_rest_is_declared() -> None:
    assert {*GOOD, *ONCE} == BY_RPC.keys()
    assert ONCE.isdisjoint(GOOD)
    assert len(BY_RPC) == len(ROUTES)


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_asked_well_is_answered_alike(world: World, name: str) -> None:
    route = BY_RPC[name]
    message = json_format.ParseDict(_named(GOOD[name], world.ids), route.request_type())
    outcomes = await world.owner.ask(route, message)
    assert _agree(route, outcomes) == ""
    assert outcomes[0].message == outcomes[1].message or VOLATILE & _names(outcomes[0].data)


def _names(data: Any) -> set[str]:
    return set().union(*map(_names, data)) if isinstance(data, list) else set(data)


def _value(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Of a required parameter: a word of its enum, a version, an id."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return str(schema["enum"][0]) if "enum" in schema else "1.0" if "pattern" in schema else str(uuid.uuid4())


def _example(route: Route) -> Message:
    """The request of the OpenAPI document's example, with ids that nobody has."""
    document = read(OPENAPI.read_text())
    operation = document["paths"][route.path][route.method.lower()]
    path = {
        one["name"]: "1" if one["schema"].get("type") == "integer" else str(uuid.uuid4())
        for one in operation["parameters"]
        if one.get("in") == "path"
    }
    query = [
        (one["name"], _value(one["schema"], document))
        for one in operation["parameters"]
        if one.get("in") == "query" and one.get("required")
    ]
    taken: Any = None
    if route.has_body:
        data = next(iter(operation["requestBody"]["content"].values()))["example"]["data"]
        if route.linkage is not None:
            taken = [one["id"] for one in data]
        else:
            taken = [(one["id"], one["attributes"]) for one in data] if route.takes_list else data["attributes"]
    problems: list[Any] = []
    message = route.decode(path, query, taken, problems)
    assert problems == []
    return message


@every_route
async def test_what_is_not_there_is_not_there_for_all(world: World, route: Route) -> None:
    """To a user who has nothing. What can be made out of nothing is made once, and exists for the others."""
    message = _example(route)
    outcomes = await world.stranger.ask(route, message)
    if route.location and not outcomes[0].reason:
        assert all(one.reason.endswith("_ALREADY_EXISTS") for one in outcomes[1:])
        assert outcomes[1].reason == outcomes[2].reason
        return
    reason = _agree(route, outcomes)
    assert reason or route.is_collection or route.path in OWN


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if not one.access.public], ids=lambda route: f"{route.method} {route.path}"
)
async def test_nobody_is_let_in_by_any_of_them(world: World, route: Route) -> None:
    assert _agree(route, await world.owner.ask(route, _example(route), token="nonsense")) == "UNAUTHENTICATED"


@every_route
async def test_an_empty_request_breaks_the_same_rules_for_all(world: World, route: Route) -> None:
    """Where HTTP has an empty object of attributes, so has the message: it cannot be left out there."""
    message = route.request_type()
    for field, place in route.pointers.items():
        if place == "/data/attributes":
            getattr(message, field).SetInParent()
    reason = _agree(route, await world.stranger.ask(route, message))
    if not route.access.public and "user" not in route.access.roles:
        assert reason == "PERMISSION_DENIED"
        return
    assert reason in {"", "VALIDATION_ERROR"}
    assert reason or route.is_collection or route.path in OWN
