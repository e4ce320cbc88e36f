"""Versions that Catalog announces: the manifest is fetched and checked, then everything it says is stored at once. And
versions that it withdraws.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.transaction import Begin
from download_svc.verifications.domain import PlacedEntry
from download_svc.versions.domain import Announcement, ManifestSource, Version, VersionState, newest_stable
from download_svc.versions.manifests import Chunk, FileReference


class VersionReader(Protocol):
    """Published versions and what they consist of."""

    async def of_product(self, product_id: UUID) -> Sequence[Version]:
        """All, retired ones too, in no order."""

    async def of_products(self, product_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Version]]:
        """`of_product` for several, in one statement; what has no versions is left out."""

    async def get(self, product_id: UUID, version_id: UUID) -> Version | None: ...

    async def files(self, version_id: UUID) -> Sequence[FileReference]:
        """Entries of type file, ordered by path."""

    async def entries_at(self, version_id: UUID, paths: Collection[str]) -> Mapping[str, PlacedEntry]:
        """The entries, without chunks, at those of the paths that the version has."""

    async def chunks(self, version_id: UUID, sha256s: Sequence[bytes]) -> Mapping[bytes, Chunk]:
        """Those of the chunks that the version has."""

    async def chunks_of_files(
        self, version_id: UUID, file_metadata_ids: Sequence[UUID], *, limit: int
    ) -> Mapping[UUID, Sequence[Chunk]]:
        """The chunks of those of the files that the version has, in order; at most `limit` chunks in all."""


async def publish_version(
    begin: Begin, manifests: ManifestSource, announcement: Announcement, *, event: tuple[str, str, str]
) -> None:
    """Makes a version downloadable. Idempotent: a version that is known with the same manifest stays as it is, withdrawn or not.

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
    async with begin() as tx:
        if not await tx.first_time(*event):
            return
        known = await tx.versions.get(version.version_id)
        if known is None:
            await tx.versions.add(version, manifest)
            await tx.announcements.add(version)
            await tx.patches.request(version)
        elif known.product_id != version.product_id or known.manifest.sha256 != version.manifest.sha256:
            raise DomainError(
                Kind.FAILED_PRECONDITION,
                "MANIFEST_INVALID",
                details={"description": "the version is already published with another manifest"},
            )
        await tx.commit()


async def withdraw_version(begin: Begin, *, product_id: UUID, version_id: UUID, event: tuple[str, str, str]) -> None:
    """Nobody can download the version from now on. Who has it installed, or was offered it, is offered the newest that is left;
    what else follows is swept (sessions.sweeps). Idempotent; a version that never came to be stays unknown.
    """
    async with begin() as tx:
        if not await tx.first_time(*event):
            return
        version = await tx.versions.get(version_id)
        if version is not None and version.product_id == product_id and version.state is VersionState.KEPT:
            await tx.versions.retire(version_id)
            left = newest_stable(await tx.versions.of_product(product_id), version.platform)
            if left is not None:
                await tx.announcements.add(left)
        await tx.commit()
