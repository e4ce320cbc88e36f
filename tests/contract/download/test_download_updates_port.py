"""Updates, their history, offers of new versions, and what installations answer about them: over every adapter."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from download_svc.installations.domain import Installation
from download_svc.paging import PageRequest
from download_svc.sessions.domain import UpdateType
from download_svc.updates.announcements import PendingAnnouncement
from download_svc.updates.domain import HistoryEntry, Update, UpdateOutcome, UpdateStatus
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Platform
from tests.contract.download.conftest import Ports
from tests.unit.download.rig import NOW, make_manifest

PAGE = PageRequest()


def update(user_id: UUID, version: Version, *, at: datetime = NOW, status: str = "available") -> Update:
    return Update(
        id=uuid4(),
        user_id=user_id,
        product_id=version.product_id,
        from_version_id=uuid4(),
        to_version_id=version.version_id,
        type=UpdateType.DELTA,
        size_bytes=7,
        release_notes_url="https://notes.example/1",
        status=UpdateStatus(status),
        created_at=at,
        updated_at=at,
    )


async def put(ports: Ports, *updates: Update) -> None:
    async with ports.begin() as tx:
        for one in updates:
            await tx.updates.put(one)
        await tx.commit()


async def versions(ports: Ports, count: int, **changes: object) -> list[Version]:
    """Of one product, the oldest first, a day between them."""
    product_id = uuid4()
    return [
        await ports.publish(make_manifest(product_id, uuid4(), **changes), released_at=NOW + timedelta(days=day))  # type: ignore[arg-type]
        for day in range(count)
    ]


async def test_an_update_is_one_per_user_and_version_and_keeps_its_id(ports: Ports) -> None:
    user_id, (version,) = uuid4(), await versions(ports, 1)
    first = update(user_id, version)
    await put(ports, first)
    later = update(user_id, version, at=NOW + timedelta(hours=1), status="downloading")
    await put(ports, later)
    (found,) = (await ports.updates.page(user_id, PAGE)).items
    assert (found.id, found.created_at) == (first.id, first.created_at)
    assert (found.status, found.updated_at) == (UpdateStatus.DOWNLOADING, later.updated_at)
    assert found.from_version_id == later.from_version_id
    async with ports.begin() as tx:
        assert await tx.updates.get(user_id, version.product_id, version.version_id) == found
        assert await tx.updates.get(uuid4(), version.product_id, version.version_id) is None
        await tx.updates.remove(found)
    assert (await ports.updates.page(user_id, PAGE)).total == 1, "a rollback removes nothing"
    async with ports.begin() as tx:
        await tx.updates.remove(found)
        await tx.commit()
    assert (await ports.updates.page(user_id, PAGE)).total == 0


async def test_pages_of_updates_are_filtered_and_ordered_by_the_last_change(ports: Ports) -> None:
    user_id, known = uuid4(), await versions(ports, 3)
    (other,) = await versions(ports, 1)
    for hour, one in enumerate([*known, other]):
        await put(ports, update(user_id, one, at=NOW + timedelta(hours=hour), status="failed" if hour else "applied"))
    everything = await ports.updates.page(user_id, PAGE)
    assert [one.to_version_id for one in everything.items] == [
        one.version_id for one in (other, known[2], known[1], known[0])
    ]
    failed = await ports.updates.page(user_id, PageRequest(2, 1), status=UpdateStatus.FAILED)
    assert ([one.to_version_id for one in failed.items], failed.total) == ([known[2].version_id], 3)
    assert (await ports.updates.page(user_id, PAGE, product_id=other.product_id)).total == 1
    assert (await ports.updates.page(uuid4(), PAGE)).total == 0


async def test_offers_up_to_a_release_are_removed_and_nothing_else(ports: Ports) -> None:
    user_id, (first, second, third) = uuid4(), await versions(ports, 3)
    (foreign,) = await versions(ports, 1)
    kept = [update(user_id, first, status="applied"), update(user_id, foreign), update(uuid4(), second)]
    await put(ports, *kept, update(user_id, second), update(user_id, third))
    async with ports.begin() as tx:
        await tx.updates.remove_available(user_id, first.product_id, released_until=second.released_at)
        await tx.commit()
    left = {one.to_version_id for one in (await ports.updates.page(user_id, PAGE)).items}
    assert left == {first.version_id, third.version_id, foreign.version_id}
    async with ports.begin() as tx:
        await tx.updates.remove_available(user_id, first.product_id)
        await tx.commit()
    left = {one.to_version_id for one in (await ports.updates.page(user_id, PAGE)).items}
    assert left == {first.version_id, foreign.version_id}
    assert (await ports.updates.page(kept[2].user_id, PAGE)).total == 1


async def test_history_is_the_users_newest_first_and_knows_what_a_version_replaced(ports: Ports) -> None:
    user_id, product_id, applied, before = uuid4(), uuid4(), uuid4(), [uuid4() for _ in range(3)]
    outcomes = [UpdateOutcome.SUCCESS, UpdateOutcome.SUCCESS, UpdateOutcome.FAILED]
    entries = [
        HistoryEntry(uuid4(), user_id, product_id, applied, previous, outcome, NOW + timedelta(hours=hour), None)
        for hour, (previous, outcome) in enumerate(zip(before, outcomes, strict=True))
    ]
    entries.append(
        HistoryEntry(uuid4(), user_id, product_id, before[0], None, UpdateOutcome.SUCCESS, NOW - timedelta(hours=1))
    )
    other = HistoryEntry(uuid4(), user_id, uuid4(), applied, before[0], UpdateOutcome.FAILED, NOW, "it failed")
    async with ports.begin() as tx:
        for entry in (*entries, other):
            await tx.updates.add_history(entry)
        await tx.commit()
    shown = await ports.updates.history(user_id, PAGE, product_id=product_id)
    assert list(shown.items) == sorted(entries, key=lambda entry: entry.applied_at, reverse=True)
    assert list((await ports.updates.history(user_id, PAGE, product_id=other.product_id)).items) == [other]
    second = await ports.updates.history(user_id, PageRequest(2, 2))
    assert (len(second.items), second.total) == (2, 5)
    assert (await ports.updates.history(uuid4(), PAGE)).total == 0
    assert list(await ports.updates.versions_before(user_id, product_id, applied)) == [before[1], before[0]]
    assert list(await ports.updates.versions_before(user_id, product_id, before[0])) == []
    assert list(await ports.updates.versions_before(uuid4(), product_id, applied)) == []


async def test_versions_of_several_products_are_read_at_once(ports: Ports) -> None:
    two, (one,) = await versions(ports, 2), await versions(ports, 1)
    found = await ports.versions.of_products([one.product_id, two[0].product_id, uuid4()])
    assert {product_id: {version.version_id for version in some} for product_id, some in found.items()} == {
        one.product_id: {one.version_id},
        two[0].product_id: {version.version_id for version in two},
    }
    assert await ports.versions.of_products([]) == {}


async def test_an_announcement_is_pending_until_it_is_finished_and_only_goes_on(ports: Ports) -> None:
    (version,) = await versions(ports, 1)

    async def pending() -> list[PendingAnnouncement]:
        return [one for one in await ports.announcements.pending(NOW) if one.version_id == version.version_id]

    assert await pending() == []
    async with ports.begin() as tx:
        await tx.announcements.add(version)
        await tx.commit()
    assert await pending() == [PendingAnnouncement(version.version_id, version.product_id, None)]
    low, high = (UUID(int=1), UUID(int=9)), (UUID(int=2), UUID(int=3))
    for after in (high, low):  # another worker is slower
        async with ports.begin() as tx:
            await tx.announcements.advance(version.version_id, after)
            await tx.commit()
    assert [one.after for one in await pending()] == [high]
    for until, left in ((NOW + timedelta(seconds=1), []), (NOW, [high])):
        async with ports.begin() as tx:
            await tx.announcements.set_aside(version.version_id, until=until, reason="\0 broken " * 500)
            await tx.commit()
        assert [one.after for one in await pending()] == left
    async with ports.begin() as tx:
        await tx.announcements.finish(version.version_id)
        await tx.commit()
    assert await pending() == []


async def test_what_is_behind_a_version_is_found_batch_by_batch(ports: Ports) -> None:
    old, newer, newest = await versions(ports, 3)
    windows = await ports.publish(make_manifest(old.product_id, uuid4(), platform=Platform.WINDOWS), released_at=NOW)
    device_id = uuid4()

    def installed(version: Version) -> Installation:
        return Installation(uuid4(), device_id, version.product_id, version.version_id, version.platform, None)

    behind = [installed(one) for one in (old, old, newer, old)]
    (stranger,) = await versions(ports, 1)
    async with ports.begin() as tx:
        await tx.sessions.lock_all({one.user_id for one in behind})
        for one in (*behind, installed(newest), installed(windows), installed(stranger)):
            await tx.installations.put(one, NOW)
        await tx.commit()
    found, after = [], None
    while batch := await ports.installations.behind(newest, after=after, limit=3):
        assert len(batch) <= 3
        found += [kept.installation for kept in batch]
        after = (batch[-1].installation.user_id, batch[-1].id)
    assert found == sorted(behind, key=lambda one: one.user_id)

    one = behind[0]
    kept = await ports.installations.on_device(one.user_id, device_id, one.product_id)
    assert kept is not None
    assert kept.installation == one
    async with ports.begin() as tx:
        assert await tx.installations.on_device(one.user_id, device_id, one.product_id) == kept
        assert await tx.installations.on_device(one.user_id, None, one.product_id) is None
    assert await ports.installations.on_device(uuid4(), device_id, one.product_id) is None


async def test_offers_of_retired_versions_are_found_and_no_other_updates(ports: Ports) -> None:
    retired = await ports.publish(make_manifest(uuid4(), uuid4()), state=VersionState.RETIRED)
    kept = await ports.publish(make_manifest(uuid4(), uuid4()))
    user_id = uuid4()
    await put(ports, update(user_id, retired), update(uuid4(), retired, status="failed"), update(user_id, kept))
    await put(ports, *(update(uuid4(), retired) for _ in range(3)))
    found: list[Update] = []
    after = None
    while batch := await ports.updates.of_withdrawn_versions(after=after, limit=2):
        found += batch
        after = (batch[-1].user_id, batch[-1].id)
    assert [(one.user_id, one.id) for one in found] == sorted((one.user_id, one.id) for one in found)
    own = [one for one in found if one.product_id in (retired.product_id, kept.product_id)]
    assert {one.to_version_id for one in own} == {retired.version_id}
    assert len(own) == 4
    assert user_id in {one.user_id for one in own}


async def test_an_announcement_that_was_done_is_pending_again_from_the_first(ports: Ports) -> None:
    version = await ports.publish(make_manifest(uuid4(), uuid4()))

    async def pending() -> list[tuple[UUID, UUID] | None]:
        return [one.after for one in await ports.announcements.pending(NOW) if one.version_id == version.version_id]

    for done in (False, True, True):
        async with ports.begin() as tx:
            await tx.announcements.add(version)
            await tx.announcements.advance(version.version_id, (uuid4(), uuid4()))
            if done:
                await tx.announcements.finish(version.version_id)
            await tx.commit()
        assert len(await pending()) == (0 if done else 1)
        async with ports.begin() as tx:
            assert await tx.announcements.is_pending(version.version_id) is not done
    async with ports.begin() as tx:
        await tx.announcements.add(version)
        await tx.commit()
    assert await pending() == [None]


async def test_a_retired_version_is_behind_the_one_that_is_left(ports: Ports) -> None:
    product_id = uuid4()
    left = await ports.publish(make_manifest(product_id, uuid4()), released_at=NOW)
    later = NOW + timedelta(hours=1)
    retired = await ports.publish(make_manifest(product_id, uuid4()), released_at=later, state=VersionState.RETIRED)
    newer = await ports.publish(make_manifest(product_id, uuid4()), released_at=later)
    owners = {}
    for version in (left, retired, newer):
        owners[version.version_id] = uuid4()
        async with ports.begin() as tx:
            one = Installation(owners[version.version_id], None, product_id, version.version_id, version.platform, None)
            await tx.installations.put(one, NOW)
            await tx.commit()
    behind = await ports.installations.behind(left, after=None, limit=10)
    assert [one.installation.user_id for one in behind] == [owners[retired.version_id]]
