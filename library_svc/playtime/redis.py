"""The heartbeats of live sessions in the live state: a hash `playtime_session:{<user>}:<session>` each (contract section 7).

When the live state is unavailable, it counts as empty: the database knows the sessions, and heartbeats are saved from memory.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from prometheus_client import Counter

from chassis.cloudevents.moments import parse_moment
from chassis.errors import RETRYABLE_KINDS, DomainError
from chassis.live.live_state import LiveValues
from library_svc.ids import PlaytimeSessionId, UserId
from library_svc.playtime.domain import Heartbeat

KEPT_AFTER: Final = timedelta(seconds=60)
"""The time for which a heartbeat is kept after its session fell silent, so that its time is known when the session is ended."""

AWAY: Final = Counter("library_pulses_away", "Looks at the live state of playtime that found it away")

logger = logging.getLogger(__name__)


class RedisHeartbeats:
    """The Pulses over the live values, kept as long as a session may be silent and a little longer."""

    def __init__(self, values: LiveValues, *, max_silence: timedelta) -> None:
        self._values = values
        self._ttl_seconds = (max_silence + KEPT_AFTER).total_seconds()

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> Heartbeat | None:
        found: Mapping[str, str] | None = None
        with _away_is_empty():
            found = await self._values.get(pulse_key(user_id, session_id))
        return None if found is None else _pulse(user_id, session_id, found)

    async def find_many(
        self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]
    ) -> Mapping[PlaytimeSessionId, Heartbeat]:
        keys = {pulse_key(user_id, session_id): (user_id, session_id) for user_id, session_id in sessions}
        found: Mapping[str, Mapping[str, str]] = {}
        with _away_is_empty():
            found = await self._values.get_many(list(keys))
        heartbeat_store = (_pulse(*keys[key], values) for key, values in found.items())
        return {
            live_heartbeat.session_id: live_heartbeat
            for live_heartbeat in heartbeat_store
            if live_heartbeat is not None
        }

    async def save(self, live_heartbeat: Heartbeat) -> None:
        values = {"last_heartbeat_at": live_heartbeat.last_heartbeat_at.isoformat()}
        if live_heartbeat.sequence is not None:
            values["sequence"] = str(live_heartbeat.sequence)
        with _away_is_empty():
            await self._values.put(
                pulse_key(live_heartbeat.user_id, live_heartbeat.session_id), values, ttl_seconds=self._ttl_seconds
            )

    async def forget(self, sessions: Sequence[tuple[UserId, PlaytimeSessionId]]) -> None:
        with _away_is_empty():
            await self._values.delete([pulse_key(user_id, session_id) for user_id, session_id in sessions])


def pulse_key(user_id: UserId, session_id: PlaytimeSessionId) -> str:
    """Return the key of a session's heartbeat."""
    return f"playtime_session:{{{user_id}}}:{session_id}"


def _pulse(user_id: UserId, session_id: PlaytimeSessionId, values: Mapping[str, str]) -> Heartbeat | None:
    """Return the stored heartbeat; None if it is unreadable, because another release or somebody else wrote it."""
    sequence = values.get("sequence")
    with suppress(KeyError, ValueError):
        heard_at = parse_moment(values["last_heartbeat_at"])
        return Heartbeat(user_id, session_id, heard_at, None if sequence is None else int(sequence))
    return None


class _away_is_empty:  # noqa: N801  used like a function; a generator's context manager costs several times as much
    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, DomainError) or error.kind not in RETRYABLE_KINDS:
            return False
        AWAY.inc()
        logger.debug("the live state is away", extra={"error": error.reason})
        return True
