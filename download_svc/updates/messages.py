"""Messages of download.v1.UpdateService to values of the application, and back."""

from collections.abc import Mapping
from uuid import UUID

from download.v1 import downloads_pb2 as downloads
from download.v1 import updates_pb2 as pb

from download_svc.paging import PageRequest
from download_svc.patches.domain import OfferedPatch
from download_svc.sessions.application import StartRequest
from download_svc.sessions.domain import Session, Target, UpdateType
from download_svc.sessions.messages import PAGE_NUMBER, PAGE_SIZE
from download_svc.updates.application import Availability, InstalledProduct
from download_svc.updates.domain import HistoryEntry, Update, UpdateOutcome, UpdateStatus
from download_svc.updates.plans import FileAction, FilePlan, VersionPlan

PLAN_FILES = 100
MAX_PLAN_CHUNKS = 20_000
"""Chunks in one answer, which keeps it under a gRPC message's 4 MiB; the file that goes over it is the answer's last."""

_UPDATE_TYPES: Mapping[UpdateType, downloads.UpdateType] = {
    kind: getattr(downloads, f"UPDATE_TYPE_{kind.name}") for kind in UpdateType
}
_ACTIONS: Mapping[FileAction, pb.FileAction] = {
    action: getattr(pb, f"FILE_ACTION_{action.name}") for action in FileAction
}
_ACTION_OF: Mapping[int, FileAction] = {value: action for action, value in _ACTIONS.items()}
_STATUSES: Mapping[UpdateStatus, pb.UpdateStatus] = {
    status: getattr(pb, f"UPDATE_STATUS_{status.name}") for status in UpdateStatus
}
_STATUS_OF: Mapping[int, UpdateStatus] = {value: status for status, value in _STATUSES.items()}
_OUTCOMES: Mapping[UpdateOutcome, pb.UpdateOutcome] = {
    outcome: getattr(pb, f"UPDATE_OUTCOME_{outcome.name}") for outcome in UpdateOutcome
}


def installed_products(message: pb.CheckUpdatesRequest) -> list[InstalledProduct]:
    return [InstalledProduct(UUID(one.id), UUID(one.current_version_id)) for one in message.products]


def apply_request(message: pb.ApplyUpdateRequest | pb.RollbackUpdateRequest) -> StartRequest:
    return StartRequest(
        product_id=UUID(message.product_id),
        version_id=UUID(message.to_version_id) if message.HasField("to_version_id") else None,
        target=Target(
            UUID(message.device_id) if message.HasField("device_id") else None,
            message.installation_path if message.HasField("installation_path") else None,
        ),
        priority=message.priority if message.HasField("priority") else None,
        free_space_bytes=message.client_free_space_bytes if message.HasField("client_free_space_bytes") else None,
    )


def page_request(message: pb.ListUpdatesRequest | pb.ListUpdateHistoryRequest) -> PageRequest:
    return PageRequest(
        message.page if message.HasField("page") else PAGE_NUMBER,
        message.limit if message.HasField("limit") else PAGE_SIZE,
    )


def action_filter(message: pb.GetDownloadPlanRequest) -> FileAction | None:
    return _ACTION_OF.get(message.action)


def status_filter(message: pb.ListUpdatesRequest) -> UpdateStatus | None:
    return _STATUS_OF.get(message.status)


def product_filter(message: pb.ListUpdatesRequest | pb.ListUpdateHistoryRequest) -> UUID | None:
    return UUID(message.product_id) if message.HasField("product_id") else None


def update_message(update: Update) -> pb.Update:
    return pb.Update(
        id=str(update.id),
        product_id=str(update.product_id),
        from_version_id=str(update.from_version_id),
        to_version_id=str(update.to_version_id),
        update_type=_UPDATE_TYPES[update.type],
        size_bytes=update.size_bytes,
        release_notes_url=update.release_notes_url,
        status=_STATUSES[update.status],
        created_at=update.created_at,
        updated_at=update.updated_at,
    )


def history_message(entry: HistoryEntry) -> pb.UpdateHistoryEntry:
    return pb.UpdateHistoryEntry(
        id=str(entry.id),
        product_id=str(entry.product_id),
        applied_version_id=str(entry.applied_version_id),
        previous_version_id=str(entry.previous_version_id) if entry.previous_version_id else None,
        status=_OUTCOMES[entry.outcome],
        applied_at=entry.applied_at,
        error_message=entry.error_message,
    )


def availability_message(found: Availability) -> pb.UpdateAvailability:
    latest, cost = found.latest, found.cost
    return pb.UpdateAvailability(
        id=str(found.product.product_id),
        current_version_id=str(found.product.current_version_id),
        is_update_available=cost is not None,
        latest_version_id=str(latest.version_id) if latest else None,
        update_type=_UPDATE_TYPES[cost.update_type] if cost else None,
        update_size_bytes=cost.fetch_bytes if cost else None,
        required_disk_space_bytes=cost.required_disk_space_bytes if cost else None,
        is_critical=found.is_critical,
        release_notes_url=latest.release_notes_url if latest else None,
        is_rollback=found.is_rollback,
    )


def plan_message(
    session: Session,
    plan: VersionPlan,
    *,
    after: str | None = None,
    limit: int = PLAN_FILES,
    action: FileAction | None = None,
) -> pb.DownloadPlan:
    """Totals, and the files behind `after`, of one action or all: at most `limit`, and no more once they have MAX_PLAN_CHUNKS
    chunks.
    """
    message = pb.DownloadPlan(
        id=str(session.id),
        from_version_id=str(session.from_version_id) if session.from_version_id else None,
        to_version_id=str(session.version_id),
        update_type=_UPDATE_TYPES[plan.update_type],
        fetch_bytes=plan.fetch_bytes,
        required_disk_space_bytes=plan.required_disk_space_bytes,
        total_files=len(plan.files),
    )
    chunks = 0
    for one in plan.files:
        if action not in (None, one.action) or (after is not None and one.path.encode() <= after.encode()):
            continue
        if len(message.files) == limit or chunks >= MAX_PLAN_CHUNKS:
            message.next_after = message.files[-1].path
            break
        message.files.append(_file_message(one))
        chunks += len(one.on_disk) + len(one.fetch)
    return message


def _file_message(file: FilePlan) -> pb.FilePlan:
    return pb.FilePlan(
        path=file.path,
        action=_ACTIONS[file.action],
        size_bytes=file.size_bytes,
        from_path=file.from_path if file.action is FileAction.COPY else None,
        on_disk=[
            pb.DiskChunk(
                sha256=one.sha256.hex(), size_bytes=one.size_bytes, path=one.path, offset_bytes=one.offset_bytes
            )
            for one in file.on_disk
        ],
        fetch=[pb.FetchChunk(sha256=one.sha256.hex(), stored_size_bytes=one.stored_size_bytes) for one in file.fetch],
        patch=_patch_message(file.from_path, file.patch) if file.patch else None,
    )


def _patch_message(from_path: str | None, patch: OfferedPatch) -> pb.FilePatch:
    return pb.FilePatch(
        algorithm=patch.algorithm,
        from_path=from_path or "",
        from_sha256=patch.from_sha256.hex(),
        from_size_bytes=patch.from_size_bytes,
        to_sha256=patch.to_sha256.hex(),
        sha256=patch.sha256.hex(),
        size_bytes=patch.size_bytes,
    )
