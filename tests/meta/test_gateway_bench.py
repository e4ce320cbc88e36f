"""The bench of the gateways runs: real processes, equal answers, every figure there. What the figures are is no test's business."""

import json
import subprocess
import sys

import pytest

from codegen.generate import ROOT

FIGURES = {"ratio_naive", "cpu_ratio_naive"}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_quick_bench_compares_the_gateways():
    done = subprocess.run(
        [sys.executable, "-m", "bench.gateway", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.splitlines()[-1])
    wanted = {f"{case}_{figure}" for case in ("small", "page", "post", "patch") for figure in FIGURES}
    assert wanted <= printed.keys()
    assert all(printed[name] > 0 for name in wanted)
    assert printed["workers_cpu_ratio"] > 0
    assert printed["workers_cpu_ratio_bare"] > 0
    assert "middleware_us" in printed
