"""Use cases by which users change installations and report removed ones. Called by the servicer, one function per RPC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from download_svc.installations.domain import InstallationChanges, KeptInstallation, installation_not_found
from download_svc.paging import Page, PageRequest
from download_svc.transaction import Begin
from download_svc.versions.domain import Version


class InstallationReader(Protocol):
    """Installations as they are shown; each method is a fixed number of statements."""

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None: ...

    async def page(
        self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None, device_id: UUID | None = None
    ) -> Page[KeptInstallation]:
        """The one changed last first."""

    async def behind(
        self, version: Version, *, after: tuple[UUID, UUID] | None, limit: int
    ) -> Sequence[KeptInstallation]:
        """Of everybody: installations of versions of the same product and platform that were released before it or are retired, by
        user and id from behind `after`.
        """

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        """Return the product's installation on the device; None = the one device that has no id."""


async def change_installation(
    begin: Begin, *, user_id: UUID, installation_id: UUID, changes: InstallationChanges, now: datetime
) -> KeptInstallation:
    """Sets what the user decided. Idempotent. Raises: INSTALLATION_NOT_FOUND."""
    async with begin(user_id) as tx:
        await tx.sessions.lock(user_id)
        kept = await tx.installations.get(user_id, installation_id)
        if kept is None:
            raise installation_not_found(installation_id)
        changed = kept.changed(changes, now)
        await tx.installations.save(changed)
        await tx.commit()
    return changed


async def report_uninstalled(begin: Begin, *, user_id: UUID, installation_id: UUID, now: datetime) -> None:
    """Remove the product from the device and publish it in the same transaction. Raises: INSTALLATION_NOT_FOUND."""
    async with begin(user_id) as tx:
        await tx.sessions.lock(user_id)
        kept = await tx.installations.get(user_id, installation_id)
        if kept is None:
            raise installation_not_found(installation_id)
        remaining = await tx.installations.remove(kept)
        if not remaining:
            await tx.updates.remove_available(user_id, kept.installation.product_id)
        tx.record(kept.uninstalled(remaining, now))
        await tx.commit()
