"""What `samovar up` prints of the lines of its programs."""

import io
import json

import pytest
from rich.console import Console

from sandbox.devstack.platform_cli import LogPrinter

WORDS = "asked for [red]?a[]=\\[b]"
LINE = json.dumps(
    {"time": "2026-01-02T03:04:05.678Z", "level": "info", "message": WORDS, "trace_id": "0", "status": 200}
)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_lines_stand_behind_their_programs_names_and_are_not_taken_for_markup(*, is_terminal: bool) -> None:
    said = io.StringIO()
    console = Console(file=said, soft_wrap=True, force_terminal=is_terminal, color_system=None)
    readable, raw = LogPrinter(console, raw=False), LogPrinter(console, raw=True)
    readable("gateway", LINE)
    raw("library", LINE)
    assert said.getvalue().splitlines() == [
        f"   gateway 03:04:05.678 INFO    {WORDS} status=200",
        f"   library {LINE}",
    ]
