"""An item's installation status, derived from the events that Download publishes about sessions and devices.

What is kept is the last word about each session, each device and the files on it, by the time at which it happened, not at
which it was received: so events may come twice and in any order, and the status is a function of what is kept. What happened at the
same instant is decided by what it is, and then by the event's id. Contract section 2, "Enumerations".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from library_svc.ids import DeviceId, DownloadSessionId, ProductId, UserId, VersionId
from library_svc.items.domain import InstallationStatus, Item

NO_DEVICE = DeviceId(UUID(int=0))
"""Stands for the device of a client that named none; all of a user's nameless devices count as one."""


class DownloadStatus(StrEnum):
    """The status of a download session; in the order in which a session goes through them."""

    QUEUED = "queued"
    INITIALIZING = "initializing"
    DOWNLOADING = "downloading"
    PAUSED = "paused"
    VERIFYING = "verifying"
    ERROR = "error"
    CANCELLED = "cancelled"
    COMPLETED = "completed"

    @property
    def is_live(self) -> bool:
        return self not in {DownloadStatus.ERROR, DownloadStatus.CANCELLED, DownloadStatus.COMPLETED}


_RANK = {status: rank for rank, status in enumerate(DownloadStatus)}


@dataclass(frozen=True, slots=True)
class Download:
    """The last word about a download session."""

    session_id: DownloadSessionId
    version_id: VersionId
    status: DownloadStatus
    changed_at: datetime
    event_id: str = ""

    def is_news_to(self, known: "Download") -> bool:
        """Return True when it happened after what is known. At the same instant the later step of the session counts."""
        return self.order > known.order

    @property
    def order(self) -> tuple[datetime, int, str]:
        return self.changed_at, _RANK[self.status], self.event_id


@dataclass(frozen=True, slots=True)
class Installation:
    """The last word about a product on a device: a version is there, or is there no more."""

    device_id: DeviceId
    version_id: VersionId
    is_installed: bool
    changed_at: datetime
    event_id: str = ""

    def is_news_to(self, known: "Installation") -> bool:
        """Return True when it happened after what is known. At the same instant being installed counts: an update replaces."""
        return self.order > known.order

    @property
    def order(self) -> tuple[datetime, bool, str]:
        return self.changed_at, self.is_installed, self.event_id


@dataclass(frozen=True, slots=True)
class Verification:
    """The last word about the files of a version on a device: some are damaged, or all are as published."""

    device_id: DeviceId
    version_id: VersionId
    is_damaged: bool
    changed_at: datetime
    event_id: str = ""

    def is_news_to(self, known: "Verification") -> bool:
        """Return True if it happened after what is known. At the same instant being intact counts: a repair follows the damage."""
        return self.order > known.order

    @property
    def order(self) -> tuple[datetime, bool, str]:
        return self.changed_at, not self.is_damaged, self.event_id


News = Download | Installation | Verification


@dataclass(frozen=True, slots=True)
class InstallationState:
    """All that is known of one user's downloads and installations of one product."""

    downloads: Mapping[DownloadSessionId, Download] = field(default_factory=dict)
    installations: Mapping[DeviceId, Installation] = field(default_factory=dict)
    verifications: Mapping[DeviceId, Verification] = field(default_factory=dict)

    def after(self, news: News) -> "InstallationState":
        """The state after the news is applied; this very object when it changes nothing."""
        match news:
            case Download():
                known_download = self.downloads.get(news.session_id)
                if known_download and not news.is_news_to(known_download):
                    return self
                return replace(self, downloads={**self.downloads, news.session_id: news})
            case Installation():
                known_installation = self.installations.get(news.device_id)
                if known_installation and not news.is_news_to(known_installation):
                    return self
                return replace(self, installations={**self.installations, news.device_id: news})
            case Verification():
                known_verification = self.verifications.get(news.device_id)
                if known_verification and not news.is_news_to(known_verification):
                    return self
                return replace(self, verifications={**self.verifications, news.device_id: news})

    @property
    def installed(self) -> Installation | None:
        """The installation that changed last, of those that are there."""
        there = (installation for installation in self.installations.values() if installation.is_installed)
        return max(there, key=lambda installation: (installation.changed_at, installation.device_id), default=None)

    @property
    def settled_download(self) -> Download | None:
        """The download that ended last, leaving out the cancelled: they leave everything as it was before them."""
        settled = {DownloadStatus.COMPLETED, DownloadStatus.ERROR}
        ended = (download for download in self.downloads.values() if download.status in settled)
        return max(ended, key=lambda download: (download.changed_at, download.session_id), default=None)

    @property
    def status(self) -> InstallationStatus:
        is_downloading = any(download.status.is_live for download in self.downloads.values())
        if self.installed:
            if is_downloading:
                return InstallationStatus.UPDATING
            return InstallationStatus.REPAIR_NEEDED if self.is_damaged else InstallationStatus.INSTALLED
        if is_downloading:
            return InstallationStatus.INSTALLING
        return self._status_without_installation()

    @property
    def is_damaged(self) -> bool:
        """On some device, since its version was put there."""
        return any(
            found.is_damaged
            and there.is_installed
            and there.version_id == found.version_id
            and there.changed_at < found.changed_at
            for device_id, found in self.verifications.items()
            if (there := self.installations.get(device_id))
        )

    def _status_without_installation(self) -> InstallationStatus:
        download = self.settled_download
        last_removal = max((known.changed_at for known in self.installations.values()), default=None)
        if download is None or (last_removal and download.changed_at <= last_removal):
            return InstallationStatus.NOT_INSTALLED
        # A session completes a moment before the device is reported; the item must not fall back in between.
        is_completed = download.status is DownloadStatus.COMPLETED
        return InstallationStatus.INSTALLED if is_completed else InstallationStatus.ERROR


def shown(item: Item, state: InstallationState) -> Item:
    """The item as the state has it."""
    installed = state.installed
    return replace(
        item, installation_status=state.status, installed_version_id=installed.version_id if installed else None
    )


class Installations(Protocol):
    """The downloads and installations as a transaction sees them."""

    async def of_product(self, user_id: UserId, product_id: ProductId) -> InstallationState: ...

    async def save(self, user_id: UserId, product_id: ProductId, news: News) -> None:
        """Replaces what was known of that session, device, or the files on it."""
