"""What users decide about their installations, and what they report gone. Called by the servicer, one function per RPC."""

from datetime import datetime
from uuid import UUID

from download_svc.application.ports import Begin
from download_svc.domain.installations import InstallationChanges, KeptInstallation, installation_not_found


async def change_installation(
    begin: Begin, *, user_id: UUID, installation_id: UUID, changes: InstallationChanges, now: datetime
) -> KeptInstallation:
    """Sets what the user decided. Idempotent. Raises: INSTALLATION_NOT_FOUND."""
    async with begin() as work:
        await work.sessions.lock(user_id)
        kept = await work.installations.get(user_id, installation_id)
        if kept is None:
            raise installation_not_found(installation_id)
        changed = kept.changed(changes, now)
        await work.installations.save(changed)
        await work.commit()
    return changed


async def report_uninstalled(begin: Begin, *, user_id: UUID, installation_id: UUID, now: datetime) -> None:
    """The product is gone from the device; the platform is told in the same transaction. Raises: INSTALLATION_NOT_FOUND."""
    async with begin() as work:
        await work.sessions.lock(user_id)
        kept = await work.installations.get(user_id, installation_id)
        if kept is None:
            raise installation_not_found(installation_id)
        remaining = await work.installations.remove(kept)
        if not remaining:
            await work.updates.remove_available(user_id, kept.installation.product_id)
        work.record(kept.uninstalled(remaining, now))
        await work.commit()
