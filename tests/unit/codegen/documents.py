"""What the tests of generated documents share: the documents, validators for schemas that stand in them, and random messages as
services send them.
"""

import json
from collections.abc import Iterator
from functools import cached_property
from random import Random
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from codegen.generate import GEN
from tests.unit.codegen.random_messages import fill

_M = TypeVar("_M", bound=Message)

OPENAPI = GEN / "rest" / "openapi.json"
ASYNCAPI = GEN / "rest" / "asyncapi.json"


def _registry(document: Any) -> Registry[Any]:
    return Registry().with_resource("urn:document", Resource.from_contents(document, default_specification=DRAFT202012))


class Document(dict[str, Any]):
    """A document that hypothesis can print, and whose schemas can be referred to as `urn:document#/…`."""

    @cached_property
    def registry(self) -> Registry[Any]:
        return _registry(self)

    @cached_property
    def closed_registry(self) -> Registry[Any]:
        """The same with every object closed."""
        return _registry(closed(self))

    def __repr__(self) -> str:
        return f"<document of {len(self)} parts>"


def read(text: str) -> Document:
    return Document(json.loads(text))


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Method, path and operation, of every operation."""
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            yield verb.upper(), path, operation


def parameters(document: Any, operation: Any) -> list[Any]:
    """An operation's parameters, those that it refers to too."""
    return [resolved(document, one) for one in operation["parameters"]]


def resolved(document: Any, part: Any) -> Any:
    """A part of the document, or what it refers to."""
    while "$ref" in part:
        reference, part = part["$ref"], document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
    return part


FORMATS = FormatChecker(set(Draft202012Validator.FORMAT_CHECKER.checkers) - {"uri", "uri-reference"})
"""Not those of links, which other packages bring or not: ids that the proto calls UUIDs are written into links as they are, and in
these tests they are any text.
"""


def closed(schema: Any) -> Any:
    """A schema that refuses members it does not name. Documents leave objects open, so that clients bear what comes new."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    is_object = schema.get("type") == "object" and isinstance(schema.get("properties"), dict)
    return {"additionalProperties": False, **made} if is_object else made


def _rebased(schema: Any) -> Any:
    return json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))


def validator(document: Document, schema: Any) -> Draft202012Validator:
    """For a schema that stands in the document; a format that it names is checked."""
    checker = FORMATS
    return Draft202012Validator(_rebased(schema), registry=document.registry, format_checker=checker)


def faults(document: Document, schema: Any, value: Any) -> list[str]:
    """What is wrong with a value, members that the document does not name included."""
    checker = FORMATS
    strict = Draft202012Validator(closed(_rebased(schema)), registry=document.closed_registry, format_checker=checker)
    return [f"{error.json_path}: {error.message}" for error in strict.iter_errors(value)]


def as_services_send(message_type: type[_M], seed: int) -> _M:
    """A random message. A service never sends an enum's unspecified value, so there is none in it."""
    random = Random(seed)
    message = message_type()
    fill(message, random)
    _specify(message, random)
    return message


def _specify(message: Message, random: Random) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_ENUM and not field.is_repeated and not field.has_presence:
            values = [one.number for one in field.enum_type.values if not one.name.endswith("_UNSPECIFIED")]
            setattr(message, field.name, random.choice(values))
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        if field.message_type.GetOptions().map_entry:
            nested = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
        else:
            nested = list(value) if field.is_repeated else [value]
        for one in nested:
            if one.DESCRIPTOR.file.package != "google.protobuf":
                _specify(one, random)
