"""A machine that grants, revokes, plays and achieves in any order, with replays, lost live state and restarts, and compares the
library with a simple model (library_model.py) all the way: over memory, over the embedded servers, and over the real ones.

A failure prints its steps and a `@reproduce_failure` line that makes it happen again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from adapters import adapters, redis_url, settings_of
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from library_model import DAY, NOON, SILENCE, TICKS_PER_SECOND, WAYS, Model, Play
from sqlalchemy import select

from chassis.live.live_state import LiveValues
from chassis.live.redis_state import open_redis_state
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.achievements.application import (
    AchievementReader,
    AchievementSort,
    AchievementTallies,
    DefinitionFiller,
    Definitions,
    list_achievements,
    update_progress,
)
from library_svc.achievements.domain import AlreadyUnlocked, Definition, Increment, ProgressRejected, SetTo
from library_svc.achievements.postgres import PostgresAchievementReader, PostgresAchievementTallies, PostgresDefinitions
from library_svc.catalog.domain import Product
from library_svc.entitlements.application import GrantResult, grant, revoke
from library_svc.entitlements.domain import ProductAccessDenied, Source, SourceKind
from library_svc.ids import AchievementId, DeviceId, EventId, PlaytimeSessionId, ProductId, UserId, WishlistItemId
from library_svc.items.application import LibraryReader
from library_svc.items.domain import RemovalReason
from library_svc.items.postgres_reader import PostgresReader
from library_svc.outgoing import outgoing
from library_svc.playtime.application import (
    FLUSH_SECONDS,
    HeartbeatRecorder,
    PlaytimeReader,
    end_session,
    end_silent_sessions,
    start_session,
)
from library_svc.playtime.domain import PlaytimeSession, PlaytimeSessionNotFound, SessionOver
from library_svc.playtime.postgres import PostgresPlaytimeReader
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.postgres import PostgresLibrary
from library_svc.schema import shared
from library_svc.transaction import Begin, Origin
from library_svc.wishlist.domain import WishlistItem
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryCatalog, MemoryLibrary, MemoryProducts
from tests.fakes.live_state import MemoryLiveValues

START = datetime(2026, 3, 15, 12, tzinfo=UTC)
MAX_SILENCE = timedelta(seconds=SILENCE / TICKS_PER_SECOND)
STEPS = (1, 3)
"""Of the two achievements of every product; the first is a secret."""
USERS, PRODUCTS, INSTANCES = range(2), range(2), range(2)
AT_ONCE = 4
SOURCES = (("order", "1"), ("order", "2"), ("key", "K"), ("gift", "G"))
RECENT = st.sampled_from((0, 0, 0, 1, 1, 2, 3))
"""Which of the sessions, the latest by 0."""
PAUSES = (0, 1, 20, 59, 59, 120, 120, 240, 240, SILENCE, SILENCE + 1, DAY // 2, 15 * DAY)
"""Half-seconds."""
SOMEBODY, SOMETHING = st.sampled_from([0, 0, 0, 1]), st.sampled_from([0, 0, 0, 1])
"""Mostly the same: what happens to one thing is what can go wrong."""
T = TypeVar("T")


@dataclass(frozen=True)
class Rig:
    """One technology's adapters, and a look at what was told to the platform about a user and at the audit log."""

    begin: Begin
    reader: LibraryReader
    playtime: PlaytimeReader
    achievements: AchievementReader
    tallies: AchievementTallies
    definitions: Definitions
    values: LiveValues
    told: Callable[[UserId], Awaitable[Counter[str]]]
    audited: Callable[[UserId], Awaitable[int]]


def memory_rig() -> Rig:
    library = MemoryLibrary(MemoryProducts())

    async def told(user_id: UserId) -> Counter[str]:
        return Counter(_short(outgoing(event).type) for event in library.events if event.user_id == user_id)

    async def audited(user_id: UserId) -> int:
        return sum(who == user_id for who, *_ in library.audited)

    return Rig(
        library.begin,
        library,
        library,
        library,
        library,
        library.definitions,
        MemoryLiveValues(),
        told,
        audited,
    )


@asynccontextmanager
async def postgres_rig(dsn: str, redis: str) -> AsyncIterator[Rig]:
    await upgrade(dsn, "library_svc")
    async with open_database(dsn) as database, open_redis_state(redis) as state:

        async def told(user_id: UserId) -> Counter[str]:
            columns = shared.outbox.c
            async with database.connect() as connection:
                rows = await connection.execute(select(columns.type).where(columns.partition_key == str(user_id)))
                return Counter(_short(kind) for kind in rows.scalars())

        async def audited(user_id: UserId) -> int:
            log = shared.audit_log.c
            async with database.connect() as connection:
                return len((await connection.execute(select(log.action).where(log.actor == str(user_id)))).all())

        library = PostgresLibrary(database, consumer="tests")
        yield Rig(
            library.begin,
            PostgresReader(database),
            PostgresPlaytimeReader(database),
            PostgresAchievementReader(database),
            PostgresAchievementTallies(database),
            PostgresDefinitions(database),
            state.values,
            told,
            audited,
        )


def _short(event_type: str) -> str:
    return event_type.removeprefix("com.platform.library.")


class LibraryMachine(RuleBasedStateMachine):
    """Every rule does the same to the library and to the model, and compares the answers; `all_agrees` compares the rest."""

    def __init__(self, rig: Rig, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__()
        self.rig, self.run = rig, run
        self.model = Model(STEPS)
        self.users = [UserId(uuid4()) for _ in USERS]
        self.products = [ProductId(uuid4()) for _ in PRODUCTS]
        self.devices = [DeviceId(uuid4()) for _ in range(2)]
        self.achievement_ids = [[AchievementId(uuid4()) for _ in STEPS] for _ in PRODUCTS]
        self.session_ids: list[PlaytimeSessionId] = []
        self.deliveries: list[tuple[str, int, int, tuple[str, str], EventId]] = []
        definitions = [
            Definition(
                self.products[product], achievement_id, ordinal, STEPS[ordinal], is_hidden=ordinal == 0, name_en="A"
            )
            for product in PRODUCTS
            for ordinal, achievement_id in enumerate(self.achievement_ids[product])
        ]
        known = [Product(product_id, START, is_complete=True) for product_id in self.products]
        self.filler = DefinitionFiller(MemoryCatalog(known, definitions), rig.definitions, now=self.clock)
        self.heartbeat_store = RedisHeartbeats(rig.values, max_silence=MAX_SILENCE)
        self.heartbeats = [self.new_instance() for _ in INSTANCES]

    def clock(self) -> datetime:
        return moment(self.model.now)

    def new_instance(self) -> HeartbeatRecorder:
        return HeartbeatRecorder(
            self.rig.begin, self.rig.playtime, self.heartbeat_store, max_silence=MAX_SILENCE, now=self.clock
        )

    # Entitlements

    @initialize()
    def somebody_plays_something(self) -> None:
        self.grants(0, 0, SOURCES[0])
        self.starts_to_play(0, 0, None)

    @rule(
        user=SOMEBODY,
        product=SOMETHING,
        source=st.sampled_from(SOURCES),
        what=st.sampled_from(("grant", "grant", "grant", "at once", "revoke", "wish", "again")),
        number=st.integers(0, 9),
    )
    def rights_change(self, user: int, product: int, source: tuple[str, str], what: str, number: int) -> None:
        match what:
            case "grant":
                self.grants(user, product, source)
            case "at once":
                self.grants_that_come_at_once_give_once(user, product, source)
            case "revoke":
                self.revokes(user, product, source)
            case "wish":
                self.wishes(user, product)
            case "again":
                # An event that was handled changes nothing.
                assert self.run(self.deliver(*self.deliveries[number % len(self.deliveries)])) == ()

    def grants(self, user: int, product: int, source: tuple[str, str]) -> None:
        event_id = EventId("test", str(uuid4()))
        (settled,) = self.run(self.deliver("grant", user, product, source, event_id))
        assert (settled.was_known, settled.stood) == self.model.grant(user, product, source)
        self.deliveries.append(("grant", user, product, source, event_id))

    def grants_that_come_at_once_give_once(self, user: int, product: int, source: tuple[str, str]) -> None:
        deliveries = [
            self.deliver("grant", user, product, source, EventId("test", str(uuid4()))) for _ in range(AT_ONCE)
        ]
        answers = self.run(together(deliveries))
        was_known, stood = self.model.grant(user, product, source)
        assert sum(not settled.was_known for (settled,) in answers) == (not was_known)
        assert all(settled.stood is stood for (settled,) in answers if was_known)

    def revokes(self, user: int, product: int, source: tuple[str, str]) -> None:
        event_id = EventId("test", str(uuid4()))
        (settled,) = self.run(self.deliver("revoke", user, product, source, event_id))
        was_known, stood, cut_off = self.model.revoke(user, product, source)
        assert (settled.was_known, settled.stood) == (was_known, stood)
        for play in cut_off:
            self.ends(play, {"terminated"})
        self.deliveries.append(("revoke", user, product, source, event_id))

    def wishes(self, user: int, product: int) -> None:
        shelf = self.model.shelf(user, product)
        if shelf.is_wished:
            return
        shelf.is_wished = True
        self.run(
            self.add_wish(WishlistItem(WishlistItemId(uuid4()), self.users[user], self.products[product], self.clock()))
        )

    async def add_wish(self, wish: WishlistItem) -> None:
        async with self.rig.begin() as tx:
            await tx.wishlist.add(wish)
            await tx.commit()

    async def deliver(
        self, what: str, user: int, product: int, source: tuple[str, str], event_id: EventId
    ) -> tuple[GrantResult, ...]:
        about: dict[str, Any] = {
            "event_id": event_id,
            "user_id": self.users[user],
            "product_ids": [self.products[product]],
            "source": Source(SourceKind(source[0]), f"{source[1]} of {self.users[user]}"),
            "at": self.clock(),
        }
        if what == "grant":
            return tuple(await grant(self.rig.begin, MemoryAccessCache(), **about))
        reason = RemovalReason.REFUND
        return tuple(await revoke(self.rig.begin, MemoryAccessCache(), self.heartbeat_store, reason=reason, **about))

    # Playtime

    @rule(
        user=SOMEBODY, product=SOMETHING, device=st.sampled_from((0, 0, 0, 1, None)), times=st.sampled_from((1, 1, 2))
    )
    def games_start(self, user: int, product: int, device: int | None, times: int) -> None:
        for _ in range(times):
            self.starts_to_play(user, product, device)

    def starts_to_play(self, user: int, product: int, device: int | None) -> None:
        starting = start_session(
            self.rig.begin,
            self.heartbeat_store,
            user_id=self.users[user],
            product_id=self.products[product],
            platform=None,
            device_id=None if device is None else self.devices[device],
            now=self.clock(),
        )
        if self.model.shelf(user, product).base is None:
            with pytest.raises(ProductAccessDenied):
                self.run(starting)
            return
        session = self.run(starting)
        for play in list(self.model.live(user, product)):
            if device is not None and play.device == device:
                self.ends(play, {"terminated"})
        now = self.model.now
        self.model.plays.append(Play(user, product, device, now, early=now, late=now, written=now))
        self.session_ids.append(session.id)

    @precondition(lambda self: self.session_ids)
    @rule(
        recent=RECENT,
        sequence=st.none() | st.integers(0, 9),
        instance=st.sampled_from(INSTANCES),
        pause=st.sampled_from((0, 0, 1, 59, 120)),
    )
    def beats(self, recent: int, sequence: int | None, instance: int, pause: int) -> None:
        self.time_passes(pause)
        number = self.nth(recent)
        play = self.model.plays[number]
        silent = play.silent(self.model.now)
        may_refuse = play.end is not None or silent in {True, None}
        must_refuse = play.end is not None or silent is True
        try:
            self.run(self.heartbeats[instance].record(self.users[play.user], self.session_ids[number], sequence))
        except SessionOver:
            assert may_refuse
        else:
            assert not must_refuse
            play.hear(instance, self.model.now, sequence)

    @precondition(lambda self: self.session_ids)
    @rule(recent=RECENT, first=st.integers(0, 9), beats=st.integers(2, 6), instance=st.sampled_from(INSTANCES))
    def plays_on(self, recent: int, first: int, beats: int, instance: int) -> None:
        for sequence in range(first, first + beats):
            self.beats(recent, sequence, instance, 120)

    @precondition(lambda self: self.session_ids)
    @rule(recent=RECENT)
    def stops_to_play(self, recent: int) -> None:
        number = self.nth(recent)
        play = self.model.plays[number]
        answered = self.run(self.end(number))
        if play.end is None:
            silent, now = play.silent(self.model.now), self.model.now
            if answered.status.value == "completed":
                assert silent is not True
                play.early = play.late = now
            else:
                assert silent is not False
            self.ends(play, {"completed", "timed_out"})
        assert answered == self.kept(number)

    @rule(pause=st.sampled_from((0, 0, 240, SILENCE, SILENCE + 1)))
    def silent_sessions_are_ended(self, pause: int) -> None:
        self.time_passes(pause)
        self.run(
            end_silent_sessions(
                self.rig.begin, self.rig.playtime, self.heartbeat_store, now=self.clock(), max_silence=MAX_SILENCE
            )
        )
        for number, play in enumerate(self.model.plays):
            if play.end is not None:
                continue
            silent, is_over = play.silent(self.model.now), not self.kept(number).is_live
            assert silent is None or silent is is_over
            if is_over:
                self.ends(play, {"timed_out"})

    @rule(pause=st.sampled_from(PAUSES))
    def time_passes(self, pause: int) -> None:
        if pause > FLUSH_SECONDS * TICKS_PER_SECOND:
            for instance in INSTANCES:
                self.heartbeats_are_written_down(instance)
        self.model.now += pause

    @rule(instance=st.sampled_from(INSTANCES))
    def heartbeats_are_written_down(self, instance: int) -> None:
        self.run(self.heartbeats[instance].flush())
        for play in self.model.plays:
            play.write(instance)

    @precondition(lambda self: self.session_ids)
    @rule(recent=RECENT, instance=st.sampled_from(INSTANCES), what=st.sampled_from(("crash", "loss", "stranger")))
    def something_is_wrong(self, recent: int, instance: int, what: str) -> None:
        match what:
            case "crash":
                self.heartbeats[instance] = self.new_instance()
                for play in self.model.plays:
                    play.notes.pop(instance, None)
            case "loss":
                owners = [self.users[play.user] for play in self.model.plays]
                self.run(self.heartbeat_store.forget(list(zip(owners, self.session_ids, strict=True))))
                for play in self.model.plays:
                    play.lose()
            case "stranger":
                number = self.nth(recent)
                stranger = self.users[1 - self.model.plays[number].user]
                with pytest.raises(PlaytimeSessionNotFound):
                    self.run(self.heartbeats[instance].record(stranger, self.session_ids[number], None))

    def nth(self, recent: int) -> int:
        """The number of a session, the latest by 0."""
        return max(len(self.session_ids) - 1 - recent, 0)

    async def end(self, number: int) -> PlaytimeSession:
        return await end_session(
            self.rig.begin,
            self.heartbeat_store,
            user_id=self.users[self.model.plays[number].user],
            session_id=self.session_ids[number],
            now=self.clock(),
            max_silence=MAX_SILENCE,
        )

    def kept(self, number: int) -> PlaytimeSession:
        owner = self.users[self.model.plays[number].user]
        found: PlaytimeSession | None = self.run(self.rig.playtime.get_session(owner, self.session_ids[number]))
        assert found is not None
        return found

    def ends(self, play: Play, statuses: set[str]) -> None:
        """The session is over; when it ended is within what the model knows, and the model learns it."""
        session = self.kept(self.model.plays.index(play))
        assert session.status.value in statuses
        assert session.end_time is not None
        end = tick(session.end_time)
        assert play.early <= end <= play.late
        assert session.duration_seconds == (end - play.start) // TICKS_PER_SECOND
        self.model.finish(play, session.status.value, end)

    # Achievements

    @rule(
        user=SOMEBODY,
        product=SOMETHING,
        achievement=st.sampled_from(range(len(STEPS))),
        step=st.builds(SetTo, st.integers(0, 4)) | st.builds(Increment, st.integers(1, 4)),
        times=st.sampled_from((1, 1, AT_ONCE)),
    )
    def gets_on(self, user: int, product: int, achievement: int, step: SetTo | Increment, times: int) -> None:
        is_increment = isinstance(step, Increment)
        expected = [
            self.model.advance(user, product, achievement, step.steps, is_increment=is_increment) for _ in range(times)
        ]
        answers = self.run(together([self.advance(user, product, achievement, step) for _ in range(times)]))
        assert sorted(answers) == sorted(expected)

    async def advance(self, user: int, product: int, achievement: int, step: SetTo | Increment) -> str:
        try:
            shown = await update_progress(
                self.rig.begin,
                self.rig.achievements,
                self.filler,
                user_id=self.users[user],
                product_id=self.products[product],
                achievement_id=self.achievement_ids[product][achievement],
                step=step,
                origin=Origin(self.users[user], None, "request"),
                now=self.clock(),
            )
        except ProgressRejected:
            return "rejected"
        except AlreadyUnlocked:
            return "already"
        assert shown.is_unlocked == (shown.current_progress == STEPS[achievement])
        return "ok"

    # What is there

    @invariant()
    def nobody_has_played_longer_than_time_went_by(self) -> None:
        for user in USERS:
            for product in PRODUCTS:
                assert len(self.model.played(user, product)) <= self.model.now

    @rule(user=SOMEBODY)
    def all_agrees(self, user: int) -> None:
        self.items_agree(user)
        self.playtime_agrees(user)
        for product in PRODUCTS:
            self.achievements_agree(user, product)
        told, model = self.run(self.rig.told(self.users[user])), self.model.told.get(user, {})
        assert {kind: told[kind] for kind in model} == model
        assert self.run(self.rig.audited(self.users[user])) == self.model.rejected.get(user, 0)

    def items_agree(self, user: int) -> None:
        found = {item.product_id: item for item in self.run(self.rig.reader.owned_items(self.users[user], []))}
        for product, product_id in enumerate(self.products):
            shelf, item = self.model.shelf(user, product), found.pop(product_id, None)
            assert (item is not None) == (shelf.base is not None)
            if item is None or shelf.base is None:
                continue
            played, last = self.model.played(user, product), self.model.last_played(user, product)
            assert item.acquisition_type.value == WAYS[shelf.base.source[0]]
            assert tick(item.added_at) == shelf.added
            assert item.total_playtime_seconds == len(played) // TICKS_PER_SECOND
            assert item.last_played_at == (None if last is None else moment(last))
        assert not found

    def playtime_agrees(self, user: int) -> None:
        now = self.model.now
        found = self.run(self.rig.playtime.statistics(self.users[user], [], only_recent=False, now=self.clock()))
        by_product = {each.product_id: each for each in found.products}
        days: Counter[int] = Counter()
        for product, product_id in enumerate(self.products):
            played, last = self.model.played(user, product), self.model.last_played(user, product)
            assert (product_id in by_product) == (last is not None)
            if last is None:
                continue
            each = by_product[product_id]
            assert each.seconds == len(played) // TICKS_PER_SECOND
            assert each.recent_seconds == sum(at >= now - 14 * DAY for at in played) // TICKS_PER_SECOND
            assert each.last_played_at == moment(last)
            days.update((at + NOON) // DAY for at in played)
        today = (now + NOON) // DAY
        expected = {day: ticks // TICKS_PER_SECOND for day, ticks in days.items() if day > today - 14}
        first = START.date()
        assert {(each.day - first).days: each.seconds for each in found.days} == {
            d: s for d, s in expected.items() if s
        }

    def achievements_agree(self, user: int, product: int) -> None:
        self.run(self.count())
        product_id = self.products[product]
        shown = self.run(
            list_achievements(
                self.rig.achievements,
                self.filler,
                user_id=self.users[user],
                product_id=product_id,
                sort=AchievementSort.DEFAULT,
            )
        )
        shelf, players = self.model.shelf(user, product), self.model.players(product)
        for ordinal, one in enumerate(shown):
            assert one.definition.id == self.achievement_ids[product][ordinal]
            assert (one.is_unlocked, one.current_progress) == (ordinal in shelf.unlocked, shelf.steps.get(ordinal, 0))
            assert one.is_secret == (ordinal == 0 and not one.is_unlocked)
            unlocked_at = shelf.unlocked.get(ordinal)
            assert one.unlocked_at == (None if unlocked_at is None else moment(unlocked_at))
            having = sum(ordinal in self.model.shelf(other, product).unlocked for other in USERS)
            assert one.rarity_percentage == (100 * having / players if players else 0)

    async def count(self) -> None:
        while await self.rig.tallies.add_up(limit=3):
            pass

    def teardown(self) -> None:
        for user in USERS:
            self.all_agrees(user)
        for number, play in enumerate(self.model.plays):
            if play.end is None:
                self.run(self.end(number))  # nobody else's machine should find it


def moment(ticks: int) -> datetime:
    return START + timedelta(seconds=ticks / TICKS_PER_SECOND)


def tick(at: datetime) -> int:
    ticks = (at - START) / timedelta(seconds=1 / TICKS_PER_SECOND)
    assert ticks.is_integer()
    return int(ticks)


async def together(calls: list[Coroutine[Any, Any, T]]) -> list[T]:
    return list(await asyncio.gather(*calls))


def drive(
    new_rig: Callable[[], Rig], run: Callable[[Coroutine[Any, Any, Any]], Any], examples: int, steps: int
) -> None:
    run_state_machine_as_test(
        lambda: LibraryMachine(new_rig(), run),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def drive_over(technology: str, request: pytest.FixtureRequest, examples: int, steps: int) -> None:
    """Runs the machine in an event loop of its own: Hypothesis is synchronous. Not by the runner, which looks after signals each
    time and so takes longer than a step over memory.
    """
    with asyncio.Runner() as runner:
        run = runner.get_loop().run_until_complete
        if technology == "memory":
            drive(memory_rig, run, examples, steps)
            return
        if technology == "embedded":
            dsn = run(request.getfixturevalue("new_database")("machine"))
            redis = request.getfixturevalue("valkey_url")
        else:
            dsn = run(new_real_database())
            redis = redis_url()
        opened = postgres_rig(dsn, redis)
        rig = run(opened.__aenter__())
        try:
            drive(lambda: rig, run, examples, steps)
        finally:
            run(opened.__aexit__(None, None, None))
            if technology != "embedded":
                run(drop_real_database(dsn))


async def new_real_database() -> str:
    server, name = settings_of("postgres 15")["POSTGRES_DSN"], f"machine_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    finally:
        await connection.close()
    return server.rsplit("/", 1)[0] + f"/{name}"


async def drop_real_database(dsn: str) -> None:
    connection = await asyncpg.connect(settings_of("postgres 15")["POSTGRES_DSN"])
    try:
        await connection.execute(f'DROP DATABASE "{dsn.rsplit("/", 1)[1]}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.mark.timeout(600)  # a failure is made small before it is told
@pytest.mark.parametrize("technology", adapters(__file__))
def test_the_library_and_the_model_agree_whatever_happens(technology: str, request: pytest.FixtureRequest) -> None:
    examples, steps = (40, 40) if technology == "memory" else (10, 40)
    drive_over(technology, request, examples, steps)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("technology", adapters(__file__))
def test_they_agree_for_long(technology: str, request: pytest.FixtureRequest) -> None:
    examples, steps = (2000, 80) if technology == "memory" else (200, 80)
    drive_over(technology, request, examples, steps)
