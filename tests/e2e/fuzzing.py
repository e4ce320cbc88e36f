"""Requests to fuzz the gateway with, made from the OpenAPI document: each is a good one with a few things wrong. A request follows
from the run's seed and its own number alone, so a run, or one request of it, can be made again. Used by test_fuzzing.py.
"""

import copy
import functools
import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import brotli
import zstandard

from tests.unit.codegen.documents import resolved

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X" * 40)
WORDS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "2147483648",
        "9223372036854775808",
        "1e400",
        "0x10",
        "١٢",
        "null",
        "true",
        "TRUE",
        "NaN",
        "[]",
        "{}",
    ),
    *(
        "'",
        '"',
        "'; --",
        "1 OR 1=1",
        "%",
        "%00",
        "\x00",
        "../../etc/passwd",
        "..",
        "//",
        ";",
        "*",
        "$ne",
        "<script>",
        "${7*7}",
    ),
    *(
        "\ud800",
        "e\u0301",
        "\u202e",
        "😀" * 10,
        "я" * 300,
        "a" * 5000,
        "\r\nX-Injected: 1",
        "\t",
        "a,b,,c",
        "page",
        "id",
        "data",
    ),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+03:00", "9999-12-31T23:59:59-05:00", "9999-12-31t23:59:59.9999999z"),
    *("00000000-0000-0000-0000-000000000000", "0190b7a6-5f3c-7c1e-9d2a-4b8f6e1c2d3a", "2026-13-45T99:99:99Z"),
)
TIMES = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+03:00", "0001-01-01T00:00:00-23:59", "0000-12-31T23:59:59Z"),
    *(
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-05:00",
        "9999-12-31T23:59:59.999999999Z",
        "9999-12-31T23:59:59+23:59",
    ),
    *("10000-01-01T00:00:00Z", "1970-01-01t00:00:00z", "1969-12-31T23:59:59.999999999Z", "1900-02-29T00:00:00Z"),
    *("2026-06-30T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01", "infinity", "-infinity"),
)
"""Both ends of what a time may be, what lies just outside, and what programs take for no time."""
VALUES: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    1e308,
    -0.0,
    1.5,
    [],
    {},
    [[]],
    {"": None},
    [None] * 300,
)
HEADERS: Mapping[str, Sequence[str]] = {
    "Accept": ("*/*", "application/json", "application/vnd.api+json;ext=x", "text/html", "a/b;q=2", ";;,,", "*/*;q=0"),
    "Accept-Encoding": ("gzip", "br;q=1", "zstd", "identity;q=0", "*", "x" * 300),
    "Accept-Language": ("en", "ru", "*", "en;q=nan", "zz, en;q=0.1", "," * 50),
    "Authorization": (
        "Bearer ",
        "Bearer a.b.c",
        "Basic YTpi",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "bearer  x",
        "Bearer \xff",
    ),
    "Content-Type": (
        "application/json",
        "application/json;charset=utf-16",
        "text/plain",
        "application/vnd.api+json;x=1",
        "/",
        "",
    ),
    "Content-Encoding": ("gzip", "br", "deflate"),
    "Cookie": ("a=b", "=;=", "x" * 1000),
    "Expect": ("100-continue", "200-ok"),
    "Forwarded": ("for=1.2.3.4", "for=_"),
    "Idempotency-Key": ("one", "", " ", "k" * 129, "ключ", '"quoted"'),
    "If-Match": ("*", '"1"', 'W/"1"', "1", '"', '"a","b"', "," * 20, '"' + "x" * 3000 + '"'),
    "If-None-Match": ("*", '"1"', "W/*", '"', "," * 20),
    "Origin": ("https://evil.example", "null", "http://[", ""),
    "Access-Control-Request-Method": ("GET", "NONE"),
    "Range": ("bytes=0-1", "bytes=9-1"),
    "traceparent": (
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-" + "0" * 32 + "-" + "0" * 16 + "-00",
        "ff-x",
    ),
    "tracestate": ("a=b", "=" * 600),
    "Upgrade": ("websocket", "h2c"),
    "Sec-WebSocket-Protocol": ("bearer.x", ",", "bearer."),
    "X-Forwarded-For": ("1.2.3.4", "::1, x", "," * 30, "999.1.1.1"),
    "X-HTTP-Method-Override": ("DELETE", "PUT"),
    "X-Request-ID": ("mine", "a b", "x" * 200, "{}", "\x7f"),
    "X-Request-Timeout": ("30", "0", "-1", "1e3", "99999999999", "0.000000001", "soon", "٣"),
    "X-User-Id": ("00000000-0000-0000-0000-000000000001",),
    "x-client-ip": ("1.2.3.4",),
    "grpc-timeout": ("1n",),
}
ELSEWHERE = (
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/docs",
    "/api/v1/asyncapi.json",
    "/api/v1/ws/download-progress",
    "/api/v1/ws/library-updates",
    "/api",
    "*",
)
TOO_MUCH = (b"[" * 20_000, b" " * 3_000_000)
CODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": functools.partial(gzip.compress, mtime=0),
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": lambda body: zstandard.ZstdCompressor().compress(body),
}
REPEATABLE = tuple(name for name in HEADERS if name not in {"Expect", "Upgrade"})
REPETITIONS = (2, 10, 60, 120)
"""Of one header. The parser takes 128 in all."""
LONG = (",", '"",', ',"', '"', '"\\', ";", "a;b=", "a, ", " ", "\t,", "W/", "1.2.3.4,", "=")
"""Units that long headers are made of."""
LENGTHS = (500, 2_000, 2_050, 8_000, 15_000, 31_000)
COUNTS = (0, 2, 99, 101, 501, 1_001, 10_001, 100_001)
"""Of the items of a list: around what the contract allows, and far above."""
MOST_BODY_BYTES = 2_500_000
BODIES = (b"", b"{", b"[]", b"null", b'{"data":', b"\xff\xfe\x00", *TOO_MUCH)
"""Instead of a whole one."""
MOST_CHANGES = 4
MOST_LEVELS = 200
"""Of one change to a body: all of them together stay within what Python's own JSON can write and read."""


Manner = Literal["at once", "half-closed", "dripping", "stalling"]
"""Ways to send a whole request: and then no more; in small pieces; or without the last byte of its body, which never comes."""
MANNERS: Sequence[tuple[Manner, int]] = (("at once", 860), ("half-closed", 89), ("dripping", 50), ("stalling", 1))
"""Each with how many of a thousand. A request that stalls takes the gateway's whole patience."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """One request as it goes over the wire. `operation` is that of the document which must answer it, None when nobody knows which
    one does; `is_framed`: what is wrong with it is not where it ends, so that it has exactly one answer.
    """

    raw: bytes
    method: str
    operation: Mapping[str, Any] | None
    is_framed: bool
    manner: Manner = "at once"


@dataclass(frozen=True, slots=True)
class Target:
    """One operation: how good requests for it are made."""

    method: str
    path: str
    operation: Mapping[str, Any]
    query: Sequence[str]
    """Names of its parameters."""
    body: Any


class Fuzzer:
    """Makes the requests of a run. `known` are values that exist, by the names of parameters (`download_id`) and members."""

    def __init__(self, document: Any, seed: int, *, host: str, token: str, known: Mapping[str, str]) -> None:
        self._seed = seed
        self._host = host
        self._token = token
        self._known = known
        self._targets = [
            Target(verb.upper(), path, operation, _query(document, operation), _example(operation))
            for path, item in sorted(document["paths"].items())
            for verb, operation in sorted(item.items())
        ]

    def request(self, number: int) -> Fuzzed:
        return _Request(random.Random(f"{self._seed}:{number}"), self).build()

    @property
    def targets(self) -> Sequence[Target]:
        return self._targets

    @property
    def host(self) -> str:
        return self._host

    @property
    def token(self) -> str:
        return self._token

    @property
    def known(self) -> Mapping[str, str]:
        return self._known


class _Request:
    """One request while it is made: a good one first, then its changes, then bytes."""

    def __init__(self, chance: random.Random, fuzzer: Fuzzer) -> None:
        self._chance = chance
        self._target = target = chance.choice(fuzzer.targets)
        self._known = fuzzer.known
        self._operation: Mapping[str, Any] | None = target.operation
        self._method = target.method
        self._path = re.sub(r"\{(\w+)\}", lambda found: quote(self._good_text(found[1]), safe=""), target.path)
        self._query: list[tuple[str, str]] = []
        self._headers = [("Host", fuzzer.host), ("Authorization", f"Bearer {fuzzer.token}")]
        self._body = json.dumps(self._good_body()).encode() if target.body is not None else None
        if self._body is not None:
            self._headers.append(("Content-Type", "application/vnd.api+json"))
        self._is_framed = True
        self._breaks_bytes = False

    def build(self) -> Fuzzed:
        changes: Sequence[Callable[[], None]] = (
            *[self._change_query] * 4,
            *[self._change_body] * 6,
            *[self._change_header] * 5,
            self._repeat_header,
            self._lengthen_header,
            self._compress,
            self._change_path,
            self._change_method,
            self._break_framing,
        )
        for _ in range(self._chance.randint(1, MOST_CHANGES)):
            self._chance.choice(changes)()
        raw = self._bytes()
        if self._breaks_bytes:
            raw = _damaged(raw, self._chance)
        return Fuzzed(raw, self._method, self._operation, self._is_framed, self._manner())

    def _manner(self) -> Manner:
        names, weights = zip(*MANNERS, strict=True)
        found: Manner = self._chance.choices(names, weights)[0]
        if not self._is_framed or (found == "stalling" and not self._body):
            return "at once"
        return found

    def _good_text(self, name: str) -> str:
        return self._known.get(name) or "0190b7a6-5f3c-7c1e-9d2a-4b8f6e1c2d3a"

    def _good_body(self) -> Any:
        body = copy.deepcopy(self._target.body)
        for holder, name in _members(body):
            if name in self._known and self._chance.random() < 0.7:
                holder[name] = self._known[name]
        return body

    def _word(self) -> str:
        return self._chance.choice((*WORDS, *WORDS, *TIMES, *self._known.values()))

    def _change_query(self) -> None:
        names = self._target.query
        name = self._chance.choice((*names, *names, *names, "colour", "page", "page[number]", "sort", self._word()))
        for _ in range(self._chance.choice((1, 1, 1, 2, 150))):
            self._query.append((name, self._word()))

    def _change_path(self) -> None:
        chance, parts = self._chance, self._path.split("/")
        at = chance.randrange(1, max(len(parts), 2))
        match chance.randrange(5):
            case 0:
                self._path = chance.choice(ELSEWHERE)
            case 1:
                parts[at : at + 1] = [quote(self._word(), safe="", errors="surrogatepass")]
                self._path = "/".join(parts)
            case 2:
                parts.insert(
                    chance.randrange(1, len(parts) + 1), chance.choice(("", "..", "%2e%2e", "%2F", "x" * 9000, "%ff"))
                )
                self._path = "/".join(parts)
            case 3:
                del parts[at : at + 1]
                self._path = "/".join(parts) or "/"
            case _:
                self._path = self._path.swapcase() + chance.choice(("", "/", "//", "?", "#", ";a=b"))
        self._operation = None

    def _change_method(self) -> None:
        self._method = self._chance.choice(METHODS)
        self._operation = None

    def _change_header(self) -> None:
        name = self._chance.choice(tuple(HEADERS))
        value = self._chance.choice((*HEADERS[name], self._word().replace("\r\n", " ").replace("\x00", "")))
        match self._chance.randrange(5):
            case 0:
                self._headers.append((name, value))
            case 1 if name not in {"Expect", "Upgrade"}:
                self._headers = [one for one in self._headers if one[0] != name]
            case 2 if self._chance.random() < 0.1:
                self._headers += [
                    (f"X-Many-{number}", "y" * 200) for number in range(self._chance.choice((20, 90, 200)))
                ]
            case _:
                self._headers = [*(one for one in self._headers if one[0] != name), (name, value)]
        if name in {"Expect", "Upgrade"}:
            # An answer of its own comes first, or another protocol.
            self._is_framed = False
        self._mind_coding()

    def _repeat_header(self) -> None:
        name = self._chance.choice(REPEATABLE)
        values = HEADERS[name]
        for _ in range(self._chance.choice(REPETITIONS)):
            self._headers.append((name, self._chance.choice(values)))
        self._mind_coding()

    def _lengthen_header(self) -> None:
        name, unit = self._chance.choice(REPEATABLE), self._chance.choice(LONG)
        value = (unit * self._chance.choice(LENGTHS))[: self._chance.choice(LENGTHS)]
        self._headers = [*(one for one in self._headers if one[0] != name), (name, value)]
        self._mind_coding()

    def _compress(self) -> None:
        coding = self._chance.choice(tuple(CODINGS))
        body = self._chance.choice((self._body or b"{}", b" " * 3_000_000, b"[" * 100_000))
        self._body = _coded(coding, body)
        if self._chance.random() < 0.2:
            self._body = _damaged(self._body, self._chance)
        self._headers.append(("Content-Encoding", coding))
        self._mind_coding()

    def _mind_coding(self) -> None:
        """A coded body is refused where no operation takes a body too, and no operation's document says so."""
        if self._target.body is None and any(name == "Content-Encoding" for name, _ in self._headers):
            self._operation = None

    def _change_body(self) -> None:
        chance = self._chance
        if self._body is None or chance.random() < 0.1:
            self._body = chance.choice(BODIES)
            return
        document = None if self._body in TOO_MUCH else _read(self._body)
        if document is None or chance.random() < 0.15:
            self._body = _damaged(self._body, chance)
            return
        places = list(_members(document))
        if not places:
            self._body = b"{}"
            return
        holder, name = chance.choice(places)
        match chance.randrange(6):
            case 0:
                del holder[name]
            case 1:
                holder[name] = _deep(chance.choice((5, 60, MOST_LEVELS)))
            case 2:
                is_time = isinstance(holder[name], str) and re.match(r"\d{4}-\d\d-\d\dT", holder[name])
                holder[name] = self._chance.choice(TIMES) if is_time or chance.random() < 0.1 else self._word()
            case 3 if isinstance(holder, dict):
                holder[self._word()] = chance.choice((*VALUES, self._word()))
            case 4 if isinstance(holder[name], list):
                holder[name] = _many(holder[name], chance.choice(COUNTS))
            case _:
                holder[name] = chance.choice(VALUES)
        self._body = json.dumps(document).encode()

    def _break_framing(self) -> None:
        if self._chance.random() < 0.5:
            return
        self._is_framed, self._operation = False, None
        match self._chance.randrange(5):
            case 0:
                self._breaks_bytes = True
            case 1:
                self._headers.append(
                    ("Content-Length", self._chance.choice(("-1", "7", "99999999999999999999", "x", "0")))
                )
            case 2:
                self._headers.append(
                    ("Transfer-Encoding", self._chance.choice(("chunked", "gzip", "chunked, chunked", "x")))
                )
            case 3:
                self._headers.append((self._chance.choice(("", "Bad Name", "Bad\x00", ":", "é")), "1"))
            case _:
                self._headers = [one for one in self._headers if one[0] != "Host"] + [("Host", self._word())]

    def _bytes(self) -> bytes:
        query = "&".join(
            f"{_encoded(name, self._chance)}={_encoded(value, self._chance)}" for name, value in self._query
        )
        target = self._path + (f"?{query}" if query else "")
        lines = [f"{self._method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in self._headers)]
        if self._body is not None:
            lines.append(f"Content-Length: {len(self._body)}")
        head = "\r\n".join(lines).encode("utf-8", "surrogatepass")
        return head + b"\r\n\r\n" + (self._body or b"")


def _query(document: Any, operation: Mapping[str, Any]) -> Sequence[str]:
    parameters = [resolved(document, one) for one in operation["parameters"]]
    return [one["name"] for one in parameters if one["in"] == "query"]


def _example(operation: Mapping[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return next((media["example"] for media in content.values() if "example" in media), None)


def _members(value: Any) -> Any:
    """Every object or array in a JSON value with every name or index in it."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        names = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for name in names:
            yield one, name
            waiting.append(one[name])


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _many(items: list[Any], count: int) -> list[Any]:
    """So many items as those that are there, or as many as a body may have."""
    size = len(json.dumps(items[:1])) + 2
    return (
        [items[number % len(items)] for number in range(min(count, MOST_BODY_BYTES // size))] if items else [0] * count
    )


def _deep(levels: int) -> Any:
    made: Any = {}
    for _ in range(levels):
        made = {"a": made}
    return made


def _encoded(text: str, chance: random.Random) -> str:
    """Percent-encoded as it should be, or not: but no space and no line's end, which would make another request of it."""
    match chance.randrange(8):
        case 0:
            return re.sub(r"[\x00-\x20\x7f#]", "", text)
        case 1:
            return _quoted(text, "/") + chance.choice(("%", "%zz", "%ff", "%00", "+"))
        case _:
            return _quoted(text, "[]")


@functools.cache
def _quoted(text: str, safe: str) -> str:
    """The same words again and again."""
    return quote(text, safe=safe, errors="surrogatepass")


@functools.lru_cache(64)
def _coded(coding: str, body: bytes) -> bytes:
    """The large ones again and again."""
    return CODINGS[coding](body)


def _damaged(raw: bytes, chance: random.Random) -> bytes:
    """With a few bytes changed, left out, put in, or all that follows cut off."""
    made = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made)) if made else 0
        match chance.randrange(4):
            case 0 if made:
                made[at] = chance.randrange(256)
            case 1 if made:
                del made[at : at + chance.randint(1, 5)]
            case 2:
                made[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 5)))
            case _ if chance.random() < 0.3:
                del made[at:]
            case _:
                pass
    return bytes(made)
