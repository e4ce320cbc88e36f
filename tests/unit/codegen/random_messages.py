"""Random messages of any type, made from a seed (hypothesis draws the seed: drawing every field would take seconds), and what a
message looks like by json_format in the platform's spelling: a second, slow and independent way to what transcoders should write.
"""

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

_M = TypeVar("_M", bound=Message)
_F = FieldDescriptor
_TEXTS = ("", "x", "Игра", "a/b~c", 'quote"\\', "\x00\x1f\u2028", "𝄞 music", "NaN", "true", "0")
_DOUBLES = (0.0, -0.0, 1.5, -1e308, 5e-324, 0.1, 1e21, 123456789.0, 2.0**53)
_FLOATS = (0.0, -0.0, 1.5, 0.1, 3.4028234663852886e38, 1e-45, 16_777_217.0, 1e10)
_NANOS = (0, 120_000_000, 123_456_000, 1, 999_999_999, 1_000)
MAX_DEPTH = 4


def _bits(random: Random, bits: int, *, signed: bool) -> int:
    """An integer of that many bits, often a boundary."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return random.choice((0, 1, low, high, random.randint(low, high), random.randint(0, 100)))


def _json(random: Random, depth: int = 0) -> Any:
    """Free JSON."""
    kind = random.randrange(7 if depth < 3 else 5)
    if kind == 5:
        return [_json(random, depth + 1) for _ in range(random.randrange(3))]
    if kind == 6:
        return {random.choice(_TEXTS): _json(random, depth + 1) for _ in range(random.randrange(3))}
    return (
        None,
        random.random() < 0.5,
        random.randint(-(2**53), 2**53),
        random.choice(_DOUBLES),
        random.choice(_TEXTS),
    )[kind]


def _timestamp(message: Any, random: Random) -> None:
    message.seconds = random.choice((0, -62_135_596_800, 253_402_300_799, random.randint(-(10**10), 10**11)))
    message.nanos = random.choice(_NANOS)


def _duration(message: Any, random: Random) -> None:
    sign = random.choice((1, -1))
    message.seconds = sign * random.choice((0, 1, 315_576_000_000, random.randrange(10**6)))
    message.nanos = sign * random.choice(_NANOS)


def _mask(message: Any, random: Random) -> None:
    message.paths.extend(random.sample(("title", "user_rating", "item.notes"), random.randrange(4)))


_KNOWN: Mapping[str, Callable[[Any, Random], object]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.Struct": lambda message, random: json_format.ParseDict({"member": _json(random)}, message),
    "google.protobuf.ListValue": lambda message, random: json_format.ParseDict([_json(random)], message),
    "google.protobuf.Value": lambda message, random: json_format.ParseDict(_json(random), message),
}


def _scalar(field: FieldDescriptor, random: Random) -> Any:
    match field.cpp_type:
        case _F.CPPTYPE_ENUM:
            return random.choice(
                [one.number for one in field.enum_type.values if not one.name.endswith("_UNSPECIFIED")]
            )
        case _F.CPPTYPE_STRING:
            return random.randbytes(random.randrange(9)) if field.type == _F.TYPE_BYTES else random.choice(_TEXTS)
        case _F.CPPTYPE_BOOL:
            return random.random() < 0.5
        case _F.CPPTYPE_DOUBLE:
            return random.choice((*_DOUBLES, random.uniform(-1e9, 1e9)))
        case _F.CPPTYPE_FLOAT:
            return random.choice((*_FLOATS, random.uniform(-1e9, 1e9)))
        case _F.CPPTYPE_INT32 | _F.CPPTYPE_INT64:
            return _bits(random, 32 if field.cpp_type == _F.CPPTYPE_INT32 else 64, signed=True)
        case _:
            return _bits(random, 32 if field.cpp_type == _F.CPPTYPE_UINT32 else 64, signed=False)


def _is_map(field: FieldDescriptor) -> bool:
    return field.type == _F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def fill(message: Message, random: Random, depth: int = 0) -> None:
    """Sets random fields of a message to random values."""
    known = _KNOWN.get(message.DESCRIPTOR.full_name)
    if known is not None:
        message.SetInParent()
        known(message, random)
        return
    chosen = {oneof.name: random.choice([field.name for field in oneof.fields]) for oneof in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if (oneof is not None and chosen[oneof.name] != field.name) or random.random() < 0.4:
            continue
        if field.type != _F.TYPE_MESSAGE or depth < MAX_DEPTH:
            _fill_field(message, field, random, depth)


def _fill_field(message: Message, field: FieldDescriptor, random: Random, depth: int) -> None:
    value = getattr(message, field.name)
    if _is_map(field):
        key_field, value_field = field.message_type.fields
        for _ in range(random.randrange(3)):
            key = _scalar(key_field, random)
            if value_field.type == _F.TYPE_MESSAGE:
                fill(value[key], random, depth + 1)
            else:
                value[key] = _scalar(value_field, random)
    elif field.is_repeated:
        for _ in range(random.randrange(3)):
            if field.type == _F.TYPE_MESSAGE:
                fill(value.add(), random, depth + 1)
            else:
                value.append(_scalar(field, random))
    elif field.type == _F.TYPE_MESSAGE:
        value.SetInParent()
        fill(value, random, depth + 1)
    else:
        setattr(message, field.name, _scalar(field, random))


def filled(message_type: type[_M], seed: int) -> _M:
    message = message_type()
    fill(message, Random(seed))
    return message


def expected(message: Message) -> Any:
    """The message as json_format writes it, in the platform's spelling."""
    plain = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _respell(plain, message.DESCRIPTOR)


def _respell(value: Any, descriptor: Descriptor) -> Any:
    name = descriptor.full_name
    if name == "google.protobuf.FieldMask":
        return re.sub("(?=[A-Z])", "_", value).lower()
    if name in {"google.protobuf.Int64Value", "google.protobuf.UInt64Value"}:
        return int(value)
    if descriptor.file.package == "google.protobuf":
        return value
    spelled: dict[str, Any] = {}
    for field in descriptor.fields:
        if field.name not in value:
            spelled[field.name] = None
        elif _is_map(field):
            element = field.message_type.fields[1]
            spelled[field.name] = {key: _respell_one(one, element) for key, one in value[field.name].items()}
        elif field.is_repeated:
            spelled[field.name] = [_respell_one(one, field) for one in value[field.name]]
        else:
            spelled[field.name] = _respell_one(value[field.name], field)
    return spelled


def _respell_one(value: Any, field: FieldDescriptor) -> Any:
    if field.type == _F.TYPE_MESSAGE:
        return _respell(value, field.message_type)
    if field.type == _F.TYPE_ENUM:
        return _enum_text(value, field.enum_type)
    if field.cpp_type in {_F.CPPTYPE_INT64, _F.CPPTYPE_UINT64}:
        return int(value)
    return value


def _enum_text(value: str | int, enum: EnumDescriptor) -> Any:
    if isinstance(value, int):
        return value
    first = enum.values[0].name
    prefix = first.removesuffix("UNSPECIFIED") if first.endswith("_UNSPECIFIED") else ""
    return None if value == first and prefix else value.removeprefix(prefix).lower()
