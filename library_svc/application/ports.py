"""What the use cases need of the world. Adapters: infrastructure/postgres.py, memory.py, catalog.py; one contract suite
(tests/contract/library) runs over all of a port's adapters.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from library_svc.domain.catalog import Language, Product
from library_svc.domain.categories import Category
from library_svc.domain.entitlements import Grant
from library_svc.domain.events import LibraryEvent
from library_svc.domain.game_settings import GameSettings
from library_svc.domain.ids import CategoryId, ItemId, ProductId, UserId, WishId
from library_svc.domain.installations import Download, Installation, InstallationState
from library_svc.domain.items import InstallationStatus, Item
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

    async def save(self, user_id: UserId, product_id: ProductId, news: Download | Installation) -> None:
        """Replaces what was known of that session or device."""


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

    async def add(self, wish: Wish) -> None: ...

    async def save(self, wish: Wish) -> None: ...

    async def remove(self, wish: Wish) -> None: ...


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

    async def is_first(self, event_id: str) -> bool:
        """Whether the incoming event is seen for the first time; remembers it with the transaction.

        Waits for another transaction that handles the same event.
        """

    async def lock_user(self, user_id: UserId) -> None:
        """Waits until no other transaction holds the user. For rules over rows that may not be there yet."""

    def record(self, event: LibraryEvent) -> None:
        """Has the event told to the platform when the transaction commits."""

    async def commit(self) -> None: ...


Begin = Callable[[], AbstractAsyncContextManager[Transaction]]
"""Opens a transaction."""


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
        search: part of a title in either language, as the user typed it.
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
