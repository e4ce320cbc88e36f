"""Cloud saves: slots, versions, and objects that no version names any more."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = {
    "savegame_metadata": """
CREATE TABLE savegame_metadata (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL,
    slot_name text NOT NULL,
    slot_key text NOT NULL,
    version bigint NOT NULL,
    conflict_version bigint,
    last_version bigint NOT NULL,
    s3_object_key text,
    file_size_bytes bigint,
    file_hash_sha256 bytea,
    client_modified_at timestamptz,
    server_uploaded_at timestamptz,
    comment text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT savegame_metadata_one_per_slot UNIQUE (user_id, product_id, slot_key),
    CONSTRAINT savegame_metadata_name_length CHECK (char_length(slot_name) BETWEEN 1 AND 255),
    CONSTRAINT savegame_metadata_version_given CHECK (version BETWEEN 0 AND last_version),
    CONSTRAINT savegame_metadata_hash_length CHECK (octet_length(file_hash_sha256) = 32),
    CONSTRAINT savegame_metadata_current_whole CHECK ((version > 0) = (s3_object_key IS NOT NULL))
)
""",
    "savegame_versions": """
CREATE TABLE savegame_versions (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    savegame_id uuid NOT NULL,
    version bigint,
    base_version bigint,
    state text NOT NULL,
    is_locked boolean NOT NULL DEFAULT false,
    s3_object_key text NOT NULL,
    file_size_bytes bigint NOT NULL,
    file_hash_sha256 bytea NOT NULL,
    client_modified_at timestamptz NOT NULL,
    server_uploaded_at timestamptz,
    expires_at timestamptz,
    device_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT savegame_versions_numbered_once UNIQUE (user_id, savegame_id, version),
    CONSTRAINT savegame_versions_slot FOREIGN KEY (user_id, savegame_id)
        REFERENCES savegame_metadata (user_id, id) ON DELETE CASCADE,
    CONSTRAINT savegame_versions_state CHECK (state IN ('pending', 'current', 'kept', 'conflict', 'merged')),
    CONSTRAINT savegame_versions_confirmed CHECK (
        (state IN ('pending', 'merged')) = (version IS NULL) AND (version IS NULL) = (server_uploaded_at IS NULL)
        AND (version IS NULL) = (expires_at IS NOT NULL)
    ),
    CONSTRAINT savegame_versions_size CHECK (file_size_bytes >= 0),
    CONSTRAINT savegame_versions_hash_length CHECK (octet_length(file_hash_sha256) = 32)
)
""",
    "savegame_discarded_objects": """
CREATE TABLE savegame_discarded_objects (
    user_id uuid NOT NULL,
    s3_object_key text NOT NULL,
    due_at timestamptz NOT NULL,
    again_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, s3_object_key)
)
""",
}
INDEXES = (
    "CREATE INDEX savegame_metadata_newest ON savegame_metadata (user_id, product_id, server_uploaded_at DESC)",
    "CREATE UNIQUE INDEX savegame_versions_one_current ON savegame_versions (user_id, savegame_id) WHERE state = 'current'",
    "CREATE UNIQUE INDEX savegame_versions_one_conflict ON savegame_versions (user_id, savegame_id) WHERE state = 'conflict'",
    "CREATE INDEX savegame_versions_object ON savegame_versions (user_id, s3_object_key)",
    "CREATE INDEX savegame_versions_expiry ON savegame_versions (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX savegame_discarded_objects_due ON savegame_discarded_objects (due_at)",
)


def upgrade() -> None:
    for statement in (*TABLES.values(), *INDEXES):
        op.execute(statement)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
