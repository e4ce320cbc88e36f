"""Users who are erased stay so: tables of users refuse their rows; erasures and their part of the audit log are found."""

from alembic import op

from chassis.postgres.erased_users import create_guard, drop_guard

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("download_sessions", "verification_results", "updates", "updates_history", "installations")


def upgrade() -> None:
    create_guard(op, TABLES)


def downgrade() -> None:
    drop_guard(op, TABLES)
