"""What use cases read outside of transactions, and the shapes that they read. Adapters: infrastructure/postgres_*.py and memory.py;
one contract suite (tests/contract/library) runs over both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from library_svc.domain.achievements import Achievement, Definition
from library_svc.domain.catalog import Language, Product
from library_svc.domain.categories import Category
from library_svc.domain.game_settings import GameSettings
from library_svc.domain.ids import (
    AchievementId,
    CategoryId,
    ItemId,
    PlaytimeSessionId,
    ProductId,
    UserId,
    WishId,
)
from library_svc.domain.items import InstallationStatus, Item
from library_svc.domain.playtime import PlaytimeSession
from library_svc.domain.wishlist import Wish


class ItemSort(StrEnum):
    """Orders of a list of items. Equal values are ordered by id, what is not known comes last."""

    NAME_ASC = "name_asc"
    NAME_DESC = "name_desc"
    LAST_PLAYED_DESC = "last_played_desc"
    ADDED_AT_DESC = "added_at_desc"
    PLAYTIME_DESC = "playtime_desc"


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """Which of a user's items, in what order, and which page (from 1). None does not filter.

    Attributes:
        language: of the titles that names are sorted by.
        search: words of a title in either language, as the user typed them (domain/search.py).
        include_categories: the categories of the items are to be told with them.
    """

    user_id: UserId
    language: Language
    status: InstallationStatus | None = None
    search: str | None = None
    include_hidden: bool = False
    is_favorite: bool | None = None
    category_id: CategoryId | None = None
    sort: ItemSort = ItemSort.ADDED_AT_DESC
    page: int = 1
    limit: int = 20
    include_categories: bool = False

    @property
    def needs_titles(self) -> bool:
        """Whether titles decide which items are on the page."""
        return self.search is not None or self.sort in {ItemSort.NAME_ASC, ItemSort.NAME_DESC}


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item with what is known of its product, and the ids of its categories in their order; the categories too, if they were
    asked for.
    """

    item: Item
    product: Product | None
    category_ids: Sequence[CategoryId] = ()
    categories: Sequence[Category] = ()


@dataclass(frozen=True, slots=True)
class ItemPage:
    """One page of a query's items.

    Attributes:
        total_items: on all pages.
        unknown_products: products that are not completely known and bear on this page, at most CATALOG_BATCH_LIMIT.
    """

    items: Sequence[ShownItem]
    total_items: int
    unknown_products: Sequence[ProductId]


class LibraryReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_items(self, query: ItemQuery) -> ItemPage: ...

    async def get_item(
        self, user_id: UserId, item_id: ItemId, *, include_categories: bool = False
    ) -> ShownItem | None: ...

    async def owned_items(self, user_id: UserId, product_ids: Sequence[ProductId]) -> Sequence[Item]:
        """The user's items of these products, or all when none is named; newest first."""

    async def access_since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        """Since when the user may use the product; None: they may not."""


@dataclass(frozen=True, slots=True)
class CategoryPage:
    """One page of a user's categories, by `display_order`, then by name; `total_items` on all pages."""

    categories: Sequence[Category]
    total_items: int


class CategoryReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_categories(self, user_id: UserId, *, page: int, limit: int) -> CategoryPage: ...

    async def get_category(self, user_id: UserId, category_id: CategoryId) -> Category | None: ...


class GameSettingsReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def get_settings(self, user_id: UserId, product_id: ProductId) -> GameSettings | None: ...


@dataclass(frozen=True, slots=True)
class ShownWish:
    """A wish with what is known of its product."""

    wish: Wish
    product: Product | None

    @property
    def is_known(self) -> bool:
        """Whether Catalog has told all of the product."""
        return self.product is not None and self.product.is_complete


@dataclass(frozen=True, slots=True)
class WishPage:
    """One page of a user's wishlist, the highest priority first, then the newest; `total_items` on all pages."""

    wishes: Sequence[ShownWish]
    total_items: int


class WishlistReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_wishes(self, user_id: UserId, *, page: int, limit: int) -> WishPage: ...

    async def get_wish(self, user_id: UserId, wish_id: WishId) -> ShownWish | None: ...


@dataclass(frozen=True, slots=True)
class ProductPlaytime:
    """How long a product was played: in the period that was asked for, and in the last two weeks."""

    product_id: ProductId
    seconds: int
    recent_seconds: int
    last_played_at: datetime


@dataclass(frozen=True, slots=True)
class DailyPlaytime:
    """How long was played on a day (UTC)."""

    day: date
    seconds: int


@dataclass(frozen=True, slots=True)
class PlaytimeStatistics:
    """A user's playtime by product, the latest played first, and by day of the last two weeks, the earliest first."""

    products: Sequence[ProductPlaytime]
    days: Sequence[DailyPlaytime]

    @property
    def seconds(self) -> int:
        return sum(product.seconds for product in self.products)

    @property
    def recent_seconds(self) -> int:
        return sum(product.recent_seconds for product in self.products)

    @property
    def last_played_at(self) -> datetime | None:
        return max((product.last_played_at for product in self.products), default=None)


class PlaytimeReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def get_session(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None: ...

    async def statistics(
        self, user_id: UserId, product_ids: Sequence[ProductId], *, only_recent: bool, now: datetime
    ) -> PlaytimeStatistics:
        """Of these products, or of all when none is named; with `only_recent` nothing before the last two weeks counts."""

    async def silent_since(self, moment: datetime, *, limit: int) -> Sequence[PlaytimeSession]:
        """Live sessions of which no heartbeat is written down since then, the longest silent first."""


class AchievementSort(StrEnum):
    """Orders of a product's achievements; equal values keep the publisher's order."""

    DEFAULT = "default"
    RARITY_ASC = "rarity_asc"
    UNLOCKED_AT_DESC = "unlocked_at_desc"


@dataclass(frozen=True, slots=True)
class ShownAchievement:
    """An achievement, how far a user is, and how many have it."""

    definition: Definition
    is_unlocked: bool
    unlocked_at: datetime | None
    current_progress: int
    rarity_percentage: float

    @property
    def is_secret(self) -> bool:
        """Whether the user must not learn what it is."""
        return self.definition.is_hidden and not self.is_unlocked

    def at(self, achievement: Achievement) -> "ShownAchievement":
        """The same, with the user where they are now."""
        return replace(
            self,
            is_unlocked=achievement.is_unlocked,
            unlocked_at=achievement.unlocked_at,
            current_progress=achievement.current_progress,
        )


@dataclass(frozen=True, slots=True)
class AchievementList:
    """A product's achievements; `as_of` is when Catalog told of them, None: it never did."""

    achievements: Sequence[ShownAchievement]
    as_of: datetime | None

    def of(self, achievement_id: AchievementId) -> ShownAchievement | None:
        return next((one for one in self.achievements if one.definition.id == achievement_id), None)


class AchievementReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_achievements(
        self, user_id: UserId, product_id: ProductId, sort: AchievementSort
    ) -> AchievementList: ...

    async def find_achievement(
        self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId
    ) -> AchievementList:
        """The list with no other achievement than this one."""
