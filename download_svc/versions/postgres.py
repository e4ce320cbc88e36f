"""Versions, their files and chunks in PostgreSQL: written once in bulk, then only read."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    Uuid,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database, Transaction
from download_svc.schema import NEW_ID, Values, metadata
from download_svc.verifications.domain import PlacedEntry
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import (
    Chunk,
    Entry,
    EntryType,
    FileReference,
    Manifest,
    Platform,
    StoredManifest,
    derived_ids,
)

product_versions = Table(
    "product_versions",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=NEW_ID),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("version_name", Text),
    Column("platform", Text),
    Column("channel", Text),
    Column("released_at", DateTime(timezone=True)),
    Column("total_size_bytes", BigInteger),
    Column("file_count", Integer),
    Column("is_critical", Boolean),
    Column("release_notes_url", Text),
    Column("manifest_key", Text),
    Column("manifest_sha256", LargeBinary),
    Column("manifest_size_bytes", BigInteger),
    Column("signed_by", Text),
    Column("signature", LargeBinary),
    Column("state", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

file_metadata = Table(
    "file_metadata",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("ordinal", Integer),
    Column("relative_path", Text),
    Column("entry_type", Text),
    Column("link_target", Text),
    Column("size_bytes", BigInteger),
    Column("hash_sha256", LargeBinary),
    Column("mode", Integer),
    Column("cdn_references", JSONB),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

file_chunks = Table(
    "file_chunks",
    metadata,
    Column("file_metadata_id", Uuid, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("offset_bytes", BigInteger),
    Column("size_bytes", BigInteger),
    Column("sha256", LargeBinary),
    Column("stored_size_bytes", BigInteger),
    Column("stored_sha256", LargeBinary),
)


version_announcements = Table(
    "version_announcements",
    metadata,
    Column("version_id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("after_user_id", Uuid),
    Column("after_installation_id", Uuid),
    Column("done_at", DateTime(timezone=True)),
    Column("retry_at", DateTime(timezone=True)),
    Column("failure", Text),
    Column("created_at", DateTime(timezone=True)),
)


def version_values(version: Version) -> Values:
    return {
        "product_id": version.product_id,
        "version_id": version.version_id,
        "version_name": version.version_name,
        "platform": version.platform.value,
        "channel": version.channel,
        "released_at": version.released_at,
        "total_size_bytes": version.total_size_bytes,
        "file_count": version.file_count,
        "is_critical": version.is_critical,
        "release_notes_url": version.release_notes_url,
        "manifest_key": version.manifest.key,
        "manifest_sha256": version.manifest.sha256,
        "manifest_size_bytes": version.manifest.size_bytes,
        "signed_by": version.manifest.signed_by,
        "signature": version.manifest.signature,
        "state": version.state.value,
    }


def version_of(row: Row[Any]) -> Version:
    return Version(
        product_id=row.product_id,
        version_id=row.version_id,
        version_name=row.version_name,
        platform=Platform(row.platform),
        channel=row.channel,
        released_at=row.released_at,
        total_size_bytes=row.total_size_bytes,
        file_count=row.file_count,
        is_critical=row.is_critical,
        release_notes_url=row.release_notes_url,
        manifest=StoredManifest(
            row.manifest_key, row.manifest_sha256, row.manifest_size_bytes, row.signed_by, row.signature
        ),
        state=VersionState(row.state),
    )


def chunk_of(row: Row[Any]) -> Chunk:
    return Chunk(row.sha256, row.size_bytes, row.stored_sha256, row.stored_size_bytes)


def entry_of(row: Row[Any]) -> Entry:
    """Of a row of file_metadata; its chunks are rows of their own and left out."""
    return Entry(
        row.relative_path, EntryType(row.entry_type), row.size_bytes, row.hash_sha256, row.mode, row.link_target
    )


COPY_BATCH_ROWS = 5_000
"""Encoding a batch holds the event loop for some milliseconds; between batches others get on."""
READ_BATCH_ROWS = 5_000
"""Likewise for reading."""
MAX_CACHED_FILES = 500_000
"""Files of recently started versions kept in memory: a version never changes, and starts come in crowds."""

_FILE_COLUMNS = (
    "id",
    "product_id",
    "version_id",
    "ordinal",
    "relative_path",
    "entry_type",
    "link_target",
    "size_bytes",
    "hash_sha256",
    "mode",
)
_CHUNK_COLUMNS = (
    "file_metadata_id",
    "ordinal",
    "offset_bytes",
    "size_bytes",
    "sha256",
    "stored_size_bytes",
    "stored_sha256",
)

_FILES = text("""
    SELECT id, ordinal, relative_path FROM file_metadata
    WHERE version_id = :version_id AND entry_type = 'file' AND ordinal > :after
    ORDER BY ordinal
    LIMIT :limit
""")

_ENTRIES_AT = text("""
    SELECT ordinal, relative_path, entry_type, size_bytes, hash_sha256, mode, link_target FROM file_metadata
    WHERE product_id = (SELECT product_id FROM product_versions WHERE version_id = :version_id)
      AND version_id = :version_id AND relative_path = ANY (CAST(:paths AS text[]))
""")

_CHUNKS = text("""
    SELECT DISTINCT ON (chunk.sha256) chunk.sha256, chunk.size_bytes, chunk.stored_sha256, chunk.stored_size_bytes
    FROM file_chunks AS chunk JOIN file_metadata AS file ON file.id = chunk.file_metadata_id
    WHERE chunk.sha256 = ANY (CAST(:sha256s AS bytea[])) AND file.version_id = :version_id
""")

_CHUNKS_OF_FILES = text("""
    SELECT file.id AS file_id, chunk.sha256, chunk.size_bytes, chunk.stored_sha256, chunk.stored_size_bytes
    FROM file_metadata AS file LEFT JOIN file_chunks AS chunk ON chunk.file_metadata_id = file.id
    WHERE file.id = ANY (CAST(:file_ids AS uuid[])) AND file.version_id = :version_id AND file.entry_type = 'file'
    ORDER BY file.id, chunk.ordinal
    LIMIT :limit
""")


class PostgresVersions:
    """Versions inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection

    async def get(self, version_id: UUID) -> Version | None:
        rows = await self._connection.execute(
            select(product_versions).where(product_versions.c.version_id == version_id)
        )
        row = rows.first()
        return None if row is None else version_of(row)

    async def of_product(self, product_id: UUID) -> Sequence[Version]:
        rows = await self._connection.execute(
            select(product_versions).where(product_versions.c.product_id == product_id)
        )
        return [version_of(row) for row in rows]

    async def retire(self, version_id: UUID) -> None:
        await self._connection.execute(
            update(product_versions)
            .where(product_versions.c.version_id == version_id)
            .values(state=VersionState.RETIRED.value, updated_at=func.now())
        )

    async def add(self, version: Version, manifest: Manifest) -> None:
        file_ids = await asyncio.to_thread(derived_ids, version.version_id, [entry.path for entry in manifest.entries])
        # This statement also opens the transaction on the driver's connection, which COPY then takes part in.
        await self._connection.execute(insert(product_versions).values(version_values(version)))
        await _copy(self._connection, "file_metadata", _FILE_COLUMNS, _file_records(manifest, file_ids))
        await _copy(self._connection, "file_chunks", _CHUNK_COLUMNS, _chunk_records(manifest, file_ids))


class PostgresVersionReader:
    """Versions and what they consist of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._files: OrderedDict[UUID, Sequence[FileReference]] = OrderedDict()
        self._cached_files = 0

    async def of_product(self, product_id: UUID) -> Sequence[Version]:
        async with self._database.connect() as connection:
            rows = await connection.execute(select(product_versions).where(product_versions.c.product_id == product_id))
            return [version_of(row) for row in rows]

    async def of_products(self, product_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Version]]:
        found: dict[UUID, list[Version]] = {}
        async with self._database.connect() as connection:
            rows = await connection.execute(
                select(product_versions).where(product_versions.c.product_id.in_(set(product_ids)))
            )
            for row in rows:
                found.setdefault(row.product_id, []).append(version_of(row))
        return found

    async def get(self, product_id: UUID, version_id: UUID) -> Version | None:
        async with self._database.connect() as connection:
            rows = await connection.execute(
                select(product_versions).where(
                    product_versions.c.product_id == product_id, product_versions.c.version_id == version_id
                )
            )
            row = rows.first()
        return None if row is None else version_of(row)

    async def files(self, version_id: UUID) -> Sequence[FileReference]:
        cached = self._files.get(version_id)
        if cached is not None:
            self._files.move_to_end(version_id)
            return cached
        files: list[FileReference] = []
        ordinal = -1
        async with self._database.connect() as connection:
            while True:
                rows = await connection.execute(
                    _FILES, {"version_id": version_id, "after": ordinal, "limit": READ_BATCH_ROWS}
                )
                batch = rows.all()
                files.extend(FileReference(row.id, row.relative_path) for row in batch)
                if len(batch) < READ_BATCH_ROWS:
                    break
                ordinal = batch[-1].ordinal
        if files:
            self._keep(version_id, files)
        return files

    async def entries_at(self, version_id: UUID, paths: Collection[str]) -> Mapping[str, PlacedEntry]:
        async with self._database.connect() as connection:
            rows = await connection.execute(_ENTRIES_AT, {"version_id": version_id, "paths": list(paths)})
            return {row.relative_path: PlacedEntry(row.ordinal, entry_of(row)) for row in rows}

    async def chunks(self, version_id: UUID, sha256s: Sequence[bytes]) -> Mapping[bytes, Chunk]:
        async with self._database.connect() as connection:
            rows = await connection.execute(_CHUNKS, {"sha256s": list(sha256s), "version_id": version_id})
            return {row.sha256: chunk_of(row) for row in rows}

    async def chunks_of_files(
        self, version_id: UUID, file_metadata_ids: Sequence[UUID], *, limit: int
    ) -> Mapping[UUID, Sequence[Chunk]]:
        # An empty file is a row without a chunk, so there may be that many rows beside the chunks.
        rows_limit = limit + len(file_metadata_ids)
        async with self._database.connect() as connection:
            rows = await connection.execute(
                _CHUNKS_OF_FILES,
                {"file_ids": list(file_metadata_ids), "version_id": version_id, "limit": rows_limit},
            )
            found: dict[UUID, list[Chunk]] = {}
            for row in rows:
                chunks = found.setdefault(row.file_id, [])
                if row.sha256 is not None:
                    chunks.append(chunk_of(row))
            return found

    def _keep(self, version_id: UUID, files: Sequence[FileReference]) -> None:
        if version_id not in self._files:
            self._files[version_id] = files
            self._cached_files += len(files)
        while self._cached_files > MAX_CACHED_FILES:
            _, dropped = self._files.popitem(last=False)
            self._cached_files -= len(dropped)


async def _copy(
    connection: AsyncConnection, table: str, columns: Sequence[str], records: Iterable[tuple[Any, ...]]
) -> None:
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError("the database is not reached through asyncpg")
    remaining = iter(records)
    while batch := list(islice(remaining, COPY_BATCH_ROWS)):
        await driver.copy_records_to_table(table, records=batch, columns=list(columns))
        await asyncio.sleep(0)


def _file_records(manifest: Manifest, file_ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
    for ordinal, (entry, file_id) in enumerate(zip(manifest.entries, file_ids, strict=True)):
        yield (
            file_id,
            manifest.product_id,
            manifest.version_id,
            ordinal,
            entry.path,
            entry.type.value,
            entry.link_target,
            entry.size_bytes,
            entry.sha256,
            entry.mode,
        )


def _chunk_records(manifest: Manifest, file_ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
    for entry, file_id in zip(manifest.entries, file_ids, strict=True):
        offset_bytes = 0
        for ordinal, chunk in enumerate(entry.chunks):
            yield (
                file_id,
                ordinal,
                offset_bytes,
                chunk.size_bytes,
                chunk.sha256,
                chunk.stored_size_bytes,
                chunk.stored_sha256,
            )
            offset_bytes += chunk.size_bytes
