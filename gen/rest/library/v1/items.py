"""Transcoders of library/v1/items.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import items_pb2 as pb

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    MAX_INT32,
    MIN_INT32,
    EnumTexts,
    Parameters,
    array,
    boolean,
    identifiers,
    int32,
    mask_paths,
    members_of,
    page_of,
    path_string,
    string,
    timestamp_text,
)

INSTALLATION_STATUS_TEXTS = EnumTexts({
    0: None,
    1: "not_installed",
    2: "installing",
    3: "installed",
    4: "updating",
    5: "repair_needed",
    6: "error",
})
INSTALLATION_STATUS_NUMBERS: dict[str, int] = {
    "not_installed": 1,
    "installing": 2,
    "installed": 3,
    "updating": 4,
    "repair_needed": 5,
    "error": 6,
}

ACQUISITION_TYPE_TEXTS = EnumTexts({
    0: None,
    1: "purchase",
    2: "gift",
    3: "key_activation",
    4: "family_shared_access",
    5: "free_to_play",
})

ITEM_SORT_NUMBERS: dict[str, int] = {
    "name_asc": 1,
    "name_desc": 2,
    "last_played_desc": 3,
    "added_at_desc": 4,
    "playtime_desc": 5,
}

LIBRARY_ITEM_FIELDS = frozenset({
    "product_id",
    "title",
    "cover_image_url",
    "added_at",
    "last_played_at",
    "total_playtime_seconds",
    "installation_status",
    "installed_version_id",
    "acquisition_type",
    "shared_from_user_id",
    "is_hidden",
    "is_favorite",
    "user_rating",
    "notes",
    "category_ids",
    "product",
    "categories",
})


def library_item_resource(message: pb.LibraryItem) -> JsonValue:
    """A resource object of type libraryItem."""
    has = message.HasField
    its_id = message.id
    its_product_id = message.product_id
    return {
        "type": "libraryItem",
        "id": its_id,
        "attributes": {
            "product_id": its_product_id,
            "title": message.title if has("title") else None,
            "cover_image_url": message.cover_image_url if has("cover_image_url") else None,
            "added_at": timestamp_text(message.added_at) if has("added_at") else None,
            "last_played_at": timestamp_text(message.last_played_at) if has("last_played_at") else None,
            "total_playtime_seconds": message.total_playtime_seconds,
            "installation_status": INSTALLATION_STATUS_TEXTS[message.installation_status],
            "installed_version_id": message.installed_version_id if has("installed_version_id") else None,
            "acquisition_type": ACQUISITION_TYPE_TEXTS[message.acquisition_type],
            "shared_from_user_id": message.shared_from_user_id if has("shared_from_user_id") else None,
            "is_hidden": message.is_hidden,
            "is_favorite": message.is_favorite,
            "user_rating": message.user_rating if has("user_rating") else None,
            "notes": message.notes if has("notes") else None,
            "category_ids": list(message.category_ids),
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
            "categories": {"data": identifiers("userCategory", message.category_ids)},
        },
        "links": {"self": f"/api/v1/library/items/{its_id}"},
    }


LIBRARY_ITEM_CHANGES_MEMBERS = frozenset({"is_hidden", "is_favorite", "user_rating", "notes", "category_ids"})


def fill_library_item_changes(
    message: pb.LibraryItemChanges,
    value: JsonValue,
    at: str,
    problems: list[Problem],
) -> None:
    members = members_of(value, LIBRARY_ITEM_CHANGES_MEMBERS, at, problems)
    if (value := members.get("is_hidden")) is not None:
        message.is_hidden = boolean(value, at, "is_hidden", problems)
    if (value := members.get("is_favorite")) is not None:
        message.is_favorite = boolean(value, at, "is_favorite", problems)
    if (value := members.get("user_rating")) is not None:
        message.user_rating = int32(value, at, "user_rating", problems)
    if (value := members.get("notes")) is not None:
        message.notes = string(value, at, "notes", problems)
    if (value := members.get("category_ids")) is not None:
        here = f"{at}/category_ids"
        for index, element in enumerate(array(value, at, "category_ids", problems)):
            message.category_ids.append(string(element, here, index, problems))


LIST_ITEMS_QUERY = frozenset({
    "status",
    "search",
    "include_hidden",
    "is_favorite",
    "sort_by",
    "page",
    "limit",
    "category_id",
})
LIST_ITEMS_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_items(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListItemsRequest:
    """GET /api/v1/library/items"""
    message = pb.ListItemsRequest()
    if query:
        given = Parameters(query, problems, names=LIST_ITEMS_QUERY, spellings=LIST_ITEMS_SPELLINGS)
        if "status" in given:
            message.status = given.enum("status", INSTALLATION_STATUS_NUMBERS)
        if "search" in given:
            message.search = given.string("search")
        if "include_hidden" in given:
            message.include_hidden = given.boolean("include_hidden")
        if "is_favorite" in given:
            message.is_favorite = given.boolean("is_favorite")
        if "sort_by" in given:
            message.sort_by = given.enum("sort_by", ITEM_SORT_NUMBERS)
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
        if "category_id" in given:
            message.category_id = given.string("category_id")
    return message


def encode_list_items(message: pb.ListItemsResponse) -> Encoded:
    return Encoded([library_item_resource(one) for one in message.items], page_of(message.page))


def decode_get_item(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetItemRequest:
    """GET /api/v1/library/items/{library_item_id}"""
    message = pb.GetItemRequest()
    message.library_item_id = path_string(path, "library_item_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_item(message: pb.GetItemResponse) -> Encoded:
    return Encoded(library_item_resource(message.item) if message.HasField("item") else None)


def decode_update_item(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.UpdateItemRequest:
    """PATCH /api/v1/library/items/{library_item_id}"""
    message = pb.UpdateItemRequest()
    message.library_item_id = path_string(path, "library_item_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.item.SetInParent()
        fill_library_item_changes(message.item, attributes, ATTRIBUTES, problems)
        message.update_mask.SetInParent()
        message.update_mask.paths.extend(mask_paths(attributes, LIBRARY_ITEM_CHANGES_MEMBERS))
    return message


def encode_update_item(message: pb.UpdateItemResponse) -> Encoded:
    return Encoded(library_item_resource(message.item) if message.HasField("item") else None)
