"""Items, entitlements, what the installation status follows, the read model of Catalog, and the shared tables."""

from alembic import op

from chassis.postgres.migrations import create_shared_tables, drop_shared_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Every key begins with user_id, so that the schema can be distributed by it.
USER_LIBRARY_ITEMS = """
CREATE TABLE user_library_items (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL,
    added_at timestamptz NOT NULL,
    acquisition_type text NOT NULL,
    shared_from_user_id uuid,
    installation_status text NOT NULL DEFAULT 'not_installed',
    installed_version_id uuid,
    last_played_at timestamptz,
    total_playtime_seconds bigint NOT NULL DEFAULT 0,
    is_hidden boolean NOT NULL DEFAULT false,
    is_favorite boolean NOT NULL DEFAULT false,
    user_rating smallint,
    notes text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT user_library_items_one_per_product UNIQUE (user_id, product_id),
    CONSTRAINT user_library_items_acquisition_type_known CHECK (
        acquisition_type IN ('purchase', 'gift', 'key_activation', 'family_shared_access', 'free_to_play')
    ),
    CONSTRAINT user_library_items_shared_has_owner CHECK (
        (acquisition_type = 'family_shared_access') = (shared_from_user_id IS NOT NULL)
    ),
    CONSTRAINT user_library_items_not_shared_with_self CHECK (shared_from_user_id <> user_id),
    CONSTRAINT user_library_items_installation_status_known CHECK (
        installation_status IN ('not_installed', 'installing', 'installed', 'updating', 'repair_needed', 'error')
    ),
    CONSTRAINT user_library_items_playtime_not_negative CHECK (total_playtime_seconds >= 0),
    CONSTRAINT user_library_items_rating_in_range CHECK (user_rating BETWEEN 1 AND 5)
)
"""
USER_LIBRARY_ITEMS_LAST_PLAYED = """
CREATE INDEX user_library_items_last_played ON user_library_items (user_id, last_played_at DESC NULLS LAST)
"""

ENTITLEMENTS = """
CREATE TABLE entitlements (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL,
    source text NOT NULL,
    source_id text NOT NULL,
    acquisition_type text NOT NULL,
    granted_at timestamptz NOT NULL,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT entitlements_one_per_source UNIQUE (user_id, source, source_id, product_id),
    CONSTRAINT entitlements_source_known CHECK (source IN ('order', 'key', 'gift', 'free')),
    CONSTRAINT entitlements_source_id_named CHECK (source_id <> ''),
    CONSTRAINT entitlements_acquisition_type_known CHECK (
        acquisition_type IN ('purchase', 'gift', 'key_activation', 'free_to_play')
    )
)
"""
# The question "may they use it?" is answered out of the index alone.
ENTITLEMENTS_STANDING = """
CREATE INDEX entitlements_standing ON entitlements (user_id, product_id, granted_at) WHERE revoked_at IS NULL
"""

ITEM_DOWNLOADS = """
CREATE TABLE item_downloads (
    user_id uuid NOT NULL,
    download_session_id uuid NOT NULL,
    product_id uuid NOT NULL,
    version_id uuid NOT NULL,
    status text NOT NULL,
    changed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, download_session_id),
    CONSTRAINT item_downloads_status_known CHECK (
        status IN ('queued', 'initializing', 'downloading', 'paused', 'verifying', 'completed', 'cancelled', 'error')
    )
)
"""
ITEM_DOWNLOADS_PRODUCT = "CREATE INDEX item_downloads_product ON item_downloads (user_id, product_id)"

# device_id is the nil UUID for a client that named no device. A row whose product is gone stays, so that a late event
# about the time before does not bring it back.
ITEM_INSTALLATIONS = """
CREATE TABLE item_installations (
    user_id uuid NOT NULL,
    product_id uuid NOT NULL,
    device_id uuid NOT NULL,
    version_id uuid NOT NULL,
    is_installed boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, product_id, device_id)
)
"""

# The folded forms are made by the service (domain/catalog.py) and compared by code point, so that search and order do not
# depend on the locale of the cluster.
CATALOG_PRODUCTS = """
CREATE TABLE catalog_products (
    product_id uuid PRIMARY KEY,
    as_of timestamptz NOT NULL,
    is_complete boolean NOT NULL,
    title_ru text,
    title_en text,
    folded_ru text COLLATE "C",
    folded_en text COLLATE "C",
    cover_image_url text,
    product_type text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT catalog_products_folded_with_title CHECK (
        (title_ru IS NULL) = (folded_ru IS NULL) AND (title_en IS NULL) = (folded_en IS NULL)
    )
)
"""
CATALOG_PRODUCTS_TITLES = """
CREATE INDEX catalog_products_titles ON catalog_products USING gin (folded_ru gin_trgm_ops, folded_en gin_trgm_ops)
"""

STATEMENTS = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    USER_LIBRARY_ITEMS,
    USER_LIBRARY_ITEMS_LAST_PLAYED,
    ENTITLEMENTS,
    ENTITLEMENTS_STANDING,
    ITEM_DOWNLOADS,
    ITEM_DOWNLOADS_PRODUCT,
    ITEM_INSTALLATIONS,
    CATALOG_PRODUCTS,
    CATALOG_PRODUCTS_TITLES,
)
TABLES = ("catalog_products", "item_installations", "item_downloads", "entitlements", "user_library_items")


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    create_shared_tables(op)


def downgrade() -> None:
    drop_shared_tables(op)
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP EXTENSION pg_trgm")
