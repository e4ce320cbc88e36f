"""Installations in PostgreSQL: inside one transaction, and as they are shown."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Database, Transaction
from download_svc.application.ports import Page, PageRequest
from download_svc.domain.installations import Installation, KeptInstallation
from download_svc.domain.manifests import Platform
from download_svc.infrastructure.tables import installations


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
