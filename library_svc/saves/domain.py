"""Slots of saves and what may become of their versions. Contract section 2, "Saves".

A slot is changed as a whole: each method answers with another slot, and the store writes the difference. The server decides by
version numbers alone; what a device's clock says is shown and decides nothing.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from chassis.errors import DomainError, FieldViolation, Kind
from library_svc.changes import UNCHANGED, Unchanged, changed
from library_svc.ids import DeviceId, ProductId, SavegameId, SaveVersionId, UserId

VERSIONS_KEPT: Final = 10
"""Of a slot, the current one included; locked ones and the other side of a conflict are beside them."""
LOCKED_LIMIT: Final = 100
"""Locked versions of a slot."""
SLOT_NAME_LIMIT: Final = 255
"""Characters of a slot's name."""
LATE_UPLOAD: Final = timedelta(days=1)
"""A store checks a URL when the request begins: bytes of a slow one may arrive this long after the URL's end."""


class VersionState(StrEnum):
    """The states of a version within its slot."""

    PENDING = "pending"
    CURRENT = "current"
    KEPT = "kept"
    CONFLICT = "conflict"
    MERGED = "merged"
    """An upload with content that the slot had: kept until its URL has expired, so a repeated confirmation gets the same answer."""


_UNSEEN: Final = frozenset({VersionState.PENDING, VersionState.MERGED})


class Keep(StrEnum):
    """The version that becomes current when a conflict ends."""

    CLOUD = "cloud"
    LOCAL = "local"
    BOTH = "both"


class SavegameSyncStatus(StrEnum):
    """The synchronization status of a slot; shown to the user's devices."""

    SYNC_STARTED = "sync_started"
    SYNC_COMPLETED = "sync_completed"
    SYNC_FAILED = "sync_failed"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class SaveVersion:
    """One version's bytes: uploaded, or reserved for an upload.

    Attributes:
        version: its number in the slot, given when it is confirmed; 0 until then.
        base_version: what it grew from; None: the slot was new to the device.
        sha256: of the bytes as uploaded, in hex.
        expires_at: until when the upload may begin; None for one that is confirmed.
    """

    id: SaveVersionId
    object_key: str
    size_bytes: int
    sha256: str
    client_modified_at: datetime
    state: VersionState
    version: int = 0
    base_version: int | None = None
    device_id: DeviceId | None = None
    is_locked: bool = False
    uploaded_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SavegameChanges:
    """The changes that a user may make to a slot. None clears a field; one that is UNCHANGED stays as it is."""

    comment: str | Unchanged | None = UNCHANGED


@dataclass(frozen=True, slots=True)
class SaveSlot:
    """A slot with all its versions, the pending ones too, in any order.

    Attributes:
        name: as the user or the game spelled it first.
        last_version: the highest number ever given; numbers are never given twice.
    """

    id: SavegameId
    user_id: UserId
    product_id: ProductId
    name: str
    versions: tuple[SaveVersion, ...] = ()
    last_version: int = 0
    comment: str | None = None

    @property
    def current(self) -> SaveVersion | None:
        """None while nothing was confirmed."""
        return next((each for each in self.versions if each.state is VersionState.CURRENT), None)

    @property
    def conflict(self) -> SaveVersion | None:
        """The other side of an unresolved conflict."""
        return next((each for each in self.versions if each.state is VersionState.CONFLICT), None)

    @property
    def confirmed(self) -> Sequence[SaveVersion]:
        """Versions that a user sees, newest first."""
        seen = [each for each in self.versions if each.state not in _UNSEEN]
        return sorted(seen, key=lambda each: -each.version)

    def version_numbered(self, number: int) -> SaveVersion:
        """A confirmed version. Raises: SavegameVersionNotFound."""
        found = next((each for each in self.confirmed if each.version == number), None)
        if found is None:
            raise SavegameVersionNotFound(self.id, number)
        return found

    def with_upload(self, upload: SaveVersion) -> "SaveSlot":
        """The slot with room for one more version."""
        return replace(self, versions=(*self.versions, upload))

    def without_uploads_before(self, moment: datetime) -> "SaveSlot":
        """The slot without uploads whose URL ended before the moment."""
        kept = tuple(each for each in self.versions if each.expires_at is None or each.expires_at >= moment)
        return replace(self, versions=kept)

    def with_confirmed(self, upload_id: SaveVersionId, now: datetime) -> "SaveSlot":
        """The slot after an upload arrived: as its current version, or, if it did not grow from that, as its conflict version. The
        same content as either of them has makes no new version.
        """
        upload = next(each for each in self.versions if each.id == upload_id)
        current, conflict = self.current, self.conflict
        merged = _replacing(self, replace(upload, state=VersionState.MERGED))
        if current is not None and current.sha256 == upload.sha256:
            return merged
        without = replace(self, versions=tuple(each for each in self.versions if each.id != upload_id))
        arrived = replace(upload, uploaded_at=now, expires_at=None, version=self.last_version + 1)
        if current is None or current.version == upload.base_version:
            # A slot that was deleted has no other side: what grew from it begins it anew.
            return _with_current(without, arrived)
        if conflict is not None and conflict.sha256 == upload.sha256:
            return merged
        return _with_conflict(without, arrived)

    def is_refused(self, upload: SaveVersion) -> bool:
        """Return True when a confirmed upload is the other side of the conflict, or has its content."""
        if upload.state is VersionState.MERGED and self.conflict is not None:
            return upload.sha256 == self.conflict.sha256 and (not self.current or upload.sha256 != self.current.sha256)
        return upload.state is VersionState.CONFLICT

    def restored(self, number: int, new_id: SaveVersionId, now: datetime) -> "SaveSlot":
        """The slot with the content of a version as its new current one. Raises: SavegameVersionNotFound."""
        old, current = self.version_numbered(number), self.current
        if current is not None and current.sha256 == old.sha256:
            return self
        again = replace(old, id=new_id, version=self.last_version + 1, is_locked=False, uploaded_at=now)
        return _with_current(self, again)

    def with_lock(self, number: int, *, is_locked: bool) -> "SaveSlot":
        """Raises: SavegameVersionNotFound; InvalidSaveChange, too many are locked."""
        found = self.version_numbered(number)
        if is_locked and not found.is_locked and sum(each.is_locked for each in self.versions) >= LOCKED_LIMIT:
            raise InvalidSaveChange(f"at most {LOCKED_LIMIT} versions of a slot can be locked")
        return _replacing(self, replace(found, is_locked=is_locked))

    def without_version(self, number: int) -> "SaveSlot":
        """Raises: SavegameVersionNotFound; InvalidSaveChange, it is current, locked or one side of a conflict."""
        found = self.version_numbered(number)
        if found.state is not VersionState.KEPT:
            raise InvalidSaveChange(f"version {number} is {found.state}")
        if found.is_locked:
            raise InvalidSaveChange(f"version {number} is locked")
        return replace(self, versions=tuple(each for each in self.versions if each != found))

    def resolved(
        self, keep: Keep, *, seen: int | None, new_id: SaveVersionId, new_slot: SavegameId, now: datetime
    ) -> "tuple[SaveSlot, SaveSlot | None]":
        """The slot after its conflict ended, and the slot that the conflict version moved to.

        Raises:
            InvalidSaveChange: there is no conflict.
            SavegameVersionConflict: it is another one than the caller has seen.
        """
        conflict = self.conflict
        if conflict is None:
            raise InvalidSaveChange("the slot has no conflict")
        if seen is not None and seen != conflict.version:
            raise SavegameVersionConflict(self)
        ended = _replacing(self, replace(conflict, state=VersionState.KEPT))
        match keep:
            case Keep.CLOUD:
                return _rotated(ended), None
            case Keep.LOCAL:
                return ended.restored(conflict.version, new_id, now), None
            case Keep.BOTH:
                name = name_of_conflict(self.name, conflict.version)
                moved = replace(conflict, state=VersionState.CURRENT, version=1, base_version=None)
                other = SaveSlot(new_slot, self.user_id, self.product_id, name, (moved,), last_version=1)
                return replace(self, versions=tuple(each for each in self.versions if each != conflict)), other

    def changed(self, changes: SavegameChanges) -> "SaveSlot":
        """The slot with the user's changes."""
        return changed(self, changes)


def _with_current(slot: SaveSlot, new: SaveVersion) -> SaveSlot:
    older = tuple(
        replace(each, state=VersionState.KEPT) if each.state is VersionState.CURRENT else each for each in slot.versions
    )
    current = replace(new, state=VersionState.CURRENT)
    return _rotated(replace(slot, versions=(*older, current), last_version=current.version))


def _with_conflict(slot: SaveSlot, new: SaveVersion) -> SaveSlot:
    older = tuple(
        replace(each, state=VersionState.KEPT) if each.state is VersionState.CONFLICT else each
        for each in slot.versions
    )
    other = replace(new, state=VersionState.CONFLICT)
    return _rotated(replace(slot, versions=(*older, other), last_version=other.version))


def _replacing(slot: SaveSlot, new: SaveVersion) -> SaveSlot:
    return replace(slot, versions=tuple(new if each.id == new.id else each for each in slot.versions))


def _rotated(slot: SaveSlot) -> SaveSlot:
    """Without the oldest of more than VERSIONS_KEPT versions that nothing holds."""
    kept = [each for each in slot.confirmed if each.state is VersionState.KEPT and not each.is_locked]
    room = VERSIONS_KEPT - (slot.current is not None)
    gone = {each.id for each in kept[room:]}
    return replace(slot, versions=tuple(each for each in slot.versions if each.id not in gone))


@dataclass(frozen=True, slots=True)
class SaveUsage:
    """The storage that a user's saves take up, in bytes: kept versions, and room for uploads that are not confirmed yet."""

    used_bytes: int = 0
    reserved_bytes: int = 0

    def require_room(self, size_bytes: int, *, limit_bytes: int) -> None:
        """Raises: UserQuotaExceeded."""
        taken = self.used_bytes + self.reserved_bytes
        if taken + size_bytes > limit_bytes:
            raise UserQuotaExceeded(taken, limit_bytes)


@dataclass(frozen=True, slots=True)
class DiscardedObject:
    """An object that no version names any more. It is removed at `due_at`, and once more at `again_at`, if bytes of a slow
    upload may arrive after that.
    """

    user_id: UserId
    object_key: str
    due_at: datetime
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SavegameUploaded:
    """A slot has a new current version that a device uploaded."""

    user_id: UserId
    product_id: ProductId
    savegame_id: SavegameId
    slot_name: str
    s3_path: str
    file_size_bytes: int
    client_timestamp: datetime
    server_timestamp: datetime


@dataclass(frozen=True, slots=True)
class SavegameSyncStatusChanged:
    """Something became of a slot that the user's devices want to know."""

    user_id: UserId
    product_id: ProductId
    savegame_id: SavegameId
    slot_name: str
    status: SavegameSyncStatus
    last_synced_at: datetime | None = None
    error_message: str | None = None


class SavegameSlotNotFound(DomainError):
    """The caller has no such slot. Another user's answers the same."""

    def __init__(self, savegame_id: SavegameId) -> None:
        super().__init__(Kind.NOT_FOUND, "SAVEGAME_SLOT_NOT_FOUND", details={"savegame_id": str(savegame_id)})


class SavegameVersionNotFound(DomainError):
    """The slot has no such version, or no longer."""

    def __init__(self, savegame_id: SavegameId, version: int) -> None:
        details = {"savegame_id": str(savegame_id), "version": str(version)}
        super().__init__(Kind.NOT_FOUND, "SAVEGAME_VERSION_NOT_FOUND", details=details)


class SavegameUploadNotFound(DomainError):
    """There is no such upload, it ended, or nothing was uploaded."""

    def __init__(self, upload_id: SaveVersionId) -> None:
        super().__init__(Kind.NOT_FOUND, "SAVEGAME_UPLOAD_NOT_FOUND", details={"internal_save_id": str(upload_id)})


class SavegameVersionConflict(DomainError):
    """The save did not grow from the slot's current version; both are kept."""

    def __init__(self, slot: SaveSlot) -> None:
        details = {"savegame_id": str(slot.id), "current_version": str(slot.current.version if slot.current else 0)}
        if slot.conflict is not None:
            details["conflict_version"] = str(slot.conflict.version)
        super().__init__(Kind.ABORTED, "SAVEGAME_VERSION_CONFLICT", details=details)


class SavegameFileTooLarge(DomainError):
    """One save is larger than saves may be."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(Kind.RESOURCE_EXHAUSTED, "SAVEGAME_FILE_TOO_LARGE", details={"limit_bytes": str(limit_bytes)})


class UserQuotaExceeded(DomainError):
    """The user's saves have no room for so much more."""

    def __init__(self, used_bytes: int, limit_bytes: int) -> None:
        details = {"used_bytes": str(used_bytes), "limit_bytes": str(limit_bytes)}
        super().__init__(Kind.RESOURCE_EXHAUSTED, "USER_QUOTA_EXCEEDED", details=details)


class SaveHashMismatch(DomainError):
    """The object is not what was announced."""

    def __init__(self, upload_id: SaveVersionId) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "FILE_HASH_MISMATCH", details={"internal_save_id": str(upload_id)})


class InvalidSaveChange(DomainError):
    """The version's or the slot's state does not allow it."""

    def __init__(self, description: str) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION", details={"description": description})


class Saves(Protocol):
    """The slots of a transaction, with the user's lock held (`lock_user`)."""

    async def find(self, user_id: UserId, savegame_id: SavegameId) -> SaveSlot | None: ...

    async def named(self, user_id: UserId, product_id: ProductId, name: str) -> SaveSlot | None:
        """The slot whose name has the same key (`slot_key`)."""

    async def of_upload(self, user_id: UserId, upload_id: SaveVersionId) -> SaveSlot | None:
        """The slot that has the version, whatever its state."""

    async def save(self, before: SaveSlot | None, after: SaveSlot | None, *, now: datetime) -> None:
        """Writes the difference. Objects that no version names any more are discarded."""

    async def usage(self, user_id: UserId) -> SaveUsage: ...

    async def expired(self, before: datetime, *, limit: int) -> Sequence[SaveSlot]:
        """Slots with uploads that ended before the time, of any users, that no other transaction holds."""

    async def due(self, now: datetime, *, limit: int) -> Sequence[DiscardedObject]:
        """Discarded objects whose time has come, that no other transaction holds."""

    async def is_named(self, user_id: UserId, object_key: str) -> bool:
        """Return True when a version names the object after all."""

    async def postpone(self, discarded: DiscardedObject) -> None:
        """Schedule another removal of the object at `again_at`; without that time its entry is deleted."""


def slot_key(name: str) -> str:
    """Return the key that identifies a slot: its name without case, in one Unicode form, as disks that ignore case do."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def name_of_conflict(name: str, version: int) -> str:
    """The name of the slot that a conflict version moves to; a long one is cut so that it fits."""
    suffix = f" (conflict {version})"
    return name[: SLOT_NAME_LIMIT - len(suffix)] + suffix


def check_name(name: str) -> None:
    """Refuses what the proto's pattern cannot say. Raises: DomainError INVALID_ARGUMENT."""
    visible = any(unicodedata.category(one)[0] in "LNPS" for one in name)
    if (
        not visible
        or name != name.strip()
        or any(unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} for one in name)
    ):
        text = "needs a visible character, and no spaces at its ends"
        raise DomainError(
            Kind.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            details={"description": f"save_slot_name: {text}"},
            violations=[FieldViolation("save_slot_name", text, "savegame.slot_name")],
        )


def user_prefix(user_id: UserId) -> str:
    """Return the prefix of the keys of all of a user's objects (contract section 7)."""
    user = str(user_id)
    return f"{hashlib.sha256(user.encode()).hexdigest()[:2]}/{user}/"


def object_key_of(slot: SaveSlot, upload_id: SaveVersionId, now: datetime) -> str:
    """Return the object key of an upload (contract section 7)."""
    folder = hashlib.sha256(slot_key(slot.name).encode()).hexdigest()[:32]
    return f"{user_prefix(slot.user_id)}{slot.product_id}/{folder}/{now:%Y%m%dT%H%M%SZ}_{upload_id}"


def discarded(
    before: SaveSlot | None, after: SaveSlot | None, *, is_named: Callable[[str], bool], now: datetime
) -> Sequence[DiscardedObject]:
    """The objects that a change leaves without a version. `is_named`: another slot's version names it."""
    if before is None:
        return ()
    still = {each.object_key for each in after.versions if each.state is not VersionState.MERGED} if after else set()
    gone: dict[str, DiscardedObject] = {}
    for each in before.versions:
        if each.state is not VersionState.MERGED and each.object_key not in still and not is_named(each.object_key):
            again = None if each.expires_at is None else max(each.expires_at, now) + LATE_UPLOAD
            gone[each.object_key] = DiscardedObject(before.user_id, each.object_key, now, again)
    return list(gone.values())
