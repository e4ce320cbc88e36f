"""The steps of a child before it becomes the program it was started for: it arranges to die with its parent and, where that program
refuses root, changes to another user. Run as a script by the commands of sandbox.devstack.embedded, because code between fork and
exec is not safe in a process with threads. Imports nothing but the standard library, so that it costs milliseconds.
"""

import argparse
import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def enter_user_namespace(uid: int, gid: int) -> None:
    """Makes root appear as `uid` and `gid`, to itself and its children; outside, its files stay root's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{gid} 0 1")


def become(uid: int, gid: int) -> None:
    """Gives root up for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with(parent: int, stop_signal: int) -> None:
    """Make the kernel stop this process when its parent is gone (Linux; elsewhere this does nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:
            sys.exit("the parent is gone")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, help="left out: the program outlives it")
    parser.add_argument("--stop-signal", type=int, required=True)
    parser.add_argument("--identity", nargs=3, metavar=("HOW", "UID", "GID"))
    parser.add_argument("program", nargs="+")
    words = parser.parse_args()
    if words.identity:
        how, uid, gid = words.identity
        {"namespace": enter_user_namespace, "setuid": become}[how](int(uid), int(gid))
    if words.parent is not None:
        die_with(words.parent, words.stop_signal)
    os.execvp(words.program[0], words.program)  # noqa: S606  becoming another program is the point


if __name__ == "__main__":
    main()
