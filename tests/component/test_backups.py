"""`samovar backup` and `samovar restore` on servers that are lost: what was committed before a backup comes back whole and together
with its events, into a fresh server; what is damaged, cut, exchanged or half made is refused in words.
"""

import asyncio
import base64
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from chassis.objects.directory_store import DirectoryStore
from chassis.postgres.database import open_database
from library_svc.entitlements.application import grant
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import ProductId, UserId
from library_svc.main import migrate
from library_svc.postgres import PostgresLibrary
from library_svc.settings import MigrateSettings
from operations import backups
from operations.backup_commands import app, report
from operations.backups import Archive, Backup, BackupError, Keys, back_up, check, parse_keys, restore
from tests.conftest import postgres_server
from tests.fakes.library.access import MemoryAccessCache

NewDatabase = Callable[[str], Awaitable[str]]

KEPT = timedelta(days=30)
WRITERS = 4
BEFORE, AFTER = 60, 30
"""Purchases that are waited for before the backup and while it is made, or after."""


def a_key(number: int = 1) -> str:
    return f"{number}:{base64.b64encode(bytes([number]) * 32).decode()}"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "objects", "http://127.0.0.1:1", "x" * 16)


@pytest.fixture
def archive(store: DirectoryStore) -> Archive:
    return Archive(store, "library", parse_keys(a_key()))


@pytest.fixture
async def filled(new_database: NewDatabase) -> str:
    dsn = await new_database("backups")
    await execute(
        dsn,
        "CREATE TABLE things (id int PRIMARY KEY, name text)",
        "INSERT INTO things SELECT n, md5(n::text) FROM generate_series(1, 5000) n",
    )
    return dsn


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for one in statements:
            await connection.execute(one)
    finally:
        await connection.close()


async def rows(dsn: str, statement: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {str(row[0]) for row in await connection.fetch(statement)}
    finally:
        await connection.close()


@dataclass
class Buyers:
    """Buy without end; remember what was acknowledged, and when."""

    dsn: str
    acknowledged: dict[str, datetime]

    async def run(self) -> None:
        async with open_database(self.dsn, pool_size=WRITERS, application_name="buyers") as database:
            library = PostgresLibrary(database, consumer="library-service")

            async def buy() -> None:
                while True:
                    user, source = UserId(uuid.uuid4()), Source(SourceKind.ORDER, uuid.uuid4().hex)
                    await grant(
                        library.begin,
                        MemoryAccessCache(),
                        event_id=None,
                        user_id=user,
                        product_ids=[ProductId(uuid.uuid4())],
                        source=source,
                        at=datetime.now(UTC),
                    )
                    self.acknowledged[str(user)] = datetime.now(UTC)

            await asyncio.gather(*(buy() for _ in range(WRITERS)))

    async def until(self, count: int) -> None:
        goal = len(self.acknowledged) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged) < goal:
                await asyncio.sleep(0.01)


async def test_a_server_that_is_lost_under_writes_comes_back_with_all_from_before_the_backup(
    archive: Archive, record_property: Callable[[str, object], None]
):
    with postgres_server() as lost:
        dsn = lost.rsplit("/", 1)[0] + "/library"
        await migrate(MigrateSettings(postgres_dsn=dsn))  # type: ignore[arg-type]
        buyers = Buyers(dsn, {})
        buying = asyncio.create_task(buyers.run())
        await buyers.until(BEFORE)
        began = datetime.now(UTC)
        made = await back_up(archive, dsn, kept=KEPT)
        await buyers.until(AFTER)
        buying.cancel()
        await asyncio.wait([buying])
        last = max(buyers.acknowledged.values())
    # The server and its folder are gone.
    disaster = time.monotonic()
    with postgres_server() as fresh:
        dsn = fresh.rsplit("/", 1)[0] + "/library"
        await restore(archive, await archive.find(), dsn)
        await migrate(MigrateSettings(postgres_dsn=dsn))  # type: ignore[arg-type]
        recovery_seconds = time.monotonic() - disaster
        owners = await rows(dsn, "SELECT user_id FROM user_library_items")
        assert {user for user, at in buyers.acknowledged.items() if at < began} <= owners
        # An item is there with its grant and its event, or not at all.
        assert owners == await rows(dsn, "SELECT user_id FROM entitlements")
        assert owners == await rows(dsn, "SELECT partition_key FROM outbox")
        assert len(owners) < len(buyers.acknowledged), "the backup is of a moment, not of the end"
        again = Buyers(dsn, {})
        buying = asyncio.create_task(again.run())
        await again.until(1)
        buying.cancel()
        await asyncio.wait([buying])
    lost_seconds = (last - made.started_at).total_seconds()
    print(
        f"\nRTO {recovery_seconds:.1f} s, RPO {lost_seconds:.1f} s: {len(owners)} of {len(buyers.acknowledged)} purchases"
    )
    record_property("rto_seconds", recovery_seconds)


async def test_a_backup_is_sealed_and_comes_back_the_same(
    filled: str, archive: Archive, new_database: NewDatabase, tmp_path: Path
):
    made = await back_up(archive, filled, kept=KEPT)
    await check(archive, made)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("0*") if path.is_file())
    assert b"PGDMP" not in stored
    assert len(stored) == made.size_bytes
    target = await new_database("restored")
    await restore(archive, await archive.find(), target)
    everything = "SELECT id || name FROM things"
    assert await rows(target, everything) == await rows(filled, everything)


async def test_parts_are_bounded_and_bound_to_their_place(
    filled: str, archive: Archive, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backups, "PART_BYTES", 10_000)
    made = await back_up(archive, filled, kept=KEPT)
    assert made.parts > 3
    await check(archive, made)
    first, second = (f"backups/library/{made.id}/{number:06d}" for number in (0, 1))
    one, two = await store.get(first), await store.get(second)
    for broken, error in (
        ({first: two, second: one}, "damaged"),
        ({first: one[:-1]}, "damaged"),
        ({first: b""}, "damaged"),
        ({first: bytes([one[0] ^ 1]) + one[1:]}, "damaged"),
    ):
        for key, content in broken.items():
            await store.put(key, content)
        with pytest.raises(BackupError, match=error):
            await check(archive, made)
        await store.put(first, one)
        await store.put(second, two)
    with pytest.raises(BackupError, match="damaged"):
        await check(archive, replace(made, parts=made.parts - 1))  # cut off
    await store.delete(second)
    with pytest.raises(BackupError, match="part 1 of backup"):
        await check(archive, made)


async def test_a_dump_that_fails_is_not_listed_and_leaves_nothing(
    filled: str, archive: Archive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    good = await back_up(archive, filled, kept=KEPT)
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\nhead -c 100000 /dev/zero\necho 'the disk is gone' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(backups, "find_program", lambda _: program)
    monkeypatch.setattr(backups, "PART_BYTES", 10_000)
    with pytest.raises(BackupError, match="pg_dump failed: the disk is gone"):
        await back_up(archive, filled, kept=KEPT)
    assert [one.id for one in await archive.list()] == [good.id]
    assert {path.parent.name for path in tmp_path.rglob("0*") if path.is_file()} == {good.id}


async def test_a_database_that_holds_tables_is_left_alone(filled: str, archive: Archive):
    await back_up(archive, filled, kept=KEPT)
    with pytest.raises(BackupError, match="holds 1 tables"):
        await restore(archive, await archive.find(), filled)


async def test_a_restore_that_is_cut_leaves_an_empty_database(
    filled: str, archive: Archive, store: DirectoryStore, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backups, "PART_BYTES", 10_000)
    made = await back_up(archive, filled, kept=KEPT)
    await store.delete(f"backups/library/{made.id}/{made.parts - 1:06d}")
    target = await new_database("cut")
    with pytest.raises(BackupError, match="is missing"):
        await restore(archive, made, target)
    assert await rows(target, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == set()


async def test_two_at_once_take_turns_and_old_ones_go(filled: str, archive: Archive, tmp_path: Path):
    results = await asyncio.gather(*(back_up(archive, filled, kept=KEPT) for _ in range(3)), return_exceptions=True)
    made = [one for one in results if isinstance(one, Backup)]
    assert made
    assert all("under way" in str(one) for one in results if not isinstance(one, Backup))
    await back_up(archive, filled, kept=timedelta(0))
    (kept,) = await archive.list()
    assert kept.id not in {one.id for one in made}
    assert {path.parent.name for path in tmp_path.rglob("0*") if path.is_file()} == {kept.id}


async def test_a_moment_chooses_the_newest_backup_from_before_it(filled: str, archive: Archive):
    first = await back_up(archive, filled, kept=KEPT)
    second = await back_up(archive, filled, kept=KEPT)
    assert await archive.find() == second
    assert await archive.find(first.started_at) == first
    with pytest.raises(BackupError, match="no backup of library from before"):
        await archive.find(first.started_at - timedelta(seconds=1))


async def test_keys_are_renewed_while_old_backups_can_be_read(filled: str, store: DirectoryStore):
    old = await back_up(Archive(store, "library", parse_keys(a_key(1))), filled, kept=KEPT)
    both = Archive(store, "library", parse_keys(f"{a_key(2)},{a_key(1)}"))
    new = await back_up(both, filled, kept=KEPT)
    assert (old.key_id, new.key_id) == ("1", "2")
    await check(both, old)
    await check(both, new)
    with pytest.raises(BackupError, match="sealed with key 1"):
        await check(Archive(store, "library", parse_keys(a_key(2))), old)
    impostor = Keys({"2": bytes(32)}, "2")
    with pytest.raises(BackupError, match="damaged, or another key"):
        await check(Archive(store, "library", impostor), new)


async def test_the_watcher_tells_age_and_size(filled: str, archive: Archive):
    made = await back_up(archive, filled, kept=KEPT)
    await report(archive)
    told = REGISTRY.get_sample_value("backup_last_success_timestamp_seconds", {"name": "library"})
    assert told == pytest.approx(made.finished_at.timestamp())
    assert REGISTRY.get_sample_value("backup_last_size_bytes", {"name": "library"}) == made.size_bytes


def test_the_commands_make_list_check_and_say_what_is_missing(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    values = {
        "OBJECTS_BACKEND": "directory",
        "OBJECTS_DIRECTORY": str(tmp_path / "objects"),
        "OBJECTS_BASE_URL": "http://127.0.0.1:1",
        "OBJECTS_SIGNING_KEY": "x" * 16,
        "POSTGRES_DSN": postgres_url,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()
    assert "BACKUP_KEYS: Field required" in runner.invoke(app, ["list", "--name", "library"]).output
    monkeypatch.setenv("BACKUP_KEYS", "1:short")
    assert "BACKUP_KEYS: must be ID:KEY" in runner.invoke(app, ["list", "--name", "library"]).output
    monkeypatch.setenv("BACKUP_KEYS", a_key())
    empty = runner.invoke(app, ["check", "--name", "library"])
    assert (empty.exit_code, "there is no backup of library" in empty.output) == (1, True)
    assert runner.invoke(app, ["now", "--name", "library"]).exit_code == 0
    assert runner.invoke(app, ["list", "--name", "library"]).output.count("\n") == 1
    assert runner.invoke(app, ["check", "--name", "library"]).output.startswith("good")
    assert runner.invoke(app, ["now", "--name", "../x"]).exit_code == 1
