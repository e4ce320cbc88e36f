"""The unit of work over PostgreSQL: all that a use case writes, inbox and outbox in one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.database import Database, Transaction
from chassis.inbox import first_time
from download_svc.application.ports import Begin, UnitOfWork
from download_svc.domain.events import Event
from download_svc.infrastructure.events import to_new_event
from download_svc.infrastructure.postgres_announcements import PostgresAnnouncements
from download_svc.infrastructure.postgres_installations import PostgresInstallations
from download_svc.infrastructure.postgres_sessions import PostgresSessions
from download_svc.infrastructure.postgres_updates import PostgresUpdates
from download_svc.infrastructure.postgres_verifications import PostgresVerifications
from download_svc.infrastructure.postgres_versions import PostgresVersions


class PostgresUnitOfWork:
    """One transaction. The events of the sessions saved in it are committed with it."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.sessions = PostgresSessions(transaction)
        self.versions = PostgresVersions(transaction)
        self.installations = PostgresInstallations(transaction)
        self.updates = PostgresUpdates(transaction)
        self.announcements = PostgresAnnouncements(transaction)
        self.verifications = PostgresVerifications(transaction)

    def record(self, event: Event) -> None:
        self._transaction.record(to_new_event(event))

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
