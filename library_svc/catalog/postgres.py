"""The columns of the library's tables, for building statements. Keys, checks and indexes are in migrations/, which made the
tables; a test holds the two together. Source: tables.md, "library".
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Boolean, Column, DateTime, FetchedValue, Table, Text, Uuid, case, func
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.postgres.database import Database
from chassis.postgres.statements import Row
from library_svc.catalog.domain import Product, folded
from library_svc.schema import metadata

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
    # Made by the database out of the folded titles; a new one has to be asked for (migration 0008).
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
        "folded_ru": folded(product.title_ru) if product.title_ru else None,
        "folded_en": folded(product.title_en) if product.title_en else None,
        "cover_image_url": product.cover_image_url,
        "product_type": product.product_type,
    }


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
