"""The resources of the Download Service that the launcher reads, as typed values, and how each is read from its JSON:API object.
Used by launcher.api.download_client and by everything that holds a session or a link.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from launcher.api.rest import Resource


class SessionStatus(StrEnum):
    """The status machine of the contract, section 3."""

    QUEUED = "queued"
    INITIALIZING = "initializing"
    DOWNLOADING = "downloading"
    PAUSED = "paused"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ERROR = "error"


class ItemStatus(StrEnum):
    """The status of a file."""

    PENDING = "pending"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    ERROR = "error"


HOLDING = frozenset({SessionStatus.INITIALIZING, SessionStatus.DOWNLOADING, SessionStatus.VERIFYING})
"""Statuses that hold one of the user's slots: only then may the client fetch."""
CLIENT_SILENT = "client_silent"
"""The reason of a pause because the session's client sent nothing for long."""
LIVE = HOLDING | {SessionStatus.QUEUED, SessionStatus.PAUSED}


@dataclass(frozen=True, slots=True)
class Session:
    """A `downloadSession`."""

    id: UUID
    product_id: UUID
    version_id: UUID
    device_id: UUID | None
    status: SessionStatus
    platform: str | None
    queue_position: int | None
    error_code: str | None
    error_message: str | None
    report_sequence: int | None = None
    """The number of the last report that the server applied."""
    installation_path: str | None = None
    from_version_id: UUID | None = None
    pause_reason: str | None = None
    progress_percentage: float = 0.0

    @property
    def is_lapsed(self) -> bool:
        """True when the server took the slot back because it had received nothing from this session's client."""
        return self.status is SessionStatus.PAUSED and self.pause_reason == CLIENT_SILENT

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    def is_at(self, device_id: UUID, directory: Path) -> bool:
        """Return True when the session belongs to this folder of this device."""
        return self.device_id == device_id and self.installation_path == str(directory)

    @property
    def is_repair(self) -> bool:
        """True when the session brings only the damaged files of the version in place."""
        return self.from_version_id == self.version_id


@dataclass(frozen=True, slots=True)
class VerificationEntry:
    """A `verification`, as far as the launcher needs it."""

    id: UUID
    status: str
    corrupted_files: int


@dataclass(frozen=True, slots=True)
class UpdateAvailability:
    """An `updateAvailability`. `latest_version_id` is None when the server knows no version that this user could have."""

    is_update_available: bool
    latest_version_id: UUID | None
    is_rollback: bool = False
    """The version in place was withdrawn, and the latest that can be had is older."""


@dataclass(frozen=True, slots=True)
class ManifestReference:
    """A `manifestReference`."""

    url: str
    size_bytes: int
    sha256: str
    signature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place from which a chunk can be fetched until the link expires."""

    url: str
    provider: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A `downloadLink`: a chunk's candidates, best first."""

    chunk_id: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class PatchOffer:
    """A file of a plan that can be had by a patch from a file of the version before, as the server says: nothing is checked yet."""

    path: str
    algorithm: str
    from_path: str
    from_sha256: bytes
    from_size_bytes: int
    to_sha256: bytes
    sha256: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class InstallationEntry:
    """An `installation`, as far as the launcher needs it."""

    id: UUID
    product_id: UUID
    version_id: UUID
    device_id: UUID | None
    installation_path: str | None = None

    def is_at(self, directory: Path) -> bool:
        return self.installation_path == str(directory)


@dataclass(frozen=True, slots=True)
class ItemReport:
    """Progress of one file."""

    item_id: UUID
    status: ItemStatus
    downloaded_bytes: int
    provider: str | None = None
    error_code: str | None = None

    def document(self) -> dict[str, Any]:
        members: dict[str, Any] = {
            "item_id": str(self.item_id),
            "status": self.status.value,
            "downloaded_bytes": self.downloaded_bytes,
        }
        if self.provider:
            members["cdn_provider"] = self.provider
        if self.error_code:
            members["error_code"] = self.error_code
        return members


@dataclass(frozen=True, slots=True)
class CdnReport:
    """The counts of one CDN since the last report."""

    provider: str
    bytes: int
    duration_ms: int
    errors: int

    def document(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "bytes": self.bytes,
            "duration_ms": self.duration_ms,
            "errors": self.errors,
        }


def session_of(resource: Resource) -> Session:
    attributes = resource["attributes"]
    device = attributes.get("device_id")
    error = attributes.get("error") or {}
    before = attributes.get("from_version_id")
    return Session(
        id=UUID(resource["id"]),
        product_id=UUID(attributes["product_id"]),
        version_id=UUID(attributes["version_id"]),
        device_id=UUID(device) if device else None,
        status=SessionStatus(attributes["status"]),
        platform=attributes.get("platform"),
        queue_position=attributes.get("queue_position"),
        error_code=error.get("code"),
        error_message=error.get("message"),
        report_sequence=attributes.get("report_sequence"),
        installation_path=attributes.get("installation_path"),
        from_version_id=UUID(before) if before else None,
        pause_reason=attributes.get("pause_reason"),
        progress_percentage=float(attributes.get("progress_percentage") or 0.0),
    )


def verification_entry_of(resource: Resource) -> VerificationEntry:
    attributes = resource["attributes"]
    return VerificationEntry(UUID(resource["id"]), str(attributes["status"]), int(attributes["corrupted_files_count"]))


def update_availability_of(resource: Resource) -> UpdateAvailability:
    attributes = resource["attributes"]
    latest = attributes.get("latest_version_id")
    return UpdateAvailability(
        bool(attributes["is_update_available"]),
        UUID(latest) if latest else None,
        bool(attributes.get("is_rollback", False)),
    )


def manifest_reference_of(resource: Resource) -> ManifestReference:
    attributes = resource["attributes"]
    return ManifestReference(
        url=str(attributes["manifest_url"]),
        size_bytes=int(attributes["size_bytes"]),
        sha256=str(attributes["sha256"]),
        signature=base64.b64decode(attributes["signature"], validate=True),
        key_id=str(attributes["key_id"]),
    )


def link_of(resource: Resource) -> Link:
    candidates = tuple(
        Candidate(
            url=str(candidate["url"]),
            provider=str(candidate["cdn_provider"]),
            expires_at=datetime.fromisoformat(candidate["expires_at"]),
        )
        for candidate in resource["attributes"]["candidates"]
    )
    return Link(str(resource["id"]), candidates)


def plan_page_of(answer: Mapping[str, Any]) -> tuple[list[PatchOffer], str | None]:
    """The patches on a page of a plan, and where the next page goes on."""
    attributes = answer["data"]["attributes"]
    offers = [
        PatchOffer(
            path=str(file["path"]),
            algorithm=str(file["patch"]["algorithm"]),
            from_path=str(file["patch"]["from_path"]),
            from_sha256=bytes.fromhex(file["patch"]["from_sha256"]),
            from_size_bytes=int(file["patch"]["from_size_bytes"]),
            to_sha256=bytes.fromhex(file["patch"]["to_sha256"]),
            sha256=bytes.fromhex(file["patch"]["sha256"]),
            size_bytes=int(file["patch"]["size_bytes"]),
        )
        for file in attributes.get("files") or ()
        if file["action"] == "patch" and file.get("patch")
    ]
    after = attributes.get("next_after")
    return offers, str(after) if after else None


def installation_entry_of(resource: Resource) -> InstallationEntry:
    attributes = resource["attributes"]
    device = attributes.get("device_id")
    return InstallationEntry(
        id=UUID(resource["id"]),
        product_id=UUID(attributes["product_id"]),
        version_id=UUID(attributes["version_id"]),
        device_id=UUID(device) if device else None,
        installation_path=attributes.get("installation_path"),
    )
