"""Settings that games keep for their users."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GAME_SPECIFIC_SETTINGS = """
CREATE TABLE game_specific_settings (
    user_id uuid NOT NULL,
    product_id uuid NOT NULL,
    settings_payload jsonb NOT NULL,
    version bigint NOT NULL,
    last_updated_at timestamptz NOT NULL,
    last_synced_with_cloud_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, product_id),
    CONSTRAINT game_specific_settings_payload_is_object CHECK (jsonb_typeof(settings_payload) = 'object'),
    CONSTRAINT game_specific_settings_version_positive CHECK (version > 0)
)
"""


def upgrade() -> None:
    op.execute(GAME_SPECIFIC_SETTINGS)


def downgrade() -> None:
    op.execute("DROP TABLE game_specific_settings")
