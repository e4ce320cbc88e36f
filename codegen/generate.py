"""Runs protoc and every plugin over a folder of protos and lays the result down. Called by `./taskw gen` and `./taskw gen:check`.

`python -m codegen.generate` turns proto/ into gen/, docs/errors.md and docs/options.md; with `--check` it leaves them alone and
fails when fresh ones would differ. With `--proto FOLDER --out FOLDER` it does the same for a contract of one's own, whose files
import ours (`samovar/…`), google's and buf's by their names; without the typed client, which only ours has.
"""

import argparse
import filecmp
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path

import grpc_tools  # type: ignore[import-untyped]
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf import descriptor_pb2

from codegen.emit.python_names import hides_module
from codegen.emit.python_source import pb2_module

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
GEN = ROOT / "gen"
DOCS = ROOT / "docs"
THIRD_PARTY = "third_party"
OWN = tuple(sorted(path.name for path in PROTO.iterdir() if path.is_dir() and path.name != THIRD_PARTY))
"""Top folders of the platform's own protos."""
INCLUDES = (
    PROTO,
    PROTO / THIRD_PARTY,
    Path(grpc_tools.__file__).parent / "_proto",
    Path(annotations_pb2.__file__).parents[2],  # what googleapis-common-protos brings: google/api, google/type, …
)
GENERATED_THIRD_PARTY = ("buf/validate/validate.proto",)
HEADER = "Generated from proto/ by `./taskw gen`. Do not edit.\n"
_LOAD = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
MARK = "README.md"
"""The file that holds the header: a folder with it is ours to replace."""
PAGES = "pages"
DEFAULT_PACKAGE = "rest"
DEFAULT_TITLE = "Samovar"


@dataclass(frozen=True, slots=True)
class Job:
    """One run of the generator: the protos below `proto` go into `out`, pages for people into `docs` (None = no pages)."""

    proto: Path = PROTO
    out: Path = GEN
    docs: Path | None = DOCS
    package: str = DEFAULT_PACKAGE
    title: str = DEFAULT_TITLE

    @property
    def is_ours(self) -> bool:
        return self.proto == PROTO


def tool(name: str) -> str:
    """A tool of this environment, wherever the shell looks first."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def run(*command: str) -> None:
    """Runs a command in the repository, quietly; one that fails ends the program with its output."""
    # Plugins call tools of the same environment by name (betterproto2's calls ruff).
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"
    result = subprocess.run(  # noqa: S603  # our own commands, nothing of anybody's input in them
        command, cwd=ROOT, check=False, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    if result.returncode:
        sys.exit(f"{result.stdout}{result.stderr}".strip() or f"{command[0]} failed with {result.returncode}")


def own_files(proto: Path) -> list[str]:
    """Every proto below the folder, by its name in imports; what is vendored in `third_party` is not the contract's own."""
    names = (path.relative_to(proto) for path in proto.rglob("*.proto"))
    return sorted(name.as_posix() for name in names if name.parts[0] != THIRD_PARTY)


def generate(job: Job, into: Path) -> None:
    """Writes a whole generated tree below `into`, which must exist and be empty; pages below its folder `pages`."""
    own = own_files(job.proto)
    if not own:
        sys.exit(f"{job.proto} has no .proto files")
    image = into / "image.binpb"
    vendored = job.proto / THIRD_PARTY
    folders = dict.fromkeys((job.proto, *INCLUDES, *((vendored,) if vendored.is_dir() else ())))
    includes = [f"-I{folder}" for folder in folders]
    compiler = (sys.executable, "-m", "grpc_tools.protoc")
    run(*compiler, *includes, "--include_imports", "--include_source_info", f"--descriptor_set_out={image}", *own)
    protoc = (*compiler, f"--descriptor_set_in={image}")
    if not job.is_ours:
        # First, because it says what is wrong with a contract, and other tools what they stumble over.
        _run_plugin(protoc, own, job, into)
    run(
        *protoc,
        f"--python_out={into}",
        f"--pyi_out={into}",
        f"--grpc_python_out={into}",
        f"--plugin=protoc-gen-mypy_grpc={tool('protoc-gen-mypy_grpc')}",
        f"--mypy_grpc_out=quiet,only_async:{into}",
        *own,
        *(GENERATED_THIRD_PARTY if job.is_ours else _vendored_files(vendored, image)),
    )
    if job.is_ours:
        _generate_client(protoc, own, into / "client")
        _run_plugin(protoc, own, job, into)
    image.unlink()
    _check_loads(job, own, into)
    (into / MARK).write_text(HEADER)


def _vendored_files(vendored: Path, image: Path) -> list[str]:
    """Return the files that the contract imports from its `third_party` and that we do not have: their classes are needed too."""
    known = INCLUDES
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
    return [
        one.name
        for one in files
        if (vendored / one.name).is_file() and not any((folder / one.name).is_file() for folder in known)
    ]


def _check_loads(job: Job, own: Sequence[str], into: Path) -> None:
    """Imports the generated modules once: an accepted contract must run. Ends the program when it does not."""
    stubs = [".".join(filter(None, (package, f"{module}_grpc"))) for package, module in map(pb2_module, own)]
    path = os.pathsep.join(map(str, (into, ROOT, *(() if job.is_ours else (GEN,)))))
    command = (sys.executable, "-c", _LOAD, f"{job.package}.routes", *stubs)
    result = subprocess.run(  # noqa: S603  # our own command and the names of modules that were just generated
        command, cwd=into, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    if result.returncode:
        *_, said = result.stderr.strip().splitlines() or [f"status {result.returncode}"]
        sys.exit(f"what was generated does not load: {said}")


def _run_plugin(protoc: Sequence[str], own: Sequence[str], job: Job, into: Path) -> None:
    plugin = into / "protoc-gen-samovar"
    # The plugin reads our options with the classes just generated, not with those of the last run.
    classes = os.pathsep.join(map(str, (into, *(() if job.is_ours else (GEN,)))))
    plugin.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(classes)} exec {shlex.quote(sys.executable)} -m codegen.plugin\n"
    )
    plugin.chmod(0o755)
    options = f"package={job.package},title={job.title},pages={PAGES}"
    run(*protoc, f"--plugin=protoc-gen-samovar={plugin}", f"--samovar_out={into}", f"--samovar_opt={options}", *own)
    plugin.unlink()


def _generate_client(protoc: Sequence[str], own: Sequence[str], client: Path) -> None:
    client.mkdir()
    run(
        *protoc,
        f"--plugin=protoc-gen-python_betterproto2={tool('protoc-gen-python_betterproto2')}",
        f"--python_betterproto2_out={client}",
        "--python_betterproto2_opt=client_generation=async",
        *own,
    )


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


def _stale_pages(docs: Path | None, pages: Path) -> list[Path]:
    """The pages that are not, in `docs`, what they should be."""
    if docs is None:
        return []
    fresh = {page: docs / page.name for page in sorted(pages.iterdir())}
    return [page for page, old in fresh.items() if not old.exists() or not filecmp.cmp(page, old, shallow=False)]


def _check_is_ours(out: Path) -> None:
    """Check that `out` is empty or generated, because its content is replaced. Ends the program when it is neither."""
    if out.exists() and any(out.iterdir()) and not ((out / MARK).exists() and (out / MARK).read_text() == HEADER):
        sys.exit(f"{out} holds something that was not generated; name an empty folder")


def work(job: Job, *, check: bool) -> None:
    """Generates, and replaces what is there, or (`check`) ends the program when that would change it."""
    _check_is_ours(job.out)
    with tempfile.TemporaryDirectory(prefix="samovar-gen-") as folder:
        fresh, pages = Path(folder) / "gen", Path(folder) / PAGES
        fresh.mkdir()
        generate(job, fresh)
        (fresh / PAGES).rename(pages)
        stale_pages = _stale_pages(job.docs, pages)
        if not check:
            _replace(job.out, fresh)
            for page in stale_pages:
                assert job.docs is not None  # noqa: S101  # no page is stale without it
                job.docs.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(page, job.docs / page.name)
            return
        stale = [f"{job.out.name}/{name}" for name in _differences(job.out, fresh)]
        stale += [f"docs/{page.name}" for page in stale_pages]
        if stale:
            sys.exit("not what the protos say; run `./taskw gen`:\n  " + "\n  ".join(stale))


def read_job(arguments: Sequence[str]) -> tuple[Job, bool]:
    """Return the job that a command line describes, and whether it is only to be checked."""
    parser = argparse.ArgumentParser(prog="codegen.generate", description="Generates code and documents from protos.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when something would change")
    parser.add_argument("--proto", type=Path, help="folder of a contract of your own; needs --out")
    parser.add_argument("--out", type=Path, help="folder for what is generated: an import root, replaced as a whole")
    parser.add_argument("--docs", type=Path, help="folder for pages such as errors.md; none without it")
    parser.add_argument("--package", default=DEFAULT_PACKAGE, help="Python package of routes and transcoders")
    parser.add_argument("--title", default=DEFAULT_TITLE, help="title of the OpenAPI and AsyncAPI documents")
    given = parser.parse_args(arguments)
    if (given.proto is None) != (given.out is None):
        parser.error("--proto and --out go together")
    if not given.package.isidentifier() or iskeyword(given.package) or "," in given.title:
        parser.error("--package is a Python name, and a title has no comma")
    if given.proto is None:
        return Job(), given.check
    if given.package == DEFAULT_PACKAGE or hides_module(given.package):
        parser.error(f"--package {given.package} is the name of a module that programs import; give one of your own")
    docs = given.docs.resolve() if given.docs else None
    return Job(given.proto.resolve(), given.out.resolve(), docs, given.package, given.title), given.check


def main() -> None:
    job, check = read_job(sys.argv[1:])
    work(job, check=check)


if __name__ == "__main__":
    main()
