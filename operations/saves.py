"""`samovar saves check`: compares the bucket of saves with the rows that name its objects. Mounted by launcher.cli.main."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import typer
from pydantic import SecretStr
from sqlalchemy import text

from chassis.errors import DomainError
from chassis.objects.object_store import ObjectInfo, ObjectStore
from chassis.postgres.database import Database, open_database
from chassis.runtime.backends import ObjectSettings
from chassis.settings import load_settings
from depot.terminal import say

NAME: Final = "samovar-saves-check"
BATCH: Final = 500
GRACE: Final = timedelta(days=2)
"""An object that nothing names is let be so long: its row may be about to come, and the sweep still looks for late uploads."""
EXIT_FAILED = 1

_NAMED: Final = text(
    "SELECT s3_object_key FROM savegame_versions "
    "WHERE user_id = ANY(:users) AND s3_object_key = ANY(:keys) AND state <> 'merged' "
    "UNION SELECT s3_object_key FROM savegame_discarded_objects "
    "WHERE user_id = ANY(:users) AND s3_object_key = ANY(:keys)"
)
_VISIBLE: Final = text(
    "SELECT user_id, id, s3_object_key, file_size_bytes FROM savegame_versions "
    "WHERE state IN ('current', 'kept', 'conflict') AND (user_id, id) > (:user_id, :id) "
    "ORDER BY user_id, id LIMIT :limit"
)


class CheckSettings(ObjectSettings):
    """The settings that the check needs."""

    postgres_dsn: SecretStr


@dataclass(slots=True)
class Findings:
    """The counts of compared objects and of mismatches. `removed` of `unnamed` were removed."""

    objects: int = 0
    versions: int = 0
    removed: int = 0
    unnamed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    wrong_size: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.wrong_size or self.removed < len(self.unnamed))


def check(
    *,
    mend: Annotated[bool, typer.Option("--mend", help="Remove objects that nothing names; default: only say.")] = False,
) -> None:
    """Compare the bucket of saves with the database. Only what is older than two days counts as unnamed; a version without its
    object is said and never removed: the object may be brought back from the bucket's older versions or a backup.
    """
    settings = load_settings(CheckSettings)

    async def run() -> Findings:
        dsn = settings.postgres_dsn.get_secret_value()
        async with (
            open_database(dsn, pool_size=1, application_name=NAME) as database,
            settings.open_object_store(settings.s3_bucket_savegames) as store,
        ):
            return await compare(database, store, now=datetime.now(UTC), mend=mend)

    try:
        found = asyncio.run(run())
    except (DomainError, OSError) as error:
        say(f"samovar saves check: the database or the store is unavailable ({error})", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    for word, keys in (("unnamed", found.unnamed), ("missing", found.missing), ("wrong size", found.wrong_size)):
        for key in keys:
            say(f"{word}  {key}")
    say(
        f"{found.objects} objects, {found.versions} versions: {len(found.unnamed)} unnamed ({found.removed} removed), "
        f"{len(found.missing)} missing, {len(found.wrong_size)} of a wrong size"
    )
    if not found.is_clean:
        raise typer.Exit(EXIT_FAILED)


async def compare(database: Database, store: ObjectStore, *, now: datetime, mend: bool) -> Findings:
    """Both directions, a batch at a time.

    Raises:
        DomainError: the database or the store is unavailable.
    """
    found = Findings()
    await _check_objects(database, store, found, now - GRACE, mend=mend)
    await _check_versions(database, store, found)
    return found


async def _check_objects(
    database: Database, store: ObjectStore, found: Findings, before: datetime, *, mend: bool
) -> None:
    async for batch in _batches(store):
        found.objects += len(batch)
        # The rows are read after the objects: what was named meanwhile is found named.
        named = await _named(database, [info.key for info in batch])
        for info in batch:
            if info.key in named or info.modified_at > before:
                continue
            found.unnamed.append(info.key)
            if mend and not await _named(database, [info.key]):
                await store.delete(info.key)
                found.removed += 1


async def _check_versions(database: Database, store: ObjectStore, found: Findings) -> None:
    at = (UUID(int=0), UUID(int=0))
    while True:
        async with database.connect() as connection:
            values = {"user_id": at[0], "id": at[1], "limit": BATCH}
            rows = (await connection.execute(_VISIBLE, values)).all()
        for user_id, version_id, key, size_bytes in rows:
            at = (user_id, version_id)
            found.versions += 1
            info = await store.head(key)
            if info is None:
                # It may have been rotated away since the rows were read.
                if await _named(database, [key]):
                    found.missing.append(key)
            elif info.size_bytes != size_bytes:
                found.wrong_size.append(key)
        if len(rows) < BATCH:
            return


async def _named(database: Database, keys: Sequence[str]) -> set[str]:
    """Those of the keys that a row names. A key has its user in it (contract section 7)."""
    users = [user for user in map(_user_of, keys) if user is not None]
    async with database.connect() as connection:
        rows = await connection.execute(_NAMED, {"users": users, "keys": list(keys)})
        return {row[0] for row in rows}


def _user_of(key: str) -> UUID | None:
    try:
        return UUID(key.split("/")[1])
    except (IndexError, ValueError):
        return None


async def _batches(store: ObjectStore) -> AsyncIterator[Sequence[ObjectInfo]]:
    batch: list[ObjectInfo] = []
    async for info in store.list():
        batch.append(info)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
