"""Domain events as the platform's events (contract section 6): one message each, keyed by the user."""

from collections.abc import Mapping

from download.v1 import downloads_pb2, events_pb2
from google.protobuf.message import Message

from chassis.cloudevents.events import NewEvent, new_event
from download_svc.events import Event
from download_svc.installations.domain import GameInstalled, GameUninstalled
from download_svc.sessions.domain import Failure, ItemMoved, ItemStatus, SessionMoved, Status, UpdateType
from download_svc.updates.domain import UpdateOffered
from download_svc.verifications.domain import VerificationCompleted, VerificationStatus

STATUSES: Mapping[Status, downloads_pb2.DownloadStatus] = {
    status: getattr(downloads_pb2, f"DOWNLOAD_STATUS_{status.name}") for status in Status
}
ITEM_STATUSES: Mapping[ItemStatus, downloads_pb2.DownloadItemStatus] = {
    status: getattr(downloads_pb2, f"DOWNLOAD_ITEM_STATUS_{status.name}") for status in ItemStatus
}


UPDATE_TYPES: Mapping[UpdateType, downloads_pb2.UpdateType] = {
    kind: getattr(downloads_pb2, f"UPDATE_TYPE_{kind.name}") for kind in UpdateType
}
OUTCOMES: Mapping[VerificationStatus, events_pb2.VerificationOutcome] = {
    VerificationStatus.COMPLETED_OK: events_pb2.VERIFICATION_OUTCOME_SUCCESS,
    VerificationStatus.COMPLETED_ERRORS: events_pb2.VERIFICATION_OUTCOME_FAILED_REPAIR_NEEDED,
    VerificationStatus.FAILED_TO_REPAIR: events_pb2.VERIFICATION_OUTCOME_FAILED_CANNOT_REPAIR,
}
"""Verifications that have come to an end."""


def to_new_event(event: Event) -> NewEvent:
    """The event for the outbox."""
    return new_event(to_message(event), key=str(event.user_id))


def to_message(event: Event) -> Message:
    """The event as a message of download.v1."""
    match event:
        case SessionMoved():
            return _session_moved(event)
        case ItemMoved():
            return _item_moved(event)
        case GameInstalled():
            return _game_installed(event)
        case GameUninstalled():
            return _game_uninstalled(event)
        case UpdateOffered():
            return _update_offered(event)
        case VerificationCompleted():
            return _verification_completed(event)


def _session_moved(event: SessionMoved) -> events_pb2.DownloadSessionStatusChanged:
    return events_pb2.DownloadSessionStatusChanged(
        download_session_id=str(event.session_id),
        user_id=str(event.user_id),
        product_id=str(event.product_id),
        version_id=str(event.version_id),
        new_status=STATUSES[event.new],
        previous_status=None if event.previous is None else STATUSES[event.previous],
        timestamp=event.at,
        details=_details(event.failure),
    )


def _item_moved(event: ItemMoved) -> events_pb2.DownloadItemStatusChanged:
    return events_pb2.DownloadItemStatusChanged(
        download_session_id=str(event.session_id),
        download_item_id=str(event.item_id),
        file_metadata_id=str(event.file_metadata_id),
        relative_path=event.relative_path,
        new_status=ITEM_STATUSES[event.new],
        previous_status=ITEM_STATUSES[event.previous],
        downloaded_bytes=event.downloaded_bytes,
        total_file_size_bytes=event.total_size_bytes,
        timestamp=event.at,
        error_details=_details(event.failure),
    )


def _game_installed(event: GameInstalled) -> events_pb2.GameInstalled:
    return events_pb2.GameInstalled(
        user_id=str(event.user_id),
        product_id=str(event.product_id),
        version_id=str(event.version_id),
        device_id=None if event.device_id is None else str(event.device_id),
        remaining_installations=event.remaining_installations,
        timestamp=event.at,
    )


def _game_uninstalled(event: GameUninstalled) -> events_pb2.GameUninstalled:
    return events_pb2.GameUninstalled(
        user_id=str(event.user_id),
        product_id=str(event.product_id),
        version_id=str(event.version_id),
        device_id=None if event.device_id is None else str(event.device_id),
        remaining_installations=event.remaining_installations,
        timestamp=event.at,
    )


def _update_offered(event: UpdateOffered) -> events_pb2.DownloadUpdateAvailable:
    return events_pb2.DownloadUpdateAvailable(
        user_id=str(event.user_id),
        product_id=str(event.product_id),
        current_version_id=str(event.current_version_id),
        new_version_id=str(event.new_version_id),
        update_type=UPDATE_TYPES[event.type],
        update_size_bytes=event.size_bytes,
        timestamp=event.at,
    )


def _verification_completed(event: VerificationCompleted) -> events_pb2.FileVerificationCompleted:
    return events_pb2.FileVerificationCompleted(
        download_session_id=None if event.session_id is None else str(event.session_id),
        user_id=str(event.user_id),
        product_id=str(event.product_id),
        version_id=str(event.version_id),
        verification_status=OUTCOMES[event.status],
        corrupted_files_count=event.corrupted_files,
        repaired_files_count=event.repaired_files,
        timestamp=event.at,
        device_id=None if event.device_id is None else str(event.device_id),
    )


def _details(failure: Failure | None) -> events_pb2.StatusDetails | None:
    return None if failure is None else events_pb2.StatusDetails(error_code=failure.code, error_message=failure.message)
