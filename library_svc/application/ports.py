"""What the use cases need of the world. Adapters: infrastructure/postgres.py, memory.py, catalog.py; one contract suite
(tests/contract/library) runs over all of a port's adapters.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from library_svc.domain.achievements import Achievement, Definition
from library_svc.domain.catalog import Language, Product
from library_svc.domain.categories import Category
from library_svc.domain.entitlements import Grant
from library_svc.domain.events import LibraryEvent
from library_svc.domain.game_settings import GameSettings
from library_svc.domain.ids import (
    AchievementId,
    CategoryId,
    ItemId,
    PlaytimeSessionId,
    ProductId,
    SaleId,
    UserId,
    WishId,
)
from library_svc.domain.installations import InstallationState, News
from library_svc.domain.items import InstallationStatus, Item
from library_svc.domain.playtime import PlaytimeSession, Pulse
from library_svc.domain.sales import Sale
from library_svc.domain.wishlist import Wish

CATALOG_BATCH_LIMIT = 500
"""Products that Catalog tells of in one call; so many of a user's unknown ones are named in one page."""


class Items(Protocol):
    """The items of a transaction. What is found is locked until the transaction ends."""

    async def find(self, user_id: UserId, item_id: ItemId) -> Item | None: ...

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Item | None: ...

    async def add(self, item: Item) -> None: ...

    async def save(self, item: Item) -> None: ...

    async def remove(self, item: Item) -> None: ...


class Entitlements(Protocol):
    """The grants of a transaction."""

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Sequence[Grant]:
        """All grants, the revoked ones too."""

    async def save(self, grant: Grant) -> None:
        """Adds the grant, or changes the one of the same source."""


class Installations(Protocol):
    """What a transaction knows of downloads and installations."""

    async def of_product(self, user_id: UserId, product_id: ProductId) -> InstallationState: ...

    async def save(self, user_id: UserId, product_id: ProductId, news: News) -> None:
        """Replaces what was known of that session, device, or the files on it."""


class Categories(Protocol):
    """The categories of a transaction, and what is in them."""

    async def find(self, user_id: UserId, category_id: CategoryId) -> Category | None:
        """Locks what it finds until the transaction ends."""

    async def named(self, user_id: UserId, name: str) -> Category | None: ...

    async def existing(self, user_id: UserId, category_ids: AbstractSet[CategoryId]) -> AbstractSet[CategoryId]:
        """Those of the categories that the user has. They stay until the transaction ends."""

    async def add(self, category: Category) -> None: ...

    async def save(self, category: Category) -> None: ...

    async def remove(self, category: Category) -> None:
        """Takes everything out of it too."""

    async def of_item(self, item: Item) -> AbstractSet[CategoryId]:
        """Those that the item is in."""

    async def put(self, item: Item, category_ids: AbstractSet[CategoryId]) -> None:
        """Has the item be in these and in no others."""


class GameSettingsStore(Protocol):
    """The game settings of a transaction."""

    async def find(self, user_id: UserId, product_id: ProductId) -> GameSettings | None:
        """Locks what it finds until the transaction ends."""

    async def save(self, settings: GameSettings) -> None:
        """Adds the settings, or replaces those of the same user and product."""


class Wishlist(Protocol):
    """The wishes of a transaction. What is found is locked until the transaction ends."""

    async def find(self, user_id: UserId, wish_id: WishId) -> Wish | None: ...

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Wish | None: ...

    async def count(self, user_id: UserId) -> int: ...

    async def wishing(self, sale: Sale, *, limit: int) -> Sequence[Wish]:
        """The next wishes to tell of the sale, in the order of users: after those who are told, and from before it was heard of."""

    async def note_told(self, wishes: Sequence[Wish], sale_id: SaleId) -> None:
        """Notes in each that its user was told of the sale, in one statement."""

    async def add(self, wish: Wish) -> None: ...

    async def save(self, wish: Wish) -> None: ...

    async def remove(self, wish: Wish) -> None: ...


class Sales(Protocol):
    """The sales of a transaction. What is found is locked until the transaction ends."""

    async def of_product(self, product_id: ProductId) -> Sequence[Sale]: ...

    async def next_to_tell(self) -> Sale | None:
        """Of those that are being told, and that no other transaction holds, the one that was saved the longest ago."""

    async def save(self, sale: Sale) -> None:
        """Adds the sale, or replaces what was known of it."""


@dataclass(frozen=True, slots=True)
class Played:
    """How long a user has played a product, out of the sessions that ended; those that overlap count once."""

    total_seconds: int = 0
    last_played_at: datetime | None = None


class Playtime(Protocol):
    """The sessions of play of a transaction. What is found is locked until the transaction ends."""

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None: ...

    async def live(self, user_id: UserId, product_id: ProductId) -> Sequence[PlaytimeSession]: ...

    async def add(self, session: PlaytimeSession) -> None: ...

    async def save(self, session: PlaytimeSession) -> None: ...

    async def has_begun(self, user_id: UserId, product_id: ProductId) -> bool:
        """Whether the user ever began to play the product."""

    async def count_player(self, product_id: ProductId) -> None:
        """Notes that one more user plays the product; added up later (AchievementTallies)."""

    async def played(self, user_id: UserId, product_id: ProductId) -> Played: ...

    async def record_heartbeats(self, pulses: Sequence[Pulse]) -> AbstractSet[PlaytimeSessionId]:
        """Notes when each live session was last heard, in one statement; an older time than is known changes nothing.

        Returns:
            Those of the sessions that live.
        """


class Achievements(Protocol):
    """How far users are, in a transaction. What is found is locked until the transaction ends."""

    async def find(self, user_id: UserId, achievement_id: AchievementId) -> Achievement | None: ...

    async def save(self, achievement: Achievement) -> None:
        """Adds it, or replaces what was known of the same user and achievement."""

    async def count_unlock(self, product_id: ProductId, achievement_id: AchievementId) -> None:
        """Notes that one more user has the achievement; added up later (AchievementTallies)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose request it is, and where it comes from; for the audit log."""

    user_id: UserId
    address: str | None
    request_id: str


class Transaction(Protocol):
    """All or nothing: left without `commit()` it leaves no trace."""

    @property
    def items(self) -> Items: ...

    @property
    def entitlements(self) -> Entitlements: ...

    @property
    def installations(self) -> Installations: ...

    @property
    def categories(self) -> Categories: ...

    @property
    def game_settings(self) -> GameSettingsStore: ...

    @property
    def wishlist(self) -> Wishlist: ...

    @property
    def sales(self) -> Sales: ...

    @property
    def playtime(self) -> Playtime: ...

    @property
    def achievements(self) -> Achievements: ...

    async def is_first(self, event_id: str) -> bool:
        """Whether the incoming event is seen for the first time; remembers it with the transaction.

        Waits for another transaction that handles the same event.
        """

    async def lock_user(self, user_id: UserId) -> None:
        """Waits until no other transaction holds the user. For rules over rows that may not be there yet."""

    async def audit(self, origin: Origin, *, action: str, resource: str, outcome: str) -> None:
        """Notes in the audit log what somebody tried and how it came out."""

    def record(self, event: LibraryEvent) -> None:
        """Has the event told to the platform when the transaction commits."""

    async def commit(self) -> None: ...


Begin = Callable[[], AbstractAsyncContextManager[Transaction]]
"""Opens a transaction."""


class Outgoing(Protocol):
    """What was recorded in transactions, and is on its way to the platform."""

    async def has_room(self) -> bool:
        """Whether so little waits that a new event is told without delay."""


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


class Pulses(Protocol):
    """The pulses of live sessions, shared by all instances. They can be lost, and be away: then there are none."""

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> Pulse | None: ...

    async def find_many(
        self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]
    ) -> Mapping[PlaytimeSessionId, Pulse]: ...

    async def save(self, pulse: Pulse) -> None: ...

    async def forget(self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]) -> None: ...


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


class AchievementTallies(Protocol):
    """How many have each achievement, and how many play each product."""

    async def add_up(self, *, limit: int) -> int:
        """Adds noted unlocks and players to the tallies, each exactly once, whoever else does it at the same time.

        Returns:
            How many notes there were, at most `limit`.
        """


class Definitions(Protocol):
    """The read model of Catalog's achievements."""

    async def replace(self, product_id: ProductId, definitions: Sequence[Definition], *, as_of: datetime) -> None:
        """Has the product have these and no others, unless something newer is known."""


class Products(Protocol):
    """The read model of Catalog's products."""

    async def save(self, products: Sequence[Product]) -> None:
        """Merges each into what is known (domain `Product.merged`)."""


class Catalog(Protocol):
    """The Catalog Service."""

    async def get_products(self, product_ids: Sequence[ProductId], *, as_of: datetime) -> Sequence[Product]:
        """Those of the products that exist, in one call of at most CATALOG_BATCH_LIMIT.

        Raises:
            DomainError: Catalog cannot be asked, or refuses.
        """

    async def list_achievements(self, product_id: ProductId) -> Sequence[Definition]:
        """The achievements of a product.

        Raises:
            DomainError: NOT_FOUND, there is no such product; otherwise Catalog cannot be asked, or refuses.
        """
