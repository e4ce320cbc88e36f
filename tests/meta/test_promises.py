"""Documents name the tests that hold their promises: each test is there, and runs."""

import re
from functools import cache
from pathlib import Path

import pytest

from codegen.generate import ROOT

NAMED = re.compile(r"`(?:tests/[\w/]*)?(test_\w+\.py)::(test_\w+)(…?)`")
"""`test_file.py::test_name`; a name that ends in … is the beginning of one."""


def _named() -> list[tuple[str, str, str]]:
    """Document, file and test."""
    found = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        for file, name, rest in NAMED.findall(page.read_text()):
            found.append((page.name, file, name + rest))
    return found


@cache
def _tests(file: str) -> tuple[str, ...]:
    (path,) = Path(ROOT / "tests").rglob(file)
    return tuple(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize(("page", "file", "name"), _named())
def test_what_a_document_promises_has_its_test(page: str, file: str, name: str) -> None:
    tests = _tests(file)
    is_there = any(test.startswith(name.removesuffix("…")) for test in tests) if name.endswith("…") else name in tests
    assert is_there, f"docs/{page} names {file}::{name}"


def test_the_gateways_promises_are_seen() -> None:
    assert sum(1 for page, _, _ in _named() if page == "gateway-http.md") >= 40
