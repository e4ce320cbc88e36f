import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.request.negotiation import (
    JSON,
    JSON_API,
    choose_language,
    choose_media_type,
    is_supported_content_type,
    qualities_of,
    split,
)


@pytest.mark.parametrize(
    ("accept", "content_type", "expected"),
    [
        ([], None, JSON_API),
        ([], JSON, JSON),
        ([], "application/json; charset=utf-8", JSON),
        (["*/*"], None, JSON_API),
        (["*/*"], JSON, JSON),
        (["*/*"], JSON_API, JSON_API),
        ([JSON], None, JSON),
        ([JSON], JSON_API, JSON),
        ([f"{JSON}, {JSON_API}"], None, JSON_API),
        ([f"{JSON};q=0.9, {JSON_API};q=0.5"], None, JSON),
        (["application/*;q=0.1, text/html"], None, JSON_API),
        ([f'{JSON_API};profile="https://example.org/a,b"'], None, JSON_API),
        ([f'{JSON_API};ext="https://example.org/x"'], None, None),
        ([f'{JSON_API};ext="x"', JSON_API], None, JSON_API),
        ([f'{JSON_API};charset="utf-8", {JSON}'], None, JSON),
        ([f"{JSON_API};q=0, */*"], None, JSON),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], None, JSON_API),
        (["text/html"], None, None),
        ([f"{JSON};q=nan"], None, None),
        ([f"{JSON};q=x"], None, None),
        (["", " , "], None, JSON_API),
    ],
)
def test_the_answers_type_is_the_one_that_is_preferred(accept, content_type, expected):
    assert choose_media_type(tuple(accept), content_type) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, False),
        (JSON_API, True),
        (f'{JSON_API}; profile="x"', True),
        (f"{JSON_API}; charset=utf-8", False),
        (f'{JSON_API}; ext="x"', False),
        (JSON, True),
        ("Application/JSON; charset=UTF-8", True),
        ("application/json; charset=utf-16", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_only_json_in_utf8_is_read(content_type, expected):
    assert is_supported_content_type(content_type) is expected


@pytest.mark.parametrize(
    ("accept_language", "expected"),
    [
        ([], "ru"),
        (["en"], "en"),
        (["en-US,en;q=0.9,ru;q=0.8"], "en"),
        (["ru-RU, en"], "ru"),
        (["en, ru"], "en"),
        (["ru;q=0.5, en;q=0.7"], "en"),
        (["de, fr"], "ru"),
        (["de, en;q=0.1"], "en"),
        (["en;q=0"], "ru"),
        (["*"], "ru"),
        (["*, en;q=0.5"], "ru"),
        (["xx\x00;;q"], "ru"),
    ],
)
def test_english_is_spoken_to_those_who_prefer_it(accept_language, expected):
    assert choose_language(tuple(accept_language)) == expected


QUOTED = st.text(st.sampled_from('ab,;=" \\'), max_size=8).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
PIECES = st.lists(st.text(st.sampled_from("ab;= "), max_size=4) | QUOTED, max_size=6).map("".join)


@given(st.lists(PIECES, min_size=1, max_size=8))
def test_a_list_is_split_where_it_was_joined(pieces: list[str]):
    assert split(",".join(pieces), ",") == pieces


@given(st.text(st.sampled_from('a,;"\\ '), max_size=40))
def test_whatever_is_split_is_whole_when_joined_again(text: str):
    assert ",".join(split(text, ",")) == text
    assert ";".join(split(text, ";")) == text


def test_a_quoted_value_may_hold_separators_and_escapes():
    assert is_supported_content_type(rf'{JSON_API}; profile="https://a.example/\",;b"')
    assert is_supported_content_type(r'application/json; charset="\utf-8"')
    assert not is_supported_content_type('application/json; charset="utf-8')
    assert choose_media_type((rf'text/html;a="\",{JSON}", {JSON_API}',), JSON) == JSON_API


@pytest.mark.parametrize("unit", ['"",', ',"', '"', '"\\', "\\", '";', 'a;b="', ",", ";", "a;", '"a" '])
@pytest.mark.parametrize(
    "read",
    [
        lambda text: choose_media_type.__wrapped__((text,), None),
        is_supported_content_type.__wrapped__,
        lambda text: choose_language.__wrapped__((text,)),
        lambda text: qualities_of((text,)),
    ],
    ids=["Accept", "Content-Type", "Accept-Language", "Accept-Encoding"],
)
def test_twice_as_much_takes_about_twice_the_time(read: Callable[[str], object], unit: str):
    def seconds(text: str) -> float:
        took = []
        for _ in range(3):
            started = time.process_time()
            read(text)
            took.append(time.process_time() - started)
        return min(took)

    short, long = (unit * (size // len(unit)) for size in (20_000, 80_000))
    # Four times as much: a square would take sixteen times as long.
    assert seconds(long) < 8 * seconds(short) + 0.01
