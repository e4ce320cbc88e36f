"""Patches and how far they are built, in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    Uuid,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from chassis.postgres.database import Database, Transaction
from download_svc.patches.domain import OfferedPatch, Patch, PatchBuild, PatchState
from download_svc.schema import NEW_ID, metadata
from download_svc.versions.domain import Version
from download_svc.versions.postgres import file_metadata

MAX_REASON_CHARACTERS = 1_000

delta_patches = Table(
    "delta_patches",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=NEW_ID),
    Column("product_id", Uuid),
    Column("from_version_id", Uuid),
    Column("to_version_id", Uuid),
    Column("relative_path", Text),
    Column("from_sha256", LargeBinary),
    Column("from_size_bytes", BigInteger),
    Column("to_sha256", LargeBinary),
    Column("algorithm", Text),
    Column("object_key", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", LargeBinary),
    Column("state", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

patch_builds = Table(
    "patch_builds",
    metadata,
    Column("version_id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("offered_patches", Integer),
    Column("leased_until", DateTime(timezone=True)),
    Column("done_at", DateTime(timezone=True)),
    Column("failure", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

_CLAIM = text("""
    UPDATE patch_builds SET leased_until = :until, updated_at = now()
    WHERE version_id = (
        SELECT version_id FROM patch_builds
        WHERE done_at IS NULL AND (leased_until IS NULL OR leased_until <= :now)
        ORDER BY leased_until NULLS FIRST, created_at, version_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING version_id, product_id
""")


class PostgresPatches:
    """Patches inside a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection

    async def request(self, version: Version) -> None:
        new = insert(patch_builds).values(version_id=version.version_id, product_id=version.product_id)
        await self._connection.execute(new.on_conflict_do_nothing())

    async def claim(self, now: datetime, until: datetime) -> PatchBuild | None:
        row = (await self._connection.execute(_CLAIM, {"now": now, "until": until})).first()
        return None if row is None else PatchBuild(row.version_id, row.product_id)

    async def extend(self, version_id: UUID, until: datetime) -> None:
        await self._change(version_id, leased_until=until)

    async def release(self, version_id: UUID, now: datetime) -> None:
        await self._change(version_id, leased_until=now)

    async def add(self, patch: Patch) -> None:
        staged = patch.staged
        values = {
            "product_id": patch.product_id,
            "from_version_id": patch.from_version_id,
            "to_version_id": patch.to_version_id,
            "relative_path": patch.relative_path,
            "from_sha256": patch.from_sha256,
            "from_size_bytes": patch.from_size_bytes,
            "to_sha256": patch.to_sha256,
            "algorithm": patch.algorithm,
            "object_key": staged.object_key if staged else None,
            "size_bytes": staged.size_bytes if staged else None,
            "sha256": staged.sha256 if staged else None,
            "state": patch.state.value,
        }
        new = insert(delta_patches).values(values).on_conflict_do_nothing().returning(delta_patches.c.id)
        added = (await self._connection.execute(new)).first()
        if added is not None and staged is not None:
            await self._change(patch.to_version_id, offered_patches=patch_builds.c.offered_patches + 1)

    async def finish(self, version_id: UUID, now: datetime) -> None:
        await self._change(version_id, done_at=now, failure=None)

    async def set_aside(self, version_id: UUID, *, until: datetime, reason: str) -> None:
        shown = reason[:MAX_REASON_CHARACTERS].replace("\0", "")
        await self._change(version_id, leased_until=until, failure=shown)

    async def _change(self, version_id: UUID, **values: Any) -> None:
        await self._connection.execute(
            update(patch_builds).where(patch_builds.c.version_id == version_id).values(**values, updated_at=func.now())
        )


class PostgresPatchReader:
    """Patches as plans, links and the builder read them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revisions(self, product_ids: Collection[UUID]) -> Mapping[UUID, int]:
        columns = patch_builds.c
        statement = (
            select(columns.product_id, func.sum(columns.offered_patches).label("revision"))
            .where(columns.product_id.in_(set(product_ids)), columns.offered_patches > 0)
            .group_by(columns.product_id)
        )
        async with self._database.connect() as connection:
            return {row.product_id: int(row.revision) for row in await connection.execute(statement)}

    async def offered(self, product_id: UUID, to_sha256s: Collection[bytes]) -> Sequence[OfferedPatch]:
        columns = delta_patches.c
        statement = select(delta_patches).where(
            columns.product_id == product_id,
            columns.to_sha256 == func.any(_array_of(to_sha256s)),
            columns.state == PatchState.OFFERED.value,
        )
        async with self._database.connect() as connection:
            return [_offered(row) for row in await connection.execute(statement)]

    async def of_version(
        self, product_id: UUID, version_id: UUID, sha256s: Collection[bytes]
    ) -> Sequence[OfferedPatch]:
        columns, file = delta_patches.c, file_metadata.c
        gives_a_file_of_it = (
            select(1)
            .where(
                file.product_id == product_id,
                file.version_id == version_id,
                file.relative_path == columns.relative_path,
                file.hash_sha256 == columns.to_sha256,
            )
            .exists()
        )
        statement = select(delta_patches).where(
            columns.product_id == product_id,
            columns.sha256 == func.any(_array_of(sha256s)),
            columns.state == PatchState.OFFERED.value,
            gives_a_file_of_it,
        )
        async with self._database.connect() as connection:
            return [_offered(row) for row in await connection.execute(statement)]

    async def tried(self, product_id: UUID, to_sha256s: Collection[bytes]) -> Collection[tuple[bytes, bytes]]:
        columns = delta_patches.c
        statement = select(columns.from_sha256, columns.to_sha256).where(
            columns.product_id == product_id, columns.to_sha256 == func.any(_array_of(to_sha256s))
        )
        async with self._database.connect() as connection:
            return {(row.from_sha256, row.to_sha256) for row in await connection.execute(statement)}


def _array_of(sha256s: Collection[bytes]) -> ColumnElement[Any]:
    """As one parameter, however many they are."""
    return literal(list(sha256s), ARRAY(LargeBinary))


def _offered(row: Row[Any]) -> OfferedPatch:
    return OfferedPatch(
        row.relative_path,
        row.algorithm,
        row.from_sha256,
        row.from_size_bytes,
        row.to_sha256,
        row.sha256,
        row.size_bytes,
    )
