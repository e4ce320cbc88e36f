"""The bench of the delivery runs from beginning to end on little content and prints its figures."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.delivery import read_options
from bench.machine import Cost, ProgramFailed, run
from bench.open_loop import Times
from bench.origin import find_nginx

REPOSITORY = Path(__file__).parents[3]
LITTLE = (
    *("--rounds=1", "--large-files=2", "--large-mib=2", "--small-files=20", "--many-files=150"),
    *("--load-rate=5", "--load-seconds=1", "--live-sessions=2"),
)
RUN_SECONDS = 280


def bench(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.delivery", *words],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def test_without_nginx_or_aria2c_it_says_in_one_line_how_to_get_them(tmp_path: Path):
    (tmp_path / "nginx").write_text("#!/bin/sh\n")
    (tmp_path / "nginx").chmod(0o755)
    ended = bench(*LITTLE, PATH=str(tmp_path))
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert "apt-get install" in line
    assert "aria2" in line


@pytest.mark.timeout(RUN_SECONDS + 20)
@pytest.mark.soak
def test_it_measures_all_that_it_promises(tmp_path: Path):
    """Where Debian's nginx and aria2 are installed; elsewhere it must say that they are missing."""
    ended = bench(*LITTLE, TMPDIR=str(tmp_path))
    if find_nginx() is None or shutil.which("aria2c") is None:
        assert ended.returncode == 2
        return
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout.strip().splitlines()[-1])
    for name in ("large_ratio_aria2c", "small_ratio_aria2c", "memory_mb", "chunking_mb_s"):
        assert figures[name] > 0
    for name in ("downloads_p95_ms", "links_p95_ms", "ws_delay_p99_ms"):
        assert figures[name] > 0
    for kind in ("downloads", "links", "reports"):
        assert figures["load"][kind]["achieved_per_second"] > 0
    assert figures["load_failed"] == 0, figures["load_first_failure"]
    assert len(figures["many_files"]["start_seconds"]) == 3
    for content in ("large", "small"):
        for side in ("launcher", "aria2c"):
            assert set(figures[content][side]) == {
                *("wall_seconds_min", "wall_seconds_median", "mb_s_best"),
                *("cpu_seconds_per_gib", "peak_rss_mb", "peak_pss_mb"),
            }
        assert figures[content]["publish_mb_s"] > 0
    assert list(tmp_path.iterdir()) == [], "the bench left its work folder"


def test_a_load_is_held_when_it_is_answered_as_fast_as_it_comes():
    assert Times(offered_per_second=100, achieved_per_second=96).is_held
    assert not Times(offered_per_second=100, achieved_per_second=90).is_held


async def test_memory_and_cpu_are_those_of_the_whole_tree(tmp_path: Path):
    child = "import time; held = bytearray(60_000_000); time.sleep(1.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    cost = await run([sys.executable, "-c", parent], output=tmp_path / "said")
    assert isinstance(cost, Cost)
    assert cost.peak_rss_bytes > 60_000_000
    assert cost.peak_pss_bytes > 60_000_000
    assert cost.wall_seconds > 1.5
    assert 0 < cost.cpu_seconds < cost.wall_seconds * 4


async def test_a_program_that_fails_is_not_measured(tmp_path: Path):
    with pytest.raises(ProgramFailed, match="no such luck"):
        await run([sys.executable, "-c", "raise SystemExit('no such luck')"], output=tmp_path / "said")


def test_quantiles_are_nearest_rank():
    times = Times([number / 1000 for number in range(100, 0, -1)])
    assert (times.at(0.5), times.at(0.95), times.at(0.99), times.at(1.0)) == (50.0, 95.0, 99.0, 100.0)


def test_the_defaults_are_what_the_documentation_says():
    options = read_options([])
    assert (options.large_files, options.large_mib) == (4, 256)
    assert (options.small_files, options.small_min_kib, options.small_max_kib) == (20_000, 8, 64)
    assert (options.load_rate, options.live_sessions) == (100, 200)
    assert options.only == ("large", "small", "many", "load")


def test_a_part_can_be_had_alone():
    assert read_options(["--only", "load"]).only == ["load"]
