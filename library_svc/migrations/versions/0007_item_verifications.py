"""The last word about the files of an item on a device: damaged, or as published."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ITEM_VERIFICATIONS = """
CREATE TABLE item_verifications (
    user_id uuid NOT NULL,
    product_id uuid NOT NULL,
    device_id uuid NOT NULL,
    version_id uuid NOT NULL,
    is_damaged boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, product_id, device_id)
)
"""


def upgrade() -> None:
    op.execute(ITEM_VERIFICATIONS)


def downgrade() -> None:
    op.execute("DROP TABLE item_verifications")
