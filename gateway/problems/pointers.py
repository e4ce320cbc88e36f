"""Maps a request field's path, as protobuf spells it, back to the place in the HTTP request that it was read from.

Called by gateway.problems.errors with the `pointers` of a route. JSON Pointer: RFC 6901; field paths: buf.validate's FieldPath.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.contract import JsonValue

ATTRIBUTES = "/data/attributes"
_LIST = "/#"
"""Ends a place that holds a list of resource objects."""
_LINKAGE = "/@"
"""Ends a place that holds a list of resource identifiers."""

_INDEX = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_SEGMENT = re.compile(r'(?P<name>[A-Za-z_]\w*)|\[(?P<index>\d+)\]|\[(?P<key>"(?:[^"\\]|\\.)*"|[^\]]+)\]')


@dataclass(frozen=True, slots=True)
class Source:
    """The `source` of an error object. A parameter is one of the query or of the path."""

    kind: Literal["pointer", "parameter", "header"]
    value: str


def _segments(field: str) -> Iterator[tuple[str, bool]]:
    """Names, indices and map keys of a path, each with whether it is a plain field name."""
    for match in _SEGMENT.finditer(field):
        if match["name"] is not None:
            yield match["name"], True
        else:
            yield (match["index"] or match["key"].strip('"')), False


def locate(field: str, pointers: Mapping[str, str]) -> Source | None:
    """The source of a field: that of the longest part of its path that the route knows, and the rest of the path below it.

    A field of the body that the route does not name (a mask created by the gateway) belongs to the attributes as a whole.
    """
    segments = list(_segments(field))
    names = 0
    for _, is_name in segments:
        if not is_name:
            break
        names += 1
    for length in range(names, 0, -1):
        place = pointers.get(".".join(name for name, _ in segments[:length]))
        if place is not None:
            return _source(place, [name for name, _ in segments[length:]])
    if any(place.startswith("/") for place in pointers.values()):
        return Source("pointer", ATTRIBUTES)
    return None


def _source(place: str, rest: list[str]) -> Source:
    if place.startswith("?"):
        return Source("parameter", place[1:])
    if place.startswith("{"):
        return Source("parameter", place.strip("{}"))
    if place.startswith(":"):
        return Source("header", place[1:])
    if place.endswith(_LIST):
        place = place.removesuffix(_LIST)
        # An element's id stands beside its attributes.
        rest = [*rest[:1], *(["attributes"] if rest[1:] and rest[1:] != ["id"] else []), *rest[1:]]
    elif place.endswith(_LINKAGE):
        place = place.removesuffix(_LINKAGE)
        rest = [*rest[:1], *(["id"] if rest else [])]
    return Source("pointer", place + "".join("/" + _escape(part) for part in rest))


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def existing(pointer: str, document: JsonValue) -> str:
    """The pointer, cut back to its nearest part that is in the document; `""`, the whole document, at the shortest."""
    reached = ""
    value = document
    for part in pointer.split("/")[1:]:
        name = _unescape(part)
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            break
        reached = f"{reached}/{part}"
    return reached
