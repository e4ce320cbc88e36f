"""docs/reliability.md and the tests of faults are one list: what the page names exists, and what exists is named."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "tests" / "faults"
NAMED = re.compile(r"`((?:[\w/]+/)?test_\w+\.py)(?:::(test_\w+))?`")


def names_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = (node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {name for name in functions if name.startswith("test_")}


def named() -> set[tuple[Path, str]]:
    """Files and tests; an empty name where the page names a whole file."""
    page = (ROOT / "docs" / "reliability.md").read_text()
    return {((ROOT if "/" in file else FAULTS) / file, name) for file, name in NAMED.findall(page)}


def test_the_tests_that_the_page_names_exist():
    for path, name in named():
        assert path.exists(), path
        assert not name or name in names_in(path), f"{path.name}::{name}"


def test_the_page_names_every_test_of_a_fault():
    existing = {(path, name) for path in FAULTS.glob("test_*.py") for name in names_in(path)}
    assert existing
    assert existing - named() == set()
