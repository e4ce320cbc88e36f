"""The users' feeds in LiveStreams. Nothing here is needed to know the truth.

How a change reaches the feed, and why none is lost: outbox → event bus → our own consumer group `library-service-live` → feed. The
outbox row commits with the change; the consumer goes on only after the append, and waits while the hot state is away. So what is
committed is told, whatever dies in between, and one user's events in their order, whichever instance deals with them. After a death
between append and offset the event comes again; the feed knows it by its id.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from chassis.live.live_state import LiveStreams, StreamRecord, followed
from chassis.postgres.database import erased
from library_svc.feed.application import FeedBreak, FeedRecord
from library_svc.ids import UserId


async def nobody_is(_: UserId) -> bool:
    """Stands in where nobody is ever erased."""
    return False


class RedisLibraryFeed:
    """The port LibraryFeed over the chassis' hot state."""

    def __init__(self, streams: LiveStreams, is_erased: Callable[[UserId], Awaitable[bool]] = nobody_is) -> None:
        self._streams = streams
        self._is_erased = is_erased

    async def append(self, user_id: UserId, update: bytes, *, event_id: str) -> None:
        await self._streams.append(feed_stream(user_id), [update], once=event_id)

    async def watch(self, user_id: UserId, after: str | None) -> AsyncGenerator[FeedRecord | FeedBreak]:
        await self._check(user_id)
        stream = feed_stream(user_id)
        return self._follow(user_id, stream, await self._streams.position(stream) if after is None else after)

    async def _follow(self, user_id: UserId, stream: str, after: str) -> AsyncGenerator[FeedRecord | FeedBreak]:
        async with aclosing(followed(self._streams, stream, after=after)) as records:
            async for record in records:
                if isinstance(record, StreamRecord) and record.payload:
                    yield FeedRecord(record.id, record.payload)
                    continue
                # The end of an erased user's feed: it begins anew with an empty record.
                await self._check(user_id)
                if not isinstance(record, StreamRecord):
                    yield FeedBreak(record.id, record.reason)

    async def _check(self, user_id: UserId) -> None:
        if await self._is_erased(user_id):
            raise erased()


def feed_stream(user_id: UserId) -> str:
    """The name of a user's feed."""
    return f"library_events:{{{user_id}}}"
