"""What every adapter of the Playtime and PlaytimeReader ports promises, and the use cases over them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.errors import DomainError, Kind
from library_svc.entitlements.application import grant, revoke
from library_svc.entitlements.domain import ProductAccessDenied, Source, SourceKind
from library_svc.ids import DeviceId, PlaytimeSessionId, ProductId, UserId
from library_svc.items.domain import RemovalReason
from library_svc.playtime.application import (
    DailyPlaytime,
    HeartbeatRecorder,
    end_session,
    end_silent_sessions,
    start_session,
)
from library_svc.playtime.domain import (
    Heartbeat,
    PlaytimeSession,
    PlaytimeSessionNotFound,
    PlaytimeTotals,
    SessionOver,
    SessionStatus,
)
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.transaction import Begin, Transaction
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
MAX_SILENCE = timedelta(seconds=300)
ENDED = "playtime.session.ended.v1"


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class AwayValues(MemoryLiveValues):
    """A live state that can go away, and lose what it has."""

    is_away = False

    async def get(self, key):
        self._check()
        return await super().get(key)

    async def get_many(self, keys):
        self._check()
        return await super().get_many(keys)

    async def put(self, key, values, *, ttl_seconds):
        self._check()
        await super().put(key, values, ttl_seconds=ttl_seconds)

    async def delete(self, keys):
        self._check()
        await super().delete(keys)

    def _check(self):
        if self.is_away:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")


class Player:
    """A user with a product, whose clock the test turns."""

    def __init__(self, adapters) -> None:
        self.adapters = adapters
        self.now = NOON
        self.values = AwayValues()
        self.heartbeat_store = RedisHeartbeats(self.values, max_silence=MAX_SILENCE)
        self.heartbeats = self.new_heartbeats()
        self.user_id, self.product_id = UserId(uuid4()), ProductId(uuid4())
        self.source = Source(SourceKind.ORDER, str(uuid4()))

    def new_heartbeats(self) -> HeartbeatRecorder:
        """Those of an instance of the service."""
        return HeartbeatRecorder(
            self.adapters.begin,
            self.adapters.playtime,
            self.heartbeat_store,
            max_silence=MAX_SILENCE,
            now=lambda: self.now,
        )

    async def buy(self, product_id: ProductId | None = None, source: Source | None = None) -> None:
        await grant(
            self.adapters.begin,
            MemoryAccessCache(),
            event_id=None,
            user_id=self.user_id,
            product_ids=[product_id or self.product_id],
            source=source or self.source,
            at=NOON - timedelta(days=30),
        )

    async def start(
        self, at: float = 0, *, product_id: ProductId | None = None, device_id: DeviceId | None = None
    ) -> PlaytimeSession:
        self.now = after(at)
        return await start_session(
            self.adapters.begin,
            self.heartbeat_store,
            user_id=self.user_id,
            product_id=product_id or self.product_id,
            platform="linux",
            device_id=device_id,
            now=self.now,
        )

    async def beat(self, session: PlaytimeSession, at: float, sequence: int | None = None) -> None:
        self.now = after(at)
        await self.heartbeats.record(self.user_id, session.id, sequence)

    async def end(self, session: PlaytimeSession, at: float) -> PlaytimeSession:
        self.now = after(at)
        return await end_session(
            self.adapters.begin,
            self.heartbeat_store,
            user_id=self.user_id,
            session_id=session.id,
            now=self.now,
            max_silence=MAX_SILENCE,
        )

    async def end_silent(self, at: float) -> None:
        self.now = after(at)
        await end_silent_sessions(
            self.adapters.begin, self.adapters.playtime, self.heartbeat_store, now=self.now, max_silence=MAX_SILENCE
        )

    async def kept(self, session: PlaytimeSession) -> PlaytimeSession:
        found = await self.adapters.playtime.get_session(self.user_id, session.id)
        assert found is not None
        return found

    async def total(self) -> tuple[int, datetime | None]:
        (item,) = await self.adapters.reader.owned_items(self.user_id, [self.product_id])
        return item.total_playtime_seconds, item.last_played_at

    async def told(self) -> Sequence[tuple[str, str]]:
        return [told for told in await self.adapters.told(self.user_id) if told[0] == ENDED]


@pytest.fixture
async def player(adapters) -> Player:
    made = Player(adapters)
    await made.buy()
    return made


async def test_a_session_is_kept_as_it_began_and_as_it_ended(player: Player):
    device_id = DeviceId(uuid4())
    began = await player.start(device_id=device_id)
    assert await player.kept(began) == began
    assert (began.platform, began.device_id, began.status) == ("linux", device_id, SessionStatus.ACTIVE)
    ended = await player.end(began, 90)
    assert await player.kept(began) == ended
    assert (ended.status, ended.duration_seconds) == (SessionStatus.COMPLETED, 90)
    assert await player.total() == (90, after(90))
    assert await player.told() == [(ENDED, str(player.product_id))]


async def test_ending_again_changes_nothing_and_answers_the_same(player: Player):
    session = await player.start()
    first = await player.end(session, 90)
    assert await player.end(session, 500) == first
    assert await player.total() == (90, after(90))
    assert len(await player.told()) == 1


async def test_of_many_who_end_one_session_at_once_one_ends_it(player: Player):
    session = await player.start()
    answers = await asyncio.gather(*(player.end(session, 60) for _ in range(20)))
    assert set(answers) == {answers[0]}
    assert (await player.total(), len(await player.told())) == ((60, after(60)), 1)


async def test_nobody_plays_what_they_do_not_own(player: Player):
    with pytest.raises(ProductAccessDenied):
        await player.start(product_id=ProductId(uuid4()))


async def test_sessions_are_their_users(player: Player):
    session = await player.start()
    stranger = UserId(uuid4())
    with pytest.raises(PlaytimeSessionNotFound):
        await player.heartbeats.record(stranger, session.id, None)
    with pytest.raises(PlaytimeSessionNotFound):
        await end_session(
            player.adapters.begin,
            player.heartbeat_store,
            user_id=stranger,
            session_id=session.id,
            now=after(1),
            max_silence=MAX_SILENCE,
        )
    with pytest.raises(PlaytimeSessionNotFound):
        await player.heartbeats.record(player.user_id, PlaytimeSessionId(uuid4()), None)


async def test_time_that_two_devices_share_is_counted_once(player: Player):
    one, other = await player.start(0), await player.start(50)
    await player.end(one, 100)
    assert await player.total() == (100, after(100))
    await player.end(other, 150)
    assert await player.total() == (150, after(150))


async def test_a_new_session_on_the_same_device_cuts_the_old_one_off(player: Player):
    device_id, other_device = DeviceId(uuid4()), DeviceId(uuid4())
    old, elsewhere = await player.start(device_id=device_id), await player.start(device_id=other_device)
    await player.beat(old, 60, 1)
    await player.start(80, device_id=device_id)
    ended = await player.kept(old)
    assert (ended.status, ended.end_time) == (SessionStatus.TERMINATED, after(60))
    assert (await player.kept(elsewhere)).is_live
    with pytest.raises(SessionOver):
        await player.beat(old, 90, 2)


async def test_heartbeats_are_written_down_together_and_not_before(player: Player):
    session = await player.start()
    await player.beat(session, 60, 1)
    await player.beat(session, 120, 2)
    assert (await player.kept(session)).last_heartbeat_at == NOON
    assert await player.heartbeats.flush() == 1
    assert (await player.kept(session)).last_heartbeat_at == after(120)
    assert await player.heartbeats.flush() == 0


async def test_an_older_heartbeat_is_not_written_over_a_newer_one(player: Player):
    session = await player.start()
    other = player.new_heartbeats()
    await player.beat(session, 60)
    player.now = after(120)
    await other.record(player.user_id, session.id, None)
    await other.flush()
    await player.heartbeats.flush()
    assert (await player.kept(session)).last_heartbeat_at == after(120)


async def test_replayed_and_overtaken_heartbeats_keep_nothing_alive(player: Player):
    session = await player.start()
    await player.beat(session, 60, 5)
    for at, sequence in ((120, 5), (180, 4), (240, 5), (300, 1)):
        await player.beat(session, at, sequence)
    await player.end_silent(400)
    ended = await player.kept(session)
    assert (ended.status, ended.end_time) == (SessionStatus.TIMED_OUT, after(60))


async def test_a_client_that_fell_silent_has_played_until_its_last_heartbeat(player: Player):
    silent, heard = await player.start(), await player.start()
    await player.beat(silent, 60)
    for at in (60, 120, 240, 350):
        await player.beat(heard, at)
    await player.end_silent(365)
    ended = await player.kept(silent)
    assert (ended.status, ended.end_time, ended.duration_seconds) == (SessionStatus.TIMED_OUT, after(60), 60)
    assert (await player.kept(heard)).is_live
    with pytest.raises(SessionOver):
        await player.beat(silent, 370)
    assert await player.total() == (60, after(60))
    assert (await player.end(silent, 380)).status is SessionStatus.TIMED_OUT


async def test_a_laptop_that_slept_has_not_played_meanwhile(player: Player):
    session = await player.start()
    await player.beat(session, 60)
    with pytest.raises(SessionOver):
        await player.beat(session, 60 + 8 * 3600)
    assert (await player.end(session, 60 + 8 * 3600)).duration_seconds == 60


async def test_with_the_live_state_lost_a_session_goes_on_from_what_is_written_down(player: Player):
    session = await player.start()
    await player.beat(session, 60)
    await player.heartbeats.flush()
    player.values = AwayValues()
    player.heartbeat_store = RedisHeartbeats(player.values, max_silence=MAX_SILENCE)
    player.heartbeats = player.new_heartbeats()
    await player.beat(session, 120)
    assert (await player.end(session, 150)).duration_seconds == 150


async def test_with_the_live_state_away_heartbeats_are_heard_all_the_same(player: Player):
    session = await player.start()
    player.values.is_away = True
    for at in range(60, 901, 60):
        await player.beat(session, at)
    await player.heartbeats.flush()
    await player.end_silent(960)
    assert (await player.kept(session)).last_heartbeat_at == after(900)
    other = await player.start(905)
    assert (await player.end(other, 910)).duration_seconds == 5
    assert (await player.end(session, 1000)).duration_seconds == 1000


async def test_a_service_that_died_loses_nothing_that_the_live_state_has(player: Player):
    session = await player.start()
    for at in range(60, 601, 60):
        await player.beat(session, at)
    player.heartbeats = player.new_heartbeats()
    await player.end_silent(650)
    assert (await player.kept(session)).is_live
    await player.end_silent(901)
    assert (await player.kept(session)).duration_seconds == 600


async def test_heartbeats_that_could_not_be_written_down_are_not_lost(player: Player):
    session = await player.start()
    await player.beat(session, 60)

    def refuse():
        raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")

    begin, player.heartbeats._begin = player.heartbeats._begin, refuse
    with pytest.raises(DomainError):
        await player.heartbeats.flush()
    player.heartbeats._begin = begin
    assert await player.heartbeats.flush() == 1
    assert (await player.kept(session)).last_heartbeat_at == after(60)


class BadSession:
    """Transactions in which one session cannot be worked with, and all others can."""

    def __init__(self, begin: Begin, session: PlaytimeSession) -> None:
        self._begin = begin
        self._id = session.id

    @asynccontextmanager
    async def begin(self, user_id: UserId | None = None, /) -> AsyncIterator[Transaction]:
        async with self._begin(user_id) as tx:
            save, record = tx.playtime.save, tx.playtime.record_heartbeats

            async def saving(session: PlaytimeSession) -> None:
                self._check(session.id)
                await save(session)

            async def recording(heartbeat_store: Sequence[Heartbeat]) -> AbstractSet[PlaytimeSessionId]:
                self._check(*(live_heartbeat.session_id for live_heartbeat in heartbeat_store))
                return await record(heartbeat_store)

            tx.playtime.save, tx.playtime.record_heartbeats = saving, recording  # type: ignore[method-assign]
            yield tx

    def _check(self, *ids: PlaytimeSessionId) -> None:
        if self._id in ids:
            raise OverflowError("date value out of range")


async def test_a_heartbeat_that_cannot_be_written_down_costs_no_other(player: Player):
    good, bad, other = [await player.start() for _ in range(3)]
    for session in (good, bad, other):
        await player.beat(session, 60)
    begin = player.heartbeats._begin
    player.heartbeats._begin = BadSession(begin, bad).begin
    with pytest.raises(ExceptionGroup) as raised:
        await player.heartbeats.flush()
    assert str(bad.id) in str(raised.value.exceptions[0].__notes__)
    player.heartbeats._begin = begin
    assert await player.heartbeats.flush() == 0
    assert [(await player.kept(session)).last_heartbeat_at for session in (good, bad, other)] == [
        after(60),
        after(0),
        after(60),
    ]


async def test_a_silent_session_that_cannot_be_ended_stands_in_no_others_way(
    player: Player, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("library_svc.playtime.application.SILENT_BATCH", 1)
    bad, *others = [await player.start(at) for at in (0, 0, 0, 1)]
    with pytest.raises(ExceptionGroup) as raised:
        await end_silent_sessions(
            BadSession(player.adapters.begin, bad).begin,
            player.adapters.playtime,
            player.heartbeat_store,
            now=after(400),
            max_silence=MAX_SILENCE,
        )
    assert str(bad.id) in str(raised.value.exceptions[0].__notes__)
    assert {(await player.kept(session)).status for session in others} == {SessionStatus.TIMED_OUT}
    await player.end_silent(400)
    assert (await player.kept(bad)).status is SessionStatus.TIMED_OUT


async def test_a_heartbeat_that_came_too_late_brings_no_session_back(player: Player):
    session = await player.start()
    live_heartbeat = session.live_heartbeat
    await player.beat(session, 60)
    ended = await player.end(session, 70)
    await player.heartbeat_store.save(live_heartbeat)
    await player.beat(session, 80)
    await player.heartbeats.flush()
    assert await player.kept(session) == ended
    with pytest.raises(SessionOver):
        await player.beat(session, 90)


async def test_playing_ends_with_the_right_to_the_product_and_its_time_is_there_on_return(player: Player):
    ended, live = await player.start(0), await player.start(10)
    await player.end(ended, 100)
    await player.beat(live, 120)
    await revoke(
        player.adapters.begin,
        MemoryAccessCache(),
        player.heartbeat_store,
        event_id=None,
        user_id=player.user_id,
        product_ids=[player.product_id],
        source=player.source,
        reason=RemovalReason.REFUND,
        at=after(130),
    )
    assert (await player.kept(live)).status is SessionStatus.TERMINATED
    with pytest.raises(SessionOver):
        await player.beat(live, 131)
    await player.heartbeats.flush()
    await player.buy(source=Source(SourceKind.KEY, str(uuid4())))
    assert await player.total() == (120, after(120))


async def test_what_is_not_committed_leaves_no_session(player: Player):
    session = PlaytimeSession(PlaytimeSessionId(uuid4()), player.user_id, player.product_id, NOON, NOON)
    async with player.adapters.begin() as tx:
        await tx.playtime.add(session)
    assert await player.adapters.playtime.get_session(player.user_id, session.id) is None
    async with player.adapters.begin() as tx:
        assert await tx.playtime.played(player.user_id, player.product_id) == PlaytimeTotals()


async def statistics(player: Player, *product_ids: ProductId, only_recent: bool = False, now: datetime = NOON):
    return await player.adapters.playtime.statistics(player.user_id, product_ids, only_recent=only_recent, now=now)


async def test_who_never_played_has_empty_statistics(player: Player):
    found = await statistics(player)
    assert (found.products, found.days, found.seconds, found.last_played_at) == ([], [], 0, None)


async def test_statistics_are_by_product_and_by_day_and_count_shared_time_once(player: Player):
    other, day = ProductId(uuid4()), 86_400
    await player.buy(other, Source(SourceKind.ORDER, str(uuid4())))
    # Long ago: 1,000 s of the other product. Around midnight, twice: 600 s. Today, of both: 300 s each.
    for product_id, start, end in (
        (other, -30 * day, -30 * day + 250),
        (other, -30 * day + 250, -30 * day + 500),
        (other, -30 * day + 400, -30 * day + 650),
        (other, -30 * day + 650, -30 * day + 900),
        (other, -30 * day + 900, -30 * day + 1000),
        (player.product_id, -day // 2 - 300, -day // 2 - 50),
        (player.product_id, -day // 2 - 50, -day // 2 + 200),
        (player.product_id, -day // 2 + 100, -day // 2 + 300),
        (player.product_id, 0, 300),
        (other, 100, 400),
    ):
        await player.end(await player.start(start, product_id=product_id), end)
    live = await player.start(500)
    now = after(1000)

    found = await statistics(player, now=now)
    assert [(each.product_id, each.seconds, each.recent_seconds) for each in found.products] == [
        (other, 1300, 300),
        (player.product_id, 900, 900),
    ]
    assert [each.last_played_at for each in found.products] == [after(400), after(300)]
    assert (found.seconds, found.recent_seconds, found.last_played_at) == (2200, 1200, after(400))
    assert found.days == [DailyPlaytime(date(2026, 3, 14), 300), DailyPlaytime(date(2026, 3, 15), 900)]

    recent = await statistics(player, other, only_recent=True, now=now)
    assert [(each.product_id, each.seconds, each.recent_seconds) for each in recent.products] == [(other, 300, 300)]
    assert recent.days == [DailyPlaytime(date(2026, 3, 15), 300)]
    later = await statistics(player, only_recent=True, now=NOON + timedelta(days=20))
    assert (later.products, later.days) == ([], [])
    assert live.is_live
