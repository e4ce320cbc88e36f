"""The library in PostgreSQL: transactions and the rows behind them. Reads for pages are in postgres_reader.py;
nouns with a file of their own bring both.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import BigInteger, bindparam, func, select

from chassis.bus import inbox
from chassis.postgres.database import Database
from chassis.postgres.database import Transaction as ChassisTransaction
from chassis.postgres.statements import Statement
from library_svc import audit
from library_svc.achievements.postgres import PostgresAchievements
from library_svc.catalog.postgres import PostgresTransactionProducts
from library_svc.categories.postgres import PostgresCategories
from library_svc.entitlements.postgres import PostgresEntitlements
from library_svc.events import LibraryEvent
from library_svc.game_settings.postgres import PostgresGameSettings
from library_svc.ids import EventId, UserId
from library_svc.installations.postgres import PostgresInstallations
from library_svc.items.postgres import PostgresItems
from library_svc.outgoing import outgoing
from library_svc.playtime.postgres import PostgresPlaytime
from library_svc.sales.postgres import PostgresSales
from library_svc.saves.postgres import PostgresSaves
from library_svc.transaction import Origin
from library_svc.wishlist.postgres import PostgresWishlist


class PostgresLibrary:
    """Opens the library's transactions. `consumer` is the name under which they remember handled events in the inbox."""

    def __init__(self, database: Database, *, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    @asynccontextmanager
    async def begin(self, user_id: UserId | None = None, /) -> AsyncIterator["PostgresTransaction"]:
        async with self._database.begin(user_id) as tx:
            yield PostgresTransaction(tx, self._consumer)


_LOCK_USER: Final = Statement.of(select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger()))))


class PostgresTransaction:
    """A database transaction; recorded events go into the outbox with it."""

    def __init__(self, tx: ChassisTransaction, consumer: str) -> None:
        self._tx = tx
        self._consumer = consumer
        self.items = PostgresItems(tx.connection)
        self.entitlements = PostgresEntitlements(tx)
        self.installations = PostgresInstallations(tx.connection)
        self.categories = PostgresCategories(tx.connection)
        self.game_settings = PostgresGameSettings(tx.connection)
        self.products = PostgresTransactionProducts(tx.connection)
        self.wishlist = PostgresWishlist(tx.connection)
        self.sales = PostgresSales(tx.connection)
        self.saves = PostgresSaves(tx.connection)
        self.playtime = PostgresPlaytime(tx)
        self.achievements = PostgresAchievements(tx)

    async def first_time(self, event_id: EventId) -> bool:
        return await inbox.first_time(self._tx, self._consumer, *event_id)

    async def lock_user(self, user_id: UserId) -> None:
        # The low half of a UUID is random in every version; two users on one key would only wait for each other.
        key = int.from_bytes(user_id.bytes[8:], signed=True)
        await self._tx.fetch(_LOCK_USER, {"key": key})

    async def audit(self, origin: Origin, *, action: str, resource: str, outcome: str) -> None:
        await audit.note(
            self._tx,
            actor=str(origin.user_id),
            actor_kind="user",
            action=action,
            resource=resource,
            outcome=outcome,
            address=origin.address,
            request_id=origin.request_id,
        )

    def record(self, event: LibraryEvent) -> None:
        self._tx.record(outgoing(event))

    async def commit(self) -> None:
        await self._tx.commit()
