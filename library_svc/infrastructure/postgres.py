"""The library in PostgreSQL: transactions and the rows behind them. Reads for pages are in postgres_reader.py;
nouns with a file of their own bring both.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Final

from sqlalchemy import BigInteger, Select, bindparam, case, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import audit, inbox
from chassis.database import POOL_TIMEOUT_SECONDS, Database
from chassis.database import Transaction as ChassisTransaction
from chassis.statements import Statement
from library_svc.application.ports import Origin
from library_svc.domain.catalog import Product
from library_svc.domain.entitlements import Grant
from library_svc.domain.events import LibraryEvent
from library_svc.domain.ids import ItemId, ProductId, UserId
from library_svc.domain.installations import Download, Installation, InstallationState, News, Verification
from library_svc.domain.items import Item
from library_svc.infrastructure.events import outgoing
from library_svc.infrastructure.postgres_achievements import PostgresAchievements
from library_svc.infrastructure.postgres_categories import PostgresCategories
from library_svc.infrastructure.postgres_game_settings import PostgresGameSettings
from library_svc.infrastructure.postgres_playtime import PostgresPlaytime
from library_svc.infrastructure.postgres_sales import PostgresSales
from library_svc.infrastructure.postgres_wishlist import PostgresWishlist
from library_svc.infrastructure.rows import (
    ITEM_COLUMNS,
    download_of,
    download_row,
    grant_of,
    grant_row,
    installation_of,
    installation_row,
    item_of,
    item_row,
    product_row,
    verification_of,
    verification_row,
)
from library_svc.infrastructure.tables import (
    catalog_products,
    entitlements,
    item_downloads,
    item_installations,
    item_verifications,
    user_library_items,
)
from library_svc.infrastructure.turns import Turns

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
        self.wishlist = PostgresWishlist(tx.connection)
        self.sales = PostgresSales(tx.connection)
        self.playtime = PostgresPlaytime(tx)
        self.achievements = PostgresAchievements(tx)

    async def is_first(self, event_id: str) -> bool:
        return await inbox.first_time(self._tx, self._consumer, event_id)

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


class PostgresItems:
    """Rows of `user_library_items`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, user_id: UserId, item_id: ItemId) -> Item | None:
        table = user_library_items
        return await self._one(select(*ITEM_COLUMNS).where(table.c.user_id == user_id, table.c.id == item_id))

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Item | None:
        table = user_library_items
        return await self._one(
            select(*ITEM_COLUMNS).where(table.c.user_id == user_id, table.c.product_id == product_id)
        )

    async def add(self, item: Item) -> None:
        await self._connection.execute(insert(user_library_items).values(item_row(item)))

    async def save(self, item: Item) -> None:
        table = user_library_items
        await self._connection.execute(
            update(table)
            .where(table.c.user_id == item.user_id, table.c.id == item.id)
            .values({**item_row(item), "updated_at": func.now()})
        )

    async def remove(self, item: Item) -> None:
        table = user_library_items
        await self._connection.execute(delete(table).where(table.c.user_id == item.user_id, table.c.id == item.id))

    async def _one(self, statement: Select[*tuple[object, ...]]) -> Item | None:
        row = (await self._connection.execute(statement.with_for_update())).mappings().one_or_none()
        return item_of(row) if row else None


_GRANTS_OF_PRODUCT: Final = Statement.of(
    select(entitlements).where(
        entitlements.c.user_id == bindparam("user_id"), entitlements.c.product_id == bindparam("product_id")
    )
)
"""Made once, as all that is asked for often: putting a statement together takes longer than running it."""


class PostgresEntitlements:
    """Rows of `entitlements`."""

    def __init__(self, tx: ChassisTransaction) -> None:
        self._tx = tx

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Sequence[Grant]:
        values = {"user_id": user_id, "product_id": product_id}
        return [grant_of(row) for row in await self._tx.fetch(_GRANTS_OF_PRODUCT, values)]

    async def save(self, grant: Grant) -> None:
        statement = upsert(entitlements).values(grant_row(grant))
        await self._tx.connection.execute(
            statement.on_conflict_do_update(
                constraint="entitlements_one_per_source",
                set_={"revoked_at": statement.excluded.revoked_at, "updated_at": func.now()},
            )
        )


class PostgresInstallations:
    """Rows of `item_downloads`, `item_installations` and `item_verifications`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of_product(self, user_id: UserId, product_id: ProductId) -> InstallationState:
        downloads, installations, verifications = [
            (
                await self._connection.execute(
                    select(table).where(table.c.user_id == user_id, table.c.product_id == product_id)
                )
            ).mappings()
            for table in (item_downloads, item_installations, item_verifications)
        ]
        return InstallationState(
            downloads={download.session_id: download for download in map(download_of, downloads)},
            installations={known.device_id: known for known in map(installation_of, installations)},
            verifications={known.device_id: known for known in map(verification_of, verifications)},
        )

    async def save(self, user_id: UserId, product_id: ProductId, news: News) -> None:
        match news:
            case Download():
                table, row = item_downloads, download_row(user_id, product_id, news)
            case Installation():
                table, row = item_installations, installation_row(user_id, product_id, news)
            case Verification():
                table, row = item_verifications, verification_row(user_id, product_id, news)
        keys = {column.name for column in table.primary_key}
        values = {name: value for name, value in row.items() if name not in keys}
        await self._connection.execute(
            upsert(table)
            .values(row)
            .on_conflict_do_update(index_elements=sorted(keys), set_={**values, "updated_at": func.now()})
        )


class PostgresProducts:
    """Rows of `catalog_products`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, products: Sequence[Product]) -> None:
        # In the order of ids, so that two that save the same products do not wait for each other in a circle.
        rows = [product_row(product) for product in sorted(products, key=lambda product: product.product_id)]
        table, known = catalog_products, catalog_products.c
        statement = upsert(table).values(rows)
        heard = statement.excluded
        merged = {
            name: case(
                (heard.as_of >= known.as_of, func.coalesce(heard[name], known[name])),
                else_=func.coalesce(known[name], heard[name]),
            )
            for name in ("title_ru", "title_en", "folded_ru", "folded_en", "cover_image_url", "product_type")
        }
        statement = statement.on_conflict_do_update(
            index_elements=["product_id"],
            set_={
                **merged,
                "as_of": func.greatest(known.as_of, heard.as_of),
                "is_complete": known.is_complete | heard.is_complete,
                "updated_at": func.now(),
            },
        )
        async with self._database.begin() as tx:
            await tx.connection.execute(statement)
            await tx.commit()
