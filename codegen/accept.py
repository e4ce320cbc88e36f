"""Renews the committed image of the contract, after an incompatible change that is meant, or when what was added since is to be
guarded too: `./taskw breaking:accept -- "why"`.

Writes proto/contract.binpb (what `./taskw breaking` compares with) and adds a dated line to proto/CHANGES.md.
"""

import sys
from datetime import UTC, date, datetime
from pathlib import Path

from codegen.generate import ROOT, run, tool

IMAGE = Path("proto") / "contract.binpb"
CHANGES = Path("proto") / "CHANGES.md"
HEAD = """# Changes of the contract

Each line is a renewal of `contract.binpb`: what broke, and why. Compatible changes need none; a renewal after them
has them guarded from then on.

"""


def add_line(changes: Path, why: str, today: date) -> None:
    """Adds `why` to the list of changes, newest last; creates the file when it is missing."""
    text = changes.read_text() if changes.exists() else HEAD
    changes.write_text(f"{text}* {today.isoformat()}: {why}\n")


def main() -> None:
    why = " ".join(" ".join(sys.argv[1:]).split())
    if not why:
        sys.exit("say what broke and why: ./taskw breaking:accept -- 'what broke and why'")
    run(tool("buf"), "build", "--exclude-source-info", "-o", str(IMAGE))
    add_line(ROOT / CHANGES, why, datetime.now(UTC).date())


if __name__ == "__main__":
    main()
