"""docs/backends.md, the settings classes and the tests of real servers are one list: every backend setting is on the page with its
default and its readers, every fault test is named there, and what the page names exists.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from chassis.settings import ProgramSettings
from tests.meta.test_reliability_page import NAMED, names_in
from tests.unit.test_environment_files import CLASSES, as_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backends.md").read_text()
BACKENDS = ("postgres_", "events_", "kafka_", "redis_", "objects_", "s3_")
"""What the settings of a backend begin with."""

NEEDED = "(needed)"
ROW = re.compile(r"\| `([A-Z0-9_]+)` \| (?:`([^`|]*)`|(\(needed\))?) ?\| ([a-z, ]+) \| [^|]+ \|")
FAULT_TESTS = (*sorted((ROOT / "tests" / "real").glob("test_*.py")), ROOT / "tests/component/test_kafka_faults.py")


def rows() -> list[tuple[str, str, set[str]]]:
    """Of each setting on the page: its name, its default, who reads it."""
    found = (ROW.fullmatch(line) for line in PAGE.splitlines())
    return [(row[1], row[2] or row[3] or "", set(row[4].split(", "))) for row in found if row]


def program(settings: type[ProgramSettings]) -> str:
    return settings.__name__.removesuffix("Settings").lower()


def readers() -> Mapping[str, list[type[ProgramSettings]]]:
    """Programs' settings classes by backend setting."""
    names = {name for one in CLASSES for name in one.model_fields if name.startswith(BACKENDS)}
    return {name.upper(): [one for one in CLASSES if name in one.model_fields] for name in names}


def test_every_backend_setting_is_on_the_page_once_and_nothing_else():
    assert sorted(name for name, _, _ in rows()) == sorted(readers())


def test_the_page_says_who_reads_a_setting():
    assert {name: programs for name, _, programs in rows()} == {
        name: {program(one) for one in classes} for name, classes in readers().items()
    }


def test_the_page_shows_the_defaults():
    for name, shown, _ in rows():
        fields = [one.model_fields[name.lower()] for one in readers()[name]]
        defaults = {
            NEEDED if field.is_required() else as_text(field.get_default(call_default_factory=True)) for field in fields
        }
        assert shown in defaults, f"{name} defaults to {defaults}"


def test_every_test_of_a_real_servers_fault_is_named_and_what_is_named_exists():
    named = {(ROOT / file, name) for file, name in NAMED.findall(PAGE)}
    for path, name in named:
        assert path.exists(), path
        assert not name or name in names_in(path), f"{path.name}::{name}"
    existing = {(path, name) for path in FAULT_TESTS for name in names_in(path)}
    assert existing
    assert existing - named == set()
