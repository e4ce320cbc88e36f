"""Live progress and the users' streams over memory adapters: what a report shows, how a stream is resumed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

from download.v1 import downloads_pb2 as downloads

from chassis.errors import DomainError, Kind
from download_svc.feed.application import FeedRecord
from download_svc.feed.redis import MAX_ITEM_EVENTS_PER_REPORT, RedisProgressFeed
from download_svc.sessions.domain import Failure, ItemReport, ItemStatus, SessionMoved, Status
from download_svc.sessions.live import announce_move
from tests.unit.download.rig import NOW, World, make_manifest


def _moved(world: World, previous: Status | None, new: Status, failure: Failure | None = None) -> SessionMoved:
    return SessionMoved(uuid4(), world.user_id, uuid4(), uuid4(), previous, new, NOW, failure)


async def _next(feed: AsyncIterator[FeedRecord]) -> tuple[str, downloads.WatchDownloadsResponse]:
    record = await anext(feed)
    return record.id, downloads.WatchDownloadsResponse.FromString(record.payload)


async def test_a_report_is_seen_at_once_with_speed_and_time_left():
    world = World()
    view = await world.start(await world.publish(make_manifest(uuid4(), uuid4(), {"big": 10_000})))
    session_id = view.session.id
    feed = await world.board.watch(world.user_id, None)
    [item_id] = world.store.state.items[session_id]
    await world.report(session_id, 1, [ItemReport(item_id, ItemStatus.DOWNLOADING, 1000)])
    await world.report(session_id, 2, [ItemReport(item_id, ItemStatus.DOWNLOADING, 3000)])
    shown = [(await _next(feed))[1] for _ in range(4)]
    assert [event.WhichOneof("payload") for event in shown] == ["progress", "item_progress"] * 2
    progress = shown[2].progress
    assert progress.download_session_id == str(session_id)
    assert (progress.downloaded_bytes, progress.progress_percentage) == (3000, 30.0)
    assert progress.current_speed_bps == 16_000
    assert progress.estimated_time_left_seconds == 4
    live = await world.board.read([session_id, uuid4()])
    assert {key: value.speed_bps for key, value in live.items()} == {session_id: 16_000}


async def test_a_speed_is_forgotten_when_nothing_is_heard_and_when_the_session_ends():
    world = World()
    session_id = (await world.start()).session.id
    await world.report(session_id, 1)
    world.now += timedelta(seconds=31)
    assert await world.board.read([session_id]) == {}
    await world.report(session_id, 2)
    assert session_id in await world.board.read([session_id])
    await world.report(session_id, 3, world.items_of(session_id, ItemStatus.COMPLETED))
    assert await world.board.read([session_id]) == {}


async def test_a_report_of_many_files_shows_few_of_them_the_failed_first():
    world = World()
    files = {f"file{number}": 10 for number in range(50)}
    session_id = (await world.start(await world.publish(make_manifest(uuid4(), uuid4(), files)))).session.id
    feed = await world.board.watch(world.user_id, None)
    reports = list(world.items_of(session_id, ItemStatus.COMPLETED))
    reports[20] = ItemReport(reports[20].item_id, ItemStatus.ERROR, 0, None, "CDN_ERROR")
    await world.report(session_id, 1, reports)
    shown = [(await _next(feed))[1] for _ in range(1 + MAX_ITEM_EVENTS_PER_REPORT)]
    assert shown[1].item_progress.status == downloads.DOWNLOAD_ITEM_STATUS_ERROR
    await world.board.announce(_moved(world, Status.DOWNLOADING, Status.ERROR), None, event_id=str(uuid4()))
    assert (await _next(feed))[1].WhichOneof("payload") == "status_changed"


async def test_a_move_is_announced_with_its_error_and_the_queue_it_leaves():
    world = World()
    waiting = (await world.start()).session.id
    feed = await world.board.watch(world.user_id, None)
    failure = Failure("FILE_HASH_MISMATCH", "data/a.pak: FILE_HASH_MISMATCH")
    await announce_move(
        world.sessions, world.board, _moved(world, Status.DOWNLOADING, Status.ERROR, failure), event_id=str(uuid4())
    )
    events = [(await _next(feed))[1] for _ in range(3)]
    assert [event.WhichOneof("payload") for event in events] == ["status_changed", "error", "queue_changed"]
    assert events[0].status_changed.previous_status == downloads.DOWNLOAD_STATUS_DOWNLOADING
    assert events[0].status_changed.error_details.code == events[1].error.error_code == "FILE_HASH_MISMATCH"
    assert events[2].queue_changed.download_session_ids == [str(waiting)]


async def test_an_event_that_comes_again_is_announced_once():
    world = World()
    feed = await world.board.watch(world.user_id, None)
    first, second = _moved(world, None, Status.QUEUED), _moved(world, Status.QUEUED, Status.PAUSED)
    for moved, event_id in ((first, "1"), (first, "1"), (second, "2"), (first, "1")):
        await world.board.announce(moved, None, event_id=event_id)
    await world.board.announce(_moved(world, None, Status.ERROR), None, event_id="3")
    statuses = [(await _next(feed))[1].status_changed.new_status for _ in range(3)]
    assert statuses == [
        downloads.DOWNLOAD_STATUS_QUEUED,
        downloads.DOWNLOAD_STATUS_PAUSED,
        downloads.DOWNLOAD_STATUS_ERROR,
    ]


async def test_a_move_inside_the_queue_leaves_its_order_unmentioned():
    world = World()
    feed = await world.board.watch(world.user_id, None)
    await announce_move(
        world.sessions, world.board, _moved(world, Status.INITIALIZING, Status.DOWNLOADING), event_id=str(uuid4())
    )
    await announce_move(world.sessions, world.board, _moved(world, None, Status.QUEUED), event_id=str(uuid4()))
    kinds = [(await _next(feed))[1].WhichOneof("payload") for _ in range(3)]
    assert kinds == ["status_changed", "status_changed", "queue_changed"]


async def test_a_reader_that_names_its_last_event_gets_what_came_after_it():
    world = World()
    feed = await world.board.watch(world.user_id, None)
    for status in (Status.QUEUED, Status.PAUSED, Status.CANCELLED):
        await world.board.announce(_moved(world, None, status), None, event_id=str(uuid4()))
    seen, _ = await _next(feed)
    resumed = await world.board.watch(world.user_id, seen)
    statuses = [(await _next(resumed))[1].status_changed.new_status for _ in range(2)]
    assert statuses == [downloads.DOWNLOAD_STATUS_PAUSED, downloads.DOWNLOAD_STATUS_CANCELLED]


async def test_a_reader_whose_place_is_lost_is_told_once_and_misses_nothing_from_then_on():
    world = World()
    feed = await world.board.watch(world.user_id, "unknown-1-1")
    place, event = await _next(feed)
    assert event.resync_required.reason == "unknown_id"
    await world.board.announce(_moved(world, None, Status.QUEUED), None, event_id=str(uuid4()))
    assert (await _next(feed))[1].WhichOneof("payload") == "status_changed"
    resumed = await world.board.watch(world.user_id, place)
    assert (await _next(resumed))[1].WhichOneof("payload") == "status_changed"


async def test_streams_of_users_are_their_own():
    world = World()
    foreign, own = await world.board.watch(uuid4(), None), await world.board.watch(world.user_id, None)
    await world.board.announce(_moved(world, None, Status.QUEUED), None, event_id=str(uuid4()))
    place, _ = await _next(own)
    stolen = await world.board.watch(uuid4(), place)
    assert (await _next(stolen))[1].resync_required.reason == "unknown_id"
    assert foreign is not own


class Away:
    """Hot state that is not there."""

    def __getattr__(self, name: str):
        async def refuse(*_: object, **__: object):
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")

        return refuse


async def test_a_report_stands_without_the_hot_state():
    world = World()
    session_id = (await world.start()).session.id
    world.board = RedisProgressFeed(Away(), Away())
    view = await world.report(session_id, 1, world.items_of(session_id, ItemStatus.COMPLETED))
    assert view.session.status is Status.COMPLETED
    assert await world.board.read([session_id]) == {}
