"""Why a session is paused, and what the sweeps look for: sessions that hold slots, sessions and offers of withdrawn versions.

`pause_reason` has no check on `status`: the code before this one moves a session without clearing it. No index has `updated_at`,
so that a report goes on changing one row in place (HOT) and no index.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_UPGRADE = (
    "ALTER TABLE download_sessions ADD pause_reason text CHECK (pause_reason IN ('client_silent'))",
    """
    CREATE INDEX download_sessions_slots ON download_sessions (user_id, id)
        WHERE status IN ('initializing', 'downloading', 'verifying')
    """,
    """
    CREATE INDEX download_sessions_version ON download_sessions (product_id, version_id, user_id, id)
        WHERE status IN ('queued', 'initializing', 'downloading', 'paused', 'verifying')
    """,
    "CREATE INDEX product_versions_retired ON product_versions (product_id, version_id) WHERE state = 'retired'",
    "CREATE INDEX updates_available ON updates (product_id, to_version_id, user_id, id) WHERE status = 'available'",
)
_DOWNGRADE = (
    "DROP INDEX updates_available",
    "DROP INDEX product_versions_retired",
    "DROP INDEX download_sessions_version",
    "DROP INDEX download_sessions_slots",
    "ALTER TABLE download_sessions DROP COLUMN pause_reason",
)


def upgrade() -> None:
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWNGRADE:
        op.execute(statement)
