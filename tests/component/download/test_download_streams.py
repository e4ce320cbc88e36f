"""WatchDownloads on a real Valkey: progress at once, every status event, resume, resync, and hot state that goes away."""

import asyncio
from pathlib import Path

from download.v1 import downloads_pb2 as downloads
from redis.asyncio import Redis

from tests.component.data_rig import proxied
from tests.component.download.rig import PATIENCE_SECONDS, Release, rig, until

TOPIC = "com.platform.download.events.v1"


async def _until(stream, kind: str, *, status: int | None = None):
    """Reads until an event of the kind (and new status); answers it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in stream:
            if event.WhichOneof("payload") == kind and status in (None, event.status_changed.new_status):
                return event
    raise AssertionError(f"the stream ended before {kind}")


async def test_progress_is_seen_within_a_second_and_every_status_follows(service):
    release = await service.publish()
    user = service.user()
    async with user.watch() as stream:
        started = await user.start(release)
        queued = await _until(stream, "status_changed")
        assert (queued.status_changed.download_session_id, queued.status_changed.new_status) == (
            started.id,
            downloads.DOWNLOAD_STATUS_QUEUED,
        )
        assert not queued.status_changed.HasField("previous_status")
        await _until(stream, "status_changed", status=downloads.DOWNLOAD_STATUS_INITIALIZING)
        item = (await user.items(started.id)).items[1]
        loop, took = asyncio.get_running_loop(), []
        for sequence, done_bytes in enumerate((700, 1050, 1400), 1):
            reported = loop.time()
            moving = downloads.ItemReport(
                item_id=item.id, status=downloads.DOWNLOAD_ITEM_STATUS_DOWNLOADING, downloaded_bytes=done_bytes
            )
            await user.report(started.id, sequence, [moving])
            while (progress := await _until(stream, "progress")).progress.downloaded_bytes != done_bytes:
                pass
            took.append(loop.time() - reported)
        assert min(took) < 1, "a machine that has other things to do holds up one, not all"
        assert (progress.progress.downloaded_bytes, progress.progress.progress_percentage) == (1400, 50.0)
        assert progress.event_id
        assert progress.HasField("occurred_at")
        await user.complete(started.id, 4)
        done = await _until(stream, "status_changed", status=downloads.DOWNLOAD_STATUS_COMPLETED)
        assert done.status_changed.previous_status == downloads.DOWNLOAD_STATUS_VERIFYING


async def test_a_stream_is_resumed_after_the_last_event_seen(service):
    release = await service.publish()
    user = service.user()
    async with user.watch() as stream:
        started = await user.start(release)
        seen = await _until(stream, "status_changed", status=downloads.DOWNLOAD_STATUS_INITIALIZING)
    await user.pause(started.id)
    await user.cancel(started.id)
    async with user.watch(seen.event_id) as stream:
        paused = await _until(stream, "status_changed")
        assert paused.status_changed.new_status == downloads.DOWNLOAD_STATUS_PAUSED
        assert paused.status_changed.previous_status == downloads.DOWNLOAD_STATUS_INITIALIZING
        await _until(stream, "status_changed", status=downloads.DOWNLOAD_STATUS_CANCELLED)


async def test_an_unknown_or_foreign_place_is_answered_with_one_resync_and_then_what_comes(service):
    release = await service.publish()
    user, other = service.user(), service.user()
    async with other.watch() as stream:
        await other.start(release)
        foreign = await _until(stream, "status_changed")
    for place in (foreign.event_id, "nonsense"):
        async with user.watch(place) as stream:
            first = await anext(aiter(stream))
            assert first.resync_required.reason == "unknown_id"
            assert first.event_id
            started = await user.start(release)
            event = await _until(stream, "status_changed", status=downloads.DOWNLOAD_STATUS_QUEUED)
            assert event.status_changed.download_session_id == started.id
            await user.cancel(started.id)
            await _until(stream, "status_changed", status=downloads.DOWNLOAD_STATUS_CANCELLED)


async def test_users_see_only_their_own(service):
    release = await service.publish()
    user, other = service.user(), service.user()
    async with user.watch() as stream:
        await other.start(release)
        started = await user.start(release)
        event = await _until(stream, "status_changed")
        assert event.status_changed.download_session_id == started.id


async def _waiting(service, user) -> int:
    """How many of the user's events our own live group has not dealt with."""
    query = """
        SELECT count(*) AS waiting FROM log JOIN offsets ON offsets.topic = log.topic AND offsets.partition = log.partition
        WHERE "group" = 'download-service-live' AND log.id > offsets.id AND log.key = $1
    """
    [row] = await service.event_rows(query, str(user.id))
    return int(row["waiting"])


async def _forget(valkey_url: str, user) -> None:
    """Loses the user's streams, as a Valkey without persistence does when it restarts."""
    async with Redis.from_url(valkey_url) as client:
        keys = [key async for key in client.scan_iter(match=f"*{user.id}*")]
        assert keys
        await client.delete(*keys)


async def test_losing_the_hot_state_loses_no_commit_and_no_status_event(tmp_path: Path, download_dsns, valkey_url: str):
    postgres_dsn, events_dsn = download_dsns
    async with (
        proxied(valkey_url) as valkey,
        rig(
            tmp_path / "objects",
            postgres_dsn=postgres_dsn,
            events_dsn=events_dsn,
            redis_addr=valkey.dsn.removeprefix("redis://").partition("/")[0],
        ) as service,
    ):
        user = service.user()
        started = await user.start(await service.publish(Release(files={"a": 10})))
        async with user.watch() as stream:
            await user.pause(started.id)
            seen = await _until(stream, "status_changed", status=downloads.DOWNLOAD_STATUS_PAUSED)

        valkey.cut()
        await user.resume(started.id)
        done = await user.complete(started.id)
        assert done.status == downloads.DOWNLOAD_STATUS_COMPLETED
        assert (await user.get(started.id)).status == downloads.DOWNLOAD_STATUS_COMPLETED

        async def told() -> bool:
            return len(await service.log(TOPIC, f'%{started.id}%"newStatus":"completed"')) > 0

        await until(told, "the bus has the completion")
        assert await _waiting(service, user) > 0

        await _forget(valkey_url, user)
        valkey.mend()

        async def caught_up() -> bool:
            return await _waiting(service, user) == 0

        await until(caught_up, "the stream has everything")
        assert await service.log(f"{TOPIC}.dlq", str(user.id)) == []
        # What is back knows nothing of the stream's earlier life: the reader is told to read everything again.
        async with user.watch(seen.event_id) as stream:
            assert (await anext(aiter(stream))).WhichOneof("payload") == "resync_required"
