"""The unit of work over PostgreSQL: all that a use case writes, inbox and outbox in one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from chassis.bus.inbox import first_time
from chassis.postgres.database import Database
from chassis.postgres.database import Transaction as ChassisTransaction
from download_svc.events import Event
from download_svc.installations.postgres import PostgresInstallations
from download_svc.outgoing import to_new_event
from download_svc.patches.postgres import PostgresPatches
from download_svc.sessions.postgres import PostgresSessions
from download_svc.transaction import Begin, Transaction
from download_svc.updates.postgres import PostgresUpdates
from download_svc.updates.postgres_announcements import PostgresAnnouncements
from download_svc.verifications.postgres import PostgresVerifications
from download_svc.versions.postgres import PostgresVersions


class PostgresTransaction:
    """One transaction. The events of the sessions saved in it are committed with it."""

    def __init__(self, transaction: ChassisTransaction) -> None:
        self._transaction = transaction
        self.sessions = PostgresSessions(transaction)
        self.versions = PostgresVersions(transaction)
        self.installations = PostgresInstallations(transaction)
        self.updates = PostgresUpdates(transaction)
        self.announcements = PostgresAnnouncements(transaction)
        self.verifications = PostgresVerifications(transaction)
        self.patches = PostgresPatches(transaction)

    def record(self, event: Event) -> None:
        self._transaction.record(to_new_event(event))

    async def first_time(self, consumer: str, source: str, event_id: str) -> bool:
        return await first_time(self._transaction, consumer, source, event_id)

    async def commit(self) -> None:
        await self._transaction.commit()


def transactions(database: Database) -> Begin:
    """Return a function that begins a transaction of the database."""

    @asynccontextmanager
    async def begin(user_id: UUID | None = None, /) -> AsyncIterator[Transaction]:
        async with database.begin(user_id) as transaction:
            yield PostgresTransaction(transaction)

    return begin
