"""Messages of items ↔ the library's own values. The shape of requests was checked by the proto's rules before."""

from collections.abc import Container, Iterable
from typing import Final
from uuid import UUID

from library.v1 import items_pb2 as pb
from library.v1.categories_pb2 import Category as CategoryMessage
from library.v1.query_pb2 import OwnedItem
from samovar.types.v1.page_pb2 import PageInfo

from chassis.cloudevents.moments import to_timestamp
from library_svc.catalog.domain import Language, Product
from library_svc.categories.domain import Category
from library_svc.ids import CategoryId, UserId
from library_svc.items.application import ItemPage, ItemQuery, ItemSort, ItemView
from library_svc.items.domain import AcquisitionType, InstallationStatus, Item, ItemChanges
from library_svc.masks import masked

DEFAULT_PAGE: Final = 1
DEFAULT_LIMIT: Final = 20

CLEARABLE: Final = frozenset({"user_rating", "notes"})
"""Attributes of an item that may be named in the mask without a value."""

CATEGORIES: Final = "categories"
PRODUCT: Final = "product"
"""The resources that a request can ask to have included."""

_STATUS = {status: f"INSTALLATION_STATUS_{status.name}" for status in InstallationStatus}
_STATUS_OF = {pb.InstallationStatus.Value(name): status for status, name in _STATUS.items()}
_ACQUISITION = {kind: f"ACQUISITION_TYPE_{kind.name}" for kind in AcquisitionType}
_SORT_OF = {pb.ItemSort.Value(f"ITEM_SORT_{sort.name}"): sort for sort in ItemSort}


def item_query(request: pb.ListItemsRequest, user_id: UserId, language: Language) -> ItemQuery:
    """The query of a request; what it leaves out has the contract's defaults."""
    return ItemQuery(
        user_id=user_id,
        language=language,
        status=_STATUS_OF.get(request.status),
        search=request.search if request.HasField("search") else None,
        include_hidden=request.include_hidden,
        is_favorite=request.is_favorite if request.HasField("is_favorite") else None,
        category_id=CategoryId(UUID(request.category_id)) if request.HasField("category_id") else None,
        sort=_SORT_OF.get(request.sort_by, ItemSort.ADDED_AT_DESC),
        page=request.page or DEFAULT_PAGE,
        limit=request.limit or DEFAULT_LIMIT,
        include_categories=CATEGORIES in request.include,
    )


def item_changes(request: pb.UpdateItemRequest) -> ItemChanges:
    """The changes that the mask names.

    Raises:
        DomainError: INVALID_ARGUMENT, with every path that is unknown or needs a value.
    """
    changes = masked(request.item, request.update_mask, at="item", clearable=CLEARABLE)
    if "category_ids" in changes:
        changes["category_ids"] = category_ids(changes["category_ids"])
    return ItemChanges(**changes)


def category_ids(texts: Iterable[str]) -> frozenset[CategoryId]:
    return frozenset(CategoryId(UUID(text)) for text in texts)


def item_message(shown: ItemView, language: Language) -> pb.LibraryItem:
    """The item as its user sees it."""
    item, product = shown.item, shown.product
    return pb.LibraryItem(
        id=str(item.id),
        product_id=str(item.product_id),
        title=product.title(language) if product else None,
        cover_image_url=product.cover_image_url if product else None,
        added_at=to_timestamp(item.added_at),
        last_played_at=to_timestamp(item.last_played_at),
        total_playtime_seconds=item.total_playtime_seconds,
        installation_status=_STATUS[item.installation_status],
        installed_version_id=_text(item.installed_version_id),
        acquisition_type=_ACQUISITION[item.acquisition_type],
        shared_from_user_id=_text(item.shared_from_user_id),
        is_hidden=item.is_hidden,
        is_favorite=item.is_favorite,
        user_rating=item.user_rating,
        notes=item.notes,
        category_ids=map(str, shown.category_ids),
    )


def page_message(page: ItemPage, query: ItemQuery, include: Container[str] = ()) -> pb.ListItemsResponse:
    """A page of items, where it lies, and what is to be included."""
    return pb.ListItemsResponse(
        items=[item_message(shown, query.language) for shown in page.items],
        page=PageInfo(total_items=page.total_items, current_page=query.page, per_page=query.limit),
        included_categories=category_messages(page.items),
        included_products=product_messages((shown.product for shown in page.items), query.language, include),
    )


def category_message(category: Category) -> CategoryMessage:
    return CategoryMessage(id=str(category.id), name=category.name, display_order=category.display_order)


def category_messages(items: Iterable[ItemView]) -> list[CategoryMessage]:
    """The categories returned with the items, each once."""
    found = {category.id: category for shown in items for category in shown.categories}
    return [category_message(category) for category in found.values()]


def product_messages(
    products: Iterable[Product | None], language: Language, include: Container[str]
) -> list[pb.Product]:
    """The products that are known, each once, if they are to be included."""
    if PRODUCT not in include:
        return []
    found = {product.product_id: product for product in products if product is not None}
    return [
        pb.Product(
            id=str(product.product_id),
            title=product.title(language),
            cover_image_url=product.cover_image_url,
            product_type=product.product_type,
        )
        for product in found.values()
    ]


def owned_item_message(item: Item) -> OwnedItem:
    """The item as other services see it."""
    return OwnedItem(
        product_id=str(item.product_id),
        added_at=to_timestamp(item.added_at),
        installation_status=_STATUS[item.installation_status],
        total_playtime_seconds=item.total_playtime_seconds,
    )


def _text(value: UUID | None) -> str | None:
    return str(value) if value else None
