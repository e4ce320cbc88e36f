"""Applies every patch of a folder by the depot, in one process as the launcher does: `python -m bench.delta_apply FOLDER`.
Each folder in it has `base`, `patch` and `binding.json`; the result is written beside as `result`. Measured by bench.delta.
"""

import json
import sys
from pathlib import Path

from depot.patches import PatchBinding, apply


def main(root: Path) -> None:
    for folder in sorted(root.iterdir()):
        kept = json.loads((folder / "binding.json").read_text())
        binding = PatchBinding(
            **{name: bytes.fromhex(value) if name.endswith("sha256") else value for name, value in kept.items()}
        )
        result = apply((folder / "base").read_bytes(), (folder / "patch").read_bytes(), binding)
        (folder / "result").write_bytes(result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
