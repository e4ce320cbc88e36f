"""Releases of the launcher: channels, stages of a roll-out, the lowest version, the way back. Contract section 3."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import total_ordering
from typing import Final
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.versions.manifests import Platform

EVERYBODY_PERMILLE: Final = 1000
RELEASES_LIMIT: Final = 500
"""Releases of one channel on one platform: all are read for an answer."""


class Channel(StrEnum):
    """The source of releases."""

    STABLE = "stable"
    BETA = "beta"
    TEST = "test"


class Arch(StrEnum):
    """Processors that the launcher is built for."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class ClientVersion:
    """Numbers with dots; 1.2 and 1.2.0 are the same version."""

    text: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers by which versions are compared, without trailing zeros."""
        numbers = [int(part) for part in self.text.split(".")]
        while numbers and numbers[-1] == 0:
            numbers.pop()
        return tuple(numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientVersion) and self.numbers == other.numbers

    def __hash__(self) -> int:
        return hash(self.numbers)

    def __lt__(self, other: "ClientVersion") -> bool:
        return self.numbers < other.numbers

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Line:
    """The platform, architecture and channel within which releases succeed each other."""

    platform: Platform
    arch: Arch
    channel: Channel


@dataclass(frozen=True, slots=True)
class ClientRelease:
    """A release of the launcher.

    Attributes:
        rollout_permille: installations of a thousand that are offered it; 0 = it is halted, or not begun.
        minimum_version: lower versions are no longer served.
        rollback_from: the highest version that was gone back from: those who have one up to it are offered this lower one.
    """

    id: UUID
    line: Line
    version: ClientVersion
    target_sha256: bytes
    target_size_bytes: int
    created_at: datetime
    rollout_permille: int = 0
    minimum_version: ClientVersion | None = None
    rollback_from: ClientVersion | None = None

    @property
    def is_offered(self) -> bool:
        """True when the release is offered to at least some installations."""
        return self.rollout_permille > 0

    @property
    def is_rollback(self) -> bool:
        """True when the release leads back from a higher version."""
        return self.rollback_from is not None

    def is_same_content(self, other: "ClientRelease") -> bool:
        """Return True when both are the same release, announced twice."""
        return (self.target_sha256, self.target_size_bytes, self.minimum_version) == (
            other.target_sha256,
            other.target_size_bytes,
            other.minimum_version,
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """The answer to an installation that asks for an update."""

    release: ClientRelease
    is_available: bool
    is_mandatory: bool
    minimum_version: ClientVersion | None


class ClientReleaseNotFound(DomainError):
    """There is no such release, or none for such an installation."""

    def __init__(self) -> None:
        super().__init__(Kind.NOT_FOUND, "CLIENT_RELEASE_NOT_FOUND")


class ClientReleaseAlreadyExists(DomainError):
    """The version was released with other content."""

    def __init__(self, version: ClientVersion) -> None:
        super().__init__(Kind.ALREADY_EXISTS, "CLIENT_RELEASE_ALREADY_EXISTS", details={"version": str(version)})


class ClientReleaseLimitExceeded(DomainError):
    """The channel has no room for another release."""

    def __init__(self) -> None:
        details = {"limit": str(RELEASES_LIMIT)}
        super().__init__(Kind.RESOURCE_EXHAUSTED, "CLIENT_RELEASE_LIMIT_EXCEEDED", details=details)


def place_in_rollout(installation_id: UUID, release_id: UUID) -> int:
    """0 to 999, always the same for the two: an installation that is early for one release may be late for another."""
    digest = hashlib.sha256(installation_id.bytes + release_id.bytes).digest()
    return int.from_bytes(digest[:8], "big") % EVERYBODY_PERMILLE


def is_in_cohort(release: ClientRelease, installation_id: UUID | None) -> bool:
    """Return True if the roll-out has reached the installation. Without an id, it waits until everybody is offered the release."""
    if installation_id is None:
        return release.rollout_permille >= EVERYBODY_PERMILLE
    return place_in_rollout(installation_id, release.id) < release.rollout_permille


def offer(
    releases: Iterable[ClientRelease], installed: ClientVersion, installation_id: UUID | None, *, is_manual: bool
) -> Offer | None:
    """Return the release of the line that the installation should get; None when there is nothing for it.

    The highest version whose roll-out has come to it; where the lowest served version forces it, the highest that is offered to
    anybody. A lower version than the installed one is only offered when it is marked as the way back.
    """
    offered = sorted((one for one in releases if one.is_offered), key=lambda one: one.version, reverse=True)
    floors = [one.minimum_version for one in offered if one.minimum_version is not None]
    floor = max(floors, default=None)
    is_mandatory = floor is not None and installed < floor
    reached = offered if is_manual else [one for one in offered if is_in_cohort(one, installation_id)]
    if is_mandatory and floor is not None and not (reached and reached[0].version >= floor):
        reached = [one for one in offered if one.version >= floor] or reached
    if not reached:
        return None
    best = reached[0]
    is_available = best.version > installed or (best.version < installed and _is_way_back(best, offered, installed))
    return Offer(best, is_available, is_mandatory and is_available, floor)


def _is_way_back(best: ClientRelease, offered: Sequence[ClientRelease], installed: ClientVersion) -> bool:
    """The mark counts up to the version that was gone back from, and where the own version is offered to nobody any more."""
    is_meant = best.rollback_from is not None and installed <= best.rollback_from
    return is_meant and all(one.version != installed for one in offered)
