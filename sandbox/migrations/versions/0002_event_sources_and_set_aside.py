"""Whose an incoming event's id is, and outgoing events that no bus takes."""

from alembic import op

from chassis.postgres.migrations import add_sources_and_set_aside, drop_sources_and_set_aside

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_sources_and_set_aside(op)


def downgrade() -> None:
    drop_sources_and_set_aside(op)
