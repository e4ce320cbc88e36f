"""Conversion from protobuf to JSON, one value at a time."""

import base64
import math
import re
import struct
from collections.abc import Iterable
from logging import getLogger
from urllib.parse import quote

from google.protobuf import duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2
from samovar.types.v1 import page_pb2

from chassis.cloudevents import moments
from chassis.errors import DomainError, Kind
from gateway.contract import Cursors, JsonValue, Page
from gateway.transcoding.limits import MAX_EXACT_DOUBLE, MAX_FLOAT32

UNKNOWN_EVENT = "stream.unknown"
"""`event_type` of an event newer than this build: its id still counts for resuming, its payload cannot be shown."""

_log = getLogger(__name__)

_is_plain = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch


class EnumTexts(dict[int, str | None]):
    """Enum values by number. A number that this build does not know stays a number, so that nothing is invented."""

    def __missing__(self, number: int) -> int:
        return number


def timestamp_text(timestamp: timestamp_pb2.Timestamp) -> str:
    """RFC 3339 in UTC with `Z`; 0, 3, 6 or 9 digits of the second, as many as are needed.

    Raises:
        DomainError: INTERNAL_ERROR, the service sent an invalid time; the log has it.
    """
    try:
        return moments.timestamp_text(timestamp)
    except moments.InvalidTimestamp as error:
        _log.error("a service sent a time that is none", extra={"timestamp": str(error)})
        raise DomainError(Kind.INTERNAL, "INTERNAL_ERROR") from None


def duration_text(duration: duration_pb2.Duration) -> str:
    """Seconds with `s`: `3s`, `-0.500s`."""
    seconds, nanos = duration.seconds, duration.nanos
    sign = "-" if seconds < 0 or nanos < 0 else ""
    fraction = f".{moments.fraction_text(abs(nanos))}" if nanos else ""
    return f"{sign}{abs(seconds)}{fraction}s"


def mask_text(mask: field_mask_pb2.FieldMask) -> str:
    """Paths with commas between them, spelled as the attributes are."""
    return ",".join(mask.paths)


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def double(value: float) -> float | None:
    """A number, or null for what JSON has no number for."""
    return value if math.isfinite(value) else None


def single(value: float) -> float | None:
    """A 32-bit number in the fewest digits that mean it: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return None
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= MAX_FLOAT32 and struct.unpack("f", struct.pack("f", short))[0] == value:
            return short
    return float(f"{value:.9g}")


def value_json(value: struct_pb2.Value) -> JsonValue:
    """Free JSON. Numbers that are whole and exact come out as integers."""
    match value.WhichOneof("kind"):
        case "struct_value":
            return struct_json(value.struct_value)
        case "list_value":
            return list_json(value.list_value)
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            exact = number.is_integer() and abs(number) <= MAX_EXACT_DOUBLE
            return int(number) if exact else double(number)
        case _:
            return None


def struct_json(message: struct_pb2.Struct) -> JsonValue:
    return {name: value_json(value) for name, value in sorted(message.fields.items())}


def list_json(message: struct_pb2.ListValue) -> JsonValue:
    return [value_json(value) for value in message.values]


def identifiers(resource_type: str, resource_ids: Iterable[str]) -> JsonValue:
    """The resource linkage of a to-many relationship."""
    return [{"type": resource_type, "id": resource_id} for resource_id in resource_ids]


def segment(value: str) -> str:
    """A value as one segment of a link's path."""
    return value if _is_plain(value) else quote(value, safe="")


def segments(value: str) -> str:
    """A resource name as segments of a link's path, as gateway.transcoding.path_name reads them: an encoded slash stays one."""
    return "%2F".join(quote(part) for part in value.split("%2F"))


def page_of(info: page_pb2.PageInfo) -> Page:
    return Page(info.total_items, info.current_page, info.per_page)


def cursor_of(info: page_pb2.CursorInfo) -> Cursors:
    total_items = info.total_items if info.HasField("total_items") else None
    return Cursors(info.next, info.prev, info.per_page, total_items)
