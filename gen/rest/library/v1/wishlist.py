"""Transcoders of library/v1/wishlist.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import wishlist_pb2 as pb
from rest.library.v1 import items as library_v1_items

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    MAX_INT32,
    MIN_INT32,
    Parameters,
    int32,
    mask_paths,
    members_of,
    page_of,
    path_string,
    string,
    timestamp_text,
)

WISHLIST_ITEM_FIELDS = frozenset({"product_id", "title", "cover_image_url", "added_at", "priority", "notes", "product"})


def wishlist_item_resource(message: pb.WishlistItem) -> JsonValue:
    """A resource object of type wishlistItem."""
    has = message.HasField
    its_id = message.id
    its_product_id = message.product_id
    return {
        "type": "wishlistItem",
        "id": its_id,
        "attributes": {
            "product_id": its_product_id,
            "title": message.title if has("title") else None,
            "cover_image_url": message.cover_image_url if has("cover_image_url") else None,
            "added_at": timestamp_text(message.added_at) if has("added_at") else None,
            "priority": message.priority,
            "notes": message.notes if has("notes") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
        "links": {"self": f"/api/v1/library/wishlist/items/{its_id}"},
    }


WISHLIST_ITEM_CHANGES_MEMBERS = frozenset({"priority", "notes"})


def fill_wishlist_item_changes(
    message: pb.WishlistItemChanges,
    value: JsonValue,
    at: str,
    problems: list[Problem],
) -> None:
    members = members_of(value, WISHLIST_ITEM_CHANGES_MEMBERS, at, problems)
    if (value := members.get("priority")) is not None:
        message.priority = int32(value, at, "priority", problems)
    if (value := members.get("notes")) is not None:
        message.notes = string(value, at, "notes", problems)


LIST_WISHLIST_ITEMS_QUERY = frozenset({"page", "limit"})
LIST_WISHLIST_ITEMS_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_wishlist_items(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListWishlistItemsRequest:
    """GET /api/v1/library/wishlist/items"""
    message = pb.ListWishlistItemsRequest()
    if query:
        given = Parameters(query, problems, names=LIST_WISHLIST_ITEMS_QUERY, spellings=LIST_WISHLIST_ITEMS_SPELLINGS)
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_wishlist_items(message: pb.ListWishlistItemsResponse) -> Encoded:
    return Encoded([wishlist_item_resource(one) for one in message.items], page_of(message.page))


def included_list_wishlist_items_product(message: pb.ListWishlistItemsResponse) -> list[JsonValue]:
    return [library_v1_items.product_resource(one) for one in message.included_products]


def decode_get_wishlist_item(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetWishlistItemRequest:
    """GET /api/v1/library/wishlist/items/{wishlist_item_id}"""
    message = pb.GetWishlistItemRequest()
    message.wishlist_item_id = path_string(path, "wishlist_item_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_wishlist_item(message: pb.GetWishlistItemResponse) -> Encoded:
    return Encoded(wishlist_item_resource(message.item) if message.HasField("item") else None)


def included_get_wishlist_item_product(message: pb.GetWishlistItemResponse) -> list[JsonValue]:
    return [library_v1_items.product_resource(one) for one in message.included_products]


ADD_WISHLIST_ITEM_MEMBERS = frozenset({"product_id", "priority", "notes"})


def decode_add_wishlist_item(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.AddWishlistItemRequest:
    """POST /api/v1/library/wishlist/items"""
    message = pb.AddWishlistItemRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, ADD_WISHLIST_ITEM_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("product_id")) is not None:
            message.product_id = string(value, ATTRIBUTES, "product_id", problems)
        if (value := members.get("priority")) is not None:
            message.priority = int32(value, ATTRIBUTES, "priority", problems)
        if (value := members.get("notes")) is not None:
            message.notes = string(value, ATTRIBUTES, "notes", problems)
    return message


def encode_add_wishlist_item(message: pb.AddWishlistItemResponse) -> Encoded:
    return Encoded(wishlist_item_resource(message.item) if message.HasField("item") else None)


def decode_update_wishlist_item(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.UpdateWishlistItemRequest:
    """PATCH /api/v1/library/wishlist/items/{wishlist_item_id}"""
    message = pb.UpdateWishlistItemRequest()
    message.wishlist_item_id = path_string(path, "wishlist_item_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.item.SetInParent()
        fill_wishlist_item_changes(message.item, attributes, ATTRIBUTES, problems)
        message.update_mask.SetInParent()
        message.update_mask.paths.extend(mask_paths(attributes, WISHLIST_ITEM_CHANGES_MEMBERS))
    return message


def encode_update_wishlist_item(message: pb.UpdateWishlistItemResponse) -> Encoded:
    return Encoded(wishlist_item_resource(message.item) if message.HasField("item") else None)


def decode_remove_wishlist_item(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.RemoveWishlistItemRequest:
    """DELETE /api/v1/library/wishlist/items/{wishlist_item_id}"""
    message = pb.RemoveWishlistItemRequest()
    message.wishlist_item_id = path_string(path, "wishlist_item_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_remove_wishlist_item(_message: pb.RemoveWishlistItemResponse) -> Encoded:
    return Encoded(None)
