"""Versions that Catalog announces: the manifest is fetched and checked, then everything it says is stored at once."""

from chassis.errors import DomainError, Kind
from download_svc.application.ports import Announcement, Begin, ManifestSource
from download_svc.domain.versions import Version


async def publish_version(
    begin: Begin, manifests: ManifestSource, announcement: Announcement, *, event: tuple[str, str]
) -> None:
    """Makes a version downloadable. Idempotent: a version that is known with the same manifest stays as it is.

    `event` is the consumer and event id. The network comes first, the transaction after.

    Raises:
        MANIFEST_SIGNATURE_INVALID, MANIFEST_INVALID: the version stays unknown.
        SERVICE_UNAVAILABLE, DEADLINE_EXCEEDED: to be tried again.
    """
    manifest = await manifests.fetch(announcement)
    version = Version(
        product_id=announcement.product_id,
        version_id=announcement.version_id,
        version_name=announcement.version_name,
        platform=announcement.platform,
        channel=announcement.channel,
        released_at=announcement.released_at,
        total_size_bytes=manifest.total_size_bytes,
        file_count=manifest.file_count,
        is_critical=announcement.is_critical,
        release_notes_url=announcement.release_notes_url,
        manifest=manifest.stored,
    )
    async with begin() as work:
        if not await work.first_time(*event):
            return
        known = await work.versions.get(version.version_id)
        if known is None:
            await work.versions.add(version, manifest)
            await work.announcements.add(version)
        elif known.product_id != version.product_id or known.manifest.sha256 != version.manifest.sha256:
            raise DomainError(
                Kind.FAILED_PRECONDITION,
                "MANIFEST_INVALID",
                details={"description": "the version is already published with another manifest"},
            )
        await work.commit()
