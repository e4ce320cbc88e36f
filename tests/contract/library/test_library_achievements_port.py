"""What every adapter of the achievements' ports promises, and the use cases over them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.errors import DomainError
from library_svc.achievements.application import (
    DEFINITIONS_KEPT,
    DEFINITIONS_KEPT_FOR_UNKNOWN,
    AchievementSort,
    AchievementView,
    DefinitionFiller,
    list_achievements,
    update_progress,
)
from library_svc.achievements.domain import (
    Achievement,
    AchievementNotFound,
    AlreadyUnlocked,
    Definition,
    Increment,
    ProgressRejected,
    SetTo,
)
from library_svc.catalog.domain import Product, ProductNotFound
from library_svc.entitlements.application import grant, revoke
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import AchievementId, PlaytimeSessionId, ProductId, UserId
from library_svc.items.domain import RemovalReason
from library_svc.playtime.domain import PlaytimeSession
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.transaction import Origin
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryCatalog
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE_STEP = SetTo(1)
UNLOCKED = "achievement.unlocked.v1"


class Game:
    """A product with three achievements, and those who play it. The test turns the clock."""

    def __init__(self, adapters) -> None:
        self.adapters = adapters
        self.now = NOON
        self.product_id = ProductId(uuid4())
        self.first, self.long, self.secret = (AchievementId(uuid4()) for _ in range(3))
        definitions = [
            Definition(self.product_id, self.first, 0, 1, name_ru="Начало"),
            Definition(self.product_id, self.long, 1, 10, name_ru="Долгий путь"),
            Definition(self.product_id, self.secret, 2, 1, is_hidden=True, name_ru="Тайна"),
        ]
        self.catalog = MemoryCatalog([Product(self.product_id, NOON, is_complete=True)], definitions)
        self.filler = DefinitionFiller(self.catalog, adapters.definitions, now=lambda: self.now)

    async def new_owner(self) -> UserId:
        user_id = UserId(uuid4())
        await grant(
            self.adapters.begin,
            MemoryAccessCache(),
            event_id=None,
            user_id=user_id,
            product_ids=[self.product_id],
            source=Source(SourceKind.ORDER, "1"),
            at=NOON,
        )
        return user_id

    async def new_player(self) -> UserId:
        user_id = await self.new_owner()
        async with self.adapters.begin() as tx:
            assert not await tx.playtime.has_begun(user_id, self.product_id)
            await tx.playtime.add(PlaytimeSession(PlaytimeSessionId(uuid4()), user_id, self.product_id, NOON, NOON))
            await tx.playtime.count_player(self.product_id)
            await tx.commit()
        return user_id

    async def list(self, user_id: UserId, sort: AchievementSort = AchievementSort.DEFAULT) -> Sequence[AchievementView]:
        return await list_achievements(
            self.adapters.achievements, self.filler, user_id=user_id, product_id=self.product_id, sort=sort
        )

    async def shown(self, user_id: UserId, achievement_id: AchievementId) -> AchievementView:
        return next(one for one in await self.list(user_id) if one.definition.id == achievement_id)

    async def advance(
        self, user_id: UserId, achievement_id: AchievementId, step: SetTo | Increment = ONE_STEP
    ) -> AchievementView:
        return await update_progress(
            self.adapters.begin,
            self.adapters.achievements,
            self.filler,
            user_id=user_id,
            product_id=self.product_id,
            achievement_id=achievement_id,
            step=step,
            origin=Origin(user_id, "192.0.2.1", "request-1"),
            now=self.now,
        )

    async def told(self, user_id: UserId) -> int:
        return sum(kind == UNLOCKED for kind, _ in await self.adapters.told(user_id))

    async def counted(self) -> None:
        while await self.adapters.tallies.add_up(limit=7):
            pass


@pytest.fixture
def game(adapters) -> Game:
    return Game(adapters)


async def test_all_achievements_of_a_product_are_shown_in_the_publishers_order(game: Game):
    player = await game.new_player()
    shown = await game.list(player)
    assert [one.definition for one in shown] == game.catalog.definitions
    assert {(one.is_unlocked, one.unlocked_at, one.current_progress, one.rarity_percentage) for one in shown} == {
        (False, None, 0, 0.0)
    }
    assert [one.is_secret for one in shown] == [False, False, True]


async def test_progress_adds_up_to_an_unlock_that_is_told_once(game: Game):
    player = await game.new_player()
    assert (await game.advance(player, game.long, Increment(4))).current_progress == 4
    assert (await game.advance(player, game.long, SetTo(2))).current_progress == 4
    assert await game.told(player) == 0
    game.now += timedelta(minutes=1)
    unlocked = await game.advance(player, game.long, Increment(100))
    assert (unlocked.is_unlocked, unlocked.unlocked_at, unlocked.current_progress) == (True, game.now, 10)
    with pytest.raises(AlreadyUnlocked):
        await game.advance(player, game.long, Increment(1))
    kept = await game.shown(player, game.long)
    assert (kept.is_unlocked, kept.unlocked_at, kept.current_progress) == (True, game.now, 10)
    assert await game.told(player) == 1


async def test_of_twenty_who_unlock_at_once_one_does(game: Game):
    player = await game.new_player()
    answers = await asyncio.gather(*(game.advance(player, game.first) for _ in range(20)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["AchievementView"] + ["AlreadyUnlocked"] * 19
    await game.counted()
    assert (await game.told(player), (await game.shown(player, game.first)).rarity_percentage) == (1, 100.0)


async def test_twenty_increments_at_once_are_all_counted(game: Game):
    player = await game.new_player()
    await game.list(player)
    results = await asyncio.gather(*(game.advance(player, game.long, Increment(1)) for _ in range(9)))
    assert sorted(result.current_progress for result in results) == list(range(1, 10))


async def test_progress_is_its_users_own(game: Game):
    one, other = await game.new_player(), await game.new_player()
    await game.advance(one, game.first)
    assert not (await game.shown(other, game.first)).is_unlocked


async def test_who_does_not_own_it_gets_nowhere_and_it_is_noted(game: Game):
    stranger = UserId(uuid4())
    with pytest.raises(ProgressRejected) as refused:
        await game.advance(stranger, game.first)
    assert refused.value.details == {"cause": "not_owned"}
    assert await game.adapters.audited(stranger) == [("achievement.progress", str(game.first), "rejected: not_owned")]
    assert not (await game.shown(stranger, game.first)).is_unlocked


async def test_who_never_played_gets_nowhere_and_it_is_noted(game: Game):
    owner = await game.new_owner()
    with pytest.raises(ProgressRejected) as refused:
        await game.advance(owner, game.first)
    assert refused.value.details == {"cause": "never_played"}
    assert len(await game.adapters.audited(owner)) == 1


async def test_achievements_stay_for_a_return(game: Game):
    player = await game.new_player()
    await game.advance(player, game.first)
    await revoke(
        game.adapters.begin,
        MemoryAccessCache(),
        RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
        event_id=None,
        user_id=player,
        product_ids=[game.product_id],
        source=Source(SourceKind.ORDER, "1"),
        reason=RemovalReason.REFUND,
        at=NOON,
    )
    assert (await game.shown(player, game.first)).is_unlocked
    with pytest.raises(ProgressRejected):
        await game.advance(player, game.long)


async def test_rarity_is_counted_once_whoever_adds_up(game: Game):
    players = [await game.new_player() for _ in range(4)]
    for player in players[:3]:
        await game.advance(player, game.first)
    await game.advance(players[0], game.secret)
    added = await asyncio.gather(*(game.adapters.tallies.add_up(limit=3) for _ in range(8)))
    assert max(added) <= 3
    await game.counted()
    assert await game.adapters.tallies.add_up(limit=3) == 0
    rarity = {one.definition.id: one.rarity_percentage for one in await game.list(players[3])}
    assert rarity == {game.first: 75.0, game.long: 0.0, game.secret: 25.0}
    rare_first = await game.list(players[3], AchievementSort.RARITY_ASC)
    assert [one.definition.id for one in rare_first] == [game.long, game.secret, game.first]


async def test_the_latest_unlocked_come_first_when_asked_for(game: Game):
    player = await game.new_player()
    for achievement_id in (game.secret, game.first):
        await game.advance(player, achievement_id)
        game.now += timedelta(seconds=1)
    shown = await game.list(player, AchievementSort.UNLOCKED_AT_DESC)
    assert [one.definition.id for one in shown] == [game.first, game.secret, game.long]


async def test_what_is_unknown_is_not_found(game: Game):
    player = await game.new_player()
    with pytest.raises(AchievementNotFound):
        await game.advance(player, AchievementId(uuid4()))
    game.product_id = ProductId(uuid4())
    with pytest.raises(ProductNotFound):
        await game.list(player)
    with pytest.raises(AchievementNotFound):
        await game.advance(player, game.first)


async def test_a_new_achievement_is_found_soon_and_a_changed_one_within_the_hour(game: Game):
    player = await game.new_player()
    await game.list(player)
    new = Definition(game.product_id, AchievementId(uuid4()), 3, 1)
    game.catalog.definitions.append(new)
    with pytest.raises(AchievementNotFound):
        await game.advance(player, new.id)
    game.now += DEFINITIONS_KEPT_FOR_UNKNOWN + timedelta(seconds=1)
    assert (await game.advance(player, new.id)).is_unlocked
    game.catalog.definitions = game.catalog.definitions[:2]
    assert len(await game.list(player)) == 4
    game.now += DEFINITIONS_KEPT + timedelta(seconds=1)
    assert len(await game.list(player)) == 2


async def test_with_catalog_away_what_is_known_is_shown(game: Game):
    player = await game.new_player()
    game.catalog.is_away = True
    with pytest.raises(DomainError) as refused:
        await game.list(player)
    assert refused.value.reason == "SERVICE_UNAVAILABLE"
    game.catalog.is_away = False
    await game.list(player)
    game.catalog.is_away = True
    game.now += 2 * DEFINITIONS_KEPT
    assert len(await game.list(player)) == 3
    assert (await game.advance(player, game.first)).is_unlocked


async def test_older_definitions_do_not_take_the_place_of_newer_ones(game: Game):
    player = await game.new_player()
    await game.list(player)
    await game.adapters.definitions.replace(game.product_id, [], as_of=NOON - timedelta(seconds=1))
    assert len(await game.list(player)) == 3


async def test_what_is_not_committed_leaves_no_trace(game: Game):
    player = await game.new_player()
    await game.counted()
    shown = await game.shown(player, game.first)
    async with game.adapters.begin() as tx:
        await tx.achievements.save(Achievement(player, game.first, game.product_id, is_unlocked=True, unlocked_at=NOON))
        await tx.audit(Origin(player, None, ""), action="a", resource="b", outcome="c")
    assert await game.adapters.tallies.add_up(limit=10) == 0
    assert await game.adapters.audited(player) == []
    assert await game.shown(player, game.first) == shown
