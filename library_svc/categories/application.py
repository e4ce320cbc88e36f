"""Making, renaming, ordering and removing a user's categories. Called by CategoryService.

What an item is in is changed with the item (items.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from library_svc.categories.domain import (
    Category,
    CategoryAlreadyExists,
    CategoryChange,
    CategoryChanged,
    CategoryChanges,
    CategoryNameInvisible,
    CategoryNotFound,
)
from library_svc.changes import UNCHANGED
from library_svc.ids import CategoryId, UserId
from library_svc.text import same_to_the_eye
from library_svc.transaction import Begin, Transaction


@dataclass(frozen=True, slots=True)
class CategoryPage:
    """One page of a user's categories, by `display_order`, then by name; `total_items` on all pages."""

    categories: Sequence[Category]
    total_items: int


class CategoryReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_categories(self, user_id: UserId, *, page: int, limit: int) -> CategoryPage: ...

    async def get_category(self, user_id: UserId, category_id: CategoryId) -> Category | None: ...


async def create_category(begin: Begin, *, user_id: UserId, name: str, display_order: int) -> Category:
    """Makes a category in one transaction.

    Raises:
        CategoryNameInvisible: nothing in the name can be seen.
        CategoryAlreadyExists: the user has one of this name.
    """
    if not same_to_the_eye(name):
        raise CategoryNameInvisible("name")
    category = Category(CategoryId(uuid4()), user_id, name, display_order)
    async with begin(user_id) as tx:
        await tx.lock_user(user_id)
        await _require_own_name(tx, category)
        await tx.categories.add(category)
        tx.record(CategoryChanged(user_id, category.id, CategoryChange.CREATED))
        await tx.commit()
    return category


async def update_category(
    begin: Begin, *, user_id: UserId, category_id: CategoryId, changes: CategoryChanges
) -> Category:
    """Changes a category in one transaction; doing it again changes nothing more.

    Raises:
        CategoryNameInvisible: nothing in the name can be seen.
        CategoryNotFound: the user has no such category.
        CategoryAlreadyExists: the user has another one of this name.
    """
    if changes.name is not UNCHANGED and not same_to_the_eye(changes.name):
        raise CategoryNameInvisible("category.name")
    async with begin(user_id) as tx:
        await tx.lock_user(user_id)
        before = await _find(tx, user_id, category_id)
        category = before.changed(changes)
        if category.name != before.name:
            await _require_own_name(tx, category)
        await tx.categories.save(category)
        if category != before:
            tx.record(CategoryChanged(user_id, category_id, CategoryChange.UPDATED))
        await tx.commit()
    return category


async def delete_category(begin: Begin, *, user_id: UserId, category_id: CategoryId) -> None:
    """Removes a category in one transaction; what is in it stays in the library.

    Raises:
        CategoryNotFound: the user has no such category.
    """
    async with begin(user_id) as tx:
        await tx.categories.remove(await _find(tx, user_id, category_id))
        tx.record(CategoryChanged(user_id, category_id, CategoryChange.DELETED))
        await tx.commit()


async def _find(tx: Transaction, user_id: UserId, category_id: CategoryId) -> Category:
    category = await tx.categories.find(user_id, category_id)
    if category is None:
        raise CategoryNotFound(category_id)
    return category


async def _require_own_name(tx: Transaction, category: Category) -> None:
    """The user must be locked: another one of this name may be on its way."""
    other = await tx.categories.named(category.user_id, category.name)
    if other is not None and other.id != category.id:
        raise CategoryAlreadyExists(category.name)
