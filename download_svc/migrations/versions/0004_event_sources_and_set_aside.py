"""Whose an incoming event's id is; outgoing events that no bus takes, and versions that cannot be announced for now."""

from alembic import op

from chassis.postgres.migrations import add_sources_and_set_aside, drop_sources_and_set_aside

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_sources_and_set_aside(op)
    op.execute("ALTER TABLE version_announcements ADD COLUMN retry_at timestamptz, ADD COLUMN failure text")


def downgrade() -> None:
    op.execute("ALTER TABLE version_announcements DROP COLUMN retry_at, DROP COLUMN failure")
    drop_sources_and_set_aside(op)
