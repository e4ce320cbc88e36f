"""The order of a run: files that take long go first, so that no worker is left alone with one at the end; and what a run leaves to
other tasks, said at its end. Loaded by conftest.py.
"""

import pytest

TASKS = {"long": "./taskw test:long", "soak": "./taskw test:soak", "real_faults": "./taskw test:real-faults"}
"""By mark."""
LONG = ("tests/e2e/", "tests/faults/", "tests/component/bench/", "tests/meta/test_gateway_bench.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the shuffle, whose order is kept among the long ones and among the others."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names the tasks that run what the marks of this run leave out."""
    left = [mark for mark in TASKS if f"not {mark}" in config.option.markexpr]
    if left:
        terminalreporter.write_line("left to other tasks: " + ", ".join(f"{mark} ({TASKS[mark]})" for mark in left))
