"""A message of the proto as the `data` of an event and back: camelCase members, enums in lower case without their prefix, 64-bit
integers as numbers, times in RFC 3339 with Z, absent members left out. Used by chassis.cloudevents.events only.

Source: contract section 6. The reader is tolerant: unknown members are ignored, null is absence, an enum value that is not known
(a newer producer's) reads as UNSPECIFIED.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from chassis.cloudevents.moments import parse_timestamp, timestamp_text
from chassis.errors import DomainError, Kind

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

M = TypeVar("M", bound=Message)

TIMESTAMP = "google.protobuf.Timestamp"

_INTEGER_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def to_json(message: Message) -> dict[str, JsonValue]:
    """The message's members; a set scalar without presence is always there, also when it has its default."""
    return _plan(message.DESCRIPTOR.full_name, message.DESCRIPTOR).write(message)


def from_json(data: Mapping[str, Any], message_type: type[M]) -> M:
    """A message with the members of the mapping.

    Raises:
        DomainError: EVENT_INVALID, with the path of the first member that has a wrong type.
    """
    message = message_type()
    try:
        _plan(message.DESCRIPTOR.full_name, message.DESCRIPTOR).read(data, message)
    except _BadMember as error:
        raise DomainError(
            Kind.INVALID_ARGUMENT,
            "EVENT_INVALID",
            details={"description": f"data.{error.path}: {error.expected} expected"},
        ) from error
    return message


class _BadMember(Exception):
    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path = ""

    def within(self, name: str) -> "_BadMember":
        separator = "" if not self.path or self.path.startswith("[") else "."
        self.path = f"{name}{separator}{self.path}"
        return self


Writer = Callable[[Any], JsonValue]
Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Member:
    """The reader and writer of one field; `write` and `read` handle one element of a repeated field or one value of a map."""

    field: str
    json: str
    has_presence: bool
    is_repeated: bool
    map_key: Callable[[str], Any] | None
    message: Descriptor | None
    write: Writer
    read: Reader


@dataclass(frozen=True, slots=True)
class _Plan:
    members: tuple[_Member, ...]

    def write(self, message: Message) -> dict[str, JsonValue]:
        written: dict[str, JsonValue] = {}
        for member in self.members:
            if member.has_presence and not message.HasField(member.field):
                continue
            value = getattr(message, member.field)
            if member.map_key is not None:
                written[member.json] = {_map_key(key): member.write(value[key]) for key in value}
            elif member.is_repeated:
                written[member.json] = [member.write(element) for element in value]
            else:
                json = member.write(value)
                if json is not None:
                    written[member.json] = json
        return written

    def read(self, data: Any, message: Message) -> None:
        if not isinstance(data, Mapping):
            raise _BadMember("an object")
        for member in self.members:
            value = data.get(member.json)
            if value is None:
                value = data.get(member.field)
            if value is None:
                continue
            try:
                _read_member(member, value, message)
            except _BadMember as error:
                raise error.within(member.json) from None


def _read_member(member: _Member, value: Any, message: Message) -> None:
    if member.map_key is not None:
        if not isinstance(value, Mapping):
            raise _BadMember("an object")
        target = getattr(message, member.field)
        for key, element in value.items():
            _read_map_entry(member, key, element, target)
    elif member.is_repeated:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _BadMember("an array")
        target = getattr(message, member.field)
        for index, element in enumerate(value):
            try:
                if member.message is not None:
                    _read_message(member, element, target.add())
                else:
                    target.append(member.read(element))
            except _BadMember as error:
                raise error.within(f"[{index}]") from None
    elif member.message is not None:
        target = getattr(message, member.field)
        target.SetInParent()
        _read_message(member, value, target)
    else:
        setattr(message, member.field, member.read(value))


def _read_map_entry(member: _Member, key: Any, element: Any, target: Any) -> None:
    if member.map_key is None:
        return
    try:
        typed_key = member.map_key(key)
    except (ValueError, KeyError):
        raise _BadMember("another kind of key").within(str(key)) from None
    try:
        if member.message is not None:
            _read_message(member, element, target[typed_key])
        else:
            target[typed_key] = member.read(element)
    except _BadMember as error:
        raise error.within(str(key)) from None


def _read_message(member: _Member, value: Any, target: Any) -> None:
    if member.message is not None and member.message.full_name == TIMESTAMP:
        _read_timestamp(value, target)
    elif member.message is not None:
        _plan(member.message.full_name, member.message).read(value, target)


@lru_cache(maxsize=1024)
def _plan(_full_name: str, descriptor: Descriptor) -> _Plan:
    return _Plan(tuple(_member(field) for field in descriptor.fields))


def _member(field: FieldDescriptor) -> _Member:
    map_key: Callable[[str], Any] | None = None
    value = field
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        map_key = _map_key_reader(field.message_type.fields_by_name["key"])
        value = field.message_type.fields_by_name["value"]
    return _Member(
        field=field.name,
        json=field.json_name or field.camelcase_name,
        has_presence=field.has_presence,
        is_repeated=field.is_repeated,
        map_key=map_key,
        message=value.message_type,
        write=_writer(value),
        read=_reader(value),
    )


def _writer(field: FieldDescriptor) -> Writer:
    if field.message_type is not None:
        descriptor = field.message_type
        if descriptor.full_name == TIMESTAMP:
            return timestamp_text
        if descriptor.full_name.startswith("google.protobuf."):
            raise TypeError(f"{field.full_name}: {descriptor.full_name} has no form in events")
        return lambda message: _plan(descriptor.full_name, descriptor).write(message)
    if field.enum_type is not None:
        names = _enum_names(field.enum_type)
        return names.get
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode("ascii")
    return lambda value: value


def _reader(field: FieldDescriptor) -> Reader:
    if field.enum_type is not None:
        numbers = {name: number for number, name in _enum_names(field.enum_type).items()}
        return lambda value: _enum_number(value, numbers)
    if field.cpp_type in _INTEGER_RANGES:
        lowest, highest = _INTEGER_RANGES[field.cpp_type]
        return lambda value: _read_integer(value, lowest, highest)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _read_bytes
    # The reader of a message is its own plan, not one of these.
    return _SCALAR_READERS.get(field.cpp_type, _read_string)


def _enum_names(descriptor: EnumDescriptor) -> dict[int, str]:
    """Names by number, without the prefix that the enum's own name makes; the zero value stands for absence."""
    prefix = (
        "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in descriptor.name).lstrip("_") + "_"
    )
    return {value.number: value.name.removeprefix(prefix).lower() for value in descriptor.values if value.number != 0}


def _enum_number(value: Any, numbers: Mapping[str, int]) -> int:
    if not isinstance(value, str):
        raise _BadMember("a string")
    return numbers.get(value.lower(), 0)


def _read_string(value: Any) -> str:
    if not isinstance(value, str):
        raise _BadMember("a string")
    return value


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _BadMember("true or false")
    return value


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _BadMember("a number")
    return float(value)


def _read_integer(value: Any, lowest: int, highest: int) -> int:
    # Protobuf's own JSON writes 64-bit integers as strings; a producer that uses it is understood too.
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and value.isascii() and len(value) <= 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise _BadMember(f"an integer from {lowest} to {highest}")
    return value


def _read_bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(_read_string(value), validate=True)
    except binascii.Error:
        raise _BadMember("base64") from None


_SCALAR_READERS: dict[int, Reader] = {
    FieldDescriptor.CPPTYPE_BOOL: _read_bool,
    FieldDescriptor.CPPTYPE_DOUBLE: _read_float,
    FieldDescriptor.CPPTYPE_FLOAT: _read_float,
}


def _read_timestamp(value: Any, target: Any) -> None:
    try:
        target.CopyFrom(parse_timestamp(_read_string(value)))
    except ValueError:
        raise _BadMember("an RFC 3339 time") from None


def _map_key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _map_key_reader(field: FieldDescriptor) -> Callable[[str], Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return str
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"true": True, "false": False}.__getitem__
    return int
