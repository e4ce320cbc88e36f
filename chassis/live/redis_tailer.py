"""The one connection of a process over which all its stream readers receive new records. Used by chassis.live.redis_state only.

Published messages are the fast way and may be lost (an outage, a slow reader); a reader that may have lost one is notified to read
the stream. So nothing here has to be exact but that notification.

Only the tailer's own tasks use the connection. A reader says what it wants and waits: one that is cancelled, as readers are when
their clients leave, could otherwise be cancelled in the middle of a write, and take the connection of all others with it.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from chassis.errors import DomainError, Kind
from chassis.live.live_state import READER_MAX_RECORDS, Position

FIRST_DELAY_SECONDS = 0.05
LAST_DELAY_SECONDS = 2.0
PING_SECONDS = 10.0
SILENCE_SECONDS = 25.0
"""Without any answer for so long the connection is given up."""

SUBSCRIBE_TIMEOUT_SECONDS = 5.0

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """A record as it was announced on its stream's channel."""

    epoch: str
    position: Position
    payload: bytes


_LOOK = Published("", (0, 0), b"")


@dataclass(slots=True, eq=False)
class Watcher:
    """A reader's queue; `has_missed` says that the queue is not to be trusted and the stream is to be read."""

    records: asyncio.Queue[Published] = field(default_factory=lambda: asyncio.Queue(READER_MAX_RECORDS))
    has_missed: bool = False
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, record: Published) -> None:
        try:
            self.records.put_nowait(record)
        except asyncio.QueueFull:
            self.miss()

    def miss(self) -> None:
        """Drops what is queued, for the stream has it too, and wakes the reader."""
        self.has_missed = True
        while not self.records.empty():
            self.records.get_nowait()
        self.records.put_nowait(_LOOK)


class StreamTailer:
    """Subscribes to the channels that have watchers and hands out what comes."""

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._watchers: dict[bytes, set[Watcher]] = {}
        self._asked: set[bytes] = set()
        """Channels that the connection was asked to subscribe to."""
        self._confirmed: set[bytes] = set()
        """Those of them that it is subscribed to."""
        self._wanted = asyncio.Event()
        """Set when `_watchers` may differ from `_asked`."""
        self._heard_at = 0.0

    async def run(self) -> None:
        """Works until it is cancelled; connects when the first watcher comes, and again after every loss."""
        delay_seconds = FIRST_DELAY_SECONDS
        while True:
            await self._wanted.wait()
            try:
                async with self._connected() as connection, asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_alive(connection))
                    tasks.create_task(self._subscribe(connection))
                    await self._listen(connection)
            except Exception as error:
                if not _is_outage(error):
                    _log.error("live streams failed", exc_info=error)
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # What fails beside a cancellation hides it.
                    raise asyncio.CancelledError from error
                if self._confirmed:
                    delay_seconds = FIRST_DELAY_SECONDS
                _log.warning("live streams interrupted", extra={"error": repr(error), "delay_seconds": delay_seconds})
            finally:
                self._asked.clear()
                self._confirmed.clear()
                self._wanted.set()
            await asyncio.sleep(delay_seconds)
            delay_seconds = min(delay_seconds * 2, LAST_DELAY_SECONDS)

    @asynccontextmanager
    async def watch(self, channel_name: str) -> AsyncIterator[Watcher]:
        """A watcher of the channel; when it is given, everything published from now on reaches it or makes it look.

        Raises:
            DomainError: SERVICE_UNAVAILABLE when the server does not confirm in time.
        """
        channel = channel_name.encode()
        watcher = Watcher()
        self._watchers.setdefault(channel, set()).add(watcher)
        self._wanted.set()
        try:
            if channel in self._confirmed:
                watcher.subscribed.set()
            try:
                async with asyncio.timeout(SUBSCRIBE_TIMEOUT_SECONDS):
                    await watcher.subscribed.wait()
            except TimeoutError as error:
                raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=1.0) from error
            yield watcher
        finally:
            watchers = self._watchers[channel]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[channel]
                self._wanted.set()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        connection: AbstractConnection = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._heard_at = asyncio.get_running_loop().time()
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def _subscribe(self, connection: AbstractConnection) -> None:
        """Keeps the connection's channels those that have watchers. What changes during one write goes into the next."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            wanted = self._watchers.keys()
            new, gone = wanted - self._asked, self._asked - wanted
            self._asked |= new
            self._asked -= gone
            self._confirmed -= gone
            if new:
                await connection.send_command("SUBSCRIBE", *new, check_health=False)
            if gone:
                await connection.send_command("UNSUBSCRIBE", *gone, check_health=False)

    async def _listen(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await connection.read_response(timeout=math.inf, push_request=True)
            self._heard_at = loop.time()
            self._take(message)

    async def _keep_alive(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_SECONDS)
            if loop.time() - self._heard_at > SILENCE_SECONDS:
                raise TimeoutError("the server is silent")
            await connection.send_command("PING", check_health=False)

    def _take(self, message: Any) -> None:
        if not isinstance(message, list):
            return
        if message[0] == b"message":
            record = _published(message[2])
            for watcher in self._watchers.get(message[1], ()):
                if record is None:
                    watcher.miss()
                else:
                    watcher.offer(record)
        elif message[0] == b"subscribe" and message[1] in self._asked:
            # Maybe it confirms an older subscription that was given up meanwhile: then another confirmation follows.
            self._confirmed.add(message[1])
            # Before this moment nothing reached us, so each of them has to look once.
            for watcher in self._watchers.get(message[1], ()):
                watcher.subscribed.set()
                watcher.miss()


def _published(message: bytes) -> Published | None:
    """Parse a message of a stream's channel; None for one that another program published there."""
    try:
        epoch, entry, payload = message.split(b" ", 2)
        milliseconds, _, number = entry.partition(b"-")
        return Published(epoch.decode(), (int(milliseconds), int(number)), payload)
    except ValueError:
        return None


def _is_outage(error: BaseException) -> bool:
    """A mistake of the program must not look like an outage that will pass."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_outage(inner) for inner in error.exceptions)
    return isinstance(error, (RedisError, OSError, TimeoutError))
