"""What every adapter of the unit of work promises: commit and rollback, uniqueness, locks, bulk rows, counts."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4, uuid5

import pytest

from chassis.errors import DomainError
from download_svc.paging import PageRequest
from download_svc.sessions.domain import Failure, ItemStatus, PauseReason, Status
from download_svc.versions.domain import VersionState
from download_svc.versions.manifests import Entry, EntryType, Platform
from tests.contract.download.conftest import Ports
from tests.unit.download.rig import NOW, digest, make_items, make_manifest, make_session, make_version


async def _stored(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4())
    version = await ports.publish(manifest)
    session = make_session(version)
    await ports.add(session, manifest)
    return session, manifest


async def test_what_is_committed_is_there_and_what_is_not_is_gone(ports: Ports):
    session, _ = await _stored(ports)
    async with ports.begin() as tx:
        found = await tx.sessions.get(session.user_id, session.id)
        assert found == session
        found.pause(NOW)
        await tx.sessions.save(found)
    view = await ports.sessions.get(session.user_id, session.id)
    assert view is not None
    assert view.session.status is Status.QUEUED
    async with ports.begin() as tx:
        await tx.sessions.save(found)
        await tx.commit()
    view = await ports.sessions.get(session.user_id, session.id)
    assert view is not None
    assert view.session.status is Status.PAUSED


async def test_an_error_inside_rolls_back(ports: Ports):
    session, _ = await _stored(ports)

    async def fail() -> None:
        async with ports.begin() as tx:
            session.pause(NOW)
            await tx.sessions.save(session)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    view = await ports.sessions.get(session.user_id, session.id)
    assert view is not None
    assert view.session.status is Status.QUEUED


async def test_every_member_of_a_session_is_kept(ports: Ports):
    session, _ = await _stored(ports)
    session.begin(NOW)
    session.report(9, [], {}, NOW + timedelta(seconds=1))
    session.items.failed = 1
    session.status, session.failure = Status.ERROR, Failure("CDN_ERROR", "text")
    session.queue_rank, session.downloaded_bytes = 4, 650
    session.take_events()
    async with ports.begin() as tx:
        await tx.sessions.save(session)
        await tx.commit()
    view = await ports.sessions.get(session.user_id, session.id)
    assert view is not None
    assert view.session == session


async def test_why_a_session_is_paused_is_kept_while_it_is(ports: Ports):
    session, _ = await _stored(ports)
    session.begin(NOW)
    session.lapse(NOW)
    for expected in (PauseReason.CLIENT_SILENT, None):
        async with ports.begin() as tx:
            await tx.sessions.save(session)
            await tx.commit()
        view = await ports.sessions.get(session.user_id, session.id)
        assert view is not None
        assert view.session == session
        assert view.session.pause_reason is expected
        session.take_events()
        if expected:
            session.resume(NOW)


async def test_sessions_that_are_silent_are_found_batch_by_batch(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4())
    version = await ports.publish(manifest)
    expected = []
    for status in Status:
        for age in (0, 10):
            session = make_session(version, device_id=uuid4())
            session.status = status
            session.failure = Failure("CDN_ERROR", "") if status is Status.ERROR else None
            session.updated_at = NOW - timedelta(seconds=age)
            await ports.add(session, manifest)
            if session.holds_slot and age:
                expected.append((session.user_id, session.id))
    found, after = [], None
    while batch := await ports.sessions.silent(NOW - timedelta(seconds=5), after=after, limit=1):
        found += batch
        after = batch[-1]
    own = {user_id for user_id, _ in expected}
    assert [one for one in found if one[0] in own] == sorted(expected)
    assert len(expected) == 3


async def test_live_sessions_of_retired_versions_are_found_batch_by_batch(ports: Ports):
    manifest, kept = make_manifest(uuid4(), uuid4()), make_manifest(uuid4(), uuid4())
    version, other = await ports.publish(manifest), await ports.publish(kept)
    expected = []
    for status in Status:
        for one, tree in ((version, manifest), (other, kept)):
            session = make_session(one)
            session.status = status
            session.failure = Failure("CDN_ERROR", "") if status is Status.ERROR else None
            await ports.add(session, tree)
            if one is version and session.is_live:
                expected.append((session.user_id, session.id))
    async with ports.begin() as tx:
        await tx.versions.retire(version.version_id)
        assert [one.state for one in await tx.versions.of_product(version.product_id)] == [VersionState.RETIRED]
        await tx.commit()
    assert [one.state for one in await ports.versions.of_product(version.product_id)] == [VersionState.RETIRED]
    assert [one.state for one in await ports.versions.of_product(other.product_id)] == [VersionState.KEPT]
    found, after = [], None
    while batch := await ports.sessions.of_withdrawn_versions(after=after, limit=2):
        found += batch
        after = batch[-1]
    assert [one for one in found if one in expected] == sorted(expected)
    assert len(expected) == 5


async def test_a_users_session_is_nobody_elses(ports: Ports):
    session, _ = await _stored(ports)
    assert await ports.sessions.get(uuid4(), session.id) is None
    async with ports.begin() as tx:
        assert await tx.sessions.get(uuid4(), session.id) is None
        assert await tx.sessions.live(uuid4()) == []
        assert await tx.sessions.items(uuid4(), session.id, [uuid4()]) == {}


async def test_a_second_live_session_of_product_and_device_is_refused_also_without_a_device(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4())
    version = await ports.publish(manifest)
    user_id, device_id = uuid4(), uuid4()
    for device in (None, device_id):
        first = make_session(version, user_id=user_id, device_id=device)
        await ports.add(first, manifest)
        with pytest.raises(DomainError) as caught:
            await ports.add(make_session(version, user_id=user_id, device_id=device), manifest)
        assert caught.value.reason == "DOWNLOAD_ALREADY_ACTIVE"
        first.cancel(NOW)
        async with ports.begin() as tx:
            await tx.sessions.save(first)
            await tx.commit()
        again = make_session(version, user_id=user_id, device_id=device)
        await ports.add(again, manifest)
        first.status = Status.QUEUED
        async with ports.begin() as tx:
            with pytest.raises(DomainError) as caught:
                await tx.sessions.save(first)
        assert caught.value.reason == "DOWNLOAD_ALREADY_ACTIVE"


async def test_live_sessions_are_those_that_have_not_ended(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4())
    version = await ports.publish(manifest)
    user_id = uuid4()
    for status in Status:
        session = make_session(version, user_id=user_id, device_id=uuid4())
        session.status = status
        session.failure = Failure("CDN_ERROR", "") if status is Status.ERROR else None
        await ports.add(session, manifest)
    async with ports.begin() as tx:
        live = await tx.sessions.live(user_id)
    assert {session.status.value for session in live} == {
        "queued",
        "initializing",
        "downloading",
        "paused",
        "verifying",
    }


async def test_items_are_made_of_the_versions_files(ports: Ports):
    others = [Entry("link", EntryType.SYMLINK, link_target="bin/game"), Entry("bin", EntryType.DIRECTORY)]
    manifest = make_manifest(uuid4(), uuid4(), others=others)
    session = make_session(await ports.publish(manifest))
    await ports.add(session, manifest)
    page = await ports.sessions.items(session, PageRequest())
    assert page.total == 3
    assert list(page.items) == list(make_items(session, manifest).values())


async def test_items_are_changed_together_and_only_those_named(ports: Ports):
    session, manifest = await _stored(ports)
    items = make_items(session, manifest)
    first, second, third = items.values()
    async with ports.begin() as tx:
        found = await tx.sessions.items(session.user_id, session.id, [first.id, second.id, uuid4()])
        assert dict(found) == {first.id: first, second.id: second}
        first = replace(first, status=ItemStatus.COMPLETED, downloaded_bytes=300, cdn_provider="origin")
        second = replace(second, status=ItemStatus.ERROR, retry_count=1, failure=Failure("CDN_ERROR", "text"))
        await tx.sessions.save_items(session.user_id, [first, second])
        await tx.sessions.save_items(session.user_id, [])
        await tx.commit()
    page = await ports.sessions.items(session, PageRequest())
    assert list(page.items) == [first, second, third]
    failed = await ports.sessions.items(session, PageRequest(), status=ItemStatus.ERROR)
    assert (list(failed.items), failed.total) == ([second], 1)
    async with ports.begin() as tx:
        await tx.sessions.reset_failed_items(session.user_id, session.id)
        await tx.commit()
    page = await ports.sessions.items(session, PageRequest())
    assert list(page.items) == [first, replace(second, status=ItemStatus.PENDING, failure=None), third]


async def test_writers_of_one_user_take_turns(ports: Ports):
    session, _ = await _stored(ports)
    order: list[str] = []
    locked, second_waits = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with ports.begin() as tx:
            await tx.sessions.lock(session.user_id)
            locked.set()
            await second_waits.wait()
            order.append("first")
            await tx.commit()

    async def second() -> None:
        await locked.wait()
        second_waits.set()
        async with ports.begin() as tx:
            await tx.sessions.lock(session.user_id)
            order.append("second")
            await tx.commit()

    await asyncio.gather(first(), second())
    assert order == ["first", "second"]


async def test_an_installation_is_counted_once_per_device(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4())
    version = await ports.publish(manifest)
    user_id, device_id = uuid4(), uuid4()
    counts = []
    for device in (None, None, device_id, device_id):
        installation = make_session(version, user_id=user_id, device_id=device).installation()
        async with ports.begin() as tx:
            counts.append(await tx.installations.put(installation, NOW))
            await tx.commit()
    assert counts == [1, 1, 2, 2]


async def test_an_event_is_handled_once_by_each_consumer(ports: Ports):
    event_id = str(uuid4())

    async def handle(consumer: str, source: str = "payment") -> bool:
        async with ports.begin() as tx:
            first = await tx.first_time(consumer, source, event_id)
            await tx.commit()
            return first

    assert [await handle("a"), await handle("a"), await handle("b")] == [True, False, True]
    assert [await handle("a", "catalog"), await handle("a", "catalog")] == [True, False]


async def test_a_version_is_known_by_its_id_alone(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4(), platform=Platform.WINDOWS)
    version = await ports.publish(manifest, channel="beta")
    async with ports.begin() as tx:
        assert await tx.versions.get(version.version_id) == version
        assert await tx.versions.get(uuid4()) is None


async def test_versions_are_read_by_product(ports: Ports):
    product_id = uuid4()
    first = await ports.publish(make_manifest(product_id, uuid4()))
    second = await ports.publish(make_manifest(product_id, uuid4()), name="2.0")
    await ports.publish(make_manifest(uuid4(), uuid4()))
    found = await ports.versions.of_product(product_id)
    assert {version.version_id for version in found} == {first.version_id, second.version_id}
    assert await ports.versions.get(product_id, second.version_id) == second
    assert await ports.versions.get(uuid4(), second.version_id) is None


async def test_files_and_chunks_are_those_of_the_version_alone(ports: Ports):
    product_id = uuid4()
    shared = {"bin/game": 300, "data/a.pak": 1000, "data/empty": 0}
    manifest = make_manifest(product_id, uuid4(), shared)
    await ports.publish(manifest)
    other = make_manifest(product_id, uuid4(), {"bin/game": 300, "only/here": 100})
    await ports.publish(other)
    files = await ports.versions.files(manifest.version_id)
    assert [(file.relative_path, file.file_metadata_id) for file in files] == [
        (path, uuid5(manifest.version_id, path)) for path in shared
    ]
    assert await ports.versions.files(uuid4()) == []
    chunks = {chunk.sha256: chunk for entry in manifest.entries for chunk in entry.chunks}
    asked = [digest("data/a.pak", 1), digest("bin/game", 0), digest("only/here", 0)]
    found = await ports.versions.chunks(manifest.version_id, asked)
    assert dict(found) == {sha256: chunks[sha256] for sha256 in asked[:2]}
    ids = [uuid5(manifest.version_id, path) for path in shared] + [uuid5(other.version_id, "only/here")]
    by_file = await ports.versions.chunks_of_files(manifest.version_id, ids, limit=100)
    assert {file_id: tuple(one) for file_id, one in by_file.items()} == {
        uuid5(manifest.version_id, entry.path): entry.chunks for entry in manifest.entries
    }
    few = await ports.versions.chunks_of_files(manifest.version_id, ids, limit=2)
    assert sum(map(len, few.values())) >= 2


async def test_sessions_are_paged_newest_first_with_filters(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4())
    version = await ports.publish(manifest)
    user_id = uuid4()
    made = []
    for number in range(5):
        session = make_session(version, user_id=user_id, device_id=uuid4(), now=NOW + timedelta(seconds=number))
        if number == 2:
            session.cancel(NOW)
        made.append(session)
        await ports.add(session, manifest)
    page = await ports.sessions.page(user_id, PageRequest(2, 2))
    assert ([view.session.id for view in page.items], page.total) == ([made[2].id, made[1].id], 5)
    cancelled = await ports.sessions.page(user_id, PageRequest(), status=Status.CANCELLED)
    assert [view.session.id for view in cancelled.items] == [made[2].id]
    nothing = await ports.sessions.page(user_id, PageRequest(), product_id=uuid4())
    assert (list(nothing.items), nothing.total) == ([], 0)
    beyond = await ports.sessions.page(user_id, PageRequest(9, 20), product_id=version.product_id)
    assert (list(beyond.items), beyond.total) == ([], 5)


async def test_the_queue_is_ordered_as_its_positions_say(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4())
    version = await ports.publish(manifest)
    user_id = uuid4()
    sessions = [
        make_session(
            version, user_id=user_id, device_id=uuid4(), priority=priority, now=NOW + timedelta(seconds=second)
        )
        for second, priority in enumerate([5, 5, 9, 5, 5])
    ]
    sessions[4].queue_rank = 1
    sessions[1].pause(NOW)
    sessions[3].begin(NOW)
    for session in sessions:
        await ports.add(session, manifest)
    expected = [sessions[index].id for index in (4, 2, 0, 3)]
    assert list(await ports.sessions.queue(user_id)) == expected
    page = await ports.sessions.page(user_id, PageRequest())
    positions = {view.session.id: view.queue_position for view in page.items}
    assert positions == {session_id: place for place, session_id in enumerate(expected, 1)} | {sessions[1].id: None}
    view = await ports.sessions.get(user_id, expected[1])
    assert view is not None
    assert view.queue_position == 2


async def test_a_version_of_nothing_can_be_started(ports: Ports):
    manifest = make_manifest(uuid4(), uuid4(), {})
    session = make_session(await ports.publish(manifest))
    await ports.add(session, manifest)
    page = await ports.sessions.items(session, PageRequest())
    assert (list(page.items), page.total) == ([], 0)
    assert make_version(manifest).total_size_bytes == 0
