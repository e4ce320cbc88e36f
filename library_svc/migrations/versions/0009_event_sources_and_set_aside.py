"""The source of an incoming event's id; outgoing events that no bus accepts, and sales that cannot be published for now."""

from alembic import op

from chassis.postgres.migrations import add_sources_and_set_aside, drop_sources_and_set_aside

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_sources_and_set_aside(op)
    op.execute("ALTER TABLE wishlist_sales ADD COLUMN retry_at timestamptz, ADD COLUMN failure text")


def downgrade() -> None:
    op.execute("ALTER TABLE wishlist_sales DROP COLUMN retry_at, DROP COLUMN failure")
    drop_sources_and_set_aside(op)
