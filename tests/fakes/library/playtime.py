"""Playtime in memory, for tests and experiments; a part of memory.py, which has the transactions."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from library_svc.ids import PlaytimeSessionId, ProductId, UserId
from library_svc.playtime.application import DailyPlaytime, PlaytimeStatistics, ProductPlaytime
from library_svc.playtime.domain import (
    RECENT,
    Heartbeat,
    Interval,
    PlaytimeSession,
    PlaytimeTotals,
    covered,
    recent_days,
    whole_seconds,
)
from tests.fakes.library.achievements import AchievementRows


@dataclass(slots=True)
class PlaytimeRows:
    """What is kept of playtime."""

    sessions: dict[tuple[UserId, PlaytimeSessionId], PlaytimeSession] = field(default_factory=dict)


class MemoryPlaytime:
    def __init__(self, rows: PlaytimeRows, achievements: AchievementRows) -> None:
        self._rows = rows
        self._achievements = achievements

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None:
        return self._rows.sessions.get((user_id, session_id))

    async def live(self, user_id: UserId, product_id: ProductId) -> Sequence[PlaytimeSession]:
        return [session for session in self._of_product(user_id, product_id) if session.is_live]

    async def add(self, session: PlaytimeSession) -> None:
        await self.save(session)

    async def save(self, session: PlaytimeSession) -> None:
        self._rows.sessions[session.user_id, session.id] = session

    async def has_begun(self, user_id: UserId, product_id: ProductId) -> bool:
        return bool(self._of_product(user_id, product_id))

    async def count_player(self, product_id: ProductId) -> None:
        self._achievements.notes.append((product_id, None))

    async def played(self, user_id: UserId, product_id: ProductId) -> PlaytimeTotals:
        times = _times(self._of_product(user_id, product_id))
        return PlaytimeTotals(whole_seconds(covered(times)), max((each.end for each in times), default=None))

    async def record_heartbeats(self, heartbeat_store: Sequence[Heartbeat]) -> AbstractSet[PlaytimeSessionId]:
        live = set()
        for live_heartbeat in heartbeat_store:
            session = self._rows.sessions.get((live_heartbeat.user_id, live_heartbeat.session_id))
            if session is not None and session.is_live:
                self._rows.sessions[live_heartbeat.user_id, live_heartbeat.session_id] = session.with_pulse(
                    live_heartbeat
                )
                live.add(live_heartbeat.session_id)
        return live

    def _of_product(self, user_id: UserId, product_id: ProductId) -> Sequence[PlaytimeSession]:
        own = (session for session in self._rows.sessions.values() if session.user_id == user_id)
        return [session for session in own if session.product_id == product_id]


def statistics(
    rows: PlaytimeRows, user_id: UserId, product_ids: Sequence[ProductId], *, only_recent: bool, now: datetime
) -> PlaytimeStatistics:
    """A user's playtime by product and by day."""
    played: dict[ProductId, list[Interval]] = {}
    for session in rows.sessions.values():
        if session.user_id == user_id and (not product_ids or session.product_id in product_ids):
            played.setdefault(session.product_id, []).extend(_times([session]))
    products = [
        _product_playtime(product_id, times, only_recent=only_recent, now=now)
        for product_id, times in played.items()
        if times
    ]
    products = [each for each in products if not only_recent or each.last_played_at > now - RECENT]
    products.sort(key=lambda each: (each.last_played_at, each.product_id), reverse=True)
    return PlaytimeStatistics(products, _daily_playtime(played.values(), now))


def _times(sessions: Iterable[PlaytimeSession]) -> Sequence[Interval]:
    return [Interval(session.start_time, session.end_time) for session in sessions if session.end_time]


def _product_playtime(
    product_id: ProductId, times: Sequence[Interval], *, only_recent: bool, now: datetime
) -> ProductPlaytime:
    recent = whole_seconds(covered(each.within(now - RECENT, now) for each in times))
    total = recent if only_recent else whole_seconds(covered(times))
    return ProductPlaytime(product_id, total, recent, max(each.end for each in times))


def _daily_playtime(played: Iterable[Sequence[Interval]], now: datetime) -> Sequence[DailyPlaytime]:
    products, days = list(played), []
    for start in recent_days(now):
        end = start + timedelta(days=1)
        spent = sum((covered(each.within(start, end) for each in times) for times in products), timedelta())
        if seconds := whole_seconds(spent):
            days.append(DailyPlaytime(start.date(), seconds))
    return days
