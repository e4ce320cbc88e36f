"""Achievements in memory, for tests and experiments; a part of memory.py, which has the transactions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from library_svc.achievements.application import AchievementList, AchievementSort, AchievementView
from library_svc.achievements.domain import Achievement, AchievementEligibility, Definition, rarity_percentage
from library_svc.entitlements.domain import Entitlements
from library_svc.ids import AchievementId, ProductId, UserId
from library_svc.playtime.domain import Playtime

Note = tuple[ProductId, AchievementId | None]


@dataclass(slots=True)
class AchievementRows:
    """What is kept of achievements."""

    own: dict[tuple[UserId, AchievementId], Achievement] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    tallies: dict[Note, int] = field(default_factory=dict)


class MemoryAchievements:
    def __init__(self, rows: AchievementRows, entitlements: Entitlements, playtime: Playtime) -> None:
        self._rows = rows
        self._entitlements = entitlements
        self._playtime = playtime

    async def standing(
        self, user_id: UserId, product_id: ProductId, achievement_id: AchievementId
    ) -> AchievementEligibility:
        return AchievementEligibility(
            await self._entitlements.of_product(user_id, product_id),
            await self._playtime.has_begun(user_id, product_id),
            self._rows.own.get((user_id, achievement_id)),
        )

    async def save(self, achievement: Achievement) -> None:
        self._rows.own[achievement.user_id, achievement.achievement_meta_id] = achievement
        if achievement.is_unlocked:
            self._rows.notes.append((achievement.product_id, achievement.achievement_meta_id))


class MemoryDefinitions:
    """The read model of Catalog's achievements."""

    def __init__(self) -> None:
        self.known: dict[ProductId, tuple[datetime, Sequence[Definition]]] = {}

    async def replace(self, product_id: ProductId, definitions: Sequence[Definition], *, as_of: datetime) -> None:
        if product_id not in self.known or self.known[product_id][0] <= as_of:
            self.known[product_id] = (as_of, tuple(definitions))


def listed(
    rows: AchievementRows, definitions: MemoryDefinitions, user_id: UserId, product_id: ProductId, sort: AchievementSort
) -> AchievementList:
    """A product's achievements as a user sees them."""
    if product_id not in definitions.known:
        return AchievementList([], None)
    as_of, defined = definitions.known[product_id]
    players = rows.tallies.get((product_id, None), 0)
    shown = []
    for definition in sorted(defined, key=lambda each: (each.ordinal, each.id)):
        own = rows.own.get((user_id, definition.id)) or Achievement(user_id, definition.id, product_id)
        rarity = rarity_percentage(rows.tallies.get((product_id, definition.id), 0), players)
        shown.append(AchievementView(definition, own.is_unlocked, own.unlocked_at, own.current_progress, rarity))
    match sort:
        case AchievementSort.RARITY_ASC:
            shown.sort(key=lambda each: rows.tallies.get((product_id, each.definition.id), 0))
        case AchievementSort.UNLOCKED_AT_DESC:
            never = datetime.min.replace(tzinfo=UTC)
            shown.sort(key=lambda each: each.unlocked_at or never, reverse=True)
    return AchievementList(shown, as_of)
