"""Tables of the Download Service as SQLAlchemy sees them; made by migrations/versions. Used by the postgres_* adapters only.
A test compares them with a migrated database.
"""

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

_NEW_ID = text("gen_random_uuid()")

download_sessions = Table(
    "download_sessions",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("device_id", Uuid),
    Column("platform", Text),
    Column("status", Text),
    Column("update_type", Text),
    Column("from_version_id", Uuid),
    Column("total_size_bytes", BigInteger),
    Column("downloaded_bytes", BigInteger),
    Column("progress_percentage", REAL),
    Column("installation_path", Text),
    Column("priority", SmallInteger),
    Column("queue_rank", Integer),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("items_total", Integer),
    Column("items_verifying", Integer),
    Column("items_completed", Integer),
    Column("items_failed", Integer),
    Column("last_sequence", BigInteger),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

download_items = Table(
    "download_items",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("download_session_id", Uuid),
    Column("file_metadata_id", Uuid),
    Column("ordinal", Integer),
    Column("relative_path", Text),
    Column("status", Text),
    Column("downloaded_bytes", BigInteger),
    Column("retry_count", Integer),
    Column("cdn_provider", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

product_versions = Table(
    "product_versions",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_NEW_ID),
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

installations = Table(
    "installations",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=_NEW_ID),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("device_id", Uuid),
    Column("platform", Text),
    Column("installation_path", Text),
    Column("is_pinned", Boolean),
    Column("auto_update", Boolean),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

updates = Table(
    "updates",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("from_version_id", Uuid),
    Column("to_version_id", Uuid),
    Column("update_type", Text),
    Column("size_bytes", BigInteger),
    Column("release_notes_url", Text),
    Column("status", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

updates_history = Table(
    "updates_history",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("applied_version_id", Uuid),
    Column("previous_version_id", Uuid),
    Column("status", Text),
    Column("applied_at", DateTime(timezone=True)),
    Column("error_message", Text),
)

verification_results = Table(
    "verification_results",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("version_id", Uuid),
    Column("device_id", Uuid),
    Column("is_whole_tree", Boolean),
    Column("status", Text),
    Column("seen", LargeBinary),
    Column("corrupted_files_count", Integer),
    Column("repaired_files_count", Integer),
    Column("files_requiring_redownload", JSONB(none_as_null=True)),
    Column("download_session_id", Uuid),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
)

verification_issues = Table(
    "verification_issues",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("verification_id", Uuid, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("kind", Text),
    Column("right_chunks", ARRAY(Integer)),
)

version_announcements = Table(
    "version_announcements",
    metadata,
    Column("version_id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("after_user_id", Uuid),
    Column("after_installation_id", Uuid),
    Column("done_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True)),
)
