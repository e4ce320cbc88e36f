"""Messages of download.v1 to values of the application, and back. Shape and limits were checked by the validation interceptor."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from catalog.v1 import events_pb2 as catalog_events
from content.v1 import manifest_pb2 as content
from download.v1 import downloads_pb2 as downloads
from download.v1 import events_pb2 as download_events
from google.protobuf.timestamp_pb2 import Timestamp
from samovar.types.v1 import page_pb2

from chassis.cloudevents.moments import from_timestamp
from chassis.errors import DomainError, Kind
from chassis.errors.reasons import REASONS, texts
from download_svc.links.application import ChunkLinks, ManifestLink
from download_svc.paging import PageRequest
from download_svc.sessions.application import SessionView, StartRequest
from download_svc.sessions.domain import (
    NO_REPORT_YET,
    Failure,
    Item,
    ItemReport,
    ItemStatus,
    PauseReason,
    SessionMoved,
    Status,
    Target,
    UpdateType,
)
from download_svc.sessions.progress import LiveProgress, seconds_left
from download_svc.updates.domain import UpdateOffered
from download_svc.versions.domain import STABLE_CHANNEL, Announcement
from download_svc.versions.manifests import Platform

PAGE_NUMBER = 1
PAGE_SIZE = 20

_STATUSES: Mapping[Status, downloads.DownloadStatus] = {
    status: getattr(downloads, f"DOWNLOAD_STATUS_{status.name}") for status in Status
}
_STATUS_OF: Mapping[int, Status] = {value: status for status, value in _STATUSES.items()}
_ITEM_STATUSES: Mapping[ItemStatus, downloads.DownloadItemStatus] = {
    status: getattr(downloads, f"DOWNLOAD_ITEM_STATUS_{status.name}") for status in ItemStatus
}
_ITEM_STATUS_OF: Mapping[int, ItemStatus] = {value: status for status, value in _ITEM_STATUSES.items()}
_UPDATE_TYPES: Mapping[UpdateType, downloads.UpdateType] = {
    kind: getattr(downloads, f"UPDATE_TYPE_{kind.name}") for kind in UpdateType
}
_UPDATE_TYPE_OF: Mapping[int, UpdateType] = {value: kind for kind, value in _UPDATE_TYPES.items()}
_PAUSE_REASONS: Mapping[PauseReason, downloads.PauseReason] = {
    reason: getattr(downloads, f"PAUSE_REASON_{reason.name}") for reason in PauseReason
}
_PLATFORMS: Mapping[Platform, content.Platform] = {
    platform: getattr(content, f"PLATFORM_{platform.name}") for platform in Platform
}
_PLATFORM_OF: Mapping[int, Platform] = {value: platform for platform, value in _PLATFORMS.items()}


def start_request(message: downloads.StartDownloadRequest) -> StartRequest:
    return StartRequest(
        product_id=UUID(message.product_id),
        version_id=UUID(message.version_id) if message.HasField("version_id") else None,
        # An unspecified platform says as much as none.
        platform=_PLATFORM_OF.get(message.platform),
        target=Target(
            UUID(message.device_id) if message.HasField("device_id") else None,
            message.installation_path if message.HasField("installation_path") else None,
        ),
        priority=message.priority if message.HasField("priority") else None,
        free_space_bytes=message.client_free_space_bytes if message.HasField("client_free_space_bytes") else None,
    )


def page_request(message: downloads.ListDownloadsRequest | downloads.ListDownloadItemsRequest) -> PageRequest:
    return PageRequest(
        message.page if message.HasField("page") else PAGE_NUMBER,
        message.limit if message.HasField("limit") else PAGE_SIZE,
    )


def page_info(page: PageRequest, total: int) -> page_pb2.PageInfo:
    return page_pb2.PageInfo(total_items=total, current_page=page.number, per_page=page.size)


def status_filter(message: downloads.ListDownloadsRequest) -> Status | None:
    return _STATUS_OF.get(message.status)


def item_status_filter(message: downloads.ListDownloadItemsRequest) -> ItemStatus | None:
    return _ITEM_STATUS_OF.get(message.status)


def link_ids(message: downloads.CreateDownloadLinksRequest) -> Sequence[bytes | UUID]:
    """A chunk's SHA-256 is 64 hex digits, a file_metadata_id a UUID: the proto allows nothing else."""
    return [UUID(one) if "-" in one else bytes.fromhex(one) for one in message.ids]


def item_reports(message: downloads.ReportDownloadRequest) -> Sequence[ItemReport]:
    return [
        ItemReport(
            UUID(item.item_id),
            _ITEM_STATUS_OF[item.status],
            item.downloaded_bytes,
            item.cdn_provider if item.HasField("cdn_provider") else None,
            item.error_code if item.HasField("error_code") else None,
        )
        for item in message.items
    ]


def session_message(view: SessionView, live: LiveProgress | None, language: str) -> downloads.DownloadSession:
    session = view.session
    # A speed is that of a client at work: what a session did before it stopped is nobody's speed.
    speed_bps = live.speed_bps if live is not None and session.holds_slot else None
    return downloads.DownloadSession(
        id=str(session.id),
        product_id=str(session.product_id),
        version_id=str(session.version_id),
        device_id=_text(session.device_id),
        status=_STATUSES[session.status],
        update_type=None if session.update_type is None else _UPDATE_TYPES[session.update_type],
        total_size_bytes=session.total_size_bytes,
        downloaded_bytes=session.downloaded_bytes,
        progress_percentage=session.progress_percentage,
        current_speed_bps=speed_bps,
        estimated_time_left_seconds=seconds_left(speed_bps, session.downloaded_bytes, session.total_size_bytes),
        installation_path=session.installation_path,
        priority=session.priority,
        queue_position=view.queue_position,
        error=None if session.failure is None else failure_message(session.failure, language),
        created_at=session.created_at,
        updated_at=session.updated_at,
        platform=_PLATFORMS[session.platform],
        report_sequence=None if session.last_sequence == NO_REPORT_YET else session.last_sequence,
        from_version_id=_text(session.from_version_id),
        pause_reason=None if session.pause_reason is None else _PAUSE_REASONS[session.pause_reason],
    )


def failure_message(failure: Failure, language: str) -> downloads.DownloadFailure:
    """The platform's own title for a code it knows, in the caller's language, before what is kept."""
    message = failure.message
    if failure.code in REASONS:
        title, _ = texts(failure.code, language, {})
        message = f"{title} ({message})" if message else title
    return downloads.DownloadFailure(code=failure.code, message=message)


def item_message(item: Item) -> downloads.DownloadItem:
    return downloads.DownloadItem(
        id=str(item.id),
        file_metadata_id=str(item.file_metadata_id),
        relative_path=item.relative_path,
        status=_ITEM_STATUSES[item.status],
        downloaded_bytes=item.downloaded_bytes,
        total_size_bytes=item.total_size_bytes,
        retry_count=item.retry_count,
        cdn_provider=item.cdn_provider,
        error_code=None if item.failure is None else item.failure.code,
    )


def manifest_message(link: ManifestLink) -> downloads.ManifestReference:
    return downloads.ManifestReference(
        id=str(link.session_id),
        manifest_url=link.url,
        size_bytes=link.manifest.size_bytes,
        sha256=link.manifest.sha256.hex(),
        signature=link.manifest.signature,
        key_id=link.manifest.signed_by,
        expires_at=link.expires_at,
    )


def link_message(links: ChunkLinks) -> downloads.DownloadLink:
    return downloads.DownloadLink(
        id=links.chunk.sha256.hex(),
        stored_size_bytes=links.chunk.stored_size_bytes,
        stored_sha256=links.chunk.stored_sha256.hex(),
        candidates=[
            downloads.LinkCandidate(url=link.url, cdn_provider=link.cdn_provider, expires_at=link.expires_at)
            for link in links.candidates
        ],
    )


def announcement(message: catalog_events.VersionPublished, *, now: datetime) -> Announcement:
    """The version that was published. One that says it will come out later came out now: it can be downloaded, and it must not be
    newer than all that follow it until then.

    Raises: EVENT_INVALID when a member is missing or not what it should be.
    """
    platform = _PLATFORM_OF.get(message.platform)
    if platform is None:
        raise event_invalid("platform is missing")
    if not message.HasField("release_date"):
        raise event_invalid("releaseDate is missing")
    return Announcement(
        product_id=event_uuid(message.product_id, "productId"),
        version_id=event_uuid(message.version_id, "versionId"),
        version_name=message.version_name,
        platform=platform,
        channel=message.channel or STABLE_CHANNEL,
        released_at=min(from_timestamp(message.release_date), now),
        manifest_url=message.file_manifest_url,
        is_critical=message.is_critical,
        release_notes_url=message.release_notes_url if message.HasField("release_notes_url") else None,
    )


def session_moved(message: download_events.DownloadSessionStatusChanged) -> SessionMoved:
    """Raises: EVENT_INVALID."""
    if message.new_status not in _STATUS_OF:
        raise event_invalid("newStatus is missing")
    timestamp: Timestamp = message.timestamp
    return SessionMoved(
        session_id=event_uuid(message.download_session_id, "downloadSessionId"),
        user_id=event_uuid(message.user_id, "userId"),
        product_id=event_uuid(message.product_id, "productId"),
        version_id=event_uuid(message.version_id, "versionId"),
        previous=_STATUS_OF.get(message.previous_status),
        new=_STATUS_OF[message.new_status],
        at=from_timestamp(timestamp),
        failure=Failure(message.details.error_code, message.details.error_message)
        if message.HasField("details")
        else None,
    )


def update_offered(message: download_events.DownloadUpdateAvailable) -> UpdateOffered:
    """Raises: EVENT_INVALID."""
    kind = _UPDATE_TYPE_OF.get(message.update_type)
    if kind is None:
        raise event_invalid("updateType is missing")
    timestamp: Timestamp = message.timestamp
    return UpdateOffered(
        user_id=event_uuid(message.user_id, "userId"),
        product_id=event_uuid(message.product_id, "productId"),
        current_version_id=event_uuid(message.current_version_id, "currentVersionId"),
        new_version_id=event_uuid(message.new_version_id, "newVersionId"),
        type=kind,
        size_bytes=message.update_size_bytes,
        at=from_timestamp(timestamp),
    )


def event_uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise event_invalid(f"{name} is not a UUID") from None


def event_invalid(description: str) -> DomainError:
    return DomainError(Kind.INVALID_ARGUMENT, "EVENT_INVALID", details={"description": description})


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
