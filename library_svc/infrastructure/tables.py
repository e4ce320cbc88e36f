"""The columns of the library's tables, for building statements. Keys, checks and indexes are in migrations/, which made the
tables; a test holds the two together. Source: tables.md, "library".
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    FetchedValue,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.database import shared_tables

metadata: Final = MetaData()

user_library_items: Final = Table(
    "user_library_items",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("acquisition_type", Text, nullable=False),
    Column("shared_from_user_id", Uuid),
    Column("installation_status", Text, nullable=False),
    Column("installed_version_id", Uuid),
    Column("last_played_at", DateTime(timezone=True)),
    Column("total_playtime_seconds", BigInteger, nullable=False),
    Column("is_hidden", Boolean, nullable=False),
    Column("is_favorite", Boolean, nullable=False),
    Column("user_rating", SmallInteger),
    Column("notes", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

entitlements: Final = Table(
    "entitlements",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("acquisition_type", Text, nullable=False),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

user_game_categories: Final = Table(
    "user_game_categories",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("name", Text(collation="C"), nullable=False),
    Column("folded_name", Text(collation="C"), nullable=False),
    Column("display_order", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

user_library_item_to_categories: Final = Table(
    "user_library_item_to_categories",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("library_item_id", Uuid, primary_key=True),
    Column("category_id", Uuid, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

game_specific_settings: Final = Table(
    "game_specific_settings",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("settings_payload", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("last_updated_at", DateTime(timezone=True), nullable=False),
    Column("last_synced_with_cloud_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

wishlist_items: Final = Table(
    "wishlist_items",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("notes", Text),
    Column("notified_on_sale_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

playtime_sessions: Final = Table(
    "playtime_sessions",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("product_id", Uuid, nullable=False),
    Column("start_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True)),
    Column("duration_seconds", BigInteger),
    Column("last_heartbeat_at", DateTime(timezone=True), nullable=False),
    Column("platform", Text),
    Column("device_id", Uuid),
    Column("status", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

user_achievements: Final = Table(
    "user_achievements",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("achievement_meta_id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("is_unlocked", Boolean, nullable=False),
    Column("unlocked_at", DateTime(timezone=True)),
    Column("current_progress", Integer, nullable=False),
    Column("total_progress_needed", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

achievement_notes: Final = Table(
    "achievement_notes",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("achievement_meta_id", Uuid),
)

achievement_stats: Final = Table(
    "achievement_stats",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("achievement_meta_id", Uuid, primary_key=True),
    Column("unlocked_count", BigInteger, nullable=False),
)

product_players: Final = Table(
    "product_players",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("player_count", BigInteger, nullable=False),
)

catalog_achievements: Final = Table(
    "catalog_achievements",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("achievement_meta_id", Uuid, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("total_progress_needed", Integer, nullable=False),
    Column("is_hidden", Boolean, nullable=False),
    Column("name_ru", Text),
    Column("name_en", Text),
    Column("description_ru", Text),
    Column("description_en", Text),
    Column("icon_url_unlocked", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

catalog_achievement_lists: Final = Table(
    "catalog_achievement_lists",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("as_of", DateTime(timezone=True), nullable=False),
)

item_downloads: Final = Table(
    "item_downloads",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("download_session_id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("version_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

item_installations: Final = Table(
    "item_installations",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("device_id", Uuid, primary_key=True),
    Column("version_id", Uuid, nullable=False),
    Column("is_installed", Boolean, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

item_verifications: Final = Table(
    "item_verifications",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("device_id", Uuid, primary_key=True),
    Column("version_id", Uuid, nullable=False),
    Column("is_damaged", Boolean, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

catalog_products: Final = Table(
    "catalog_products",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("is_complete", Boolean, nullable=False),
    Column("title_ru", Text),
    Column("title_en", Text),
    Column("folded_ru", Text(collation="C")),
    Column("folded_en", Text(collation="C")),
    Column("cover_image_url", Text),
    Column("product_type", Text),
    # Made by the database out of the folded titles; a new one has to be asked for (migration 0008).
    Column("search_key", Text(collation="C"), FetchedValue(), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

wishlist_sales: Final = Table(
    "wishlist_sales",
    metadata,
    Column("product_id", Uuid, primary_key=True),
    Column("sale_id", Text, primary_key=True),
    Column("discount_percent", SmallInteger, nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("heard_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("told_until", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

shared: Final = shared_tables(metadata)
