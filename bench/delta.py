"""What an update costs by patches and by what others do, on real content: `./taskw bench:delta` (findings: docs/performance.md).

* Ours: the two versions are published, patches built by the service's own worker processes, the plan made by its own code: the
  bytes are those that a launcher fetches. Beside it the plan without patches.
* xdelta3, bsdiff and `zstd --patch-from`: each changed file from its old one; files that have none cost what their new chunks do.
* casync: both trees into a store; the chunks that the second adds.

Tools that are missing are named and left out. The last line is one JSON object. `--quick` takes a small made tree and proves that
all of it runs.
"""

import argparse
import asyncio
import filecmp
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.machine import ProgramFailed, run
from chassis.objects.directory_store import DirectoryStore
from depot import manifest as manifests
from depot.chunks import manifest_key
from depot.patches import PatchBinding, patch_key
from download_svc.patches.domain import OfferedPatch, PatchPair, pairs_between
from download_svc.patches.workers import WorkerPatchBuilder
from download_svc.updates.plans import VersionPlan, plan_versions
from download_svc.versions.manifests import Chunk, Entry, EntryType
from sandbox.demo import content as demo
from sandbox.publishing.publisher import Signer, Version, publish_tree

LOCKS = tuple(Path(__file__).with_name(f"delta_{name}.lock") for name in ("before", "after"))
PACKAGES = {"xdelta3": "xdelta3", "bsdiff": "bsdiff", "casync": "casync", "zstd": "zstd"}
"""Debian's packages of the tools."""
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions of a game on the disk."""

    name: str
    old: Path
    new: Path


@dataclass(frozen=True, slots=True)
class Result:
    """Of one way on one pair. Seconds of building and applying all patches, one after the other; None = not measured."""

    fetch_bytes: int
    patched_files: int = 0
    build_seconds: float | None = None
    apply_seconds: float | None = None
    apply_peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Ours:
    """Both plans, and the files that were paired."""

    by_chunks: Result
    by_patches: Result
    changed: Sequence[PatchPair]
    rest_bytes: int
    """What the files that are not paired cost by chunks."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that makes and applies a patch between two files: its name and two command lines."""

    name: str
    program: str
    make: Callable[[str, str, str], Sequence[str]]
    apply: Callable[[str, str, str], Sequence[str]]


TOOLS = (
    Tool(
        "xdelta3",
        "xdelta3",
        lambda old, new, patch: ("xdelta3", "-f", "-9", "-S", "lzma", "-B", "134217728", "-e", "-s", old, new, patch),
        lambda old, patch, out: ("xdelta3", "-f", "-B", "134217728", "-d", "-s", old, patch, out),
    ),
    Tool(
        "bsdiff",
        "bsdiff",
        lambda old, new, patch: ("bsdiff", old, new, patch),
        lambda old, patch, out: ("bspatch", old, out, patch),
    ),
    Tool(
        "zstd --patch-from",
        "zstd",
        lambda old, new, patch: ("zstd", "-qf", "-19", "--ultra", "--long=27", f"--patch-from={old}", new, "-o", patch),
        lambda old, patch, out: ("zstd", "-qf", "-d", "--long=27", f"--patch-from={old}", patch, "-o", out),
    ),
)


def real_pairs(cache: Path) -> Sequence[Pair]:
    """Engines as they were published. Raises: ContentMissing."""
    [panda, *_] = demo.fetch(cache)
    folders = [cache / f"pygame-ce-{version}" for version in ("2.5.1", "2.5.2")]
    if not all(folder.is_dir() for folder in folders):
        for lock in LOCKS:
            demo.download(lock, cache / "wheels")
        for folder in folders:
            version = folder.name.rpartition("-")[2]
            demo.unpack(next((cache / "wheels").glob(f"pygame_ce-{version}-*.whl")), folder)
    return (
        Pair(f"panda3d {panda.first.version} → {panda.next.version}", panda.first.folder, panda.next.folder),
        Pair("pygame-ce 2.5.1 → 2.5.2", *folders),
    )


def made_pair(folder: Path) -> Pair:
    """A small tree: two changed files, one new, one that stays."""
    dice = random.Random(11)
    old = {"engine.so": dice.randbytes(300_000), "level.pak": dice.randbytes(200_000), "same": dice.randbytes(5_000)}
    new = dict(old, more=dice.randbytes(20_000))
    for name in ("engine.so", "level.pak"):
        new[name] = b"".join(old[name][at : at + 8000] + b"ab" for at in range(0, len(old[name]), 8000))
    for version, files in (("old", old), ("new", new)):
        (folder / version).mkdir()
        for name, data in files.items():
            (folder / version / name).write_bytes(data)
    return Pair("made", folder / "old", folder / "new")


async def publish(store: DirectoryStore, tree: Path, product_id: UUID) -> Sequence[Entry]:
    """The tree's entries, its chunks in the store."""
    version = Version(product_id, uuid4(), content.PLATFORM_LINUX)
    signer = Signer("bench", Ed25519PrivateKey.generate())
    await publish_tree(tree, version, store=store, signer=signer, now=lambda: datetime.now(UTC))
    manifest = manifests.parse(await store.get(manifest_key(product_id, version.version_id)))
    return [_entry(one) for one in manifest.entries]


def _entry(one: content.Entry) -> Entry:
    if one.type != content.ENTRY_TYPE_FILE:
        return Entry(one.path, EntryType.DIRECTORY)
    chunks = tuple(Chunk(c.sha256, c.size_bytes, c.stored_sha256, c.stored_size_bytes) for c in one.chunks)
    return Entry(one.path, EntryType.FILE, one.size_bytes, one.sha256, one.mode, None, chunks)


async def measure_ours(pair: Pair, work: Path) -> Ours:
    """Builds what the service builds, plans as it plans, applies as the launcher applies."""
    store, product_id = DirectoryStore(work / "objects", "http://bench", "a key of the bench"), uuid4()
    old, new = await publish(store, pair.old, product_id), await publish(store, pair.new, product_id)
    builder = WorkerPatchBuilder(store)
    pairs = pairs_between(old, new, max_file_bytes=builder.max_file_bytes)
    offered: list[OfferedPatch] = []
    waiting, started = iter(pairs), time.monotonic()

    async def build() -> None:
        for one in waiting:
            staged = await builder.build(product_id, one)
            if staged is not None:
                sizes = one.old.size_bytes, one.key[1], staged.sha256, staged.size_bytes
                offered.append(OfferedPatch(one.relative_path, builder.algorithm, one.key[0], *sizes))

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(build())
    build_seconds = time.monotonic() - started
    plan, by_chunks = plan_versions(old, new, offered), plan_versions(old, new)
    patched = [one.patch for one in plan.files if one.patch]
    applied = await _apply_ours(pair, plan, store, product_id, work)
    paths = {one.relative_path for one in pairs}
    rest = [one for one in by_chunks.files if one.path not in paths]
    return Ours(
        Result(by_chunks.fetch_bytes),
        Result(plan.fetch_bytes, len(patched), build_seconds, *applied),
        pairs,
        sum(chunk.stored_size_bytes for one in rest for chunk in one.fetch),
    )


async def _apply_ours(
    pair: Pair, plan: VersionPlan, store: DirectoryStore, product_id: UUID, work: Path
) -> tuple[float, int]:
    root = work / "ours"
    root.mkdir()
    patched = [one for one in plan.files if one.patch]
    for number, one in enumerate(patched):
        assert one.patch is not None  # noqa: S101  # chosen so
        folder = root / f"{number:06}"
        folder.mkdir()
        await asyncio.to_thread(shutil.copyfile, pair.old / (one.from_path or one.path), folder / "base")
        (folder / "patch").write_bytes(await store.get(patch_key(product_id, one.patch.sha256)))
        binding = PatchBinding(
            one.patch.algorithm,
            one.patch.from_sha256,
            one.patch.from_size_bytes,
            one.patch.to_sha256,
            one.size_bytes,
            one.patch.sha256,
            one.patch.size_bytes,
        )
        kept = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(binding).items()}
        (folder / "binding.json").write_text(json.dumps(kept))
    cost = await run([sys.executable, "-m", "bench.delta_apply", str(root)], output=work / "ours.log")
    for number, one in enumerate(patched):
        if not filecmp.cmp(root / f"{number:06}" / "result", pair.new / one.path, shallow=False):
            raise ProgramFailed(f"our patch of {one.path} gives another file")
    return cost.wall_seconds, cost.peak_rss_bytes


async def measure_tool(tool: Tool, pair: Pair, ours: Ours, work: Path) -> Result:
    """One patch per file that ours pairs too; each applied and compared."""
    patch, out, log = work / "patch", work / "out", work / "tool.log"
    total = ours.rest_bytes
    build_seconds = apply_seconds = 0.0
    peak_bytes = 0
    for one in ours.changed:
        old, new = str(pair.old / one.old.path), str(pair.new / one.relative_path)
        build_seconds += (await run(tool.make(old, new, str(patch)), output=log)).wall_seconds
        cost = await run(tool.apply(old, str(patch), str(out)), output=log)
        if not filecmp.cmp(out, new, shallow=False):
            raise ProgramFailed(f"{tool.name} gives another file for {one.relative_path}")
        apply_seconds += cost.wall_seconds
        peak_bytes = max(peak_bytes, cost.peak_rss_bytes)
        total += patch.stat().st_size
        patch.unlink()
        out.unlink()
    return Result(total, len(ours.changed), build_seconds, apply_seconds, peak_bytes)


async def measure_casync(pair: Pair, work: Path) -> Result:
    """The chunks that the second tree adds to the store, as stored."""
    stores = [work / "casync-old", work / "casync-both"]

    def size(store: Path) -> int:
        return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())

    for store, trees in zip(stores, ((pair.old,), (pair.old, pair.new)), strict=True):
        for number, tree in enumerate(trees):
            index = work / f"{store.name}-{number}.caidx"
            await run(["casync", "make", f"--store={store}", str(index), str(tree)], output=work / "casync.log")
    return Result(size(stores[1]) - size(stores[0]))


async def measure(pair: Pair, work: Path) -> Mapping[str, Result]:
    """Every way that can be had here."""
    ours = await measure_ours(pair, work)
    results = {"patches": ours.by_patches, "chunks": ours.by_chunks}
    for tool in TOOLS:
        if shutil.which(tool.program):
            results[tool.name] = await measure_tool(tool, pair, ours, work)
    if shutil.which("casync"):
        results["casync"] = await measure_casync(pair, work)
    return results


def show(name: str, results: Mapping[str, Result]) -> None:
    """One table."""
    print(f"\n{name}")
    print(f"{'':20}{'MB fetched':>12}{'files':>8}{'build s':>10}{'apply s':>10}{'apply MB':>10}")
    for way, one in results.items():
        cells = [
            f"{one.fetch_bytes / 1e6:.2f}",
            str(one.patched_files or ""),
            "" if one.build_seconds is None else f"{one.build_seconds:.1f}",
            "" if one.apply_seconds is None else f"{one.apply_seconds:.2f}",
            "" if one.apply_peak_bytes is None else f"{one.apply_peak_bytes / 1e6:.0f}",
        ]
        widths = (12, 8, 10, 10, 10)
        print(f"{way:20}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))


async def bench(*, quick: bool) -> int:
    """Returns the exit status."""
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if missing:
        print(f"left out, as they are missing: {', '.join(missing)} (apt-get install {' '.join(missing)})")
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="samovar-delta-") as name:
        work = Path(name)
        try:
            pairs = [made_pair(work)] if quick else real_pairs(demo.default_cache())
            for number, pair in enumerate(pairs):
                own = work / str(number)
                await asyncio.to_thread(own.mkdir)
                results = await measure(pair, own)
                show(pair.name, results)
                found[pair.name] = {way: asdict(one) for way, one in results.items()}
                await asyncio.to_thread(shutil.rmtree, own)
        except (demo.ContentMissing, ProgramFailed) as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps({"missing": missing, "pairs": found}))
    return 0


def main() -> int:
    """Runs the command of the command line and returns the exit code."""
    parser = argparse.ArgumentParser(prog="bench.delta", description="Updates by patches beside other tools")
    parser.add_argument("--quick", action="store_true", help="a small made tree: proves that it runs")
    return asyncio.run(bench(quick=parser.parse_args().quick))


if __name__ == "__main__":
    sys.exit(main())
