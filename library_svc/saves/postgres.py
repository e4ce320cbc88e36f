"""Cloud saves in PostgreSQL: rows of `savegame_metadata`, `savegame_versions` and `savegame_discarded_objects`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    LargeBinary,
    RowMapping,
    Table,
    Text,
    Uuid,
    and_,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.postgres.database import Database
from library_svc.ids import ProductId, SavegameId, SaveVersionId, UserId
from library_svc.postgres_paging import Columns, read_page
from library_svc.saves.application import SlotPage
from library_svc.saves.domain import (
    DiscardedObject,
    SaveSlot,
    SaveUsage,
    SaveVersion,
    VersionState,
    discarded,
    slot_key,
)
from library_svc.schema import metadata

savegame_metadata: Final = Table(
    "savegame_metadata",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("slot_name", Text, nullable=False),
    Column("slot_key", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("conflict_version", BigInteger),
    Column("last_version", BigInteger, nullable=False),
    Column("s3_object_key", Text),
    Column("file_size_bytes", BigInteger),
    Column("file_hash_sha256", LargeBinary),
    Column("client_modified_at", DateTime(timezone=True)),
    Column("server_uploaded_at", DateTime(timezone=True)),
    Column("comment", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

savegame_versions: Final = Table(
    "savegame_versions",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("savegame_id", Uuid, nullable=False),
    Column("version", BigInteger),
    Column("base_version", BigInteger),
    Column("state", Text, nullable=False),
    Column("is_locked", Boolean, nullable=False),
    Column("s3_object_key", Text, nullable=False),
    Column("file_size_bytes", BigInteger, nullable=False),
    Column("file_hash_sha256", LargeBinary, nullable=False),
    Column("client_modified_at", DateTime(timezone=True), nullable=False),
    Column("server_uploaded_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("device_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

savegame_discarded_objects: Final = Table(
    "savegame_discarded_objects",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("s3_object_key", Text, primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("again_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

_SLOTS: Final = savegame_metadata.c
_VERSIONS: Final = savegame_versions.c
_OURS: Final = ("id", "product_id", "slot_name", "last_version", "comment")


def slot_row(slot: SaveSlot) -> dict[str, Any]:
    current, conflict = slot.current, slot.conflict
    return {
        "user_id": slot.user_id,
        "id": slot.id,
        "product_id": slot.product_id,
        "slot_name": slot.name,
        "slot_key": slot_key(slot.name),
        "version": current.version if current else 0,
        "conflict_version": conflict.version if conflict else None,
        "last_version": slot.last_version,
        "s3_object_key": current.object_key if current else None,
        "file_size_bytes": current.size_bytes if current else None,
        "file_hash_sha256": bytes.fromhex(current.sha256) if current else None,
        "client_modified_at": current.client_modified_at if current else None,
        "server_uploaded_at": current.uploaded_at if current else None,
        "comment": slot.comment,
    }


def save_version_row(slot: SaveSlot, version: SaveVersion) -> dict[str, Any]:
    return {
        "user_id": slot.user_id,
        "id": version.id,
        "savegame_id": slot.id,
        "version": version.version or None,
        "base_version": version.base_version,
        "state": version.state.value,
        "is_locked": version.is_locked,
        "s3_object_key": version.object_key,
        "file_size_bytes": version.size_bytes,
        "file_hash_sha256": bytes.fromhex(version.sha256),
        "client_modified_at": version.client_modified_at,
        "server_uploaded_at": version.uploaded_at,
        "expires_at": version.expires_at,
        "device_id": version.device_id,
    }


def save_version_of(row: RowMapping) -> SaveVersion:
    return SaveVersion(
        id=SaveVersionId(row["id"]),
        object_key=row["s3_object_key"],
        size_bytes=row["file_size_bytes"],
        sha256=row["file_hash_sha256"].hex(),
        client_modified_at=row["client_modified_at"],
        state=VersionState(row["state"]),
        version=row["version"] or 0,
        base_version=row["base_version"],
        device_id=row["device_id"],
        is_locked=row["is_locked"],
        uploaded_at=row["server_uploaded_at"],
        expires_at=row["expires_at"],
    )


def save_slot_of(row: RowMapping, versions: Iterable[SaveVersion]) -> SaveSlot:
    return SaveSlot(
        id=SavegameId(row["id"]),
        user_id=UserId(row["user_id"]),
        product_id=ProductId(row["product_id"]),
        name=row["slot_name"],
        versions=tuple(versions),
        last_version=row["last_version"],
        comment=row["comment"],
    )


class PostgresSaves:
    """The Saves of a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, user_id: UserId, savegame_id: SavegameId) -> SaveSlot | None:
        return await self._one(_SLOTS.user_id == user_id, _SLOTS.id == savegame_id)

    async def named(self, user_id: UserId, product_id: ProductId, name: str) -> SaveSlot | None:
        return await self._one(
            _SLOTS.user_id == user_id, _SLOTS.product_id == product_id, _SLOTS.slot_key == slot_key(name)
        )

    async def of_upload(self, user_id: UserId, upload_id: SaveVersionId) -> SaveSlot | None:
        of = select(_VERSIONS.savegame_id).where(_VERSIONS.user_id == user_id, _VERSIONS.id == upload_id)
        return await self._one(_SLOTS.user_id == user_id, _SLOTS.id == of.scalar_subquery())

    async def save(self, before: SaveSlot | None, after: SaveSlot | None, *, now: datetime) -> None:
        old = {each.id: each for each in before.versions} if before else {}
        new = {each.id: each for each in after.versions} if after else {}
        if after is None:
            assert before is not None  # noqa: S101  there is something to save
            await self._connection.execute(
                delete(savegame_metadata).where(_SLOTS.user_id == before.user_id, _SLOTS.id == before.id)
            )
        else:
            if gone := old.keys() - new.keys():
                await self._connection.execute(
                    delete(savegame_versions).where(_VERSIONS.user_id == after.user_id, _VERSIONS.id.in_(gone))
                )
            await self._put(savegame_metadata, [slot_row(after)])
            # What stops being current goes first: a slot never has two, not even within a statement.
            rows = [save_version_row(after, each) for each in new.values() if old.get(each.id) != each]
            await self._put(savegame_versions, [row for row in rows if row["state"] != VersionState.CURRENT])
            await self._put(savegame_versions, [row for row in rows if row["state"] == VersionState.CURRENT])
        await self._discard(before, after, now)

    async def usage(self, user_id: UserId) -> SaveUsage:
        return _usage((await self._connection.execute(_usage_of(user_id))).one())

    async def expired(self, before: datetime, *, limit: int) -> Sequence[SaveSlot]:
        ended = (
            select(_VERSIONS.user_id, _VERSIONS.savegame_id)
            .where(_VERSIONS.expires_at < before)
            .limit(limit)
            .distinct()
        )
        found = await self._connection.execute(
            select(savegame_metadata)
            .where(tuple_(_SLOTS.user_id, _SLOTS.id).in_(ended))
            .with_for_update(skip_locked=True)
        )
        return await self._with_versions(found.mappings().all())

    async def due(self, now: datetime, *, limit: int) -> Sequence[DiscardedObject]:
        columns = savegame_discarded_objects.c
        found = await self._connection.execute(
            select(savegame_discarded_objects).where(columns.due_at <= now).order_by(columns.due_at).limit(limit)
        )
        return [
            DiscardedObject(UserId(row["user_id"]), row["s3_object_key"], row["due_at"], row["again_at"])
            for row in found.mappings()
        ]

    async def is_named(self, user_id: UserId, object_key: str) -> bool:
        statement = select(_VERSIONS.id).where(
            _VERSIONS.user_id == user_id, _VERSIONS.s3_object_key == object_key, _VERSIONS.state != VersionState.MERGED
        )
        return (await self._connection.execute(statement.limit(1))).first() is not None

    async def postpone(self, discarded: DiscardedObject) -> None:
        columns = savegame_discarded_objects.c
        which = and_(columns.user_id == discarded.user_id, columns.s3_object_key == discarded.object_key)
        if discarded.again_at is None:
            await self._connection.execute(delete(savegame_discarded_objects).where(which))
        else:
            await self._connection.execute(
                update(savegame_discarded_objects).where(which).values(due_at=discarded.again_at, again_at=None)
            )

    async def _one(self, *conditions: ColumnElement[bool]) -> SaveSlot | None:
        found = await self._connection.execute(select(savegame_metadata).where(*conditions).with_for_update())
        slots = await self._with_versions(found.mappings().all())
        return slots[0] if slots else None

    async def _with_versions(self, rows: Sequence[RowMapping]) -> Sequence[SaveSlot]:
        if not rows:
            return []
        keys = [(row["user_id"], row["id"]) for row in rows]
        found = await self._connection.execute(
            select(savegame_versions).where(tuple_(_VERSIONS.user_id, _VERSIONS.savegame_id).in_(keys))
        )
        versions: dict[UUID, list[SaveVersion]] = {}
        for row in found.mappings():
            versions.setdefault(row["savegame_id"], []).append(save_version_of(row))
        return [save_slot_of(row, versions.get(row["id"], ())) for row in rows]

    async def _put(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            statement = upsert(table).values(rows)
            values = {name: statement.excluded[name] for name in rows[0] if name not in {"user_id", "id"}}
            await self._connection.execute(
                statement.on_conflict_do_update(
                    index_elements=("user_id", "id"), set_={**values, "updated_at": func.now()}
                )
            )

    async def _discard(self, before: SaveSlot | None, after: SaveSlot | None, now: datetime) -> None:
        gone = discarded(before, after, is_named=lambda _: False, now=now)
        # Restored versions and slots of resolved conflicts share their objects.
        rows = [
            {
                "user_id": each.user_id,
                "s3_object_key": each.object_key,
                "due_at": each.due_at,
                "again_at": each.again_at,
            }
            for each in gone
            if not await self.is_named(each.user_id, each.object_key)
        ]
        if rows:
            statement = upsert(savegame_discarded_objects).values(rows)
            await self._connection.execute(statement.on_conflict_do_nothing())


class PostgresSaveReader:
    """The SaveReader over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_slots(self, user_id: UserId, product_id: ProductId | None, *, page: int, limit: int) -> SlotPage:
        slots, current, conflict = (
            savegame_metadata,
            savegame_versions.alias("current"),
            savegame_versions.alias("other"),
        )
        found = (
            select(
                *(slots.c[name] for name in ("user_id", *_OURS)),
                slots.c.server_uploaded_at.label("synced_at"),
                *(current.c[name].label(f"current_{name}") for name in _VERSION_NAMES),
                *(conflict.c[name].label(f"conflict_{name}") for name in _VERSION_NAMES),
            )
            .select_from(
                slots.join(current, _is_version_of(current, slots.c.version)).outerjoin(
                    conflict, _is_version_of(conflict, slots.c.conflict_version)
                )
            )
            .where(slots.c.user_id == user_id)
        )
        if product_id is not None:
            found = found.where(slots.c.product_id == product_id)
        rows, total = await read_page(self._database, found, _newest_first, page=page, limit=limit)
        return SlotPage([_listed(row) for row in rows], total)

    async def get_slot(self, user_id: UserId, savegame_id: SavegameId) -> SaveSlot | None:
        slots, versions = savegame_metadata, savegame_versions
        statement = (
            select(
                *(slots.c[name] for name in ("user_id", *_OURS)),
                *(versions.c[name].label(f"version_{name}") for name in _VERSION_NAMES),
            )
            .select_from(
                slots.join(versions, and_(versions.c.user_id == slots.c.user_id, versions.c.savegame_id == slots.c.id))
            )
            .where(slots.c.user_id == user_id, slots.c.id == savegame_id, slots.c.version > 0)
        )
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return save_slot_of(rows[0], [_prefixed(row, "version_") for row in rows]) if rows else None

    async def usage(self, user_id: UserId) -> SaveUsage:
        async with self._database.connect() as connection:
            return _usage((await connection.execute(_usage_of(user_id))).one())


_VERSION_NAMES: Final = (
    "id", "s3_object_key", "file_size_bytes", "file_hash_sha256", "client_modified_at", "state", "version", "base_version",
    "device_id", "is_locked", "server_uploaded_at", "expires_at",
)  # fmt: skip


def _is_version_of(versions: Any, number: Any) -> ColumnElement[bool]:
    return and_(
        versions.c.user_id == savegame_metadata.c.user_id,
        versions.c.savegame_id == savegame_metadata.c.id,
        versions.c.version == number,
    )


def _newest_first(columns: Columns) -> Sequence[ColumnElement[Any]]:
    return columns.synced_at.desc(), columns.id.asc()


def _listed(row: RowMapping) -> SaveSlot:
    versions = [_prefixed(row, prefix) for prefix in ("current_", "conflict_") if row[f"{prefix}id"] is not None]
    return save_slot_of(row, versions)


def _prefixed(row: RowMapping, prefix: str) -> SaveVersion:
    return save_version_of({name: row[f"{prefix}{name}"] for name in _VERSION_NAMES})  # type: ignore[arg-type]


def _usage_of(user_id: UserId) -> Any:
    pending = _VERSIONS.state == VersionState.PENDING
    kept = or_(*(_VERSIONS.state == each for each in (VersionState.CURRENT, VersionState.KEPT, VersionState.CONFLICT)))
    return select(
        func.coalesce(func.sum(_VERSIONS.file_size_bytes).filter(kept), 0).cast(BigInteger),
        func.coalesce(func.sum(_VERSIONS.file_size_bytes).filter(pending), 0).cast(BigInteger),
    ).where(_VERSIONS.user_id == user_id)


def _usage(row: Any) -> SaveUsage:
    return SaveUsage(used_bytes=row[0], reserved_bytes=row[1])
