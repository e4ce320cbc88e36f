"""The buffer between a service's stream and a slow reader of its WebSocket: a bounded queue in which a newer event may replace an
older one of the same key. Contract: section 4.
"""

import asyncio
from collections import OrderedDict

from gateway.contract import StreamedEvent


class BufferFull(Exception):
    """The reader is too slow: an event that may not be dropped finds no room."""


class StreamBuffer:
    """At most `limit_events` events, given out in order. One writer, one reader.

    An event that supersedes another takes its own place at the end and the older one is dropped: the order of what is sent stays
    the order of what happened, and the last id sent stays a place to resume from.
    """

    def __init__(self, limit_events: int) -> None:
        self._limit_events = limit_events
        self._events: OrderedDict[object, StreamedEvent] = OrderedDict()
        self._filled = asyncio.Event()
        self._finished = False

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: StreamedEvent) -> None:
        """Adds an event. Raises: BufferFull."""
        if event.supersedes is None:
            key: object = object()
        else:
            key = event.supersedes
            self._events.pop(key, None)
        if len(self._events) >= self._limit_events:
            raise BufferFull
        self._events[key] = event
        self._filled.set()

    def clear(self) -> None:
        """Forgets what waits."""
        self._events.clear()

    def finish(self) -> None:
        """Mark the end: no more events will be put."""
        self._finished = True
        self._filled.set()

    def pop(self) -> StreamedEvent:
        """Remove and return the oldest event. Raises: KeyError when the buffer is empty."""
        return self._events.popitem(last=False)[1]

    async def take(self) -> StreamedEvent | None:
        """The oldest event, waiting for one; None when the stream is finished and all of it was taken."""
        while not self._events:
            if self._finished:
                return None
            self._filled.clear()
            await self._filled.wait()
        return self._events.popitem(last=False)[1]
