"""Reading a request body as JSON, strictly."""

import re

import orjson

from gateway.contract import JsonValue

MAX_VALUES = 150_000
"""Values of one document: a body of one size may hold a string or a million numbers, which are not the same work. Free JSON of a
quarter of a mebibyte, which settings may have, holds fewer.
"""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?')


def has_too_many_values(body: bytes) -> bool:
    """True for a body that could hold more than MAX_VALUES, by what begins or parts values, in strings too; before it is read."""
    return body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES


def read_json(body: bytes) -> JsonValue:
    """Reads a request body. Raises ValueError when it is not JSON, and when an object names a member twice (RFC 8259, section 4:
    what that means is up to the reader, so a gateway must not let it through).
    """
    value = orjson.loads(body)
    written = sum(1 for colon in _STRING.findall(body) if colon)
    if written != _count_members(value):
        raise ValueError("an object names a member twice")
    return value


def _count_members(root: JsonValue) -> int:
    count = 0
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            count += len(value)
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)
    return count
