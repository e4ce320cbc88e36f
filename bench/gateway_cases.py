"""The four requests of `bench.gateway`: what a client sends to each kind of gateway, the message that must reach the service, the
service's fixed answer, and what the client's answer means once the envelope is off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from library.v1 import categories_pb2, items_pb2

from bench.transcode import ITEMS, library_page

JSON_API = "application/vnd.api+json"
JSON = "application/json"

ITEM = "0b6f9d3c-26c4-4b6a-8a53-5c9f4c7f4a10"
CATEGORY = "3f0a2f9e-7c1d-4d8e-9b59-0d6f1c1c8a02"
CHANGES = {"is_favorite": True, "user_rating": 4, "notes": "Вернуться после обновления"}

Meaning = Any
"""JSON in which absent and null are one, enum values are spelled as attributes spell them, and 64-bit integers are numbers."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client sends."""

    method: str
    path: str
    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Case:
    """`document` goes to a gateway that speaks JSON:API, `plain` to one that writes the message as JSON."""

    name: str
    rpc: str
    document: Sent
    plain: Sent
    request: Message
    response: Message

    def meaning(self, kind: str, answer: bytes) -> Meaning:
        """What an answer of a gateway of this kind (`document` or `plain`) says."""
        return _of_document(orjson.loads(answer)) if kind == "document" else _of_plain(answer, self.response)


def _page() -> Case:
    path = f"/api/v1/library/items?page=2&limit={ITEMS}"
    request = items_pb2.ListItemsRequest(page=2, limit=ITEMS)
    sent = Sent("GET", path)
    return Case("page", "/library.v1.LibraryService/ListItems", sent, sent, request, library_page())


def _small() -> Case:
    sent = Sent("GET", f"/api/v1/library/categories/{CATEGORY}")
    return Case(
        name="small",
        rpc="/library.v1.CategoryService/GetCategory",
        document=sent,
        plain=sent,
        request=categories_pb2.GetCategoryRequest(category_id=CATEGORY),
        response=categories_pb2.GetCategoryResponse(
            category=categories_pb2.Category(id=CATEGORY, name="Пройденные", display_order=3)
        ),
    )


def _post() -> Case:
    path = "/api/v1/library/categories"
    attributes = {"name": "Пройденные", "display_order": 3}
    document = {"data": {"type": "userCategory", "attributes": attributes}}
    return Case(
        name="post",
        rpc="/library.v1.CategoryService/CreateCategory",
        document=Sent("POST", path, JSON_API, orjson.dumps(document)),
        plain=Sent("POST", path, JSON, orjson.dumps(attributes)),
        request=categories_pb2.CreateCategoryRequest(name="Пройденные", display_order=3),
        response=categories_pb2.CreateCategoryResponse(
            category=categories_pb2.Category(id=CATEGORY, name="Пройденные", display_order=3)
        ),
    )


def _patch() -> Case:
    path = f"/api/v1/library/items/{ITEM}"
    document = {"data": {"type": "libraryItemUpdate", "id": ITEM, "attributes": CHANGES}}
    request = items_pb2.UpdateItemRequest(library_item_id=ITEM, item=items_pb2.LibraryItemChanges(**CHANGES))
    request.update_mask.paths.extend(CHANGES)
    item = items_pb2.LibraryItem()
    item.CopyFrom(library_page().items[1])
    item.id = ITEM
    return Case(
        name="patch",
        rpc="/library.v1.LibraryService/UpdateItem",
        document=Sent("PATCH", path, JSON_API, orjson.dumps(document)),
        # Plain transcoders make no mask of the members present; their clients say it themselves.
        plain=Sent("PATCH", f"{path}?update_mask=isFavorite,userRating,notes", JSON, orjson.dumps(CHANGES)),
        request=request,
        response=items_pb2.UpdateItemResponse(item=item),
    )


CASES = (_small(), _page(), _post(), _patch())


def _of_document(document: Any) -> Meaning:
    data = document["data"]
    return [_of_resource(one) for one in data] if isinstance(data, list) else _of_resource(data)


def _of_resource(resource: Mapping[str, Any]) -> Meaning:
    members = {"id": resource["id"], **resource["attributes"]}
    return {name: value for name, value in members.items() if value is not None}


def _of_plain(answer: bytes, response: Message) -> Meaning:
    """The answer read by JSON's own rules, not by protobuf's, which would forgive what a client would not."""
    (main, *_) = response.DESCRIPTOR.fields
    found = orjson.loads(answer)[main.name]
    return [_of_message(one, main) for one in found] if main.is_repeated else _of_message(found, main)


def _of_message(members: Mapping[str, Any], holder: FieldDescriptor) -> Meaning:
    fields = holder.message_type.fields_by_name
    return {name: _of_value(value, fields[name]) for name, value in members.items()}


def _of_value(value: Any, field: FieldDescriptor) -> Meaning:
    read: Callable[[Any], Any] = int if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else lambda one: one
    if field.enum_type is not None:
        prefix = _prefix(field.enum_type)
        read = lambda one: one.removeprefix(prefix).lower()  # noqa: E731  one of three readers
    return [read(one) for one in value] if field.is_repeated else read(value)


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values[0].name.removesuffix("UNSPECIFIED")
