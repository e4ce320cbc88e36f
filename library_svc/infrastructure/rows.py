"""Rows ↔ entities: one pair of functions for each table. Used by the PostgreSQL adapters."""

from dataclasses import fields
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Column

from chassis.statements import Row
from library_svc.domain.catalog import Product, folded
from library_svc.domain.categories import Category
from library_svc.domain.entitlements import Grant, Source, SourceKind
from library_svc.domain.game_settings import GameSettings, normalised
from library_svc.domain.ids import ProductId, UserId
from library_svc.domain.installations import Download, DownloadStatus, Installation, Verification
from library_svc.domain.items import AcquisitionType, InstallationStatus, Item
from library_svc.domain.playtime import PlaytimeSession, SessionStatus
from library_svc.domain.sales import Sale, SaleStatus
from library_svc.domain.wishlist import Wish
from library_svc.infrastructure.tables import (
    game_specific_settings,
    playtime_sessions,
    user_library_items,
    wishlist_items,
    wishlist_sales,
)

ITEM_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(user_library_items.c[field.name] for field in fields(Item))
"""The columns of an item are the attributes of the entity."""


def item_row(item: Item) -> dict[str, Any]:
    return {column.name: getattr(item, column.name) for column in ITEM_COLUMNS}


# A page reads twenty: asking by position, and a dictionary instead of the enumeration's constructor, is twice as quick.
_ITEM_NAMES: Final = tuple(column.name for column in ITEM_COLUMNS)
_item_values = itemgetter(*_ITEM_NAMES)
_ACQUISITION_AT, _STATUS_AT = map(_ITEM_NAMES.index, ("acquisition_type", "installation_status"))
_ACQUISITION_TYPES: Final = {kind.value: kind for kind in AcquisitionType}
_STATUSES: Final = {status.value: status for status in InstallationStatus}


def item_of(row: Row) -> Item:
    values = list(_item_values(row))
    values[_ACQUISITION_AT] = _ACQUISITION_TYPES[values[_ACQUISITION_AT]]
    values[_STATUS_AT] = _STATUSES[values[_STATUS_AT]]
    return Item(*values)


def category_row(category: Category) -> dict[str, Any]:
    return {
        "user_id": category.user_id,
        "id": category.id,
        "name": category.name,
        "folded_name": folded(category.name),
        "display_order": category.display_order,
    }


def category_of(row: Row) -> Category:
    return Category(row["id"], row["user_id"], row["name"], row["display_order"])


SESSION_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(
    playtime_sessions.c[field.name] for field in fields(PlaytimeSession)
)
"""The columns of a session of play are the attributes of the entity."""


def session_row(session: PlaytimeSession) -> dict[str, Any]:
    return {column.name: getattr(session, column.name) for column in SESSION_COLUMNS}


def session_of(row: Row) -> PlaytimeSession:
    values = {column.name: row[column.name] for column in SESSION_COLUMNS}
    return PlaytimeSession(**{**values, "status": SessionStatus(values["status"])})


SETTINGS_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(
    game_specific_settings.c[field.name] for field in fields(GameSettings)
)
"""The columns of game settings are the attributes of the entity."""


def settings_row(settings: GameSettings) -> dict[str, Any]:
    return {column.name: getattr(settings, column.name) for column in SETTINGS_COLUMNS}


def settings_of(row: Row) -> GameSettings:
    """The numbers of a payload come back from the database in another form than they went in."""
    values = {column.name: row[column.name] for column in SETTINGS_COLUMNS}
    return GameSettings(**{**values, "settings_payload": normalised(values["settings_payload"])})


WISH_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(wishlist_items.c[field.name] for field in fields(Wish))
"""The columns of a wish are the attributes of the entity."""


def wish_row(wish: Wish) -> dict[str, Any]:
    return {column.name: getattr(wish, column.name) for column in WISH_COLUMNS}


def wish_of(row: Row) -> Wish:
    return Wish(**{column.name: row[column.name] for column in WISH_COLUMNS})


SALE_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(wishlist_sales.c[field.name] for field in fields(Sale))
"""The columns of a sale are the attributes of the entity."""


def sale_row(sale: Sale) -> dict[str, Any]:
    return {column.name: getattr(sale, column.name) for column in SALE_COLUMNS}


def sale_of(row: Row) -> Sale:
    values = {column.name: row[column.name] for column in SALE_COLUMNS}
    return Sale(**{**values, "status": SaleStatus(values["status"])})


def grant_row(grant: Grant) -> dict[str, Any]:
    return {
        "user_id": grant.user_id,
        "product_id": grant.product_id,
        "source": grant.source.kind,
        "source_id": grant.source.id,
        "acquisition_type": grant.source.acquisition_type,
        "granted_at": grant.granted_at,
        "revoked_at": grant.revoked_at,
    }


def grant_of(row: Row) -> Grant:
    return Grant(
        user_id=row["user_id"],
        product_id=row["product_id"],
        source=Source(SourceKind(row["source"]), row["source_id"]),
        granted_at=row["granted_at"],
        revoked_at=row["revoked_at"],
    )


def download_row(user_id: UserId, product_id: ProductId, download: Download) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "download_session_id": download.session_id,
        "product_id": product_id,
        "version_id": download.version_id,
        "status": download.status,
        "changed_at": download.changed_at,
    }


def download_of(row: Row) -> Download:
    return Download(
        session_id=row["download_session_id"],
        version_id=row["version_id"],
        status=DownloadStatus(row["status"]),
        changed_at=row["changed_at"],
    )


def installation_row(user_id: UserId, product_id: ProductId, installation: Installation) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "product_id": product_id,
        "device_id": installation.device_id,
        "version_id": installation.version_id,
        "is_installed": installation.is_installed,
        "changed_at": installation.changed_at,
    }


def installation_of(row: Row) -> Installation:
    return Installation(
        device_id=row["device_id"],
        version_id=row["version_id"],
        is_installed=row["is_installed"],
        changed_at=row["changed_at"],
    )


def verification_row(user_id: UserId, product_id: ProductId, verification: Verification) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "product_id": product_id,
        "device_id": verification.device_id,
        "version_id": verification.version_id,
        "is_damaged": verification.is_damaged,
        "changed_at": verification.changed_at,
    }


def verification_of(row: Row) -> Verification:
    return Verification(
        device_id=row["device_id"],
        version_id=row["version_id"],
        is_damaged=row["is_damaged"],
        changed_at=row["changed_at"],
    )


def product_row(product: Product) -> dict[str, Any]:
    return {
        "product_id": product.product_id,
        "as_of": product.as_of,
        "is_complete": product.is_complete,
        "title_ru": product.title_ru,
        "title_en": product.title_en,
        "folded_ru": folded(product.title_ru) if product.title_ru else None,
        "folded_en": folded(product.title_en) if product.title_en else None,
        "cover_image_url": product.cover_image_url,
        "product_type": product.product_type,
    }


def product_of(row: Row) -> Product | None:
    """The product of a row that may come from an outer join: without a product, `as_of` is null."""
    if row["as_of"] is None:
        return None
    return Product(
        product_id=row["product_id"],
        as_of=row["as_of"],
        is_complete=row["is_complete"],
        title_ru=row["title_ru"],
        title_en=row["title_en"],
        cover_image_url=row["cover_image_url"],
        product_type=row["product_type"],
    )
