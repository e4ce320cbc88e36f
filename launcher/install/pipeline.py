"""Fetches, checks and writes everything that an installation lacks: workers that each carry one chunk from link to journal, and
threads that take what many workers bring in one hop. Used by launcher.install.installation.

At any moment at most `parallel` chunks are on their way: that is all that a kill can cost.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from depot.errors import ChunkCorrupt
from launcher.api.backoff import FIRST_DELAY_SECONDS, delay_seconds
from launcher.api.resources import Candidate
from launcher.api.rest import OUTAGE_SECONDS
from launcher.cdn.cdn import (
    SLOW_BYTES,
    STALL_SECONDS,
    Cdn,
    DeliveryError,
    LinkRefusedError,
    Providers,
    WrongLengthError,
)
from launcher.disk.plan import Plan, PlannedChunk, PlannedFile
from launcher.disk.scan import Found
from launcher.disk.writer import Writer
from launcher.failures import ExitCode, LauncherError
from launcher.install.links import LinkCache
from launcher.install.progress import Ledger

MAX_TRIES = 8
QUICK_STALL_SECONDS = 1.8
"""A CDN may be silent for so long while another can be asked: clients leave a dead one within 2 s."""
MAX_LOOKS = 100
"""Times that a session may lose its slot while one chunk waits for links."""
STORE_THREADS = 2
SETTLE_THREADS = 2
MAX_STORE_BATCH_CHUNKS = 64
MAX_STORE_BATCH_BYTES = 8 << 20
MAX_SETTLE_BATCH_FILES = 2048
MAX_SETTLE_BATCH_BYTES = 128 << 20

_T = TypeVar("_T")


KEEP_ALIVE_SECONDS = 60.0
"""Much less than a server waits for a report (DOWNLOAD_SESSION_TIMEOUT_SECONDS)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The retry limits: the tries of a chunk over all its candidates, the first delay (doubling), the time that a gateway may be
    unavailable, and the interval of keep-alive reports while the client scans the disk.
    """

    max_tries: int = MAX_TRIES
    first_delay_seconds: float = FIRST_DELAY_SECONDS
    outage_seconds: float = OUTAGE_SECONDS
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS


class Threads:
    """The threads for work that would block the loop. Exits only when none of them is working: then files may be closed."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


@asynccontextmanager
async def open_threads() -> AsyncIterator[Threads]:
    """Open as many threads as the stages of a pipeline use at once."""
    pool = ThreadPoolExecutor(STORE_THREADS + SETTLE_THREADS, thread_name_prefix="samovar")
    try:
        yield Threads(pool)
    finally:
        try:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        except asyncio.CancelledError:
            pool.shutdown(wait=True)  # blocks, which is better than to close the folder under a thread that writes
            raise


@dataclass(frozen=True, slots=True)
class _Delivery:
    chunk: PlannedChunk
    stored: bytearray
    outcome: "asyncio.Future[ChunkCorrupt | None]"


class Pipeline:
    """One installation's way from the CDN to staged, checked, durable files."""

    def __init__(
        self,
        *,
        found: Found,
        missing: Sequence[PlannedChunk],
        paths: Mapping[int, str],
        ledger: Ledger,
        links: LinkCache,
        cdn: Cdn,
        writer: Writer,
        threads: Threads,
        may_fetch: asyncio.Event,
        look: Callable[[], Awaitable[None]],
        parallel: int,
        patience: Patience,
    ) -> None:
        self._found = found
        self._ledger = ledger
        self._links = links
        self._cdn = cdn
        self._writer = writer
        self._threads = threads
        self._may_fetch = may_fetch
        self._look = look
        self._parallel = parallel
        self._patience = patience
        self._providers = Providers()
        self._paths = paths
        self._waiting = deque(missing)
        self._deliveries: asyncio.Queue[_Delivery] = asyncio.Queue()
        self._whole: asyncio.Queue[PlannedFile] = asyncio.Queue()

    async def run(self) -> None:
        """Returns when every file is staged, right and durable.

        Raises:
            ExceptionGroup of LauncherError: a chunk failed at every try, the disk refuses, access ended.
        """
        for file in self._ledger.whole_files(self._found):
            self._whole.put_nowait(file)
        async with asyncio.TaskGroup() as helpers:
            running = [
                helpers.create_task(self._links.keep_ahead()),
                *(helpers.create_task(self._store()) for _ in range(STORE_THREADS)),
                *(helpers.create_task(self._settle()) for _ in range(SETTLE_THREADS)),
            ]
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self._parallel, len(self._waiting))):
                    workers.create_task(self._work())
            await self._whole.join()
            for task in running:
                task.cancel()

    async def _work(self) -> None:
        while self._waiting:
            chunk = self._waiting.popleft()
            await self._obtain(chunk)
            self._links.done(chunk)

    async def _obtain(self, chunk: PlannedChunk) -> None:
        """Fetch the chunk until it is written, from all its candidates, within the limits of `Patience`."""
        failed: dict[str, int] = {}
        failure = _undelivered("there is no candidate")
        for attempt in range(self._patience.max_tries):
            candidates = await self._candidates(chunk)
            candidate = self._providers.choose(candidates, failed)
            if candidate.provider in failed:
                # All candidates have failed for this chunk by now: there is no need to hurry.
                await asyncio.sleep(delay_seconds(attempt + 1, first_delay_seconds=self._patience.first_delay_seconds))
            # While there is another candidate a silent or trickling one is not waited for.
            is_last_hope = len(failed) >= len(candidates) - 1
            started = time.monotonic()
            try:
                stored = await self._cdn.get(
                    candidate.url,
                    size_bytes=chunk.stored_size_bytes,
                    stall_seconds=STALL_SECONDS if is_last_hope else QUICK_STALL_SECONDS,
                    slow_bytes=1 if is_last_hope else SLOW_BYTES,
                )
                self._ledger.delivered(candidate.provider, len(stored), time.monotonic() - started)
                corrupt = await self._deliver(chunk, stored)
                if corrupt is None:
                    self._stored(chunk, candidate.provider)
                    return
                failure = _corrupt(corrupt.description)
            except LinkRefusedError as refusal:
                self._links.refused(chunk)
                failure = _undelivered(str(refusal))
                if attempt == 0:
                    continue  # most likely it expired: not a failure of the CDN
            except WrongLengthError as wrong:
                failure = _corrupt(str(wrong))
            except DeliveryError as error:
                failure = _undelivered(str(error))
            self._providers.failed(candidate.provider)
            failed[candidate.provider] = failed.get(candidate.provider, 0) + 1
            self._ledger.delivered(candidate.provider, 0, time.monotonic() - started, errors=1)
        failure.file = self._paths[chunk.places[0].file]
        raise failure

    async def _candidates(self, chunk: PlannedChunk) -> Sequence[Candidate]:
        """Return the links, once the session may fetch. If it may have lost its slot since the last report, the server is asked."""
        for _ in range(MAX_LOOKS):
            await self._may_fetch.wait()
            try:
                return await self._links.candidates(chunk)
            except LauncherError as refusal:
                if refusal.code != "INVALID_STATE_TRANSITION":
                    raise
            await self._look()
        message = "the server gives no links though the download may run"
        raise LauncherError("CDN_LINK_GENERATION_FAILED", message, ExitCode.NETWORK)

    def _stored(self, chunk: PlannedChunk, provider: str) -> None:
        self._providers.worked(provider)
        for file in self._ledger.chunk_stored(chunk, provider):
            self._whole.put_nowait(file)

    async def _deliver(self, chunk: PlannedChunk, stored: bytearray) -> ChunkCorrupt | None:
        delivery = _Delivery(chunk, stored, asyncio.get_running_loop().create_future())
        self._deliveries.put_nowait(delivery)
        return await delivery.outcome

    async def _store(self) -> None:
        """Takes what the workers brought in the meantime in one hop to a thread."""
        while True:
            batch = await _batch(
                self._deliveries,
                MAX_STORE_BATCH_CHUNKS,
                MAX_STORE_BATCH_BYTES,
                lambda delivery: delivery.chunk.size_bytes,
            )
            pairs = [(delivery.chunk, delivery.stored) for delivery in batch]
            outcomes = await self._threads.run(partial(self._writer.store, pairs))
            for delivery, outcome in zip(batch, outcomes, strict=True):
                if not delivery.outcome.done():
                    delivery.outcome.set_result(outcome)

    async def _settle(self) -> None:
        while True:
            files = await _batch(
                self._whole, MAX_SETTLE_BATCH_FILES, MAX_SETTLE_BATCH_BYTES, lambda file: file.size_bytes
            )
            await self._threads.run(partial(self._writer.settle, files))
            self._ledger.files_checked(files)
            for _ in files:
                self._whole.task_done()


def missing_chunks(plan: Plan, found: Found) -> list[PlannedChunk]:
    """Return the chunks to fetch, in the plan's order: each with only the places that lack it."""
    whole = found.in_place | found.ready
    missing = []
    for chunk in plan.chunks:
        places = tuple(
            place
            for place in chunk.places
            if place.file not in whole and place.chunk not in found.chunks.get(place.file, ())
        )
        if places:
            missing.append(chunk if len(places) == len(chunk.places) else replace(chunk, places=places))
    return missing


def _undelivered(description: str) -> LauncherError:
    return LauncherError("CDN_ERROR", f"the file could not be fetched: {description}", ExitCode.NETWORK)


def _corrupt(description: str) -> LauncherError:
    message = f"the file came corrupt from every source: {description}"
    return LauncherError("FILE_HASH_MISMATCH", message, ExitCode.CORRUPT)


async def _batch(
    queue: "asyncio.Queue[_T]", max_items: int, max_bytes: int, size_bytes: Callable[[_T], int]
) -> Sequence[_T]:
    """Return the items that wait in the queue, at least one, up to either limit."""
    batch = [await queue.get()]
    total_bytes = size_bytes(batch[0])
    while len(batch) < max_items and total_bytes < max_bytes and not queue.empty():
        batch.append(queue.get_nowait())
        total_bytes += size_bytes(batch[-1])
    return batch
