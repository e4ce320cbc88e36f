"""`samovar saves check` over a real database and a directory of objects: what it finds, and what it removes when it is asked to."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from chassis.objects.directory_store import DirectoryStore
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.ids import ProductId, UserId
from library_svc.postgres import PostgresLibrary
from library_svc.saves import application as saves
from library_svc.saves.application import CloudSaves, SavePolicy, UploadRequest
from library_svc.saves.objects import StoredSaves
from library_svc.saves.postgres import PostgresSaveReader
from operations import saves as command

NOW = datetime.now(UTC)
CONTENT = b"level 1"


class EverybodysGame:
    async def since(self, user_id, product_id):
        return NOW


@pytest.fixture
async def database(new_database):
    dsn = await new_database("library")
    await upgrade(dsn, "library_svc")
    async with open_database(dsn) as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path, "http://store", "key")


async def confirmed(database, store) -> tuple[PostgresLibrary, saves.SaveSlot]:
    library, user_id = PostgresLibrary(database, consumer="tests"), UserId(uuid.uuid4())
    policy = SavePolicy(1 << 20, 1 << 20, timedelta(minutes=5))
    cloud = CloudSaves(
        library.begin, PostgresSaveReader(database), StoredSaves(store), EverybodysGame(), policy, now=lambda: NOW
    )
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    started = await cloud.start_upload(
        UploadRequest(user_id, ProductId(uuid.uuid4()), "slot", len(CONTENT), sha256, NOW, None, None)
    )
    async with library.begin(user_id) as tx:
        slot = await tx.saves.of_upload(user_id, started.upload_id)
    await store.put(slot.versions[0].object_key, CONTENT)
    return library, await cloud.confirm_upload(user_id, started.upload_id, object_key=None)


async def test_what_fits_is_clean_and_stays(database, store):
    _, slot = await confirmed(database, store)
    found = await command.compare(database, store, now=NOW + timedelta(days=9), mend=True)
    assert (found.objects, found.versions, found.is_clean) == (1, 1, True)
    assert await store.get(slot.current.object_key) == CONTENT


async def test_an_object_that_nothing_names_is_said_when_it_is_old_and_removed_when_asked(database, store):
    keys = {f"aa/{uuid.uuid4()}/x/y/z", "stray"}
    for key in keys:
        await store.put(key, b"x")
    assert (await command.compare(database, store, now=NOW, mend=True)).unnamed == []
    later = datetime.now(UTC) + command.GRACE + timedelta(minutes=1)
    found = await command.compare(database, store, now=later, mend=False)
    assert (set(found.unnamed), found.removed, found.is_clean) == (keys, 0, False)
    assert await store.head("stray") is not None
    found = await command.compare(database, store, now=later, mend=True)
    assert (found.removed, found.is_clean) == (2, True)
    assert await store.head("stray") is None


async def test_a_discarded_object_is_the_sweeps_and_no_finding(database, store):
    library, slot = await confirmed(database, store)
    await saves.remove_slot(library.begin, slot.user_id, slot.id, base_version=None, now=NOW)
    found = await command.compare(database, store, now=NOW + timedelta(days=9), mend=True)
    assert (found.unnamed, found.is_clean) == ([], True)


@pytest.mark.parametrize(("content", "kind"), [(None, "missing"), (b"other", "wrong_size")])
async def test_a_version_without_its_object_is_said_and_kept(database, store, content, kind):
    library, slot = await confirmed(database, store)
    key = slot.current.object_key
    await store.delete(key)
    if content is not None:
        await store.put(key, content)
    found = await command.compare(database, store, now=NOW, mend=True)
    assert (getattr(found, kind), found.is_clean) == ([key], False)
    async with library.begin(slot.user_id) as tx:
        assert (await tx.saves.find(slot.user_id, slot.id)).current is not None
