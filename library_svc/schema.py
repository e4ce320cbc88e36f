"""The columns of the library's tables, for building statements. Keys, checks and indexes are in migrations/, which created the
tables; a test holds the two together. Source: tables.md, "library".
"""

from typing import Final

from sqlalchemy import BigInteger, Column, MetaData, Table, Uuid

from chassis.postgres.database import shared_tables

metadata: Final = MetaData()


achievement_notes: Final = Table(
    "achievement_notes",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("achievement_meta_id", Uuid),
)


shared: Final = shared_tables(metadata)
