"""The user's hot state: heartbeats of sessions, cached rights, the feed. All of it would expire by itself within a day at most."""

from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, select

from chassis.live.live_state import LiveStreams, LiveValues
from chassis.postgres.database import Database
from chassis.postgres.statements import Statement
from library_svc.access.redis import access_key
from library_svc.entitlements.postgres import entitlements
from library_svc.feed.redis import feed_stream
from library_svc.ids import PlaytimeSessionId, ProductId, UserId
from library_svc.playtime.postgres import playtime_sessions
from library_svc.playtime.redis import pulse_key

KEYS_AT_ONCE: Final = 500

_PRODUCTS: Final = Statement.of(
    select(entitlements.c.product_id).where(entitlements.c.user_id == bindparam("user_id")).distinct()
)
_LIVE_SESSIONS: Final = Statement.of(
    select(playtime_sessions.c.id).where(
        playtime_sessions.c.user_id == bindparam("user_id"), playtime_sessions.c.end_time.is_(None)
    )
)


class HotState:
    """Values that are named after what the user has; found by the rows, so removed before them."""

    name = "redis"

    def __init__(self, database: Database, values: LiveValues) -> None:
        self._database = database
        self._values = values

    async def erase(self, user_id: UUID) -> int:
        owner, named = UserId(user_id), {"user_id": user_id}
        sessions = await self._database.fetch(_LIVE_SESSIONS, named)
        products = await self._database.fetch(_PRODUCTS, named)
        keys = [pulse_key(owner, PlaytimeSessionId(row["id"])) for row in sessions]
        keys += [access_key(owner, ProductId(row["product_id"])) for row in products]
        removed = 0
        for start in range(0, len(keys), KEYS_AT_ONCE):
            batch = keys[start : start + KEYS_AT_ONCE]
            removed += len(await self._values.get_many(batch))
            await self._values.delete(batch)
        return removed


class Feed:
    """The user's feed goes, and its readers are woken: they find that the user is erased, and end."""

    name = "feed"

    def __init__(self, streams: LiveStreams) -> None:
        self._streams = streams

    async def erase(self, user_id: UUID) -> int:
        stream = feed_stream(UserId(user_id))
        count = int(await self._streams.delete(stream))
        # A record of a new life of the stream: whoever read the old one meets a gap.
        await self._streams.append(stream, [b""])
        return count
