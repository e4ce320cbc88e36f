"""Use cases over memory adapters: starting, holding back, retrying, reporting, links, lost access, publishing."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4, uuid5

import pytest

from chassis.errors import DomainError, Kind
from download_svc.access.application import CACHE_SECONDS, end_access, follow_removal
from download_svc.installations.domain import GameInstalled
from download_svc.links.application import MAX_LINKS_PER_ANSWER
from download_svc.queue.domain import MAX_LIVE_SESSIONS_PER_USER
from download_svc.sessions import application as sessions
from download_svc.sessions.domain import ItemReport, ItemStatus, SessionMoved, Status, Target
from download_svc.versions.application import publish_version
from download_svc.versions.manifests import Manifest
from tests.unit.download.rig import World, digest, file_entry, make_announcement, make_manifest


async def _reason(awaitable) -> str:
    with pytest.raises(DomainError) as caught:
        await awaitable
    return caught.value.reason


def _acting(world: World, session_id: UUID):
    return {"user_id": world.user_id, "session_id": session_id, "now": world.now}


async def _pause(world: World, session_id: UUID):
    return await sessions.pause_download(world.store.begin, world.policy, **_acting(world, session_id))


async def _cancel(world: World, session_id: UUID):
    await sessions.cancel_download(world.store.begin, world.policy, **_acting(world, session_id))


async def _retry(world: World, session_id: UUID):
    return await sessions.retry_download(world.store.begin, world.policy, **_acting(world, session_id))


async def _fail(world: World, session_id: UUID, sequence: int = 1):
    item = next(iter(world.store.state.items[session_id]))
    return await world.report(session_id, sequence, [ItemReport(item, ItemStatus.ERROR, 0, None, "CDN_ERROR")])


async def test_a_start_is_answered_queued_and_has_its_slot_when_one_is_free():
    world = World()
    version = await world.publish()
    view = await world.start(version)
    assert (view.session.status, view.queue_position) == (Status.QUEUED, 1)
    assert (await world.view(view.session.id)).session.status is Status.INITIALIZING
    assert [event.new.value for event in world.events(SessionMoved)] == ["queued", "initializing"]


async def test_every_file_becomes_a_pending_item_with_ids_that_the_client_can_derive():
    world = World()
    version = await world.publish()
    session_id = (await world.start(version)).session.id
    items = world.store.state.items[session_id].values()
    assert [(item.id, item.file_metadata_id, item.status) for item in items] == [
        (uuid5(session_id, path), uuid5(version.version_id, path), ItemStatus.PENDING)
        for path in ("bin/game", "data/a.pak", "data/empty")
    ]


async def test_a_start_without_access_leaves_nothing():
    world = World()
    version = await world.publish()
    world.library.denied.add((world.user_id, version.product_id))
    assert await _reason(world.start(version)) == "PRODUCT_ACCESS_DENIED"
    assert not world.store.state.sessions


async def test_an_unknown_product_is_not_found_before_library_is_asked():
    world = World()
    version = await world.publish()
    request = sessions.StartRequest(uuid4())
    assert version.product_id != request.product_id
    starting = sessions.start_download(
        world.store.begin,
        world.versions,
        world.access,
        world.policy,
        request,
        user_id=world.user_id,
        permissions=frozenset(),
        session_id=uuid4(),
        now=world.now,
    )
    assert await _reason(starting) == "PRODUCT_NOT_FOUND"
    assert world.library.asked == 0


async def test_a_disk_that_is_too_small_is_refused():
    world = World()
    assert await _reason(world.start(free_space_bytes=10)) == "INSUFFICIENT_CLIENT_DISK_SPACE"


async def test_a_channel_needs_its_permission():
    world = World()
    beta = await world.publish(channel="beta")
    assert await _reason(world.start(beta)) == "VERSION_NOT_FOUND"
    view = await world.start(beta, permissions=frozenset({"channel:beta"}))
    assert view.session.version_id == beta.version_id


async def test_twenty_starts_at_once_make_one_session():
    world = World()
    version = await world.publish()
    results = await asyncio.gather(*(world.start(version) for _ in range(20)), return_exceptions=True)
    refused = [result.reason for result in results if isinstance(result, DomainError)]
    assert refused == ["DOWNLOAD_ALREADY_ACTIVE"] * 19
    assert len(world.store.state.sessions) == 1


async def test_another_device_is_another_download():
    world = World()
    version = await world.publish()
    await world.start(version, target=Target(uuid4()))
    await world.start(version, target=Target(uuid4()))
    assert len(world.store.state.sessions) == 2


async def test_the_hundredth_live_session_is_the_last():
    world = World()
    for _ in range(MAX_LIVE_SESSIONS_PER_USER):
        await world.start(await world.publish(make_manifest(uuid4(), uuid4(), {})))
    assert await _reason(world.start()) == "DOWNLOAD_QUEUE_FULL"


async def test_slots_are_filled_by_priority_when_one_frees():
    world = World(slots=1)
    first = (await world.start()).session.id
    low = (await world.start(priority=1)).session.id
    high = (await world.start(priority=9)).session.id
    assert (await world.view(low)).session.status is Status.QUEUED
    paused = await _pause(world, first)
    assert (paused.session.status, paused.queue_position) == (Status.PAUSED, None)
    assert (await world.view(high)).session.status is Status.INITIALIZING
    await _cancel(world, high)
    assert (await world.view(low)).session.status is Status.INITIALIZING


async def test_resume_waits_for_a_slot():
    world = World(slots=1)
    first = (await world.start()).session.id
    await _pause(world, first)
    second = (await world.start()).session.id
    resumed = await sessions.resume_download(world.store.begin, world.policy, **_acting(world, first))
    assert resumed.session.status is Status.QUEUED
    assert resumed.queue_position == 1
    await _cancel(world, second)
    assert (await world.view(first)).session.status is Status.INITIALIZING


async def test_another_users_session_is_not_found():
    world, stranger = World(), uuid4()
    session_id = (await world.start()).session.id
    world.user_id = stranger
    assert await _reason(_pause(world, session_id)) == "DOWNLOAD_NOT_FOUND"
    assert await _reason(_cancel(world, session_id)) == "DOWNLOAD_NOT_FOUND"
    assert await _reason(world.report(session_id, 1)) == "DOWNLOAD_NOT_FOUND"
    assert await _reason(world.links(session_id, [digest("x")])) == "DOWNLOAD_NOT_FOUND"


async def test_an_ended_session_cannot_be_cancelled():
    world = World()
    session_id = (await world.start()).session.id
    await _cancel(world, session_id)
    assert await _reason(_cancel(world, session_id)) == "INVALID_STATE_TRANSITION"


async def test_a_failed_session_frees_its_slot_and_can_be_tried_again():
    world = World(slots=1)
    first = (await world.start()).session.id
    second = (await world.start()).session.id
    failed = await _fail(world, first)
    assert failed.session.status is Status.ERROR
    assert (await world.view(second)).session.status is Status.INITIALIZING
    retried = await _retry(world, first)
    assert (retried.session.status, retried.session.failure) == (Status.QUEUED, None)
    items = world.store.state.items[first].values()
    assert {item.status for item in items} == {ItemStatus.PENDING}
    assert sum(item.retry_count for item in items) == 1


async def test_a_retry_is_refused_while_the_product_is_live_again():
    world = World()
    version = await world.publish()
    failed = (await world.start(version)).session.id
    await _fail(world, failed)
    await world.start(version)
    assert await _reason(_retry(world, failed)) == "DOWNLOAD_ALREADY_ACTIVE"
    assert (await world.view(failed)).session.status is Status.ERROR


async def test_a_completed_session_is_an_installation_and_tells_so():
    world = World()
    version = await world.publish()
    for device in (None, uuid4()):
        session_id = (await world.start(version, target=Target(device, "/games"))).session.id
        view = await world.report(session_id, 1, world.items_of(session_id, ItemStatus.COMPLETED))
        assert view.session.status is Status.COMPLETED
    installed = world.events(GameInstalled)
    assert [event.remaining_installations for event in installed] == [1, 2]
    assert [event.version_id for event in installed] == [version.version_id] * 2
    assert len(world.store.state.installations) == 2


async def test_a_stale_report_has_no_effect():
    world = World()
    session_id = (await world.start()).session.id
    await world.report(session_id, 7)
    before = len(world.store.events)
    view = await world.report(session_id, 7, world.items_of(session_id, ItemStatus.COMPLETED))
    assert (view.session.status, view.session.downloaded_bytes) == (Status.DOWNLOADING, 0)
    assert len(world.store.events) == before


async def test_a_report_on_a_paused_session_changes_nothing_and_answers_it():
    world = World()
    session_id = (await world.start()).session.id
    await _pause(world, session_id)
    view = await world.report(session_id, 1, world.items_of(session_id, ItemStatus.COMPLETED))
    assert (view.session.status, view.session.downloaded_bytes) == (Status.PAUSED, 0)


async def test_links_are_signed_for_the_sessions_chunks_in_the_order_asked_for_each_once():
    world = World()
    version = await world.publish()
    session_id = (await world.start(version)).session.id
    file_id = uuid5(version.version_id, "data/a.pak")
    last = digest("data/a.pak", 2)
    links = await world.links(session_id, [last, file_id, last, digest("bin/game", 0)])
    assert [link.chunk.sha256 for link in links] == [
        last,
        digest("data/a.pak", 0),
        digest("data/a.pak", 1),
        digest("bin/game", 0),
    ]
    assert f"/content/{version.product_id}/chunks/{last.hex()[:2]}/{last.hex()}?" in links[0].candidates[0].url
    assert links[0].candidates[0].expires_at == world.now + timedelta(seconds=600)
    assert await world.links(session_id, [uuid5(version.version_id, "data/empty")]) == []


async def test_one_foreign_chunk_among_own_ones_gets_no_link_at_all():
    world = World()
    version, other = await world.publish(), await world.publish(make_manifest(uuid4(), uuid4(), {"other": 900}))
    session_id = (await world.start(version)).session.id
    own = digest("bin/game", 0)
    assert await _reason(world.links(session_id, [own, digest("other", 0)])) == "FILE_NOT_FOUND"
    assert await _reason(world.links(session_id, [own, uuid5(other.version_id, "other")])) == "FILE_NOT_FOUND"


async def test_a_session_without_a_slot_gets_no_links():
    world = World()
    session_id = (await world.start()).session.id
    await _pause(world, session_id)
    assert await _reason(world.links(session_id, [digest("bin/game", 0)])) == "INVALID_STATE_TRANSITION"


async def test_a_file_of_too_many_chunks_is_asked_for_by_chunk():
    world = World()
    huge = {"huge": 400 * (MAX_LINKS_PER_ANSWER + 1)}
    version = await world.publish(make_manifest(uuid4(), uuid4(), huge))
    session_id = (await world.start(version)).session.id
    assert await _reason(world.links(session_id, [uuid5(version.version_id, "huge")])) == "INVALID_ARGUMENT"
    assert len(await world.links(session_id, [digest("huge", index) for index in range(1000)])) == 1000


async def test_access_is_remembered_for_a_minute_and_its_end_cancels():
    world = World()
    version = await world.publish()
    session_id = (await world.start(version)).session.id
    world.library.denied.add((world.user_id, version.product_id))
    chunk = [digest("bin/game", 0)]
    assert len(await world.links(session_id, chunk)) == 1
    world.now += timedelta(seconds=CACHE_SECONDS)
    assert await _reason(world.links(session_id, chunk)) == "PRODUCT_ACCESS_DENIED"
    assert (await world.view(session_id)).session.status is Status.CANCELLED
    assert await _reason(world.links(session_id, chunk)) == "INVALID_STATE_TRANSITION"


async def test_library_away_is_no_access_and_no_refusal_either():
    world = World()
    session_id = (await world.start()).session.id

    class Away:
        async def has_access(self, user_id: UUID, product_id: UUID) -> bool:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")

    world.access._access = Away()
    world.now += timedelta(seconds=CACHE_SECONDS)
    assert await _reason(world.links(session_id, [digest("bin/game", 0)])) == "SERVICE_UNAVAILABLE"
    assert (await world.view(session_id)).session.status is Status.INITIALIZING


async def test_a_removed_game_cancels_its_live_sessions_once_and_gives_their_slots_on():
    world = World(slots=1)
    version = await world.publish()
    first = (await world.start(version)).session.id
    second = (await world.start()).session.id

    async def removed():
        await end_access(
            world.store.begin,
            world.access,
            user_id=world.user_id,
            product_id=version.product_id,
            slots=1,
            now=world.now,
            event=("group", "test", "event-1"),
        )

    await removed()
    assert (await world.view(first)).session.status is Status.CANCELLED
    assert (await world.view(second)).session.status is Status.INITIALIZING
    again = (await world.start(version)).session.id
    await removed()
    assert (await world.view(again)).session.status is Status.QUEUED


async def test_a_late_word_of_a_removal_ends_nothing_that_the_user_may_have_again():
    world = World()
    version = await world.publish(make_manifest(uuid4(), uuid4()))
    session = (await world.start(version)).session

    async def hear(event_id: str) -> None:
        await follow_removal(
            world.store.begin,
            world.access,
            user_id=world.user_id,
            product_id=version.product_id,
            slots=1,
            now=world.now,
            event=("group", "test", event_id),
        )

    await hear("refunded, then bought again")
    assert (await world.view(session.id)).session.is_live
    world.library.denied.add((world.user_id, version.product_id))
    await hear("refunded again")
    assert (await world.view(session.id)).session.status is Status.CANCELLED


class Published:
    """The publisher's manifest, or its refusal."""

    def __init__(self, manifest: Manifest | None, reason: str = "") -> None:
        self.manifest, self.reason = manifest, reason

    async def fetch(self, announcement) -> Manifest:
        if self.manifest is None:
            raise DomainError(Kind.FAILED_PRECONDITION, self.reason)
        return self.manifest


async def test_an_announced_version_can_be_started_and_a_repetition_changes_nothing():
    world, manifest = World(), make_manifest(uuid4(), uuid4())
    announcement = make_announcement(manifest)
    for event_id in ("1", "1", "2"):
        await publish_version(world.store.begin, Published(manifest), announcement, event=("group", "test", event_id))
    [version] = await world.versions.of_product(manifest.product_id)
    assert (version.total_size_bytes, version.file_count) == (1300, 3)
    assert (await world.start(version)).session.total_size_bytes == 1300


async def test_a_version_never_changes_its_manifest_or_its_product():
    world, manifest = World(), make_manifest(uuid4(), uuid4())
    await publish_version(
        world.store.begin, Published(manifest), make_announcement(manifest), event=("group", "test", "1")
    )
    stolen = make_manifest(uuid4(), manifest.version_id, others=[file_entry("extra", 1)])
    publishing = publish_version(
        world.store.begin, Published(stolen), make_announcement(stolen), event=("group", "test", "2")
    )
    assert await _reason(publishing) == "MANIFEST_INVALID"
    assert await world.versions.of_product(stolen.product_id) == []


async def test_a_bad_manifest_leaves_the_version_unknown():
    world, manifest = World(), make_manifest(uuid4(), uuid4())
    bad = Published(None, "MANIFEST_SIGNATURE_INVALID")
    publishing = publish_version(world.store.begin, bad, make_announcement(manifest), event=("group", "test", "1"))
    assert await _reason(publishing) == "MANIFEST_SIGNATURE_INVALID"
    assert await world.versions.get(manifest.product_id, manifest.version_id) is None
