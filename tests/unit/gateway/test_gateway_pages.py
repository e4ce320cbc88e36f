from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract import Page
from gateway.jsonapi.pages import ascii_url, page_links, page_meta, parse_query, total_pages
from gateway.problems.errors import Refused
from gateway.transcoding import Parameters

NUMBERS = {"page", "page[number]"}


@pytest.mark.parametrize(("items", "per_page", "pages"), [(0, 20, 0), (1, 20, 1), (20, 20, 1), (21, 20, 2), (5, 0, 0)])
def test_pages_are_counted_up(items, per_page, pages):
    assert total_pages(Page(items, 1, per_page)) == pages
    assert page_meta(Page(items, 1, per_page))["total_pages"] == pages


def test_an_empty_collection_is_one_page_without_neighbours():
    links = page_links("/p", "", Page(0, 1, 20))
    assert links == {"self": "/p", "first": "/p?page=1", "prev": None, "next": None, "last": "/p?page=1"}


def test_behind_the_last_page_the_previous_one_is_the_last():
    links = page_links("/p", "page=9", Page(30, 9, 20))
    assert (links["prev"], links["next"]) == ("/p?page=2", None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "page=2"),
        ("limit=5", "limit=5&page=2"),
        ("page=1&search=%D1%87+x", "page=2&search=%D1%87+x"),
        ("page[size]=5", "page[size]=5&page[number]=2"),
        ("page%5Bnumber%5D=1&a=b", "page%5Bnumber%5D=2&a=b"),
    ],
)
def test_a_link_keeps_the_callers_spelling(query, expected):
    assert page_links("/p", query, Page(60, 1, 20))["next"] == f"/p?{expected}"


names = st.sampled_from(["page", "limit", "page[number]", "page[size]", "search", "ключ", "a b", "%", ""])


@given(st.lists(st.tuples(names, st.text(max_size=5)), max_size=6), st.booleans())
def test_links_change_nothing_but_the_page(pairs, encode):
    pairs = [(name, value) for name, value in pairs if not any("\ud800" <= each <= "\udfff" for each in value)]
    raw = ascii_url("&".join(f"{quote_plus(n) if encode else n.replace('%', '%25')}={quote_plus(v)}" for n, v in pairs))
    before = [pair for pair in parse_qsl(raw, keep_blank_values=True) if pair[0] not in NUMBERS]
    link = page_links("/p", raw, Page(100, 2, 10))["next"]
    assert link.isascii()
    query = parse_qsl(urlsplit(link).query, keep_blank_values=True)
    assert [pair for pair in query if pair[0] not in NUMBERS] == before
    assert any(value == "3" for name, value in query if name in NUMBERS)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=4), st.booleans())
def test_values_of_a_list_come_back_whatever_is_in_them(values, comma_separated):
    """By the rules of RFC 6570 and by commas: an encoded comma belongs to a value."""
    written = [quote_plus(value) for value in values]
    raw = f"tag={','.join(written)}" if comma_separated else "&".join(f"tag={one}" for one in written)
    problems = []
    given = Parameters(parse_query(raw, limit=100), problems, lists=frozenset({"tag"}))
    assert (given.strings("tag"), problems) == (values, [])


def test_a_comma_parts_numbers_however_it_is_written():
    for raw in ("n=1,2&n=3", "n=1%2C2&n=3", "n=1&n=2%2c3"):
        given = Parameters(parse_query(raw, limit=100), [], lists=frozenset({"n"}))
        assert given.integers("n", 0, 9) == [1, 2, 3]
    problems = []
    Parameters(parse_query("n=1%2C2", limit=100), problems, names=frozenset({"n"})).integer("n", 0, 9)
    assert [problem.parameter for problem in problems] == ["n"]


@given(st.binary(max_size=40))
def test_any_query_is_either_read_as_text_or_refused(raw):
    query = ascii_url(raw.decode("utf-8", "surrogateescape"))
    assert query.isascii()
    pairs, codes = [], []
    try:
        pairs = parse_query(query, limit=10)
    except Refused as refused:
        codes = [problem.code for problem in refused.problems]
    assert codes in ([], ["INVALID_QUERY_PARAMETER"])
    assert len(pairs) <= 10
    assert not any("\ud800" <= character <= "\udfff" for pair in pairs for text in pair for character in text)
