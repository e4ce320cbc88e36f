"""Links: fetched in batches, ahead, and again when they end or are refused."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from uuid import UUID, uuid4

import pytest

from launcher.api.download_client import MAX_LINK_IDS
from launcher.api.resources import Candidate, Link
from launcher.disk.plan import PlannedChunk
from launcher.failures import ExitCode, LauncherError
from launcher.install.links import FIRST_BATCH_LINKS, LinkCache

START = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """Hands out numbered links; the clock is its own."""

    def __init__(self, *, life_seconds: float = 600, server_ahead_seconds: float = 0) -> None:
        self.batches: list[list[str]] = []
        self.seconds = 0.0
        self.life_seconds = life_seconds
        self.ahead = timedelta(seconds=server_ahead_seconds)
        self.refusal: LauncherError | None = None

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    async def links(self, _session_id: UUID, ids: Sequence[str]) -> Sequence[Link]:
        if self.refusal is not None:
            raise self.refusal
        self.batches.append(list(ids))
        ends_at = self.now() + self.ahead + timedelta(seconds=self.life_seconds)
        return [Link(chunk, (Candidate(f"{len(self.batches)}/{chunk}", "north", ends_at),)) for chunk in ids]

    def book(self, chunks: Sequence[PlannedChunk], batch_links: int = MAX_LINK_IDS) -> LinkCache:
        return LinkCache(
            self,  # type: ignore[arg-type]  # the one call of Api that links need
            uuid4(),
            chunks,
            batch_links=batch_links,
            clock=lambda: self.seconds,
            now=self.now,
        )


def some_chunks(count: int) -> list[PlannedChunk]:
    return [PlannedChunk(number.to_bytes(32, "big"), 1, bytes(32), 1, ()) for number in range(count)]


async def test_every_chunk_is_linked_once_in_batches_within_the_limit() -> None:
    server, chunks = Server(), some_chunks(3500)
    book = server.book(chunks)
    for chunk in chunks:
        assert (await book.candidates(chunk))[0].url.endswith(chunk.id)
    assert len(server.batches[0]) == FIRST_BATCH_LINKS
    assert max(map(len, server.batches)) == MAX_LINK_IDS
    assert sorted(chain(*server.batches)) == sorted(chunk.id for chunk in chunks)


async def test_links_are_fetched_ahead_so_that_nobody_waits() -> None:
    server, chunks = Server(), some_chunks(1000)
    book = server.book(chunks)
    ahead = asyncio.create_task(book.keep_ahead())
    await book.candidates(chunks[0])
    await book.candidates(chunks[FIRST_BATCH_LINKS - 1])
    await asyncio.wait_for(ahead, 30)
    assert [len(batch) for batch in server.batches] == [FIRST_BATCH_LINKS, 1000 - FIRST_BATCH_LINKS]


async def test_links_that_end_soon_are_renewed_together() -> None:
    server, chunks = Server(life_seconds=600), some_chunks(50)
    book = server.book(chunks)
    await book.candidates(chunks[0])
    for chunk in chunks[:10]:
        book.done(chunk)
    server.seconds = 569
    assert (await book.candidates(chunks[10]))[0].url.startswith("1/")
    server.seconds = 571
    assert (await book.candidates(chunks[10]))[0].url.startswith("2/")
    assert server.batches[1] == [chunk.id for chunk in chunks[10:]]


async def test_a_refused_link_takes_those_that_came_with_it_along() -> None:
    server, chunks = Server(), some_chunks(50)
    book = server.book(chunks)
    await book.candidates(chunks[0])
    book.refused(chunks[0])
    for chunk in chunks:
        assert (await book.candidates(chunk))[0].url.startswith("2/")
    assert len(server.batches) == 2


async def test_a_refused_link_is_renewed_alone_where_others_open() -> None:
    """A CDN that refuses one chunk must not cost a thousand links each time."""
    server, chunks = Server(), some_chunks(50)
    book = server.book(chunks)
    await book.candidates(chunks[0])
    book.done(chunks[0])
    book.refused(chunks[1])
    await book.candidates(chunks[1])
    book.done(chunks[2])
    book.refused(chunks[1])
    for chunk in chunks[3:]:
        assert (await book.candidates(chunk))[0].url.startswith("1/")
    assert (await book.candidates(chunks[1]))[0].url.startswith("3/")
    assert server.batches[1:] == [[chunks[1].id]] * 2


async def test_links_that_are_refused_one_after_the_other_are_all_renewed() -> None:
    """As when the computer slept, and the time of all of them was over."""
    server, chunks = Server(), some_chunks(50)
    book = server.book(chunks)
    await book.candidates(chunks[0])
    book.done(chunks[0])
    for chunk in chunks[1:3]:
        book.refused(chunk)
    for chunk in chunks[1:]:
        assert not (await book.candidates(chunk))[0].url.startswith("1/")
    assert len(server.batches) == 2


@pytest.mark.parametrize("ahead_seconds", [-3600, 3600])
async def test_a_wrong_clock_does_not_renew_without_end(ahead_seconds: float) -> None:
    server, chunks = Server(server_ahead_seconds=ahead_seconds), some_chunks(3)
    book = server.book(chunks)
    for chunk in chunks:
        await book.candidates(chunk)
    assert len(server.batches) == 1


async def test_a_refused_batch_is_asked_for_again_whole() -> None:
    server, chunks = Server(), some_chunks(50)
    book = server.book(chunks)
    server.refusal = LauncherError("INVALID_STATE_TRANSITION", "paused", ExitCode.DENIED)
    with pytest.raises(LauncherError, match="paused"):
        await book.candidates(chunks[0])
    server.refusal = None
    await book.candidates(chunks[0])
    assert server.batches == [[chunk.id for chunk in chunks]]


async def test_under_a_low_limit_few_links_are_fetched_ahead() -> None:
    server, chunks = Server(), some_chunks(200)
    book = server.book(chunks, batch_links=16)
    await book.candidates(chunks[0])
    assert [len(batch) for batch in server.batches] == [16]
