"""The order of a run: files that take long go first, so that no worker is left alone with one at the end; and what a run leaves to
other tasks, said at its end. Loaded by conftest.py.
"""

import pytest

TASKS = {"long": "./taskw test:long", "soak": "./taskw test:soak", "real_faults": "./taskw test:real-faults"}
"""By mark."""
SOAKS = (
    "tests/e2e/test_fuzzing.py",
    "tests/contract/library/test_library_machine.py",
    "tests/e2e/test_schemathesis.py",
    "tests/faults/test_download_step_kills.py",
    "tests/unit/sandbox/test_sandbox_publisher.py",
    "tests/faults/test_origin_faults.py",
    "tests/component/library/test_library_rarity.py",
    "tests/component/library/test_library_sale_telling.py",
)
"""Files whose tests marked soak take longest, the longest first: what is left for the end should be short."""
LONG = ("tests/e2e/", "tests/faults/", "tests/component/bench/", "tests/meta/test_gateway_bench.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the shuffle, whose order is kept among the long ones and among the others."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Of its file: the longest soaks in their order, the other long ones, the others."""
    if item.get_closest_marker("soak"):
        return next((place for place, file in enumerate(SOAKS) if item.nodeid.startswith(file)), len(SOAKS))
    return len(SOAKS) + (not item.nodeid.startswith(LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names the tasks that run what the marks of this run leave out."""
    left = [mark for mark in TASKS if f"not {mark}" in config.option.markexpr]
    if left:
        terminalreporter.write_line("left to other tasks: " + ", ".join(f"{mark} ({TASKS[mark]})" for mark in left))
