"""Cloud saves in memory: slots and discarded objects."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from library_svc.ids import ProductId, SavegameId, SaveVersionId, UserId
from library_svc.saves.application import SaveObjects, SlotPage, UploadTarget
from library_svc.saves.domain import DiscardedObject, SaveSlot, SaveUsage, VersionState, discarded, slot_key


@dataclass
class SaveRows:
    slots: dict[UUID, SaveSlot] = field(default_factory=dict)
    discarded: dict[str, DiscardedObject] = field(default_factory=dict)


class MemorySaves:
    def __init__(self, rows: SaveRows) -> None:
        self._rows = rows

    async def find(self, user_id: UserId, savegame_id: SavegameId) -> SaveSlot | None:
        slot = self._rows.slots.get(savegame_id)
        return slot if slot and slot.user_id == user_id else None

    async def named(self, user_id: UserId, product_id: ProductId, name: str) -> SaveSlot | None:
        wanted = (product_id, slot_key(name))
        return next((each for each in self._own(user_id) if (each.product_id, slot_key(each.name)) == wanted), None)

    async def of_upload(self, user_id: UserId, upload_id: SaveVersionId) -> SaveSlot | None:
        return next((each for each in self._own(user_id) if any(v.id == upload_id for v in each.versions)), None)

    async def save(self, before: SaveSlot | None, after: SaveSlot | None, *, now: datetime) -> None:
        if after is None:
            assert before is not None
            del self._rows.slots[before.id]
        else:
            assert await self.named(after.user_id, after.product_id, after.name) in (None, before)
            self._rows.slots[after.id] = after
        for each in discarded(before, after, is_named=self._names, now=now):
            self._rows.discarded.setdefault(each.object_key, each)

    async def usage(self, user_id: UserId) -> SaveUsage:
        return usage_of(self._own(user_id))

    async def expired(self, before: datetime, *, limit: int) -> Sequence[SaveSlot]:
        slots = self._rows.slots.values()
        return [each for each in slots if any(v.expires_at and v.expires_at < before for v in each.versions)][:limit]

    async def due(self, now: datetime, *, limit: int) -> Sequence[DiscardedObject]:
        return [each for each in self._rows.discarded.values() if each.due_at <= now][:limit]

    async def is_named(self, user_id: UserId, object_key: str) -> bool:
        return self._names(object_key)

    async def postpone(self, discarded: DiscardedObject) -> None:
        if discarded.again_at is None:
            self._rows.discarded.pop(discarded.object_key, None)
        else:
            again = replace(discarded, due_at=discarded.again_at, again_at=None)
            self._rows.discarded[discarded.object_key] = again

    def _own(self, user_id: UserId) -> Sequence[SaveSlot]:
        return [each for each in self._rows.slots.values() if each.user_id == user_id]

    def _names(self, object_key: str) -> bool:
        return any(
            version.object_key == object_key and version.state is not VersionState.MERGED
            for slot in self._rows.slots.values()
            for version in slot.versions
        )


def usage_of(slots: Sequence[SaveSlot]) -> SaveUsage:
    versions = [version for slot in slots for version in slot.versions if version.state is not VersionState.MERGED]
    pending = [each for each in versions if each.state is VersionState.PENDING]
    reserved = sum(each.size_bytes for each in pending)
    return SaveUsage(sum(each.size_bytes for each in versions) - reserved, reserved)


def listed_slots(rows: SaveRows, user_id: UserId, product_id: ProductId | None, *, page: int, limit: int) -> SlotPage:
    own = [each for each in rows.slots.values() if each.user_id == user_id and each.current]
    found = [each for each in own if product_id in (None, each.product_id)]
    found.sort(key=lambda slot: slot.id)
    found.sort(key=lambda slot: slot.current.uploaded_at, reverse=True)
    shown = [replace(each, versions=tuple(filter(None, (each.current, each.conflict)))) for each in found]
    return SlotPage(shown[(page - 1) * limit : page * limit], len(found))


class MemorySaveObjects(SaveObjects):
    """The store: `contents` by key, each size and SHA-256."""

    def __init__(self) -> None:
        self.contents: dict[str, tuple[int, str]] = {}
        self.unremovable: set[str] = set()

    def presign_upload(self, object_key, *, size_bytes, sha256, life):
        return UploadTarget(f"memory:{object_key}", "PUT", {"size": str(size_bytes), "sha256": sha256})

    def put(self, target: UploadTarget) -> None:
        """What a client does with a signed request."""
        self.contents[target.url.removeprefix("memory:")] = (int(target.headers["size"]), target.headers["sha256"])

    def presign_download(self, object_key, *, filename, life):
        return f"memory:{object_key}"

    async def is_there(self, object_key, *, size_bytes, sha256):
        found = self.contents.get(object_key)
        return None if found is None else found == (size_bytes, sha256)

    async def remove(self, object_key):
        if object_key in self.unremovable:
            raise ValueError(object_key)
        self.contents.pop(object_key, None)
