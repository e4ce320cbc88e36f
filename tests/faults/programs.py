"""The programs of the running platform as targets: who runs under which process id now, and when a killed one is back."""

import json
import os
import signal

from tests.e2e.clients import until
from tests.e2e.running import Platform

BACK_SECONDS = 60.0


def pid_of(platform: Platform, name: str) -> int:
    """As the supervisor last wrote it down."""
    pids: dict[str, int] = json.loads((platform.home / "platform.json").read_text())["pids"]
    return pids.get(name, 0)


def signal_program(platform: Platform, name: str, number: signal.Signals = signal.SIGKILL) -> int:
    """Sends a signal to a program; answers the process id that it had."""
    pid = pid_of(platform, name)
    os.kill(pid, number)
    return pid


async def started_again(platform: Platform, name: str, old_pid: int) -> None:
    """Returns when the supervisor has another process under the name."""

    async def is_new() -> bool:
        return pid_of(platform, name) not in {0, old_pid}

    await until(is_new, f"{name} was not started again", BACK_SECONDS)
