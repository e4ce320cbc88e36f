"""Binary patches between files, and how far those to each version are built.

A pair of contents is tried once for a product: what it gave, a patch or nothing of use, is its one row. Objects are named by their
own SHA-256, so that two builders at once leave one row and no wrong object.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UPGRADE = (
    """
    CREATE TABLE delta_patches (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        product_id uuid NOT NULL,
        from_version_id uuid NOT NULL,
        to_version_id uuid NOT NULL,
        relative_path text NOT NULL,
        from_sha256 bytea NOT NULL CHECK (octet_length(from_sha256) = 32),
        from_size_bytes bigint NOT NULL CHECK (from_size_bytes > 0),
        to_sha256 bytea NOT NULL CHECK (octet_length(to_sha256) = 32),
        algorithm text NOT NULL,
        object_key text,
        size_bytes bigint CHECK (size_bytes > 0),
        sha256 bytea CHECK (octet_length(sha256) = 32),
        state text NOT NULL CHECK (state IN ('offered', 'useless')),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (product_id, to_sha256, from_sha256, algorithm),
        FOREIGN KEY (product_id, to_version_id)
            REFERENCES product_versions (product_id, version_id) ON DELETE CASCADE,
        CHECK ((state = 'offered') = (object_key IS NOT NULL AND size_bytes IS NOT NULL AND sha256 IS NOT NULL))
    )
    """,
    "CREATE INDEX delta_patches_object ON delta_patches (product_id, sha256) WHERE state = 'offered'",
    """
    CREATE TABLE patch_builds (
        version_id uuid PRIMARY KEY,
        product_id uuid NOT NULL,
        offered_patches integer NOT NULL DEFAULT 0,
        leased_until timestamptz,
        done_at timestamptz,
        failure text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        FOREIGN KEY (product_id, version_id) REFERENCES product_versions (product_id, version_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX patch_builds_pending ON patch_builds (leased_until NULLS FIRST, created_at) WHERE done_at IS NULL",
    "CREATE INDEX patch_builds_product ON patch_builds (product_id) WHERE offered_patches > 0",
)
_DOWNGRADE = ("DROP TABLE patch_builds", "DROP TABLE delta_patches")


def upgrade() -> None:
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWNGRADE:
        op.execute(statement)
