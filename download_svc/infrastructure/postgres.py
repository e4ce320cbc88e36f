"""The unit of work over PostgreSQL: sessions, versions, installations, inbox and outbox in one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Database, Transaction
from chassis.inbox import first_time
from download_svc.application.ports import Begin, UnitOfWork
from download_svc.domain.installations import Installation
from download_svc.infrastructure.postgres_sessions import PostgresSessions
from download_svc.infrastructure.postgres_versions import PostgresVersions
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
        count = await self._connection.scalar(
            select(func.count())
            .select_from(installations)
            .where(
                installations.c.user_id == installation.user_id,
                installations.c.product_id == installation.product_id,
            )
        )
        return count or 0


class PostgresUnitOfWork:
    """One transaction. The events of the sessions saved in it are committed with it."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.sessions = PostgresSessions(transaction)
        self.versions = PostgresVersions(transaction)
        self.installations = PostgresInstallations(transaction)

    async def first_time(self, consumer: str, event_id: str) -> bool:
        return await first_time(self._transaction, consumer, event_id)

    async def commit(self) -> None:
        await self._transaction.commit()


def units_of_work(database: Database) -> Begin:
    """What begins a transaction of the database."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[UnitOfWork]:
        async with database.begin() as transaction:
            yield PostgresUnitOfWork(transaction)

    return begin
