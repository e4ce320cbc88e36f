"""The one way of the command lines (launcher, operations, sandbox) to a terminal: text from outside, which is titles, names, paths
and messages of servers, is shown without anything that a terminal obeys or that makes it read otherwise than it is.

Escape sequences: ECMA-48. Bidirectional controls: UAX #9, CVE-2021-42574. For tables and bars: depot.console.
"""

import json
import re
import sys
from typing import Any

_OBEYED = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u2028\u2029"  # line and paragraph ends
    "\ud800-\udfff"  # bytes of file names that are not UTF-8
)
_OBEYED_ANYWHERE = re.compile(f"[{_OBEYED}]")
_OBEYED_IN_LINES = re.compile(f"(?!\\n)[{_OBEYED}]")


def plain(text: object) -> str:
    """One line that shows the text: what a terminal would obey is spelt as an escape, as Python spells it."""
    return _OBEYED_ANYWHERE.sub(_spelt, str(text))


def plain_lines(text: object) -> str:
    """As `plain`, for text that may have several lines of our own."""
    return _OBEYED_IN_LINES.sub(_spelt, str(text))


def say(text: object, *, err: bool = False) -> None:
    """Prints a line, `plain`."""
    print(plain(text), file=sys.stderr if err else sys.stdout, flush=True)


def say_lines(text: object, *, err: bool = False) -> None:
    """Prints text of several lines, each `plain`."""
    print(plain_lines(text), file=sys.stderr if err else sys.stdout, flush=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that a script reads back exactly and a terminal can show. What JSON does not know, ids for one, is text."""
    text = json.dumps(value, ensure_ascii=False, default=str, indent=indent)
    # Controls below U+0020 are escaped already, but for the newlines of `indent`; all others only come up within strings.
    return _OBEYED_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say_json(value: Any, *, indent: int | None = None, err: bool = False) -> None:
    """Prints `json_text`."""
    print(json_text(value, indent=indent), file=sys.stderr if err else sys.stdout, flush=True)


def _spelt(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
