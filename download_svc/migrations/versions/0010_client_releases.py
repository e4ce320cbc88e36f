"""Releases of the launcher. `version_key` is the version without zeros at the end: 1.2 and 1.2.0 are one release."""

from alembic import op

revision = "0010"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE client_releases (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        platform text NOT NULL CHECK (platform IN ('windows', 'linux', 'macos')),
        arch text NOT NULL CHECK (arch IN ('x86_64', 'arm64')),
        channel text NOT NULL CHECK (channel IN ('stable', 'beta', 'test')),
        version text NOT NULL,
        version_key text NOT NULL,
        rollout_permille integer NOT NULL DEFAULT 0 CHECK (rollout_permille BETWEEN 0 AND 1000),
        minimum_version text,
        rollback_from text,
        target_sha256 bytea NOT NULL CHECK (octet_length(target_sha256) = 32),
        target_size_bytes bigint NOT NULL CHECK (target_size_bytes > 0),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (platform, arch, channel, version_key)
    )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE client_releases")
