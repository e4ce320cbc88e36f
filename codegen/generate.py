"""Runs protoc and every plugin over proto/ and lays the result down as gen/, and docs/errors.md beside it. Called by
`./taskw gen` and `./taskw gen:check`.

`python -m codegen.generate` replaces them; with `--check` it leaves them alone and fails when fresh ones would differ.
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
ERRORS = ROOT / "docs" / "errors.md"
OWN = ("samovar", "library", "download", "catalog", "content", "payment", "account")
GENERATED_THIRD_PARTY = ("buf/validate/validate.proto",)
HEADER = "Generated from proto/ by `./taskw gen`. Do not edit.\n"


def tool(name: str) -> str:
    """A tool of this environment, wherever the shell looks first."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def run(*command: str) -> None:
    """Runs a command in the repository, quietly; one that fails ends the program with what it said."""
    # Plugins call tools of the same environment by name (betterproto2's calls ruff).
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"
    result = subprocess.run(  # noqa: S603  # our own commands, nothing of anybody's input in them
        command, cwd=ROOT, check=False, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    if result.returncode:
        sys.exit(f"{result.stdout}{result.stderr}".strip() or f"{command[0]} failed with {result.returncode}")


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


def errors_page(gen: Path) -> str:
    """The text of docs/errors.md, by the registry of a generated tree."""
    command = (sys.executable, "-m", "codegen.emit_errors")
    environment = {**os.environ, "PYTHONPATH": str(gen), "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(  # noqa: S603  # our own module
        command, cwd=ROOT, check=True, capture_output=True, env=environment
    )
    return result.stdout.decode()


def _files(base: Path) -> set[str]:
    return {
        str(path.relative_to(base)) for path in base.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }


def _differences(ours: Path, fresh: Path) -> list[str]:
    """Names of files that one side lacks, or that are not the same on both."""
    here, there = _files(ours), _files(fresh)
    changed = {name for name in here & there if not filecmp.cmp(ours / name, fresh / name, shallow=False)}
    return sorted((here ^ there) | changed)


def _replace(ours: Path, fresh: Path) -> None:
    """Makes `ours` equal to `fresh`, touching only what differs: programs that run meanwhile keep finding the rest."""
    for name in _differences(ours, fresh):
        if (fresh / name).exists():
            (ours / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / name, ours / name)
        else:
            (ours / name).unlink()
    for folder in sorted((path for path in ours.rglob("*") if path.is_dir()), reverse=True):
        if not _files(folder) and folder.name != "__pycache__":
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="samovar-gen-") as folder:
        fresh = Path(folder) / "gen"
        fresh.mkdir()
        generate(fresh)
        page = errors_page(fresh)
        is_page_stale = not ERRORS.exists() or ERRORS.read_text(encoding="utf-8") != page
        if "--check" not in sys.argv[1:]:
            _replace(GEN, fresh)
            if is_page_stale:
                ERRORS.write_text(page, encoding="utf-8")
            return
        stale = [f"gen/{name}" for name in _differences(GEN, fresh)]
        stale += [str(ERRORS.relative_to(ROOT))] if is_page_stale else []
        if stale:
            sys.exit("not what proto/ says; run `./taskw gen`:\n  " + "\n  ".join(stale))


if __name__ == "__main__":
    main()
