"""The columns of the library's tables, for building statements. Keys, checks and indexes are in migrations/, which created the
tables; a test holds the two together. Source: tables.md, "library".
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, DateTime, Table, Text, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.postgres.database import Transaction as ChassisTransaction
from chassis.postgres.statements import Row, Statement
from library_svc.entitlements.domain import Grant, Source, SourceKind
from library_svc.ids import ProductId, UserId
from library_svc.schema import metadata

entitlements: Final = Table(
    "entitlements",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("acquisition_type", Text, nullable=False),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


activated_keys: Final = Table(
    "activated_keys",
    metadata,
    Column("key", Text(collation="C"), primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)


def grant_row(grant: Grant) -> dict[str, Any]:
    return {
        "user_id": grant.user_id,
        "product_id": grant.product_id,
        "source": grant.source.kind,
        "source_id": grant.source.id,
        "acquisition_type": grant.source.acquisition_type,
        "granted_at": grant.granted_at,
        "revoked_at": grant.revoked_at,
    }


def grant_of(row: Row) -> Grant:
    return Grant(
        user_id=row["user_id"],
        product_id=row["product_id"],
        source=Source(SourceKind(row["source"]), row["source_id"]),
        granted_at=row["granted_at"],
        revoked_at=row["revoked_at"],
    )


_GRANTS_OF_PRODUCT: Final = Statement.of(
    select(entitlements).where(
        entitlements.c.user_id == bindparam("user_id"), entitlements.c.product_id == bindparam("product_id")
    )
)
"""Made once, as all that is asked for often: putting a statement together takes longer than running it."""


_GRANTS_OF_SOURCE: Final = Statement.of(
    select(entitlements).where(
        entitlements.c.user_id == bindparam("user_id"),
        entitlements.c.source == bindparam("source"),
        entitlements.c.source_id == bindparam("source_id"),
    )
)


class PostgresEntitlements:
    """Rows of `entitlements`."""

    def __init__(self, tx: ChassisTransaction) -> None:
        self._tx = tx

    async def of_product(self, user_id: UserId, product_id: ProductId) -> Sequence[Grant]:
        values = {"user_id": user_id, "product_id": product_id}
        return [grant_of(row) for row in await self._tx.fetch(_GRANTS_OF_PRODUCT, values)]

    async def of_source(self, user_id: UserId, source: Source) -> Sequence[Grant]:
        values = {"user_id": user_id, "source": source.kind, "source_id": source.id}
        return [grant_of(row) for row in await self._tx.fetch(_GRANTS_OF_SOURCE, values)]

    async def claim_key(self, user_id: UserId, key: str) -> UserId:
        claim = upsert(activated_keys).values(key=key, user_id=user_id).on_conflict_do_nothing()
        await self._tx.connection.execute(claim)
        found = select(activated_keys.c.user_id).where(activated_keys.c.key == key)
        return UserId((await self._tx.connection.execute(found)).scalar_one())

    async def save(self, grant: Grant) -> None:
        statement = upsert(entitlements).values(grant_row(grant))
        await self._tx.connection.execute(
            statement.on_conflict_do_update(
                constraint="entitlements_one_per_source",
                set_={
                    "granted_at": statement.excluded.granted_at,
                    "revoked_at": statement.excluded.revoked_at,
                    "updated_at": func.now(),
                },
            )
        )
