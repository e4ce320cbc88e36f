"""Whether there is a newer version, what it takes, and the session that brings it. Called by the servicer."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.application.access import CachedAccess
from download_svc.application.ports import Begin, ManifestReader, SessionReader, SessionView, VersionReader
from download_svc.application.sessions import Policy, StartRequest, start_download
from download_svc.domain.plans import VersionPlan, plan_versions
from download_svc.domain.sessions import Session, UpdateFrom, UpdateType, download_not_found
from download_svc.domain.versions import Version, channels_of, choose, installable, version_not_found

MAX_CACHED_PLANS = 8
"""Plans of large games take tens of megabytes; those of one update are asked for page by page, by many at once."""
MAX_CACHED_SUMMARIES = 100_000


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a plan costs."""

    update_type: UpdateType
    fetch_bytes: int
    required_disk_space_bytes: int


@dataclass(frozen=True, slots=True)
class InstalledProduct:
    """What a client has."""

    product_id: UUID
    current_version_id: UUID


@dataclass(frozen=True, slots=True)
class Availability:
    """What is known of a product; `latest` and `cost` are None when nothing newer can be had."""

    product: InstalledProduct
    latest: Version | None = None
    cost: PlanSummary | None = None
    is_critical: bool = False


class Plans:
    """Plans between versions. A version never changes, so neither does a plan: the last ones are kept, and what many cost."""

    def __init__(self, manifests: ManifestReader) -> None:
        self._manifests = manifests
        self._plans: OrderedDict[tuple[UUID | None, UUID], VersionPlan] = OrderedDict()
        self._summaries: OrderedDict[tuple[UUID | None, UUID], PlanSummary] = OrderedDict()

    async def between(self, old: Version | None, new: Version) -> VersionPlan:
        """From a version, None = an empty folder, to another. Raises: SERVICE_UNAVAILABLE: a manifest cannot be read now."""
        key = (old.version_id if old else None, new.version_id)
        plan = self._plans.get(key)
        if plan is None:
            before = await self._manifests.entries(old) if old else ()
            plan = await asyncio.to_thread(plan_versions, before, await self._manifests.entries(new))
            self._plans[key] = plan
            self._summaries[key] = PlanSummary(plan.update_type, plan.fetch_bytes, plan.required_disk_space_bytes)
            while len(self._plans) > MAX_CACHED_PLANS:
                self._plans.popitem(last=False)
            while len(self._summaries) > MAX_CACHED_SUMMARIES:
                self._summaries.popitem(last=False)
        self._plans.move_to_end(key)
        return plan

    async def cost(self, old: Version | None, new: Version) -> PlanSummary:
        """What the plan costs, by the same function. Raises: SERVICE_UNAVAILABLE."""
        key = (old.version_id if old else None, new.version_id)
        if key not in self._summaries:
            await self.between(old, new)
        return self._summaries[key]


async def check_updates(
    versions: VersionReader, plans: Plans, products: Sequence[InstalledProduct], *, permissions: frozenset[str]
) -> Sequence[Availability]:
    """In the order asked. A version that nobody knows is updated in full. Raises: SERVICE_UNAVAILABLE."""
    channels = channels_of(permissions)
    return [await _availability(versions, plans, product, channels) for product in products]


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
    old = next((version for version in known if version.version_id == from_version_id), None)
    if old is None:
        raise version_not_found(request.product_id)
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
    if request.free_space_bytes is not None and request.free_space_bytes < plan.required_disk_space_bytes:
        raise DomainError(
            Kind.FAILED_PRECONDITION,
            "INSUFFICIENT_CLIENT_DISK_SPACE",
            details={
                "required_bytes": str(plan.required_disk_space_bytes),
                "available_bytes": str(request.free_space_bytes),
            },
        )
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
            update=UpdateFrom(old.version_id, plan.update_type),
        ),
        user_id=user_id,
        permissions=permissions,
        session_id=session_id,
        now=now,
    )
    return view, plan


async def session_plan(
    sessions: SessionReader, versions: VersionReader, plans: Plans, *, user_id: UUID, session_id: UUID
) -> tuple[Session, VersionPlan]:
    """A session and what it has to do. Raises: DOWNLOAD_NOT_FOUND, VERSION_NOT_FOUND, SERVICE_UNAVAILABLE."""
    view = await sessions.get(user_id, session_id)
    if view is None:
        raise download_not_found(session_id)
    session = view.session
    new = await versions.get(session.product_id, session.version_id)
    old = await versions.get(session.product_id, session.from_version_id) if session.from_version_id else None
    if new is None:
        raise version_not_found(session.product_id)
    return session, await plans.between(old, new)


async def _availability(
    versions: VersionReader, plans: Plans, product: InstalledProduct, channels: frozenset[str]
) -> Availability:
    known = await versions.of_product(product.product_id)
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
    if latest.version_id == product.current_version_id or (current and current.released_at > latest.released_at):
        return Availability(product, latest)
    newer = installable(known, platform=latest.platform, channels=channels)
    return Availability(
        product,
        latest,
        await plans.cost(current, latest),
        any(one.is_critical for one in newer if current is None or one.released_at > current.released_at),
    )
