"""Sessions of play."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PLAYTIME_SESSIONS = """
CREATE TABLE playtime_sessions (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz,
    duration_seconds bigint,
    last_heartbeat_at timestamptz NOT NULL,
    platform text,
    device_id uuid,
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT playtime_sessions_status_known CHECK (status IN ('active', 'completed', 'timed_out', 'terminated')),
    CONSTRAINT playtime_sessions_ended_or_active CHECK (
        (status = 'active') = (end_time IS NULL) AND (end_time IS NULL) = (duration_seconds IS NULL)
    ),
    CONSTRAINT playtime_sessions_forwards CHECK (end_time >= start_time AND duration_seconds >= 0)
)
"""
PLAYTIME_SESSIONS_PRODUCT = "CREATE INDEX playtime_sessions_product ON playtime_sessions (user_id, product_id)"
# For ending those that fell silent.
PLAYTIME_SESSIONS_LIVE = (
    "CREATE INDEX playtime_sessions_live ON playtime_sessions (last_heartbeat_at) WHERE end_time IS NULL"
)


def upgrade() -> None:
    op.execute(PLAYTIME_SESSIONS)
    op.execute(PLAYTIME_SESSIONS_PRODUCT)
    op.execute(PLAYTIME_SESSIONS_LIVE)


def downgrade() -> None:
    op.execute("DROP TABLE playtime_sessions")
