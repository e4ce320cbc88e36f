"""Updates: finding a newer version and its cost, and starting the session that installs it or goes back. Called by the servicer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.access.application import CachedAccess
from download_svc.ids import OwnedId
from download_svc.installations.application import InstallationReader
from download_svc.installations.domain import nothing_installed
from download_svc.paging import Page, PageRequest
from download_svc.sessions.application import Policy, SessionView, StartRequest, start_download
from download_svc.sessions.domain import UpdateFrom
from download_svc.transaction import Begin
from download_svc.updates.domain import HistoryEntry, Update, UpdateStatus
from download_svc.updates.planning import Plans, PlanSummary, require_space
from download_svc.updates.plans import VersionPlan
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import Version, channels_of, choose, installable, is_step_forward, version_not_found

MAX_HISTORY_LOOKED_AT = 100
"""Entries that are searched for the version before one."""


class UpdateReader(Protocol):
    """Updates as they are shown; each method is a fixed number of statements."""

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: UpdateStatus | None = None, product_id: UUID | None = None
    ) -> Page[Update]:
        """The one that changed last first."""

    async def history(self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None) -> Page[HistoryEntry]:
        """Newest first."""

    async def of_withdrawn_versions(self, *, after: OwnedId | None, limit: int) -> Sequence[Update]:
        """Of everybody: what can be had to retired versions, by user and id from behind `after`."""

    async def versions_before(self, user_id: UUID, product_id: UUID, version_id: UUID) -> Sequence[UUID]:
        """Return the versions that this one replaced when it was applied, the latest first; at most MAX_HISTORY_LOOKED_AT."""


@dataclass(frozen=True, slots=True)
class InstalledProduct:
    """A product and the version of it that a client has."""

    product_id: UUID
    current_version_id: UUID


@dataclass(frozen=True, slots=True)
class Availability:
    """The update that is available for a product; `latest` and `cost` are None when there is nothing newer to get."""

    product: InstalledProduct
    latest: Version | None = None
    cost: PlanSummary | None = None
    is_critical: bool = False
    is_rollback: bool = False
    """The version in place was withdrawn, and the latest that can be had is older."""


async def check_updates(
    versions: VersionReader, plans: Plans, products: Sequence[InstalledProduct], *, permissions: frozenset[str]
) -> Sequence[Availability]:
    """In the order asked. A version that nobody knows is updated in full. Raises: SERVICE_UNAVAILABLE."""
    channels = channels_of(permissions)
    known = await versions.of_products({product.product_id for product in products})
    await plans.look(known.keys())
    return [await _availability(known.get(one.product_id, ()), plans, one, channels) for one in products]


async def apply_update(
    begin: Begin,
    versions: VersionReader,
    access: CachedAccess,
    plans: Plans,
    policy: Policy,
    request: StartRequest,
    *,
    from_version_id: UUID,
    user_id: UUID,
    permissions: frozenset[str],
    session_id: UUID,
    now: datetime,
) -> tuple[SessionView, VersionPlan]:
    """Queues a download of `request.version_id` (None = the newest for the same platform) over the one in place. Not idempotent.

    Raises:
        VERSION_NOT_FOUND: either version is unknown; INVALID_ARGUMENT: they are the same.
        INSUFFICIENT_CLIENT_DISK_SPACE: the plan needs more than is free; else as start_download.
    """
    known = await versions.of_product(request.product_id)
    old = _named(known, request.product_id, from_version_id)
    new = choose(
        known,
        product_id=request.product_id,
        version_id=request.version_id,
        platform=old.platform,
        channels=channels_of(permissions),
    )
    if new.version_id == old.version_id:
        description = "the version is the one in place"
        raise DomainError(Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details={"description": description})
    await access.require_now(user_id, request.product_id, now)
    plan = await plans.between(old, new)
    require_space(plan, request.free_space_bytes)
    view = await start_download(
        begin,
        versions,
        access,
        policy,
        # The plan is what has to fit, not the whole version.
        replace(
            request,
            version_id=new.version_id,
            free_space_bytes=None,
            update=UpdateFrom(old.version_id, plan.update_type, plan.fetch_bytes),
        ),
        user_id=user_id,
        permissions=permissions,
        session_id=session_id,
        now=now,
    )
    return view, plan


async def rollback_update(
    begin: Begin,
    versions: VersionReader,
    installations: InstallationReader,
    updates: UpdateReader,
    access: CachedAccess,
    plans: Plans,
    policy: Policy,
    request: StartRequest,
    *,
    from_version_id: UUID | None,
    user_id: UUID,
    permissions: frozenset[str],
    session_id: UUID,
    now: datetime,
) -> tuple[SessionView, VersionPlan]:
    """Queues the way back from the version in place (`from_version_id`, None = what is installed on the device) to an older one
    (`request.version_id`, None = the one that was replaced by it, else the newest that is older). Not idempotent.

    Raises:
        INSTALLATION_NOT_FOUND: no version was named and none is known on the device.
        VERSION_NOT_FOUND: there is none to go back to.
        INVALID_ARGUMENT: the version to go back to is not older; else as apply_update.
    """
    if from_version_id is None:
        kept = await installations.on_device(user_id, request.target.device_id, request.product_id)
        if kept is None:
            raise nothing_installed(request.product_id)
        from_version_id = kept.installation.version_id
    known = await versions.of_product(request.product_id)
    current = _named(known, request.product_id, from_version_id)
    to_version_id = request.version_id
    if to_version_id is None:
        before = await updates.versions_before(user_id, request.product_id, from_version_id)
        to_version_id = _previous(known, current, before, channels_of(permissions)).version_id
    elif not _is_older(_named(known, request.product_id, to_version_id), current):
        description = "the version is not older than the one in place"
        raise DomainError(Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details={"description": description})
    return await apply_update(
        begin,
        versions,
        access,
        plans,
        policy,
        replace(request, version_id=to_version_id),
        from_version_id=from_version_id,
        user_id=user_id,
        permissions=permissions,
        session_id=session_id,
        now=now,
    )


def _named(known: Sequence[Version], product_id: UUID, version_id: UUID) -> Version:
    for version in known:
        if version.version_id == version_id:
            return version
    raise version_not_found(product_id)


def _is_older(version: Version, than: Version) -> bool:
    return version.released_at < than.released_at


def _previous(known: Sequence[Version], current: Version, before: Sequence[UUID], channels: frozenset[str]) -> Version:
    """Return the version that the current one replaced, if it is older and still available; else the newest of the older ones."""
    older = [one for one in installable(known, platform=current.platform, channels=channels) if _is_older(one, current)]
    by_id = {one.version_id: one for one in older}
    for version_id in before:
        if version_id in by_id:
            return by_id[version_id]
    if not older:
        raise version_not_found(current.product_id)
    return older[0]


async def _availability(
    known: Sequence[Version], plans: Plans, product: InstalledProduct, channels: frozenset[str]
) -> Availability:
    current = next((version for version in known if version.version_id == product.current_version_id), None)
    try:
        latest = choose(
            known,
            product_id=product.product_id,
            version_id=None,
            platform=current.platform if current else None,
            channels=channels,
        )
    except DomainError:
        return Availability(product)  # nothing that this user could install
    if latest.version_id == product.current_version_id or (current and not is_step_forward(current, latest)):
        return Availability(product, latest)
    newer = installable(known, platform=latest.platform, channels=channels)
    return Availability(
        product,
        latest,
        await plans.cost(current, latest),
        any(one.is_critical for one in newer if current is None or one.released_at > current.released_at),
        current is not None and _is_older(latest, current),
    )
