"""The products that are installed on each device: one row per user, device and product, where no device counts as one."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.versions.manifests import Platform


@dataclass(frozen=True, slots=True)
class Installation:
    """A version in place on a device; pins and auto update stay as they were when a version replaces another."""

    user_id: UUID
    device_id: UUID | None
    product_id: UUID
    version_id: UUID
    platform: Platform
    installation_path: str | None


@dataclass(frozen=True, slots=True)
class GameInstalled:
    """A version is in place on a device; `remaining_installations` counts the user's devices that have the product now."""

    user_id: UUID
    product_id: UUID
    version_id: UUID
    device_id: UUID | None
    remaining_installations: int
    at: datetime


@dataclass(frozen=True, slots=True)
class GameUninstalled:
    """A product is gone from a device; `remaining_installations` counts the user's devices that still have it."""

    user_id: UUID
    product_id: UUID
    version_id: UUID
    device_id: UUID | None
    remaining_installations: int
    at: datetime


@dataclass(frozen=True, slots=True)
class KeptInstallation:
    """An installation as it is kept: with its id and what the user decided about it; `auto_update` None = as the settings say."""

    id: UUID
    installation: Installation
    is_pinned: bool
    auto_update: bool | None
    created_at: datetime
    updated_at: datetime

    def changed(self, changes: "InstallationChanges", now: datetime) -> "KeptInstallation":
        return replace(
            self,
            is_pinned=self.is_pinned if changes.is_pinned is None else changes.is_pinned,
            auto_update=changes.auto_update if changes.sets_auto_update else self.auto_update,
            updated_at=now,
        )

    def uninstalled(self, remaining_installations: int, now: datetime) -> GameUninstalled:
        """Return the event that publishes the removal of the installation."""
        one = self.installation
        return GameUninstalled(one.user_id, one.product_id, one.version_id, one.device_id, remaining_installations, now)


@dataclass(frozen=True, slots=True)
class InstallationChanges:
    """The changes that a user makes. `is_pinned` None = unchanged; `auto_update` counts with `sets_auto_update`, None clears it."""

    is_pinned: bool | None = None
    auto_update: bool | None = None
    sets_auto_update: bool = False


def installation_not_found(installation_id: UUID) -> DomainError:
    return DomainError(Kind.NOT_FOUND, "INSTALLATION_NOT_FOUND", details={"installation_id": str(installation_id)})


def nothing_installed(product_id: UUID) -> DomainError:
    """Of the product, on the device that was named."""
    return DomainError(Kind.NOT_FOUND, "INSTALLATION_NOT_FOUND", details={"product_id": str(product_id)})


class Installations(Protocol):
    """Installations, inside a transaction."""

    async def put(self, installation: Installation, now: datetime) -> int:
        """Adds it or replaces the version of the one on the same device. Answers on how many devices the user has the product."""

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None: ...

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        """Return the product's installation on the device; None = the one device that has no id."""

    async def save(self, installation: KeptInstallation) -> None:
        """Save the user's decisions about the installation as they are now."""

    async def remove(self, installation: KeptInstallation) -> int:
        """Forgets it. Answers on how many devices the user still has the product."""
