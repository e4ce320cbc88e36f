"""Installations in PostgreSQL: inside one transaction, and as they are shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Row,
    Select,
    Table,
    Text,
    Uuid,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from chassis.postgres.database import Database, Transaction
from download_svc.installations.domain import Installation, KeptInstallation
from download_svc.paging import Page, PageRequest
from download_svc.schema import NEW_ID, metadata
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Platform
from download_svc.versions.postgres import product_versions

installations = Table(
    "installations",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=NEW_ID),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("device_id", Uuid),
    Column("platform", Text),
    Column("installation_path", Text),
    Column("is_pinned", Boolean),
    Column("auto_update", Boolean),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)


class PostgresInstallations:
    """Installations inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection

    async def put(self, installation: Installation, now: datetime) -> int:
        new = insert(installations).values(
            user_id=installation.user_id,
            product_id=installation.product_id,
            version_id=installation.version_id,
            device_id=installation.device_id,
            platform=installation.platform.value,
            installation_path=installation.installation_path,
            created_at=now,
            updated_at=now,
        )
        await self._connection.execute(
            new.on_conflict_do_update(
                index_elements=["user_id", "device_id", "product_id"],
                set_={
                    "version_id": new.excluded.version_id,
                    "platform": new.excluded.platform,
                    # A client that does not say where leaves what another one said.
                    "installation_path": func.coalesce(
                        new.excluded.installation_path, installations.c.installation_path
                    ),
                    "updated_at": new.excluded.updated_at,
                },
            )
        )
        return await self._count(installation.user_id, installation.product_id)

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None:
        row = (await self._connection.execute(_one(user_id, installation_id))).first()
        return None if row is None else installation_of(row)

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        row = (await self._connection.execute(_on_device(user_id, device_id, product_id))).first()
        return None if row is None else installation_of(row)

    async def save(self, installation: KeptInstallation) -> None:
        await self._connection.execute(
            update(installations)
            .where(installations.c.user_id == installation.installation.user_id, installations.c.id == installation.id)
            .values(
                is_pinned=installation.is_pinned,
                auto_update=installation.auto_update,
                updated_at=installation.updated_at,
            )
        )

    async def remove(self, installation: KeptInstallation) -> int:
        one = installation.installation
        await self._connection.execute(
            delete(installations).where(installations.c.user_id == one.user_id, installations.c.id == installation.id)
        )
        return await self._count(one.user_id, one.product_id)

    async def _count(self, user_id: UUID, product_id: UUID) -> int:
        count = await self._connection.scalar(
            select(func.count())
            .select_from(installations)
            .where(installations.c.user_id == user_id, installations.c.product_id == product_id)
        )
        return count or 0


class PostgresInstallationReader:
    """Installations as they are shown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: UUID, installation_id: UUID) -> KeptInstallation | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(_one(user_id, installation_id))).first()
        return None if row is None else installation_of(row)

    async def on_device(self, user_id: UUID, device_id: UUID | None, product_id: UUID) -> KeptInstallation | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(_on_device(user_id, device_id, product_id))).first()
        return None if row is None else installation_of(row)

    async def behind(
        self, version: Version, *, after: tuple[UUID, UUID] | None, limit: int
    ) -> Sequence[KeptInstallation]:
        columns = installations.c
        older = select(product_versions.c.version_id).where(
            product_versions.c.product_id == version.product_id,
            product_versions.c.platform == version.platform.value,
            product_versions.c.version_id != version.version_id,
            or_(
                product_versions.c.released_at < version.released_at,
                product_versions.c.state == VersionState.RETIRED.value,
            ),
        )
        wanted = [columns.product_id == version.product_id, columns.version_id.in_(older)]
        if after is not None:
            wanted.append(tuple_(columns.user_id, columns.id) > tuple_(*after))
        async with self._database.connect() as connection:
            rows = await connection.execute(
                select(installations).where(*wanted).order_by(columns.user_id, columns.id).limit(limit)
            )
            return [installation_of(row) for row in rows]

    async def page(
        self, user_id: UUID, page: PageRequest, *, product_id: UUID | None = None, device_id: UUID | None = None
    ) -> Page[KeptInstallation]:
        wanted = [installations.c.user_id == user_id]
        if product_id is not None:
            wanted.append(installations.c.product_id == product_id)
        if device_id is not None:
            wanted.append(installations.c.device_id == device_id)
        last_first = (installations.c.updated_at.desc(), installations.c.id)
        async with self._database.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(installations).where(*wanted))
            rows = await connection.execute(
                select(installations).where(*wanted).order_by(*last_first).limit(page.size).offset(page.offset)
            )
            return Page([installation_of(row) for row in rows], total or 0)


def installation_of(row: Row[Any]) -> KeptInstallation:
    """Of a row of installations."""
    return KeptInstallation(
        id=row.id,
        installation=Installation(
            user_id=row.user_id,
            device_id=row.device_id,
            product_id=row.product_id,
            version_id=row.version_id,
            platform=Platform(row.platform),
            installation_path=row.installation_path,
        ),
        is_pinned=row.is_pinned,
        auto_update=row.auto_update,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _one(user_id: UUID, installation_id: UUID) -> Select[Any]:
    return select(installations).where(installations.c.user_id == user_id, installations.c.id == installation_id)


def _on_device(user_id: UUID, device_id: UUID | None, product_id: UUID) -> Select[Any]:
    columns = installations.c
    return select(installations).where(
        columns.user_id == user_id,
        columns.product_id == product_id,
        columns.device_id.is_not_distinct_from(device_id),
    )
