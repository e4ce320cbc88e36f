"""The resources of the Library Service that the launcher reads, as typed values, and how each is read from its JSON:API object.
Used by launcher.api.library_api and by everything that shows what it answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from launcher.api.rest import Answer, Resource


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """A `libraryItem`. `title` is None while Catalog cannot be asked."""

    id: UUID
    product_id: UUID
    title: str | None
    installation_status: str
    installed_version_id: str | None
    acquisition_type: str
    added_at: str
    total_playtime_seconds: int
    last_played_at: str | None
    is_hidden: bool
    is_favorite: bool
    user_rating: int | None
    notes: str | None
    category_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class CategoryEntry:
    """A `userCategory`."""

    id: UUID
    name: str
    display_order: int


class PlayStatus(StrEnum):
    """The state of a session of play: active, or the way it ended."""

    ACTIVE = "active"
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class PlaySession:
    """A `playtimeSession`. `duration_seconds` is None while it lives."""

    id: UUID
    product_id: UUID
    status: PlayStatus
    heartbeat_interval_seconds: int
    duration_seconds: int | None


@dataclass(frozen=True, slots=True)
class AchievementEntry:
    """A `userAchievementStatus`. `name` and `description` are None while it is a secret."""

    id: UUID
    name: str | None
    description: str | None
    is_hidden: bool
    is_unlocked: bool
    unlocked_at: str | None
    current: int | None
    total: int | None
    rarity_percentage: float


@dataclass(frozen=True, slots=True)
class WishEntry:
    """A `wishlistItem`."""

    id: UUID
    product_id: UUID
    title: str | None
    added_at: str
    priority: int
    notes: str | None


@dataclass(frozen=True, slots=True)
class GameSettings:
    """A `gameSettings`, with the entity tag that names this version of it."""

    product_id: UUID
    version: int
    etag: str | None
    last_updated_at: str
    last_synced_with_cloud_at: str
    settings_payload: Mapping[str, Any]


def library_entry_of(resource: Resource) -> LibraryEntry:
    attributes = resource["attributes"]
    return LibraryEntry(
        id=UUID(resource["id"]),
        product_id=UUID(attributes["product_id"]),
        title=attributes.get("title"),
        installation_status=str(attributes.get("installation_status", "")),
        installed_version_id=attributes.get("installed_version_id"),
        acquisition_type=str(attributes.get("acquisition_type", "")),
        added_at=str(attributes.get("added_at", "")),
        total_playtime_seconds=int(attributes.get("total_playtime_seconds") or 0),
        last_played_at=attributes.get("last_played_at"),
        is_hidden=bool(attributes.get("is_hidden")),
        is_favorite=bool(attributes.get("is_favorite")),
        user_rating=attributes.get("user_rating"),
        notes=attributes.get("notes"),
        category_ids=tuple(UUID(category_id) for category_id in attributes.get("category_ids") or ()),
    )


def category_entry_of(resource: Resource) -> CategoryEntry:
    attributes = resource["attributes"]
    return CategoryEntry(UUID(resource["id"]), str(attributes["name"]), int(attributes["display_order"]))


def play_session_of(resource: Resource) -> PlaySession:
    attributes = resource["attributes"]
    duration = attributes.get("duration_seconds")
    return PlaySession(
        id=UUID(resource["id"]),
        product_id=UUID(attributes["product_id"]),
        status=PlayStatus(attributes["status"]),
        heartbeat_interval_seconds=int(attributes["heartbeat_interval_seconds"]),
        duration_seconds=None if duration is None else int(duration),
    )


def achievement_entry_of(resource: Resource) -> AchievementEntry:
    attributes = resource["attributes"]
    progress = attributes.get("current_progress") or {}
    return AchievementEntry(
        id=UUID(resource["id"]),
        name=attributes.get("name"),
        description=attributes.get("description"),
        is_hidden=bool(attributes.get("is_hidden")),
        is_unlocked=bool(attributes["is_unlocked"]),
        unlocked_at=attributes.get("unlocked_at"),
        current=progress.get("current"),
        total=progress.get("total"),
        rarity_percentage=float(attributes.get("rarity_percentage") or 0),
    )


def wish_entry_of(resource: Resource) -> WishEntry:
    attributes = resource["attributes"]
    return WishEntry(
        id=UUID(resource["id"]),
        product_id=UUID(attributes["product_id"]),
        title=attributes.get("title"),
        added_at=str(attributes.get("added_at", "")),
        priority=int(attributes.get("priority") or 0),
        notes=attributes.get("notes"),
    )


def total_playtime_of(resource: Resource) -> int:
    """Seconds, out of `playtimeStatistics`."""
    return int(resource["attributes"].get("total_playtime_seconds") or 0)


def game_settings_of(answer: Answer) -> GameSettings:
    resource = answer.document["data"]
    attributes = resource["attributes"]
    return GameSettings(
        product_id=UUID(resource["id"]),
        version=int(attributes["version"]),
        etag=answer.etag,
        last_updated_at=str(attributes.get("last_updated_at", "")),
        last_synced_with_cloud_at=str(attributes.get("last_synced_with_cloud_at", "")),
        settings_payload=attributes.get("settings_payload") or {},
    )
