"""Small trees to publish, and how two trees are compared."""

import hashlib
import random
from pathlib import Path


def make_tree(folder: Path, seed: str) -> Path:
    """A tree with everything that a manifest can hold: big and empty files, links, folders, modes, unicode names."""
    source = random.Random(seed)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "game").write_bytes(source.randbytes(3_000_000))
    (folder / "bin" / "game").chmod(0o755)
    (folder / "bin" / "run").symlink_to("game")
    (folder / "data" / "уровни").mkdir(parents=True)
    for number in range(20):
        (folder / "data" / "уровни" / f"{number}.lvl").write_bytes(source.randbytes(source.randrange(1, 40_000)))
    (folder / "data" / "same-again.lvl").write_bytes((folder / "data" / "уровни" / "0.lvl").read_bytes())
    (folder / "data" / "empty").touch()
    (folder / "saves").mkdir()
    return folder


def digests(folder: Path) -> dict[str, str]:
    """Every entry below a folder by relative path: kind, executable bit and content."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if name.startswith(".samovar"):
            continue
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {bool(path.stat().st_mode & 0o100)}"
    return found
