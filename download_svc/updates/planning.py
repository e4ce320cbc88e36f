"""Plans between versions, created from kept manifests and cached; what a session has to do. Used by the other use cases."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.patches.application import PatchReader
from download_svc.patches.domain import OfferedPatch
from download_svc.sessions.application import SessionReader
from download_svc.sessions.domain import Session, UpdateType, download_not_found
from download_svc.updates.plans import VersionPlan, plan_repair, plan_versions
from download_svc.verifications.domain import VerificationReader
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import ManifestReader, Version, version_not_found
from download_svc.versions.manifests import Entry, EntryType

MAX_CACHED_PLANS = 8
"""Plans of large games take tens of megabytes; those of one update are asked for page by page, by many at once."""
MAX_CACHED_SUMMARIES = 100_000
REVISION_SECONDS = 2.0
"""Seconds after which plans notice a new patch at the latest."""
MAX_CACHED_REVISIONS = 10_000


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """The cost of a plan."""

    update_type: UpdateType
    fetch_bytes: int
    required_disk_space_bytes: int


_Key = tuple[UUID | None, UUID, int]
"""The version before, the new one, and the revision of the product's patches."""


class Plans:
    """Plans between versions. A version never changes, so neither does a plan until there are more patches: the last plans are
    kept, and what many cost.
    """

    def __init__(
        self, manifests: ManifestReader, patches: PatchReader, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manifests = manifests
        self._patches = patches
        self._clock = clock
        self._revisions: OrderedDict[UUID, tuple[float, int]] = OrderedDict()
        self._plans: OrderedDict[_Key, VersionPlan] = OrderedDict()
        self._summaries: OrderedDict[_Key, PlanSummary] = OrderedDict()

    @property
    def manifests(self) -> ManifestReader:
        return self._manifests

    async def look(self, product_ids: Collection[UUID]) -> None:
        """Load together what plans of these products will need, in at most one statement."""
        now = self._clock()
        unknown = {one for one in product_ids if self._revisions.get(one, (0.0, 0))[0] <= now}
        if not unknown:
            return
        found = await self._patches.revisions(unknown)
        for product_id in unknown:
            self._revisions[product_id] = (now + REVISION_SECONDS, found.get(product_id, 0))
            self._revisions.move_to_end(product_id)
        while len(self._revisions) > MAX_CACHED_REVISIONS:
            self._revisions.popitem(last=False)

    async def between(self, old: Version | None, new: Version) -> VersionPlan:
        """From a version, None = an empty folder, to another. Raises: SERVICE_UNAVAILABLE: a manifest cannot be read now."""
        key = await self._key(old, new)
        plan = self._plans.get(key)
        if plan is None:
            before = await self._manifests.entries(old) if old else ()
            after = await self._manifests.entries(new)
            patches = await self._offered(new.product_id, before, after) if key[2] else ()
            plan = await asyncio.to_thread(plan_versions, before, after, patches)
            self._plans[key] = plan
            self._summaries[key] = PlanSummary(plan.update_type, plan.fetch_bytes, plan.required_disk_space_bytes)
            while len(self._plans) > MAX_CACHED_PLANS:
                self._plans.popitem(last=False)
            while len(self._summaries) > MAX_CACHED_SUMMARIES:
                self._summaries.popitem(last=False)
        if key in self._plans:  # another that waited meanwhile may have pushed it out
            self._plans.move_to_end(key)
        return plan

    async def cost(self, old: Version | None, new: Version) -> PlanSummary:
        """Return the cost of the plan, computed by the same function. Raises: SERVICE_UNAVAILABLE."""
        known = self._summaries.get(await self._key(old, new))
        if known is None:
            plan = await self.between(old, new)
            known = PlanSummary(plan.update_type, plan.fetch_bytes, plan.required_disk_space_bytes)
        return known

    async def _key(self, old: Version | None, new: Version) -> _Key:
        if old is None:
            return None, new.version_id, 0  # there is nothing to patch
        await self.look([new.product_id])
        return old.version_id, new.version_id, self._revisions.get(new.product_id, (0.0, 0))[1]

    async def _offered(
        self, product_id: UUID, before: Sequence[Entry], after: Sequence[Entry]
    ) -> Sequence[OfferedPatch]:
        there = {entry.sha256 for entry in before if entry.type is EntryType.FILE}
        wanted = {entry.sha256 for entry in after if entry.sha256 is not None and entry.sha256 not in there}
        return await self._patches.offered(product_id, wanted) if wanted else ()


def require_space(plan: VersionPlan, free_bytes: int | None) -> None:
    """Refuses what cannot fit, when the client said how much is free.

    Raises:
        INSUFFICIENT_CLIENT_DISK_SPACE: with `required_bytes` and `available_bytes`.
    """
    if free_bytes is not None and free_bytes < plan.required_disk_space_bytes:
        raise DomainError(
            Kind.FAILED_PRECONDITION,
            "INSUFFICIENT_CLIENT_DISK_SPACE",
            details={"required_bytes": str(plan.required_disk_space_bytes), "available_bytes": str(free_bytes)},
        )


async def session_plan(
    sessions: SessionReader,
    versions: VersionReader,
    verifications: VerificationReader,
    plans: Plans,
    *,
    user_id: UUID,
    session_id: UUID,
) -> tuple[Session, VersionPlan]:
    """A session and what it has to do. Raises: DOWNLOAD_NOT_FOUND, VERSION_NOT_FOUND, SERVICE_UNAVAILABLE."""
    view = await sessions.get(user_id, session_id)
    if view is None:
        raise download_not_found(session_id)
    session = view.session
    new = await versions.get(session.product_id, session.version_id)
    if new is None:
        raise version_not_found(session.product_id)
    if session.is_repair:
        verification = await verifications.of_session(user_id, session_id)
        issues = await verifications.damage(verification) if verification else ()
        return session, await asyncio.to_thread(plan_repair, await plans.manifests.entries(new), issues)
    old = await versions.get(session.product_id, session.from_version_id) if session.from_version_id else None
    return session, await plans.between(old, new)
