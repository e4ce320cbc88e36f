"""The columns of the library's tables, for building statements. Keys, checks and indexes are in migrations/, which created the
tables; a test holds the two together. Source: tables.md, "library".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    FetchedValue,
    Table,
    Text,
    Uuid,
    case,
    collate,
    func,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database
from chassis.postgres.statements import Row
from library_svc.catalog.domain import MERGED_ATTRIBUTES, Product
from library_svc.items.search import also_meant
from library_svc.schema import metadata
from library_svc.stamps import NO_STAMP
from library_svc.text import folded

catalog_products: Final = Table(
    "catalog_products",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("is_complete", Boolean, nullable=False),
    Column("title_ru", Text),
    Column("title_en", Text),
    Column("folded_ru", Text(collation="C")),
    Column("folded_en", Text(collation="C")),
    Column("cover_image_url", Text),
    Column("product_type", Text),
    Column("title_ru_stamp", Text(collation="C"), nullable=False),
    Column("title_en_stamp", Text(collation="C"), nullable=False),
    Column("cover_image_url_stamp", Text(collation="C"), nullable=False),
    Column("product_type_stamp", Text(collation="C"), nullable=False),
    Column("also_meant_ru", Text(collation="C"), nullable=False),
    Column("also_meant_en", Text(collation="C"), nullable=False),
    # Made by the database out of the others; new ones have to be asked for (migration 0010).
    Column("sort_ru", Text(collation="C"), FetchedValue()),
    Column("sort_en", Text(collation="C"), FetchedValue()),
    Column("search_key", Text(collation="C"), FetchedValue(), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


def product_row(product: Product) -> dict[str, Any]:
    return {
        "product_id": product.product_id,
        "as_of": product.as_of,
        "is_complete": product.is_complete,
        "title_ru": product.title_ru,
        "title_en": product.title_en,
        **_title_row("ru", product.title_ru),
        **_title_row("en", product.title_en),
        "cover_image_url": product.cover_image_url,
        "product_type": product.product_type,
        **{
            f"{name}_stamp": product.stamp_of(name) if getattr(product, name) else NO_STAMP
            for name in MERGED_ATTRIBUTES
        },
    }


def _title_row(language: str, title: str | None) -> dict[str, str | None]:
    fold = folded(title) if title else None
    return {f"folded_{language}": fold, f"also_meant_{language}": also_meant(fold or "")}


def product_of(row: Row) -> Product | None:
    """The product of a row that may come from an outer join: without a product, `as_of` is null."""
    if row["as_of"] is None:
        return None
    return Product(
        product_id=row["product_id"],
        as_of=row["as_of"],
        is_complete=row["is_complete"],
        title_ru=row["title_ru"],
        title_en=row["title_en"],
        cover_image_url=row["cover_image_url"],
        product_type=row["product_type"],
    )


class PostgresProducts:
    """Rows of `catalog_products`, each save a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, products: Sequence[Product]) -> None:
        async with self._database.begin() as tx:
            await PostgresTransactionProducts(tx.connection).save(products)
            await tx.commit()


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
