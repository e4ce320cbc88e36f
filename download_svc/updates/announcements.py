"""Newer versions are offered to those who have an older one installed: in batches, each a transaction that also notes how far it
got, so that it goes on after a crash. Repeated by main, and called by the consumers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, is_unavailable
from download_svc.installations.application import InstallationReader
from download_svc.installations.domain import KeptInstallation
from download_svc.transaction import Begin
from download_svc.updates.domain import Update, UpdateOffered, UpdateStatus
from download_svc.updates.outcomes import update_id
from download_svc.updates.planning import Plans, PlanSummary
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import Version, is_step_forward, newest_stable

MAX_PENDING_ANNOUNCEMENTS = 100


@dataclass(frozen=True, slots=True)
class PendingAnnouncement:
    """A version that is being announced; everybody up to `after`, a user and an installation, is notified."""

    version_id: UUID
    product_id: UUID
    after: tuple[UUID, UUID] | None


class AnnouncementReader(Protocol):
    """Announcements that are not done."""

    async def pending(self, now: datetime) -> Sequence[PendingAnnouncement]:
        """The oldest first, without those that are set aside, at most MAX_PENDING_ANNOUNCEMENTS."""


BATCH_INSTALLATIONS = 100
PAUSE_WHEN_UNAVAILABLE = timedelta(seconds=5)
SET_ASIDE_FOR = timedelta(minutes=10)
"""The time for which a failing announcement is set aside, so that it does not delay the others."""


async def announce_pending(
    begin: Begin,
    announcements: AnnouncementReader,
    versions: VersionReader,
    installations: InstallationReader,
    plans: Plans,
    *,
    now: datetime,
) -> None:
    """Goes on with every announcement that is not done yet. One that fails is set aside for a time, and is in no other's way.

    Raises:
        SERVICE_UNAVAILABLE: the database cannot be reached.
        ExceptionGroup: what failed; all others are announced.
    """
    failures: list[Exception] = []
    for one in await announcements.pending(now):
        try:
            failures += await announce_version(begin, versions, installations, plans, one, now=now)
        except Exception as error:  # noqa: BLE001  a job: whatever a row holds, it costs that row
            error.add_note(f"version {one.version_id}")
            failures.append(error)
            pause = PAUSE_WHEN_UNAVAILABLE if is_unavailable(error) else SET_ASIDE_FOR
            async with begin() as tx:
                await tx.announcements.set_aside(one.version_id, until=now + pause, reason=repr(error))
                await tx.commit()
    if failures:
        raise ExceptionGroup("not everything was announced", failures)


async def announce_version(
    begin: Begin,
    versions: VersionReader,
    installations: InstallationReader,
    plans: Plans,
    pending: PendingAnnouncement,
    *,
    now: datetime,
) -> Sequence[Exception]:
    """Offers a version to every user who has an older one installed on the same platform, or one that was withdrawn. Only the
    newest stable one is offered.

    A user who was offered it before is not notified again, so two may do this at once. Pinned installations are offered it
    too, without publishing it. An installation for which it fails is passed over.

    Returns:
        What failed for single installations.

    Raises:
        SERVICE_UNAVAILABLE.
    """
    known = await versions.of_product(pending.product_id)
    new = next((version for version in known if version.version_id == pending.version_id), None)
    after, failures = pending.after, list[Exception]()
    if new is not None and newest_stable(known, new.platform) == new:
        by_id = {version.version_id: version for version in known}
        while batch := await installations.behind(new, after=after, limit=BATCH_INSTALLATIONS):
            after = _place_of(batch[-1])
            failures += await _offer_each(begin, plans, by_id, new, batch, now)
    async with begin() as tx:
        await tx.announcements.finish(pending.version_id)
        await tx.commit()
    return failures


async def offer_newer(
    begin: Begin,
    versions: VersionReader,
    installations: InstallationReader,
    plans: Plans,
    *,
    user_id: UUID,
    device_id: UUID | None,
    product_id: UUID,
    now: datetime,
) -> None:
    """Offer the newest version after an older one was installed or restored. The user is notified only while it is still being
    announced: the announcement skips users who have the offer. Idempotent.
    """
    kept = await installations.on_device(user_id, device_id, product_id)
    known = await versions.of_product(product_id)
    current = next((one for one in known if kept and one.version_id == kept.installation.version_id), None)
    if kept is None or current is None:
        return
    new = newest_stable(known, current.platform)
    if new is None or not is_step_forward(current, new):
        return
    update = _update(kept, new, await plans.cost(current, new), now)
    async with begin(user_id) as tx:
        await tx.sessions.lock(user_id)
        there = await tx.updates.get(user_id, product_id, new.version_id)
        if there is None or there.status is UpdateStatus.APPLIED:
            await tx.updates.put(update)
            if there is None and not kept.is_pinned and await tx.announcements.is_pending(new.version_id):
                tx.record(_offered(update, now))
            await tx.commit()


async def _offer_each(
    begin: Begin,
    plans: Plans,
    versions: Mapping[UUID, Version],
    new: Version,
    batch: Sequence[KeptInstallation],
    now: datetime,
) -> list[Exception]:
    """Offers to all of the batch at once, or to each by itself when that fails. Returns what failed."""
    try:
        await _offer(begin, plans, versions, new, batch, now)
    except Exception as error:
        if is_unavailable(error):
            raise
        if len(batch) > 1:
            return [each for kept in batch for each in await _offer_each(begin, plans, versions, new, [kept], now)]
        error.add_note(f"version {new.version_id}, installation {batch[0].id} of user {batch[0].installation.user_id}")
        async with begin() as tx:
            await tx.announcements.advance(new.version_id, _place_of(batch[0]))
            await tx.commit()
        return [error]
    return []


def _place_of(kept: KeptInstallation) -> tuple[UUID, UUID]:
    return kept.installation.user_id, kept.id


async def _cost(plans: Plans, old: Version | None, new: Version) -> PlanSummary:
    """Return the cost of the update; if the old version cannot be read, that of a full download. Raises: DomainError."""
    try:
        return await plans.cost(old, new)
    except DomainError:
        if old is None:
            raise
        return await plans.cost(None, new)


async def _offer(
    begin: Begin,
    plans: Plans,
    versions: Mapping[UUID, Version],
    new: Version,
    batch: Sequence[KeptInstallation],
    now: datetime,
) -> None:
    # What it costs is worked out before the transaction: manifests come from the object store.
    places = {kept.installation.version_id for kept in batch}
    costs = {version_id: await _cost(plans, versions.get(version_id), new) for version_id in places}
    async with begin() as tx:
        await tx.sessions.lock_all({kept.installation.user_id for kept in batch})
        for kept in batch:
            user_id = kept.installation.user_id
            there = await tx.updates.get(user_id, new.product_id, new.version_id)
            if there is not None and there.status is not UpdateStatus.APPLIED:
                continue
            update = _update(kept, new, costs[kept.installation.version_id], now)
            await tx.updates.remove_available(user_id, new.product_id, released_until=new.released_at)
            await tx.updates.put(update)
            if not kept.is_pinned:
                tx.record(_offered(update, now))
        await tx.announcements.advance(new.version_id, _place_of(batch[-1]))
        await tx.commit()


def _update(kept: KeptInstallation, new: Version, cost: PlanSummary, now: datetime) -> Update:
    one = kept.installation
    return Update(
        id=update_id(one.user_id, one.product_id, new.version_id),
        user_id=one.user_id,
        product_id=one.product_id,
        from_version_id=one.version_id,
        to_version_id=new.version_id,
        type=cost.update_type,
        size_bytes=cost.fetch_bytes,
        release_notes_url=new.release_notes_url,
        status=UpdateStatus.AVAILABLE,
        created_at=now,
        updated_at=now,
    )


def _offered(update: Update, now: datetime) -> UpdateOffered:
    return UpdateOffered(
        user_id=update.user_id,
        product_id=update.product_id,
        current_version_id=update.from_version_id,
        new_version_id=update.to_version_id,
        type=update.type,
        size_bytes=update.size_bytes,
        at=now,
    )
