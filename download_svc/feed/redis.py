"""Live progress in LiveValues and the users' event streams in LiveStreams. Nothing here is needed to know the truth.

How events reach a user's stream, and why none is lost:

* Progress is appended by the report that brought it, after its commit (seen within milliseconds; a lost one is superseded by the
  next report).
* Status changes take one way only: outbox → event bus → our own consumer group `download-service-live` → stream. The outbox row
  commits with the change; the consumer goes on only after the append, and waits while the hot state is down. So a change that is
  committed is announced, whatever dies in between, and one user's changes arrive in their order. Announcing right after the commit
  as well would win some milliseconds and bring every change twice. After a crash between append and offset the event comes again;
  the stream knows it by its id.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from logging import getLogger
from uuid import UUID

from download.v1 import downloads_pb2 as downloads

from chassis.cloudevents.moments import parse_moment
from chassis.errors import RETRYABLE_KINDS, DomainError
from chassis.live.live_state import LiveStreams, LiveValues, StreamRecord, followed
from chassis.postgres.database import erased
from download_svc.feed.application import FeedRecord
from download_svc.outgoing import ITEM_STATUSES, STATUSES, UPDATE_TYPES
from download_svc.sessions.domain import Item, ItemStatus, Session, SessionMoved
from download_svc.sessions.progress import STALE_AFTER_SECONDS, LiveProgress, measure, seconds_left
from download_svc.updates.domain import UpdateOffered

MAX_ITEM_EVENTS_PER_REPORT = 3
"""A stream keeps ten minutes only if it keeps below its limit of records: one report a second and session leaves room for few."""

_log = getLogger(__name__)


async def nobody_is(_: UUID) -> bool:
    """Stands in where nobody is ever erased."""
    return False


class RedisProgressFeed:
    """The port ProgressFeed over the chassis' hot state."""

    def __init__(
        self, values: LiveValues, streams: LiveStreams, is_erased: Callable[[UUID], Awaitable[bool]] = nobody_is
    ) -> None:
        self._values = values
        self._streams = streams
        self._is_erased = is_erased

    async def progress(self, session: Session, items: Sequence[Item], now: datetime) -> None:
        try:
            live = await self._measure(session, now)
            events = [_progress_event(session, live, now)]
            events += [_item_event(session, item, now) for item in _worth_showing(items)]
            await self._streams.append(feed_stream(session.user_id), [event.SerializeToString() for event in events])
        except DomainError as error:
            if error.kind not in RETRYABLE_KINDS:
                raise
            _log.warning("live progress not shown", extra={"reason": error.reason})

    async def read(self, session_ids: Sequence[UUID]) -> Mapping[UUID, LiveProgress]:
        if not session_ids:
            return {}
        keys = {progress_key(session_id): session_id for session_id in session_ids}
        try:
            found = await self._values.get_many(list(keys))
        except DomainError as error:
            if error.kind not in RETRYABLE_KINDS:
                raise
            return {}
        lives = ((keys[key], _live_of(values)) for key, values in found.items())
        return {session_id: live for session_id, live in lives if live is not None}

    async def announce(self, moved: SessionMoved, queue: Sequence[UUID] | None, *, event_id: str) -> None:
        events = [_status_event(moved)]
        if moved.failure is not None:
            events.append(_error_event(moved))
        if queue is not None:
            changed = downloads.QueueChanged(user_id=str(moved.user_id), download_session_ids=map(str, queue))
            events.append(downloads.WatchDownloadsResponse(occurred_at=moved.at, queue_changed=changed))
        payloads = [event.SerializeToString() for event in events]
        await self._streams.append(feed_stream(moved.user_id), payloads, once=event_id)

    async def offer(self, offered: UpdateOffered, *, event_id: str) -> None:
        available = downloads.UpdateAvailable(
            product_id=str(offered.product_id),
            current_version_id=str(offered.current_version_id),
            new_version_id=str(offered.new_version_id),
            update_type=UPDATE_TYPES[offered.type],
            update_size_bytes=offered.size_bytes,
        )
        event = downloads.WatchDownloadsResponse(occurred_at=offered.at, update_available=available)
        await self._streams.append(feed_stream(offered.user_id), [event.SerializeToString()], once=event_id)

    async def watch(self, user_id: UUID, after: str | None) -> AsyncIterator[FeedRecord]:
        await self._check(user_id)
        stream = feed_stream(user_id)
        start = await self._streams.position(stream) if after is None else after
        return self._follow(user_id, stream, start)

    async def _follow(self, user_id: UUID, stream: str, after: str) -> AsyncIterator[FeedRecord]:
        async with aclosing(followed(self._streams, stream, after=after)) as records:
            async for record in records:
                if isinstance(record, StreamRecord) and record.payload:
                    yield FeedRecord(record.id, record.payload)
                    continue
                # The end of an erased user's stream: it begins anew with an empty record.
                await self._check(user_id)
                if not isinstance(record, StreamRecord):
                    resync = downloads.WatchDownloadsResponse(
                        occurred_at=datetime.now(UTC), resync_required=downloads.ResyncRequired(reason=record.reason)
                    )
                    yield FeedRecord(record.id, resync.SerializeToString())

    async def _check(self, user_id: UUID) -> None:
        if await self._is_erased(user_id):
            raise erased()

    async def _measure(self, session: Session, now: datetime) -> LiveProgress | None:
        key = progress_key(session.id)
        if not session.holds_slot:
            await self._values.delete([key])
            return None
        values = await self._values.get(key)
        live = measure(_live_of(values) if values else None, session.downloaded_bytes, now)
        await self._values.put(key, _values_of(live), ttl_seconds=STALE_AFTER_SECONDS)
        return live


def feed_stream(user_id: UUID) -> str:
    """The name of a user's stream."""
    return f"download_events:{{{user_id}}}"


def progress_key(session_id: UUID) -> str:
    """Return the key of a session's progress."""
    return f"download_session_state:{{{session_id}}}"


def _values_of(live: LiveProgress) -> Mapping[str, str]:
    values = {"downloaded_bytes": str(live.downloaded_bytes), "at": live.at.isoformat()}
    return values if live.speed_bps is None else {**values, "speed_bps": str(live.speed_bps)}


def _live_of(values: Mapping[str, str]) -> LiveProgress | None:
    # Whatever another release may have left there is no reason to fail.
    with suppress(KeyError, ValueError):
        speed = values.get("speed_bps")
        return LiveProgress(
            int(values["downloaded_bytes"]), parse_moment(values["at"]), None if speed is None else int(speed)
        )
    return None


def _worth_showing(items: Sequence[Item]) -> Sequence[Item]:
    """The failed ones, then those in motion, then those that ended."""
    order = {ItemStatus.ERROR: 0, ItemStatus.DOWNLOADING: 1, ItemStatus.VERIFYING: 1}
    return sorted(items, key=lambda item: order.get(item.status, 2))[:MAX_ITEM_EVENTS_PER_REPORT]


def _progress_event(session: Session, live: LiveProgress | None, now: datetime) -> downloads.WatchDownloadsResponse:
    speed_bps = None if live is None else live.speed_bps
    progress = downloads.DownloadProgressUpdate(
        download_session_id=str(session.id),
        product_id=str(session.product_id),
        status=STATUSES[session.status],
        progress_percentage=session.progress_percentage,
        downloaded_bytes=session.downloaded_bytes,
        total_size_bytes=session.total_size_bytes,
        current_speed_bps=speed_bps,
        estimated_time_left_seconds=seconds_left(speed_bps, session.downloaded_bytes, session.total_size_bytes),
    )
    return downloads.WatchDownloadsResponse(occurred_at=now, progress=progress)


def _item_event(session: Session, item: Item, now: datetime) -> downloads.WatchDownloadsResponse:
    progress = downloads.DownloadItemProgressUpdate(
        download_session_id=str(session.id),
        download_item_id=str(item.id),
        relative_path=item.relative_path,
        status=ITEM_STATUSES[item.status],
        downloaded_bytes=item.downloaded_bytes,
        total_size_bytes=item.total_size_bytes,
    )
    return downloads.WatchDownloadsResponse(occurred_at=now, item_progress=progress)


def _status_event(moved: SessionMoved) -> downloads.WatchDownloadsResponse:
    failure = moved.failure
    changed = downloads.DownloadStatusChanged(
        download_session_id=str(moved.session_id),
        product_id=str(moved.product_id),
        new_status=STATUSES[moved.new],
        previous_status=None if moved.previous is None else STATUSES[moved.previous],
        error_details=None
        if failure is None
        else downloads.DownloadFailure(code=failure.code, message=failure.message),
    )
    return downloads.WatchDownloadsResponse(occurred_at=moved.at, status_changed=changed)


def _error_event(moved: SessionMoved) -> downloads.WatchDownloadsResponse:
    failed = downloads.DownloadError(
        download_session_id=str(moved.session_id),
        product_id=str(moved.product_id),
        error_code=moved.failure.code if moved.failure else "",
        error_message=moved.failure.message if moved.failure else "",
    )
    return downloads.WatchDownloadsResponse(occurred_at=moved.at, error=failed)
