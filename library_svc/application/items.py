"""Showing a user their items, and changing what the user may change of them. Called by LibraryService."""

from collections.abc import Set as AbstractSet

from library_svc.application.catalog import ProductFiller
from library_svc.application.ports import Begin, Transaction
from library_svc.application.readers import ItemPage, ItemQuery, LibraryReader, ShownItem
from library_svc.domain.categories import ITEM_CATEGORIES_LIMIT, CategoryNotFound, TooManyCategories
from library_svc.domain.changes import UNCHANGED, differing
from library_svc.domain.ids import CategoryId, ItemId, UserId
from library_svc.domain.items import Item, ItemChanges, ItemNotFound, ItemUpdated


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
) -> ShownItem:
    """One item of the user's.

    Raises:
        ItemNotFound: the user has no such item.
    """
    shown = await _find(reader, user_id, item_id, include_categories=include_categories)
    is_known = shown.product is not None and shown.product.is_complete
    if not is_known and await filler.fill([shown.item.product_id]):
        shown = await _find(reader, user_id, item_id, include_categories=include_categories)
    return shown


async def show_categories(reader: LibraryReader, *, user_id: UserId, item_id: ItemId) -> ShownItem:
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
        tell_changed(tx, item, attributes)
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
        tell_changed(tx, item, await _put(tx, item, wanted, before))
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
            tell_changed(tx, item, {"category_ids"})
        await tx.commit()


def tell_changed(tx: Transaction, item: Item, attributes: AbstractSet[str]) -> None:
    """Has it told which of an item's attributes changed, if any did. Part of every use case that changes an item."""
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


async def _find(reader: LibraryReader, user_id: UserId, item_id: ItemId, *, include_categories: bool) -> ShownItem:
    shown = await reader.get_item(user_id, item_id, include_categories=include_categories)
    if shown is None:
        raise ItemNotFound(item_id)
    return shown
