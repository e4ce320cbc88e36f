"""The achievements of users, the number of users who have each, and the definitions of achievements."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = {
    "user_achievements": """
CREATE TABLE user_achievements (
    user_id uuid NOT NULL,
    achievement_meta_id uuid NOT NULL,
    product_id uuid NOT NULL,
    is_unlocked boolean NOT NULL DEFAULT false,
    unlocked_at timestamptz,
    current_progress integer NOT NULL DEFAULT 0,
    total_progress_needed integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, achievement_meta_id),
    CONSTRAINT user_achievements_unlocked_since CHECK (is_unlocked = (unlocked_at IS NOT NULL)),
    CONSTRAINT user_achievements_progress_bounded CHECK (
        current_progress >= 0 AND total_progress_needed >= 1 AND (is_unlocked OR current_progress < total_progress_needed)
    )
)
""",
    # Notes of what happened, waiting to be added up: without an achievement, one more user plays the product.
    "achievement_notes": """
CREATE TABLE achievement_notes (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    product_id uuid NOT NULL,
    achievement_meta_id uuid
)
""",
    "achievement_stats": """
CREATE TABLE achievement_stats (
    product_id uuid NOT NULL,
    achievement_meta_id uuid NOT NULL,
    unlocked_count bigint NOT NULL,
    PRIMARY KEY (product_id, achievement_meta_id),
    CONSTRAINT achievement_stats_not_negative CHECK (unlocked_count >= 0)
)
""",
    "product_players": """
CREATE TABLE product_players (
    product_id uuid PRIMARY KEY,
    player_count bigint NOT NULL,
    CONSTRAINT product_players_not_negative CHECK (player_count >= 0)
)
""",
    "catalog_achievements": """
CREATE TABLE catalog_achievements (
    product_id uuid NOT NULL,
    achievement_meta_id uuid NOT NULL,
    ordinal integer NOT NULL,
    total_progress_needed integer NOT NULL,
    is_hidden boolean NOT NULL,
    name_ru text,
    name_en text,
    description_ru text,
    description_en text,
    icon_url_unlocked text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, achievement_meta_id),
    CONSTRAINT catalog_achievements_total_positive CHECK (total_progress_needed >= 1)
)
""",
    "catalog_achievement_lists": """
CREATE TABLE catalog_achievement_lists (
    product_id uuid PRIMARY KEY,
    as_of timestamptz NOT NULL
)
""",
}
USER_ACHIEVEMENTS_PRODUCT = "CREATE INDEX user_achievements_product ON user_achievements (user_id, product_id)"


def upgrade() -> None:
    for statement in TABLES.values():
        op.execute(statement)
    op.execute(USER_ACHIEVEMENTS_PRODUCT)


def downgrade() -> None:
    for name in TABLES:
        op.execute(f"DROP TABLE {name}")
