"""How tests start and stop the whole platform as real processes: `samovar up` on free ports, in a folder of its own. Used by
tests/e2e and tests/faults.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sandbox.devstack.embedded import child_of_this

SAMOVAR = str(Path(sys.executable).with_name("samovar"))
START_SECONDS = 180
STOP_SECONDS = 180
LEFT_SECONDS = 30
"""For what its end has ended already to be gone."""


@dataclass(frozen=True)
class Platform:
    """A running platform: what its ready file says, and its private description."""

    home: Path
    ready: dict[str, Any]
    private: dict[str, Any]
    process: subprocess.Popen[bytes]

    def user(self, name: str) -> dict[str, str]:
        return next(user for user in self.ready["users"] if user["name"] == name)


NO_RATE_LIMITS = tuple(
    word
    for program in ("gateway", "library", "download")
    for kind in ("READS", "WRITES")
    for word in ("--set", f"{program}.RATE_LIMIT_{kind}=1000000")
)
"""Tests ask more than a person does in a minute; the limits have tests of their own (tests/component/gateway)."""


def start_platform(
    home: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    through: Sequence[str] = (),
    seen_at: Path | None = None,
) -> Platform:
    """Starts one and waits until it is ready; the log is `up.log` in its home's parent. It stands on the real backends if
    TEST_BACKENDS says so. However this process ends, the platform stops with it.

    `through` is a program that starts programs; where it shows them another file system, the home is `seen_at` a path of ours.
    """
    own = {**os.environ, **(environment or {})}
    options = ("--backends", own.get("TEST_BACKENDS", "embedded"), *options)
    ready_file = home.parent / f"{home.name}-ready.json"
    log_path = home.parent / f"{home.name}-up.log"
    words = ("up", "--free-ports", "--ready-file", str(ready_file), *NO_RATE_LIMITS, *options)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            child_of_this(*through, SAMOVAR, *words, stop_signal=signal.SIGINT),
            env={**own, "SAMOVAR_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            process.wait(STOP_SECONDS)
            raise AssertionError(f"the platform did not start:\n{log_path.read_text()[-6000:]}")
        time.sleep(0.05)
    seen = seen_at or home
    return Platform(seen, json.loads(ready_file.read_text()), json.loads((seen / "platform.json").read_text()), process)


def stop_platform(platform: Platform, *, environment: Mapping[str, str] | None = None) -> list[psutil.Process]:
    """Stops it as Ctrl-C does and removes what it had on real backends; returns the processes of its tree that are still there
    afterwards.
    """
    tree = psutil.Process(platform.process.pid).children(recursive=True)
    platform.process.send_signal(signal.SIGINT)
    platform.process.wait(STOP_SECONDS)
    left = psutil.wait_procs(tree, timeout=LEFT_SECONDS)[1]
    if "postgres" not in platform.private["pids"]:
        reset = [SAMOVAR, "reset"]
        own = {**os.environ, **(environment or {}), "SAMOVAR_HOME": str(platform.home)}
        subprocess.run(reset, env=own, check=True, timeout=STOP_SECONDS)
    return left
