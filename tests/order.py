"""The order of a run: files that take long go first, so that no worker is left alone with one at the end. Loaded by conftest.py."""

import pytest

LONG = ("tests/e2e/", "tests/faults/", "tests/component/bench/", "tests/meta/test_gateway_bench.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the shuffle, whose order is kept among the long ones and among the others."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
