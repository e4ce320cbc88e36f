"""The bench of deltas runs: real workers, real plans, every figure there. What the figures are is no test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.delta import PACKAGES, TOOLS
from codegen.generate import ROOT


def run(tmp_path: Path, **environment: str) -> tuple[dict[str, object], str]:
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "bench.delta", "--quick"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(work), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(work.iterdir()) == [], "the bench left its work folder"
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found, done.stdout


def test_a_quick_bench_measures_ours_and_every_tool_that_is_there(tmp_path: Path) -> None:
    found, _ = run(tmp_path)
    ways = found["pairs"]["made"]  # type: ignore[index]
    missing = set(found["missing"])  # type: ignore[call-overload]
    wanted = {"patches", "chunks"} | {tool.name for tool in TOOLS if PACKAGES[tool.program] not in missing}
    assert wanted <= ways.keys()
    assert ways["patches"]["patched_files"] == 2
    assert 0 < ways["patches"]["fetch_bytes"] < ways["chunks"]["fetch_bytes"] / 10
    assert ways["patches"]["apply_seconds"] > 0


def test_tools_that_are_missing_are_named_with_how_to_get_them(tmp_path: Path) -> None:
    found, said = run(tmp_path, PATH=str(tmp_path))
    assert found["missing"] == sorted(PACKAGES.values(), key=list(PACKAGES.values()).index)
    assert "apt-get install xdelta3 bsdiff casync zstd" in said
    assert set(found["pairs"]["made"]) == {"patches", "chunks"}  # type: ignore[index]
