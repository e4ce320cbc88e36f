"""The progress of announcing new versions, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from chassis.postgres.database import Database, Transaction
from download_svc.updates.announcements import MAX_PENDING_ANNOUNCEMENTS, PendingAnnouncement
from download_svc.versions.domain import Version
from download_svc.versions.postgres import version_announcements

MAX_REASON_CHARACTERS = 1_000


class PostgresAnnouncements:
    """Announcements inside a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection

    async def add(self, version: Version) -> None:
        new = insert(version_announcements).values(version_id=version.version_id, product_id=version.product_id)
        afresh = {"after_user_id": None, "after_installation_id": None, "done_at": None}
        await self._connection.execute(new.on_conflict_do_update(index_elements=["version_id"], set_=afresh))

    async def advance(self, version_id: UUID, after: tuple[UUID, UUID]) -> None:
        columns = version_announcements.c
        reached = tuple_(columns.after_user_id, columns.after_installation_id)
        await self._connection.execute(
            update(version_announcements)
            .where(columns.version_id == version_id, or_(columns.after_user_id.is_(None), reached < tuple_(*after)))
            .values(after_user_id=after[0], after_installation_id=after[1])
        )

    async def finish(self, version_id: UUID) -> None:
        await self._connection.execute(
            update(version_announcements)
            .where(version_announcements.c.version_id == version_id)
            .values(done_at=func.now())
        )

    async def is_pending(self, version_id: UUID) -> bool:
        columns = version_announcements.c
        found = await self._connection.execute(
            select(columns.version_id).where(columns.version_id == version_id, columns.done_at.is_(None))
        )
        return found.first() is not None

    async def set_aside(self, version_id: UUID, *, until: datetime, reason: str) -> None:
        await self._connection.execute(
            update(version_announcements)
            .where(version_announcements.c.version_id == version_id)
            .values(retry_at=until, failure=reason[:MAX_REASON_CHARACTERS].replace("\0", ""))
        )


class PostgresAnnouncementReader:
    """Announcements that are not done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending(self, now: datetime) -> Sequence[PendingAnnouncement]:
        columns = version_announcements.c
        async with self._database.connect() as connection:
            rows = await connection.execute(
                select(version_announcements)
                .where(columns.done_at.is_(None), or_(columns.retry_at.is_(None), columns.retry_at <= now))
                .order_by(columns.created_at, columns.version_id)
                .limit(MAX_PENDING_ANNOUNCEMENTS)
            )
            return [
                PendingAnnouncement(
                    row.version_id,
                    row.product_id,
                    (row.after_user_id, row.after_installation_id) if row.after_user_id else None,
                )
                for row in rows
            ]
