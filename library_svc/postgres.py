"""The library in PostgreSQL: transactions and the rows behind them. Reads for pages are in postgres_reader.py;
nouns with a file of their own bring both.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, collate, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.bus import inbox
from chassis.postgres.database import POOL_TIMEOUT_SECONDS, Database
from chassis.postgres.database import Transaction as ChassisTransaction
from chassis.postgres.statements import Statement
from library_svc import audit
from library_svc.achievements.postgres import PostgresAchievements
from library_svc.catalog.domain import MERGED_ATTRIBUTES, Product
from library_svc.catalog.postgres import catalog_products, product_row
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
from library_svc.transaction import Origin
from library_svc.turns import Turns
from library_svc.wishlist.postgres import PostgresWishlist

USER_CONNECTIONS: Final = 2
"""Connections for one user's changes: one that is made, and the next, which has only to wait for its lock."""
USER_TURN_SECONDS: Final = POOL_TIMEOUT_SECONDS
"""How long one more change of the user waits before it is refused: as long as for a connection."""


class PostgresLibrary:
    """Opens the library's transactions. `consumer` is the name under which they remember handled events in the inbox."""

    def __init__(self, database: Database, *, consumer: str) -> None:
        self._database = database
        self._consumer = consumer
        self._turns = Turns(USER_CONNECTIONS, timeout_seconds=USER_TURN_SECONDS)

    @asynccontextmanager
    async def begin(self, user_id: UserId | None = None, /) -> AsyncIterator["PostgresTransaction"]:
        turn = nullcontext() if user_id is None else self._turns.of(user_id)
        async with turn, self._database.begin() as tx:
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
        self.playtime = PostgresPlaytime(tx)
        self.achievements = PostgresAchievements(tx)

    async def is_first(self, event_id: EventId) -> bool:
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


class PostgresTransactionProducts:
    """Rows of `catalog_products`, saved with a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, products: Sequence[Product]) -> None:
        """Merges as domain `Product.merged` does."""
        # In the order of ids, so that two that save the same products do not wait for each other in a circle.
        rows = [product_row(product) for product in sorted(products, key=lambda product: product.product_id)]
        known = catalog_products.c
        statement = upsert(catalog_products).values(rows)
        heard = statement.excluded
        merged: dict[str, ColumnElement[Any]] = {}
        for name in MERGED_ATTRIBUTES:
            value, stamp = (name, f"{name}_stamp")
            is_later = heard[value].is_not(None) & (
                known[value].is_(None)
                | (tuple_(heard[stamp], collate(heard[value], "C")) >= tuple_(known[stamp], collate(known[value], "C")))
            )
            for column in (value, stamp, *_MADE_OF.get(value, ())):
                merged[column] = case((is_later, heard[column]), else_=known[column])
        statement = statement.on_conflict_do_update(
            index_elements=["product_id"],
            set_={
                **merged,
                "as_of": func.greatest(known.as_of, heard.as_of),
                "is_complete": known.is_complete | heard.is_complete,
                "updated_at": func.now(),
            },
        )
        await self._connection.execute(statement)


_MADE_OF: Final[Mapping[str, Sequence[str]]] = {
    "title_ru": ("folded_ru", "also_meant_ru"),
    "title_en": ("folded_en", "also_meant_en"),
}
"""Columns that change with another one."""
