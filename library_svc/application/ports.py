"""What the use cases need of the world to change something; what they read is in readers.py. Adapters: infrastructure/postgres.py,
memory.py, catalog.py; one contract suite (tests/contract/library) runs over all of a port's adapters.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from library_svc.domain.achievements import Achievement, Definition
from library_svc.domain.catalog import Product
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
from library_svc.domain.items import Item
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


@dataclass(frozen=True, slots=True)
class Standing:
    """All that says whether a user can get further with an achievement, and from where.

    Attributes:
        grants: of the product.
        has_begun: the user ever began to play it.
        achievement: None: the user has not got anywhere yet.
    """

    grants: Sequence[Grant]
    has_begun: bool
    achievement: Achievement | None


class Achievements(Protocol):
    """How far users are, in a transaction, each user's changes after another (`lock_user`). Each call is one statement."""

    async def standing(self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId) -> Standing: ...

    async def save(self, achievement: Achievement) -> None:
        """Adds it, or replaces what was known of the same user and achievement. One that is unlocked is noted: one more user has
        it. Notes are added up later (AchievementTallies).
        """


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


class Begin(Protocol):
    """Opens a transaction. One that changes what is a user's names the user: of very many of one user only few are open at a time,
    so that everybody else's find room. They are not locked by that; `lock_user` does it.
    """

    def __call__(self, user_id: UserId | None = None, /) -> AbstractAsyncContextManager[Transaction]: ...


class Outgoing(Protocol):
    """What was recorded in transactions, and is on its way to the platform."""

    async def has_room(self) -> bool:
        """Whether so little waits that a new event is told without delay."""


class Pulses(Protocol):
    """The pulses of live sessions, shared by all instances. They can be lost, and be away: then there are none."""

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> Pulse | None: ...

    async def find_many(
        self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]
    ) -> Mapping[PlaytimeSessionId, Pulse]: ...

    async def save(self, pulse: Pulse) -> None: ...

    async def forget(self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]) -> None: ...


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
