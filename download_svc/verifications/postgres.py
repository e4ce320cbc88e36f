"""Verifications and their issues in PostgreSQL: inside one transaction, and as they are shown."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    Row,
    Select,
    Table,
    Text,
    Uuid,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database, Transaction
from download_svc.paging import Page, PageRequest
from download_svc.schema import metadata
from download_svc.verifications.domain import Issue, IssueKind, Verification, VerificationStatus

verification_results = Table(
    "verification_results",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("device_id", Uuid),
    Column("is_whole_tree", Boolean),
    Column("status", Text),
    Column("seen", LargeBinary),
    Column("corrupted_files_count", Integer),
    Column("repaired_files_count", Integer),
    Column("files_requiring_redownload", JSONB(none_as_null=True)),
    Column("download_session_id", Uuid),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
)

verification_issues = Table(
    "verification_issues",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("verification_id", Uuid, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("kind", Text),
    Column("right_chunks", ARRAY(Integer)),
)


# get_bit counts from the lowest bit of the first byte, as Verification.seen does; beyond the last byte nothing was listed.
_ADD_MISSING = text("""
    INSERT INTO verification_issues (user_id, verification_id, path, kind)
    SELECT CAST(:user_id AS uuid), CAST(:verification_id AS uuid), relative_path, 'missing'
    FROM file_metadata
    WHERE version_id = :version_id
      AND (entry_type = 'file' OR CAST(:is_whole_tree AS boolean))
      AND CASE WHEN ordinal < octet_length(CAST(:seen AS bytea)) * 8
               THEN get_bit(CAST(:seen AS bytea), ordinal) = 0 ELSE true END
    ON CONFLICT (user_id, verification_id, path) DO NOTHING
""")

_ADD_ISSUES = text("""
    INSERT INTO verification_issues (user_id, verification_id, path, kind, right_chunks)
    SELECT CAST(:user_id AS uuid), CAST(:verification_id AS uuid), issue.path, issue.kind,
           CAST('{' || issue.right_chunks || '}' AS integer[])
    FROM unnest(CAST(:paths AS text[]), CAST(:kinds AS text[]), CAST(:right_chunks AS text[]))
        AS issue (path, kind, right_chunks)
""")

_REMOVE_ISSUES = text("""
    DELETE FROM verification_issues
    WHERE user_id = :user_id AND verification_id = :verification_id AND path = ANY (CAST(:paths AS text[]))
""")

_FORGET_OLD = text("""
    DELETE FROM verification_results
    WHERE user_id = :user_id AND id IN (
        (
            SELECT id FROM verification_results
            WHERE user_id = :user_id AND product_id = :product_id
              AND device_id IS NOT DISTINCT FROM CAST(:device_id AS uuid)
            ORDER BY started_at DESC, id DESC
            OFFSET :keep
        ) UNION ALL (
            SELECT id FROM verification_results
            WHERE user_id = :user_id
            ORDER BY started_at DESC, id DESC
            OFFSET :keep_of_user
        )
    )
""")


class PostgresVerifications:
    """Verifications inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection

    async def add(self, verification: Verification, *, keep: int, keep_of_user: int) -> None:
        await self._connection.execute(insert(verification_results).values(verification_values(verification)))
        await self._connection.execute(
            _FORGET_OLD,
            {
                "user_id": verification.user_id,
                "product_id": verification.product_id,
                "device_id": verification.device_id,
                "keep": keep,
                "keep_of_user": keep_of_user,
            },
        )

    async def get(self, user_id: UUID, verification_id: UUID) -> Verification | None:
        return await _first(self._connection, _one(user_id, verification_id))

    async def of_session(self, user_id: UUID, session_id: UUID) -> Verification | None:
        return await _first(self._connection, _of_session(user_id, session_id))

    async def save(self, verification: Verification) -> None:
        values = verification_values(verification)
        columns = verification_results.c
        await self._connection.execute(
            update(verification_results)
            .where(columns.user_id == verification.user_id, columns.id == verification.id)
            .values({name: value for name, value in values.items() if name not in ("user_id", "id", "started_at")})
        )

    async def replace_issues(self, verification: Verification, paths: Collection[str], issues: Sequence[Issue]) -> None:
        if paths:
            await self._connection.execute(
                _REMOVE_ISSUES,
                {"user_id": verification.user_id, "verification_id": verification.id, "paths": list(paths)},
            )
        if issues:
            await self._connection.execute(
                _ADD_ISSUES,
                {
                    "user_id": verification.user_id,
                    "verification_id": verification.id,
                    "paths": [issue.path for issue in issues],
                    "kinds": [issue.kind.value for issue in issues],
                    "right_chunks": [",".join(map(str, sorted(issue.right_chunks))) for issue in issues],
                },
            )

    async def add_missing(self, verification: Verification) -> None:
        await self._connection.execute(
            _ADD_MISSING,
            {
                "user_id": verification.user_id,
                "verification_id": verification.id,
                "version_id": verification.version_id,
                "is_whole_tree": verification.is_whole_tree,
                "seen": verification.seen,
            },
        )

    async def count_issues(self, verification: Verification) -> Mapping[IssueKind, int]:
        columns = verification_issues.c
        rows = await self._connection.execute(
            select(columns.kind, func.count().label("count")).where(*_own(verification)).group_by(columns.kind)
        )
        return {IssueKind(kind): count for kind, count in rows}

    async def damaged_paths(self, verification: Verification, *, limit: int) -> Sequence[str]:
        columns = verification_issues.c
        found = await self._connection.scalars(
            select(columns.path)
            .where(*_own(verification), columns.kind != IssueKind.EXTRA.value)
            .order_by(columns.path)
            .limit(limit)
        )
        return found.all()


class PostgresVerificationReader:
    """Verifications as they are shown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: UUID, verification_id: UUID) -> Verification | None:
        async with self._database.connect() as connection:
            return await _first(connection, _one(user_id, verification_id))

    async def of_session(self, user_id: UUID, session_id: UUID) -> Verification | None:
        async with self._database.connect() as connection:
            return await _first(connection, _of_session(user_id, session_id))

    async def issues(
        self, verification: Verification, page: PageRequest, *, kind: IssueKind | None = None
    ) -> Page[Issue]:
        wanted = [*_own(verification)]
        if kind is not None:
            wanted.append(verification_issues.c.kind == kind.value)
        async with self._database.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(verification_issues).where(*wanted))
            rows = await connection.execute(
                select(verification_issues)
                .where(*wanted)
                .order_by(verification_issues.c.path)
                .limit(page.size)
                .offset(page.offset)
            )
            return Page([issue_of(row) for row in rows], total or 0)

    async def damage(self, verification: Verification) -> Sequence[Issue]:
        async with self._database.connect() as connection:
            rows = await connection.execute(
                select(verification_issues)
                .where(*_own(verification), verification_issues.c.kind != IssueKind.EXTRA.value)
                .order_by(verification_issues.c.path)
            )
            return [issue_of(row) for row in rows]


def verification_values(verification: Verification) -> Mapping[str, Any]:
    """Column values of verification_results by name."""
    return {
        "user_id": verification.user_id,
        "id": verification.id,
        "product_id": verification.product_id,
        "version_id": verification.version_id,
        "device_id": verification.device_id,
        "is_whole_tree": verification.is_whole_tree,
        "status": verification.status.value,
        "seen": verification.seen,
        "corrupted_files_count": verification.corrupted_files,
        "repaired_files_count": verification.repaired_files,
        "files_requiring_redownload": list(verification.requiring_redownload) or None,
        "download_session_id": verification.session_id,
        "started_at": verification.started_at,
        "completed_at": verification.completed_at,
    }


def verification_of(row: Row[Any]) -> Verification:
    """Of a row of verification_results."""
    return Verification(
        id=row.id,
        user_id=row.user_id,
        product_id=row.product_id,
        version_id=row.version_id,
        device_id=row.device_id,
        is_whole_tree=row.is_whole_tree,
        started_at=row.started_at,
        status=VerificationStatus(row.status),
        seen=row.seen,
        corrupted_files=row.corrupted_files_count,
        repaired_files=row.repaired_files_count,
        requiring_redownload=tuple(row.files_requiring_redownload or ()),
        session_id=row.download_session_id,
        completed_at=row.completed_at,
    )


def issue_of(row: Row[Any]) -> Issue:
    """Of a row of verification_issues."""
    return Issue(row.path, IssueKind(row.kind), frozenset(row.right_chunks))


async def _first(connection: AsyncConnection, statement: Select[Any]) -> Verification | None:
    row = (await connection.execute(statement)).first()
    return None if row is None else verification_of(row)


def _one(user_id: UUID, verification_id: UUID) -> Select[Any]:
    columns = verification_results.c
    return select(verification_results).where(columns.user_id == user_id, columns.id == verification_id)


def _of_session(user_id: UUID, session_id: UUID) -> Select[Any]:
    columns = verification_results.c
    return (
        select(verification_results)
        .where(columns.user_id == user_id, columns.download_session_id == session_id)
        .order_by(columns.started_at.desc())
        .limit(1)
    )


def _own(verification: Verification) -> tuple[Any, Any]:
    columns = verification_issues.c
    return columns.user_id == verification.user_id, columns.verification_id == verification.id
