"""Sessions of play: starting them, their heartbeats, and ending them. Called by PlaytimeTrackerService, and by main.py as jobs.

A heartbeat costs no write of the database: it goes into the live state, and into a note that `Heartbeats.flush` writes down for all
sessions at once. Who loses the live state loses at most what came since the last flush; who loses the process, nothing that the
live state has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Protocol
from uuid import uuid4

from chassis.errors import is_unavailable
from library_svc.entitlements.domain import ProductAccessDenied, foundation
from library_svc.ids import DeviceId, PlaytimeSessionId, ProductId, UserId
from library_svc.playtime.domain import (
    Heartbeat,
    PlaytimeSession,
    PlaytimeSessionEnded,
    PlaytimeSessionNotFound,
    SessionStatus,
)
from library_svc.transaction import Begin, Transaction


class HeartbeatStore(Protocol):
    """The heartbeats of live sessions, shared by all instances. They can be lost or unavailable: then there are none."""

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> Heartbeat | None: ...

    async def find_many(
        self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]
    ) -> Mapping[PlaytimeSessionId, Heartbeat]: ...

    async def save(self, live_heartbeat: Heartbeat) -> None: ...

    async def forget(self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]) -> None: ...


@dataclass(frozen=True, slots=True)
class ProductPlaytime:
    """The time for which a product was played: in the requested period, and in the last two weeks."""

    product_id: ProductId
    seconds: int
    recent_seconds: int
    last_played_at: datetime


@dataclass(frozen=True, slots=True)
class DailyPlaytime:
    """The time that was played on a day (UTC)."""

    day: date
    seconds: int


@dataclass(frozen=True, slots=True)
class PlaytimeStatistics:
    """A user's playtime by product, the latest played first, and by day of the last two weeks, the earliest first."""

    products: Sequence[ProductPlaytime]
    days: Sequence[DailyPlaytime]

    @property
    def seconds(self) -> int:
        return sum(product.seconds for product in self.products)

    @property
    def recent_seconds(self) -> int:
        return sum(product.recent_seconds for product in self.products)

    @property
    def last_played_at(self) -> datetime | None:
        return max((product.last_played_at for product in self.products), default=None)


class PlaytimeReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def get_session(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None: ...

    async def statistics(
        self, user_id: UserId, product_ids: Sequence[ProductId], *, only_recent: bool, now: datetime
    ) -> PlaytimeStatistics:
        """Of these products, or of all when none is named; with `only_recent` nothing before the last two weeks counts."""

    async def silent_since(
        self, moment: datetime, *, limit: int, after: PlaytimeSession | None = None
    ) -> Sequence[PlaytimeSession]:
        """Live sessions of which no heartbeat is written down since then, the longest silent first; those behind `after`."""


FLUSH_SECONDS = 15.0
"""Seconds by which the database may be behind the heartbeats; less than the interval of one client's heartbeats."""
FLUSH_BATCH = 500
"""Heartbeats saved in one statement: a larger batch would delay other calls."""
SILENCE_CHECK_SECONDS = 30.0
SILENT_BATCH = 500
"""Sessions looked at in one go when those whose clients fell silent are ended."""


async def start_session(
    begin: Begin,
    heartbeat_store: HeartbeatStore,
    *,
    user_id: UserId,
    product_id: ProductId,
    platform: str | None,
    device_id: DeviceId | None,
    now: datetime,
) -> PlaytimeSession:
    """Starts a session in one transaction. What lives of the product on the same device is cut off: its game is gone.

    Raises:
        ProductAccessDenied: the user may not use the product.
    """
    session = PlaytimeSession(
        PlaytimeSessionId(uuid4()), user_id, product_id, now, now, platform=platform, device_id=device_id
    )
    async with begin(user_id) as tx:
        await tx.lock_user(user_id)
        if foundation(await tx.entitlements.of_product(user_id, product_id)) is None:
            raise ProductAccessDenied(product_id)
        live = await tx.playtime.live(user_id, product_id) if device_id is not None else ()
        replaced = await cut_off_sessions(tx, heartbeat_store, [each for each in live if each.device_id == device_id])
        if not await tx.playtime.has_begun(user_id, product_id):
            await tx.playtime.count_player(product_id)
        await tx.playtime.add(session)
        await tx.commit()
    if replaced:
        await heartbeat_store.forget(replaced)
    await heartbeat_store.save(session.live_heartbeat)
    return session


async def end_session(
    begin: Begin,
    heartbeat_store: HeartbeatStore,
    *,
    user_id: UserId,
    session_id: PlaytimeSessionId,
    now: datetime,
    max_silence: timedelta,
) -> PlaytimeSession:
    """Ends a session in one transaction; one that has ended stays as it is.

    Raises:
        PlaytimeSessionNotFound: the user has no such session.
    """
    async with begin(user_id) as tx:
        await tx.lock_user(user_id)
        session = await tx.playtime.find(user_id, session_id)
        if session is None:
            raise PlaytimeSessionNotFound(session_id)
        if session.is_live:
            session = session.with_pulse(await heartbeat_store.find(user_id, session_id)).completed(now, max_silence)
            await _save_ended(tx, session)
        await tx.commit()
    await heartbeat_store.forget([(user_id, session_id)])
    return session


async def end_silent_sessions(
    begin: Begin, reader: PlaytimeReader, heartbeat_store: HeartbeatStore, *, now: datetime, max_silence: timedelta
) -> int:
    """Ends the sessions whose clients fell silent, each with its last heartbeat and in a transaction of its own.

    One that cannot be ended is in no other's way.

    Returns:
        How many there were.

    Raises:
        DomainError: the database is unavailable.
        ExceptionGroup: what failed; all others are ended.
    """
    ended, after = 0, None
    failures: list[Exception] = []
    while candidates := await reader.silent_since(now - max_silence, after=after, limit=SILENT_BATCH):
        after = candidates[-1]
        heard = await heartbeat_store.find_many([(session.user_id, session.id) for session in candidates])
        for candidate in candidates:
            live_heartbeat = heard.get(candidate.id)
            if not candidate.with_pulse(live_heartbeat).live_heartbeat.is_silent(now, max_silence):
                continue
            try:
                ended += await _end_silent(begin, candidate, live_heartbeat, now=now, max_silence=max_silence)
            except Exception as error:
                if is_unavailable(error):
                    raise
                error.add_note(f"session {candidate.id} of user {candidate.user_id}")
                failures.append(error)
    if failures:
        raise ExceptionGroup("silent sessions cannot be ended", failures)
    return ended


async def _end_silent(
    begin: Begin, candidate: PlaytimeSession, live_heartbeat: Heartbeat | None, *, now: datetime, max_silence: timedelta
) -> bool:
    async with begin(candidate.user_id) as tx:
        await tx.lock_user(candidate.user_id)
        session = await tx.playtime.find(candidate.user_id, candidate.id)
        is_silent = session is not None and session.is_live and session.live_heartbeat.is_silent(now, max_silence)
        if session is not None and is_silent:
            await _save_ended(tx, session.with_pulse(live_heartbeat).cut_off(SessionStatus.TIMED_OUT))
        await tx.commit()
    return is_silent


async def cut_off_sessions(
    tx: Transaction, heartbeat_store: HeartbeatStore, sessions: Sequence[PlaytimeSession]
) -> Sequence[tuple[UserId, PlaytimeSessionId]]:
    """Ends live sessions behind their clients' backs, each with its last heartbeat. Part of another use case.

    Returns:
        Those whose heartbeats must be removed once it is committed, so that their next heartbeat is refused.
    """
    ended = [(session.user_id, session.id) for session in sessions]
    heard = await heartbeat_store.find_many(ended) if ended else {}
    for session in sessions:
        await _save_ended(tx, session.with_pulse(heard.get(session.id)).cut_off(SessionStatus.TERMINATED))
    return ended


async def _save_ended(tx: Transaction, session: PlaytimeSession) -> None:
    """Writes the end of a session down, with what follows from it for the item."""
    assert session.end_time is not None  # noqa: S101  it has ended
    assert session.duration_seconds is not None  # noqa: S101
    await tx.playtime.save(session)
    played = await tx.playtime.played(session.user_id, session.product_id)
    if item := await tx.items.of_product(session.user_id, session.product_id):
        await tx.items.save(item.with_playtime(played.total_seconds, played.last_played_at))
    tx.record(
        PlaytimeSessionEnded(
            session.user_id,
            session.product_id,
            session.id,
            session.duration_seconds,
            played.total_seconds,
            ended_at=session.end_time,
        )
    )


class HeartbeatRecorder:
    """Hears heartbeats, and writes them down behind."""

    def __init__(
        self,
        begin: Begin,
        reader: PlaytimeReader,
        heartbeat_store: HeartbeatStore,
        *,
        max_silence: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._begin = begin
        self._reader = reader
        self._pulses = heartbeat_store
        self._max_silence = max_silence
        self._now = now
        self._unwritten: dict[PlaytimeSessionId, Heartbeat] = {}

    async def record(self, user_id: UserId, session_id: PlaytimeSessionId, sequence: int | None) -> None:
        """Hears one heartbeat: one read and one write of the live state.

        Raises:
            PlaytimeSessionNotFound: the user has no such session.
            SessionOver: it is not live any more.
        """
        known = await self._pulses.find(user_id, session_id) or await self._from_database(user_id, session_id)
        live_heartbeat = known.heard(sequence, self._now(), self._max_silence)
        if live_heartbeat is not known:
            self._note({session_id: live_heartbeat})
            await self._pulses.save(live_heartbeat)

    async def flush(self) -> int:
        """Save the heartbeats received since the last time; one that is not live any more, or cannot be saved, is dropped.

        Returns:
            How many sessions it was.

        Raises:
            DomainError: the database cannot be reached; no received heartbeat is lost.
            ExceptionGroup: what failed; all others are written down.
        """
        unwritten, self._unwritten = self._unwritten, {}
        heartbeat_store, total = iter(list(unwritten.values())), len(unwritten)
        failures: list[Exception] = []
        try:
            while batch := list(islice(heartbeat_store, FLUSH_BATCH)):
                failures += await self._write(batch)
                for live_heartbeat in batch:
                    del unwritten[live_heartbeat.session_id]
        finally:
            self._note(unwritten)
        if failures:
            raise ExceptionGroup("heartbeats cannot be written down", failures)
        return total

    async def _write(self, batch: Sequence[Heartbeat]) -> list[Exception]:
        """Save heartbeats, all at once, or each by itself when that fails. Returns what failed."""
        try:
            async with self._begin() as tx:
                live = await tx.playtime.record_heartbeats(batch)
                await tx.commit()
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(batch) > 1:
                return [each for live_heartbeat in batch for each in await self._write([live_heartbeat])]
            error.add_note(f"session {batch[0].session_id} of user {batch[0].user_id}")
            return [error]
        gone = [
            (live_heartbeat.user_id, live_heartbeat.session_id)
            for live_heartbeat in batch
            if live_heartbeat.session_id not in live
        ]
        if gone:
            await self._pulses.forget(gone)
        return []

    def _note(self, heard: Mapping[PlaytimeSessionId, Heartbeat]) -> None:
        for session_id, live_heartbeat in heard.items():
            noted = self._unwritten.get(session_id)
            if noted is None or noted.last_heartbeat_at <= live_heartbeat.last_heartbeat_at:
                self._unwritten[session_id] = live_heartbeat

    async def _from_database(self, user_id: UserId, session_id: PlaytimeSessionId) -> Heartbeat:
        session = await self._reader.get_session(user_id, session_id)
        if session is None:
            raise PlaytimeSessionNotFound(session_id)
        return session.with_pulse(self._unwritten.get(session_id)).live_heartbeat

    async def end_silent(self) -> None:
        """Ends the sessions whose clients fell silent. Raises: as end_silent_sessions."""
        await end_silent_sessions(
            self._begin, self._reader, self._pulses, now=self._now(), max_silence=self._max_silence
        )
