"""The categories that users sort their items into."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Names are compared by code point; the folded form (domain/catalog.py) is what they are ordered by.
USER_GAME_CATEGORIES = """
CREATE TABLE user_game_categories (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text COLLATE "C" NOT NULL,
    folded_name text COLLATE "C" NOT NULL,
    display_order integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT user_game_categories_one_per_name UNIQUE (user_id, name),
    CONSTRAINT user_game_categories_name_in_range CHECK (char_length(name) BETWEEN 1 AND 100)
)
"""

USER_LIBRARY_ITEM_TO_CATEGORIES = """
CREATE TABLE user_library_item_to_categories (
    user_id uuid NOT NULL,
    library_item_id uuid NOT NULL,
    category_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, library_item_id, category_id),
    FOREIGN KEY (user_id, library_item_id) REFERENCES user_library_items (user_id, id) ON DELETE CASCADE,
    FOREIGN KEY (user_id, category_id) REFERENCES user_game_categories (user_id, id) ON DELETE CASCADE
)
"""
# For the list of a category's items, and for the removal of a category.
USER_LIBRARY_ITEM_TO_CATEGORIES_CATEGORY = """
CREATE INDEX user_library_item_to_categories_category
    ON user_library_item_to_categories (user_id, category_id, library_item_id)
"""


def upgrade() -> None:
    op.execute(USER_GAME_CATEGORIES)
    op.execute(USER_LIBRARY_ITEM_TO_CATEGORIES)
    op.execute(USER_LIBRARY_ITEM_TO_CATEGORIES_CATEGORY)


def downgrade() -> None:
    op.execute("DROP TABLE user_library_item_to_categories")
    op.execute("DROP TABLE user_game_categories")
