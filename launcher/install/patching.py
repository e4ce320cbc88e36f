"""Builds files from the version in place and a binary patch: chosen by the server's plan, fetched, applied to what really lies on
the disk, and written chunk by chunk into the staged files. Between what the disk has and what is fetched by chunks; used by
launcher.install.installation.

Whatever is wrong with a patch (it is gone, came wrong, the base is another file, the result is not the file) costs that file its
patch and nothing else: its chunks are fetched, once. A kill at any point costs at most the patches at hand, as the journal has
every chunk that was written.
"""

import asyncio
import hashlib
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from depot import patches
from depot.patches import PatchBinding, PatchInvalid
from launcher.api.download_client import Api
from launcher.api.resources import Candidate, PatchOffer
from launcher.cdn.cdn import SLOW_BYTES, STALL_SECONDS, Cdn, DeliveryError, LinkRefusedError
from launcher.disk.folder import Walker
from launcher.disk.plan import Plan, PlannedChunk, PlannedFile
from launcher.disk.scan import Found
from launcher.disk.workspace import Workspace
from launcher.disk.writer import Writer
from launcher.failures import ExitCode, LauncherError
from launcher.install.links import LinkCache
from launcher.install.pipeline import MAX_LOOKS, QUICK_STALL_SECONDS, Threads, missing_chunks
from launcher.install.progress import Ledger

PARALLEL_PATCHES = 4
"""Fetched at once; one at a time is applied, so that the memory is that of one pair of files and these patches."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to be patched: `file` of the plan, from the file at `base_path`."""

    file: PlannedFile
    base_path: str
    binding: PatchBinding

    @property
    def object(self) -> PlannedChunk:
        """The patch as the object for which links are requested."""
        one = self.binding
        return PlannedChunk(one.sha256, one.size_bytes, one.sha256, one.size_bytes, ())


def choose(plan: Plan, previous: Sequence[Plan], offers: Sequence[PatchOffer]) -> Sequence[Job]:
    """Return the offers that fit: the result is the manifest's file, the base a file of a tree in place, all within the limits."""
    wanted = {file.path: file for file in plan.files.values()}
    there = {(file.path, file.sha256, file.size_bytes) for tree in previous for file in tree.files.values()}
    jobs: dict[str, Job] = {}
    for offer in offers:
        file = wanted.get(offer.path)
        if file is None or file.sha256 != offer.to_sha256:
            continue
        if (offer.from_path, offer.from_sha256, offer.from_size_bytes) not in there:
            continue
        binding = PatchBinding(
            offer.algorithm,
            offer.from_sha256,
            offer.from_size_bytes,
            file.sha256,
            file.size_bytes,
            offer.sha256,
            offer.size_bytes,
        )
        try:
            patches.check_binding(binding)
        except PatchInvalid:
            continue  # of a newer kind, or for files that are too large for this client
        jobs[file.path] = Job(file, offer.from_path, binding)
    return list(jobs.values())


async def offers_of(api: Api, session_id: UUID, plan: Plan, found: Found) -> Sequence[PatchOffer]:
    """Return the patches in the session's plan; none when the plan cannot be fetched, because chunks need no plan."""
    if not missing_chunks(plan, found):
        return ()
    try:
        return await api.patches(session_id)
    except LauncherError:
        return ()  # if it is the gateway or the session, the next call meets it again


class Patcher:
    """Patches the files of one installation."""

    def __init__(
        self,
        *,
        api: Api,
        session_id: UUID,
        plan: Plan,
        found: Found,
        jobs: Sequence[Job],
        workspace: Workspace,
        writer: Writer,
        ledger: Ledger,
        cdn: Cdn,
        threads: Threads,
        may_fetch: asyncio.Event,
        look: Callable[[], Awaitable[None]],
    ) -> None:
        self._found = found
        self._missing = {chunk.sha256: chunk for chunk in missing_chunks(plan, found)}
        self._jobs = deque(jobs)
        self._links = LinkCache(api, session_id, [job.object for job in jobs])
        self._workspace = workspace
        self._writer = writer
        self._ledger = ledger
        self._cdn = cdn
        self._threads = threads
        self._may_fetch = may_fetch
        self._look = look
        self._applying = asyncio.Lock()

    async def run(self) -> None:
        """Returns when every patch is applied or abandoned.

        Raises:
            ExceptionGroup of LauncherError: the disk refuses, access ended, the session ended.
        """
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(PARALLEL_PATCHES, len(self._jobs))):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            if self._lacking_bytes(job) <= job.binding.size_bytes:
                continue  # an earlier run, or another patch, has brought most of it
            try:
                stored = await self._fetch(job)
                async with self._applying:
                    written = await self._threads.run(partial(self._apply, job, stored))
            except PatchInvalid as invalid:
                self._ledger.patch_failed(job.file, invalid.description)
            else:
                self._ledger.patched(written)
            finally:
                self._links.done(job.object)

    def _lacking_bytes(self, job: Job) -> int:
        """Return the number of bytes that the file's missing chunks would cost now."""
        lacking = (self._missing.get(sha256) for sha256 in {ref.sha256 for ref in job.file.chunks})
        return sum(chunk.stored_size_bytes for chunk in lacking if chunk)

    async def _fetch(self, job: Job) -> bytearray:
        """Return the exact bytes of the patch; tries each CDN once, with a link renewed once.

        Raises:
            PatchInvalid: no CDN has them.
            LauncherError: access ended, the session ended, or the server is unavailable.
        """
        failed: set[str] = set()
        is_renewed = False
        failure = "there is no candidate"
        while True:
            left = [one for one in await self._candidates(job) if one.provider not in failed]
            if not left:
                raise PatchInvalid(f"the patch could not be fetched: {failure}")
            candidate, started = left[0], time.monotonic()
            try:
                stored = await self._cdn.get(
                    candidate.url,
                    size_bytes=job.binding.size_bytes,
                    stall_seconds=STALL_SECONDS if len(left) == 1 else QUICK_STALL_SECONDS,
                    slow_bytes=1 if len(left) == 1 else SLOW_BYTES,
                )
            except LinkRefusedError as refusal:
                self._links.refused(job.object)
                failure = str(refusal)
                if not is_renewed:
                    is_renewed = True
                    continue
            except DeliveryError as error:
                failure = str(error)
            else:
                self._ledger.delivered(candidate.provider, len(stored), time.monotonic() - started)
                digest = await self._threads.run(partial(hashlib.sha256, stored))
                if digest.digest() == job.binding.sha256:
                    return stored
                failure = "it came corrupt"
            failed.add(candidate.provider)
            self._ledger.delivered(candidate.provider, 0, time.monotonic() - started, errors=1)

    async def _candidates(self, job: Job) -> Sequence[Candidate]:
        """Return the links, once the session may fetch."""
        for _ in range(MAX_LOOKS):
            await self._may_fetch.wait()
            try:
                return await self._links.candidates(job.object)
            except LauncherError as refusal:
                if refusal.code == "FILE_NOT_FOUND":
                    raise PatchInvalid("the patch is no longer offered") from None
                if refusal.code != "INVALID_STATE_TRANSITION":
                    raise
            await self._look()
        message = "the server gives no links though the download may run"
        raise LauncherError("CDN_LINK_GENERATION_FAILED", message, ExitCode.NETWORK)

    def _apply(self, job: Job, stored: bytearray) -> Sequence[PlannedChunk]:
        """Patches the file and writes what it lacked of its chunks, wherever else they go too. Blocks.

        Raises:
            PatchInvalid: nothing was written.
            LauncherError: the disk refuses to write.
        """
        base = self._read_base(job)
        new = memoryview(patches.apply(base, stored, job.binding))
        del base
        written: list[PlannedChunk] = []
        for ref in job.file.chunks:
            chunk = self._missing.get(ref.sha256)
            if chunk is None:
                continue
            data = bytes(new[ref.offset : ref.offset + ref.size_bytes])
            # The file as a whole is right, so its chunks are, unless the publisher's own manifest contradicts itself: then other
            # files do not suffer for it.
            if len(job.file.chunks) > 1 and hashlib.sha256(data).digest() != ref.sha256:
                continue
            self._writer.keep(chunk, data)
            del self._missing[ref.sha256]
            for place in chunk.places:
                self._found.chunks.setdefault(place.file, set()).add(place.chunk)
            written.append(chunk)
        return written

    def _read_base(self, job: Job) -> bytes:
        """Return the bytes of the base file, if it has the expected size; it is hashed before it is used."""
        walker = Walker(self._workspace.root)
        try:
            parent, name = walker.parent_of(job.base_path)
            if parent is None:
                raise PatchInvalid("the file of the version before is missing")
            descriptor = parent.open_file(name, os.O_RDONLY)
            with os.fdopen(descriptor, "rb") as file:
                if os.fstat(descriptor).st_size != job.binding.from_size_bytes:
                    raise PatchInvalid("the file of the version before is of another size")
                return file.read(job.binding.from_size_bytes + 1)
        except OSError as error:
            raise PatchInvalid(f"the file of the version before cannot be read: {error.strerror}") from None
        finally:
            walker.close()
