"""Users who are erased stay so: tables of users refuse their rows; erasures and their part of the audit log are found."""

from alembic import op

from chassis.postgres.erased_users import create_guard, drop_guard

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = (
    "user_library_items",
    "entitlements",
    "activated_keys",
    "item_downloads",
    "item_installations",
    "item_verifications",
    "user_game_categories",
    "playtime_sessions",
    "user_achievements",
    "wishlist_items",
    "game_specific_settings",
    "savegame_metadata",
    "savegame_versions",
    "savegame_discarded_objects",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX IF EXISTS activated_keys_user")  # of an attempt that was interrupted
        op.execute("CREATE INDEX CONCURRENTLY activated_keys_user ON activated_keys (user_id)")
    create_guard(op, TABLES)


def downgrade() -> None:
    drop_guard(op, TABLES)
    op.execute("DROP INDEX activated_keys_user")
