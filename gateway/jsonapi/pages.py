"""Pages of a list: their meta and links. A link is the caller's own query with nothing but the page number exchanged, in the
caller's own spelling (`page` or `page[number]`). Contract: section 1; JSON:API 1.1, section 9.5.
"""

import re
from urllib.parse import parse_qsl, quote, unquote_plus

from gateway.contract import Cursors, JsonValue, Listed, Page, Problem, Query, Tokens
from gateway.problems.errors import Refused

PLAIN_NUMBER = "page"
BRACKET_NUMBER = "page[number]"
CURSOR_NAMES = frozenset({"after", "before", "page[after]", "page[before]"})
TOKEN_NAMES = frozenset({"page_token", "page[token]"})
BRACKET_NAMES = frozenset({BRACKET_NUMBER, "page[size]"})

_URL_CHARACTERS = "!$%&'()*+,-./:;=?@[]_~"
_is_encoded_comma = re.compile("%2[Cc]").search
_is_url = re.compile(r"[A-Za-z0-9!$%&'()*+,\-./:;=?@\[\]_~]*").fullmatch


def ascii_url(raw: str) -> str:
    """A path or query as received, with anything that no URL may contain percent-encoded: it goes back out in links and logs."""
    if _is_url(raw):
        return raw
    return quote(raw.encode("utf-8", "surrogateescape"), safe=_URL_CHARACTERS)


def parse_query(raw: str, *, limit: int) -> Query:
    """The decoded parameters in order.

    Raises:
        Refused: INVALID_QUERY_PARAMETER for what is not UTF-8, or for more than `limit` parameters.
    """
    if not raw:
        return ()
    try:
        query = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=limit)
        if not _is_encoded_comma(raw):
            return query
        written = (part.partition("=")[2] for part in raw.split("&") if part)
        return [
            (name, Listed(value, map(unquote_plus, text.split(","))) if _is_encoded_comma(text) else value)
            for (name, value), text in zip(query, written, strict=True)
        ]
    except UnicodeDecodeError:
        sentence = "the query is not percent-encoded UTF-8"
    except ValueError:
        sentence = "the query has too many parameters"
    raise Refused(Problem("INVALID_QUERY_PARAMETER", details={"description": sentence}))


def total_pages(page: Page) -> int:
    return -(-page.total_items // page.per_page) if page.per_page > 0 else 0


def page_meta(page: Page | Cursors | Tokens) -> JsonValue:
    if isinstance(page, Tokens):
        return {}
    if isinstance(page, Cursors):
        total = {} if page.total_items is None else {"total_items": page.total_items}
        return {"per_page": page.per_page, **total}
    return {
        "total_items": page.total_items,
        "current_page": page.current_page,
        "per_page": page.per_page,
        "total_pages": total_pages(page),
    }


def page_links(path: str, raw_query: str, page: Page | Cursors | Tokens) -> JsonValue:
    """`self`, `first`, `prev`, `next`, `last`; null where there is no such page. With cursors, the last page is never known."""
    if isinstance(page, Cursors | Tokens):
        return _cursor_links(path, raw_query, page)
    last = max(total_pages(page), 1)
    current = page.current_page
    parts, places, spelled = _page_places(raw_query)

    def link(number: int) -> str:
        for place in places:
            parts[place] = f"{spelled}={number}"
        return f"{path}?{'&'.join(parts)}"

    return {
        "self": f"{path}?{raw_query}" if raw_query else path,
        "first": link(1),
        "prev": link(min(current - 1, last)) if current > 1 else None,
        "next": link(current + 1) if current < last else None,
        "last": link(last),
    }


def _cursor_links(path: str, raw_query: str, page: Cursors | Tokens) -> JsonValue:
    by_token = isinstance(page, Tokens)
    parts = [part for part in raw_query.split("&") if part]
    is_bracketed = any(_name(part).startswith("page[") for part in parts)
    others = [part for part in parts if _name(part) not in (TOKEN_NAMES if by_token else CURSOR_NAMES)]

    def link(name: str, value: str) -> str | None:
        if not value:
            return None
        spelled = f"page[{name}]" if is_bracketed else f"page_{name}" if by_token else name
        spelled = quote(spelled, safe="[]" if "[" in raw_query else "")
        there = quote(value, safe="")
        return f"{path}?{'&'.join([*others, f'{spelled}={there}'])}"

    return {
        "self": f"{path}?{raw_query}" if raw_query else path,
        "first": f"{path}?{'&'.join(others)}" if others else path,
        "prev": None if isinstance(page, Tokens) else link("before", page.prev),
        "next": link("token" if by_token else "after", page.next),
    }


def _page_places(raw_query: str) -> tuple[list[str], list[int], str]:
    """The query's parts, which of them say the page's number (one more, when none does), and how that is spelled."""
    parts = [part for part in raw_query.split("&") if part]
    names = [_name(part) for part in parts]
    wanted = PLAIN_NUMBER if BRACKET_NAMES.isdisjoint(names) else BRACKET_NUMBER
    places = [place for place, name in enumerate(names) if name == wanted]
    if places:
        return parts, places, parts[places[0]].partition("=")[0]
    return [*parts, ""], [len(parts)], quote(wanted, safe="[]" if "[" in raw_query else "")


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
