"""Sessions and items in PostgreSQL: the writing side (inside a transaction) and the reading side."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    DateTime,
    Integer,
    Row,
    Select,
    SmallInteger,
    Table,
    Text,
    Uuid,
    and_,
    case,
    func,
    insert,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.base import Executable

from chassis.postgres.database import Database, Transaction
from download_svc.ids import OwnedId
from download_svc.outgoing import to_new_event
from download_svc.paging import Page, PageRequest
from download_svc.queue.domain import MAX_LIVE_SESSIONS_PER_USER, already_active
from download_svc.schema import Values, metadata
from download_svc.sessions.application import SessionView
from download_svc.sessions.domain import (
    IN_QUEUE,
    LIVE,
    SLOT_HOLDERS,
    Failure,
    Item,
    ItemCounts,
    ItemStatus,
    PauseReason,
    Session,
    Status,
    UpdateType,
)
from download_svc.versions.domain import VersionState
from download_svc.versions.manifests import FileReference, Platform
from download_svc.versions.postgres import file_metadata, product_versions

download_sessions = Table(
    "download_sessions",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("device_id", Uuid),
    Column("platform", Text),
    Column("status", Text),
    Column("update_type", Text),
    Column("from_version_id", Uuid),
    Column("total_size_bytes", BigInteger),
    Column("downloaded_bytes", BigInteger),
    Column("progress_percentage", REAL),
    Column("installation_path", Text),
    Column("priority", SmallInteger),
    Column("queue_rank", Integer),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("items_total", Integer),
    Column("items_verifying", Integer),
    Column("items_completed", Integer),
    Column("items_failed", Integer),
    Column("last_sequence", BigInteger),
    Column("pause_reason", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

download_items = Table(
    "download_items",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("download_session_id", Uuid),
    Column("file_metadata_id", Uuid),
    Column("ordinal", Integer),
    Column("relative_path", Text),
    Column("status", Text),
    Column("downloaded_bytes", BigInteger),
    Column("retry_count", Integer),
    Column("cdn_provider", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)


def session_values(session: Session) -> Values:
    return {
        "user_id": session.user_id,
        "id": session.id,
        "product_id": session.product_id,
        "version_id": session.version_id,
        "device_id": session.device_id,
        "platform": session.platform.value,
        "status": session.status.value,
        "update_type": None if session.update_type is None else session.update_type.value,
        "from_version_id": session.from_version_id,
        "total_size_bytes": session.total_size_bytes,
        "downloaded_bytes": session.downloaded_bytes,
        "progress_percentage": session.progress_percentage,
        "installation_path": session.installation_path,
        "priority": session.priority,
        "queue_rank": session.queue_rank,
        "error_code": None if session.failure is None else session.failure.code,
        "error_message": None if session.failure is None else session.failure.message,
        "items_total": session.items.total,
        "items_verifying": session.items.verifying,
        "items_completed": session.items.completed,
        "items_failed": session.items.failed,
        "last_sequence": session.last_sequence,
        "pause_reason": None if session.pause_reason is None else session.pause_reason.value,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }


def session_of(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        product_id=row.product_id,
        version_id=row.version_id,
        platform=Platform(row.platform),
        device_id=row.device_id,
        installation_path=row.installation_path,
        priority=row.priority,
        status=Status(row.status),
        total_size_bytes=row.total_size_bytes,
        items=ItemCounts(row.items_total, row.items_verifying, row.items_completed, row.items_failed),
        created_at=row.created_at,
        updated_at=row.updated_at,
        queue_rank=row.queue_rank,
        downloaded_bytes=row.downloaded_bytes,
        last_sequence=row.last_sequence,
        failure=failure_of(row),
        update_type=None if row.update_type is None else UpdateType(row.update_type),
        from_version_id=row.from_version_id,
        # Code that does not know of reasons leaves one behind when it moves a session.
        pause_reason=PauseReason(row.pause_reason) if row.pause_reason and row.status == Status.PAUSED.value else None,
    )


def item_of(row: Row[Any]) -> Item:
    """Of download_items with `size_bytes` of its file_metadata."""
    return Item(
        id=row.id,
        file_metadata_id=row.file_metadata_id,
        relative_path=row.relative_path,
        total_size_bytes=row.size_bytes,
        status=ItemStatus(row.status),
        downloaded_bytes=row.downloaded_bytes,
        retry_count=row.retry_count,
        cdn_provider=row.cdn_provider,
        failure=failure_of(row),
    )


def failure_of(row: Row[Any]) -> Failure | None:
    return None if row.error_code is None else Failure(row.error_code, row.error_message or "")


_LIVE = sorted(status.value for status in LIVE)
_IN_QUEUE = sorted(status.value for status in IN_QUEUE)
_SLOT_HOLDERS = sorted(status.value for status in SLOT_HOLDERS)

# The ids are derived from the session's id (domain.manifests.derived_ids): PostgreSQL has no SHA-1 without an extension, so they
# come as an array, and everything else from the rows that the version has already.
_ADD_ITEMS = text("""
    INSERT INTO download_items
        (user_id, id, download_session_id, file_metadata_id, ordinal, relative_path, created_at, updated_at)
    SELECT CAST(:user_id AS uuid), item.id, CAST(:session_id AS uuid), file.id, file.ordinal, file.relative_path,
           CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM unnest(CAST(:item_ids AS uuid[]), CAST(:file_ids AS uuid[])) AS item (id, file_metadata_id)
    JOIN file_metadata AS file ON file.id = item.file_metadata_id
""")

_SAVE_ITEMS = text("""
    UPDATE download_items AS item
    SET status = changed.status, downloaded_bytes = changed.downloaded_bytes, retry_count = changed.retry_count,
        cdn_provider = changed.cdn_provider, error_code = changed.error_code, error_message = changed.error_message,
        updated_at = now()
    FROM unnest(CAST(:ids AS uuid[]), CAST(:statuses AS text[]), CAST(:downloaded_bytes AS bigint[]),
                CAST(:retry_counts AS integer[]), CAST(:cdn_providers AS text[]), CAST(:error_codes AS text[]),
                CAST(:error_messages AS text[]))
        AS changed (id, status, downloaded_bytes, retry_count, cdn_provider, error_code, error_message)
    WHERE item.user_id = CAST(:user_id AS uuid) AND item.id = changed.id
""")

_LOCK = text("SELECT pg_advisory_xact_lock(CAST(:key AS bigint))")

# The rows are put in order before the function is called for each: two callers never hold what the other waits for.
_LOCK_ALL = text("""
    SELECT pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT key FROM unnest(CAST(:keys AS bigint[])) AS keys (key) ORDER BY key OFFSET 0
    ) AS ordered
""")


class PostgresSessions:
    """Sessions inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._connection = transaction.connection

    async def lock(self, user_id: UUID) -> None:
        await self._connection.execute(_LOCK, {"key": _lock_key(user_id)})

    async def lock_all(self, user_ids: Collection[UUID]) -> None:
        await self._connection.execute(_LOCK_ALL, {"keys": [_lock_key(user_id) for user_id in user_ids]})

    async def get(self, user_id: UUID, session_id: UUID) -> Session | None:
        rows = await self._connection.execute(
            select(download_sessions).where(
                download_sessions.c.user_id == user_id, download_sessions.c.id == session_id
            )
        )
        row = rows.first()
        return None if row is None else session_of(row)

    async def live(self, user_id: UUID) -> Sequence[Session]:
        rows = await self._connection.execute(
            select(download_sessions)
            .where(download_sessions.c.user_id == user_id, download_sessions.c.status.in_(_LIVE))
            .limit(MAX_LIVE_SESSIONS_PER_USER)
        )
        return [session_of(row) for row in rows]

    async def add(self, session: Session, files: Sequence[FileReference], item_ids: Sequence[UUID]) -> None:
        await self._write(insert(download_sessions).values(session_values(session)))
        if files:
            await self._connection.execute(
                _ADD_ITEMS,
                {
                    "user_id": session.user_id,
                    "session_id": session.id,
                    "now": session.created_at,
                    "item_ids": list(item_ids),
                    "file_ids": [file.file_metadata_id for file in files],
                },
            )
        self._record(session)

    async def save(self, session: Session) -> None:
        values = session_values(session)
        await self._write(
            update(download_sessions)
            .where(download_sessions.c.user_id == session.user_id, download_sessions.c.id == session.id)
            .values({name: value for name, value in values.items() if name not in ("user_id", "id", "created_at")})
        )
        self._record(session)

    async def items(self, user_id: UUID, session_id: UUID, item_ids: Sequence[UUID]) -> Mapping[UUID, Item]:
        if not item_ids:
            return {}
        rows = await self._connection.execute(
            _items_with_sizes().where(
                download_items.c.user_id == user_id,
                download_items.c.download_session_id == session_id,
                download_items.c.id.in_(set(item_ids)),
            )
        )
        return {row.id: item_of(row) for row in rows}

    async def save_items(self, user_id: UUID, items: Sequence[Item]) -> None:
        if not items:
            return
        await self._connection.execute(
            _SAVE_ITEMS,
            {
                "user_id": user_id,
                "ids": [item.id for item in items],
                "statuses": [item.status.value for item in items],
                "downloaded_bytes": [item.downloaded_bytes for item in items],
                "retry_counts": [item.retry_count for item in items],
                "cdn_providers": [item.cdn_provider for item in items],
                "error_codes": [None if item.failure is None else item.failure.code for item in items],
                "error_messages": [None if item.failure is None else item.failure.message for item in items],
            },
        )

    async def reset_failed_items(self, user_id: UUID, session_id: UUID) -> None:
        await self._connection.execute(
            update(download_items)
            .where(
                download_items.c.user_id == user_id,
                download_items.c.download_session_id == session_id,
                download_items.c.status == ItemStatus.ERROR.value,
            )
            .values(status=ItemStatus.PENDING.value, error_code=None, error_message=None, updated_at=func.now())
        )

    def _record(self, session: Session) -> None:
        for event in session.take_events():
            self._transaction.record(to_new_event(event))

    async def _write(self, statement: Executable) -> None:
        try:
            await self._connection.execute(statement)
        except IntegrityError as error:
            # The user's lock makes this unlikely, not impossible: the index is what the promise rests on.
            if "download_sessions_live" in str(error.orig):
                raise already_active() from None
            raise


class PostgresSessionReader:
    """Sessions as they are shown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: UUID, session_id: UUID) -> SessionView | None:
        async with self._database.connect() as connection:
            rows = await connection.execute(
                _shown().where(download_sessions.c.user_id == user_id, download_sessions.c.id == session_id)
            )
            row = rows.first()
        return None if row is None else _view_of(row)

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: Status | None = None, product_id: UUID | None = None
    ) -> Page[SessionView]:
        wanted = [download_sessions.c.user_id == user_id]
        if status is not None:
            wanted.append(download_sessions.c.status == status.value)
        if product_id is not None:
            wanted.append(download_sessions.c.product_id == product_id)
        newest_first = (download_sessions.c.created_at.desc(), download_sessions.c.id)
        async with self._database.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(download_sessions).where(*wanted))
            rows = await connection.execute(
                _shown().where(*wanted).order_by(*newest_first).limit(page.size).offset(page.offset)
            )
            return Page([_view_of(row) for row in rows], total or 0)

    async def items(self, session: Session, page: PageRequest, *, status: ItemStatus | None = None) -> Page[Item]:
        own = and_(
            download_items.c.user_id == session.user_id,
            download_items.c.download_session_id == session.id,
        )
        total: int | None = session.items.total
        async with self._database.connect() as connection:
            if status is not None:
                own = and_(own, download_items.c.status == status.value)
                total = await connection.scalar(select(func.count()).select_from(download_items).where(own))
            # The page is cut before sizes are joined: otherwise a page costs as much as all 100,000 of them.
            shown = (
                select(download_items)
                .where(own)
                .order_by(download_items.c.ordinal)
                .limit(page.size)
                .offset(page.offset)
                .cte("shown")
                .prefix_with("MATERIALIZED", dialect="postgresql")
            )
            rows = await connection.execute(
                select(shown, file_metadata.c.size_bytes)
                .join_from(shown, file_metadata, file_metadata.c.id == shown.c.file_metadata_id)
                .order_by(shown.c.ordinal)
            )
            return Page([item_of(row) for row in rows], total or 0)

    async def queue(self, user_id: UUID) -> Sequence[UUID]:
        columns = download_sessions.c
        async with self._database.connect() as connection:
            ids = await connection.scalars(
                select(columns.id)
                .where(columns.user_id == user_id, columns.status.in_(_IN_QUEUE))
                .order_by(columns.queue_rank, columns.priority.desc(), columns.created_at, columns.id)
            )
            return ids.all()

    async def silent(self, since: datetime, *, after: OwnedId | None, limit: int) -> Sequence[OwnedId]:
        columns = download_sessions.c
        found = select(columns.user_id, columns.id).where(columns.status.in_(_SLOT_HOLDERS), columns.updated_at < since)
        return await self._owned(_owned_page(found, after, limit))

    async def of_withdrawn_versions(self, *, after: OwnedId | None, limit: int) -> Sequence[OwnedId]:
        columns, versions = download_sessions.c, product_versions.c
        of_version = select(columns.user_id, columns.id).where(
            columns.product_id == versions.product_id,
            columns.version_id == versions.version_id,
            columns.status.in_(_LIVE),
        )
        # Version by version, each by the index: a plan for all at once reads every live session.
        found = _owned_page(of_version, after, limit).lateral("found")
        return await self._owned(
            select(found.c.user_id, found.c.id)
            .select_from(product_versions.join(found, true()))
            .where(versions.state == VersionState.RETIRED.value)
            .order_by(found.c.user_id, found.c.id)
            .limit(limit)
        )

    async def _owned(self, statement: Select[Any]) -> Sequence[OwnedId]:
        async with self._database.connect() as connection:
            return [(row.user_id, row.id) for row in await connection.execute(statement)]


def _owned_page(statement: Select[Any], after: OwnedId | None, limit: int) -> Select[Any]:
    """The part of a list of sessions of everybody behind `after`."""
    place = (download_sessions.c.user_id, download_sessions.c.id)
    if after is not None:
        statement = statement.where(tuple_(*place) > tuple_(*after))
    return statement.order_by(*place).limit(limit)


def _items_with_sizes() -> Select[Any]:
    return select(download_items, file_metadata.c.size_bytes).join_from(
        download_items, file_metadata, file_metadata.c.id == download_items.c.file_metadata_id
    )


def _shown() -> Select[Any]:
    """A session with its place among those of its user that run or wait, in the order of Session.queue_key."""
    own, other = download_sessions.c, download_sessions.alias("other")
    up_to_it = (
        select(func.count())
        .select_from(other)
        .where(
            other.c.user_id == own.user_id,
            other.c.status.in_(_IN_QUEUE),
            tuple_(other.c.queue_rank, -other.c.priority, other.c.created_at, other.c.id)
            <= tuple_(own.queue_rank, -own.priority, own.created_at, own.id),
        )
        .correlate(download_sessions)
        .scalar_subquery()
    )
    return select(download_sessions, case((own.status.in_(_IN_QUEUE), up_to_it), else_=None).label("queue_position"))


def _view_of(row: Row[Any]) -> SessionView:
    return SessionView(session_of(row), row.queue_position)


def _lock_key(user_id: UUID) -> int:
    """A signed 64-bit number for the user; two users with the same one would only wait for each other."""
    folded = (user_id.int >> 64) ^ (user_id.int & (2**64 - 1))
    return folded - 2**64 if folded >= 2**63 else folded
