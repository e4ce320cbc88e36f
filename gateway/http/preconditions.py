"""If-Match, for the methods whose contract takes it (option `if_match_field`): RFC 9110, sections 8.8.3 and 13.1.1. The service
compares; here the header is only read.
"""

import re
from collections.abc import Iterable, Sequence

from aiohttp import hdrs

from gateway.contract import Problem

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
ANY = "*"


def if_match_tags(values: Iterable[str], problems: list[Problem]) -> Sequence[str]:
    """The tags of the header's values: without quotes, `*` for any, none when it is absent. A weak tag, which matches nothing, and
    a tag that reads `*` keep their quotes.
    """
    joined = ",".join(values).strip()
    if joined in {"", ANY}:
        return [joined] if joined else []
    if not _TAGS.fullmatch(joined):
        details = {"description": "must be entity tags or *"}
        problems.append(Problem("INVALID_ARGUMENT", header=hdrs.IF_MATCH, details=details))
        return []
    return [_opaque(tag) for tag in re.findall(_TAG, joined)]


def _opaque(tag: str) -> str:
    bare = tag.strip('"')
    return tag if tag.startswith("W/") or bare == ANY else bare
