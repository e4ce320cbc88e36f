"""Disks that fill up in the middle: the user's, and those under the servers. What was acknowledged stays, what was not is said so,
and when there is room again everything goes on.
"""

import contextlib
import random
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from chassis.errors import DomainError
from chassis.objects.directory_store import DirectoryStore
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.entitlements import application as entitlements
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import ProductId, UserId
from library_svc.postgres import PostgresLibrary
from sandbox.devstack import embedded
from tests.conftest import postgres_answers, served
from tests.e2e.clients import ITEMS, CommandLine, Shop, until
from tests.e2e.running import Platform, start_platform, stop_platform
from tests.e2e.trees import digests, make_tree
from tests.fakes.library.access import MemoryAccessCache
from tests.faults.conftest import Game, Town, User
from tests.faults.installs import answered, installing, session_of
from tests.faults.origin import Origins
from tests.faults.programs import BACK_SECONDS
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
PLATFORM_DISK_BYTES = 400 << 20
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
        yield embedded.postgres_dsn(disk.seen_at / "postgres", port)


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
                    begin,
                    MemoryAccessCache(),
                    event_id=None,
                    user_id=user_id,
                    product_ids=[product_id],
                    source=source,
                    at=now,
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


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_a_platform_on_a_disk_that_fills_up_refuses_in_words_and_goes_on_when_there_is_room(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """PostgreSQL, the hot state and the objects on one disk, full in the middle of an installation, a publication, changes."""
    home = tmp_path / "home"
    with small_disk(home, PLATFORM_DISK_BYTES) as disk, platform_on(disk) as platform:
        publisher = CommandLine(home, tmp_path / "publisher", through=disk.enter)
        source = make_tree(tmp_path / "first", "full disks")
        product_id = (await publisher.publish(source, "first", "1.0"))["product_id"]
        shop, town = Shop(platform.private), Town(platform, http, tmp_path)
        user = await town.new_user()
        await Game(product_id, source, platform).given_to(user, shop)
        item = await user.api.owns(product_id)
        acknowledged, statuses = [0], Counter[int]()

        async def change() -> bool:
            """Writes the next number to the item; whether that was refused."""
            number = acknowledged[-1] + 1
            notes = f"{number} {random.Random(number).randbytes(900).hex()}"
            body = {"data": {"type": "libraryItemUpdate", "attributes": {"notes": notes}}}
            answer = await user.api.call("PATCH", f"{ITEMS}/{item['id']}", body=body)
            statuses[answer.status] += 1
            if answer.status == 200:
                acknowledged.append(number)
            return answer.status == 503

        async with installing(user.samovar, product_id, tmp_path / "disk", "--limit", LIMIT_KBPS) as install:
            await install.reaches(MIDDLE_BYTES)
            disk.fill()
            second = make_tree(tmp_path / "second", "no room")
            code, _, err = await publisher.run(*publish_words(second))
            assert code != 0
            assert "No space left" in err or "SERVICE_UNAVAILABLE" in err, err
            assert "Traceback" not in err
            while not await change():
                assert len(acknowledged) < MAX_PURCHASES, "there is room for ever"
            disk.make_room()
            await install.succeeds()

        async def changes() -> bool:
            return not await change()

        await until(changes, "the platform does not work again", BACK_SECONDS)
        assert set(statuses) == {200, 503}
        kept = (await answered(user.api, f"{ITEMS}/{item['id']}"))["attributes"]["notes"]
        assert int(kept.split()[0]) == acknowledged[-1]
        assert digests(tmp_path / "disk") == digests(source)
        assert (await publisher.publish(second, "second", "1.0"))["files"]
        await assert_no_event_was_lost(platform)
        await assert_installed_once(platform, user.id, product_id)


def publish_words(folder: Path) -> Sequence[str]:
    return ("publish", str(folder), "--product", "second", "--version", "1.0", "--platform", "linux", "--json")


@contextlib.contextmanager
def platform_on(disk: SmallDisk) -> Iterator[Platform]:
    running = start_platform(disk.path, "--raw-logs", through=disk.enter, seen_at=disk.seen_at)
    try:
        yield running
    finally:
        left = stop_platform(running)
    assert left == [], "the platform left processes behind"
