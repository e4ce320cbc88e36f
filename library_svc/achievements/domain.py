"""Achievements: what Catalog defines, how far a user is, and what cannot have happened. Contract sections 2 and 8.

Progress never goes back, an achievement is unlocked once, and only who has played what they own gets any.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chassis.errors import DomainError, Kind
from library_svc.catalog.domain import Language
from library_svc.entitlements.domain import Grant
from library_svc.ids import AchievementId, ProductId, UserId


@dataclass(frozen=True, slots=True)
class Definition:
    """An achievement as Catalog defines it.

    Attributes:
        ordinal: its place in the publisher's order.
        total_progress_needed: steps to it, at least 1.
        is_hidden: a secret until it is unlocked.
    """

    product_id: ProductId
    id: AchievementId
    ordinal: int
    total_progress_needed: int = 1
    is_hidden: bool = False
    name_ru: str | None = None
    name_en: str | None = None
    description_ru: str | None = None
    description_en: str | None = None
    icon_url_unlocked: str | None = None

    def name(self, language: Language) -> str | None:
        """The name in the language, or else in the other one."""
        return _first(language, self.name_ru, self.name_en)

    def description(self, language: Language) -> str | None:
        """Return the description of the achievement in the language, or else in the other one."""
        return _first(language, self.description_ru, self.description_en)


@dataclass(frozen=True, slots=True)
class SetTo:
    """So many steps are done in all."""

    steps: int


@dataclass(frozen=True, slots=True)
class Increment:
    """So many steps were done since the last time."""

    steps: int


@dataclass(frozen=True, slots=True)
class Achievement:
    """A user's progress with an achievement."""

    user_id: UserId
    achievement_meta_id: AchievementId
    product_id: ProductId
    is_unlocked: bool = False
    unlocked_at: datetime | None = None
    current_progress: int = 0
    total_progress_needed: int = 1

    def advanced(self, step: SetTo | Increment, definition: Definition, at: datetime) -> "Achievement":
        """The achievement after a step, never behind where it was; at the total it is unlocked.

        Raises:
            AlreadyUnlocked: there is nothing left to do.
        """
        if self.is_unlocked:
            raise AlreadyUnlocked(self.achievement_meta_id)
        total = definition.total_progress_needed
        reached = self.current_progress + step.steps if isinstance(step, Increment) else step.steps
        reached = min(max(reached, self.current_progress), total)
        is_unlocked = reached >= total
        return replace(
            self,
            current_progress=reached,
            total_progress_needed=total,
            is_unlocked=is_unlocked,
            unlocked_at=at if is_unlocked else None,
        )


@dataclass(frozen=True, slots=True)
class AchievementUnlocked:
    """A user unlocked an achievement."""

    user_id: UserId
    product_id: ProductId
    achievement_meta_id: AchievementId
    unlocked_at: datetime


class Cause(StrEnum):
    """Why progress cannot have happened: names for programs, in no language."""

    NOT_OWNED = "not_owned"
    NEVER_PLAYED = "never_played"


class AchievementNotFound(DomainError):
    """The product has no such achievement."""

    def __init__(self, achievement_id: AchievementId) -> None:
        details = {"achievement_meta_id": str(achievement_id)}
        super().__init__(Kind.NOT_FOUND, "ACHIEVEMENT_NOT_FOUND", details=details)


class AlreadyUnlocked(DomainError):
    """The user has the achievement."""

    def __init__(self, achievement_id: AchievementId) -> None:
        details = {"achievement_meta_id": str(achievement_id)}
        super().__init__(Kind.FAILED_PRECONDITION, "ACHIEVEMENT_ALREADY_UNLOCKED", details=details)


class ProgressRejected(DomainError):
    """The progress cannot have happened."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "ACHIEVEMENT_PROGRESS_REJECTED", details={"cause": cause.value})


def rarity_percentage(unlocked: int, players: int) -> float:
    """The percentage of players who have it, to two digits; 0 while nobody played."""
    return min(round(100 * unlocked / players, 2), 100.0) if players else 0.0


def _first(language: Language, ru: str | None, en: str | None) -> str | None:
    return (en or ru) if language is Language.EN else (ru or en)


@dataclass(frozen=True, slots=True)
class AchievementEligibility:
    """All that says whether a user can get further with an achievement, and from where.

    Attributes:
        grants: of the product.
        has_begun: the user ever began to play it.
        achievement: None: the user has not got anywhere yet.
    """

    grants: Sequence[Grant]
    has_begun: bool
    achievement: Achievement | None


class Achievements(Protocol):
    """The progress of users, in a transaction, each user's changes one after another (`lock_user`). Each call is one statement."""

    async def standing(
        self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId
    ) -> AchievementEligibility: ...

    async def save(self, achievement: Achievement) -> None:
        """Adds it, or replaces what was known of the same user and achievement. One that is unlocked is noted: one more user has
        it. Notes are added up later (AchievementTallies).
        """
