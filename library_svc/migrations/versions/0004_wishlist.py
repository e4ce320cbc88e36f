"""The wishlists of users."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WISHLIST_ITEMS = """
CREATE TABLE wishlist_items (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL,
    added_at timestamptz NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    notes text,
    notified_on_sale_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT wishlist_items_one_per_product UNIQUE (user_id, product_id),
    CONSTRAINT wishlist_items_priority_not_negative CHECK (priority >= 0)
)
"""
# For sales: the users who have a product on their wishlist.
WISHLIST_ITEMS_PRODUCT = "CREATE INDEX wishlist_items_product ON wishlist_items (product_id)"


def upgrade() -> None:
    op.execute(WISHLIST_ITEMS)
    op.execute(WISHLIST_ITEMS_PRODUCT)


def downgrade() -> None:
    op.execute("DROP TABLE wishlist_items")
