"""Showing a user their items, and changing what the user may change of them. Called by LibraryService."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from library_svc.catalog.application import ProductFiller
from library_svc.catalog.domain import Language, Product
from library_svc.categories.domain import ITEM_CATEGORIES_LIMIT, Category, CategoryNotFound, TooManyCategories
from library_svc.changes import UNCHANGED, differing
from library_svc.ids import CategoryId, ItemId, ProductId, UserId
from library_svc.items.domain import InstallationStatus, Item, ItemChanges, ItemNotFound, ItemUpdated
from library_svc.transaction import Begin, Transaction


class ItemSort(StrEnum):
    """Orders of a list of items. Equal values are ordered by id, what is not known comes last."""

    NAME_ASC = "name_asc"
    NAME_DESC = "name_desc"
    LAST_PLAYED_DESC = "last_played_desc"
    ADDED_AT_DESC = "added_at_desc"
    PLAYTIME_DESC = "playtime_desc"


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """The filter, order and page (from 1) of a list of a user's items. None does not filter.

    Attributes:
        language: of the titles that names are sorted by.
        search: words of a title in either language, as the user typed them (domain/search.py).
        include_categories: the categories of the items are to be returned with them.
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
        """True when titles decide which items are on the page."""
        return self.search is not None or self.sort in {ItemSort.NAME_ASC, ItemSort.NAME_DESC}


@dataclass(frozen=True, slots=True)
class ItemView:
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

    items: Sequence[ItemView]
    total_items: int
    unknown_products: Sequence[ProductId]


class LibraryReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_items(self, query: ItemQuery) -> ItemPage: ...

    async def get_item(
        self, user_id: UserId, item_id: ItemId, *, include_categories: bool = False
    ) -> ItemView | None: ...

    async def owned_items(self, user_id: UserId, product_ids: Sequence[ProductId]) -> Sequence[Item]:
        """The user's items of these products, or all when none is named; newest first."""

    async def access_since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        """Since when the user may use the product; None: they may not."""


async def list_items(reader: LibraryReader, filler: ProductFiller, query: ItemQuery) -> ItemPage:
    """One page. When products were missed and could be had, it is read again: titles may change who is on it."""
    page = await reader.list_items(query)
    if page.unknown_products and await filler.fill(page.unknown_products):
        page = await reader.list_items(query)
    return page


async def get_item(
    reader: LibraryReader,
    filler: ProductFiller,
    *,
    user_id: UserId,
    item_id: ItemId,
    include_categories: bool = False,
) -> ItemView:
    """One item of the user's.

    Raises:
        ItemNotFound: the user has no such item.
    """
    shown = await _find(reader, user_id, item_id, include_categories=include_categories)
    is_known = shown.product is not None and shown.product.is_complete
    if not is_known and await filler.fill([shown.item.product_id]):
        shown = await _find(reader, user_id, item_id, include_categories=include_categories)
    return shown


async def show_categories(reader: LibraryReader, *, user_id: UserId, item_id: ItemId) -> ItemView:
    """One item with its categories; its product is whatever is known.

    Raises:
        ItemNotFound: the user has no such item.
    """
    return await _find(reader, user_id, item_id, include_categories=True)


async def update_item(begin: Begin, *, user_id: UserId, item_id: ItemId, changes: ItemChanges) -> Item:
    """Changes an item in one transaction, all or nothing; doing it again changes nothing more.

    Raises:
        ItemNotFound: the user has no such item.
        CategoryNotFound: the user has no such category.
    """
    async with begin(user_id) as tx:
        before = await _locked(tx, user_id, item_id)
        item = before.changed(changes)
        attributes = differing(before, item)
        await tx.items.save(item)
        if changes.category_ids is not UNCHANGED:
            attributes |= await _put(tx, item, changes.category_ids, await tx.categories.of_item(item))
        record_changed(tx, item, attributes)
        await tx.commit()
    return item


async def add_to_categories(
    begin: Begin, *, user_id: UserId, item_id: ItemId, category_ids: frozenset[CategoryId]
) -> None:
    """Puts an item into more categories, all or none; doing it again changes nothing more.

    Raises:
        ItemNotFound, CategoryNotFound: the user has no such item or category.
        TooManyCategories: it would be in more than ITEM_CATEGORIES_LIMIT.
    """
    async with begin(user_id) as tx:
        item = await _locked(tx, user_id, item_id)
        before = await tx.categories.of_item(item)
        wanted = category_ids | before
        if len(wanted) > ITEM_CATEGORIES_LIMIT:
            raise TooManyCategories
        record_changed(tx, item, await _put(tx, item, wanted, before))
        await tx.commit()


async def take_from_categories(
    begin: Begin, *, user_id: UserId, item_id: ItemId, category_ids: frozenset[CategoryId]
) -> None:
    """Takes an item out of categories; one that it is not in does not matter.

    Raises:
        ItemNotFound: the user has no such item.
    """
    async with begin(user_id) as tx:
        item = await _locked(tx, user_id, item_id)
        before = await tx.categories.of_item(item)
        if before & category_ids:
            await tx.categories.put(item, before - category_ids)
            record_changed(tx, item, {"category_ids"})
        await tx.commit()


def record_changed(tx: Transaction, item: Item, attributes: AbstractSet[str]) -> None:
    """Publish which of an item's attributes changed, if any did. Part of every use case that changes an item."""
    if attributes:
        tx.record(ItemUpdated(item.user_id, item.product_id, item.id, tuple(sorted(attributes))))


async def _locked(tx: Transaction, user_id: UserId, item_id: ItemId) -> Item:
    item = await tx.items.find(user_id, item_id)
    if item is None:
        raise ItemNotFound(item_id)
    return item


async def _put(
    tx: Transaction, item: Item, category_ids: frozenset[CategoryId], before: AbstractSet[CategoryId]
) -> AbstractSet[str]:
    """Returns the attributes that it changed."""
    missing = category_ids - await tx.categories.existing(item.user_id, category_ids)
    if missing:
        raise CategoryNotFound(min(missing))
    if category_ids == before:
        return frozenset()
    await tx.categories.put(item, category_ids)
    return frozenset({"category_ids"})


async def _find(reader: LibraryReader, user_id: UserId, item_id: ItemId, *, include_categories: bool) -> ItemView:
    shown = await reader.get_item(user_id, item_id, include_categories=include_categories)
    if shown is None:
        raise ItemNotFound(item_id)
    return shown
