"""Signed links, fetched in batches a little ahead of the chunks that need them and renewed before they end. Used by
launcher.install.pipeline.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

from launcher.api.download_client import MAX_LINK_IDS, Api
from launcher.api.resources import Candidate, Link
from launcher.disk.plan import PlannedChunk
from launcher.failures import ExitCode, LauncherError

FIRST_BATCH_LINKS = 128
"""Small, so that the first byte arrives soon."""
AHEAD_SHARE = 0.5
"""The next batch is fetched when less than this share of a batch is left."""
RENEWAL_SECONDS = 30.0
"""A link counts as expired so long before its end: it must last for a whole transfer."""
MIN_LIFE_SECONDS = 15.0
"""A new link is tried for so long whatever the clock says: the user's may be wrong, and a refused link is renewed anyway."""


@dataclass(frozen=True, slots=True)
class _Kept:
    candidates: tuple[Candidate, ...]
    usable_until: float
    batch: int


class LinkCache:
    """Links to the chunks of one session. `chunks` is the order in which they will be asked for, roughly."""

    def __init__(
        self,
        api: Api,
        session_id: UUID,
        chunks: Sequence[PlannedChunk],
        *,
        batch_links: int = MAX_LINK_IDS,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._session_id = session_id
        self._order = [chunk.id for chunk in chunks]
        self._positions = {chunk_id: position for position, chunk_id in enumerate(self._order)}
        self._batch_links = min(FIRST_BATCH_LINKS, batch_links)
        self._max_batch_links = batch_links
        self._clock = clock
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._linked_to = 0
        self._batches = 0
        self._refused_batches = 0
        self._oldest_opened: int | None = None
        self._lock = asyncio.Lock()
        self._running_low = asyncio.Event()

    async def candidates(self, chunk: PlannedChunk) -> tuple[Candidate, ...]:
        """Return the candidates from which the chunk can be fetched, best first.

        Raises:
            LauncherError: access ended, the session ended, or the server is unavailable.
        """
        kept = self._usable(chunk.id)
        if kept is None:
            async with self._lock:
                # Another worker may have fetched it while this one waited.
                kept = self._usable(chunk.id) or await self._fetch(chunk.id)
        if self._linked_to - self._positions[chunk.id] < self._batch_links * AHEAD_SHARE:
            self._running_low.set()
        return kept.candidates

    def refused(self, chunk: PlannedChunk) -> None:
        """Record that a CDN refused the link: the next call fetches a new one, and also for all links of its batch or before. If
        one of those has worked since the last refusal, they had not expired, and the others are kept.
        """
        kept = self._kept.get(chunk.id)
        if kept is None:
            return
        if self._oldest_opened is not None and self._oldest_opened <= kept.batch:
            del self._kept[chunk.id]
        else:
            self._refused_batches = max(self._refused_batches, kept.batch)
        self._oldest_opened = None

    def done(self, chunk: PlannedChunk) -> None:
        """Record that the chunk was fetched."""
        kept = self._kept.pop(chunk.id, None)
        if kept is not None:
            self._oldest_opened = min(kept.batch, self._oldest_opened or kept.batch)

    async def keep_ahead(self) -> None:
        """Fetches links before they are waited for, until there are no more to fetch."""
        while self._linked_to < len(self._order):
            await self._running_low.wait()
            self._running_low.clear()
            async with self._lock:
                if self._linked_to < len(self._order):
                    await self._fetch_ahead()

    async def _fetch_ahead(self) -> None:
        try:
            await self._fetch(self._order[self._linked_to])
        except LauncherError as refusal:
            # The slot is gone: whoever needs a link finds out what to do.
            if refusal.code != "INVALID_STATE_TRANSITION":
                raise

    def _usable(self, chunk_id: str) -> _Kept | None:
        kept = self._kept.get(chunk_id)
        if kept is None or kept.batch <= self._refused_batches or kept.usable_until <= self._clock():
            return None
        return kept

    async def _fetch(self, chunk_id: str) -> _Kept:
        """Fetch a batch of links that begins with this chunk."""
        linked_to = self._linked_to
        ids = [chunk_id, *self._with_it(chunk_id)]
        try:
            links = await self._api.links(self._session_id, ids)
        except LauncherError:
            self._linked_to = linked_to
            raise
        self._batch_links = self._max_batch_links
        self._batches += 1
        wanted = set(ids)
        for link in links:
            if link.chunk_id in wanted and link.candidates:
                self._kept[link.chunk_id] = self._keep(link)
        kept = self._kept.get(chunk_id)
        if kept is None:
            message = "the server gave no link for a chunk"
            raise LauncherError("CDN_LINK_GENERATION_FAILED", message, ExitCode.NETWORK)
        return kept

    def _with_it(self, chunk_id: str) -> list[str]:
        """Return the chunks whose links are in the same request: the next ones, or at a renewal also those whose links expired."""
        room = self._batch_links - 1
        position = self._positions[chunk_id]
        if position < self._linked_to:
            window = self._order[position + 1 : self._linked_to]
            ended = (other for other in window if other in self._kept and self._usable(other) is None)
            return list(islice(ended, room))
        following = self._order[self._linked_to : self._linked_to + room + 1]
        self._linked_to += len(following)
        return [other for other in following if other != chunk_id][:room]

    def _keep(self, link: Link) -> _Kept:
        ends_at = min(candidate.expires_at for candidate in link.candidates)
        life_seconds = (ends_at - self._now()).total_seconds() - RENEWAL_SECONDS
        return _Kept(link.candidates, self._clock() + max(life_seconds, MIN_LIFE_SECONDS), self._batches)
