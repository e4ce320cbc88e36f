"""Rows to domain values and back; one mapper per table, each with a round-trip test. Used by the postgres_* adapters."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from download_svc.domain.manifests import Chunk, Entry, EntryType, Platform, StoredManifest
from download_svc.domain.sessions import Failure, Item, ItemCounts, ItemStatus, Session, Status, UpdateType
from download_svc.domain.versions import Version, VersionState

Values = Mapping[str, Any]
"""Column values by name: what SQLAlchemy takes, hence Any."""


def session_values(session: Session) -> Values:
    return {
        "user_id": session.user_id,
        "id": session.id,
        "product_id": session.product_id,
        "version_id": session.version_id,
        "device_id": session.device_id,
        "platform": session.platform.value,
        "status": session.status.value,
        "update_type": None if session.update_type is None else session.update_type.value,
        "from_version_id": session.from_version_id,
        "total_size_bytes": session.total_size_bytes,
        "downloaded_bytes": session.downloaded_bytes,
        "progress_percentage": session.progress_percentage,
        "installation_path": session.installation_path,
        "priority": session.priority,
        "queue_rank": session.queue_rank,
        "error_code": None if session.failure is None else session.failure.code,
        "error_message": None if session.failure is None else session.failure.message,
        "items_total": session.items.total,
        "items_verifying": session.items.verifying,
        "items_completed": session.items.completed,
        "items_failed": session.items.failed,
        "last_sequence": session.last_sequence,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }


def session_of(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        product_id=row.product_id,
        version_id=row.version_id,
        platform=Platform(row.platform),
        device_id=row.device_id,
        installation_path=row.installation_path,
        priority=row.priority,
        status=Status(row.status),
        total_size_bytes=row.total_size_bytes,
        items=ItemCounts(row.items_total, row.items_verifying, row.items_completed, row.items_failed),
        created_at=row.created_at,
        updated_at=row.updated_at,
        queue_rank=row.queue_rank,
        downloaded_bytes=row.downloaded_bytes,
        last_sequence=row.last_sequence,
        failure=failure_of(row),
        update_type=None if row.update_type is None else UpdateType(row.update_type),
        from_version_id=row.from_version_id,
    )


def item_of(row: Row[Any]) -> Item:
    """Of download_items with `size_bytes` of its file_metadata."""
    return Item(
        id=row.id,
        file_metadata_id=row.file_metadata_id,
        relative_path=row.relative_path,
        total_size_bytes=row.size_bytes,
        status=ItemStatus(row.status),
        downloaded_bytes=row.downloaded_bytes,
        retry_count=row.retry_count,
        cdn_provider=row.cdn_provider,
        failure=failure_of(row),
    )


def failure_of(row: Row[Any]) -> Failure | None:
    return None if row.error_code is None else Failure(row.error_code, row.error_message or "")


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
