"""The user's hot state: progress of sessions and the live stream. All of it would end by itself within a day at most."""

from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, select

from chassis.live.live_state import LiveStreams, LiveValues
from chassis.postgres.database import Database
from chassis.postgres.statements import Statement
from download_svc.feed.redis import feed_stream, progress_key
from download_svc.sessions.postgres import download_sessions

KEYS_AT_ONCE: Final = 500

_SESSIONS: Final = Statement.of(
    select(download_sessions.c.id).where(download_sessions.c.user_id == bindparam("user_id"))
)


class HotState:
    """Values that are named after the user's sessions; found by the rows, so removed before them."""

    name = "redis"

    def __init__(self, database: Database, values: LiveValues) -> None:
        self._database = database
        self._values = values

    async def erase(self, user_id: UUID) -> int:
        keys = [progress_key(row["id"]) for row in await self._database.fetch(_SESSIONS, {"user_id": user_id})]
        removed = 0
        for start in range(0, len(keys), KEYS_AT_ONCE):
            batch = keys[start : start + KEYS_AT_ONCE]
            removed += len(await self._values.get_many(batch))
            await self._values.delete(batch)
        return removed


class Feed:
    """The user's stream goes, and its readers are woken: they find that the user is erased, and end."""

    name = "feed"

    def __init__(self, streams: LiveStreams) -> None:
        self._streams = streams

    async def erase(self, user_id: UUID) -> int:
        count = int(await self._streams.delete(feed_stream(user_id)))
        # A record of a new life of the stream: whoever read the old one meets a gap.
        await self._streams.append(feed_stream(user_id), [b""])
        return count
