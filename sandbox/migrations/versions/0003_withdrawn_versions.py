"""When a version was withdrawn."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE versions ADD withdrawn_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE versions DROP COLUMN withdrawn_at")
