"""The ports that use cases need to change something; what they read is in readers.py. Adapters: infrastructure/postgres.py,
memory.py, catalog.py; one contract suite (tests/contract/library) runs over all of a port's adapters.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from library_svc.achievements.domain import Achievements
from library_svc.catalog.domain import Products
from library_svc.categories.domain import Categories
from library_svc.entitlements.domain import Entitlements
from library_svc.events import LibraryEvent
from library_svc.game_settings.domain import GameSettingsStore
from library_svc.ids import EventId, UserId
from library_svc.installations.domain import Installations
from library_svc.items.domain import Items
from library_svc.playtime.domain import Playtime
from library_svc.sales.domain import Sales
from library_svc.saves.domain import Saves
from library_svc.wishlist.domain import Wishlist


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
    def products(self) -> "Products": ...

    @property
    def saves(self) -> Saves: ...

    @property
    def playtime(self) -> Playtime: ...

    @property
    def achievements(self) -> Achievements: ...

    async def first_time(self, event_id: EventId) -> bool:
        """Return True when the incoming event is seen for the first time; remembers it with the transaction.

        Waits for another transaction that handles the same event.
        """

    async def lock_user(self, user_id: UserId) -> None:
        """Waits until no other transaction holds the user. For rules over rows that may not be there yet."""

    async def audit(self, origin: Origin, *, action: str, resource: str, outcome: str) -> None:
        """Notes in the audit log what somebody tried and how it came out."""

    def record(self, event: LibraryEvent) -> None:
        """Publish the event to the platform when the transaction commits."""

    async def commit(self) -> None: ...


class Begin(Protocol):
    """Opens a transaction. One that changes what is a user's names the user: of very many of one user only few are open at a time,
    so that everybody else's find room. They are not locked by that; `lock_user` does it.
    """

    def __call__(self, user_id: UserId | None = None, /) -> AbstractAsyncContextManager[Transaction]: ...
