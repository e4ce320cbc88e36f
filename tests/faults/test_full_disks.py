"""Disks that fill up in the middle: the user's, and those under the servers. What was acknowledged stays, what was not is said so,
and when there is room again everything goes on.
"""

import contextlib
import signal
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from chassis.database import open_database
from chassis.directory_store import DirectoryStore
from chassis.errors import DomainError
from chassis.migrations import upgrade
from library_svc.application import entitlements
from library_svc.domain.entitlements import Source, SourceKind
from library_svc.domain.ids import ProductId, UserId
from library_svc.infrastructure.postgres import PostgresLibrary
from sandbox import embedded
from tests.conftest import postgres_answers, served
from tests.e2e.clients import Shop, until
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.faults.conftest import Game, User
from tests.faults.installs import installing, session_of
from tests.faults.origin import Origins
from tests.faults.small_disk import SmallDisk, small_disk
from tests.faults.truth import assert_installed_once, assert_no_event_was_lost

LIMIT_KBPS = "12000"
MIDDLE_BYTES = 700_000
PARALLEL = 4
DISK_FULL = 7
USERS_DISK_BYTES = 6 << 20
OBJECTS_DISK_BYTES = 2 << 20
OBJECT_BYTES = 1 << 20
DATABASE_DISK_BYTES = 160 << 20
MAX_PURCHASES = 10_000
"""More than find room between the rows that are there."""


async def test_an_install_on_a_disk_that_fills_up_says_so_and_goes_on_when_there_is_room(
    platform: Platform, origins: Origins, game: Game, shop: Shop, user: User, tmp_path: Path
) -> None:
    await game.given_to(user, shop)
    right = digests(game.source)
    with small_disk(tmp_path / "disk", USERS_DISK_BYTES) as disk:
        target = disk.path / "game"
        options = ("--parallel", str(PARALLEL), "--limit", LIMIT_KBPS)
        async with installing(user.samovar, game.product_id, target, *options, through=disk.enter) as install:
            await install.reaches(MIDDLE_BYTES)
            disk.fill()
            code, final = await install.outcome()
        assert code == DISK_FULL
        assert (final["status"], final["error"]["code"]) == ("error", "INSUFFICIENT_CLIENT_DISK_SPACE")
        assert "make room" in final["error"]["message"]
        session = await session_of(user.api, game.product_id)
        assert session["attributes"]["status"] == "error"
        assert session["attributes"]["error"]["code"] == "INSUFFICIENT_CLIENT_DISK_SPACE"
        assert digests(disk.seen_at / "game").items() <= right.items(), "something half lies in place"

        # Still full: it is told before anything is fetched, in bytes.
        fetched = origins.done.requests
        async with installing(user.samovar, game.product_id, target, *options, through=disk.enter) as install:
            code, final = await install.outcome()
        assert (code, final["error"]["code"]) == (DISK_FULL, "INSUFFICIENT_CLIENT_DISK_SPACE"), final
        assert origins.done.requests == fetched

        disk.make_room()
        async with installing(user.samovar, game.product_id, target, through=disk.enter) as install:
            assert (await install.succeeds())["session_id"] == session["id"]
        assert digests(disk.seen_at / "game") == right
        assert sum(times - 1 for times in origins.done.sent.values()) <= PARALLEL, "what was there was fetched again"
    await assert_no_event_was_lost(platform)
    await assert_installed_once(platform, user.id, game.product_id)


async def test_an_object_that_finds_no_room_is_not_there_at_all(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", OBJECTS_DISK_BYTES) as disk:
        store = DirectoryStore(
            disk.seen_at / "objects", "http://127.0.0.1/objects", "a key of at least sixteen characters"
        )
        await store.put("kept", b"old")
        disk.fill()
        for key in ("kept", "new"):
            with pytest.raises(OSError, match="No space left"):
                await store.put(key, bytes(OBJECT_BYTES))
        assert await store.get("kept") == b"old"
        assert await store.head("new") is None
        disk.make_room()
        await store.put("new", bytes(OBJECT_BYTES))
        assert await store.get("new") == bytes(OBJECT_BYTES)
        files = [path.name for path in (disk.seen_at / "objects").rglob("*") if path.is_file()]
        assert sorted(files) == ["kept", "new"], "what found no room left something behind"


@contextlib.contextmanager
def postgres_on(disk: SmallDisk, log: Path) -> Iterator[str]:
    def command(port: int) -> embedded.Command:
        words = (sys.executable, "-m", "tests.faults.postgres_of_its_own", str(disk.path / "postgres"), str(port))
        return embedded.Command([*disk.enter, *words])

    with served(command, postgres_answers, None, log, signal.SIGINT) as port:
        yield embedded.postgres_dsn(port)


async def test_a_database_without_room_is_unavailable_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """A purchase is there with its event, or refused and not there at all."""
    with small_disk(tmp_path / "disk", DATABASE_DISK_BYTES) as disk, postgres_on(disk, tmp_path / "log") as dsn:
        await upgrade(dsn, "library_svc")
        async with open_database(dsn) as database:
            begin = PostgresLibrary(database, consumer="library-service").begin
            user_id = UserId(uuid.uuid4())

            async def buy() -> ProductId:
                product_id, source = ProductId(uuid.uuid4()), Source(SourceKind.ORDER, str(uuid.uuid4()))
                now = datetime.now(UTC)
                await entitlements.grant(
                    begin, event_id=None, user_id=user_id, product_ids=[product_id], source=source, at=now
                )
                return product_id

            bought = {await buy()}
            disk.fill()

            async def is_refused() -> bool:
                """Tries to buy once."""
                try:
                    bought.add(await buy())
                except DomainError as failure:
                    refusals.add(failure.reason)
                    return True
                return False

            refusals: set[str] = set()
            while not await is_refused():
                assert len(bought) < MAX_PURCHASES, "there is room for ever"
            disk.make_room()

            async def works() -> bool:
                return not await is_refused()

            await until(works, "the database does not work again")
            assert refusals == {"SERVICE_UNAVAILABLE"}
            async with database.connect() as connection:
                items = await connection.execute(text("SELECT product_id FROM user_library_items"))
                events = await connection.execute(text("SELECT payload ->> 'productId' FROM outbox"))
            assert {row[0] for row in items} == bought
            assert {uuid.UUID(row[0]) for row in events} == bought
