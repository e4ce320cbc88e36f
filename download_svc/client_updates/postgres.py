"""Releases of the launcher in PostgreSQL: rows of `client_releases`. A version's numbers make it unique."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    Uuid,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from chassis.postgres.database import Database
from download_svc.client_updates.domain import (
    EVERYBODY_PERMILLE,
    RELEASES_LIMIT,
    Arch,
    Channel,
    ClientRelease,
    ClientVersion,
    Line,
)
from download_svc.schema import NEW_ID, metadata
from download_svc.versions.manifests import Platform

client_releases: Final = Table(
    "client_releases",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=NEW_ID),
    Column("platform", Text),
    Column("arch", Text),
    Column("channel", Text),
    Column("version", Text),
    Column("version_key", Text),
    Column("rollout_permille", Integer),
    Column("minimum_version", Text),
    Column("rollback_from", Text),
    Column("target_sha256", LargeBinary),
    Column("target_size_bytes", BigInteger),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)
_C: Final = client_releases.c


def _key(version: ClientVersion) -> str:
    return ".".join(map(str, version.numbers)) or "0"


def _release_of(row: Row[Any]) -> ClientRelease:
    return ClientRelease(
        id=row.id,
        line=Line(Platform(row.platform), Arch(row.arch), Channel(row.channel)),
        version=ClientVersion(row.version),
        target_sha256=row.target_sha256,
        target_size_bytes=row.target_size_bytes,
        created_at=row.created_at,
        rollout_permille=row.rollout_permille,
        minimum_version=None if row.minimum_version is None else ClientVersion(row.minimum_version),
        rollback_from=None if row.rollback_from is None else ClientVersion(row.rollback_from),
    )


class PostgresReleaseBook:
    """The ReleaseBook."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_line(self, line: Line) -> Sequence[ClientRelease]:
        statement = select(client_releases).where(
            _C.platform == line.platform.value, _C.arch == line.arch.value, _C.channel == line.channel.value
        )
        async with self._database.connect() as connection:
            # Two who add at once may pass the limit by one; what is read stays bounded.
            rows = await connection.execute(statement.order_by(_C.created_at.desc()).limit(2 * RELEASES_LIMIT))
            return [_release_of(row) for row in rows]

    async def find(self, release_id: UUID) -> ClientRelease | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(client_releases).where(_C.id == release_id))).first()
        return None if row is None else _release_of(row)

    async def add(self, release: ClientRelease) -> ClientRelease:
        line = release.line
        values = {
            "id": release.id,
            "platform": line.platform.value,
            "arch": line.arch.value,
            "channel": line.channel.value,
            "version": release.version.text,
            "version_key": _key(release.version),
            "rollout_permille": release.rollout_permille,
            "minimum_version": None if release.minimum_version is None else release.minimum_version.text,
            "target_sha256": release.target_sha256,
            "target_size_bytes": release.target_size_bytes,
            "created_at": release.created_at,
        }
        same = (
            _C.platform == values["platform"],
            _C.arch == values["arch"],
            _C.channel == values["channel"],
            _C.version_key == values["version_key"],
        )
        async with self._database.begin() as transaction:
            await transaction.connection.execute(insert(client_releases).values(values).on_conflict_do_nothing())
            kept = (await transaction.connection.execute(select(client_releases).where(*same))).one()
            await transaction.commit()
        return _release_of(kept)

    async def set_rollout(self, release_id: UUID, permille: int) -> ClientRelease | None:
        return await self._change(release_id, {"rollout_permille": permille})

    async def roll_back(self, to: ClientRelease, halted: Sequence[ClientRelease]) -> ClientRelease | None:
        highest = max((one.version for one in halted), default=to.version)
        values = {"rollout_permille": EVERYBODY_PERMILLE, "rollback_from": highest.text}
        return await self._change(to.id, values, [one.id for one in halted])

    async def _change(
        self, release_id: UUID, values: dict[str, Any], halted: Sequence[UUID] = ()
    ) -> ClientRelease | None:
        table, now = client_releases, func.now()
        async with self._database.begin() as transaction:
            rows = await transaction.connection.execute(
                update(table).where(_C.id == release_id).values(**values, updated_at=now).returning(table)
            )
            row = rows.first()
            if row is not None and halted:
                await transaction.connection.execute(
                    update(table).where(_C.id.in_(halted)).values(rollout_permille=0, updated_at=now)
                )
            await transaction.commit()
        return None if row is None else _release_of(row)
