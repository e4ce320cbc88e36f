"""Disks so small that a test can fill them: a tmpfs in a user namespace of its own, for which nobody has to be root. Programs see
it when they are started through `enter`; the test sees it under `seen_at`.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BALLAST = "ballast"
BLOCK_BYTES = 1 << 16
MOUNT = 'mount -t tmpfs -o "size=$1,mode=0755" tmpfs "$2" && echo mounted && exec sleep infinity'


@dataclass(frozen=True)
class SmallDisk:
    """One of them. `path` is where programs in the namespace see it."""

    path: Path
    seen_at: Path
    enter: Sequence[str]
    """What stands before the command line of a program that is to see the disk."""

    def fill(self) -> None:
        """Leaves not a byte."""
        free_bytes = shutil.disk_usage(self.seen_at).free
        with (self.seen_at / BALLAST).open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            # Others write meanwhile: more than there is.
            for _ in range(2 + 2 * free_bytes // BLOCK_BYTES):
                ballast.write(bytes(BLOCK_BYTES))
        assert shutil.disk_usage(self.seen_at).free == 0

    def make_room(self) -> None:
        (self.seen_at / BALLAST).unlink()


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mounts one over the folder, which must not hold anything."""
    folder.mkdir(parents=True, exist_ok=True)
    keeper = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(size_bytes), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert keeper.stdout is not None
    assert keeper.stderr is not None
    try:
        if keeper.stdout.readline() != b"mounted\n":
            raise AssertionError(f"no file system can be mounted in a user namespace here: {keeper.stderr.read()!r}")
        enter = ("nsenter", f"--target={keeper.pid}", "--user", "--mount", "--preserve-credentials", "--")
        yield SmallDisk(folder, Path(f"/proc/{keeper.pid}/root{folder.resolve()}"), enter)
    finally:
        keeper.kill()
        keeper.communicate()
