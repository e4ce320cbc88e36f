"""If-Match as it is sent, and as services get it."""

from collections.abc import Sequence

import pytest

from gateway.contract import Problem
from gateway.jsonapi.preconditions import if_match_tags
from gateway.problems.pointers import Source, locate


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ([], []),
        ([""], []),
        (["*"], ["*"]),
        (['"3"'], ["3"]),
        (['""'], [""]),
        (['"3", "4"'], ["3", "4"]),
        (['"3"', '"4"'], ["3", "4"]),
        ([' ,"a,b" ,, "c" '], ["a,b", "c"]),
        (['W/"3"'], ['W/"3"']),
        (['"*"'], ['"*"']),
    ],
)
def test_tags_come_without_quotes(values: Sequence[str], tags: Sequence[str]) -> None:
    problems: list[Problem] = []

    assert if_match_tags(values, problems) == tags
    assert problems == []


@pytest.mark.parametrize("value", ["3", '"3', '"3" "4"', '*, "3"', 'w/"3"', '"a b"', '"3";q=1', "," * 16_000])
def test_what_is_no_tag_is_a_problem_of_the_header(value: str) -> None:
    problems: list[Problem] = []

    assert if_match_tags([value], problems) == []
    assert [(problem.code, problem.header) for problem in problems] == [("INVALID_ARGUMENT", "If-Match")]


def test_a_field_that_came_from_a_header_is_found_there() -> None:
    assert locate("if_match_tags", {"if_match_tags": ":If-Match"}) == Source("header", "If-Match")
