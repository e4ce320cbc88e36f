"""The Catalog stand-in: products, versions, achievements, sales, in the sandbox's own database. Called by sandbox.peers.servicers.

Rows go in and out as the messages of catalog.v1: there are no rules in between that a shape of their own would serve.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from catalog.v1 import events_pb2, product_pb2
from content.v1 import manifest_pb2 as content
from samovar.sandbox.v1 import sandbox_pb2
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.cloudevents.events import new_event
from chassis.errors import DomainError, FieldViolation, Kind
from chassis.postgres.database import Database, Transaction

DEFAULT_CHANNEL = "stable"
DEFAULT_PRODUCT_TYPE = "game"
DEFAULT_CURRENCY = "RUB"
PRODUCT_TYPES = ("game", "dlc", "application")
PLATFORM_NAMES: Mapping[int, str] = {
    content.PLATFORM_WINDOWS: "windows",
    content.PLATFORM_LINUX: "linux",
    content.PLATFORM_MACOS: "macos",
}
_PLATFORMS = {name: content.Platform.Name(number) for number, name in PLATFORM_NAMES.items()}

_TEXT_COLUMNS = ("title_ru", "title_en", "cover_image_url", "product_type", "price_minor_units", "currency")

_PRODUCTS = text("""
SELECT id, title_ru, title_en, cover_image_url, product_type, price_minor_units, currency
FROM products WHERE CAST(:ids AS uuid[]) IS NULL OR id = ANY(:ids) ORDER BY id
""")
_VERSIONS = text("""
SELECT product_id, id, name, platform, released_at, total_size_bytes, withdrawn_at
FROM versions WHERE product_id = ANY(:ids) ORDER BY released_at DESC, id
""")
_ACHIEVEMENTS = text("SELECT * FROM achievements WHERE product_id = :product_id ORDER BY ordinal")
_PRODUCT_FOR_UPDATE = text("SELECT * FROM products WHERE id = :id FOR UPDATE")
_PUT_PRODUCT = text("""
INSERT INTO products (id, title_ru, title_en, cover_image_url, product_type, price_minor_units, currency, created_at, updated_at)
VALUES (:id, :title_ru, :title_en, :cover_image_url, :product_type, :price_minor_units, :currency, :now, :now)
ON CONFLICT (id) DO UPDATE SET title_ru = excluded.title_ru, title_en = excluded.title_en,
    cover_image_url = excluded.cover_image_url, product_type = excluded.product_type,
    price_minor_units = excluded.price_minor_units, currency = excluded.currency, updated_at = excluded.updated_at
""")
_FORGET_ACHIEVEMENTS = text("DELETE FROM achievements WHERE product_id = :product_id")
_PUT_ACHIEVEMENT = text("""
INSERT INTO achievements (product_id, id, ordinal, name_ru, name_en, description_ru, description_en, icon_url_unlocked,
    total_progress_needed, is_hidden)
VALUES (:product_id, :id, :ordinal, :name_ru, :name_en, :description_ru, :description_en, :icon_url_unlocked,
    :total_progress_needed, :is_hidden)
""")
_VERSION_FOR_UPDATE = text("SELECT * FROM versions WHERE product_id = :product_id AND id = :id FOR UPDATE")
_PUT_VERSION = text("""
INSERT INTO versions (product_id, id, name, platform, channel, released_at, total_size_bytes, is_critical, file_manifest_url)
VALUES (:product_id, :id, :name, :platform, :channel, :released_at, :total_size_bytes, :is_critical, :file_manifest_url)
ON CONFLICT (product_id, id) DO UPDATE SET name = excluded.name, platform = excluded.platform, channel = excluded.channel,
    total_size_bytes = excluded.total_size_bytes, is_critical = excluded.is_critical,
    file_manifest_url = excluded.file_manifest_url
""")
_WITHDRAW_VERSIONS = text("""
UPDATE versions SET withdrawn_at = coalesce(withdrawn_at, :now)
WHERE product_id = :product_id AND (CAST(id AS text) = lower(:version) OR name = :version)
RETURNING id, withdrawn_at = :now AS is_new
""")
_PUT_SALE = text("""
INSERT INTO sales (id, product_id, discount_percent, started_at, ends_at)
VALUES (:id, :product_id, :discount_percent, :started_at, :ends_at)
""")


class Catalog:
    """Reads see what is committed; each change is one transaction with its event."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def products(self, ids: Sequence[UUID] | None = None) -> Sequence[product_pb2.Product]:
        """Those of the ids that exist, or all, with their versions, in order of their ids."""
        async with self._database.connect() as connection:
            rows = (await connection.execute(_PRODUCTS, {"ids": ids})).mappings().all()
            products = {row["id"]: _product(row) for row in rows}
            versions = await connection.execute(_VERSIONS, {"ids": list(products)})
            for row in versions.mappings():
                products[row["product_id"]].versions.append(_version(row))
        return list(products.values())

    async def product(self, product_id: UUID) -> product_pb2.Product:
        """One product.

        Raises:
            DomainError: PRODUCT_NOT_FOUND.
        """
        found = await self.products([product_id])
        if not found:
            raise product_not_found(product_id)
        return found[0]

    async def has_version(self, product_id: UUID, version_id: UUID) -> bool:
        """The version was announced."""
        product = await self.product(product_id)
        return any(version.version_id == str(version_id) for version in product.versions)

    async def achievements(self, product_id: UUID) -> Sequence[product_pb2.Achievement]:
        """The product's achievements in the publisher's order.

        Raises:
            DomainError: PRODUCT_NOT_FOUND.
        """
        await self.product(product_id)
        async with self._database.connect() as connection:
            rows = await connection.execute(_ACHIEVEMENTS, {"product_id": product_id})
            return [_achievement(row) for row in rows.mappings()]

    async def put_product(
        self, wanted: product_pb2.Product, achievements: Sequence[product_pb2.Achievement] = ()
    ) -> None:
        """Creates the product or changes it; what is empty in `wanted` stays as it is. Tells of it if anything changed.

        Raises:
            DomainError: VALIDATION_ERROR.
        """
        product_id = _valid_product(wanted)
        async with self._database.begin() as tx:
            row = (await tx.connection.execute(_PRODUCT_FOR_UPDATE, {"id": product_id})).mappings().one_or_none()
            before = {name: row[name] for name in _TEXT_COLUMNS} if row else {}
            after = _merged(wanted, before)
            changed = [name for name in _TEXT_COLUMNS if before.get(name) != after[name]]
            if changed:
                await tx.connection.execute(_PUT_PRODUCT, {"id": product_id, "now": self._now(), **after})
                tx.record(new_event(_updated(product_id, changed, after), now=self._now()))
            if achievements:
                await _replace_achievements(tx.connection, product_id, achievements)
            await tx.commit()

    async def announce_version(self, version: sandbox_pb2.AnnounceVersionRequest) -> None:
        """The version can be downloaded from now on. Announcing it again unchanged publishes nothing.

        Raises:
            DomainError: PRODUCT_NOT_FOUND; VALIDATION_ERROR for a version without a platform; VERSION_NOT_AVAILABLE for one that
                was withdrawn.
        """
        if version.platform not in PLATFORM_NAMES:
            raise invalid("platform", "a version needs a platform")
        product_id, version_id = UUID(version.product_id), UUID(version.version_id)
        after = {
            "name": version.version_name,
            "platform": PLATFORM_NAMES[version.platform],
            "channel": version.channel or DEFAULT_CHANNEL,
            "total_size_bytes": version.total_size_bytes,
            "is_critical": version.is_critical,
            "file_manifest_url": version.file_manifest_url,
        }
        keys = {"product_id": product_id, "id": version_id}
        async with self._database.begin() as tx:
            await _need_product(tx, product_id)
            row = (await tx.connection.execute(_VERSION_FOR_UPDATE, keys)).mappings().one_or_none()
            if row is not None and row["withdrawn_at"] is not None:
                raise DomainError(
                    Kind.FAILED_PRECONDITION, "VERSION_NOT_AVAILABLE", details={"version_id": str(version_id)}
                )
            if row is not None and all(row[name] == value for name, value in after.items()):
                return
            released_at = row["released_at"] if row else self._now()
            await tx.connection.execute(_PUT_VERSION, {**keys, **after, "released_at": released_at})
            tx.record(new_event(_published(version, released_at), now=self._now()))
            await tx.commit()

    async def withdraw_version(self, product_id: UUID, version: str) -> Sequence[UUID]:
        """Nobody can download the version from now on: the one with this id, or all of this name. Repeating it publishes nothing.

        Raises:
            DomainError: PRODUCT_NOT_FOUND, VERSION_NOT_FOUND.
        """
        now = self._now()
        async with self._database.begin() as tx:
            await _need_product(tx, product_id)
            wanted = {"product_id": product_id, "version": version, "now": now}
            rows = (await tx.connection.execute(_WITHDRAW_VERSIONS, wanted)).all()
            if not rows:
                details = {"product_id": str(product_id), "version": version}
                raise DomainError(Kind.NOT_FOUND, "VERSION_NOT_FOUND", details=details)
            for row in rows:
                if row.is_new:
                    event = events_pb2.VersionWithdrawn(
                        product_id=str(product_id), version_id=str(row.id), withdrawn_at=now
                    )
                    tx.record(new_event(event, now=now))
            await tx.commit()
        return [row.id for row in rows]

    async def set_price(self, product_id: UUID, *, discount_percent: int, life: timedelta) -> UUID:
        """Starts a sale, or with no discount ends it. Returns the sale's id.

        Raises:
            DomainError: PRODUCT_NOT_FOUND.
        """
        sale_id, now = uuid4(), self._now()
        sale = {"id": sale_id, "product_id": product_id, "discount_percent": discount_percent}
        async with self._database.begin() as tx:
            await _need_product(tx, product_id)
            await tx.connection.execute(_PUT_SALE, {**sale, "started_at": now, "ends_at": now + life})
            event = events_pb2.PriceUpdated(
                product_id=str(product_id), discount_percent=discount_percent, sale_id=str(sale_id), ends_at=now + life
            )
            tx.record(new_event(event, now=now))
            await tx.commit()
        return sale_id


def product_not_found(product_id: UUID) -> DomainError:
    return DomainError(Kind.NOT_FOUND, "PRODUCT_NOT_FOUND", details={"product_id": str(product_id)})


def invalid(field: str, description: str) -> DomainError:
    violation = FieldViolation(field, description)
    return DomainError(
        Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", details={"description": description}, violations=[violation]
    )


async def _need_product(tx: Transaction, product_id: UUID) -> None:
    # The lock keeps two announcements of one version apart: the second sees what the first wrote.
    row = (await tx.connection.execute(_PRODUCT_FOR_UPDATE, {"id": product_id})).one_or_none()
    if row is None:
        raise product_not_found(product_id)


async def _replace_achievements(
    connection: AsyncConnection, product_id: UUID, achievements: Sequence[product_pb2.Achievement]
) -> None:
    await connection.execute(_FORGET_ACHIEVEMENTS, {"product_id": product_id})
    rows = [
        {
            "product_id": product_id,
            "id": uuid_of("achievements.achievement_meta_id", one.achievement_meta_id),
            "ordinal": ordinal,
            "name_ru": one.names.ru,
            "name_en": one.names.en,
            "description_ru": one.descriptions.ru,
            "description_en": one.descriptions.en,
            "icon_url_unlocked": one.icon_url_unlocked,
            "total_progress_needed": max(1, one.total_progress_needed),
            "is_hidden": one.is_hidden,
        }
        for ordinal, one in enumerate(achievements)
    ]
    await connection.execute(_PUT_ACHIEVEMENT, rows)


def uuid_of(field: str, value: str) -> UUID:
    """Reads an id that the proto does not check.

    Raises:
        DomainError: VALIDATION_ERROR.
    """
    try:
        return UUID(value)
    except ValueError:
        raise invalid(field, "must be a UUID") from None


def _valid_product(wanted: product_pb2.Product) -> UUID:
    product_id = uuid_of("product.product_id", wanted.product_id)
    if wanted.product_type and wanted.product_type not in PRODUCT_TYPES:
        raise invalid("product.product_type", f"must be one of {', '.join(PRODUCT_TYPES)}")
    if wanted.price_minor_units < 0:
        raise invalid("product.price_minor_units", "must not be negative")
    if wanted.currency and not (len(wanted.currency) == 3 and wanted.currency.isascii() and wanted.currency.isupper()):
        raise invalid("product.currency", "must be a code of ISO 4217")
    return product_id


def _merged(wanted: product_pb2.Product, before: Mapping[str, Any]) -> dict[str, Any]:
    given = {
        "title_ru": wanted.titles.ru,
        "title_en": wanted.titles.en,
        "cover_image_url": wanted.cover_image_url,
        "product_type": wanted.product_type,
        "price_minor_units": wanted.price_minor_units,
        "currency": wanted.currency,
    }
    any_title = wanted.titles.ru or wanted.titles.en or wanted.product_id
    defaults = {
        "title_ru": any_title,
        "title_en": any_title,
        "product_type": DEFAULT_PRODUCT_TYPE,
        "currency": DEFAULT_CURRENCY,
        **before,
    }
    return {name: value or defaults.get(name, value) for name, value in given.items()}


def _updated(product_id: UUID, changed: Sequence[str], after: Mapping[str, Any]) -> events_pb2.ProductUpdated:
    return events_pb2.ProductUpdated(
        product_id=str(product_id),
        updated_fields=changed,
        new_title=after["title_ru"],
        new_cover_image_url=after["cover_image_url"],
        titles=product_pb2.LocalizedText(ru=after["title_ru"], en=after["title_en"]),
    )


def _published(version: sandbox_pb2.AnnounceVersionRequest, released_at: datetime) -> events_pb2.VersionPublished:
    return events_pb2.VersionPublished(
        product_id=version.product_id,
        version_id=version.version_id,
        version_name=version.version_name,
        platform=version.platform,
        release_date=released_at,
        file_manifest_url=version.file_manifest_url,
        total_size_bytes=version.total_size_bytes,
        is_critical=version.is_critical,
        channel=version.channel or None,
    )


def _product(row: RowMapping) -> product_pb2.Product:
    return product_pb2.Product(
        product_id=str(row["id"]),
        titles=product_pb2.LocalizedText(ru=row["title_ru"], en=row["title_en"]),
        cover_image_url=row["cover_image_url"],
        product_type=row["product_type"],
        price_minor_units=row["price_minor_units"],
        currency=row["currency"],
    )


def _version(row: RowMapping) -> product_pb2.ProductVersion:
    return product_pb2.ProductVersion(
        version_id=str(row["id"]),
        version_name=row["name"],
        platform=_PLATFORMS[row["platform"]],
        release_date=row["released_at"],
        total_size_bytes=row["total_size_bytes"],
        is_withdrawn=row["withdrawn_at"] is not None,
    )


def _achievement(row: RowMapping) -> product_pb2.Achievement:
    return product_pb2.Achievement(
        achievement_meta_id=str(row["id"]),
        names=product_pb2.LocalizedText(ru=row["name_ru"], en=row["name_en"]),
        descriptions=product_pb2.LocalizedText(ru=row["description_ru"], en=row["description_en"]),
        icon_url_unlocked=row["icon_url_unlocked"],
        total_progress_needed=row["total_progress_needed"],
        is_hidden=row["is_hidden"],
    )
