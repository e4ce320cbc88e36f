"""Playtime: sessions of play, and how much time they make together.

The server's clock alone counts. A session lasts from its start to its end, or to the last heartbeat when the client fell silent, so
neither a sleeping laptop nor a wrong clock makes time; sessions of one product that overlap count once, so the time of a product
never exceeds what went by on the wall. Contract sections 2 and 8.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from chassis.errors import DomainError, Kind
from library_svc.ids import DeviceId, PlaytimeSessionId, ProductId, UserId

RECENT: Final = timedelta(days=14)
"""The length of "the last two weeks"."""


class SessionStatus(StrEnum):
    """State of a session."""

    ACTIVE = "active"
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The part of a live session that changes with every heartbeat; kept beside the session, so that none is a database write.

    Attributes:
        sequence: the highest number that the client counted its heartbeats with, if it does.
    """

    user_id: UserId
    session_id: PlaytimeSessionId
    last_heartbeat_at: datetime
    sequence: int | None = None

    def is_silent(self, at: datetime, max_silence: timedelta) -> bool:
        """Return True when the client has been silent for so long that it counts as no longer playing."""
        return at - self.last_heartbeat_at > max_silence

    def heard(self, sequence: int | None, at: datetime, max_silence: timedelta) -> "Heartbeat":
        """Return the state after a heartbeat; one that was received before, or was overtaken, changes nothing.

        Raises:
            SessionOver: the client was silent for too long before it.
        """
        if self.is_silent(at, max_silence):
            raise SessionOver(SessionStatus.TIMED_OUT)
        if sequence is not None and self.sequence is not None and sequence <= self.sequence:
            return self
        counted = self.sequence if sequence is None else sequence
        return replace(self, last_heartbeat_at=max(at, self.last_heartbeat_at), sequence=counted)


@dataclass(frozen=True, slots=True)
class PlaytimeSession:
    """A session of play.

    Attributes:
        last_heartbeat_at: when the client's last heartbeat came, as far as it is saved.
        end_time: None while it lives.
        duration_seconds: from start to end, whole seconds; None while it lives.
    """

    id: PlaytimeSessionId
    user_id: UserId
    product_id: ProductId
    start_time: datetime
    last_heartbeat_at: datetime
    status: SessionStatus = SessionStatus.ACTIVE
    end_time: datetime | None = None
    duration_seconds: int | None = None
    platform: str | None = None
    device_id: DeviceId | None = None

    @property
    def is_live(self) -> bool:
        return self.status is SessionStatus.ACTIVE

    @property
    def live_heartbeat(self) -> Heartbeat:
        """The session's last heartbeat, as known from the session alone.

        Raises:
            SessionOver: it has none.
        """
        if not self.is_live:
            raise SessionOver(self.status)
        return Heartbeat(self.user_id, self.id, self.last_heartbeat_at)

    def with_pulse(self, live_heartbeat: Heartbeat | None) -> "PlaytimeSession":
        """Return the session with the later of the two times of a last heartbeat."""
        if live_heartbeat is None or not self.is_live:
            return self
        return replace(self, last_heartbeat_at=max(self.last_heartbeat_at, live_heartbeat.last_heartbeat_at))

    def completed(self, at: datetime, max_silence: timedelta) -> "PlaytimeSession":
        """The session, ended by its client; one that was silent for too long had ended with its last heartbeat."""
        if self.live_heartbeat.is_silent(at, max_silence):
            return self.cut_off(SessionStatus.TIMED_OUT)
        return self._ended(SessionStatus.COMPLETED, max(at, self.last_heartbeat_at))

    def cut_off(self, status: SessionStatus) -> "PlaytimeSession":
        """The session, ended with its last heartbeat."""
        return self._ended(status, self.last_heartbeat_at)

    def _ended(self, status: SessionStatus, at: datetime) -> "PlaytimeSession":
        end_time = max(at, self.start_time)
        duration_seconds = whole_seconds(end_time - self.start_time)
        return replace(
            self, status=status, end_time=end_time, duration_seconds=duration_seconds, last_heartbeat_at=end_time
        )


@dataclass(frozen=True, slots=True)
class PlaytimeSessionEnded:
    """A session of play ended."""

    user_id: UserId
    product_id: ProductId
    session_id: PlaytimeSessionId
    session_duration_seconds: int
    total_playtime_seconds: int
    ended_at: datetime


class PlaytimeSessionNotFound(DomainError):
    """The caller has no such session. Another user's session answers the same."""

    def __init__(self, session_id: PlaytimeSessionId) -> None:
        super().__init__(Kind.NOT_FOUND, "PLAYTIME_SESSION_NOT_FOUND", details={"session_id": str(session_id)})


class SessionOver(DomainError):
    """The session is not live any more."""

    def __init__(self, status: SessionStatus) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION", details={"status": status.value})


def recent_days(now: datetime) -> Sequence[datetime]:
    """The beginnings (UTC) of the last 14 days, today's the last."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [today - timedelta(days=ago) for ago in reversed(range(RECENT.days))]


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time, without its end."""

    start: datetime
    end: datetime

    def within(self, start: datetime, end: datetime) -> "Interval":
        """Return the part of the interval that lies within `start` and `end`; possibly empty."""
        return Interval(max(self.start, start), max(min(self.end, end), self.start, start))


def covered(intervals: Iterable[Interval]) -> timedelta:
    """The time that lies in at least one of the intervals."""
    total, reached = timedelta(), None
    for interval in sorted(intervals, key=lambda each: each.start):
        start = interval.start if reached is None else max(interval.start, reached)
        if interval.end > start:
            total += interval.end - start
        reached = interval.end if reached is None else max(interval.end, reached)
    return total


def whole_seconds(duration: timedelta) -> int:
    """The whole seconds of a duration: never more than it was."""
    return int(duration.total_seconds())


@dataclass(frozen=True, slots=True)
class PlaytimeTotals:
    """The time for which a user has played a product, from the sessions that ended; overlapping sessions count once."""

    total_seconds: int = 0
    last_played_at: datetime | None = None


class Playtime(Protocol):
    """The sessions of play of a transaction. What is found is locked until the transaction ends."""

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None: ...

    async def live(self, user_id: UserId, product_id: ProductId) -> Sequence[PlaytimeSession]: ...

    async def add(self, session: PlaytimeSession) -> None: ...

    async def save(self, session: PlaytimeSession) -> None: ...

    async def has_begun(self, user_id: UserId, product_id: ProductId) -> bool:
        """Return True when the user has ever begun to play the product."""

    async def count_player(self, product_id: ProductId) -> None:
        """Notes that one more user plays the product; added up later (AchievementTallies)."""

    async def played(self, user_id: UserId, product_id: ProductId) -> PlaytimeTotals: ...

    async def record_heartbeats(self, heartbeat_store: Sequence[Heartbeat]) -> AbstractSet[PlaytimeSessionId]:
        """Save the time of each live session's last heartbeat, in one statement; an older time than is known changes nothing.

        Returns:
            Those of the sessions that live.
        """
