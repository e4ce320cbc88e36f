"""Updates over memory adapters: what is newer, sessions over a version and back, their row and history, offers of new versions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from chassis.errors import DomainError, Kind
from download_svc.access.application import end_access
from download_svc.installations.application import change_installation, report_uninstalled
from download_svc.installations.domain import Installation, InstallationChanges, KeptInstallation
from download_svc.paging import PageRequest
from download_svc.sessions import application as sessions
from download_svc.sessions.application import SessionView, StartRequest
from download_svc.sessions.domain import ItemReport, ItemStatus, Status, Target, UpdateType
from download_svc.transaction import Transaction
from download_svc.updates.announcements import (
    MAX_PENDING_ANNOUNCEMENTS,
    PAUSE_WHEN_UNAVAILABLE,
    SET_ASIDE_FOR,
    announce_pending,
    offer_newer,
)
from download_svc.updates.application import InstalledProduct, apply_update, check_updates, rollback_update
from download_svc.updates.domain import HistoryEntry, Update, UpdateOffered, UpdateOutcome, UpdateStatus
from download_svc.updates.planning import MAX_CACHED_PLANS, Plans, session_plan
from download_svc.updates.plans import FileAction, VersionPlan
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Entry, Platform
from tests.fakes.download.store import MemoryManifestReader
from tests.unit.download.rig import World, make_manifest

OLD = {"a": 400, "b": 800, "gone": 100}
NEW = {"a": 400, "b": 1200, "more": 500}
EVERYTHING = PageRequest(1, 100)


async def reason(awaitable) -> str:
    with pytest.raises(DomainError) as caught:
        await awaitable
    return caught.value.reason


async def failures(awaitable) -> list[Exception]:
    with pytest.raises(ExceptionGroup) as caught:
        await awaitable
    return list(caught.value.exceptions)


class Shelf:
    """A product's versions, the oldest first, and a user who does things with them."""

    def __init__(self, *, slots: int = 3) -> None:
        self.world = World(slots=slots)
        self.product_id = uuid4()
        self.device_id: UUID | None = uuid4()

    async def publish(self, *trees: dict[str, int], **version: object) -> list[Version]:
        made = []
        for tree in trees:
            self.world.now += timedelta(hours=1)
            platform = version.pop("platform", Platform.LINUX)
            manifest = make_manifest(self.product_id, uuid4(), tree, platform=platform)  # type: ignore[arg-type]
            made.append(await self.world.publish(manifest, released_at=self.world.now, **version))
        return made

    def _acting(self, permissions: Sequence[str]) -> dict[str, object]:
        self.world.now += timedelta(seconds=1)
        return {
            "user_id": self.world.user_id,
            "permissions": frozenset(permissions),
            "session_id": uuid4(),
            "now": self.world.now,
        }

    def request(self, to: Version | None, **request: object) -> StartRequest:
        return StartRequest(self.product_id, to.version_id if to else None, target=Target(self.device_id), **request)  # type: ignore[arg-type]

    async def apply(
        self, old: Version, to: Version | None = None, *, permissions: Sequence[str] = (), **request: object
    ) -> tuple[SessionView, VersionPlan]:
        world = self.world
        return await apply_update(
            world.store.begin,
            world.versions,
            world.access,
            world.plans,
            world.policy,
            self.request(to, **request),
            from_version_id=old.version_id,
            **self._acting(permissions),  # type: ignore[arg-type]
        )

    async def rollback(
        self, to: Version | None = None, *, old: Version | None = None, permissions: Sequence[str] = ()
    ) -> tuple[SessionView, VersionPlan]:
        world = self.world
        return await rollback_update(
            world.store.begin,
            world.versions,
            world.installations,
            world.updates,
            world.access,
            world.plans,
            world.policy,
            self.request(to),
            from_version_id=old.version_id if old else None,
            **self._acting(permissions),  # type: ignore[arg-type]
        )

    async def complete(self, view: SessionView) -> None:
        session_id, sequence = view.session.id, (await self.world.view(view.session.id)).session.last_sequence + 1
        await self.world.report(session_id, sequence, self.world.items_of(session_id, ItemStatus.COMPLETED))

    async def fail(self, view: SessionView) -> None:
        session = (await self.world.view(view.session.id)).session
        item = next(iter(self.world.store.state.items[session.id]))
        report = ItemReport(item, ItemStatus.ERROR, 0, None, "FILE_HASH_MISMATCH")
        await self.world.report(session.id, session.last_sequence + 1, [report])

    async def install(self, version: Version) -> None:
        view = await self.world.start(version, target=Target(self.device_id))
        await self.complete(view)

    async def updates(self, **filters: object) -> list[Update]:
        return list((await self.world.updates.page(self.world.user_id, EVERYTHING, **filters)).items)  # type: ignore[arg-type]

    async def statuses(self) -> dict[UUID, str]:
        return {one.to_version_id: one.status.value for one in await self.updates()}

    async def history(self) -> list[HistoryEntry]:
        return list((await self.world.updates.history(self.world.user_id, EVERYTHING)).items)

    async def announce(self) -> None:
        world = self.world
        await announce_pending(
            world.store.begin, world.announcements, world.versions, world.installations, world.plans, now=world.now
        )

    async def pending(self, *versions: Version) -> None:
        async with self.world.store.begin() as tx:
            for version in versions:
                await tx.announcements.add(version)
            await tx.commit()


# --- what is newer -------------------------------------------------------------------------------------------------------------


async def test_a_check_says_for_each_product_in_order_what_is_newer() -> None:
    shelf = Shelf()
    old, _, new = await shelf.publish(OLD, OLD, NEW)
    products = [
        InstalledProduct(shelf.product_id, old.version_id),
        InstalledProduct(uuid4(), uuid4()),
        InstalledProduct(shelf.product_id, new.version_id),
        InstalledProduct(shelf.product_id, uuid4()),
    ]
    world = shelf.world
    newer, unknown, newest, lost = await check_updates(world.versions, world.plans, products, permissions=frozenset())
    assert (newer.latest, unknown.latest, newest.latest, lost.latest) == (new, None, new, new)
    assert (unknown.cost, newest.cost) == (None, None)
    plan = await world.plans.between(old, new)
    assert newer.cost is not None
    assert (newer.cost.update_type, newer.cost.fetch_bytes) == (UpdateType.DELTA, plan.fetch_bytes)
    assert newer.cost.required_disk_space_bytes == 1200 + 500
    assert lost.cost is not None
    assert lost.cost.update_type is UpdateType.FULL


async def test_an_update_is_critical_when_any_version_on_the_way_is() -> None:
    shelf = Shelf()
    world = shelf.world
    (old,) = await shelf.publish(OLD)
    (critical,) = await shelf.publish(OLD)
    world.store.state.versions[critical.version_id] = _critical(critical)
    await shelf.publish(NEW)

    async def asked(version: Version) -> bool:
        product = InstalledProduct(shelf.product_id, version.version_id)
        (found,) = await check_updates(world.versions, world.plans, [product], permissions=frozenset())
        return found.is_critical

    assert await asked(old)
    assert not await asked(critical), "it is in place"


def _critical(version: Version) -> Version:
    values = {name: getattr(version, name) for name in Version.__dataclass_fields__}
    return Version(**{**values, "is_critical": True})


async def test_other_channels_and_older_versions_are_no_update() -> None:
    shelf = Shelf()
    old, stable = await shelf.publish(OLD, NEW)
    (beta,) = await shelf.publish(NEW, channel="beta")
    world = shelf.world
    for current, permissions in ((stable, ()), (beta, ("channel:beta",))):
        product = InstalledProduct(shelf.product_id, current.version_id)
        (found,) = await check_updates(world.versions, world.plans, [product], permissions=frozenset(permissions))
        assert found.cost is None
    assert old.released_at < stable.released_at


async def test_plans_are_remembered_and_only_so_many_whole_ones() -> None:
    class Counting(MemoryManifestReader):
        reads = 0

        async def entries(self, version: Version) -> Sequence[Entry]:
            Counting.reads += 1
            return await super().entries(version)

    shelf = Shelf()
    versions = await shelf.publish(*({"a": 400 * size} for size in range(1, MAX_CACHED_PLANS + 3)))
    plans = Plans(Counting(shelf.world.store), shelf.world.patches)
    costs = [await plans.cost(versions[0], one) for one in versions[1:]]
    reads = Counting.reads
    assert [await plans.cost(versions[0], one) for one in versions[1:]] == costs
    assert reads == Counting.reads, "what a plan costs is remembered beyond the plan"
    await asyncio.gather(*(plans.between(versions[0], one) for one in versions[1:] for _ in range(2)))
    assert Counting.reads > reads
    assert [(await plans.between(versions[0], one)).fetch_bytes for one in versions[1:]] == [
        cost.fetch_bytes for cost in costs
    ]


# --- over a version ------------------------------------------------------------------------------------------------------------


async def test_an_update_follows_its_session_to_the_end() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    await shelf.install(old)
    assert (await shelf.updates(), await shelf.history()) == ([], []), "a first installation is no update"
    view, plan = await shelf.apply(old)
    session = view.session
    assert (session.version_id, session.from_version_id) == (new.version_id, old.version_id)
    assert session.update_type is UpdateType.DELTA
    (update,) = await shelf.updates()
    assert (update.from_version_id, update.to_version_id) == (old.version_id, new.version_id)
    assert (update.status.value, update.size_bytes) == ("downloading", plan.fetch_bytes)
    await shelf.complete(view)
    assert await shelf.statuses() == {new.version_id: "applied"}
    (entry,) = await shelf.history()
    assert (entry.applied_version_id, entry.previous_version_id) == (new.version_id, old.version_id)
    assert (entry.outcome, entry.error_message) == (UpdateOutcome.SUCCESS, None)


async def test_a_failed_update_is_told_each_time_and_a_retry_goes_on() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    view, _ = await shelf.apply(old)
    await shelf.fail(view)
    assert await shelf.statuses() == {new.version_id: "failed"}
    (failed,) = await shelf.history()
    assert failed.outcome is UpdateOutcome.FAILED
    assert failed.error_message
    assert "FILE_HASH_MISMATCH" in failed.error_message
    world = shelf.world
    await sessions.retry_download(
        world.store.begin, world.policy, user_id=world.user_id, session_id=view.session.id, now=world.now
    )
    assert await shelf.statuses() == {new.version_id: "downloading"}
    await shelf.complete(view)
    assert await shelf.statuses() == {new.version_id: "applied"}
    assert [entry.outcome.value for entry in await shelf.history()] == ["success", "failed"]


async def test_a_cancelled_update_can_still_be_had_and_a_cancelled_way_back_was_no_offer() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    world = shelf.world
    for current, to, left in ((old, new, {new.version_id: "available"}), (new, old, {new.version_id: "available"})):
        view, _ = await shelf.apply(current, to)
        assert (await shelf.statuses())[to.version_id] == "downloading"
        await sessions.cancel_download(
            world.store.begin, world.policy, user_id=world.user_id, session_id=view.session.id, now=world.now
        )
        assert await shelf.statuses() == left
    view, _ = await shelf.apply(old)
    await end_access(
        world.store.begin,
        world.access,
        user_id=world.user_id,
        product_id=shelf.product_id,
        slots=3,
        now=world.now,
    )
    assert (await world.view(view.session.id)).session.status is Status.CANCELLED
    assert await shelf.statuses() == {new.version_id: "available"}
    assert await shelf.history() == []


async def test_an_update_needs_room_for_its_plan_only() -> None:
    shelf = Shelf()
    old, _ = await shelf.publish(OLD, NEW)
    assert await reason(shelf.apply(old, free_space_bytes=1699)) == "INSUFFICIENT_CLIENT_DISK_SPACE"
    view, plan = await shelf.apply(old, free_space_bytes=1700)
    assert plan.required_disk_space_bytes == 1700
    assert view.session.total_size_bytes == 2100, "less than the whole version is free, and it goes"


async def test_an_update_is_refused_that_cannot_be() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    (retired,) = await shelf.publish(OLD, state=VersionState.RETIRED)
    (beta,) = await shelf.publish(OLD, channel="beta")
    (foreign,) = await Shelf().publish(OLD)
    assert await reason(shelf.apply(new)) == "INVALID_ARGUMENT"
    assert await reason(shelf.apply(foreign)) == "VERSION_NOT_FOUND"
    assert await reason(shelf.apply(old, foreign)) == "VERSION_NOT_FOUND"
    assert await reason(shelf.apply(old, beta)) == "VERSION_NOT_FOUND"
    assert await reason(shelf.apply(old, retired)) == "VERSION_NOT_AVAILABLE"
    shelf.world.library.denied.add((shelf.world.user_id, shelf.product_id))
    assert await reason(shelf.apply(old)) == "PRODUCT_ACCESS_DENIED"
    assert await shelf.updates() == []
    shelf.world.library.denied.clear()
    await shelf.apply(old, beta, permissions=["channel:beta"])
    assert await reason(shelf.apply(old)) == "DOWNLOAD_ALREADY_ACTIVE"
    assert await shelf.statuses() == {beta.version_id: "downloading"}, "what was refused left nothing"


async def test_a_manifest_that_is_away_is_said_before_anything_is_begun() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    kept = shelf.world.store.state.entries.pop(new.version_id)
    with pytest.raises(DomainError) as failure:
        await shelf.apply(old)
    assert failure.value.kind is Kind.UNAVAILABLE
    assert not shelf.world.store.state.sessions
    shelf.world.store.state.entries[new.version_id] = kept
    assert (await shelf.apply(old))[1].fetch_bytes


async def test_installing_over_another_version_is_history_even_when_nobody_said_from_where() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    await shelf.install(old)
    await shelf.install(new)
    (entry,) = await shelf.history()
    assert (entry.applied_version_id, entry.previous_version_id) == (new.version_id, old.version_id)
    await shelf.install(new)
    assert len(await shelf.history()) == 1, "the same version again is none"


async def test_the_plan_of_a_session_is_the_one_it_was_begun_with() -> None:
    shelf = Shelf()
    old, _ = await shelf.publish(OLD, NEW)
    view, plan = await shelf.apply(old)
    world = shelf.world

    async def planned(user_id: UUID) -> VersionPlan:
        _, found = await session_plan(
            world.sessions,
            world.versions,
            world.verifications,
            world.plans,
            user_id=user_id,
            session_id=view.session.id,
        )
        return found

    assert await planned(world.user_id) == plan
    assert {one.path: one.action for one in plan.files} == {
        "a": FileAction.KEEP,
        "b": FileAction.CHUNKS,
        "gone": FileAction.DELETE,
        "more": FileAction.CHUNKS,
    }
    assert await reason(planned(uuid4())) == "DOWNLOAD_NOT_FOUND"


# --- and back ------------------------------------------------------------------------------------------------------------------


async def test_a_rollback_goes_to_what_the_version_replaced() -> None:
    shelf = Shelf()
    first, _, third = await shelf.publish(OLD, OLD, NEW)
    await shelf.install(first)
    view, _ = await shelf.apply(first, third)
    await shelf.complete(view)
    back, plan = await shelf.rollback()
    assert (back.session.version_id, back.session.from_version_id) == (first.version_id, third.version_id)
    assert plan.update_type is UpdateType.DELTA
    await shelf.complete(back)
    assert (await shelf.history())[0].previous_version_id == third.version_id
    assert (await shelf.statuses())[first.version_id] == "applied"
    assert await reason(shelf.rollback()) == "VERSION_NOT_FOUND", "back from the oldest there is nothing"


async def test_a_rollback_without_history_goes_to_the_newest_that_is_older() -> None:
    shelf = Shelf()
    _, second, third = await shelf.publish(OLD, OLD, NEW)
    await shelf.install(third)
    (beta,) = await shelf.publish(OLD, channel="beta")
    back, _ = await shelf.rollback()
    assert back.session.version_id == second.version_id
    elsewhere = Shelf()
    elsewhere.world, elsewhere.product_id = shelf.world, shelf.product_id
    assert await reason(elsewhere.rollback()) == "INSTALLATION_NOT_FOUND", "nothing is on that device"
    named, _ = await elsewhere.rollback(old=beta, permissions=["channel:beta"])
    assert named.session.version_id == third.version_id


async def test_a_rollback_to_a_version_by_name_must_go_back() -> None:
    shelf = Shelf()
    first, second, third = await shelf.publish(OLD, OLD, NEW)
    await shelf.install(second)
    assert await reason(shelf.rollback(third)) == "INVALID_ARGUMENT"
    assert await reason(shelf.rollback(second)) == "INVALID_ARGUMENT"
    (foreign,) = await Shelf().publish(OLD)
    assert await reason(shelf.rollback(foreign)) == "VERSION_NOT_FOUND"
    assert await reason(shelf.rollback(old=foreign)) == "VERSION_NOT_FOUND"
    back, _ = await shelf.rollback(first)
    assert back.session.version_id == first.version_id


async def test_a_version_that_can_no_longer_be_had_is_passed_over_on_the_way_back() -> None:
    shelf = Shelf()
    first, second, third = await shelf.publish(OLD, OLD, NEW)
    await shelf.install(second)
    await shelf.install(third)
    values = {name: getattr(second, name) for name in Version.__dataclass_fields__}
    shelf.world.store.state.versions[second.version_id] = Version(**{**values, "state": VersionState.RETIRED})
    back, _ = await shelf.rollback()
    assert back.session.version_id == first.version_id


# --- offers --------------------------------------------------------------------------------------------------------------------


async def put(shelf: Shelf, version: Version, user_id: UUID, device_id: UUID | None = None) -> None:
    installation = Installation(
        user_id, device_id or uuid4(), shelf.product_id, version.version_id, version.platform, None
    )
    async with shelf.world.store.begin() as tx:
        await tx.installations.put(installation, shelf.world.now)
        await tx.commit()


async def offers_of(shelf: Shelf, user_id: UUID) -> list[Update]:
    return list((await shelf.world.updates.page(user_id, EVERYTHING)).items)


async def test_a_new_version_is_offered_once_to_each_who_has_an_older_one() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    (windows,) = await shelf.publish(OLD, platform=Platform.WINDOWS)
    users = [uuid4() for _ in range(230)]
    for user_id in users:
        await put(shelf, old, user_id)
    await put(shelf, old, users[0])  # a second device
    newest, elsewhere = uuid4(), uuid4()
    await put(shelf, new, newest)
    await put(shelf, windows, elsewhere)
    await shelf.pending(new)
    await shelf.announce()
    told = [event.user_id for event in shelf.world.events(UpdateOffered)]
    assert sorted(told) == sorted(users)
    (offer,) = await offers_of(shelf, users[0])
    assert (offer.from_version_id, offer.to_version_id, offer.status.value) == (
        old.version_id,
        new.version_id,
        "available",
    )
    assert offer.size_bytes == (await shelf.world.plans.between(old, new)).fetch_bytes
    assert await offers_of(shelf, newest) == await offers_of(shelf, elsewhere) == []
    await shelf.pending(new)
    await shelf.announce()
    assert len(shelf.world.events(UpdateOffered)) == len(users), "a second time nobody is told"


async def test_an_announcement_that_broke_off_goes_on_where_it_was() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    users = sorted(uuid4() for _ in range(150))
    for user_id in users:
        await put(shelf, old, user_id)
    await shelf.pending(new)
    reads = 0
    behind = shelf.world.installations.behind

    async def breaking(*words: object, **named: object) -> Sequence[KeptInstallation]:
        nonlocal reads
        reads += 1
        if reads == 2:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        return await behind(*words, **named)  # type: ignore[arg-type]

    shelf.world.installations.behind = breaking  # type: ignore[method-assign]
    (failure,) = await failures(shelf.announce())
    assert str(failure) == "SERVICE_UNAVAILABLE"
    assert await shelf.world.announcements.pending(shelf.world.now) == []
    shelf.world.now += PAUSE_WHEN_UNAVAILABLE
    (pending,) = await shelf.world.announcements.pending(shelf.world.now)
    assert pending.after is not None
    assert pending.after[0] == users[99]
    assert len(shelf.world.events(UpdateOffered)) == 100
    await shelf.announce()
    assert len(shelf.world.events(UpdateOffered)) == 150
    assert await shelf.world.announcements.pending(shelf.world.now) == []


async def test_announcements_that_fail_are_in_no_others_way() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    user_id = uuid4()
    await put(shelf, old, user_id)
    broken = []
    for _ in range(MAX_PENDING_ANNOUNCEMENTS + 1):
        other = Shelf()
        other.world = shelf.world
        broken += await other.publish(OLD)
    await shelf.pending(*broken, new)
    of_product, bad = shelf.world.versions.of_product, {version.product_id for version in broken}

    async def breaking(product_id: UUID) -> Sequence[Version]:
        if product_id in bad:
            raise OverflowError("date value out of range")
        return await of_product(product_id)

    shelf.world.versions.of_product = breaking  # type: ignore[method-assign]
    assert len(await failures(shelf.announce())) == MAX_PENDING_ANNOUNCEMENTS
    assert len(await failures(shelf.announce())) == 1
    assert [event.user_id for event in shelf.world.events(UpdateOffered)] == [user_id]
    bad.clear()
    await shelf.announce()  # they are set aside
    assert shelf.world.store.records.announcements.keys() == {version.version_id for version in broken}
    shelf.world.now += SET_ASIDE_FOR
    for _ in range(2):
        await shelf.announce()
    assert not shelf.world.store.records.announcements


async def test_an_installation_that_cannot_be_offered_an_update_is_passed_over() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    users = sorted(uuid4() for _ in range(5))
    for user_id in users:
        await put(shelf, old, user_id)
    await shelf.pending(new)
    begin = shelf.world.store.begin

    @asynccontextmanager
    async def breaking() -> AsyncIterator[Transaction]:
        async with begin() as tx:
            put_update = tx.updates.put

            async def put(update: Update) -> None:
                if update.user_id == users[2]:
                    raise ValueError("no such update")
                await put_update(update)

            tx.updates.put = put  # type: ignore[method-assign]
            yield tx

    shelf.world.store.begin = breaking  # type: ignore[method-assign]
    (failure,) = await failures(shelf.announce())
    assert str(users[2]) in failure.__notes__[0]
    told = {event.user_id for event in shelf.world.events(UpdateOffered)}
    assert told == {*users} - {users[2]}
    await shelf.announce()


async def test_an_old_version_that_cannot_be_read_costs_no_offer() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    user_id = uuid4()
    await put(shelf, old, user_id)
    entries = shelf.world.plans.manifests.entries

    async def breaking(version: Version) -> Sequence[Entry]:
        if version == old:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        return await entries(version)

    shelf.world.plans.manifests.entries = breaking  # type: ignore[method-assign]
    await shelf.pending(new)
    await shelf.announce()
    (offer,) = await offers_of(shelf, user_id)
    assert offer.size_bytes == (await shelf.world.plans.between(None, new)).fetch_bytes


async def test_only_the_newest_stable_version_is_offered_and_takes_the_place_of_older_offers() -> None:
    shelf = Shelf()
    old, second, third = await shelf.publish(OLD, OLD, NEW)
    (beta,) = await shelf.publish(NEW, channel="beta")
    user_id = uuid4()
    await put(shelf, old, user_id)
    await shelf.pending(second, beta)
    await shelf.announce()
    assert await offers_of(shelf, user_id) == []
    async with shelf.world.store.begin() as tx:  # as it was before the third came
        await tx.updates.put(_offer(user_id, old, second))
        await tx.commit()
    await shelf.pending(third)
    await shelf.announce()
    assert [one.to_version_id for one in await offers_of(shelf, user_id)] == [third.version_id]


def _offer(user_id: UUID, old: Version, new: Version) -> Update:
    return Update(
        uuid4(),
        user_id,
        new.product_id,
        old.version_id,
        new.version_id,
        UpdateType.DELTA,
        1,
        None,
        UpdateStatus.AVAILABLE,
        new.released_at,
        new.released_at,
    )


async def test_a_pinned_installation_is_offered_the_version_without_a_word_to_the_platform() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    await shelf.install(old)
    world = shelf.world
    (kept,) = (await world.installations.page(world.user_id, EVERYTHING)).items
    await change_installation(
        world.store.begin,
        user_id=world.user_id,
        installation_id=kept.id,
        changes=InstallationChanges(is_pinned=True),
        now=world.now,
    )
    await shelf.pending(new)
    await shelf.announce()
    assert await shelf.statuses() == {new.version_id: "available"}
    assert world.events(UpdateOffered) == []
    await report_uninstalled(world.store.begin, user_id=world.user_id, installation_id=kept.id, now=world.now)
    assert await shelf.updates() == [], "what is not there needs no update"


async def test_an_installation_that_is_heard_of_while_a_version_is_announced_is_told_once() -> None:
    """Its news may come after the version and before the announcement, which passes over whoever has the offer."""
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    await shelf.install(old)
    world = shelf.world
    async with world.store.begin() as tx:
        await tx.announcements.add(new)
        await tx.commit()
    for _ in range(2):
        await offer_newer(
            world.store.begin,
            world.versions,
            world.installations,
            world.plans,
            user_id=world.user_id,
            device_id=shelf.device_id,
            product_id=shelf.product_id,
            now=world.now,
        )
    assert [event.new_version_id for event in world.events(UpdateOffered)] == [new.version_id]


async def test_who_goes_back_is_offered_the_newest_again_and_a_second_telling_changes_nothing() -> None:
    shelf = Shelf()
    old, new = await shelf.publish(OLD, NEW)
    await shelf.install(old)
    view, _ = await shelf.apply(old)
    await shelf.complete(view)
    back, _ = await shelf.rollback()
    await shelf.complete(back)
    world = shelf.world
    for _ in range(2):
        await offer_newer(
            world.store.begin,
            world.versions,
            world.installations,
            world.plans,
            user_id=world.user_id,
            device_id=shelf.device_id,
            product_id=shelf.product_id,
            now=world.now,
        )
    assert await shelf.statuses() == {old.version_id: "applied", new.version_id: "available"}
    assert world.events(UpdateOffered) == []
    again, _ = await shelf.apply(old)
    await shelf.complete(again)
    assert await shelf.statuses() == {old.version_id: "applied", new.version_id: "applied"}
