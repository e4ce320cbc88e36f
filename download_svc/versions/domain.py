"""Published versions of products, and which of them a download means. Filled by Catalog's announcements."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, FieldViolation, Kind
from download_svc.versions.manifests import Entry, Manifest, Platform, StoredManifest

STABLE_CHANNEL = "stable"
_CHANNEL_PERMISSION = "channel:"


class VersionState(StrEnum):
    """The availability of a version: it can be downloaded, or no more."""

    KEPT = "kept"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Version:
    """One version on one platform; sizes are of the installed tree, as its manifest says."""

    product_id: UUID
    version_id: UUID
    version_name: str
    platform: Platform
    channel: str
    released_at: datetime
    total_size_bytes: int
    file_count: int
    is_critical: bool
    release_notes_url: str | None
    manifest: StoredManifest
    state: VersionState = VersionState.KEPT


def product_not_found(product_id: UUID) -> DomainError:
    return DomainError(Kind.NOT_FOUND, "PRODUCT_NOT_FOUND", details={"product_id": str(product_id)})


def version_not_found(product_id: UUID) -> DomainError:
    return DomainError(Kind.NOT_FOUND, "VERSION_NOT_FOUND", details={"product_id": str(product_id)})


def channels_of(permissions: Iterable[str]) -> frozenset[str]:
    """Channels a user may see: `stable`, and each that a permission `channel:<name>` names."""
    named = {name.removeprefix(_CHANNEL_PERMISSION) for name in permissions if name.startswith(_CHANNEL_PERMISSION)}
    return frozenset(named | {STABLE_CHANNEL})


def choose(
    versions: Sequence[Version],
    *,
    product_id: UUID,
    version_id: UUID | None,
    platform: Platform | None,
    channels: frozenset[str],
) -> Version:
    """The version that a request means (contract section 3, platforms and channels), among all versions of the product.

    Without a version it is the newest kept one for the platform; other channels than `stable` are then only looked at when the
    product has no stable version, so that nobody gets a test version unasked.

    Raises:
        PRODUCT_NOT_FOUND: no version named, and nothing of the product is known.
        VERSION_NOT_FOUND: no such version, not on this platform, or in a channel the user may not see.
        VERSION_NOT_AVAILABLE: the version named is retired.
        INVALID_ARGUMENT: no platform named and the product has several.
    """
    visible = [version for version in versions if version.channel in channels]
    if version_id is not None:
        return _named(visible, product_id, version_id, platform)
    if not versions:
        raise product_not_found(product_id)
    kept = [version for version in visible if version.state is VersionState.KEPT]
    candidates = [version for version in kept if version.channel == STABLE_CHANNEL] or kept
    if platform is not None:
        candidates = [version for version in candidates if version.platform is platform]
    if not candidates:
        raise version_not_found(product_id)
    platforms = sorted({version.platform.value for version in candidates})
    if len(platforms) > 1:
        description = "platform is needed, the product has: " + ", ".join(platforms)
        raise DomainError(
            Kind.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            details={"description": description},
            violations=[FieldViolation("platform", description, "platform.ambiguous")],
        )
    return max(candidates, key=lambda version: (version.released_at, version.version_id))


def newest_stable(known: Iterable[Version], platform: Platform) -> Version | None:
    """The newest version for the platform that everybody may have."""
    stable = [
        version
        for version in known
        if version.platform is platform and version.channel == STABLE_CHANNEL and version.state is VersionState.KEPT
    ]
    return max(stable, key=lambda version: (version.released_at, version.version_id), default=None)


def is_step_forward(current: Version, other: Version) -> bool:
    """Return True when a user of `current` is to be offered `other`: it is newer, or `current` was withdrawn."""
    if current.version_id == other.version_id:
        return False
    return current.state is VersionState.RETIRED or current.released_at < other.released_at


def require_kept(version: Version | None) -> None:
    """Raises: VERSION_NOT_AVAILABLE: it was withdrawn."""
    if version is not None and version.state is VersionState.RETIRED:
        raise _not_available(version.version_id)


def installable(
    versions: Iterable[Version], *, platform: Platform | None, channels: frozenset[str]
) -> Sequence[Version]:
    """Kept versions that a user may see, newest first: what can be installed or rolled back to."""
    found = [
        version
        for version in versions
        if version.state is VersionState.KEPT and version.channel in channels and platform in (None, version.platform)
    ]
    return sorted(found, key=lambda version: (version.released_at, version.version_id), reverse=True)


def _named(visible: Sequence[Version], product_id: UUID, version_id: UUID, platform: Platform | None) -> Version:
    for version in visible:
        if version.version_id == version_id and platform in (None, version.platform):
            require_kept(version)
            return version
    raise version_not_found(product_id)


def _not_available(version_id: UUID) -> DomainError:
    return DomainError(Kind.FAILED_PRECONDITION, "VERSION_NOT_AVAILABLE", details={"version_id": str(version_id)})


def require_disk_space(version: Version, free_bytes: int | None) -> None:
    """Refuses a download that cannot fit, when the client said how much is free.

    Raises:
        INSUFFICIENT_CLIENT_DISK_SPACE: with `required_bytes` and `available_bytes`.
    """
    if free_bytes is not None and free_bytes < version.total_size_bytes:
        raise DomainError(
            Kind.FAILED_PRECONDITION,
            "INSUFFICIENT_CLIENT_DISK_SPACE",
            details={"required_bytes": str(version.total_size_bytes), "available_bytes": str(free_bytes)},
        )


@dataclass(frozen=True, slots=True)
class Announcement:
    """A version that Catalog says can be downloaded."""

    product_id: UUID
    version_id: UUID
    version_name: str
    platform: Platform
    channel: str
    released_at: datetime
    manifest_url: str
    is_critical: bool
    release_notes_url: str | None


class Versions(Protocol):
    """Published versions, inside a transaction."""

    async def get(self, version_id: UUID) -> Version | None:
        """By its id alone: one id names one version on the whole platform."""

    async def of_product(self, product_id: UUID) -> Sequence[Version]:
        """All, retired ones too, in no order."""

    async def retire(self, version_id: UUID) -> None:
        """It can be downloaded no more."""

    async def add(self, version: Version, manifest: Manifest) -> None:
        """The version with all its entries and chunks; made for 100,000 files."""


class Announcements(Protocol):
    """The progress of announcing new versions to users of older ones, inside a transaction."""

    async def add(self, version: Version) -> None:
        """Record that the version is to be announced; if it was already, it is announced again, from the first user on."""

    async def advance(self, version_id: UUID, after: tuple[UUID, UUID]) -> None:
        """Record that everybody up to this user and installation is notified."""

    async def finish(self, version_id: UUID) -> None: ...

    async def is_pending(self, version_id: UUID) -> bool:
        """Return True when there may be users who are still to be notified."""

    async def set_aside(self, version_id: UUID, *, until: datetime, reason: str) -> None:
        """Leaves it out for a time, and notes why."""


class ManifestSource(Protocol):
    """Manifests as published."""

    async def fetch(self, announcement: Announcement) -> Manifest:
        """Fetches, checks and keeps a copy of the checked bytes; idempotent.

        Raises:
            MANIFEST_SIGNATURE_INVALID, MANIFEST_INVALID: for good.
            SERVICE_UNAVAILABLE, DEADLINE_EXCEEDED: for now.
        """


class ManifestReader(Protocol):
    """Kept manifests, whole."""

    async def entries(self, version: Version) -> Sequence[Entry]:
        """The version's tree. Raises: SERVICE_UNAVAILABLE: it cannot be read now, or is not what was kept."""
