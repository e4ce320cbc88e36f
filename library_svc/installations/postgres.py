"""The columns of the library's tables, for building statements. Keys, checks and indexes are in migrations/, which created the
tables; a test holds the two together. Source: tables.md, "library".
"""

from typing import Any, Final

from sqlalchemy import Boolean, Column, DateTime, Table, Text, Uuid, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.statements import Row
from library_svc.ids import ProductId, UserId
from library_svc.installations.domain import (
    Download,
    DownloadStatus,
    Installation,
    InstallationState,
    News,
    Verification,
)
from library_svc.schema import metadata

item_downloads: Final = Table(
    "item_downloads",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("download_session_id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("version_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("event_id", Text(collation="C"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

item_installations: Final = Table(
    "item_installations",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("device_id", Uuid, primary_key=True),
    Column("version_id", Uuid, nullable=False),
    Column("is_installed", Boolean, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("event_id", Text(collation="C"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

item_verifications: Final = Table(
    "item_verifications",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("device_id", Uuid, primary_key=True),
    Column("version_id", Uuid, nullable=False),
    Column("is_damaged", Boolean, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("event_id", Text(collation="C"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


def download_row(user_id: UserId, product_id: ProductId, download: Download) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "download_session_id": download.session_id,
        "product_id": product_id,
        "version_id": download.version_id,
        "status": download.status,
        "changed_at": download.changed_at,
        "event_id": download.event_id,
    }


def download_of(row: Row) -> Download:
    return Download(
        session_id=row["download_session_id"],
        version_id=row["version_id"],
        status=DownloadStatus(row["status"]),
        changed_at=row["changed_at"],
        event_id=row["event_id"],
    )


def installation_row(user_id: UserId, product_id: ProductId, installation: Installation) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "product_id": product_id,
        "device_id": installation.device_id,
        "version_id": installation.version_id,
        "is_installed": installation.is_installed,
        "changed_at": installation.changed_at,
        "event_id": installation.event_id,
    }


def installation_of(row: Row) -> Installation:
    return Installation(
        device_id=row["device_id"],
        version_id=row["version_id"],
        is_installed=row["is_installed"],
        changed_at=row["changed_at"],
        event_id=row["event_id"],
    )


def verification_row(user_id: UserId, product_id: ProductId, verification: Verification) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "product_id": product_id,
        "device_id": verification.device_id,
        "version_id": verification.version_id,
        "is_damaged": verification.is_damaged,
        "changed_at": verification.changed_at,
        "event_id": verification.event_id,
    }


def verification_of(row: Row) -> Verification:
    return Verification(
        device_id=row["device_id"],
        version_id=row["version_id"],
        is_damaged=row["is_damaged"],
        changed_at=row["changed_at"],
        event_id=row["event_id"],
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
