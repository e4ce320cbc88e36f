"""Patches built by processes of their own, niced, with bounded memory and time: what a file does to one ends that one alone.
Content is read from the object store chunk by chunk and checked; a patch that the depot's own code has applied is stored.
"""

import asyncio
import hashlib
import sys
import tempfile
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from uuid import UUID

from chassis.errors import DomainError, Kind
from chassis.objects.object_store import ObjectStore
from depot.chunks import chunk_key, decompress
from depot.errors import ChunkCorrupt
from depot.patches import ALGORITHM, MAX_PATCHED_FILE_BYTES, patch_key
from download_svc.patches.domain import PatchPair, StagedPatch
from download_svc.versions.manifests import Entry

MEMORY_BYTES = 2 << 30
"""Of one worker, both files included: eight times the larger one at its limit, and the program."""
CPU_SECONDS = 240
WALL_SECONDS = 300
"""A worker that waits is ended too."""
MAX_WORD_BYTES = 4096
"""Of what a worker says at its end."""

_log = getLogger(__name__)


class WorkerPatchBuilder:
    """Builds each patch by one run of depot.patch_worker."""

    algorithm = ALGORITHM

    def __init__(
        self,
        objects: ObjectStore,
        *,
        max_file_bytes: int = MAX_PATCHED_FILE_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        wall_seconds: float = WALL_SECONDS,
    ) -> None:
        self._objects = objects
        self._memory_bytes = memory_bytes
        self._wall_seconds = wall_seconds
        self.max_file_bytes = min(max_file_bytes, MAX_PATCHED_FILE_BYTES)

    async def build(self, product_id: UUID, pair: PatchPair) -> StagedPatch | None:
        with tempfile.TemporaryDirectory(prefix="samovar-patch-") as name:
            folder = Path(name)
            base, new, patch = folder / "base", folder / "new", folder / "patch"
            await self._fetch(product_id, pair.old, base)
            await self._fetch(product_id, pair.new, new)
            if not await self._run(base, new, patch):
                return None
            size_bytes = patch.stat().st_size
            if size_bytes > pair.max_patch_bytes:
                return None
            sha256 = await asyncio.to_thread(lambda: hashlib.sha256(patch.read_bytes()).digest())
            key = patch_key(product_id, sha256)
            await self._objects.put(key, patch)
            return StagedPatch(sha256, size_bytes, key)

    async def _fetch(self, product_id: UUID, entry: Entry, into: Path) -> None:
        """Raises: SERVICE_UNAVAILABLE: a chunk cannot be read now, or is not what was published."""
        digest = hashlib.sha256()
        with into.open("wb") as file:
            for chunk in entry.chunks:
                try:
                    stored = await self._objects.get(chunk_key(product_id, chunk.sha256))
                    data = await asyncio.to_thread(
                        decompress,
                        stored,
                        size_bytes=chunk.size_bytes,
                        sha256=chunk.sha256,
                        stored_sha256=chunk.stored_sha256,
                    )
                except DomainError as error:
                    if error.kind is not Kind.NOT_FOUND and not isinstance(error, ChunkCorrupt):
                        raise
                    _log.error("a published chunk is missing or damaged", extra={"chunk_sha256": chunk.sha256.hex()})
                    raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE") from error
                await asyncio.to_thread(file.write, data)
                digest.update(data)
        if digest.digest() != entry.sha256:
            _log.error("a published file's chunks are not the file", extra={"path": entry.path})
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")

    async def _run(self, base: Path, new: Path, patch: Path) -> bool:
        """Return True when the worker created a patch that gives the new file."""
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "depot.patch_worker",
            *map(str, (base, new, patch, self._memory_bytes, CPU_SECONDS)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._wall_seconds):
                _, said = await worker.communicate()
        except TimeoutError:
            said = b"it took too long"
        finally:
            if worker.returncode is None:
                with suppress(ProcessLookupError):
                    worker.kill()
                await worker.wait()
        if worker.returncode != 0:
            word = said[-MAX_WORD_BYTES:].decode(errors="replace").strip()
            _log.warning("no patch was built", extra={"exit_status": worker.returncode, "reason": word})
        return worker.returncode == 0
