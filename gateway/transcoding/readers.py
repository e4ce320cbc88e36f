"""Conversion from JSON to protobuf, one value at a time.

A reader takes a value, its place (`at`, the JSON pointer of what it stands in, and its own name or index) and the list of problems.
A wrong value becomes a problem there and a placeholder is returned: one pass finds everything that is wrong.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from google.protobuf import duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2

from chassis.cloudevents.moments import MAX_TIMESTAMP_SECONDS, MIN_TIMESTAMP_SECONDS, read_rfc_3339
from gateway.contract import JsonValue, Problem
from gateway.transcoding.limits import (
    MAX_DURATION_SECONDS,
    MAX_EXACT_DOUBLE,
    MAX_FLOAT32,
    MAX_HALVED_DOUBLE,
    MAX_INT32,
    MAX_INT64,
    MAX_UINT32,
    MAX_UINT64,
    MIN_INT32,
    MIN_INT64,
)
from gateway.transcoding.problems import holds_too_many, is_full, pointer, report, report_at

ATTRIBUTES = "/data/attributes"
"""The JSON pointer of the members of a request document."""
MAX_STRUCT_DEPTH = 30
"""Levels of free JSON. Each costs three levels of protobuf, of which the receiver reads 100."""

_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s", re.ASCII)
_MASK = re.compile(r"(?:[a-z0-9_]+(?:\.[a-z0-9_]+)*(?:,[a-z0-9_]+(?:\.[a-z0-9_]+)*)*)?", re.ASCII)
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)


class _Wrapper(Protocol):
    value: Any

    def SetInParent(self) -> None: ...  # noqa: N802  # protobuf's name


def string(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> str:
    if type(value) is str:
        return value
    report(problems, at, name, "type.string", "must be a string")
    return ""


def boolean(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> bool:
    if value is True or value is False:
        return bool(value)
    report(problems, at, name, "type.bool", "must be true or false")
    return False


def int32(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> int:
    if type(value) is int and MIN_INT32 <= value <= MAX_INT32:
        return value
    return _integer(value, MIN_INT32, MAX_INT32, at, name, problems)


def uint32(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> int:
    return _integer(value, 0, MAX_UINT32, at, name, problems)


def int64(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> int:
    if type(value) is int and MIN_INT64 <= value <= MAX_INT64:
        return value
    return _integer(value, MIN_INT64, MAX_INT64, at, name, problems)


def uint64(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> int:
    return _integer(value, 0, MAX_UINT64, at, name, problems)


def _integer(value: JsonValue, lowest: int, highest: int, at: str, name: str | int, problems: list[Problem]) -> int:
    # JSON has one kind of number: 1.0 and 1e3 are integers too. One beyond 64 bits comes as a double as well, rounded.
    number = int(value) if type(value) is float and value.is_integer() else value
    if type(number) is not int or (
        type(value) is float and lowest <= value <= highest and abs(value) >= MAX_HALVED_DOUBLE
    ):
        report(problems, at, name, "type.integer", "must be an integer")
        return 0
    if not lowest <= number <= highest:
        report(problems, at, name, "type.integer_range", f"must be an integer from {lowest} to {highest}")
        return 0
    return number


def number64(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> float:
    """A double. NaN and infinities are refused."""
    if type(value) is float or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        report(problems, at, name, "type.number_range", "must be a finite number")
        return 0.0
    report(problems, at, name, "type.number", "must be a number")
    return 0.0


def number32(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> float:
    """A float. What does not fit 32 bits is refused."""
    number = number64(value, at, name, problems)
    if abs(number) > MAX_FLOAT32:
        report(problems, at, name, "type.number_range", "must fit a 32-bit floating-point number")
        return 0.0
    return number


def octets(value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> bytes:
    """Bytes from base64 (RFC 4648), standard or URL-safe alphabet, padded or not."""
    if type(value) is str and value.isascii():
        encoded = value.encode().translate(_URL_SAFE_TO_STANDARD).rstrip(b"=")
        try:
            return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
        except binascii.Error:
            pass
    report(problems, at, name, "type.bytes", "must be a base64 string")
    return b""


def enum_number(value: JsonValue, numbers: Mapping[str, int], at: str, name: str | int, problems: list[Problem]) -> int:
    if type(value) is str:
        number = numbers.get(value)
        if number is not None:
            return number
    report(problems, at, name, "type.enum", f"must be one of {', '.join(numbers)}")
    return 0


def fill_timestamp(
    message: timestamp_pb2.Timestamp, value: JsonValue, at: str, name: str | int, problems: list[Problem]
) -> None:
    message.SetInParent()
    parsed = parse_timestamp(value) if type(value) is str else None
    if parsed is None:
        report(problems, at, name, "type.timestamp", "must be an RFC 3339 time")
    else:
        message.seconds, message.nanos = parsed


def parse_timestamp(text: str) -> tuple[int, int] | None:
    """Seconds since 1970 and nanoseconds of an RFC 3339 time; None when it is not one, or is outside of protobuf's range."""
    try:
        seconds, nanos = read_rfc_3339(text)
    except ValueError:
        return None
    return (seconds, nanos) if MIN_TIMESTAMP_SECONDS <= seconds <= MAX_TIMESTAMP_SECONDS else None


def fill_duration(
    message: duration_pb2.Duration, value: JsonValue, at: str, name: str | int, problems: list[Problem]
) -> None:
    message.SetInParent()
    found = _DURATION.fullmatch(value) if type(value) is str else None
    if found is None or int(found[2]) > MAX_DURATION_SECONDS:
        report(problems, at, name, "type.duration", "must be seconds such as 1.5s")
        return
    sign = -1 if found[1] else 1
    message.seconds = sign * int(found[2])
    message.nanos = sign * int((found[3] or "").ljust(9, "0"))


def fill_mask(
    message: field_mask_pb2.FieldMask, value: JsonValue, at: str, name: str | int, problems: list[Problem]
) -> None:
    message.SetInParent()
    if type(value) is not str or not _MASK.fullmatch(value):
        report(problems, at, name, "type.field_mask", "must be paths with commas between them")
    elif value:
        message.paths.extend(value.split(","))


def fill_value(message: struct_pb2.Value, value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> None:
    """Free JSON; an integer that a double cannot hold is refused, not rounded."""
    _fill_value(message, value, at, name, problems, 1)


def fill_struct(
    message: struct_pb2.Struct, value: JsonValue, at: str, name: str | int, problems: list[Problem]
) -> None:
    message.SetInParent()
    if type(value) is dict:
        _fill_struct(message, value, pointer(at, name), problems, 1)
    else:
        report(problems, at, name, "type.object", "must be an object")


def fill_list(
    message: struct_pb2.ListValue, value: JsonValue, at: str, name: str | int, problems: list[Problem]
) -> None:
    message.SetInParent()
    if type(value) is list:
        _fill_list(message, value, pointer(at, name), problems, 1)
    else:
        report(problems, at, name, "type.array", "must be an array")


def _fill_value(
    message: struct_pb2.Value, value: JsonValue, at: str, name: str | int, problems: list[Problem], depth: int
) -> None:
    if value is None:
        message.null_value = struct_pb2.NULL_VALUE
    elif type(value) is bool:
        message.bool_value = value
    elif type(value) is str:
        message.string_value = string(value, at, name, problems)
    elif type(value) is dict or type(value) is list:
        _fill_container(message, value, pointer(at, name), problems, depth)
    elif type(value) is int and abs(value) > MAX_EXACT_DOUBLE:
        report(
            problems,
            at,
            name,
            "type.number_range",
            f"must be an integer from {-MAX_EXACT_DOUBLE} to {MAX_EXACT_DOUBLE}",
        )
    else:
        message.number_value = number64(value, at, name, problems)


def _fill_container(message: struct_pb2.Value, value: JsonValue, at: str, problems: list[Problem], depth: int) -> None:
    if depth > MAX_STRUCT_DEPTH:
        report_at(problems, at, "type.depth", f"must not be nested deeper than {MAX_STRUCT_DEPTH} levels")
    elif type(value) is dict:
        message.struct_value.SetInParent()
        _fill_struct(message.struct_value, value, at, problems, depth)
    else:
        message.list_value.SetInParent()
        _fill_list(message.list_value, value, at, problems, depth)


def _fill_struct(
    message: struct_pb2.Struct, members: Mapping[str, JsonValue], at: str, problems: list[Problem], depth: int
) -> None:
    for name, value in members.items():
        _fill_value(message.fields[string(name, at, name, problems)], value, at, name, problems, depth + 1)


def _fill_list(
    message: struct_pb2.ListValue, values: Sequence[JsonValue], at: str, problems: list[Problem], depth: int
) -> None:
    for index, value in enumerate(values):
        _fill_value(message.values.add(), value, at, index, problems, depth + 1)


def fill_wrapper(message: _Wrapper, value: object) -> None:
    """Sets a wrapper message (google/protobuf/wrappers.proto), present even when the value is the default."""
    message.SetInParent()
    message.value = value


def fill_empty(message: empty_pb2.Empty, value: JsonValue, at: str, name: str | int, problems: list[Problem]) -> None:
    message.SetInParent()
    members_of(value, frozenset(), pointer(at, name), problems)


def members_of(value: JsonValue, names: frozenset[str], at: str, problems: list[Problem]) -> Mapping[str, JsonValue]:
    """The members of a JSON object, none when it is not one. Members that are not in `names` are refused by name, but for those
    that begin with `@`, which JSON:API has ignored (section 5.8.4).
    """
    if type(value) is not dict:
        report_at(problems, at, "type.object", "must be an object")
        return {}
    if not value.keys() <= names:
        for name in value:
            if is_full(problems):
                break
            if name not in names and not name.startswith("@"):
                report(problems, at, name, "attribute.unknown", "is not known here")
    return value


def array(value: JsonValue, at: str, name: str | int, problems: list[Problem], most: int = 0) -> Sequence[JsonValue]:
    """Return the items of a list; none when it has more than `most` (0: any number), which is reported before any is read."""
    if type(value) is not list:
        report(problems, at, name, "type.array", "must be an array")
        return ()
    return () if holds_too_many(len(value), most, f"{at}/{name}", problems) else value


def entries(
    value: JsonValue, at: str, name: str | int, problems: list[Problem], most: int = 0
) -> Mapping[str, JsonValue]:
    """Return the entries of a map; none when it has more than `most` (0: any number), which is reported before any is read."""
    if type(value) is not dict:
        report(problems, at, name, "type.object", "must be an object")
        return {}
    if 0 < most < len(value):
        report(problems, at, name, "map.max_pairs", f"map must be at most {most} entries")
        return {}
    return value


def key_boolean(key: str, at: str, name: str | int, problems: list[Problem]) -> bool:
    """A map's key that stands for a bool."""
    if key in {"true", "false"}:
        return key == "true"
    report(problems, at, name, "type.key", "must have keys true or false")
    return False


def key_integer(
    key: str,
    read: Callable[[JsonValue, str, str | int, list[Problem]], int],
    at: str,
    name: str | int,
    problems: list[Problem],
) -> int:
    """A map's key that stands for an integer."""
    return read(int(key) if _INTEGER.fullmatch(key) else key, at, name, problems)


def at_most_one(members: Mapping[str, JsonValue], names: Sequence[str], at: str, problems: list[Problem]) -> None:
    """Refuses an object that sets more than one member of a oneof."""
    given = [name for name in names if members.get(name) is not None]
    for name in given[1:]:
        report(problems, at, name, "oneof", f"must not be given together with {given[0]}")


def mask_paths(attributes: Mapping[str, JsonValue], names: frozenset[str]) -> list[str]:
    """The paths of an update mask: the members present. One that is null is named too: it is to be cleared."""
    return [name for name in attributes if name in names]
