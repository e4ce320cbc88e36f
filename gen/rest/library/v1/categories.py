"""Transcoders of library/v1/categories.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import categories_pb2 as pb

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
)

CATEGORY_FIELDS = frozenset({"name", "display_order"})


def category_resource(message: pb.Category) -> JsonValue:
    """A resource object of type userCategory."""
    its_id = message.id
    return {
        "type": "userCategory",
        "id": its_id,
        "attributes": {
            "name": message.name,
            "display_order": message.display_order,
        },
        "links": {"self": f"/api/v1/library/categories/{its_id}"},
    }


CATEGORY_CHANGES_MEMBERS = frozenset({"name", "display_order"})


def fill_category_changes(message: pb.CategoryChanges, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, CATEGORY_CHANGES_MEMBERS, at, problems)
    if (value := members.get("name")) is not None:
        message.name = string(value, at, "name", problems)
    if (value := members.get("display_order")) is not None:
        message.display_order = int32(value, at, "display_order", problems)


LIST_CATEGORIES_QUERY = frozenset({"page", "limit"})
LIST_CATEGORIES_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_categories(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListCategoriesRequest:
    """GET /api/v1/library/categories"""
    message = pb.ListCategoriesRequest()
    if query:
        given = Parameters(query, problems, names=LIST_CATEGORIES_QUERY, spellings=LIST_CATEGORIES_SPELLINGS)
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_categories(message: pb.ListCategoriesResponse) -> Encoded:
    return Encoded([category_resource(one) for one in message.categories], page_of(message.page))


def decode_get_category(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetCategoryRequest:
    """GET /api/v1/library/categories/{category_id}"""
    message = pb.GetCategoryRequest()
    message.category_id = path_string(path, "category_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_category(message: pb.GetCategoryResponse) -> Encoded:
    return Encoded(category_resource(message.category) if message.HasField("category") else None)


CREATE_CATEGORY_MEMBERS = frozenset({"name", "display_order"})


def decode_create_category(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.CreateCategoryRequest:
    """POST /api/v1/library/categories"""
    message = pb.CreateCategoryRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, CREATE_CATEGORY_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("name")) is not None:
            message.name = string(value, ATTRIBUTES, "name", problems)
        if (value := members.get("display_order")) is not None:
            message.display_order = int32(value, ATTRIBUTES, "display_order", problems)
    return message


def encode_create_category(message: pb.CreateCategoryResponse) -> Encoded:
    return Encoded(category_resource(message.category) if message.HasField("category") else None)


def decode_update_category(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.UpdateCategoryRequest:
    """PATCH /api/v1/library/categories/{category_id}"""
    message = pb.UpdateCategoryRequest()
    message.category_id = path_string(path, "category_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.category.SetInParent()
        fill_category_changes(message.category, attributes, ATTRIBUTES, problems)
        message.update_mask.SetInParent()
        message.update_mask.paths.extend(mask_paths(attributes, CATEGORY_CHANGES_MEMBERS))
    return message


def encode_update_category(message: pb.UpdateCategoryResponse) -> Encoded:
    return Encoded(category_resource(message.category) if message.HasField("category") else None)


def decode_delete_category(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.DeleteCategoryRequest:
    """DELETE /api/v1/library/categories/{category_id}"""
    message = pb.DeleteCategoryRequest()
    message.category_id = path_string(path, "category_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_delete_category(_message: pb.DeleteCategoryResponse) -> Encoded:
    return Encoded(None)
