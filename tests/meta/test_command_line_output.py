"""Every output of the command lines goes through depot.terminal or depot.console: nothing writes to a terminal past them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("launcher", "operations", "sandbox")
FORBIDDEN = {
    "print",
    "typer.echo",
    "typer.secho",
    "click.echo",
    "rich.print",
    "Console",
    "rich.console.Console",
    "sys.stdout.write",
    "sys.stderr.write",
    "sys.stdout.buffer.write",
}
ALLOWED = {("sandbox", "main.py", "sys.stderr.write")}
"""A program's usage line, with nothing from outside in it."""


def calls(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_writes_to_a_terminal_past_the_one_function(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, name in calls(path.read_text(encoding="utf-8"))
        if name in FORBIDDEN and (room, path.name, name) not in ALLOWED
    ]
    assert found == [], "say, say_lines and say_json of depot.terminal, or PlainConsole of depot.console"


def test_the_search_finds_what_it_looks_for() -> None:
    source = "import sys\nprint(1)\nsys.stdout.write('')\nConsole(stderr=True).print('x')\n"
    assert {name for _, name in calls(source)} & FORBIDDEN == {"print", "sys.stdout.write", "Console"}
