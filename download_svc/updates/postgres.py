"""Updates and their history in PostgreSQL: inside one transaction, and as they are shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Row, Table, Text, Uuid, delete, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert

from chassis.postgres.database import Database, Transaction
from download_svc.ids import OwnedId
from download_svc.paging import Page, PageRequest
from download_svc.schema import metadata
from download_svc.sessions.domain import UpdateType
from download_svc.updates.application import MAX_HISTORY_LOOKED_AT
from download_svc.updates.domain import HistoryEntry, Update, UpdateOutcome, UpdateStatus
from download_svc.versions.domain import VersionState
from download_svc.versions.postgres import product_versions

updates = Table(
    "updates",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("from_version_id", Uuid),
    Column("to_version_id", Uuid),
    Column("update_type", Text),
    Column("size_bytes", BigInteger),
    Column("release_notes_url", Text),
    Column("status", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

updates_history = Table(
    "updates_history",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("applied_version_id", Uuid),
    Column("previous_version_id", Uuid),
    Column("status", Text),
    Column("applied_at", DateTime(timezone=True)),
    Column("error_message", Text),
)


_KEPT_BY_AN_UPSERT = frozenset({"user_id", "id", "product_id", "to_version_id", "created_at"})


class PostgresUpdates:
    """Updates inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection

    async def get(self, user_id: UUID, product_id: UUID, to_version_id: UUID) -> Update | None:
        rows = await self._connection.execute(
            select(updates).where(
                updates.c.user_id == user_id,
                updates.c.product_id == product_id,
                updates.c.to_version_id == to_version_id,
            )
        )
        row = rows.first()
        return None if row is None else update_of(row)

    async def put(self, update: Update) -> None:
        values = update_values(update)
        new = insert(updates).values(values)
        await self._connection.execute(
            new.on_conflict_do_update(
                index_elements=["user_id", "product_id", "to_version_id"],
                set_={name: new.excluded[name] for name in values if name not in _KEPT_BY_AN_UPSERT},
            )
        )

    async def remove(self, update: Update) -> None:
        await self._connection.execute(
            delete(updates).where(
                updates.c.user_id == update.user_id,
                updates.c.product_id == update.product_id,
                updates.c.to_version_id == update.to_version_id,
            )
        )

    async def remove_available(
        self, user_id: UUID, product_id: UUID, *, released_until: datetime | None = None
    ) -> None:
        wanted = [
            updates.c.user_id == user_id,
            updates.c.product_id == product_id,
            updates.c.status == UpdateStatus.AVAILABLE.value,
        ]
        if released_until is not None:
            wanted.append(
                updates.c.to_version_id.in_(
                    select(product_versions.c.version_id).where(
                        product_versions.c.product_id == product_id, product_versions.c.released_at <= released_until
                    )
                )
            )
        await self._connection.execute(delete(updates).where(*wanted))

    async def add_history(self, entry: HistoryEntry) -> None:
        await self._connection.execute(insert(updates_history).values(history_values(entry)))


class PostgresUpdateReader:
    """Updates as they are shown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: UpdateStatus | None = None, product_id: UUID | None = None
    ) -> Page[Update]:
        wanted = [updates.c.user_id == user_id]
        if status is not None:
            wanted.append(updates.c.status == status.value)
        if product_id is not None:
            wanted.append(updates.c.product_id == product_id)
        last_first = (updates.c.updated_at.desc(), updates.c.id)
        async with self._database.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(updates).where(*wanted))
            rows = await connection.execute(
                select(updates).where(*wanted).order_by(*last_first).limit(page.size).offset(page.offset)
            )
            return Page([update_of(row) for row in rows], total or 0)

    async def history(self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None) -> Page[HistoryEntry]:
        wanted = [updates_history.c.user_id == user_id]
        if product_id is not None:
            wanted.append(updates_history.c.product_id == product_id)
        newest_first = (updates_history.c.applied_at.desc(), updates_history.c.id)
        async with self._database.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(updates_history).where(*wanted))
            rows = await connection.execute(
                select(updates_history).where(*wanted).order_by(*newest_first).limit(page.size).offset(page.offset)
            )
            return Page([history_of(row) for row in rows], total or 0)

    async def of_withdrawn_versions(self, *, after: OwnedId | None, limit: int) -> Sequence[Update]:
        versions, columns = product_versions.c, updates.c
        of_version = select(updates).where(
            columns.product_id == versions.product_id,
            columns.to_version_id == versions.version_id,
            columns.status == UpdateStatus.AVAILABLE.value,
        )
        if after is not None:
            of_version = of_version.where(tuple_(columns.user_id, columns.id) > tuple_(*after))
        # Version by version, each by the index: a plan for all at once reads every offer that there is.
        found = of_version.order_by(columns.user_id, columns.id).limit(limit).lateral("found")
        async with self._database.connect() as connection:
            rows = await connection.execute(
                select(found)
                .select_from(product_versions.join(found, true()))
                .where(versions.state == VersionState.RETIRED.value)
                .order_by(found.c.user_id, found.c.id)
                .limit(limit)
            )
            return [update_of(row) for row in rows]

    async def versions_before(self, user_id: UUID, product_id: UUID, version_id: UUID) -> Sequence[UUID]:
        columns = updates_history.c
        async with self._database.connect() as connection:
            found = await connection.scalars(
                select(columns.previous_version_id)
                .where(
                    columns.user_id == user_id,
                    columns.product_id == product_id,
                    columns.applied_version_id == version_id,
                    columns.status == UpdateOutcome.SUCCESS.value,
                    columns.previous_version_id.is_not(None),
                )
                .order_by(columns.applied_at.desc(), columns.id)
                .limit(MAX_HISTORY_LOOKED_AT)
            )
            return found.all()


def update_values(update: Update) -> Mapping[str, Any]:
    """Column values of updates by name."""
    return {
        "user_id": update.user_id,
        "id": update.id,
        "product_id": update.product_id,
        "from_version_id": update.from_version_id,
        "to_version_id": update.to_version_id,
        "update_type": update.type.value,
        "size_bytes": update.size_bytes,
        "release_notes_url": update.release_notes_url,
        "status": update.status.value,
        "created_at": update.created_at,
        "updated_at": update.updated_at,
    }


def update_of(row: Row[Any]) -> Update:
    """Of a row of updates."""
    return Update(
        id=row.id,
        user_id=row.user_id,
        product_id=row.product_id,
        from_version_id=row.from_version_id,
        to_version_id=row.to_version_id,
        type=UpdateType(row.update_type),
        size_bytes=row.size_bytes,
        release_notes_url=row.release_notes_url,
        status=UpdateStatus(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def history_values(entry: HistoryEntry) -> Mapping[str, Any]:
    """Column values of updates_history by name."""
    return {
        "user_id": entry.user_id,
        "id": entry.id,
        "product_id": entry.product_id,
        "applied_version_id": entry.applied_version_id,
        "previous_version_id": entry.previous_version_id,
        "status": entry.outcome.value,
        "applied_at": entry.applied_at,
        "error_message": entry.error_message,
    }


def history_of(row: Row[Any]) -> HistoryEntry:
    """Of a row of updates_history."""
    return HistoryEntry(
        id=row.id,
        user_id=row.user_id,
        product_id=row.product_id,
        applied_version_id=row.applied_version_id,
        previous_version_id=row.previous_version_id,
        outcome=UpdateOutcome(row.status),
        applied_at=row.applied_at,
        error_message=row.error_message,
    )
