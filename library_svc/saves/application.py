"""Showing a user their saves, accepting new ones, and removing old ones. Called by CloudSaveService; the sweep runs beside it.

An upload has three steps: room is reserved and a URL signed; the client puts the bytes into the store (none pass here); the client
confirms, and then the object is looked at, outside of any transaction, and becomes a version in one.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from chassis.errors import DomainError, Kind, is_unavailable
from library_svc.ids import DeviceId, ProductId, SavegameId, SaveVersionId, UserId
from library_svc.saves.domain import (
    DiscardedObject,
    Keep,
    SavegameChanges,
    SavegameFileTooLarge,
    SavegameSlotNotFound,
    SavegameSyncStatus,
    SavegameSyncStatusChanged,
    SavegameUploaded,
    SavegameUploadNotFound,
    SavegameVersionConflict,
    SaveHashMismatch,
    SaveSlot,
    SaveUsage,
    SaveVersion,
    VersionState,
    check_name,
    object_key_of,
)
from library_svc.transaction import Begin, Transaction

UPLOAD_GRACE: Final = timedelta(minutes=15)
"""The time for which an upload that began before its URL expired may still be confirmed."""
SWEEP_SECONDS: Final = 30.0
SWEEP_BATCH: Final = 100
SET_ASIDE_FOR: Final = timedelta(minutes=15)
"""The time for which an object that cannot be removed is set aside, so that it does not delay the others."""


@dataclass(frozen=True, slots=True)
class SavePolicy:
    """The limits of saves: the bytes of one file and of one user, and the life of signed URLs."""

    file_limit_bytes: int
    quota_bytes: int
    url_life: timedelta


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """The request with which a client uploads the bytes of a save: it must be exactly this."""

    url: str
    method: str
    headers: Mapping[str, str]


class SaveObjects(Protocol):
    """The store of the bytes."""

    def presign_upload(self, object_key: str, *, size_bytes: int, sha256: str, life: timedelta) -> UploadTarget:
        """A request that stores exactly these bytes, once."""

    def presign_download(self, object_key: str, *, filename: str, life: timedelta) -> str: ...

    async def is_there(self, object_key: str, *, size_bytes: int, sha256: str) -> bool | None:
        """Return True when the object is as announced; None: there is no object.

        Raises:
            DomainError: the store cannot be asked.
        """

    async def remove(self, object_key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class SlotPage:
    """One page of slots, the last confirmed first; `total_items` on all pages."""

    slots: Sequence[SaveSlot]
    total_items: int


class SaveReader(Protocol):
    """Reads outside of any transaction; each is one statement. Slots without a confirmed version are not there."""

    async def list_slots(self, user_id: UserId, product_id: ProductId | None, *, page: int, limit: int) -> SlotPage:
        """Slots with their current and conflict versions alone."""

    async def get_slot(self, user_id: UserId, savegame_id: SavegameId) -> SaveSlot | None:
        """The slot with all its versions."""

    async def usage(self, user_id: UserId) -> SaveUsage: ...


class HasAccess(Protocol):
    """A check of users' rights to use products."""

    async def since(self, user_id: UserId, product_id: ProductId) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """A save that a device wants to upload."""

    user_id: UserId
    product_id: ProductId
    slot_name: str
    size_bytes: int
    sha256: str
    client_modified_at: datetime
    base_version: int | None
    device_id: DeviceId | None


@dataclass(frozen=True, slots=True)
class StartedUpload:
    """Room for a save, and where it goes."""

    upload_id: SaveVersionId
    savegame_id: SavegameId
    target: UploadTarget


@dataclass(frozen=True, slots=True)
class SignedDownload:
    """A version's bytes and where they are."""

    savegame_id: SavegameId
    version: SaveVersion
    url: str


class CloudSaves:
    """The use cases that need the object store."""

    def __init__(
        self,
        begin: Begin,
        reader: SaveReader,
        objects: SaveObjects,
        access: HasAccess,
        policy: SavePolicy,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._begin = begin
        self._reader = reader
        self._objects = objects
        self._access = access
        self.policy = policy
        self._now = now

    async def start_upload(self, request: UploadRequest) -> StartedUpload:
        """Reserve room for a save and sign where it goes.

        Raises:
            SavegameFileTooLarge, UserQuotaExceeded: there is no room for it.
            DomainError: INVALID_ARGUMENT, the slot's name; PRODUCT_ACCESS_DENIED.
        """
        check_name(request.slot_name)
        if request.size_bytes > self.policy.file_limit_bytes:
            raise SavegameFileTooLarge(self.policy.file_limit_bytes)
        if await self._access.since(request.user_id, request.product_id) is None:
            details = {"product_id": str(request.product_id)}
            raise DomainError(Kind.PERMISSION_DENIED, "PRODUCT_ACCESS_DENIED", details=details)
        now = self._now()
        async with _locked(self._begin, request.user_id) as tx:
            (await tx.saves.usage(request.user_id)).require_room(
                request.size_bytes, limit_bytes=self.policy.quota_bytes
            )
            before = await tx.saves.named(request.user_id, request.product_id, request.slot_name)
            slot = before or SaveSlot(SavegameId(uuid4()), request.user_id, request.product_id, request.slot_name)
            upload = self._upload(slot, request, now)
            await tx.saves.save(before, slot.with_upload(upload), now=now)
            tx.record(_status(slot, SavegameSyncStatus.SYNC_STARTED))
            await tx.commit()
        target = self._objects.presign_upload(
            upload.object_key, size_bytes=upload.size_bytes, sha256=upload.sha256, life=self.policy.url_life
        )
        return StartedUpload(upload.id, slot.id, target)

    async def confirm_upload(self, user_id: UserId, upload_id: SaveVersionId, *, object_key: str | None) -> SaveSlot:
        """Make an uploaded save a version of its slot; asked again, answer the same.

        Raises:
            SavegameUploadNotFound: there is no such upload, it ended, or its bytes are not there.
            SaveHashMismatch: the object is not what was announced.
            SavegameVersionConflict: it is kept, as the slot's conflict version.
        """
        async with self._begin(user_id) as tx:
            found = await tx.saves.of_upload(user_id, upload_id)
        upload = _upload_of(found, upload_id)
        if object_key is not None and object_key != upload.object_key:
            raise SavegameUploadNotFound(upload_id)
        if upload.state is VersionState.PENDING:
            await self._require_object(upload)
        now = self._now()
        async with _locked(self._begin, user_id) as tx:
            before = await tx.saves.of_upload(user_id, upload_id)
            upload = _upload_of(before, upload_id)
            assert before is not None  # noqa: S101  it has the upload
            slot = before
            if upload.state is VersionState.PENDING:
                slot = before.with_confirmed(upload_id, now)
                await tx.saves.save(before, slot, now=now)
                _record_confirmed(tx, slot, upload_id, now)
                await tx.commit()
        if slot.is_refused(_upload_of(slot, upload_id)):
            raise SavegameVersionConflict(slot)
        return slot

    async def sign_download(self, user_id: UserId, savegame_id: SavegameId, version: int | None) -> SignedDownload:
        """Sign where the bytes of a version are; of the current one for None.

        Raises:
            SavegameSlotNotFound, SavegameVersionNotFound: it does not exist.
        """
        slot = await get_slot(self._reader, user_id, savegame_id)
        assert slot.current is not None  # noqa: S101  a slot that is shown has one
        found = slot.version_numbered(slot.current.version if version is None else version)
        url = self._objects.presign_download(found.object_key, filename=slot.name, life=self.policy.url_life)
        return SignedDownload(savegame_id, found, url)

    async def restore(self, user_id: UserId, savegame_id: SavegameId, version: int) -> SaveSlot:
        """Make a new current version with the content of an older one. Its bytes count a second time.

        Raises:
            SavegameSlotNotFound, SavegameVersionNotFound, UserQuotaExceeded.
        """
        now = self._now()
        async with _locked(self._begin, user_id) as tx:
            before = await _found(tx, user_id, savegame_id)
            slot = before.restored(version, SaveVersionId(uuid4()), now)
            if slot != before:
                await self._save_with_room(tx, before, slot, before.version_numbered(version).size_bytes, now)
                tx.record(_status(slot, SavegameSyncStatus.SYNC_COMPLETED))
                await tx.commit()
        return slot

    async def resolve(self, user_id: UserId, savegame_id: SavegameId, keep: Keep, *, seen: int | None) -> SaveSlot:
        """End a slot's conflict.

        Raises:
            SavegameSlotNotFound, InvalidSaveChange, SavegameVersionConflict, UserQuotaExceeded.
        """
        now = self._now()
        async with _locked(self._begin, user_id) as tx:
            before = await _found(tx, user_id, savegame_id)
            slot, moved = before.resolved(
                keep, seen=seen, new_id=SaveVersionId(uuid4()), new_slot=SavegameId(uuid4()), now=now
            )
            more = sum(each.size_bytes for each in slot.versions) - sum(each.size_bytes for each in before.versions)
            if moved is not None:
                moved = await _with_free_name(tx, moved)
            await self._save_with_room(tx, before, slot, max(0, more), now)
            for each in filter(None, (slot, moved)):
                if each is moved:
                    await tx.saves.save(None, moved, now=now)
                tx.record(_status(each, SavegameSyncStatus.SYNC_COMPLETED))
            await tx.commit()
        return slot

    async def sweep(self) -> None:
        """End uploads that were never confirmed, and remove objects that no version names. A slot or an object at which it fails
        is passed over and comes again; the store of objects being unavailable ends the round.

        Raises:
            ExceptionGroup: what failed.
            DomainError: the database or the store of objects is unavailable.
        """
        failures: list[Exception] = []
        await self._end_uploads(failures)
        await self._remove_discarded(failures)
        if failures:
            raise ExceptionGroup("not everything was swept", failures)

    async def _end_uploads(self, failures: list[Exception]) -> None:
        ended_before = self._now() - UPLOAD_GRACE
        async with self._begin() as tx:
            expired = await tx.saves.expired(ended_before, limit=SWEEP_BATCH)
        for slot in expired:
            try:
                await self._end_uploads_of(slot.user_id, slot.id, ended_before)
            except Exception as error:
                if is_unavailable(error):
                    raise
                error.add_note(f"slot {slot.id}")
                failures.append(error)

    async def _end_uploads_of(self, user_id: UserId, savegame_id: SavegameId, ended_before: datetime) -> None:
        async with _locked(self._begin, user_id) as tx:
            before = await tx.saves.find(user_id, savegame_id)
            if before is None:
                return
            after = before.without_uploads_before(ended_before)
            if after == before:
                return
            kept = {each.id for each in after.versions}
            if any(each.state is VersionState.PENDING and each.id not in kept for each in before.versions):
                tx.record(_status(before, SavegameSyncStatus.SYNC_FAILED, "the upload was not confirmed in time"))
            is_needed = after.versions or after.last_version
            await tx.saves.save(before, after if is_needed else None, now=self._now())
            await tx.commit()

    async def _remove_discarded(self, failures: list[Exception]) -> None:
        now = self._now()
        async with self._begin() as tx:
            due = await tx.saves.due(now, limit=SWEEP_BATCH)
        for discarded in due:
            try:
                await self._remove_object(discarded)
            except Exception as error:
                if is_unavailable(error):
                    raise
                error.add_note(f"object {discarded.object_key}")
                failures.append(error)
                later = replace(discarded, again_at=max(discarded.again_at or now, now + SET_ASIDE_FOR))
                async with self._begin() as tx:
                    await tx.saves.postpone(later)
                    await tx.commit()

    async def _remove_object(self, discarded: DiscardedObject) -> None:
        async with _locked(self._begin, discarded.user_id) as tx:
            is_named = await tx.saves.is_named(discarded.user_id, discarded.object_key)
        if not is_named:
            # Keys are never used twice, so nothing can begin to name it now.
            await self._objects.remove(discarded.object_key)
        async with self._begin() as tx:
            await tx.saves.postpone(discarded)
            await tx.commit()

    def _upload(self, slot: SaveSlot, request: UploadRequest, now: datetime) -> SaveVersion:
        upload_id = SaveVersionId(uuid4())
        return SaveVersion(
            upload_id,
            object_key_of(slot, upload_id, now),
            request.size_bytes,
            request.sha256,
            request.client_modified_at,
            VersionState.PENDING,
            base_version=request.base_version,
            device_id=request.device_id,
            expires_at=now + self.policy.url_life,
        )

    async def _require_object(self, upload: SaveVersion) -> None:
        there = await self._objects.is_there(upload.object_key, size_bytes=upload.size_bytes, sha256=upload.sha256)
        if there is None:
            raise SavegameUploadNotFound(upload.id)
        if not there:
            raise SaveHashMismatch(upload.id)

    async def _save_with_room(
        self, tx: Transaction, before: SaveSlot, after: SaveSlot, size_bytes: int, now: datetime
    ) -> None:
        usage = await tx.saves.usage(before.user_id)
        usage.require_room(size_bytes, limit_bytes=self.policy.quota_bytes)
        await tx.saves.save(before, after, now=now)


async def get_slot(reader: SaveReader, user_id: UserId, savegame_id: SavegameId) -> SaveSlot:
    """One slot of the user's. Raises: SavegameSlotNotFound."""
    slot = await reader.get_slot(user_id, savegame_id)
    if slot is None:
        raise SavegameSlotNotFound(savegame_id)
    return slot


async def update_slot(
    begin: Begin, user_id: UserId, savegame_id: SavegameId, changes: SavegameChanges, *, now: datetime
) -> SaveSlot:
    """Change what the user says of a slot. Raises: SavegameSlotNotFound."""
    return await _change(begin, user_id, savegame_id, lambda slot: slot.changed(changes), now=now)


async def lock_version(
    begin: Begin, user_id: UserId, savegame_id: SavegameId, version: int, *, is_locked: bool, now: datetime
) -> tuple[SaveSlot, SaveVersion]:
    """Lock or unlock a version. Raises: SavegameSlotNotFound, SavegameVersionNotFound, InvalidSaveChange."""
    slot = await _change(
        begin, user_id, savegame_id, lambda slot: slot.with_lock(version, is_locked=is_locked), now=now
    )
    return slot, slot.version_numbered(version)


async def remove_version(
    begin: Begin, user_id: UserId, savegame_id: SavegameId, version: int, *, now: datetime
) -> None:
    """Remove a version. Raises: SavegameSlotNotFound, SavegameVersionNotFound, InvalidSaveChange."""
    await _change(begin, user_id, savegame_id, lambda slot: slot.without_version(version), now=now)


async def remove_slot(
    begin: Begin, user_id: UserId, savegame_id: SavegameId, *, base_version: int | None, now: datetime
) -> None:
    """Remove a slot with all its versions.

    Raises:
        SavegameSlotNotFound: it does not exist.
        SavegameVersionConflict: its current version is another one than the caller knows.
    """
    async with _locked(begin, user_id) as tx:
        slot = await _found(tx, user_id, savegame_id)
        if base_version is not None and slot.current is not None and slot.current.version != base_version:
            raise SavegameVersionConflict(slot)
        await tx.saves.save(slot, None, now=now)
        tx.record(
            SavegameSyncStatusChanged(user_id, slot.product_id, slot.id, slot.name, SavegameSyncStatus.SYNC_COMPLETED)
        )
        await tx.commit()


async def _change(
    begin: Begin, user_id: UserId, savegame_id: SavegameId, change: Callable[[SaveSlot], SaveSlot], *, now: datetime
) -> SaveSlot:
    async with _locked(begin, user_id) as tx:
        before = await _found(tx, user_id, savegame_id)
        after = change(before)
        if after != before:
            await tx.saves.save(before, after, now=now)
            await tx.commit()
    return after


@asynccontextmanager
async def _locked(begin: Begin, user_id: UserId) -> AsyncIterator[Transaction]:
    """A transaction that holds the user: slots, names and the quota are decided over rows that may not be there yet."""
    async with begin(user_id) as tx:
        await tx.lock_user(user_id)
        yield tx


async def _found(tx: Transaction, user_id: UserId, savegame_id: SavegameId) -> SaveSlot:
    slot = await tx.saves.find(user_id, savegame_id)
    if slot is None or slot.current is None:
        raise SavegameSlotNotFound(savegame_id)
    return slot


async def _with_free_name(tx: Transaction, slot: SaveSlot) -> SaveSlot:
    """The slot under its name, or under that with a number that is free."""
    name, count = slot.name, 1
    while await tx.saves.named(slot.user_id, slot.product_id, name) is not None:
        count += 1
        name = f"{slot.name[:240]} {count}"
    return replace(slot, name=name)


def _upload_of(slot: SaveSlot | None, upload_id: SaveVersionId) -> SaveVersion:
    found = next((each for each in slot.versions if each.id == upload_id), None) if slot else None
    if found is None:
        raise SavegameUploadNotFound(upload_id)
    return found


def _record_confirmed(tx: Transaction, slot: SaveSlot, upload_id: SaveVersionId, now: datetime) -> None:
    upload = _upload_of(slot, upload_id)
    if slot.is_refused(upload):
        tx.record(_status(slot, SavegameSyncStatus.CONFLICT))
    elif upload.state is VersionState.CURRENT:
        tx.record(
            SavegameUploaded(
                slot.user_id,
                slot.product_id,
                slot.id,
                slot.name,
                upload.object_key,
                upload.size_bytes,
                client_timestamp=upload.client_modified_at,
                server_timestamp=now,
            )
        )
    else:
        tx.record(_status(slot, SavegameSyncStatus.SYNC_COMPLETED))


def _status(slot: SaveSlot, status: SavegameSyncStatus, error_message: str | None = None) -> SavegameSyncStatusChanged:
    synced = slot.current.uploaded_at if slot.current else None
    return SavegameSyncStatusChanged(
        slot.user_id, slot.product_id, slot.id, slot.name, status, last_synced_at=synced, error_message=error_message
    )
