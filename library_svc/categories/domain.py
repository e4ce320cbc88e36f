"""A category: a shelf of the user's own making, on which any of their items can stand. Contract section 2, "categories"."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from chassis.errors import DomainError, FieldViolation, Kind
from library_svc.changes import UNCHANGED, Unchanged, changed
from library_svc.ids import CategoryId, UserId
from library_svc.items.domain import Item
from library_svc.text import same_to_the_eye

ITEM_CATEGORIES_LIMIT: Final = 100
"""Categories that one item can be in."""


@dataclass(frozen=True, slots=True)
class CategoryChanges:
    """The changes that a user may make to a category. A field that is UNCHANGED stays as it is."""

    name: str | Unchanged = UNCHANGED
    display_order: int | Unchanged = UNCHANGED


@dataclass(frozen=True, slots=True)
class Category:
    """A category of a user's. No two of a user's have one name; spaces around a name, what cannot be seen in it and the form
    of Unicode that it came in don't count.

    Attributes:
        display_order: the lowest is shown first; equals are ordered by name.
    """

    id: CategoryId
    user_id: UserId
    name: str
    display_order: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.strip())

    def changed(self, changes: CategoryChanges) -> "Category":
        """The category with the user's changes."""
        return changed(self, changes)


def named_best(categories: Iterable[Category], name: str) -> Category | None:
    """The category whose name people would take for this one; of several, which there were before, that of the very name."""
    seen = same_to_the_eye(name)
    alike = (category for category in categories if same_to_the_eye(category.name) == seen)
    return max(alike, key=lambda category: (category.name == name, category.id), default=None)


class CategoryChange(StrEnum):
    """The kinds of change to a category."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class CategoryChanged:
    """A category came, is another one than before, or went."""

    user_id: UserId
    category_id: CategoryId
    change: CategoryChange


class TooManyCategories(DomainError):
    """An item would be in more than ITEM_CATEGORIES_LIMIT categories."""

    def __init__(self) -> None:
        description = f"must contain no more than {ITEM_CATEGORIES_LIMIT} items"
        violation = FieldViolation("category_ids", description, "repeated.max_items")
        super().__init__(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=[violation])


class CategoryNameInvisible(DomainError):
    """There is nothing in the name that can be seen. `field` is where the request has it."""

    def __init__(self, field: str) -> None:
        violation = FieldViolation(field, "must have a character that can be seen", "string.pattern")
        super().__init__(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=[violation])


class CategoryNotFound(DomainError):
    """The user has no such category. Another user's answers the same."""

    def __init__(self, category_id: CategoryId) -> None:
        super().__init__(Kind.NOT_FOUND, "CATEGORY_NOT_FOUND", details={"category_id": str(category_id)})


class CategoryAlreadyExists(DomainError):
    """The user has another category of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(Kind.ALREADY_EXISTS, "CATEGORY_ALREADY_EXISTS", details={"name": name})


class Categories(Protocol):
    """The categories of a transaction, and what is in them."""

    async def find(self, user_id: UserId, category_id: CategoryId) -> Category | None:
        """Locks what it finds until the transaction ends."""

    async def named(self, user_id: UserId, name: str) -> Category | None: ...

    async def existing(self, user_id: UserId, category_ids: AbstractSet[CategoryId]) -> AbstractSet[CategoryId]:
        """Return those of the categories that the user has. They stay until the transaction ends."""

    async def add(self, category: Category) -> None: ...

    async def save(self, category: Category) -> None: ...

    async def remove(self, category: Category) -> None:
        """Takes everything out of it too."""

    async def of_item(self, item: Item) -> AbstractSet[CategoryId]:
        """Return the categories that the item is in."""

    async def put(self, item: Item, category_ids: AbstractSet[CategoryId]) -> None:
        """Put the item in these categories and in no others."""
