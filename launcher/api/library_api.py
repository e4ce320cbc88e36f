"""The Library Service as typed calls, by the gateway's REST: items, categories, playtime, achievements, wishlist, game settings.
Used by launcher.cli.library_commands, launcher.game.play and the commands that find a game by its title.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from launcher.api.library_resources import (
    AchievementEntry,
    CategoryEntry,
    GameSettings,
    LibraryEntry,
    PlaySession,
    WishEntry,
    achievement_entry_of,
    category_entry_of,
    game_settings_of,
    library_entry_of,
    play_session_of,
    total_playtime_of,
    wish_entry_of,
)
from launcher.api.rest import MAX_TRIES, Rest, document_of, new_key, open_rest, read_answer
from launcher.settings import Account

LIBRARY = "/api/v1/library"
ITEMS = f"{LIBRARY}/items"
CATEGORIES = f"{LIBRARY}/categories"
PLAYTIME = f"{LIBRARY}/playtime"
SESSIONS = f"{PLAYTIME}/sessions"
ACHIEVEMENTS = f"{LIBRARY}/achievements"
WISHES = f"{LIBRARY}/wishlist/items"
SETTINGS = f"{LIBRARY}/game-settings"


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """The selection and the order of a user's items. None does not filter; the server's order is the newest first."""

    status: str | None = None
    search: str | None = None
    category_id: UUID | None = None
    is_favorite: bool | None = None
    include_hidden: bool = False
    sort_by: str | None = None

    def query(self) -> dict[str, str]:
        """The query string's members."""
        members = {
            "status": self.status,
            "search": self.search,
            "category_id": None if self.category_id is None else str(self.category_id),
            "is_favorite": None if self.is_favorite is None else str(self.is_favorite).lower(),
            "include_hidden": "true" if self.include_hidden else None,
            "sort_by": self.sort_by,
        }
        return {name: value for name, value in members.items() if value is not None}


class Linking(StrEnum):
    """The change of an item's categories: the HTTP method of its relationship."""

    ADD = "POST"
    REPLACE = "PATCH"
    REMOVE = "DELETE"


class LibraryApi:
    """One user's view of the Library Service, by the gateway."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def check_token(self) -> None:
        """Check that the gateway is available and accepts the token. Raises: LauncherError."""
        await self._rest.call("GET", ITEMS, query={"limit": "1"})

    async def items(self, wanted: ItemFilter) -> Sequence[LibraryEntry]:
        """Return the items of all pages."""
        return [entry async for entry in self._rest.pages(ITEMS, wanted.query(), library_entry_of)]

    async def update_item(self, item_id: UUID, attributes: Mapping[str, Any]) -> LibraryEntry:
        """Changes what is named; None clears."""
        document = document_of("libraryItemUpdate", attributes)
        return await self._rest.one("PATCH", f"{ITEMS}/{item_id}", library_entry_of, document)

    async def link_categories(self, linking: Linking, item_id: UUID, category_ids: Sequence[UUID]) -> None:
        """Puts an item into categories, or takes it out."""
        document = {"data": [{"type": "userCategory", "id": str(category_id)} for category_id in category_ids]}
        path = f"{ITEMS}/{item_id}/relationships/categories"
        await self._rest.call(linking.value, path, document=document)

    async def categories(self) -> Sequence[CategoryEntry]:
        """All of the user's, in their order."""
        return [entry async for entry in self._rest.pages(CATEGORIES, {}, category_entry_of)]

    async def create_category(self, name: str, display_order: int) -> CategoryEntry:
        """Safe to repeat by its Idempotency-Key."""
        document = document_of("userCategory", {"name": name, "display_order": display_order})
        return await self._rest.one("POST", CATEGORIES, category_entry_of, document, new_key())

    async def update_category(self, category_id: UUID, attributes: Mapping[str, Any]) -> CategoryEntry:
        """Changes what is named."""
        document = document_of("userCategory", attributes)
        return await self._rest.one("PATCH", f"{CATEGORIES}/{category_id}", category_entry_of, document)

    async def delete_category(self, category_id: UUID) -> None:
        """Its items stay in the library."""
        await self._rest.call("DELETE", f"{CATEGORIES}/{category_id}")

    async def start_session(self, attributes: Mapping[str, Any]) -> PlaySession:
        """Starts a session of play; safe to repeat by its Idempotency-Key."""
        document = document_of("playtimeSessionStart", attributes)
        return await self._rest.one("POST", f"{SESSIONS}/start", play_session_of, document, new_key())

    async def heartbeat(self, session_id: UUID, *, sequence: int, client_time: str) -> None:
        """The game still runs; safe to repeat by its sequence."""
        document = document_of("playtimeHeartbeat", {"sequence": sequence, "client_time": client_time})
        await self._rest.call("POST", f"{SESSIONS}/{session_id}/heartbeat", document=document)

    async def end_session(self, session_id: UUID) -> PlaySession:
        """Ends a session of play; a session that ended before is returned as it ended."""
        return await self._rest.one("POST", f"{SESSIONS}/{session_id}/end", play_session_of)

    async def total_playtime(self, product_id: UUID) -> int:
        """Seconds that the user has played the product, out of the sessions that ended."""
        answer = await self._rest.call("GET", PLAYTIME, query={"product_ids": str(product_id)})
        return read_answer(lambda: total_playtime_of(answer["data"]))

    async def achievements(self, product_id: UUID, *, sort_by: str = "default") -> Sequence[AchievementEntry]:
        """Every achievement of a product, with how far the user is."""
        answer = await self._rest.call("GET", f"{ACHIEVEMENTS}/status/{product_id}", query={"sort_by": sort_by})
        return read_answer(lambda: [achievement_entry_of(resource) for resource in answer["data"]])

    async def advance(self, product_id: UUID, achievement_id: UUID, step: Mapping[str, int]) -> AchievementEntry:
        """Advances an achievement: `current_progress` in all, or an `increment`. Safe to repeat by its Idempotency-Key."""
        path = f"{ACHIEVEMENTS}/{product_id}/{achievement_id}/progress"
        document = document_of("achievementProgress", step)
        return await self._rest.one("POST", path, achievement_entry_of, document, new_key())

    async def wishes(self) -> Sequence[WishEntry]:
        """The whole wishlist, in its order."""
        return [entry async for entry in self._rest.pages(WISHES, {}, wish_entry_of)]

    async def add_wish(self, attributes: Mapping[str, Any]) -> WishEntry:
        """Safe to repeat by its Idempotency-Key."""
        document = document_of("wishlistItemCreation", attributes)
        return await self._rest.one("POST", WISHES, wish_entry_of, document, new_key())

    async def update_wish(self, wish_id: UUID, attributes: Mapping[str, Any]) -> WishEntry:
        """Changes what is named; None clears."""
        document = document_of("wishlistItem", attributes)
        return await self._rest.one("PATCH", f"{WISHES}/{wish_id}", wish_entry_of, document)

    async def remove_wish(self, wish_id: UUID) -> None:
        await self._rest.call("DELETE", f"{WISHES}/{wish_id}")

    async def settings(self, product_id: UUID) -> GameSettings:
        answer = await self._rest.exchange("GET", f"{SETTINGS}/{product_id}")
        return read_answer(lambda: game_settings_of(answer))

    async def put_settings(self, product_id: UUID, payload: Mapping[str, Any], if_match: str | None) -> GameSettings:
        """Puts whole settings: the first ones, or in place of the version that the entity tag names."""
        return await self._change_settings("PUT", product_id, payload, if_match)

    async def patch_settings(self, product_id: UUID, patch: Mapping[str, Any], if_match: str | None) -> GameSettings:
        """Merges a patch (RFC 7396) into the version that the entity tag names."""
        return await self._change_settings("PATCH", product_id, patch, if_match)

    async def _change_settings(
        self, method: str, product_id: UUID, payload: Mapping[str, Any], if_match: str | None
    ) -> GameSettings:
        document = document_of("gameSettings", {"settings_payload": payload})
        headers = {} if if_match is None else {"If-Match": if_match}
        answer = await self._rest.exchange(method, f"{SETTINGS}/{product_id}", document=document, headers=headers)
        return read_answer(lambda: game_settings_of(answer))


@asynccontextmanager
async def open_library(account: Account, *, max_tries: int = MAX_TRIES) -> AsyncIterator[LibraryApi]:
    """The library as this account sees it (`open_rest`)."""
    async with open_rest(account, max_tries=max_tries) as rest:
        yield LibraryApi(rest)
