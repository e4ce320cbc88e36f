"""Runs protoc and every plugin over proto/ and lays the result down as gen/. Called by `./taskw gen` and `./taskw gen:check`.

`python -m codegen.generate` replaces gen/; with `--check` it leaves gen/ alone and fails when a fresh one would differ.
"""

import filecmp
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GEN = ROOT / "gen"
OWN = ("samovar", "library", "download", "catalog", "content", "payment", "account")
GENERATED_THIRD_PARTY = ("buf/validate/validate.proto",)
HEADER = "Generated from proto/ by `./taskw gen`. Do not edit.\n"


def tool(name: str) -> str:
    """A tool of this environment, wherever the shell looks first."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def run(*command: str) -> None:
    """Runs a command in the repository; raises when it fails."""
    # Plugins call tools of the same environment by name (betterproto2's calls ruff).
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PATH": path})  # noqa: S603  # our own commands, no input in them


def _own_files() -> list[str]:
    proto = ROOT / "proto"
    return sorted(str(path.relative_to(proto)) for top in OWN for path in (proto / top).rglob("*.proto"))


def generate(into: Path) -> None:
    """Writes a whole generated tree below `into`, which must exist and be empty."""
    image = into / "image.binpb"
    run(tool("buf"), "build", "-o", str(image))
    descriptors = f"--descriptor_set_in={image}"
    protoc = (sys.executable, "-m", "grpc_tools.protoc", descriptors)
    own = _own_files()
    run(
        *protoc,
        f"--python_out={into}",
        f"--pyi_out={into}",
        f"--grpc_python_out={into}",
        f"--plugin=protoc-gen-mypy_grpc={tool('protoc-gen-mypy_grpc')}",
        f"--mypy_grpc_out=quiet,only_async:{into}",
        *own,
        *GENERATED_THIRD_PARTY,
    )
    client = into / "client"
    client.mkdir()
    run(
        *protoc,
        f"--plugin=protoc-gen-python_betterproto2={tool('protoc-gen-python_betterproto2')}",
        f"--python_betterproto2_out={client}",
        "--python_betterproto2_opt=client_generation=async",
        *own,
    )
    plugin = into / "protoc-gen-samovar"
    # The plugin reads our options with the classes just made, not with those of the last run.
    plugin.write_text(f"#!/bin/sh\nPYTHONPATH='{into}' exec '{sys.executable}' -m codegen.plugin\n")
    plugin.chmod(0o755)
    run(*protoc, f"--plugin=protoc-gen-samovar={plugin}", f"--samovar_out={into}", *own)
    plugin.unlink()
    image.unlink()
    (into / "README.md").write_text(HEADER)


def _differences(left: Path, right: Path) -> list[str]:
    def files(base: Path) -> set[str]:
        return {
            str(path.relative_to(base))
            for path in base.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    ours, fresh = files(left), files(right)
    changed = {name for name in ours & fresh if not filecmp.cmp(left / name, right / name, shallow=False)}
    return sorted((ours ^ fresh) | changed)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="samovar-gen-") as folder:
        fresh = Path(folder) / "gen"
        fresh.mkdir()
        generate(fresh)
        if "--check" in sys.argv[1:]:
            stale = _differences(GEN, fresh)
            if stale:
                sys.exit("gen/ is not what proto/ says; run `./taskw gen`:\n  " + "\n  ".join(stale))
            return
        shutil.rmtree(GEN, ignore_errors=True)
        shutil.copytree(fresh, GEN)


if __name__ == "__main__":
    main()
