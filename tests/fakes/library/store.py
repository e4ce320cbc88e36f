"""The ports in memory, for tests and experiments: one process, nothing kept. Transactions run one after another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from chassis.errors import DomainError, Kind
from library_svc.achievements.application import AchievementList, AchievementSort
from library_svc.achievements.domain import Definition
from library_svc.catalog.application import CATALOG_BATCH_LIMIT
from library_svc.catalog.domain import Product
from library_svc.categories.application import CategoryPage
from library_svc.categories.domain import Category, named_best
from library_svc.entitlements.domain import Grant, Source
from library_svc.events import LibraryEvent
from library_svc.game_settings.domain import GameSettings
from library_svc.ids import (
    AchievementId,
    CategoryId,
    EventId,
    ItemId,
    PlaytimeSessionId,
    ProductId,
    SavegameId,
    UserId,
    WishlistItemId,
)
from library_svc.installations.domain import InstallationState, News
from library_svc.items.application import ItemPage, ItemQuery, ItemSort, ItemView
from library_svc.items.domain import Item
from library_svc.items.search import has_part, title_key, title_search
from library_svc.playtime.application import PlaytimeStatistics
from library_svc.playtime.domain import PlaytimeSession
from library_svc.saves.application import SlotPage
from library_svc.saves.domain import SaveSlot, SaveUsage
from library_svc.text import folded, natural
from library_svc.transaction import Origin
from library_svc.wishlist.application import WishlistItemView, WishlistPage
from library_svc.wishlist.domain import WishlistItem
from tests.fakes.library.achievements import AchievementRows, MemoryAchievements, MemoryDefinitions, listed
from tests.fakes.library.playtime import MemoryPlaytime, PlaytimeRows, statistics
from tests.fakes.library.saves import MemorySaves, SaveRows, listed_slots, usage_of
from tests.fakes.library.wishlist import MemorySales, MemoryWishlist, WishRows


@dataclass(slots=True)
class _Rows:
    items: dict[tuple[UserId, ItemId], Item] = field(default_factory=dict)
    grants: dict[tuple[UserId, ProductId, Source], Grant] = field(default_factory=dict)
    keys: dict[str, UserId] = field(default_factory=dict)
    states: dict[tuple[UserId, ProductId], InstallationState] = field(default_factory=dict)
    categories: dict[tuple[UserId, CategoryId], Category] = field(default_factory=dict)
    category_ids: dict[tuple[UserId, ItemId], AbstractSet[CategoryId]] = field(default_factory=dict)
    settings: dict[tuple[UserId, ProductId], GameSettings] = field(default_factory=dict)
    wishlist: WishRows = field(default_factory=WishRows)
    playtime: PlaytimeRows = field(default_factory=PlaytimeRows)
    achievements: AchievementRows = field(default_factory=AchievementRows)
    audited: list[tuple[UserId, str, str, str]] = field(default_factory=list)
    events: list[LibraryEvent] = field(default_factory=list)
    handled: set[EventId] = field(default_factory=set)
    saves: SaveRows = field(default_factory=SaveRows)


def _copied(rows: Any) -> Any:
    """What holds values, with the values that it held: those are frozen, so they need no copies of their own."""
    if isinstance(rows, dict):
        return {key: _copied(one) for key, one in rows.items()}
    if isinstance(rows, list):
        return [_copied(one) for one in rows]
    if isinstance(rows, set):
        return set(rows)
    kind = getattr(rows, "__dataclass_params__", None)
    if kind is None or kind.frozen:
        return rows
    return replace(rows, **{one.name: _copied(getattr(rows, one.name)) for one in fields(rows)})


class MemoryLibrary:
    """The library's rows, its transactions and its reader. `events` are those of the committed transactions, in order."""

    def __init__(self, products: "MemoryProducts") -> None:
        self._rows = _Rows()
        self._products = products
        self.definitions = MemoryDefinitions()
        self._turn = asyncio.Lock()

    @property
    def events(self) -> Sequence[LibraryEvent]:
        return tuple(self._rows.events)

    @property
    def audited(self) -> Sequence[tuple[UserId, str, str, str]]:
        """Who did what to what, and how it came out."""
        return tuple(self._rows.audited)

    @asynccontextmanager
    async def begin(self, _user_id: UserId | None = None, /) -> AsyncIterator["MemoryTransaction"]:
        async with self._turn:
            tx = MemoryTransaction(_copied(self._rows), self._products)
            try:
                yield tx
            finally:
                if tx.is_committed:
                    self._rows = tx.rows

    async def list_items(self, query: ItemQuery) -> ItemPage:
        shown = (self._shown(item, include_categories=query.include_categories) for item in self._items(query.user_id))
        candidates = [each for each in shown if _passes_filters(each, query)]
        found = candidates if query.search is None else _found(candidates, query.search)
        found.sort(key=lambda shown: shown.item.id)
        _sort(found, query)
        start = (query.page - 1) * query.limit
        items = found[start : start + query.limit]
        bearing = candidates if query.needs_titles else items
        unknown = [shown.item.product_id for shown in bearing if not (shown.product and shown.product.is_complete)]
        return ItemPage(items, len(found), unknown[:CATALOG_BATCH_LIMIT])

    async def get_item(self, user_id: UserId, item_id: ItemId, *, include_categories: bool = False) -> ItemView | None:
        item = self._rows.items.get((user_id, item_id))
        return self._shown(item, include_categories=include_categories) if item else None

    async def owned_items(self, user_id: UserId, product_ids: Sequence[ProductId]) -> Sequence[Item]:
        items = [item for item in self._items(user_id) if not product_ids or item.product_id in product_ids]
        items.sort(key=lambda item: item.id)
        return sorted(items, key=lambda item: item.added_at, reverse=True)

    async def access_since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        grants = self._rows.grants.values()
        own = (grant for grant in grants if (grant.user_id, grant.product_id) == (user_id, product_id))
        return min((grant.granted_at for grant in own if grant.stands), default=None)

    async def list_categories(self, user_id: UserId, *, page: int, limit: int) -> CategoryPage:
        own = [category for category in self._rows.categories.values() if category.user_id == user_id]
        own.sort(key=lambda each: (each.display_order, natural(folded(each.name)), each.name, each.id))
        return CategoryPage(own[(page - 1) * limit : page * limit], len(own))

    async def get_category(self, user_id: UserId, category_id: CategoryId) -> Category | None:
        return self._rows.categories.get((user_id, category_id))

    async def get_settings(self, user_id: UserId, product_id: ProductId) -> GameSettings | None:
        return self._rows.settings.get((user_id, product_id))

    async def list_wishes(self, user_id: UserId, *, page: int, limit: int) -> WishlistPage:
        own = [wish for wish in self._rows.wishlist.wishes.values() if wish.user_id == user_id]
        own.sort(key=lambda wish: wish.id)
        own.sort(key=lambda wish: (wish.priority, wish.added_at), reverse=True)
        return WishlistPage([self._shown_wish(wish) for wish in own[(page - 1) * limit : page * limit]], len(own))

    async def get_wish(self, user_id: UserId, wish_id: WishlistItemId) -> WishlistItemView | None:
        wish = self._rows.wishlist.wishes.get((user_id, wish_id))
        return self._shown_wish(wish) if wish else None

    async def list_slots(self, user_id: UserId, product_id: ProductId | None, *, page: int, limit: int) -> SlotPage:
        return listed_slots(self._rows.saves, user_id, product_id, page=page, limit=limit)

    async def get_slot(self, user_id: UserId, savegame_id: SavegameId) -> SaveSlot | None:
        slot = self._rows.saves.slots.get(savegame_id)
        return slot if slot and slot.user_id == user_id and slot.current else None

    async def usage(self, user_id: UserId) -> SaveUsage:
        return usage_of([each for each in self._rows.saves.slots.values() if each.user_id == user_id])

    async def get_session(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None:
        return self._rows.playtime.sessions.get((user_id, session_id))

    async def statistics(
        self, user_id: UserId, product_ids: Sequence[ProductId], *, only_recent: bool, now: datetime
    ) -> PlaytimeStatistics:
        return statistics(self._rows.playtime, user_id, product_ids, only_recent=only_recent, now=now)

    async def list_achievements(self, user_id: UserId, product_id: ProductId, sort: AchievementSort) -> AchievementList:
        return listed(self._rows.achievements, self.definitions, user_id, product_id, sort)

    async def find_achievement(
        self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId
    ) -> AchievementList:
        found = await self.list_achievements(user_id, product_id, AchievementSort.DEFAULT)
        return AchievementList([one for one in found.achievements if one.definition.id == achievement_id], found.as_of)

    async def has_room(self) -> bool:
        """What is recorded here is told at once."""
        return True

    async def add_up(self, *, limit: int) -> int:
        rows = self._rows.achievements
        taken, rows.notes = rows.notes[:limit], rows.notes[limit:]
        for note in taken:
            rows.tallies[note] = rows.tallies.get(note, 0) + 1
        return len(taken)

    async def silent_since(
        self, moment: datetime, *, limit: int, after: PlaytimeSession | None = None
    ) -> Sequence[PlaytimeSession]:
        def place(each: PlaytimeSession) -> tuple[datetime, PlaytimeSessionId]:
            return each.last_heartbeat_at, each.id

        sessions = self._rows.playtime.sessions.values()
        silent = [each for each in sessions if each.is_live and each.last_heartbeat_at < moment]
        return sorted((each for each in silent if after is None or place(each) > place(after)), key=place)[:limit]

    def _shown_wish(self, wish: WishlistItem) -> WishlistItemView:
        return WishlistItemView(wish, self._products.known.get(wish.product_id))

    def _items(self, user_id: UserId) -> Sequence[Item]:
        return [item for item in self._rows.items.values() if item.user_id == user_id]

    def _shown(self, item: Item, *, include_categories: bool) -> ItemView:
        category_ids = sorted(self._rows.category_ids.get((item.user_id, item.id), ()))
        told = category_ids if include_categories else ()
        categories = [self._rows.categories[item.user_id, category_id] for category_id in told]
        return ItemView(item, self._products.known.get(item.product_id), category_ids, categories)


class MemoryTransaction:
    """A copy of the rows that takes their place when committed. It is its own ports: each noun is a part of it."""

    def __init__(self, rows: _Rows, products: "MemoryProducts") -> None:
        self.rows = rows
        self.is_committed = False
        self.items = MemoryItems(rows)
        self.entitlements = MemoryEntitlements(rows)
        self.installations = MemoryInstallations(rows)
        self.categories = MemoryCategories(rows)
        self.game_settings = MemoryGameSettings(rows)
        self.products = products
        self.wishlist = MemoryWishlist(rows.wishlist, self.entitlements)
        self.sales = MemorySales(rows.wishlist)
        self.saves = MemorySaves(rows.saves)
        self.playtime = MemoryPlaytime(rows.playtime, rows.achievements)
        self.achievements = MemoryAchievements(rows.achievements, self.entitlements, self.playtime)

    async def first_time(self, event_id: EventId) -> bool:
        first_time = event_id not in self.rows.handled
        self.rows.handled.add(event_id)
        return first_time

    async def lock_user(self, user_id: UserId) -> None:
        """Nothing to wait for: transactions run one after another."""

    async def audit(self, origin: Origin, *, action: str, resource: str, outcome: str) -> None:
        self.rows.audited.append((origin.user_id, action, resource, outcome))

    def record(self, event: LibraryEvent) -> None:
        self.rows.events.append(event)

    async def commit(self) -> None:
        self.is_committed = True


class MemoryItems:
    def __init__(self, rows: _Rows) -> None:
        self._rows = rows

    async def find(self, user_id: UserId, item_id: ItemId) -> Item | None:
        return self._rows.items.get((user_id, item_id))

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Item | None:
        items = (item for item in self._rows.items.values() if item.user_id == user_id)
        return next((item for item in items if item.product_id == product_id), None)

    async def add(self, item: Item) -> None:
        self._rows.items[item.user_id, item.id] = item

    async def save(self, item: Item) -> None:
        self._rows.items[item.user_id, item.id] = item

    async def remove(self, item: Item) -> None:
        del self._rows.items[item.user_id, item.id]
        self._rows.category_ids.pop((item.user_id, item.id), None)


class MemoryEntitlements:
    def __init__(self, rows: _Rows) -> None:
        self._rows = rows

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Sequence[Grant]:
        grants = self._rows.grants.values()
        return [grant for grant in grants if (grant.user_id, grant.product_id) == (user_id, product_id)]

    async def of_source(self, user_id: UserId, source: Source) -> Sequence[Grant]:
        grants = self._rows.grants.values()
        return [grant for grant in grants if (grant.user_id, grant.source) == (user_id, source)]

    async def claim_key(self, user_id: UserId, key: str) -> UserId:
        return self._rows.keys.setdefault(key, user_id)

    async def save(self, grant: Grant) -> None:
        self._rows.grants[grant.user_id, grant.product_id, grant.source] = grant


class MemoryInstallations:
    def __init__(self, rows: _Rows) -> None:
        self._rows = rows

    async def of_product(self, user_id: UserId, product_id: ProductId) -> InstallationState:
        return self._rows.states.get((user_id, product_id), InstallationState())

    async def save(self, user_id: UserId, product_id: ProductId, news: News) -> None:
        self._rows.states[user_id, product_id] = (await self.of_product(user_id, product_id)).after(news)


class MemoryCategories:
    def __init__(self, rows: _Rows) -> None:
        self._rows = rows

    async def find(self, user_id: UserId, category_id: CategoryId) -> Category | None:
        return self._rows.categories.get((user_id, category_id))

    async def named(self, user_id: UserId, name: str) -> Category | None:
        return named_best([each for each in self._rows.categories.values() if each.user_id == user_id], name)

    async def existing(self, user_id: UserId, category_ids: AbstractSet[CategoryId]) -> AbstractSet[CategoryId]:
        return {category_id for category_id in category_ids if (user_id, category_id) in self._rows.categories}

    async def add(self, category: Category) -> None:
        await self.save(category)

    async def save(self, category: Category) -> None:
        self._rows.categories[category.user_id, category.id] = category

    async def remove(self, category: Category) -> None:
        del self._rows.categories[category.user_id, category.id]
        for (user_id, item_id), category_ids in self._rows.category_ids.items():
            self._rows.category_ids[user_id, item_id] = category_ids - {category.id}

    async def of_item(self, item: Item) -> AbstractSet[CategoryId]:
        return frozenset(self._rows.category_ids.get((item.user_id, item.id), ()))

    async def put(self, item: Item, category_ids: AbstractSet[CategoryId]) -> None:
        self._rows.category_ids[item.user_id, item.id] = frozenset(category_ids)


class MemoryGameSettings:
    def __init__(self, rows: _Rows) -> None:
        self._rows = rows

    async def find(self, user_id: UserId, product_id: ProductId) -> GameSettings | None:
        return self._rows.settings.get((user_id, product_id))

    async def save(self, settings: GameSettings) -> None:
        self._rows.settings[settings.user_id, settings.product_id] = settings


class MemoryProducts:
    """The read model of Catalog's products; what a transaction saves in it stays."""

    def __init__(self) -> None:
        self.known: dict[ProductId, Product] = {}

    async def save(self, products: Sequence[Product]) -> None:
        for product in products:
            known = self.known.get(product.product_id)
            self.known[product.product_id] = known.merged(product) if known else product


class MemoryCatalog:
    """A Catalog that knows what it is given, counts its calls, and can be away."""

    def __init__(self, products: Sequence[Product] = (), definitions: Sequence[Definition] = ()) -> None:
        self.products = {product.product_id: product for product in products}
        self.definitions = list(definitions)
        self.calls: list[Sequence[ProductId]] = []
        self.is_away = False

    async def get_products(self, product_ids: Sequence[ProductId], *, as_of: datetime) -> Sequence[Product]:
        self.calls.append(tuple(product_ids))
        if self.is_away:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        known = [self.products[product_id] for product_id in product_ids if product_id in self.products]
        return [replace(product, as_of=as_of) for product in known]

    async def list_achievements(self, product_id: ProductId) -> Sequence[Definition]:
        if self.is_away:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        if product_id not in self.products:
            raise DomainError(Kind.NOT_FOUND, "PRODUCT_NOT_FOUND")
        return [definition for definition in self.definitions if definition.product_id == product_id]


def _passes_filters(shown: ItemView, query: ItemQuery) -> bool:
    item = shown.item
    return (
        (query.include_hidden or not item.is_hidden)
        and (query.status is None or item.installation_status is query.status)
        and (query.is_favorite is None or item.is_favorite is query.is_favorite)
        and (query.category_id is None or query.category_id in shown.category_ids)
    )


def _found(candidates: Sequence[ItemView], text: str) -> list[ItemView]:
    """Those that the user means: with all words as they are typed, or if there is none, with errors or on the other keyboard."""
    search = title_search(text)
    known = [(shown, _folded_titles(shown.product)) for shown in candidates]
    for other in search.others if search.words or search.others else (search.folded,):
        known = [(shown, titles) for shown, titles in known if any(other in title for title in titles if title)]
    keys = [(shown, title_key(*titles)) for shown, titles in known]
    exact = [shown for shown, key in keys if _has_all(key, [word.parts for word in search.words])]
    if exact or not search.words:
        return exact
    ways = [[word.misspelt_parts for word in search.words], [word.parts for word in search.slipped]]
    return [shown for shown, key in keys if any(_has_all(key, way) for way in ways if way)]


def _has_all(key: str, words: Sequence[Sequence[str]]) -> bool:
    return all(any(has_part(key, variant) for variant in parts) for parts in words)


def _folded_titles(product: Product | None) -> tuple[str | None, str | None]:
    titles = (product.title_ru, product.title_en) if product else (None, None)
    return folded(titles[0]) if titles[0] else None, folded(titles[1]) if titles[1] else None


def _sort(found: list[ItemView], query: ItemQuery) -> None:
    """Sorts in place; what compares equal keeps its order, what has no value comes last."""

    def title(shown: ItemView) -> str | None:
        known = shown.product.title(query.language) if shown.product else None
        return natural(folded(known)) if known else None

    def played(item: Item) -> tuple[bool, float]:
        return (True, item.last_played_at.timestamp()) if item.last_played_at else (False, 0.0)

    match query.sort:
        case ItemSort.NAME_ASC:
            found.sort(key=lambda shown: (title(shown) is None, title(shown) or ""))
        case ItemSort.NAME_DESC:
            found.sort(key=lambda shown: (title(shown) is not None, title(shown) or ""), reverse=True)
        case ItemSort.LAST_PLAYED_DESC:
            found.sort(key=lambda shown: played(shown.item), reverse=True)
        case ItemSort.ADDED_AT_DESC:
            found.sort(key=lambda shown: shown.item.added_at, reverse=True)
        case ItemSort.PLAYTIME_DESC:
            found.sort(key=lambda shown: shown.item.total_playtime_seconds, reverse=True)
