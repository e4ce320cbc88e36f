"""What delivery costs, measured on the whole platform: `./taskw bench:delivery` (docs/performance.md explains the figures).

* Installs by `samovar install` beside downloads by `aria2c -x16 -j16` of the same stored chunk objects from the same nginx, in
  pairs that take turns. The whole process counts on both sides.
* Chunking and publishing speed.
* `POST /downloads` and `/links` at a steady rate, and how long a progress report takes to a WebSocket.
* How long starting a version of very many files takes.

aria2c leaves undone what the launcher does in its time: asking the server for a session and signed links, checking each object
and file against the signed manifest, decompressing, building the tree, fsync, reporting progress. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import uvloop

from bench import origin, service_load
from bench.machine import Cost, ProgramFailed, run
from depot import manifest as depot_manifest
from depot.chunks import chunk_key, manifest_key
from sandbox.demo.scene import CommandLine, DemoFailed, Gateway, digests, until
from sandbox.devstack import platform
from sandbox.devstack.embedded import EmbeddedServerError
from sandbox.devstack.free_port import free_port
from sandbox.devstack.platform_config import PlatformError, Ports
from sandbox.publishing import packing
from sandbox.publishing.tree import scan

GIB = 1 << 30
MEGABYTE = 1_000_000
SAMOVAR = str(Path(sys.executable).with_name("samovar"))
ARIA2C_OPTIONS = (
    "-x16",
    "-j16",
    "--no-conf=true",
    "--quiet=true",
    "--file-allocation=none",
    "--auto-file-renaming=false",
)
"""Without file allocation, which would only slow it down here."""
NO_LIMITS = {"RATE_LIMIT_READS": "1000000", "RATE_LIMIT_WRITES": "1000000"}
MANY_FILES_CONTENTS = 100
MANY_FILES_STARTS = 3
SEED = 20_481
COMPARED = ("large", "small")
PARTS = (*COMPARED, "many", "load")


@dataclass(frozen=True, slots=True)
class Content:
    """A tree to publish: so many files, sizes between two bounds, bytes that do not compress."""

    name: str
    files: int
    min_bytes: int
    max_bytes: int

    def make(self, folder: Path) -> Path:
        chance = random.Random(SEED)
        for number in range(self.files):
            path = folder / self.name / f"{number // 1000:03}" / f"{number:06}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            left_bytes = chance.randint(self.min_bytes, self.max_bytes)
            with path.open("wb") as file:
                while left_bytes > 0:
                    left_bytes -= file.write(chance.randbytes(min(left_bytes, 1 << 20)))
        return folder / self.name


@dataclass(slots=True)
class Published:
    """A version on the platform, and what it took to get it there."""

    product_id: str
    version_id: str
    source: Path
    total_bytes: int
    stored_bytes: int
    chunk_ids: Sequence[str]
    publish_mb_s: float


@dataclass(slots=True)
class Scene:
    """Where everything plays."""

    work: Path
    line: CommandLine
    up: platform.Running
    gateway: Gateway
    user: Mapping[str, str]

    @property
    def environment(self) -> Mapping[str, str]:
        return {"SAMOVAR_HOME": str(self.up.home.root), "SAMOVAR_CONFIG_HOME": str(self.work / "config")}


@dataclass(slots=True)
class Pairs:
    """The costs of both sides, round by round."""

    launcher: list[Cost] = field(default_factory=list)
    aria2c: list[Cost] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the launcher's throughput to aria2c's: the median of the rounds' own ratios."""
        pairs = zip(self.launcher, self.aria2c, strict=True)
        return statistics.median(theirs.wall_seconds / ours.wall_seconds for ours, theirs in pairs)

    def figures(self, version: Published) -> Mapping[str, Any]:
        return {
            "ratio": round(self.ratio, 3),
            "ratio_of_best": round(
                min(cost.wall_seconds for cost in self.aria2c) / min(cost.wall_seconds for cost in self.launcher), 3
            ),
            "launcher": _figures(self.launcher, version.total_bytes),
            "aria2c": _figures(self.aria2c, version.stored_bytes),
        }


def _figures(costs: Sequence[Cost], size_bytes: int) -> Mapping[str, float]:
    best = min(cost.wall_seconds for cost in costs)
    return {
        "wall_seconds_min": round(best, 3),
        "wall_seconds_median": round(statistics.median(cost.wall_seconds for cost in costs), 3),
        "mb_s_best": round(size_bytes / best / MEGABYTE, 1),
        "cpu_seconds_per_gib": round(statistics.median(cost.cpu_seconds for cost in costs) / size_bytes * GIB, 2),
        "peak_rss_mb": round(max(cost.peak_rss_bytes for cost in costs) / MEGABYTE, 1),
        "peak_pss_mb": round(max(cost.peak_pss_bytes for cost in costs) / MEGABYTE, 1),
    }


async def publish(scene: Scene, source: Path, name: str) -> Published:
    """Publishes a tree and has the user buy it; returns when it can be downloaded."""
    began = time.perf_counter()
    said = await scene.line.run(
        "publish", str(source), "--product", name, "--version", "1", "--platform", "linux", "--json"
    )
    took = time.perf_counter() - began
    told = json.loads(said.strip().splitlines()[-1])
    product_id, version_id = told["product_id"], told["version_id"]
    stored_manifest = (scene.up.home.objects / manifest_key(product_id, version_id)).read_bytes()
    manifest = await asyncio.to_thread(depot_manifest.parse, stored_manifest)
    chunks = {chunk.sha256: chunk.stored_size_bytes for entry in manifest.entries for chunk in entry.chunks}
    await scene.line.run("sandbox", "buy", scene.user["user_id"], product_id)

    async def is_known() -> bool:
        try:
            versions = await scene.gateway.get(f"/api/v1/download-client/versions?product_id={product_id}")
        except DemoFailed:
            return False  # no version of the product is known yet
        return version_id in [version["id"] for version in versions] and product_id in await scene.gateway.library()

    await until(f"the version of {name} is not known", is_known)
    total_bytes = depot_manifest.total_size_bytes(manifest)
    return Published(
        product_id,
        version_id,
        source,
        total_bytes,
        sum(chunks.values()),
        [sha256.hex() for sha256 in chunks],
        round(total_bytes / took / MEGABYTE, 3),
    )


async def compare(scene: Scene, version: Published, cdn: str, aria2c: str, rounds: int) -> Pairs:
    """Installs and downloads in turns. Each run begins with an empty folder and no dirty pages of the one before."""
    pairs = Pairs()
    links = scene.work / "aria2c.txt"
    product_id = UUID(version.product_id)
    urls = [f"{cdn}/{chunk_key(product_id, bytes.fromhex(chunk_id))}" for chunk_id in version.chunk_ids]
    await asyncio.to_thread(links.write_text, "\n".join(urls) + "\n")

    async def ours() -> None:
        folder = scene.work / "installed"
        command = [SAMOVAR, "install", version.product_id, "--to", str(folder), "--json"]
        pairs.launcher.append(await _fresh(command, scene))
        if len(pairs.launcher) == 1:
            await asyncio.to_thread(_check_same, version.source, folder)
        await asyncio.to_thread(shutil.rmtree, folder)

    async def theirs() -> None:
        folder = scene.work / "fetched"
        command = [aria2c, *ARIA2C_OPTIONS, "-d", str(folder), "-i", str(links)]
        pairs.aria2c.append(await _fresh(command, scene))
        if len(pairs.aria2c) == 1:
            await asyncio.to_thread(_check_complete, folder, version)
        await asyncio.to_thread(shutil.rmtree, folder)

    for number in range(rounds):
        for side in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            await side()
        print(
            f"  round {number + 1}: launcher {pairs.launcher[-1].wall_seconds:.2f} s, "
            f"aria2c {pairs.aria2c[-1].wall_seconds:.2f} s",
            flush=True,
        )
    return pairs


async def _fresh(command: Sequence[str], scene: Scene) -> Cost:
    await asyncio.to_thread(os.sync)
    return await run(command, output=scene.work / "output.txt", environment=scene.environment)


def _check_same(source: Path, installed: Path) -> None:
    found = {name: digest for name, digest in digests(installed).items() if not name.startswith(".samovar")}
    if found != digests(source):
        raise DemoFailed("what was installed is not what was published")


def _check_complete(folder: Path, version: Published) -> None:
    fetched_bytes = sum(path.stat().st_size for path in folder.iterdir())
    if fetched_bytes != version.stored_bytes:
        raise DemoFailed(f"aria2c fetched {fetched_bytes} bytes instead of {version.stored_bytes}")


def chunking_mb_s(source: Path) -> float:
    """Cutting and hashing alone, one thread: what publishing cannot be faster than on one core."""
    nodes = [node for node in scan(source) if node.stamp is not None]
    began = time.perf_counter()
    size_bytes = 0
    for node in nodes:
        file = packing.LargeFile(source, node)
        while (data := file.next_piece()) is not None:
            size_bytes += len(packing.piece_of(data).data)
        file.close()
    return round(size_bytes / (time.perf_counter() - began) / MEGABYTE, 1)


def make_many_files(folder: Path, count: int) -> Path:
    """Very many small files of few contents: what counts is their number."""
    root = folder / "many"
    for number in range(count):
        path = root / f"{number // 1000:03}" / f"{number:06}.txt"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"content {number % MANY_FILES_CONTENTS}\n")
    return root


async def many_files_start_seconds(scene: Scene, version: Published) -> Sequence[float]:
    """How long POST /downloads of the version takes, each for a device of its own."""
    seconds = []
    async with aiohttp.ClientSession() as http:
        for _ in range(MANY_FILES_STARTS):
            began = time.perf_counter()
            started = await service_load.start(
                http, scene.up.ready["gateway_url"], scene.user["token"], version.product_id, str(uuid4())
            )
            seconds.append(round(time.perf_counter() - began, 3))
            await service_load.cancel(http, scene.up.ready["gateway_url"], scene.user["token"], started)
    return seconds


async def measure(options: argparse.Namespace, work: Path, nginx: str | None, aria2c: str | None) -> Mapping[str, Any]:
    port = free_port()
    providers = json.dumps(
        [{"name": "nginx", "base_url": f"http://127.0.0.1:{port}/cdn", "region": "local", "weight": 1}]
    )
    overrides = {"gateway": NO_LIMITS, "download": {"CDN_PROVIDERS": providers}}
    with (work / "platform.log").open("w") as log:

        def write(name: str, text: str) -> None:
            log.write(f"{name:>10} {text}\n")

        async with (
            platform.running(work / "home", Ports.choose({}, free=True), write, overrides) as up,
            aiohttp.ClientSession() as http,
        ):
            user = up.ready["users"][0]
            line = CommandLine(up.home.root, work / "config")
            await line.run("login", "--gateway", up.ready["gateway_url"], token=user["token"])
            scene = Scene(work, line, up, Gateway(up.ready["gateway_url"], user["token"], http), user)
            figures: dict[str, Any] = {}
            if nginx is not None and aria2c is not None:
                async with origin.serving(nginx, up.home.objects, work / "nginx", port) as cdn:
                    figures |= await _measure_installs(scene, options, cdn, aria2c)
            if "many" in options.only and options.many_files:
                figures["many_files"] = await _measure_many_files(scene, options.many_files)
            if "load" in options.only and options.load_seconds:
                figures |= await _measure_load(scene, options)
            return figures


async def _measure_installs(scene: Scene, options: argparse.Namespace, cdn: str, aria2c: str) -> Mapping[str, Any]:
    figures: dict[str, Any] = {}
    memory_bytes = 0
    small_bytes = (options.small_min_kib * 1024, options.small_max_kib * 1024)
    large_bytes = options.large_mib << 20
    for content in (
        Content("large", options.large_files, large_bytes, large_bytes),
        Content("small", options.small_files, *small_bytes),
    ):
        if content.name not in options.only:
            continue
        source = await asyncio.to_thread(content.make, scene.work)
        version = await publish(scene, source, f"bench-{content.name}")
        size = f"{version.total_bytes / MEGABYTE:.1f} MB in {content.files} files, {len(version.chunk_ids)} objects"
        print(f"{content.name}: {size}", flush=True)
        pairs = await compare(scene, version, cdn, aria2c, options.rounds)
        figures[content.name] = {
            "files": content.files,
            "mb": round(version.total_bytes / MEGABYTE, 1),
            "objects": len(version.chunk_ids),
            "publish_mb_s": version.publish_mb_s,
            **pairs.figures(version),
        }
        figures[f"{content.name}_ratio_aria2c"] = round(pairs.ratio, 3)
        memory_bytes = max(memory_bytes, *(cost.peak_rss_bytes for cost in pairs.launcher))
        if content.name == "large":
            figures["chunking_mb_s"] = await asyncio.to_thread(chunking_mb_s, source)
        await asyncio.to_thread(shutil.rmtree, source)
    figures["memory_mb"] = round(memory_bytes / MEGABYTE, 1)
    return figures


async def _measure_many_files(scene: Scene, count: int) -> Mapping[str, Any]:
    source = await asyncio.to_thread(make_many_files, scene.work, count)
    version = await publish(scene, source, "bench-many")
    starts = await many_files_start_seconds(scene, version)
    print(f"start of {count} files: {starts} s", flush=True)
    return {"files": count, "start_seconds": starts}


async def _measure_load(scene: Scene, options: argparse.Namespace) -> Mapping[str, Any]:
    source = await asyncio.to_thread(Content("load", 100, 16_384, 16_384).make, scene.work)
    version = await publish(scene, source, "bench-load")
    load = service_load.Load(options.load_rate, options.load_seconds, options.live_sessions)
    return await service_load.measure(scene.up, version.product_id, version.chunk_ids, load)


def read_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./taskw bench:delivery --", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}; all of them")
    add("--rounds", type=int, default=5, help="pairs of runs on each content")
    add("--large-files", type=int, default=4)
    add("--large-mib", type=int, default=256, help="size of each large file")
    add("--small-files", type=int, default=20_000)
    add("--small-min-kib", type=int, default=8)
    add("--small-max-kib", type=int, default=64)
    add("--many-files", type=int, default=100_000, help="files of the version whose start is timed; 0 = none")
    add("--load-rate", type=int, default=100, help="requests a second")
    add("--load-seconds", type=float, default=10.0, help="of each kind of load, after 2 that warm up; 0 = none")
    add("--live-sessions", type=int, default=200, help="sessions that report once a second")
    add("--keep", action="store_true", help="leave the work folder")
    return parser.parse_args(words)


def main() -> None:
    options = read_options()
    nginx, aria2c = origin.find_nginx(), shutil.which("aria2c")
    if not {*COMPARED} & {*options.only}:
        nginx = aria2c = None
    elif nginx is None or aria2c is None:
        print(
            "bench: nginx and aria2c are needed; on Debian: apt-get install --no-install-recommends nginx-light aria2",
            file=sys.stderr,
        )
        sys.exit(2)
    work = Path(tempfile.mkdtemp(prefix="samovar-bench-"))
    try:
        figures = uvloop.run(measure(options, work, nginx, aria2c))
    except (
        DemoFailed,
        ProgramFailed,
        EmbeddedServerError,
        PlatformError,
        origin.OriginFailed,
        BaseExceptionGroup,
    ) as error:
        print(f"bench: {error}; the platform's log is in {work}", file=sys.stderr)
        sys.exit(1)
    if not options.keep:
        shutil.rmtree(work)
    print(json.dumps({"bench": "delivery", "cpus": os.cpu_count(), "python": sys.version.split()[0], **figures}))


if __name__ == "__main__":
    main()
