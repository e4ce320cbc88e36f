"""Ports for programs that are started a moment later: `--free-ports`, the benches, the tests. They are never ports that the system
may assign meanwhile, nor ones that another process has just received.
"""

import fcntl
import os
import random
import socket
from pathlib import Path
from typing import Final

FIRST_PORT: Final = 18_000
LAST_PORT: Final = 28_999
"""Below the range from which systems take ports for connections (Linux: 32768 and up), beside the usual ports of the platform."""
COUNTERS: Final = Path("/tmp")  # noqa: S108  where all look, whatever their TMPDIR; opened so that nobody's link is followed
COUNTER_DIGITS: Final = 16


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 on which no program listens. A user's processes receive them in turn, so that none is used
    twice before all others were.

    Raises:
        OSError: every one of them is in use.
    """
    for _ in range(FIRST_PORT, LAST_PORT + 1):
        port = _next_in_turn()
        if is_free(port):
            return port
    raise OSError(f"no TCP port is free from {FIRST_PORT} to {LAST_PORT}")


def is_free(port: int) -> bool:
    """Return True when a program could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _next_in_turn() -> int:
    path = COUNTERS / f"samovar-ports-{os.getuid()}"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        told = os.pread(file, COUNTER_DIGITS, 0)
        port = int(told) + 1 if told.isdigit() else random.randint(FIRST_PORT, LAST_PORT)
        if not FIRST_PORT <= port <= LAST_PORT:
            port = FIRST_PORT
        os.ftruncate(file, 0)
        os.pwrite(file, str(port).encode(), 0)
        return port
    finally:
        os.close(file)
