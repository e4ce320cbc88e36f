"""CloudSaveService: a user's saves. Called by games over gRPC, and by the gateway in the user's name."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import saves_pb2 as pb
from library.v1.saves_pb2_grpc import CloudSaveServiceServicer
from prometheus_client import Counter
from samovar.types.v1.page_pb2 import PageInfo

from chassis.cloudevents.moments import to_timestamp
from library_svc.callers import current_user
from library_svc.ids import DeviceId, ProductId, SavegameId, SaveVersionId
from library_svc.items.messages import DEFAULT_LIMIT, DEFAULT_PAGE
from library_svc.masks import masked
from library_svc.saves import application as saves
from library_svc.saves.application import CloudSaves, SaveReader, UploadRequest
from library_svc.saves.domain import Keep, SavegameChanges, SavegameVersionConflict, SaveSlot, SaveVersion, VersionState
from library_svc.transaction import Begin

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["CloudSaveService"].full_name

CLEARABLE: Final = frozenset({"comment"})
"""Attributes of a slot that may be named in the mask without a value."""

_STATES: Final = {
    VersionState.CURRENT: pb.SAVEGAME_VERSION_STATE_CURRENT,
    VersionState.KEPT: pb.SAVEGAME_VERSION_STATE_KEPT,
    VersionState.CONFLICT: pb.SAVEGAME_VERSION_STATE_CONFLICT,
}
_KEEPS: Final = {
    pb.SAVEGAME_KEEP_CLOUD: Keep.CLOUD,
    pb.SAVEGAME_KEEP_LOCAL: Keep.LOCAL,
    pb.SAVEGAME_KEEP_BOTH: Keep.BOTH,
}

_confirmed = Counter("savegame_uploads_confirmed", "Uploads of saves that were confirmed, by outcome.", ["outcome"])
_confirmed_bytes = Counter("savegame_uploads_confirmed_bytes", "Bytes of the saves that became current.")

Context = grpc.aio.ServicerContext[Any, Any]


class CloudSaveServicer(CloudSaveServiceServicer):
    def __init__(self, begin: Begin, reader: SaveReader, cloud: CloudSaves, *, now: Callable[[], datetime]) -> None:
        self._begin = begin
        self._reader = reader
        self._cloud = cloud
        self._now = now

    async def ListSavegames(self, request: pb.ListSavegamesRequest, _context: Context) -> pb.ListSavegamesResponse:
        page, limit = request.page or DEFAULT_PAGE, request.limit or DEFAULT_LIMIT
        product_id = ProductId(UUID(request.product_id)) if request.HasField("product_id") else None
        found = await self._reader.list_slots(current_user(), product_id, page=page, limit=limit)
        return pb.ListSavegamesResponse(
            savegames=[savegame_message(slot) for slot in found.slots],
            page=PageInfo(total_items=found.total_items, current_page=page, per_page=limit),
        )

    async def GetSavegame(self, request: pb.GetSavegameRequest, _context: Context) -> pb.GetSavegameResponse:
        slot = await saves.get_slot(self._reader, current_user(), _slot_id(request))
        return pb.GetSavegameResponse(savegame=savegame_message(slot))

    async def UpdateSavegame(self, request: pb.UpdateSavegameRequest, _context: Context) -> pb.UpdateSavegameResponse:
        changes = SavegameChanges(**masked(request.savegame, request.update_mask, at="savegame", clearable=CLEARABLE))
        slot = await saves.update_slot(self._begin, current_user(), _slot_id(request), changes, now=self._now())
        return pb.UpdateSavegameResponse(savegame=savegame_message(slot))

    async def DeleteSavegame(self, request: pb.DeleteSavegameRequest, _context: Context) -> pb.DeleteSavegameResponse:
        base_version = request.base_version if request.HasField("base_version") else None
        await saves.remove_slot(
            self._begin, current_user(), _slot_id(request), base_version=base_version, now=self._now()
        )
        return pb.DeleteSavegameResponse()

    async def ListSavegameVersions(
        self, request: pb.ListSavegameVersionsRequest, _context: Context
    ) -> pb.ListSavegameVersionsResponse:
        page, limit = request.page or DEFAULT_PAGE, request.limit or DEFAULT_LIMIT
        slot = await saves.get_slot(self._reader, current_user(), _slot_id(request))
        shown = slot.confirmed[(page - 1) * limit : page * limit]
        return pb.ListSavegameVersionsResponse(
            versions=[version_message(slot, each) for each in shown],
            page=PageInfo(total_items=len(slot.confirmed), current_page=page, per_page=limit),
        )

    async def CreateUploadUrl(
        self, request: pb.CreateUploadUrlRequest, _context: Context
    ) -> pb.CreateUploadUrlResponse:
        modified = request.client_modified_at
        started = await self._cloud.start_upload(
            UploadRequest(
                user_id=current_user(),
                product_id=ProductId(UUID(request.product_id)),
                slot_name=request.save_slot_name,
                size_bytes=request.file_size_bytes,
                sha256=request.file_hash_sha256,
                client_modified_at=_moment(modified) if request.HasField("client_modified_at") else self._now(),
                base_version=request.base_version if request.HasField("base_version") else None,
                device_id=DeviceId(UUID(request.device_id)) if request.HasField("device_id") else None,
            )
        )
        return pb.CreateUploadUrlResponse(
            upload=pb.PresignedUploadUrl(
                internal_save_id=str(started.upload_id),
                savegame_id=str(started.savegame_id),
                upload_url=started.target.url,
                method=started.target.method,
                headers=dict(started.target.headers),
                expires_in_seconds=int(self._cloud.policy.url_life.total_seconds()),
            )
        )

    async def ConfirmUpload(self, request: pb.ConfirmUploadRequest, _context: Context) -> pb.ConfirmUploadResponse:
        try:
            slot = await self._cloud.confirm_upload(
                current_user(),
                SaveVersionId(UUID(request.internal_save_id)),
                object_key=request.s3_path if request.HasField("s3_path") else None,
            )
        except SavegameVersionConflict:
            _confirmed.labels("conflict").inc()
            raise
        _confirmed.labels("synced").inc()
        _confirmed_bytes.inc(slot.current.size_bytes if slot.current else 0)
        return pb.ConfirmUploadResponse(savegame=savegame_message(slot))

    async def CreateDownloadUrl(
        self, request: pb.CreateDownloadUrlRequest, _context: Context
    ) -> pb.CreateDownloadUrlResponse:
        version = request.version if request.HasField("version") else None
        signed = await self._cloud.sign_download(current_user(), _slot_id(request), version)
        return pb.CreateDownloadUrlResponse(
            download=pb.PresignedDownloadUrl(
                savegame_id=str(signed.savegame_id),
                version=signed.version.version,
                download_url=signed.url,
                expires_in_seconds=int(self._cloud.policy.url_life.total_seconds()),
                file_size_bytes=signed.version.size_bytes,
                file_hash_sha256=signed.version.sha256,
            )
        )

    async def RestoreSavegameVersion(
        self, request: pb.RestoreSavegameVersionRequest, _context: Context
    ) -> pb.RestoreSavegameVersionResponse:
        slot = await self._cloud.restore(current_user(), _slot_id(request), request.version)
        return pb.RestoreSavegameVersionResponse(savegame=savegame_message(slot))

    async def LockSavegameVersion(
        self, request: pb.LockSavegameVersionRequest, _context: Context
    ) -> pb.LockSavegameVersionResponse:
        return pb.LockSavegameVersionResponse(version=await self._locked(request, is_locked=True))

    async def UnlockSavegameVersion(
        self, request: pb.UnlockSavegameVersionRequest, _context: Context
    ) -> pb.UnlockSavegameVersionResponse:
        return pb.UnlockSavegameVersionResponse(version=await self._locked(request, is_locked=False))

    async def DeleteSavegameVersion(
        self, request: pb.DeleteSavegameVersionRequest, _context: Context
    ) -> pb.DeleteSavegameVersionResponse:
        await saves.remove_version(self._begin, current_user(), _slot_id(request), request.version, now=self._now())
        return pb.DeleteSavegameVersionResponse()

    async def ResolveSavegameConflict(
        self, request: pb.ResolveSavegameConflictRequest, _context: Context
    ) -> pb.ResolveSavegameConflictResponse:
        seen = request.conflict_version if request.HasField("conflict_version") else None
        slot = await self._cloud.resolve(current_user(), _slot_id(request), _KEEPS[request.keep], seen=seen)
        return pb.ResolveSavegameConflictResponse(savegame=savegame_message(slot))

    async def GetSavegameQuota(
        self, _request: pb.GetSavegameQuotaRequest, _context: Context
    ) -> pb.GetSavegameQuotaResponse:
        user_id = current_user()
        usage = await self._reader.usage(user_id)
        return pb.GetSavegameQuotaResponse(
            quota=pb.SavegameQuota(
                user_id=str(user_id),
                used_bytes=usage.used_bytes,
                reserved_bytes=usage.reserved_bytes,
                limit_bytes=self._cloud.policy.quota_bytes,
            )
        )

    async def _locked(
        self, request: pb.LockSavegameVersionRequest | pb.UnlockSavegameVersionRequest, *, is_locked: bool
    ) -> pb.SavegameVersion:
        slot, version = await saves.lock_version(
            self._begin, current_user(), _slot_id(request), request.version, is_locked=is_locked, now=self._now()
        )
        return version_message(slot, version)


def _slot_id(request: Any) -> SavegameId:
    return SavegameId(UUID(request.savegame_id))


def _moment(timestamp: Any) -> datetime:
    moment: datetime = timestamp.ToDatetime(tzinfo=UTC)
    return moment


def savegame_message(slot: SaveSlot) -> pb.Savegame:
    """The slot as its user sees it; it has a current version."""
    current, conflict = slot.current, slot.conflict
    assert current is not None  # noqa: S101  a slot that is shown has one
    return pb.Savegame(
        id=str(slot.id),
        product_id=str(slot.product_id),
        save_slot_name=slot.name,
        version=current.version,
        conflict_version=conflict.version if conflict else None,
        file_size_bytes=current.size_bytes,
        file_hash_sha256=current.sha256,
        client_modified_at=to_timestamp(current.client_modified_at),
        server_uploaded_at=to_timestamp(current.uploaded_at),
        device_id=str(current.device_id) if current.device_id else None,
        comment=slot.comment,
    )


def version_message(slot: SaveSlot, version: SaveVersion) -> pb.SavegameVersion:
    """A confirmed version of the slot."""
    return pb.SavegameVersion(
        id=str(version.id),
        savegame_id=str(slot.id),
        version=version.version,
        state=_STATES[version.state],
        is_locked=version.is_locked,
        file_size_bytes=version.size_bytes,
        file_hash_sha256=version.sha256,
        client_modified_at=to_timestamp(version.client_modified_at),
        server_uploaded_at=to_timestamp(version.uploaded_at),
        device_id=str(version.device_id) if version.device_id else None,
    )
