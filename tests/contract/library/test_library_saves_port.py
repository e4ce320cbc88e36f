"""What every adapter of the Saves and SaveReader ports promises, and what the use cases make of it: one upload after another."""

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.errors import DomainError
from library_svc.ids import DeviceId, ProductId, SavegameId, SaveVersionId, UserId
from library_svc.saves import application as saves
from library_svc.saves.application import SET_ASIDE_FOR, UPLOAD_GRACE, CloudSaves, SavePolicy, UploadRequest
from library_svc.saves.domain import (
    LATE_UPLOAD,
    VERSIONS_KEPT,
    Keep,
    SavegameChanges,
    SavegameVersionConflict,
    SaveUsage,
    UserQuotaExceeded,
    VersionState,
)
from tests.fakes.library.saves import MemorySaveObjects

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PRODUCT = ProductId(uuid4())
MIB = 1 << 20
LIFE = timedelta(minutes=5)


class EverybodysGame:
    async def since(self, user_id, product_id):
        return NOON


@dataclass
class Cloud:
    """The use cases over one technology's adapters, with a clock and a store that a test moves."""

    adapters: object
    objects: MemorySaveObjects = field(default_factory=MemorySaveObjects)
    time: datetime = NOON
    quota_bytes: int = 1 << 30

    @property
    def uses(self) -> CloudSaves:
        policy = SavePolicy(50 * MIB, self.quota_bytes, LIFE)
        return CloudSaves(
            self.adapters.begin, self.adapters.saves, self.objects, EverybodysGame(), policy, now=lambda: self.time
        )

    async def start(self, user_id, content=b"one", *, slot="slot", base=None, size=None, device=None, product=PRODUCT):
        sha256 = hashlib.sha256(content).hexdigest()
        size = len(content) if size is None else size
        request = UploadRequest(user_id, product, slot, size, sha256, NOON, base, device)
        return await self.uses.start_upload(request)

    async def confirm(self, user_id, started):
        self.objects.put(started.target)
        return await self.uses.confirm_upload(user_id, started.upload_id, object_key=None)

    async def upload(self, user_id, content=b"one", **attributes):
        return await self.confirm(user_id, await self.start(user_id, content, **attributes))

    async def conflict(self, user_id, content, **attributes):
        with pytest.raises(SavegameVersionConflict) as caught:
            await self.upload(user_id, content, **attributes)
        return caught.value.details


@pytest.fixture
def cloud(adapters) -> Cloud:
    return Cloud(adapters)


@pytest.fixture
def user_id() -> UserId:
    return UserId(uuid4())


def states(slot):
    return {each.version: each.state.value for each in slot.confirmed}


async def test_a_first_save_becomes_the_current_version(cloud, user_id, adapters):
    device = DeviceId(uuid4())
    slot = await cloud.upload(user_id, b"one", slot="Слот 1", device=device)
    found = await adapters.saves.get_slot(user_id, slot.id)
    assert found == slot
    current = found.current
    assert (current.version, current.size_bytes, current.device_id, current.uploaded_at) == (1, 3, device, NOON)
    assert current.sha256 == hashlib.sha256(b"one").hexdigest()
    assert await adapters.told(user_id) == [
        ("savegame.sync.status.changed.v1", str(PRODUCT)),
        ("savegame.uploaded.v1", str(PRODUCT)),
    ]


async def test_nothing_is_seen_before_it_is_confirmed(cloud, user_id, adapters):
    started = await cloud.start(user_id)
    assert await adapters.saves.get_slot(user_id, started.savegame_id) is None
    assert (await adapters.saves.list_slots(user_id, None, page=1, limit=10)).total_items == 0
    with pytest.raises(DomainError, match="SAVEGAME_UPLOAD_NOT_FOUND"):
        await cloud.uses.confirm_upload(user_id, started.upload_id, object_key=None)
    assert await adapters.saves.usage(user_id) == SaveUsage(0, 3)


async def test_other_bytes_in_the_store_are_refused(cloud, user_id):
    started = await cloud.start(user_id)
    cloud.objects.contents[started.target.url.removeprefix("memory:")] = (3, hashlib.sha256(b"two").hexdigest())
    with pytest.raises(DomainError, match="FILE_HASH_MISMATCH"):
        await cloud.uses.confirm_upload(user_id, started.upload_id, object_key=None)


async def test_a_confirmation_is_answered_the_same_however_often_it_comes(cloud, user_id):
    started = await cloud.start(user_id, b"one")
    first = await cloud.confirm(user_id, started)
    assert await cloud.confirm(user_id, started) == first
    await cloud.upload(user_id, b"two", base=1)
    assert (await cloud.confirm(user_id, started)).current.version == 2
    with pytest.raises(DomainError, match="SAVEGAME_UPLOAD_NOT_FOUND"):
        await cloud.uses.confirm_upload(UserId(uuid4()), started.upload_id, object_key=None)
    with pytest.raises(DomainError, match="SAVEGAME_UPLOAD_NOT_FOUND"):
        await cloud.uses.confirm_upload(user_id, started.upload_id, object_key="another")


async def test_a_stale_or_missing_base_is_a_conflict_and_both_are_kept(cloud, user_id, adapters):
    slot = await cloud.upload(user_id, b"one")
    await cloud.upload(user_id, b"two", base=1)
    for base in (1, None, 7):
        details = await cloud.conflict(user_id, f"other {base}".encode(), base=base)
        assert details["current_version"] == "2"
        found = await adapters.saves.get_slot(user_id, slot.id)
        assert found.current.version == 2
        assert str(found.conflict.version) == details["conflict_version"]
    assert states(found) == {1: "kept", 2: "current", 3: "kept", 4: "kept", 5: "conflict"}


async def test_a_conflict_is_answered_the_same_however_often_it_is_confirmed(cloud, user_id):
    await cloud.upload(user_id, b"one")
    started = await cloud.start(user_id, b"other")
    for _ in range(2):
        with pytest.raises(SavegameVersionConflict):
            await cloud.confirm(user_id, started)
    again = await cloud.start(user_id, b"other")
    for _ in range(2):
        with pytest.raises(SavegameVersionConflict):
            await cloud.confirm(user_id, again)


async def test_the_same_content_is_never_a_conflict_and_makes_no_version(cloud, user_id, adapters):
    await cloud.upload(user_id, b"one")
    started = await cloud.start(user_id, b"one", base=9)
    for _ in range(2):
        slot = await cloud.confirm(user_id, started)
        assert states(slot) == {1: "current"}
    assert await adapters.saves.usage(user_id) == SaveUsage(3, 0)


async def test_ten_versions_are_kept_with_locked_ones_and_a_conflict_beside_them(cloud, user_id, adapters):
    slot = await cloud.upload(user_id, b"0")
    await saves.lock_version(adapters.begin, user_id, slot.id, 1, is_locked=True, now=NOON)
    for number in range(1, VERSIONS_KEPT + 5):
        slot = await cloud.upload(user_id, f"{number}".encode(), base=number)
    await cloud.conflict(user_id, b"other")
    found = await adapters.saves.get_slot(user_id, slot.id)
    last = VERSIONS_KEPT + 5
    newest = range(last - VERSIONS_KEPT + 1, last + 1)
    assert sorted(states(found)) == [1, *newest, last + 1]
    assert found.version_numbered(1).is_locked
    _, unlocked = await saves.lock_version(adapters.begin, user_id, slot.id, 1, is_locked=False, now=NOON)
    assert not unlocked.is_locked
    assert 1 not in states(await cloud.upload(user_id, b"the next", base=last))


async def test_objects_of_rotated_versions_are_removed_and_others_stay(cloud, user_id):
    for number in range(VERSIONS_KEPT + 3):
        await cloud.upload(user_id, f"{number}".encode(), base=number or None)
    assert len(cloud.objects.contents) == VERSIONS_KEPT + 3
    await cloud.uses.sweep()
    assert len(cloud.objects.contents) == VERSIONS_KEPT


async def test_a_restored_version_is_a_new_one_and_its_object_is_kept_as_long_as_one_names_it(cloud, user_id, adapters):
    slot = await cloud.upload(user_id, b"one")
    await cloud.upload(user_id, b"two", base=1)
    restored = await cloud.uses.restore(user_id, slot.id, 1)
    assert (restored.current.version, restored.current.sha256) == (3, slot.current.sha256)
    assert await adapters.saves.usage(user_id) == SaveUsage(9, 0)
    await saves.remove_version(adapters.begin, user_id, slot.id, 1, now=NOON)
    await cloud.uses.sweep()
    assert restored.current.object_key in cloud.objects.contents
    await saves.remove_slot(adapters.begin, user_id, slot.id, base_version=None, now=NOON)
    await cloud.uses.sweep()
    assert cloud.objects.contents == {}


@pytest.mark.parametrize(
    ("keep", "expected", "current"),
    [
        (Keep.CLOUD, {1: "kept", 2: "current", 3: "kept"}, b"two"),
        (Keep.LOCAL, {1: "kept", 2: "kept", 3: "kept", 4: "current"}, b"other"),
        (Keep.BOTH, {1: "kept", 2: "current"}, b"two"),
    ],
)
async def test_a_conflict_ends_as_the_user_wants(cloud, user_id, adapters, keep, expected, current):
    slot = await cloud.upload(user_id, b"one")
    await cloud.upload(user_id, b"two", base=1)
    await cloud.conflict(user_id, b"other", base=1)
    with pytest.raises(SavegameVersionConflict):
        await cloud.uses.resolve(user_id, slot.id, keep, seen=2)
    resolved = await cloud.uses.resolve(user_id, slot.id, keep, seen=3)
    assert await adapters.saves.get_slot(user_id, slot.id) == resolved
    assert (states(resolved), resolved.conflict) == (expected, None)
    assert resolved.current.sha256 == hashlib.sha256(current).hexdigest()
    others = [
        each for each in (await adapters.saves.list_slots(user_id, None, page=1, limit=9)).slots if each.id != slot.id
    ]
    assert [each.name for each in others] == (["slot (conflict 3)"] if keep is Keep.BOTH else [])
    with pytest.raises(DomainError, match="INVALID_STATE_TRANSITION"):
        await cloud.uses.resolve(user_id, slot.id, keep, seen=None)


async def test_slots_are_told_apart_by_unicode_form_and_not_by_case(cloud, user_id):
    first = await cloud.upload(user_id, b"one", slot="Слот Ё")
    second = await cloud.upload(user_id, b"two", slot="слот Ё", base=1)
    assert first.id == second.id
    assert second.name == "Слот Ё"
    other = await cloud.upload(user_id, b"one", slot="Слот Ё", product=ProductId(uuid4()))
    assert other.id != first.id


@pytest.mark.parametrize("name", ["\u200b", " ", "a ", "\u2028", "\u0301"])
async def test_a_name_needs_something_to_see(cloud, user_id, name):
    with pytest.raises(DomainError, match="INVALID_ARGUMENT"):
        await cloud.start(user_id, slot=name)


async def test_room_is_counted_for_what_is_stored_and_what_is_reserved(cloud, user_id, adapters):
    cloud.quota_bytes = 45 * MIB
    results = await asyncio.gather(
        *(cloud.start(user_id, f"{n}".encode(), slot=f"slot {n}", size=42 * MIB) for n in range(3)),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in results) == [
        "StartedUpload",
        "UserQuotaExceeded",
        "UserQuotaExceeded",
    ]
    (started,) = (each for each in results if not isinstance(each, Exception))
    cloud.objects.contents[started.target.url.removeprefix("memory:")] = (42 * MIB, started.target.headers["sha256"])
    slot = await cloud.uses.confirm_upload(user_id, started.upload_id, object_key=None)
    assert await adapters.saves.usage(user_id) == SaveUsage(42 * MIB, 0)
    await cloud.upload(user_id, b"small", slot=slot.name, base=1)
    with pytest.raises(UserQuotaExceeded):
        await cloud.uses.restore(user_id, slot.id, 1)


async def test_a_reservation_that_is_not_confirmed_ends_with_its_url_and_a_grace(cloud, user_id, adapters):
    started = await cloud.start(user_id)
    cloud.time = NOON + LIFE + UPLOAD_GRACE
    await cloud.uses.sweep()
    assert await adapters.saves.usage(user_id) == SaveUsage(0, 3)
    cloud.time += timedelta(seconds=1)
    await cloud.uses.sweep()
    assert await adapters.saves.usage(user_id) == SaveUsage(0, 0)
    cloud.objects.put(started.target)
    with pytest.raises(DomainError, match="SAVEGAME_UPLOAD_NOT_FOUND"):
        await cloud.uses.confirm_upload(user_id, started.upload_id, object_key=None)


async def test_bytes_that_arrive_after_the_sweep_are_removed(cloud, user_id):
    started = await cloud.start(user_id)
    cloud.time = NOON + LIFE + UPLOAD_GRACE + timedelta(seconds=1)
    await cloud.uses.sweep()
    cloud.objects.put(started.target)
    await cloud.uses.sweep()
    assert len(cloud.objects.contents) == 1
    cloud.time += LATE_UPLOAD
    await cloud.uses.sweep()
    assert cloud.objects.contents == {}


async def test_twenty_devices_that_confirm_at_once_lose_nothing(cloud, user_id, adapters):
    slot = await cloud.upload(user_id, b"base")
    started = [await cloud.start(user_id, f"device {n}".encode(), base=1) for n in range(20)]
    results = await asyncio.gather(*(cloud.confirm(user_id, each) for each in started), return_exceptions=True)
    assert sum(isinstance(each, SavegameVersionConflict) for each in results) == 19
    found = await adapters.saves.get_slot(user_id, slot.id)
    assert found.current.version == 2
    assert found.conflict.version == 21
    assert len(found.confirmed) == VERSIONS_KEPT + 1


async def test_what_is_current_locked_or_in_conflict_is_not_removed(cloud, user_id, adapters):
    slot = await cloud.upload(user_id, b"one")
    await cloud.upload(user_id, b"two", base=1)
    await cloud.conflict(user_id, b"other")
    await saves.lock_version(adapters.begin, user_id, slot.id, 1, is_locked=True, now=NOON)
    for number in (1, 2, 3):
        with pytest.raises(DomainError, match="INVALID_STATE_TRANSITION"):
            await saves.remove_version(adapters.begin, user_id, slot.id, number, now=NOON)
    with pytest.raises(DomainError, match="SAVEGAME_VERSION_NOT_FOUND"):
        await saves.remove_version(adapters.begin, user_id, slot.id, 9, now=NOON)


async def test_a_slot_is_deleted_only_as_the_caller_knows_it(cloud, user_id, adapters):
    slot = await cloud.upload(user_id, b"one")
    await cloud.upload(user_id, b"two", base=1)
    with pytest.raises(SavegameVersionConflict):
        await saves.remove_slot(adapters.begin, user_id, slot.id, base_version=1, now=NOON)
    await saves.remove_slot(adapters.begin, user_id, slot.id, base_version=2, now=NOON)
    with pytest.raises(DomainError, match="SAVEGAME_SLOT_NOT_FOUND"):
        await saves.remove_slot(adapters.begin, user_id, slot.id, base_version=None, now=NOON)
    assert await adapters.saves.usage(user_id) == SaveUsage(0, 0)


async def test_slots_are_listed_newest_first_by_product_and_page(cloud, user_id, adapters):
    other = ProductId(uuid4())
    for number, product in enumerate((PRODUCT, other, PRODUCT)):
        cloud.time = NOON + timedelta(hours=number)
        await cloud.upload(user_id, b"one", slot=f"slot {number}", product=product)
    await cloud.conflict(user_id, b"two", slot="slot 0")

    async def names(product_id, page, limit):
        found = await adapters.saves.list_slots(user_id, product_id, page=page, limit=limit)
        return [each.name for each in found.slots], found.total_items

    assert await names(None, 1, 10) == (["slot 2", "slot 1", "slot 0"], 3)
    assert await names(PRODUCT, 2, 1) == (["slot 0"], 2)
    assert await names(ProductId(uuid4()), 1, 10) == ([], 0)
    found = await adapters.saves.list_slots(user_id, other, page=1, limit=10)
    assert found.slots[0].current.version == 1
    (old,) = (await adapters.saves.list_slots(user_id, PRODUCT, page=2, limit=1)).slots
    assert old.conflict.version == 2


async def test_another_users_slots_are_not_there(cloud, user_id, adapters):
    slot, stranger = await cloud.upload(user_id, b"one"), UserId(uuid4())
    assert await adapters.saves.get_slot(stranger, slot.id) is None
    for call in (
        cloud.uses.restore(stranger, slot.id, 1),
        cloud.uses.sign_download(stranger, slot.id, None),
        saves.update_slot(adapters.begin, stranger, slot.id, SavegameChanges("mine"), now=NOON),
        saves.remove_slot(adapters.begin, stranger, slot.id, base_version=None, now=NOON),
    ):
        with pytest.raises(DomainError, match="SAVEGAME_SLOT_NOT_FOUND"):
            await call


async def test_a_comment_is_the_users_and_stays_with_the_slot(cloud, user_id, adapters):
    slot = await cloud.upload(user_id, b"one")
    changed = await saves.update_slot(adapters.begin, user_id, slot.id, SavegameChanges("перед боссом"), now=NOON)
    assert await adapters.saves.get_slot(user_id, slot.id) == changed == replace(slot, comment="перед боссом")
    later = await cloud.upload(user_id, b"two", base=1)
    assert later.comment == "перед боссом"


async def test_what_is_saved_comes_back_as_it_was(cloud, user_id, adapters):
    """Round trip of everything that a version has."""
    await cloud.upload(user_id, b"one", device=DeviceId(uuid4()))
    started = await cloud.start(user_id, b"two", base=1)
    async with adapters.begin(user_id) as tx:
        slot = await tx.saves.of_upload(user_id, started.upload_id)
        assert await tx.saves.find(user_id, slot.id) == slot
        assert await tx.saves.named(user_id, PRODUCT, "SLOT") == slot
        assert await tx.saves.of_upload(user_id, SaveVersionId(uuid4())) is None
        assert await tx.saves.find(user_id, SavegameId(uuid4())) is None
    pending = next(each for each in slot.versions if each.state is VersionState.PENDING)
    assert (pending.base_version, pending.expires_at, pending.version) == (1, NOON + LIFE, 0)


async def test_an_object_that_cannot_be_removed_holds_up_no_other_and_comes_again(cloud, user_id, adapters):
    first, second = [await cloud.upload(UserId(uuid4()) if n else user_id, b"one") for n in range(2)]
    for slot in (first, second):
        await saves.remove_slot(adapters.begin, slot.user_id, slot.id, base_version=None, now=NOON)
    cloud.objects.unremovable.add(first.current.object_key)
    with pytest.raises(ExceptionGroup, match="swept"):
        await cloud.uses.sweep()
    assert list(cloud.objects.contents) == [first.current.object_key]
    await cloud.uses.sweep()
    cloud.objects.unremovable.clear()
    cloud.time += SET_ASIDE_FOR
    await cloud.uses.sweep()
    assert cloud.objects.contents == {}
