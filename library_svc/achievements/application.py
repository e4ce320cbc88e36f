"""Showing how far a user is with a product's achievements, and getting further. Called by AchievementService and
LibraryQueryService, and by main.py for what goes on beside them.

How many have an achievement is counted behind: an unlock notes itself in its transaction, and `count_all` adds the notes up, so
that a thousand unlocks of one achievement do not wait for each other.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from chassis.errors import DomainError, Kind
from library_svc.achievements.domain import (
    Achievement,
    AchievementEligibility,
    AchievementNotFound,
    AchievementUnlocked,
    Cause,
    Definition,
    Increment,
    ProgressRejected,
    SetTo,
)
from library_svc.catalog.application import Catalog
from library_svc.catalog.domain import ProductNotFound
from library_svc.entitlements.domain import foundation
from library_svc.ids import AchievementId, ProductId, UserId
from library_svc.transaction import Begin, Origin


class AchievementTallies(Protocol):
    """The number of users who have each achievement, and of those who play each product."""

    async def add_up(self, *, limit: int) -> int:
        """Adds noted unlocks and players to the tallies, each exactly once, whoever else does it at the same time.

        Returns:
            How many notes there were, at most `limit`.
        """


class Definitions(Protocol):
    """The read model of Catalog's achievements."""

    async def replace(self, product_id: ProductId, definitions: Sequence[Definition], *, as_of: datetime) -> None:
        """Has the product have these and no others, unless something newer is known."""


class AchievementSort(StrEnum):
    """Orders of a product's achievements; equal values keep the publisher's order."""

    DEFAULT = "default"
    RARITY_ASC = "rarity_asc"
    UNLOCKED_AT_DESC = "unlocked_at_desc"


@dataclass(frozen=True, slots=True)
class AchievementView:
    """An achievement, how far a user is, and how many have it."""

    definition: Definition
    is_unlocked: bool
    unlocked_at: datetime | None
    current_progress: int
    rarity_percentage: float

    @property
    def is_secret(self) -> bool:
        """True when the achievement must not be revealed to the user."""
        return self.definition.is_hidden and not self.is_unlocked

    def at(self, achievement: Achievement) -> "AchievementView":
        """The same, with the user where they are now."""
        return replace(
            self,
            is_unlocked=achievement.is_unlocked,
            unlocked_at=achievement.unlocked_at,
            current_progress=achievement.current_progress,
        )


@dataclass(frozen=True, slots=True)
class AchievementList:
    """A product's achievements; `as_of` is when Catalog reported them, None: it never did."""

    achievements: Sequence[AchievementView]
    as_of: datetime | None

    def of(self, achievement_id: AchievementId) -> AchievementView | None:
        return next((one for one in self.achievements if one.definition.id == achievement_id), None)


class AchievementReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def list_achievements(
        self, user_id: UserId, product_id: ProductId, sort: AchievementSort
    ) -> AchievementList: ...

    async def find_achievement(
        self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId
    ) -> AchievementList:
        """The list with no other achievement than this one."""


CATALOG_DEADLINE_SECONDS = 2.0
"""Seconds to wait for Catalog."""
DEFINITIONS_KEPT = timedelta(hours=1)
"""The maximum age of a product's definitions when they are shown."""
DEFINITIONS_KEPT_FOR_UNKNOWN = timedelta(seconds=60)
"""Their maximum age when an achievement is not among them: it may be a new one."""
COUNT_SECONDS = 5.0
"""Seconds by which the numbers of users who have an achievement may be behind."""
COUNT_BATCH = 20_000
"""Notes added up in one go."""

AUDITED_ACTION = "achievement.progress"

logger = logging.getLogger(__name__)


class DefinitionFiller:
    """Keeps the read model of Catalog's achievements, product by product, as they are asked for."""

    def __init__(self, catalog: Catalog, definitions: Definitions, *, now: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._definitions = definitions
        self._now = now

    async def fill(self, product_id: ProductId, known_as_of: datetime | None, *, kept: timedelta) -> bool:
        """Asks Catalog when what is known is older than `kept`. If Catalog is unavailable, what is known is good enough.

        Returns:
            Whether the read model was renewed.

        Raises:
            ProductNotFound: Catalog does not know the product.
            DomainError: nothing is known, and Catalog cannot be asked.
        """
        now = self._now()
        if known_as_of is not None and now - known_as_of <= kept:
            return False
        try:
            async with asyncio.timeout(CATALOG_DEADLINE_SECONDS):
                found = await self._catalog.list_achievements(product_id)
        except (DomainError, TimeoutError) as error:
            if isinstance(error, DomainError) and error.kind is Kind.NOT_FOUND:
                raise ProductNotFound(product_id) from error
            logger.warning("catalog cannot be asked", extra={"error": repr(error)})
            if known_as_of is None:
                raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE") from error
            return False
        await self._definitions.replace(product_id, found, as_of=now)
        return True


async def list_achievements(
    reader: AchievementReader,
    filler: DefinitionFiller,
    *,
    user_id: UserId,
    product_id: ProductId,
    sort: AchievementSort = AchievementSort.DEFAULT,
) -> Sequence[AchievementView]:
    """All achievements of a product, with how far the user is.

    Raises:
        ProductNotFound: there is no such product.
    """
    found = await reader.list_achievements(user_id, product_id, sort)
    if await filler.fill(product_id, found.as_of, kept=DEFINITIONS_KEPT):
        found = await reader.list_achievements(user_id, product_id, sort)
    return found.achievements


async def get_achievement(
    reader: AchievementReader,
    filler: DefinitionFiller,
    *,
    user_id: UserId,
    product_id: ProductId,
    achievement_id: AchievementId,
) -> AchievementView:
    """One of a product's achievements, with how far the user is.

    Raises:
        AchievementNotFound: the product has no such achievement, or there is no such product.
    """
    found = await reader.find_achievement(user_id, product_id, achievement_id)
    shown = found.of(achievement_id)
    try:
        if shown is None and await filler.fill(product_id, found.as_of, kept=DEFINITIONS_KEPT_FOR_UNKNOWN):
            found = await reader.find_achievement(user_id, product_id, achievement_id)
            shown = found.of(achievement_id)
    except ProductNotFound as error:
        raise AchievementNotFound(achievement_id) from error
    if shown is None:
        raise AchievementNotFound(achievement_id)
    return shown


async def update_progress(
    begin: Begin,
    reader: AchievementReader,
    filler: DefinitionFiller,
    *,
    user_id: UserId,
    product_id: ProductId,
    achievement_id: AchievementId,
    step: SetTo | Increment,
    origin: Origin,
    now: datetime,
) -> AchievementView:
    """Gets a user further with an achievement, in one transaction.

    Raises:
        AchievementNotFound: the product has no such achievement.
        AlreadyUnlocked: the user has it.
        ProgressRejected: it cannot have happened; that it was tried is noted in the audit log.
    """
    shown = await get_achievement(reader, filler, user_id=user_id, product_id=product_id, achievement_id=achievement_id)
    async with begin(user_id) as tx:
        await tx.lock_user(user_id)
        standing = await tx.achievements.standing(user_id, product_id, achievement_id)
        if cause := _impossible(standing):
            await tx.audit(origin, action=AUDITED_ACTION, resource=str(achievement_id), outcome=f"rejected: {cause}")
            await tx.commit()
            raise ProgressRejected(cause)
        before = standing.achievement or Achievement(user_id, achievement_id, product_id)
        after = before.advanced(step, shown.definition, now)
        await tx.achievements.save(after)
        if after.unlocked_at is not None:
            tx.record(AchievementUnlocked(user_id, product_id, achievement_id, after.unlocked_at))
        await tx.commit()
    return shown.at(after)


def _impossible(standing: AchievementEligibility) -> Cause | None:
    """Why the user cannot have got anywhere; None: they can."""
    if foundation(standing.grants) is None:
        return Cause.NOT_OWNED
    return None if standing.has_begun else Cause.NEVER_PLAYED


async def count_all(tallies: AchievementTallies) -> None:
    """Adds up who has what. Raises: DomainError: the database is unavailable."""
    while await tallies.add_up(limit=COUNT_BATCH) == COUNT_BATCH:
        pass
