"""Transcoders of library/v1/items.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import items_pb2 as pb
from rest.library.v1 import categories as library_v1_categories

from gateway.contract import Encoded, JsonValue, LinkedIds, Problem, Query
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
ITEM_SORT_KEYS: dict[str, int] = {
    "title": 1,
    "-title": 2,
    "-last_played_at": 3,
    "-added_at": 4,
    "-total_playtime_seconds": 5,
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
            "categories": {
                "links": {
                    "self": f"/api/v1/library/items/{its_id}/relationships/categories",
                    "related": f"/api/v1/library/items/{its_id}/categories",
                },
                "data": identifiers("userCategory", message.category_ids),
            },
        },
        "links": {"self": f"/api/v1/library/items/{its_id}"},
    }


PRODUCT_FIELDS = frozenset({"title", "cover_image_url", "product_type"})


def product_resource(message: pb.Product) -> JsonValue:
    """A resource object of type product."""
    has = message.HasField
    return {
        "type": "product",
        "id": message.id,
        "attributes": {
            "title": message.title if has("title") else None,
            "cover_image_url": message.cover_image_url if has("cover_image_url") else None,
            "product_type": message.product_type if has("product_type") else None,
        },
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
        for index, element in enumerate(array(value, at, "category_ids", problems, 100)):
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
    "sort",
})
LIST_ITEMS_SPELLINGS: dict[str, str] = {
    "page[number]": "page",
    "page[size]": "limit",
    "filter[status]": "status",
    "filter[search]": "search",
    "filter[include_hidden]": "include_hidden",
    "filter[is_favorite]": "is_favorite",
    "filter[category_id]": "category_id",
}


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
        if "sort" in given:
            message.sort_by = given.order(ITEM_SORT_KEYS, instead_of="sort_by")
    return message


def encode_list_items(message: pb.ListItemsResponse) -> Encoded:
    return Encoded([library_item_resource(one) for one in message.items], page_of(message.page))


def included_list_items_categories(message: pb.ListItemsResponse) -> list[JsonValue]:
    return [library_v1_categories.category_resource(one) for one in message.included_categories]


def included_list_items_product(message: pb.ListItemsResponse) -> list[JsonValue]:
    return [product_resource(one) for one in message.included_products]


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


def included_get_item_categories(message: pb.GetItemResponse) -> list[JsonValue]:
    return [library_v1_categories.category_resource(one) for one in message.included_categories]


def included_get_item_product(message: pb.GetItemResponse) -> list[JsonValue]:
    return [product_resource(one) for one in message.included_products]


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


def decode_list_item_categories(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListItemCategoriesRequest:
    """GET /api/v1/library/items/{library_item_id}/categories"""
    message = pb.ListItemCategoriesRequest()
    message.library_item_id = path_string(path, "library_item_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_list_item_categories(message: pb.ListItemCategoriesResponse) -> Encoded:
    return Encoded([library_v1_categories.category_resource(one) for one in message.categories])


def decode_get_item_category_linkage(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetItemCategoryLinkageRequest:
    """GET /api/v1/library/items/{library_item_id}/relationships/categories"""
    message = pb.GetItemCategoryLinkageRequest()
    message.library_item_id = path_string(path, "library_item_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_item_category_linkage(message: pb.GetItemCategoryLinkageResponse) -> Encoded:
    its_resource = message.item
    data = identifiers("userCategory", its_resource.category_ids)
    links = {
        "self": f"/api/v1/library/items/{its_resource.id}/relationships/categories",
        "related": f"/api/v1/library/items/{its_resource.id}/categories",
    }
    return Encoded(data, links=links)


def decode_add_item_categories(
    path: Mapping[str, str],
    query: Query,
    linked: LinkedIds | None,
    problems: list[Problem],
) -> pb.AddItemCategoriesRequest:
    """POST /api/v1/library/items/{library_item_id}/relationships/categories"""
    message = pb.AddItemCategoriesRequest()
    message.library_item_id = path_string(path, "library_item_id", problems)
    if query:
        Parameters(query, problems)
    if linked is not None:
        message.category_ids.extend(linked)
    return message


def encode_add_item_categories(_message: pb.AddItemCategoriesResponse) -> Encoded:
    return Encoded(None)


def decode_replace_item_categories(
    path: Mapping[str, str],
    query: Query,
    linked: LinkedIds | None,
    problems: list[Problem],
) -> pb.ReplaceItemCategoriesRequest:
    """PATCH /api/v1/library/items/{library_item_id}/relationships/categories"""
    message = pb.ReplaceItemCategoriesRequest()
    message.library_item_id = path_string(path, "library_item_id", problems)
    if query:
        Parameters(query, problems)
    if linked is not None:
        message.category_ids.extend(linked)
    return message


def encode_replace_item_categories(_message: pb.ReplaceItemCategoriesResponse) -> Encoded:
    return Encoded(None)


def decode_remove_item_categories(
    path: Mapping[str, str],
    query: Query,
    linked: LinkedIds | None,
    problems: list[Problem],
) -> pb.RemoveItemCategoriesRequest:
    """DELETE /api/v1/library/items/{library_item_id}/relationships/categories"""
    message = pb.RemoveItemCategoriesRequest()
    message.library_item_id = path_string(path, "library_item_id", problems)
    if query:
        Parameters(query, problems)
    if linked is not None:
        message.category_ids.extend(linked)
    return message


def encode_remove_item_categories(_message: pb.RemoveItemCategoriesResponse) -> Encoded:
    return Encoded(None)
