"""Where a run's temporary folders lie: in memory where the system has a file system of memory and room, since the disk work of a
whole run would cost its kernel a third as much as the tests themselves. Loaded by conftest.py; TMPDIR, if set, stands.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import pytest

MEMORY: Final = Path("/dev/shm")
PREFIX: Final = "samovar-tests-"
ROOM_BYTES: Final = 8 << 30
"""More than a run was seen to fill; what a container has by default is far less."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before anything asks for a temporary folder; workers and programs that are started have it by TMPDIR. Soak tests write more
    than memory holds.
    """
    if "TMPDIR" in os.environ or hasattr(config, "workerinput") or config.option.markexpr == "soak" or not _has_room():
        return
    for folder in MEMORY.glob(f"{PREFIX}*"):
        if not Path(f"/proc/{folder.name.removeprefix(PREFIX)}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    made = MEMORY / f"{PREFIX}{os.getpid()}"
    made.mkdir(mode=0o1777, exist_ok=True)
    made.chmod(0o1777)  # servers that refuse to run as root run as another user, whatever the umask is
    os.environ["TMPDIR"] = tempfile.tempdir = str(made)
    config.add_cleanup(lambda: shutil.rmtree(made, ignore_errors=True))


def _has_room() -> bool:
    try:
        there = os.statvfs(MEMORY)
    except OSError:
        return False
    free = _available_memory() if there.f_frsize * there.f_bavail > ROOM_BYTES else 0
    return free > ROOM_BYTES and not there.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)


def _available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 0)
