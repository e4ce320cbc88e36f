"""A library item: a product in a user's library, what the user may change of it, and what happens to it.

An item exists while something entitles its user to the product (entitlements.py); its installation status follows Download
(installations.py). Contract section 2.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chassis.errors import DomainError, Kind
from library_svc.changes import UNCHANGED, Unchanged, changed
from library_svc.ids import CategoryId, ItemId, ProductId, UserId, VersionId


class AcquisitionType(StrEnum):
    """The ways in which a user can acquire a product."""

    PURCHASE = "purchase"
    GIFT = "gift"
    KEY_ACTIVATION = "key_activation"
    FAMILY_SHARED_ACCESS = "family_shared_access"
    FREE_TO_PLAY = "free_to_play"


class InstallationStatus(StrEnum):
    """State of a product over all of a user's devices."""

    NOT_INSTALLED = "not_installed"
    INSTALLING = "installing"
    INSTALLED = "installed"
    UPDATING = "updating"
    REPAIR_NEEDED = "repair_needed"
    ERROR = "error"


class RemovalReason(StrEnum):
    """Why a product left a library."""

    REFUND = "refund"
    FAMILY_REVOKED = "family_revoked"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ItemChanges:
    """The changes that a user may make to an item. None clears a field; one that is UNCHANGED stays as it is.

    Attributes:
        category_ids: all that the item shall be in. They are kept beside the item, not in it.
    """

    is_hidden: bool | Unchanged = UNCHANGED
    is_favorite: bool | Unchanged = UNCHANGED
    user_rating: int | Unchanged | None = UNCHANGED
    notes: str | Unchanged | None = UNCHANGED
    category_ids: frozenset[CategoryId] | Unchanged = UNCHANGED


@dataclass(frozen=True, slots=True)
class Item:
    """A product in a user's library.

    Attributes:
        added_at: when what entitles the user began; it stays while the item does.
        shared_from_user_id: the owner, when the item is a borrowed one.
        installed_version_id: the version installed last, on any device that still has one.
        user_rating: 1 to 5.
    """

    id: ItemId
    user_id: UserId
    product_id: ProductId
    added_at: datetime
    acquisition_type: AcquisitionType
    shared_from_user_id: UserId | None = None
    installation_status: InstallationStatus = InstallationStatus.NOT_INSTALLED
    installed_version_id: VersionId | None = None
    last_played_at: datetime | None = None
    total_playtime_seconds: int = 0
    is_hidden: bool = False
    is_favorite: bool = False
    user_rating: int | None = None
    notes: str | None = None

    def changed(self, changes: ItemChanges) -> "Item":
        """The item with the user's changes."""
        return changed(self, changes)

    def with_playtime(self, total_seconds: int, last_played_at: datetime | None) -> "Item":
        """The item with the time that its product was played."""
        return replace(self, total_playtime_seconds=total_seconds, last_played_at=last_played_at)


@dataclass(frozen=True, slots=True)
class GameAdded:
    """A product came into a user's library."""

    user_id: UserId
    product_id: ProductId
    acquisition_type: AcquisitionType
    added_at: datetime


@dataclass(frozen=True, slots=True)
class GameRemoved:
    """A product left a user's library: nothing entitles the user any more."""

    user_id: UserId
    product_id: ProductId
    reason: RemovalReason
    removed_at: datetime


@dataclass(frozen=True, slots=True)
class ItemUpdated:
    """An item is another one than before.

    Attributes:
        changed_attributes: their names in the API, without values: who may know them asks for the item.
    """

    user_id: UserId
    product_id: ProductId
    library_item_id: ItemId
    changed_attributes: tuple[str, ...]


class ItemNotFound(DomainError):
    """There is no such item in the caller's library. Another user's item answers the same."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__(Kind.NOT_FOUND, "LIBRARY_ITEM_NOT_FOUND", details={"library_item_id": str(item_id)})


class Items(Protocol):
    """The items of a transaction. What is found is locked until the transaction ends."""

    async def find(self, user_id: UserId, item_id: ItemId) -> Item | None: ...

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Item | None: ...

    async def add(self, item: Item) -> None: ...

    async def save(self, item: Item) -> None: ...

    async def remove(self, item: Item) -> None: ...
