"""A user's updates: one row per product and version to be had, that follows the sessions which bring it, and the history of what
was applied or failed. Contract section 3, updates.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from download_svc.sessions.domain import UpdateType


class UpdateStatus(StrEnum):
    """The status of an update."""

    AVAILABLE = "available"
    DOWNLOADING = "downloading"
    APPLIED = "applied"
    FAILED = "failed"


class UpdateOutcome(StrEnum):
    """The ways in which an update can end."""

    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Update:
    """The way to a version, unique by user, product and that version; the latest report of the user's devices counts."""

    id: UUID
    user_id: UUID
    product_id: UUID
    from_version_id: UUID
    to_version_id: UUID
    type: UpdateType
    size_bytes: int
    release_notes_url: str | None
    status: UpdateStatus
    created_at: datetime
    updated_at: datetime

    def moved(self, status: UpdateStatus, now: datetime) -> "Update":
        return replace(self, status=status, updated_at=now)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An update that was applied, or failed."""

    id: UUID
    user_id: UUID
    product_id: UUID
    applied_version_id: UUID
    previous_version_id: UUID | None
    outcome: UpdateOutcome
    applied_at: datetime
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateOffered:
    """A product that a user has installed has a newer version."""

    user_id: UUID
    product_id: UUID
    current_version_id: UUID
    new_version_id: UUID
    type: UpdateType
    size_bytes: int
    at: datetime


class Updates(Protocol):
    """Updates and their history, inside a transaction."""

    async def get(self, user_id: UUID, product_id: UUID, to_version_id: UUID) -> Update | None: ...

    async def put(self, update: Update) -> None:
        """Adds it, or replaces the one to the same version, which keeps its id and creation time."""

    async def remove(self, update: Update) -> None: ...

    async def remove_available(
        self, user_id: UUID, product_id: UUID, *, released_until: datetime | None = None
    ) -> None:
        """Forgets what can be had, to versions that were released until then; None = to all of the product."""

    async def add_history(self, entry: HistoryEntry) -> None: ...
