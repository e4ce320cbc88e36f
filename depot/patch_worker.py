"""Builds one patch and applies it as the launcher does, in a process of its own whose memory and time are bounded. Started by
Download: `python -m depot.patch_worker <base> <new> <patch> <memory bytes> <CPU seconds>`.

Exit 0: the patch exists and produces the new file. Otherwise a line on stderr says why it was not created.
"""

import hashlib
import os
import resource
import sys
from pathlib import Path

from depot.errors import PatchInvalid
from depot.patches import ALGORITHM, PatchBinding, apply, build

REFUSED = 3
"""Exit status: the two files have no usable patch, and will have none the next time."""
_NICENESS = 10


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    base_path, new_path, patch_path = map(Path, arguments[:3])
    memory_bytes, cpu_seconds = map(int, arguments[3:5])
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _build(base_path, new_path, patch_path)
    except (PatchInvalid, MemoryError) as error:
        sys.stderr.write(f"{error.description if isinstance(error, PatchInvalid) else 'the memory does not suffice'}\n")
        return REFUSED
    return 0


def _build(base_path: Path, new_path: Path, patch_path: Path) -> None:
    base, new = base_path.read_bytes(), new_path.read_bytes()
    patch_path.write_bytes(build(base, new))
    patch = patch_path.read_bytes()
    binding = PatchBinding(
        ALGORITHM,
        hashlib.sha256(base).digest(),
        len(base),
        hashlib.sha256(new).digest(),
        len(new),
        hashlib.sha256(patch).digest(),
        len(patch),
    )
    del new
    apply(base, patch, binding)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
