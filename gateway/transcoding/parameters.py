"""Reading what comes as text: query and path parameters."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from gateway.contract import JsonValue, Listed, Problem, Query
from gateway.transcoding.problems import report, report_parameter, report_path_parameter
from gateway.transcoding.readers import octets

_M = TypeVar("_M", bound=Message)

NO_SPELLINGS: Mapping[str, str] = {}
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,4})?", re.ASCII)
_DOTS = frozenset({".", ".."})
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PAGE_FAMILY = "page["


class Parameters:
    """The query parameters of one request, read as the endpoint knows them.

    `names` may come once, `lists` any number of times and with commas; a comma that is percent-encoded belongs to a text, and
    parts what is no text like any other. `spellings` are JSON:API's names of some of them, like
    `page[number]` of `page`; a request keeps to one of the two, for pages as a whole. Everything else is a problem.
    """

    __slots__ = ("_found", "_lists", "_problems", "_spelled")

    def __init__(
        self,
        query: Query,
        problems: list[Problem],
        *,
        names: frozenset[str] = frozenset(),
        lists: frozenset[str] = frozenset(),
        spellings: Mapping[str, str] = NO_SPELLINGS,
    ) -> None:
        self._found: dict[str, list[str]] = {}
        self._lists = lists
        self._spelled: dict[str, str] = {}
        self._problems = problems
        theirs: list[str] = []
        for spelled, value in query:
            name = spellings.get(spelled, spelled)
            if name is not spelled:
                theirs.append(spelled)
            if name in lists:
                self._found.setdefault(name, []).extend(value.items if isinstance(value, Listed) else value.split(","))
                self._spelled.setdefault(name, spelled)
            elif name not in names:
                report_parameter(problems, spelled, "parameter.unknown", "is not known here")
            elif name in self._found and self._spelled[name] == spelled:
                report_parameter(problems, spelled, "parameter.twice", "must not be given twice")
            else:
                self._found.setdefault(name, [value])
                self._spelled.setdefault(name, spelled)
        if theirs:
            self._keep_to_one_spelling(query, theirs, spellings)

    def _keep_to_one_spelling(self, query: Query, theirs: Iterable[str], spellings: Mapping[str, str]) -> None:
        pages = {name for spelled, name in spellings.items() if spelled.startswith(_PAGE_FAMILY)}
        for spelled in dict.fromkeys(theirs):
            ours = pages if spelled.startswith(_PAGE_FAMILY) else {spellings[spelled]}
            mixed = next((name for name, _ in query if name in ours), None)
            if mixed is not None:
                self._keep_apart(spelled, mixed)

    def _keep_apart(self, spelled: str, other: str) -> None:
        report_parameter(self._problems, spelled, "parameter.mixed", f"must not be mixed with {other}")

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def _refuse(self, name: str, rule: str, description: str) -> None:
        report_parameter(self._problems, self._spelled.get(name, name), rule, description)

    def _pieces(self, name: str) -> list[str]:
        """Return the values of a parameter that is not a text: none of them has a comma."""
        found = self._found[name]
        return [piece for value in found for piece in value.split(",")] if name in self._lists else found

    def string(self, name: str) -> str:
        return self.strings(name)[0]

    def strings(self, name: str) -> list[str]:
        values = self._found[name]
        if all(map(_is_unicode, values)):
            return values
        self._refuse(name, "type.string", "must be text in UTF-8")
        return [""]

    def boolean(self, name: str) -> bool:
        return self.booleans(name)[0]

    def booleans(self, name: str) -> list[bool]:
        values = self._pieces(name)
        if not {*values} <= {"true", "false"}:
            self._refuse(name, "type.bool", "must be true or false")
        return [value == "true" for value in values]

    def integer(self, name: str, lowest: int, highest: int) -> int:
        return self.integers(name, lowest, highest)[0]

    def integers(self, name: str, lowest: int, highest: int) -> list[int]:
        values = self._pieces(name)
        read = [int(value) for value in values if _INTEGER.fullmatch(value)]
        if len(read) == len(values) and all(lowest <= number <= highest for number in read):
            return read
        self._refuse(name, "type.integer", f"must be an integer from {lowest} to {highest}")
        return [0]

    def number(self, name: str, highest: float = math.inf) -> float:
        return self.numbers(name, highest)[0]

    def numbers(self, name: str, highest: float = math.inf) -> list[float]:
        values = self._pieces(name)
        read = [float(value) for value in values if _DECIMAL.fullmatch(value)]
        if len(read) == len(values) and all(math.isfinite(number) and abs(number) <= highest for number in read):
            return read
        self._refuse(name, "type.number", "must be a finite number")
        return [0.0]

    def enum(self, name: str, numbers: Mapping[str, int]) -> int:
        return self.enums(name, numbers)[0]

    def enums(self, name: str, numbers: Mapping[str, int]) -> list[int]:
        values = self._pieces(name)
        read = [numbers[value] for value in values if value in numbers]
        if len(read) == len(values):
            return read
        self._refuse(name, "type.enum", f"must be one of {', '.join(numbers)}")
        return [0]

    def order(self, keys: Mapping[str, int], *, instead_of: str | None = None) -> int:
        """JSON:API's `sort` where there is an order by one key. `instead_of` is the platform's own parameter for the same."""
        found = self.orders(keys, instead_of=instead_of)
        if len(found) > 1:
            self._refuse("sort", "sort.one", "must be one sort field")
        return found[0]

    def orders(self, keys: Mapping[str, int], *, instead_of: str | None = None) -> list[int]:
        """JSON:API's `sort`: names with commas between them, `-` before one that descends."""
        if instead_of is not None and instead_of in self._found:
            self._keep_apart("sort", instead_of)
        given = self._found["sort"][0].split(",")
        if all(key in keys for key in given):
            return [keys[key] for key in given]
        self._refuse("sort", "type.enum", f"must be one of {', '.join(keys)}")
        return [0]

    def octets(self, name: str) -> bytes:
        return self.octets_list(name)[0]

    def octets_list(self, name: str) -> list[bytes]:
        wrong: list[Problem] = []
        read = [octets(value, "", name, wrong) for value in self._pieces(name)]
        if wrong:
            self._refuse(name, "type.bytes", "must be base64")
        return read

    def fill(
        self, name: str, fill: Callable[[_M, JsonValue, str, str | int, list[Problem]], None], message: _M
    ) -> None:
        """Fills a message that JSON writes as one string: a time, a duration, a mask."""
        wrong: list[Problem] = []
        fill(message, self._found[name][0], "", name, wrong)
        for problem in wrong:
            details = problem.details or {}
            self._refuse(name, details["rule"], details["description"])


def path_string(path: Mapping[str, str], name: str, problems: list[Problem]) -> str:
    """A path parameter. The service checks its form, except for values that no URL can name: a client that normalizes an address
    (RFC 3986, section 6.2.2.3) would change them.
    """
    value = path[name]
    if value in _DOTS:
        report_path_parameter(problems, name, "path.dots", "must not be . or ..")
        return ""
    if value.isascii() or _is_unicode(value):
        return value
    report_path_parameter(problems, name, "type.string", "must be text in UTF-8")
    return ""


def path_name(path: Mapping[str, str], template: str, problems: list[Problem]) -> str:
    """A name of several segments, `shelves/{shelf}/books/{book}`. A slash that stood percent-encoded in a segment stays so."""
    found = (_PLACEHOLDER.fullmatch(one) for one in template.split("/"))
    return "/".join(
        one if placeholder is None else path_string(path, placeholder[1], problems).replace("/", "%2F")
        for one, placeholder in zip(template.split("/"), found, strict=True)
    )


def agreeing(given: str, named: str, at: str, name: str, problems: list[Problem]) -> str:
    """Return the value in the address; a document that has a different value is reported."""
    if given not in {"", named}:
        report(problems, at, name, "path.agree", "must not contradict the address")
    return named


def path_integer(path: Mapping[str, str], name: str, lowest: int, highest: int, problems: list[Problem]) -> int:
    """A path parameter that is an integer."""
    value = path[name]
    if _INTEGER.fullmatch(value) and lowest <= int(value) <= highest:
        return int(value)
    report_path_parameter(problems, name, "type.integer", f"must be an integer from {lowest} to {highest}")
    return 0


def _is_unicode(value: str) -> bool:
    """Return True when protobuf can take the text: half of a surrogate pair has no UTF-8 form."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
