"""A key of each product's titles to search by, and the sales that users with the product on their wishlist are notified of."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The letters of both alphabets, as a to z; those beyond the end of the second list are left out. As in domain/search.py at the
# time of this migration; a test holds the two together.
LETTERS = "абвгдежзийклмнопрстуфхцчшщыэюяіїєґўøłđðæœþı" + "ьъ''’ʼ`´"  # an apostrophe is two in SQL
STAND_INS = "abvgdejziiklmnoprstufhcqwwiexyiiegu" + "olddeeti"

# Made by the database from what code of before writes too, so that titles that it saves are found.
SEARCH_KEY = f"""
ALTER TABLE catalog_products ADD COLUMN search_key text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
    regexp_replace(
        translate(
            ' ' || coalesce(folded_ru, '') || ' ' || coalesce(folded_en, '') || ' ', '{LETTERS}', '{STAND_INS}'
        ),
        '[^a-z0-9]+', ' ', 'g'
    )
) STORED
"""
SEARCH_INDEX = "CREATE INDEX catalog_products_search ON catalog_products USING gin (search_key gin_trgm_ops)"
TITLES_INDEX = """
CREATE INDEX catalog_products_titles ON catalog_products USING gin (folded_ru gin_trgm_ops, folded_en gin_trgm_ops)
"""

WISHLIST_SALES = """
CREATE TABLE wishlist_sales (
    product_id uuid NOT NULL,
    sale_id text NOT NULL,
    discount_percent smallint NOT NULL,
    ends_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    status text NOT NULL,
    told_until uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, sale_id),
    CONSTRAINT wishlist_sales_sale_named CHECK (sale_id <> ''),
    CONSTRAINT wishlist_sales_discount_in_range CHECK (discount_percent BETWEEN 1 AND 100),
    CONSTRAINT wishlist_sales_status_known CHECK (status IN ('telling', 'ended', 'told'))
)
"""
# The sale that waits longest is next; all take turns, so that a small one does not wait for the end of a great one.
WISHLIST_SALES_TELLING = "CREATE INDEX wishlist_sales_telling ON wishlist_sales (updated_at) WHERE status = 'telling'"
# The users who have a product on their wishlist, one batch after the other.
WISHLIST_ITEMS_WISHING = "CREATE INDEX wishlist_items_wishing ON wishlist_items (product_id, user_id)"


def upgrade() -> None:
    op.execute(SEARCH_KEY)
    op.execute(SEARCH_INDEX)
    op.execute("DROP INDEX catalog_products_titles")
    op.execute(WISHLIST_SALES)
    op.execute(WISHLIST_SALES_TELLING)
    op.execute(WISHLIST_ITEMS_WISHING)
    op.execute("DROP INDEX wishlist_items_product")


def downgrade() -> None:
    op.execute("CREATE INDEX wishlist_items_product ON wishlist_items (product_id)")
    op.execute("DROP INDEX wishlist_items_wishing")
    op.execute("DROP TABLE wishlist_sales")
    op.execute(TITLES_INDEX)
    op.execute("DROP INDEX catalog_products_search")
    op.execute("ALTER TABLE catalog_products DROP COLUMN search_key")
