"""The bench of the library runs: real processes, real rows, every figure there. What the figures are is no test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.library import Plan, read_plan
from codegen.generate import ROOT

RUN_SECONDS = 280
SHARES = {"heartbeats": (50, 99), "rest_heartbeats": (50, 99), "unlock": (50, 99), "access": (50, 95, 99)}


@pytest.mark.long
@pytest.mark.timeout(RUN_SECONDS + 20)
def test_a_quick_bench_measures_all_that_it_promises(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "bench.library", "--quick"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    wanted = {f"{name}_p{share}_ms" for name, shares in SHARES.items() for share in shares}
    wanted |= {f"{name}_{rate}" for name in (*SHARES, "pages") for rate in ("offered", "achieved")}
    wanted |= {"pages_small_p95_ms", "pages_large_p95_ms", "pages_ratio_p95", "page_cpu_us", "heartbeats_most"}
    assert wanted <= found.keys()
    assert all(found[name] > 0 for name in wanted)
    assert found["rarity_behind_seconds"] < 60
    assert set(found["profile"]) == {"gateway", "service"}
    assert len(found["plans"]) > 20
    assert list(tmp_path.iterdir()) == [], "the bench left its work folder"


def test_the_defaults_are_what_is_asked_for():
    assert read_plan([]) == Plan()
    assert (Plan().small_rows, Plan().large_rows) == (1_000_000, 10_000_000)
    assert (Plan().pages_rate, Plan().heartbeats_rate) == (200, 1_000)
