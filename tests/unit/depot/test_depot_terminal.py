"""Text from outside on a terminal: nothing that it obeys comes through, and a script reads back exactly what was said."""

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from depot.console import PlainConsole
from depot.terminal import json_text, plain, plain_lines, say, say_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
NASTY = ["\x1b]0;title\x07", "\x9b31m", "a\rb", "a\nb", "\u202egpj.exe", "\udc9b", "\u2028", "\x7f", "\x00"]


def is_harmless(text: str) -> bool:
    return not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in BIDI for c in text)


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_comes_through(text: str) -> None:
    assert is_harmless(plain(text))
    assert all(is_harmless(line) for line in plain_lines(text).split("\n"))


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters=sorted(BIDI))))
def test_all_other_text_is_as_it_is(text: str) -> None:
    assert plain(text) == text


@given(
    st.recursive(ANY_TEXT, lambda below: st.lists(below) | st.dictionaries(ANY_TEXT, below)), st.sampled_from([None, 2])
)
def test_json_reads_back_exactly_and_shows_nothing_that_a_terminal_obeys(value: object, indent: int | None) -> None:
    text = json_text(value, indent=indent)
    assert json.loads(text) == value
    assert all(is_harmless(line) for line in text.split("\n"))


@pytest.mark.parametrize("nasty", NASTY)
def test_every_way_out_shows_it_plain(nasty: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(nasty)
    say_json({"title": nasty})
    say(nasty, err=True)
    seen = capsys.readouterr()
    assert all(is_harmless(line) for line in (seen.out + seen.err).split("\n"))
    assert len(seen.out.splitlines()) == 2
    file = io.StringIO()
    console = PlainConsole(file=file, width=200)
    table = Table(nasty)
    table.add_row(Text(nasty))
    table.add_row(nasty)
    console.print(table)
    console.print(nasty, markup=False)
    assert all(is_harmless(line) for line in file.getvalue().split("\n"))


def test_the_consoles_own_colours_still_come_out() -> None:
    file = io.StringIO()
    PlainConsole(file=file, force_terminal=True, color_system="standard").print("[red]a\x1b[32mb[/]")
    assert "\x1b[31m" in file.getvalue()
    assert "\x1b[32m" not in file.getvalue()
