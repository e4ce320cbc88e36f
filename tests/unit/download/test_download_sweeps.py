"""What sweeps make right: slots of silent clients go on, sessions and offers of withdrawn versions end, no row stops another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from chassis.errors import DomainError
from download_svc.paging import PageRequest
from download_svc.sessions import application as sessions
from download_svc.sessions import sweeps
from download_svc.sessions.domain import ItemStatus, PauseReason, Session, SessionMoved, Status, Target
from download_svc.transaction import Begin, Transaction
from download_svc.updates.announcements import announce_pending, offer_newer
from download_svc.updates.application import InstalledProduct, check_updates
from download_svc.updates.domain import UpdateOffered
from download_svc.versions.application import publish_version, withdraw_version
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Platform
from tests.unit.download.rig import World, make_announcement, make_manifest

SILENCE = timedelta(seconds=300)
LONG = SILENCE + timedelta(seconds=1)


async def sweep(world: World, begin: Begin | None = None) -> None:
    await sweeps.sweep(
        begin or world.store.begin, world.sessions, world.updates, world.policy, now=world.now, max_silence=SILENCE
    )


async def session_of(world: World, session_id: UUID) -> Session:
    return (await world.view(session_id)).session


async def reason(awaitable) -> str:
    with pytest.raises(DomainError) as caught:
        await awaitable
    return caught.value.reason


async def resume(world: World, session_id: UUID) -> None:
    await sessions.resume_download(
        world.store.begin, world.policy, user_id=world.user_id, session_id=session_id, now=world.now
    )


# --- silence -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reported", [None, ItemStatus.DOWNLOADING, ItemStatus.VERIFYING])
async def test_a_silent_client_gives_its_slot_on_and_its_next_report_queues_it_again(reported: ItemStatus | None):
    world = World(slots=1)
    first = (await world.start()).session.id
    if reported is not None:
        await world.report(first, 1, world.items_of(first, reported))
    world.now += SILENCE - timedelta(seconds=1)
    second = (await world.start()).session.id
    await sweep(world)
    assert (await session_of(world, first)).holds_slot, "not silent for long enough"
    world.now += LONG
    await sweep(world)
    lapsed = await session_of(world, first)
    assert (lapsed.status, lapsed.pause_reason) == (Status.PAUSED, PauseReason.CLIENT_SILENT)
    assert lapsed.failure is None
    assert (await session_of(world, second)).status is Status.INITIALIZING

    stale = await world.report(first, 1 if reported else -1)
    assert stale.session.status is Status.PAUSED, "an old report is nobody's word"
    assert (await world.report(first, 2)).session.status is Status.QUEUED
    assert (await session_of(world, first)).pause_reason is None
    await sessions.cancel_download(
        world.store.begin, world.policy, user_id=world.user_id, session_id=second, now=world.now
    )
    assert (await session_of(world, first)).status is Status.INITIALIZING
    done = await world.report(first, 3, world.items_of(first, ItemStatus.COMPLETED))
    assert done.session.status is Status.COMPLETED


async def test_with_a_slot_free_the_report_that_wakes_a_session_is_taken_in():
    world = World()
    one = (await world.start()).session.id
    world.now += LONG
    await sweep(world)
    woken = await world.report(one, 7, world.items_of(one, ItemStatus.COMPLETED))
    assert woken.session.status is Status.COMPLETED
    moves = [(event.previous, event.new) for event in world.events(SessionMoved)]
    assert moves[2:5] == [
        (Status.INITIALIZING, Status.PAUSED),
        (Status.PAUSED, Status.QUEUED),
        (Status.QUEUED, Status.INITIALIZING),
    ]


async def test_what_a_user_paused_is_not_woken_by_its_client_and_what_waits_does_not_lapse():
    world = World(slots=1)
    first, second = (await world.start()).session.id, (await world.start()).session.id
    await sessions.pause_download(
        world.store.begin, world.policy, user_id=world.user_id, session_id=first, now=world.now
    )
    third = (await world.start()).session.id
    await world.report(second, 1)
    world.now += LONG
    await world.report(second, 2)
    await sweep(world)
    assert (await world.report(first, 5)).session.status is Status.PAUSED
    assert (await session_of(world, second)).status is Status.DOWNLOADING
    assert (await session_of(world, third)).status is Status.QUEUED


async def test_one_rows_error_stops_no_other_and_a_batch_is_not_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweeps, "BATCH", 2)
    world = World()
    version = await world.publish()
    owners = {}
    for _ in range(5):
        world.user_id = uuid4()
        owners[(await world.start(version)).session.id] = world.user_id
    world.now += LONG
    failing = iter([True])

    @asynccontextmanager
    async def begin() -> AsyncIterator[Transaction]:
        async with world.store.begin() as tx:
            if next(failing, False):
                raise RuntimeError("nobody thought of this")
            yield tx

    with pytest.raises(ExceptionGroup) as failed:
        await sweep(world, begin)
    assert [str(error) for error in failed.value.exceptions] == ["nobody thought of this"]
    states = [one.status for one in world.store.state.sessions.values()]
    assert sorted(states) == ["initializing"] + ["paused"] * 4
    await sweep(world, begin)
    assert {one.status for one in world.store.state.sessions.values()} == {Status.PAUSED}


async def test_what_changed_since_it_was_looked_for_is_left_alone():
    world = World()
    one = (await world.start()).session.id
    world.now += LONG

    class Late:
        """Finds what has reported meanwhile."""

        async def silent(self, *_: object, **__: object):
            return [(world.user_id, one), (world.user_id, uuid4()), (uuid4(), one)]

        async def of_withdrawn_versions(self, **_: object):
            return []

    await world.report(one, 1)
    await sweeps.sweep(
        world.store.begin,
        Late(),  # type: ignore[arg-type]
        world.updates,
        world.policy,
        now=world.now,
        max_silence=SILENCE,
    )
    assert (await session_of(world, one)).status is Status.DOWNLOADING


# --- withdrawn versions --------------------------------------------------------------------------------------------------------


async def two_versions(world: World) -> tuple[Version, Version]:
    product_id = uuid4()
    older = await world.publish(make_manifest(product_id, uuid4()), released_at=world.now)
    newer = await world.publish(
        make_manifest(product_id, uuid4(), {"bin/game": 301}), released_at=world.now + timedelta(hours=1)
    )
    return older, newer


async def withdraw(world: World, version: Version) -> None:
    await withdraw_version(
        world.store.begin,
        product_id=version.product_id,
        version_id=version.version_id,
        event=("download-service", "test", str(uuid4())),
    )


async def install(world: World, version: Version, device_id: UUID | None = None) -> None:
    one = (await world.start(version, target=Target(device_id or uuid4()))).session.id
    await world.report(one, 1, world.items_of(one, ItemStatus.COMPLETED))


async def announce(world: World) -> None:
    await announce_pending(
        world.store.begin, world.announcements, world.versions, world.installations, world.plans, now=world.now
    )


async def offers(world: World) -> list[tuple[UUID, UUID, str]]:
    page = await world.updates.page(world.user_id, PageRequest(1, 100))
    return [(one.from_version_id, one.to_version_id, one.status.value) for one in page.items]


@pytest.mark.parametrize("status", ["queued", "initializing", "downloading", "verifying", "paused"])
async def test_live_sessions_of_a_withdrawn_version_end_by_name_and_do_not_begin_again(status: str):
    world = World(slots=1)
    _, version = await two_versions(world)
    if status == "queued":
        await world.start()
    one = (await world.start(version)).session.id
    if status in ("downloading", "verifying"):
        await world.report(one, 1, world.items_of(one, ItemStatus(status)))
    if status == "paused":
        await sessions.pause_download(
            world.store.begin, world.policy, user_id=world.user_id, session_id=one, now=world.now
        )
    assert (await session_of(world, one)).status.value == status
    await withdraw(world, version)
    if status == "paused":
        assert await reason(resume(world, one)) == "VERSION_NOT_AVAILABLE"
    await sweep(world)
    ended = await session_of(world, one)
    assert ended.status is Status.ERROR
    assert ended.failure is not None
    assert ended.failure.code == "VERSION_NOT_AVAILABLE"
    retried = sessions.retry_download(
        world.store.begin, world.policy, user_id=world.user_id, session_id=one, now=world.now
    )
    assert await reason(retried) == "VERSION_NOT_AVAILABLE"
    assert await reason(world.start(version)) == "VERSION_NOT_AVAILABLE"
    assert (await session_of(world, one)).status is Status.ERROR


async def test_who_has_a_withdrawn_version_is_offered_the_one_before():
    world = World()
    older, newer = await two_versions(world)
    await install(world, newer)
    await announce(world)
    await withdraw(world, newer)
    await announce(world)
    await sweep(world)
    assert await offers(world) == [(newer.version_id, older.version_id, "available")]
    assert [event.new_version_id for event in world.events(UpdateOffered)] == [older.version_id]
    installed = InstalledProduct(newer.product_id, newer.version_id)
    (found,) = await check_updates(world.versions, world.plans, [installed], permissions=frozenset())
    assert (found.latest, found.is_rollback) == (older, True)
    assert found.cost is not None
    (current,) = await check_updates(
        world.versions, world.plans, [replace(installed, current_version_id=older.version_id)], permissions=frozenset()
    )
    assert (current.latest, current.cost, current.is_rollback) == (older, None, False)


async def test_who_was_offered_a_withdrawn_version_is_offered_it_no_more():
    world = World()
    older, newer = await two_versions(world)
    oldest = await world.publish(
        make_manifest(older.product_id, uuid4(), {"a": 1}), released_at=older.released_at - timedelta(hours=1)
    )
    await install(world, oldest)
    async with world.store.begin() as tx:
        await tx.announcements.add(newer)
        await tx.commit()
    await announce(world)
    assert await offers(world) == [(oldest.version_id, newer.version_id, "available")]
    await withdraw(world, newer)
    await sweep(world)
    await announce(world)
    assert await offers(world) == [(oldest.version_id, older.version_id, "available")]


async def test_a_version_that_comes_to_a_device_after_it_was_withdrawn_is_gone_back_from():
    world = World()
    older, newer = await two_versions(world)
    device_id = uuid4()
    await install(world, newer, device_id)
    world.store.state.versions[newer.version_id] = replace(newer, state=VersionState.RETIRED)
    await offer_newer(
        world.store.begin,
        world.versions,
        world.installations,
        world.plans,
        user_id=world.user_id,
        device_id=device_id,
        product_id=newer.product_id,
        now=world.now,
    )
    assert await offers(world) == [(newer.version_id, older.version_id, "available")]


async def test_withdrawing_the_only_version_of_a_platform_offers_nothing_and_touches_no_other_platform():
    world = World()
    product_id = uuid4()
    version = await world.publish(make_manifest(product_id, uuid4()))
    other = await world.publish(make_manifest(product_id, uuid4(), platform=Platform.WINDOWS))
    await install(world, version)
    await withdraw(world, version)
    await announce(world)
    assert await offers(world) == []
    assert world.store.state.versions[other.version_id].state is VersionState.KEPT
    installed = InstalledProduct(product_id, version.version_id)
    (found,) = await check_updates(world.versions, world.plans, [installed], permissions=frozenset())
    assert (found.latest, found.cost) == (None, None)


async def test_a_withdrawal_is_heard_once_of_its_own_product_and_lasts():
    world = World()
    manifest = make_manifest(uuid4(), uuid4())

    class Source:
        async def fetch(self, _: object):
            return manifest

    async def publish() -> None:
        await publish_version(
            world.store.begin, Source(), make_announcement(manifest), event=("download-service", "test", str(uuid4()))
        )

    async def state() -> VersionState:
        return world.store.state.versions[manifest.version_id].state

    await publish()
    version = world.store.state.versions[manifest.version_id]
    await withdraw(world, replace(version, product_id=uuid4()))
    await withdraw(world, replace(version, version_id=uuid4()))
    assert await state() is VersionState.KEPT
    await withdraw(world, version)
    await withdraw(world, version)
    await publish()
    assert await state() is VersionState.RETIRED, "announcing it again does not bring it back"
