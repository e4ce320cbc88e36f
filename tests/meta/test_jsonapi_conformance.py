"""docs/jsonapi-conformance.md is true to the tests: every statement has one that exists, or a reason why it needs none."""

import re

from rest.routes import ROUTES

from codegen.generate import ROOT

PAGE = ROOT / "docs" / "jsonapi-conformance.md"
ROW = re.compile(r"\| `([a-z0-9-]+)` \| (MUST|MUST NOT|SHOULD|SHOULD NOT|MAY) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")
TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
MEMBER_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?")


def _rows() -> list[tuple[str, ...]]:
    return [found.groups() for line in PAGE.read_text().splitlines() if (found := ROW.fullmatch(line))]


def test_every_statement_has_a_test_or_a_reason() -> None:
    rows = _rows()
    assert len(rows) > 100
    assert len({row[0] for row in rows}) == len(rows)
    for name, _, _, how, tests in rows:
        assert TEST.findall(tests) or how.startswith("not applicable: "), name


def test_every_test_that_is_named_exists() -> None:
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    for name, *_, tests in _rows():
        for file, test in TEST.findall(tests):
            assert re.search(rf"def {test}\(", files[file]), f"{name}: {file}::{test}"


def test_what_is_waived_is_listed_with_a_reason() -> None:
    waived = [row[0] for row in _rows() if row[3].startswith("waived: ")]
    listed = re.findall(r"`([a-z0-9-]+)`", PAGE.read_text().partition("## What is waived")[2])
    assert listed == waived


def test_names_are_member_names() -> None:
    """Types, attributes, relationships: letters, digits, `-` and `_` between them (section 5.8)."""
    names = {name for route in ROUTES for kind, fields in route.fieldsets.items() for name in (kind, *fields)}
    names |= {route.resource_type for route in ROUTES if route.resource_type}
    names |= {name for route in ROUTES for name in route.request_types}
    assert len(names) > 50
    assert [name for name in names if not MEMBER_NAME.fullmatch(name)] == []
