"""Sessions, items, versions, their files and chunks, installations; outbox, inbox, audit log, erasures."""

from alembic import op

from chassis.postgres.migrations import create_shared_tables, drop_shared_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = [
    # One row per published version. `signature` and `manifest_size_bytes` are what the manifest's reference is answered from.
    """
    CREATE TABLE product_versions (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        product_id uuid NOT NULL,
        version_id uuid NOT NULL UNIQUE,
        version_name text NOT NULL,
        platform text NOT NULL CHECK (platform IN ('windows', 'linux', 'macos')),
        channel text NOT NULL DEFAULT 'stable',
        released_at timestamptz NOT NULL,
        total_size_bytes bigint NOT NULL CHECK (total_size_bytes >= 0),
        file_count integer NOT NULL CHECK (file_count >= 0),
        is_critical boolean NOT NULL DEFAULT false,
        release_notes_url text,
        manifest_key text NOT NULL,
        manifest_sha256 bytea NOT NULL CHECK (octet_length(manifest_sha256) = 32),
        manifest_size_bytes bigint NOT NULL CHECK (manifest_size_bytes > 0),
        signed_by text NOT NULL,
        signature bytea NOT NULL CHECK (octet_length(signature) = 64),
        state text NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'retired')),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (product_id, version_id)
    )
    """,
    """
    CREATE TABLE file_metadata (
        id uuid PRIMARY KEY,
        product_id uuid NOT NULL,
        version_id uuid NOT NULL,
        ordinal integer NOT NULL CHECK (ordinal >= 0),
        relative_path text COLLATE "C" NOT NULL,
        entry_type text NOT NULL CHECK (entry_type IN ('file', 'symlink', 'directory')),
        link_target text,
        size_bytes bigint NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
        hash_sha256 bytea CHECK (octet_length(hash_sha256) = 32),
        mode integer NOT NULL DEFAULT 0,
        cdn_references jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (product_id, version_id, relative_path),
        UNIQUE (version_id, ordinal),
        FOREIGN KEY (product_id, version_id) REFERENCES product_versions (product_id, version_id) ON DELETE CASCADE,
        CHECK ((entry_type = 'file') = (hash_sha256 IS NOT NULL)),
        CHECK ((entry_type = 'symlink') = (link_target IS NOT NULL))
    )
    """,
    """
    CREATE TABLE file_chunks (
        file_metadata_id uuid NOT NULL REFERENCES file_metadata (id) ON DELETE CASCADE,
        ordinal integer NOT NULL CHECK (ordinal >= 0),
        offset_bytes bigint NOT NULL CHECK (offset_bytes >= 0),
        size_bytes bigint NOT NULL CHECK (size_bytes > 0),
        sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
        stored_size_bytes bigint NOT NULL CHECK (stored_size_bytes > 0),
        stored_sha256 bytea NOT NULL CHECK (octet_length(stored_sha256) = 32),
        PRIMARY KEY (file_metadata_id, ordinal)
    )
    """,
    "CREATE INDEX file_chunks_sha256 ON file_chunks (sha256)",
    # items_* count the session's items by status, so that a report need not count 100,000 rows; last_sequence is the newest
    # report's.
    """
    CREATE TABLE download_sessions (
        user_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        product_id uuid NOT NULL,
        version_id uuid NOT NULL,
        device_id uuid,
        platform text NOT NULL CHECK (platform IN ('windows', 'linux', 'macos')),
        status text NOT NULL CHECK (status IN
            ('queued', 'initializing', 'downloading', 'paused', 'verifying', 'completed', 'cancelled', 'error')),
        update_type text CHECK (update_type IN ('full', 'delta')),
        from_version_id uuid,
        total_size_bytes bigint NOT NULL CHECK (total_size_bytes >= 0),
        downloaded_bytes bigint NOT NULL DEFAULT 0 CHECK (downloaded_bytes BETWEEN 0 AND total_size_bytes),
        progress_percentage real NOT NULL DEFAULT 0 CHECK (progress_percentage BETWEEN 0 AND 100),
        installation_path text,
        priority smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 10),
        queue_rank integer NOT NULL DEFAULT 2147483647,
        error_code text,
        error_message text,
        items_total integer NOT NULL DEFAULT 0 CHECK (items_total >= 0),
        items_verifying integer NOT NULL DEFAULT 0 CHECK (items_verifying >= 0),
        items_completed integer NOT NULL DEFAULT 0 CHECK (items_completed >= 0),
        items_failed integer NOT NULL DEFAULT 0 CHECK (items_failed >= 0),
        last_sequence bigint NOT NULL DEFAULT -1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, id),
        FOREIGN KEY (product_id, version_id) REFERENCES product_versions (product_id, version_id),
        CHECK (items_verifying + items_completed + items_failed <= items_total),
        CHECK ((status = 'error') = (error_code IS NOT NULL))
    )
    """,
    "CREATE INDEX download_sessions_status ON download_sessions (user_id, status)",
    "CREATE INDEX download_sessions_newest ON download_sessions (user_id, created_at DESC, id)",
    """
    CREATE UNIQUE INDEX download_sessions_live ON download_sessions (user_id, product_id, device_id) NULLS NOT DISTINCT
        WHERE status IN ('queued', 'initializing', 'downloading', 'paused', 'verifying')
    """,
    # No foreign key to file_metadata: items are made from its rows, and checking 100,000 of them again is what a start would
    # spend its time on. `ordinal` is the entry's place in the manifest, which is ordered by path: the order of every list.
    """
    CREATE TABLE download_items (
        user_id uuid NOT NULL,
        id uuid NOT NULL,
        download_session_id uuid NOT NULL,
        file_metadata_id uuid NOT NULL,
        ordinal integer NOT NULL CHECK (ordinal >= 0),
        relative_path text COLLATE "C" NOT NULL,
        status text NOT NULL DEFAULT 'pending' CHECK (status IN
            ('pending', 'downloading', 'verifying', 'completed', 'error')),
        downloaded_bytes bigint NOT NULL DEFAULT 0 CHECK (downloaded_bytes >= 0),
        retry_count integer NOT NULL DEFAULT 0 CHECK (retry_count >= 0),
        cdn_provider text,
        error_code text,
        error_message text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, id),
        UNIQUE (user_id, download_session_id, file_metadata_id),
        FOREIGN KEY (user_id, download_session_id) REFERENCES download_sessions (user_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX download_items_ordered ON download_items (user_id, download_session_id, ordinal)",
    # device_id may be absent, and then counts as one device: that is what a client without a device id installs on.
    """
    CREATE TABLE installations (
        user_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        product_id uuid NOT NULL,
        version_id uuid NOT NULL,
        device_id uuid,
        platform text NOT NULL CHECK (platform IN ('windows', 'linux', 'macos')),
        installation_path text,
        is_pinned boolean NOT NULL DEFAULT false,
        auto_update boolean,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, id),
        UNIQUE NULLS NOT DISTINCT (user_id, device_id, product_id)
    )
    """,
    "CREATE INDEX installations_version ON installations (product_id, version_id)",
]


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    create_shared_tables(op)


def downgrade() -> None:
    drop_shared_tables(op)
    for table in (
        "installations",
        "download_items",
        "download_sessions",
        "file_chunks",
        "file_metadata",
        "product_versions",
    ):
        op.execute(f"DROP TABLE {table}")
