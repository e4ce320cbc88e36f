"""The users' feeds in LiveStreams. Nothing here is needed to know the truth.

How a change reaches the feed, and why none is lost: outbox → event bus → our own consumer group `library-service-live` → feed. The
outbox row commits with the change; the consumer goes on only after the append, and waits while the hot state is away. So what is
committed is told, whatever dies in between, and one user's events in their order, whichever instance deals with them. After a death
between append and offset the event comes again; the feed knows it by its id.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from chassis.live.live_state import LiveStreams, StreamRecord, followed
from library_svc.feed.application import FeedBreak, FeedRecord
from library_svc.ids import UserId


class LiveUpdateFeed:
    """The port UpdateFeed over the chassis' hot state."""

    def __init__(self, streams: LiveStreams) -> None:
        self._streams = streams

    async def append(self, user_id: UserId, update: bytes, *, event_id: str) -> None:
        await self._streams.append(_stream(user_id), [update], once=event_id)

    async def watch(self, user_id: UserId, after: str | None) -> AsyncGenerator[FeedRecord | FeedBreak]:
        stream = _stream(user_id)
        return self._follow(stream, await self._streams.position(stream) if after is None else after)

    async def _follow(self, stream: str, after: str) -> AsyncGenerator[FeedRecord | FeedBreak]:
        async with aclosing(followed(self._streams, stream, after=after)) as records:
            async for record in records:
                if isinstance(record, StreamRecord):
                    yield FeedRecord(record.id, record.payload)
                else:
                    yield FeedBreak(record.id, record.reason)


def _stream(user_id: UserId) -> str:
    return f"library_events:{{{user_id}}}"
