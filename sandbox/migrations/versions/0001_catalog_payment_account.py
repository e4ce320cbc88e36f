"""Catalog's products, versions, achievements and sales, Payment's orders, Account's accounts, and the shared tables."""

from alembic import op

from chassis.postgres.migrations import create_shared_tables, drop_shared_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = {
    "products": """
CREATE TABLE products (
    id uuid PRIMARY KEY,
    title_ru text NOT NULL,
    title_en text NOT NULL,
    cover_image_url text NOT NULL DEFAULT '',
    product_type text NOT NULL DEFAULT 'game' CHECK (product_type IN ('game', 'dlc', 'application')),
    price_minor_units bigint NOT NULL DEFAULT 0 CHECK (price_minor_units >= 0),
    currency text NOT NULL DEFAULT 'RUB' CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)""",
    "versions": """
CREATE TABLE versions (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL,
    platform text NOT NULL CHECK (platform IN ('windows', 'linux', 'macos')),
    channel text NOT NULL DEFAULT 'stable',
    released_at timestamptz NOT NULL,
    total_size_bytes bigint NOT NULL CHECK (total_size_bytes >= 0),
    is_critical boolean NOT NULL DEFAULT false,
    file_manifest_url text NOT NULL,
    PRIMARY KEY (product_id, id)
)""",
    "achievements": """
CREATE TABLE achievements (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    id uuid NOT NULL,
    ordinal integer NOT NULL,
    name_ru text NOT NULL,
    name_en text NOT NULL,
    description_ru text NOT NULL,
    description_en text NOT NULL,
    icon_url_unlocked text NOT NULL DEFAULT '',
    total_progress_needed integer NOT NULL DEFAULT 1 CHECK (total_progress_needed > 0),
    is_hidden boolean NOT NULL DEFAULT false,
    PRIMARY KEY (product_id, id)
)""",
    "sales": """
CREATE TABLE sales (
    id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    discount_percent integer NOT NULL CHECK (discount_percent BETWEEN 0 AND 100),
    started_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL
)""",
    "orders": """
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    paid_at timestamptz NOT NULL,
    refund_id uuid,
    refunded_at timestamptz,
    CHECK ((refund_id IS NULL) = (refunded_at IS NULL))
)""",
    "order_items": """
CREATE TABLE order_items (
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    product_id uuid NOT NULL REFERENCES products,
    quantity integer NOT NULL DEFAULT 1 CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
)""",
    "deleted_accounts": """
CREATE TABLE deleted_accounts (
    user_id uuid PRIMARY KEY,
    deleted_at timestamptz NOT NULL
)""",
}
INDEXES = ("CREATE INDEX sales_product ON sales (product_id)", "CREATE INDEX orders_user ON orders (user_id)")


def upgrade() -> None:
    for statement in (*TABLES.values(), *INDEXES):
        op.execute(statement)
    create_shared_tables(op)


def downgrade() -> None:
    drop_shared_tables(op)
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
