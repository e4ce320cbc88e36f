"""The order of events that arrive in any order, the user of each activated key, other meanings of titles, and natural order."""

from alembic import op
from sqlalchemy import text

from library_svc.items.search import also_meant
from library_svc.text import folded

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# As domain/stamps.py writes them. An attribute that was known before is as old as the newest of its product: nobody knows better.
PRODUCT_STAMPS = """
ALTER TABLE catalog_products
    ADD COLUMN title_ru_stamp text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN title_en_stamp text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN cover_image_url_stamp text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN product_type_stamp text COLLATE "C" NOT NULL DEFAULT ''
"""
FILL_PRODUCT_STAMPS = """
UPDATE catalog_products SET
    title_ru_stamp = CASE WHEN title_ru IS NULL THEN '' ELSE stamp END,
    title_en_stamp = CASE WHEN title_en IS NULL THEN '' ELSE stamp END,
    cover_image_url_stamp = CASE WHEN cover_image_url IS NULL THEN '' ELSE stamp END,
    product_type_stamp = CASE WHEN product_type IS NULL THEN '' ELSE stamp END
FROM (
    SELECT product_id AS id, to_char(as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z "') AS stamp
    FROM catalog_products WHERE isfinite(as_of)
) AS known
WHERE known.id = product_id
"""

# The newest price of each product, whether it is a sale or not.
CATALOG_PRICES = """
CREATE TABLE catalog_prices (
    product_id uuid PRIMARY KEY,
    stamp text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""

# Of all users together, so it is not kept beside the grants, which are each user's.
ACTIVATED_KEYS = """
CREATE TABLE activated_keys (
    key text COLLATE "C" PRIMARY KEY,
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
ACTIVATED_KEYS_USER = "CREATE INDEX activated_keys_user ON activated_keys (user_id)"
# A key that several users activated before is the first one's; the others keep what they have.
FILL_ACTIVATED_KEYS = """
INSERT INTO activated_keys (key, user_id)
SELECT DISTINCT ON (source_id) source_id, user_id FROM entitlements WHERE source = 'key'
ORDER BY source_id, granted_at, user_id
"""

NEWS_TABLES = ("item_downloads", "item_installations", "item_verifications")
# Times from the future that were taken as they came: nothing after them would count until then.
CLAMP_TIMES = (
    "UPDATE catalog_products SET as_of = now() WHERE as_of > now()",
    "UPDATE entitlements SET granted_at = now() WHERE granted_at > now()",
    "UPDATE entitlements SET revoked_at = now() WHERE revoked_at > now()",
    "UPDATE user_library_items SET added_at = now() WHERE added_at > now()",
    "UPDATE item_downloads SET changed_at = now() WHERE changed_at > now()",
    "UPDATE item_installations SET changed_at = now() WHERE changed_at > now()",
    "UPDATE item_verifications SET changed_at = now() WHERE changed_at > now()",
)


ALSO_MEANT = """
ALTER TABLE catalog_products
    ADD COLUMN also_meant_ru text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN also_meant_en text COLLATE "C" NOT NULL DEFAULT ''
"""
LETTERS = "абвгдежзийклмнопрстуфхцчшщыэюяіїєґўøłđðæœþı" + "ьъ''’ʼ`´"  # an apostrophe is two in SQL
STAND_INS = "abvgdejziiklmnoprstufhcqwwiexyiiegu" + "olddeeti"
SPELT = f"""
    regexp_replace(
        translate(
            ' ' || coalesce(folded_ru, '') || ' ' || coalesce(folded_en, '') || ' ', '{LETTERS}', '{STAND_INS}'
        ),
        '[^a-z0-9]+', ' ', 'g'
    )
"""
SEARCH_KEY = """
ALTER TABLE catalog_products ADD COLUMN search_key text COLLATE "C" NOT NULL GENERATED ALWAYS AS ({}) STORED
"""
SEARCH_INDEX = "CREATE INDEX catalog_products_search ON catalog_products USING gin (search_key gin_trgm_ops)"

# Numbers with zeros before them, up to 20 digits; as domain/text.py does it, a test holds the two together. Made by the database
# from what code of before writes too.
NATURAL = (
    "regexp_replace(regexp_replace({0}, '([0-9]+)', '0000000000000000000\\1', 'g'), '0*([0-9]{{20,}})', '\\1', 'g')"
)
SORT_TITLES = f"""
ALTER TABLE catalog_products
    ADD COLUMN sort_ru text COLLATE "C" GENERATED ALWAYS AS ({NATURAL.format("folded_ru")}) STORED,
    ADD COLUMN sort_en text COLLATE "C" GENERATED ALWAYS AS ({NATURAL.format("folded_en")}) STORED
"""
SORT_NAMES = f"""
ALTER TABLE user_game_categories
    ADD COLUMN sort_name text COLLATE "C" NOT NULL GENERATED ALWAYS AS ({NATURAL.format("folded_name")}) STORED
"""

BATCH_ROWS = 5_000
# All that is not plain ASCII may fold otherwise than before, and every title may mean more than it spells.
NEXT_TITLES = text("""
SELECT product_id, title_ru, title_en FROM catalog_products WHERE product_id > :after ORDER BY product_id LIMIT :limit
""")
FOLD_TITLES = text("""
UPDATE catalog_products SET folded_ru = :folded_ru, folded_en = :folded_en,
    also_meant_ru = :also_meant_ru, also_meant_en = :also_meant_en
WHERE product_id = :product_id
""")
NEXT_NAMES = text("""
SELECT user_id, id, name FROM user_game_categories
WHERE (user_id, id) > (:after_user, :after) AND octet_length(name) <> char_length(name)
ORDER BY user_id, id LIMIT :limit
""")
FOLD_NAME = text("UPDATE user_game_categories SET folded_name = :folded WHERE user_id = :user_id AND id = :id")
NOBODY = "00000000-0000-0000-0000-000000000000"


def fold_titles() -> None:
    connection, after = op.get_bind(), NOBODY
    while rows := connection.execute(NEXT_TITLES, {"after": after, "limit": BATCH_ROWS}).mappings().all():
        after = rows[-1]["product_id"]
        folds = [{name: row[name] and folded(row[name]) for name in ("title_ru", "title_en")} for row in rows]
        connection.execute(
            FOLD_TITLES,
            [
                {
                    "product_id": row["product_id"],
                    "folded_ru": fold["title_ru"],
                    "folded_en": fold["title_en"],
                    "also_meant_ru": also_meant(fold["title_ru"] or ""),
                    "also_meant_en": also_meant(fold["title_en"] or ""),
                }
                for row, fold in zip(rows, folds, strict=True)
            ],
        )


def fold_names() -> None:
    connection, after = op.get_bind(), {"after_user": NOBODY, "after": NOBODY}
    while rows := connection.execute(NEXT_NAMES, {**after, "limit": BATCH_ROWS}).mappings().all():
        after = {"after_user": rows[-1]["user_id"], "after": rows[-1]["id"]}
        connection.execute(
            FOLD_NAME, [{"folded": folded(row["name"]), "user_id": row["user_id"], "id": row["id"]} for row in rows]
        )


def upgrade() -> None:
    for statement in CLAMP_TIMES:
        op.execute(statement)
    for table in NEWS_TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN event_id text COLLATE \"C\" NOT NULL DEFAULT ''")
    op.execute(PRODUCT_STAMPS)
    op.execute(FILL_PRODUCT_STAMPS)
    op.execute(CATALOG_PRICES)
    op.execute(ACTIVATED_KEYS)
    op.execute(ACTIVATED_KEYS_USER)
    op.execute(FILL_ACTIVATED_KEYS)
    op.execute(ALSO_MEANT)
    op.execute("ALTER TABLE catalog_products DROP COLUMN search_key")
    fold_titles()
    fold_names()
    op.execute(SEARCH_KEY.format(f"{SPELT} || also_meant_ru || also_meant_en"))
    op.execute(SEARCH_INDEX)
    op.execute(SORT_TITLES)
    op.execute(SORT_NAMES)


def downgrade() -> None:
    op.execute("ALTER TABLE user_game_categories DROP COLUMN sort_name")
    op.execute("ALTER TABLE catalog_products DROP COLUMN search_key, DROP COLUMN sort_ru, DROP COLUMN sort_en")
    op.execute("ALTER TABLE catalog_products DROP COLUMN also_meant_ru, DROP COLUMN also_meant_en")
    op.execute(SEARCH_KEY.format(SPELT))
    op.execute(SEARCH_INDEX)
    op.execute("DROP TABLE activated_keys")
    op.execute("DROP TABLE catalog_prices")
    for column in ("title_ru_stamp", "title_en_stamp", "cover_image_url_stamp", "product_type_stamp"):
        op.execute(f"ALTER TABLE catalog_products DROP COLUMN {column}")
    for table in NEWS_TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN event_id")
