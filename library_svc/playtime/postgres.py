"""Playtime in PostgreSQL: rows of `playtime_sessions`. Time that sessions share is counted once by multiranges."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Table,
    Text,
    Uuid,
    bindparam,
    exists,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.postgres.database import Database, Transaction
from chassis.postgres.statements import Row, Statement
from library_svc.ids import PlaytimeSessionId, ProductId, UserId
from library_svc.playtime.application import DailyPlaytime, PlaytimeStatistics, ProductPlaytime
from library_svc.playtime.domain import RECENT, Heartbeat, PlaytimeSession, PlaytimeTotals, SessionStatus, recent_days
from library_svc.schema import achievement_notes, metadata

playtime_sessions: Final = Table(
    "playtime_sessions",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("start_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True)),
    Column("duration_seconds", BigInteger),
    Column("last_heartbeat_at", DateTime(timezone=True), nullable=False),
    Column("platform", Text),
    Column("device_id", Uuid),
    Column("status", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


product_players: Final = Table(
    "product_players",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("player_count", BigInteger, nullable=False),
)


SESSION_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(
    playtime_sessions.c[field.name] for field in fields(PlaytimeSession)
)
"""The columns of a session of play are the attributes of the entity."""


def session_row(session: PlaytimeSession) -> dict[str, Any]:
    return {column.name: getattr(session, column.name) for column in SESSION_COLUMNS}


def session_of(row: Row) -> PlaytimeSession:
    values = {column.name: row[column.name] for column in SESSION_COLUMNS}
    return PlaytimeSession(**{**values, "status": SessionStatus(values["status"])})


PLAYED: Final = text(
    """
SELECT coalesce(floor(sum(extract(epoch FROM upper(stretch) - lower(stretch)))), 0)::bigint AS seconds,
       (SELECT max(end_time) FROM playtime_sessions WHERE user_id = :user_id AND product_id = :product_id) AS last
FROM (SELECT unnest(range_agg(tstzrange(start_time, end_time))) AS stretch
      FROM playtime_sessions
      WHERE user_id = :user_id AND product_id = :product_id AND end_time IS NOT NULL) AS stretches
"""
)

# Each session is looked for by its key, whatever the planner thinks of how many live. Asked for `end_time IS NULL` it would take
# the index of those that live: until somebody analyses the table it takes them for one row, and reads them all for each heartbeat.
# Nor does it see how many are written, for many of which it would read the table from end to end. They are locked in the order of
# their ids, so that two that write do not wait for each other in a circle.
RECORD_HEARTBEATS: Final = Statement(
    """
WITH heard AS MATERIALIZED (
    SELECT one.user_id, one.id, one.at
    FROM (
        SELECT * FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[]), (SELECT $3::timestamptz[])) AS one (user_id, id, at)
        ORDER BY id
    ) AS one
    CROSS JOIN LATERAL (
        SELECT FROM playtime_sessions AS live
        WHERE live.user_id = one.user_id AND live.id = one.id AND live.status = 'active'
        LIMIT 1
        FOR UPDATE
    ) AS live
)
UPDATE playtime_sessions AS session
SET last_heartbeat_at = greatest(session.last_heartbeat_at, heard.at), updated_at = now()
FROM heard
WHERE session.user_id = heard.user_id AND session.id = heard.id
RETURNING session.id
""",
    ("user_ids", "ids", "times"),
)

HAS_BEGUN: Final = Statement.of(
    select(
        exists()
        .where(
            playtime_sessions.c.user_id == bindparam("user_id"),
            playtime_sessions.c.product_id == bindparam("product_id"),
        )
        .label("has_begun")
    )
)

_one: Final = select(*SESSION_COLUMNS).where(
    playtime_sessions.c.user_id == bindparam("user_id"), playtime_sessions.c.id == bindparam("session_id")
)
_ONE: Final = Statement.of(_one)
_LOCKED: Final = Statement.of(_one.with_for_update())
_LIVE: Final = Statement.of(
    select(*SESSION_COLUMNS)
    .where(
        playtime_sessions.c.user_id == bindparam("user_id"),
        playtime_sessions.c.product_id == bindparam("product_id"),
        playtime_sessions.c.status == SessionStatus.ACTIVE.value,
    )
    .order_by(playtime_sessions.c.id)
    .with_for_update()
)

STATISTICS: Final = text(
    """
WITH played AS (
    SELECT product_id, range_agg(tstzrange(start_time, end_time)) AS times, max(end_time) AS last
    FROM playtime_sessions
    WHERE user_id = :user_id AND end_time IS NOT NULL AND (:all_products OR product_id = ANY(:product_ids))
    GROUP BY product_id
), recent AS (
    SELECT product_id, times * tstzmultirange(tstzrange(:recent_from, :now)) AS times FROM played
)
SELECT product_id, NULL AS day, last,
       (SELECT floor(sum(extract(epoch FROM upper(one) - lower(one)))) FROM unnest(played.times) AS one) AS seconds,
       (SELECT floor(sum(extract(epoch FROM upper(one) - lower(one)))) FROM unnest(recent.times) AS one) AS recent_seconds
FROM played JOIN recent USING (product_id)
WHERE :all_times OR last > :recent_from
UNION ALL
SELECT NULL, day, NULL, floor(sum(extract(epoch FROM upper(one) - lower(one)))), NULL
FROM unnest(CAST(:days AS timestamptz[])) AS day, played,
     unnest(played.times * tstzmultirange(tstzrange(day, day + interval '24 hours'))) AS one
GROUP BY day
ORDER BY day, last DESC, product_id DESC
"""
).bindparams(
    bindparam("product_ids", type_=ARRAY(Uuid)),
    bindparam("days", type_=ARRAY(DateTime(timezone=True))),
    bindparam("recent_from", type_=DateTime(timezone=True)),
    bindparam("now", type_=DateTime(timezone=True)),
)


class PostgresPlaytime:
    """The Playtime of a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def find(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None:
        return _first(await self._tx.fetch(_LOCKED, {"user_id": user_id, "session_id": session_id}))

    async def live(self, user_id: UserId, product_id: ProductId) -> Sequence[PlaytimeSession]:
        values = {"user_id": user_id, "product_id": product_id}
        return [session_of(row) for row in await self._tx.fetch(_LIVE, values)]

    async def add(self, session: PlaytimeSession) -> None:
        await self._tx.connection.execute(insert(playtime_sessions).values(session_row(session)))

    async def save(self, session: PlaytimeSession) -> None:
        table = playtime_sessions
        await self._tx.connection.execute(
            update(table)
            .where(table.c.user_id == session.user_id, table.c.id == session.id)
            .values({**session_row(session), "updated_at": func.now()})
        )

    async def has_begun(self, user_id: UserId, product_id: ProductId) -> bool:
        values = {"user_id": user_id, "product_id": product_id}
        return bool((await self._tx.fetch(HAS_BEGUN, values))[0]["has_begun"])

    async def count_player(self, product_id: ProductId) -> None:
        await self._tx.connection.execute(insert(achievement_notes).values(product_id=product_id))

    async def played(self, user_id: UserId, product_id: ProductId) -> PlaytimeTotals:
        row = (await self._tx.connection.execute(PLAYED, {"user_id": user_id, "product_id": product_id})).one()
        return PlaytimeTotals(row.seconds, row.last)

    async def record_heartbeats(self, heartbeat_store: Sequence[Heartbeat]) -> AbstractSet[PlaytimeSessionId]:
        values = {
            "user_ids": [live_heartbeat.user_id for live_heartbeat in heartbeat_store],
            "ids": [live_heartbeat.session_id for live_heartbeat in heartbeat_store],
            "times": [live_heartbeat.last_heartbeat_at for live_heartbeat in heartbeat_store],
        }
        return {row["id"] for row in await self._tx.fetch(RECORD_HEARTBEATS, values)}


class PostgresPlaytimeReader:
    """The PlaytimeReader over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_session(self, user_id: UserId, session_id: PlaytimeSessionId) -> PlaytimeSession | None:
        return _first(await self._database.fetch(_ONE, {"user_id": user_id, "session_id": session_id}))

    async def statistics(
        self, user_id: UserId, product_ids: Sequence[ProductId], *, only_recent: bool, now: datetime
    ) -> PlaytimeStatistics:
        values = {
            "user_id": user_id,
            "all_products": not product_ids,
            "product_ids": list(product_ids),
            "all_times": not only_recent,
            "recent_from": now - RECENT,
            "now": now,
            "days": recent_days(now),
        }
        products, days = [], []
        async with self._database.connect() as connection:
            for row in await connection.execute(STATISTICS, values):
                if row.day is not None:
                    days.append(DailyPlaytime(row.day.astimezone(UTC).date(), int(row.seconds)))
                    continue
                recent = int(row.recent_seconds or 0)
                seconds = recent if only_recent else int(row.seconds or 0)
                products.append(ProductPlaytime(row.product_id, seconds, recent, row.last))
        return PlaytimeStatistics(products, [day for day in days if day.seconds])

    async def silent_since(
        self, moment: datetime, *, limit: int, after: PlaytimeSession | None = None
    ) -> Sequence[PlaytimeSession]:
        table = playtime_sessions
        statement = (
            select(*SESSION_COLUMNS)
            .where(table.c.end_time.is_(None), table.c.last_heartbeat_at < moment)
            .order_by(table.c.last_heartbeat_at, table.c.id)
            .limit(limit)
        )
        if after is not None:
            place = tuple_(table.c.last_heartbeat_at, table.c.id)
            statement = statement.where(place > tuple_(after.last_heartbeat_at, after.id))
        async with self._database.connect() as connection:
            return [session_of(row) for row in (await connection.execute(statement)).mappings()]


def _first(rows: Sequence[Row]) -> PlaytimeSession | None:
    return session_of(rows[0]) if rows else None
