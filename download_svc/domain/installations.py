"""What is installed where: one row per user, device and product, no device counting as one."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from download_svc.domain.manifests import Platform


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
