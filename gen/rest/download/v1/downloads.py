"""Transcoders of download/v1/downloads.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from download.v1 import downloads_pb2 as pb
from rest.content.v1 import manifest as content_v1_manifest

from gateway.contract import Encoded, JsonValue, Problem, Query, StreamedEvent
from gateway.transcoding import (
    ATTRIBUTES,
    MAX_INT32,
    MIN_INT32,
    UNKNOWN_EVENT,
    EnumTexts,
    Parameters,
    array,
    base64_text,
    double,
    enum_number,
    int32,
    int64,
    members_of,
    page_of,
    path_string,
    string,
    timestamp_text,
)

DOWNLOAD_STATUS_TEXTS = EnumTexts({
    0: None,
    1: "queued",
    2: "initializing",
    3: "downloading",
    4: "paused",
    5: "verifying",
    6: "completed",
    7: "cancelled",
    8: "error",
})
DOWNLOAD_STATUS_NUMBERS: dict[str, int] = {
    "queued": 1,
    "initializing": 2,
    "downloading": 3,
    "paused": 4,
    "verifying": 5,
    "completed": 6,
    "cancelled": 7,
    "error": 8,
}

PAUSE_REASON_TEXTS = EnumTexts({0: None, 1: "client_silent"})

DOWNLOAD_ITEM_STATUS_TEXTS = EnumTexts({
    0: None,
    1: "pending",
    2: "downloading",
    3: "verifying",
    4: "completed",
    5: "error",
})
DOWNLOAD_ITEM_STATUS_NUMBERS: dict[str, int] = {
    "pending": 1,
    "downloading": 2,
    "verifying": 3,
    "completed": 4,
    "error": 5,
}

UPDATE_TYPE_TEXTS = EnumTexts({0: None, 1: "full", 2: "delta"})

DOWNLOAD_SESSION_FIELDS = frozenset({
    "product_id",
    "version_id",
    "device_id",
    "status",
    "update_type",
    "total_size_bytes",
    "downloaded_bytes",
    "progress_percentage",
    "current_speed_bps",
    "estimated_time_left_seconds",
    "installation_path",
    "priority",
    "queue_position",
    "error",
    "created_at",
    "updated_at",
    "platform",
    "report_sequence",
    "from_version_id",
    "pause_reason",
    "product",
})


def download_session_resource(message: pb.DownloadSession) -> JsonValue:
    """A resource object of type downloadSession."""
    has = message.HasField
    its_id = message.id
    its_product_id = message.product_id
    return {
        "type": "downloadSession",
        "id": its_id,
        "attributes": {
            "product_id": its_product_id,
            "version_id": message.version_id,
            "device_id": message.device_id if has("device_id") else None,
            "status": DOWNLOAD_STATUS_TEXTS[message.status],
            "update_type": UPDATE_TYPE_TEXTS[message.update_type] if has("update_type") else None,
            "total_size_bytes": message.total_size_bytes,
            "downloaded_bytes": message.downloaded_bytes,
            "progress_percentage": double(message.progress_percentage),
            "current_speed_bps": message.current_speed_bps if has("current_speed_bps") else None,
            "estimated_time_left_seconds": message.estimated_time_left_seconds if has("estimated_time_left_seconds") else None,
            "installation_path": message.installation_path if has("installation_path") else None,
            "priority": message.priority,
            "queue_position": message.queue_position if has("queue_position") else None,
            "error": download_failure_object(message.error) if has("error") else None,
            "created_at": timestamp_text(message.created_at) if has("created_at") else None,
            "updated_at": timestamp_text(message.updated_at) if has("updated_at") else None,
            "platform": content_v1_manifest.PLATFORM_TEXTS[message.platform],
            "report_sequence": message.report_sequence if has("report_sequence") else None,
            "from_version_id": message.from_version_id if has("from_version_id") else None,
            "pause_reason": PAUSE_REASON_TEXTS[message.pause_reason] if has("pause_reason") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
        "links": {"self": f"/api/v1/download-client/downloads/{its_id}"},
    }


DOWNLOAD_ITEM_FIELDS = frozenset({
    "file_metadata_id",
    "relative_path",
    "status",
    "downloaded_bytes",
    "total_size_bytes",
    "retry_count",
    "cdn_provider",
    "error_code",
})


def download_item_resource(message: pb.DownloadItem) -> JsonValue:
    """A resource object of type downloadItem."""
    has = message.HasField
    return {
        "type": "downloadItem",
        "id": message.id,
        "attributes": {
            "file_metadata_id": message.file_metadata_id,
            "relative_path": message.relative_path,
            "status": DOWNLOAD_ITEM_STATUS_TEXTS[message.status],
            "downloaded_bytes": message.downloaded_bytes,
            "total_size_bytes": message.total_size_bytes,
            "retry_count": message.retry_count,
            "cdn_provider": message.cdn_provider if has("cdn_provider") else None,
            "error_code": message.error_code if has("error_code") else None,
        },
    }


MANIFEST_REFERENCE_FIELDS = frozenset({"manifest_url", "size_bytes", "sha256", "signature", "key_id", "expires_at"})


def manifest_reference_resource(message: pb.ManifestReference) -> JsonValue:
    """A resource object of type manifestReference."""
    has = message.HasField
    its_id = message.id
    return {
        "type": "manifestReference",
        "id": its_id,
        "attributes": {
            "manifest_url": message.manifest_url,
            "size_bytes": message.size_bytes,
            "sha256": message.sha256,
            "signature": base64_text(message.signature),
            "key_id": message.key_id,
            "expires_at": timestamp_text(message.expires_at) if has("expires_at") else None,
        },
        "links": {"self": f"/api/v1/download-client/downloads/{its_id}/manifest"},
    }


DOWNLOAD_LINK_FIELDS = frozenset({"stored_size_bytes", "stored_sha256", "candidates"})


def download_link_resource(message: pb.DownloadLink) -> JsonValue:
    """A resource object of type downloadLink."""
    return {
        "type": "downloadLink",
        "id": message.id,
        "attributes": {
            "stored_size_bytes": message.stored_size_bytes,
            "stored_sha256": message.stored_sha256,
            "candidates": [link_candidate_object(one) for one in message.candidates],
        },
    }


def download_failure_object(message: pb.DownloadFailure) -> JsonValue:
    return {
        "code": message.code,
        "message": message.message,
    }


def link_candidate_object(message: pb.LinkCandidate) -> JsonValue:
    has = message.HasField
    return {
        "url": message.url,
        "cdn_provider": message.cdn_provider,
        "expires_at": timestamp_text(message.expires_at) if has("expires_at") else None,
    }


def download_progress_update_object(message: pb.DownloadProgressUpdate) -> JsonValue:
    has = message.HasField
    return {
        "download_session_id": message.download_session_id,
        "product_id": message.product_id,
        "status": DOWNLOAD_STATUS_TEXTS[message.status],
        "progress_percentage": double(message.progress_percentage),
        "downloaded_bytes": message.downloaded_bytes,
        "total_size_bytes": message.total_size_bytes,
        "current_speed_bps": message.current_speed_bps if has("current_speed_bps") else None,
        "estimated_time_left_seconds": message.estimated_time_left_seconds if has("estimated_time_left_seconds") else None,
    }


def download_status_changed_object(message: pb.DownloadStatusChanged) -> JsonValue:
    has = message.HasField
    return {
        "download_session_id": message.download_session_id,
        "product_id": message.product_id,
        "new_status": DOWNLOAD_STATUS_TEXTS[message.new_status],
        "previous_status": DOWNLOAD_STATUS_TEXTS[message.previous_status] if has("previous_status") else None,
        "error_details": download_failure_object(message.error_details) if has("error_details") else None,
    }


def update_available_object(message: pb.UpdateAvailable) -> JsonValue:
    return {
        "product_id": message.product_id,
        "current_version_id": message.current_version_id,
        "new_version_id": message.new_version_id,
        "update_type": UPDATE_TYPE_TEXTS[message.update_type],
        "update_size_bytes": message.update_size_bytes,
    }


def download_item_progress_update_object(message: pb.DownloadItemProgressUpdate) -> JsonValue:
    return {
        "download_session_id": message.download_session_id,
        "download_item_id": message.download_item_id,
        "relative_path": message.relative_path,
        "status": DOWNLOAD_ITEM_STATUS_TEXTS[message.status],
        "downloaded_bytes": message.downloaded_bytes,
        "total_size_bytes": message.total_size_bytes,
    }


def download_error_object(message: pb.DownloadError) -> JsonValue:
    return {
        "download_session_id": message.download_session_id,
        "product_id": message.product_id,
        "error_code": message.error_code,
        "error_message": message.error_message,
    }


def queue_changed_object(message: pb.QueueChanged) -> JsonValue:
    return {
        "user_id": message.user_id,
        "download_session_ids": list(message.download_session_ids),
    }


def resync_required_object(message: pb.ResyncRequired) -> JsonValue:
    return {
        "reason": message.reason,
    }


ITEM_REPORT_MEMBERS = frozenset({"item_id", "status", "downloaded_bytes", "cdn_provider", "error_code"})


def fill_item_report(message: pb.ItemReport, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, ITEM_REPORT_MEMBERS, at, problems)
    if (value := members.get("item_id")) is not None:
        message.item_id = string(value, at, "item_id", problems)
    if (value := members.get("status")) is not None:
        message.status = enum_number(value, DOWNLOAD_ITEM_STATUS_NUMBERS, at, "status", problems)
    if (value := members.get("downloaded_bytes")) is not None:
        message.downloaded_bytes = int64(value, at, "downloaded_bytes", problems)
    if (value := members.get("cdn_provider")) is not None:
        message.cdn_provider = string(value, at, "cdn_provider", problems)
    if (value := members.get("error_code")) is not None:
        message.error_code = string(value, at, "error_code", problems)


CDN_REPORT_MEMBERS = frozenset({"provider", "bytes", "duration_ms", "errors"})


def fill_cdn_report(message: pb.CdnReport, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, CDN_REPORT_MEMBERS, at, problems)
    if (value := members.get("provider")) is not None:
        message.provider = string(value, at, "provider", problems)
    if (value := members.get("bytes")) is not None:
        message.bytes = int64(value, at, "bytes", problems)
    if (value := members.get("duration_ms")) is not None:
        message.duration_ms = int64(value, at, "duration_ms", problems)
    if (value := members.get("errors")) is not None:
        message.errors = int32(value, at, "errors", problems)


START_DOWNLOAD_MEMBERS = frozenset({
    "product_id",
    "version_id",
    "installation_path",
    "device_id",
    "platform",
    "priority",
    "client_free_space_bytes",
})


def decode_start_download(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.StartDownloadRequest:
    """POST /api/v1/download-client/downloads"""
    message = pb.StartDownloadRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, START_DOWNLOAD_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("product_id")) is not None:
            message.product_id = string(value, ATTRIBUTES, "product_id", problems)
        if (value := members.get("version_id")) is not None:
            message.version_id = string(value, ATTRIBUTES, "version_id", problems)
        if (value := members.get("installation_path")) is not None:
            message.installation_path = string(value, ATTRIBUTES, "installation_path", problems)
        if (value := members.get("device_id")) is not None:
            message.device_id = string(value, ATTRIBUTES, "device_id", problems)
        if (value := members.get("platform")) is not None:
            message.platform = enum_number(value, content_v1_manifest.PLATFORM_NUMBERS, ATTRIBUTES, "platform", problems)
        if (value := members.get("priority")) is not None:
            message.priority = int32(value, ATTRIBUTES, "priority", problems)
        if (value := members.get("client_free_space_bytes")) is not None:
            message.client_free_space_bytes = int64(value, ATTRIBUTES, "client_free_space_bytes", problems)
    return message


def encode_start_download(message: pb.StartDownloadResponse) -> Encoded:
    return Encoded(download_session_resource(message.session) if message.HasField("session") else None)


LIST_DOWNLOADS_QUERY = frozenset({"status", "product_id", "page", "limit"})
LIST_DOWNLOADS_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_downloads(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListDownloadsRequest:
    """GET /api/v1/download-client/downloads"""
    message = pb.ListDownloadsRequest()
    if query:
        given = Parameters(query, problems, names=LIST_DOWNLOADS_QUERY, spellings=LIST_DOWNLOADS_SPELLINGS)
        if "status" in given:
            message.status = given.enum("status", DOWNLOAD_STATUS_NUMBERS)
        if "product_id" in given:
            message.product_id = given.string("product_id")
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_downloads(message: pb.ListDownloadsResponse) -> Encoded:
    return Encoded([download_session_resource(one) for one in message.sessions], page_of(message.page))


def decode_get_download(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetDownloadRequest:
    """GET /api/v1/download-client/downloads/{download_id}"""
    message = pb.GetDownloadRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_download(message: pb.GetDownloadResponse) -> Encoded:
    return Encoded(download_session_resource(message.session) if message.HasField("session") else None)


LIST_DOWNLOAD_ITEMS_QUERY = frozenset({"status", "page", "limit"})
LIST_DOWNLOAD_ITEMS_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_download_items(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListDownloadItemsRequest:
    """GET /api/v1/download-client/downloads/{download_id}/items"""
    message = pb.ListDownloadItemsRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        given = Parameters(query, problems, names=LIST_DOWNLOAD_ITEMS_QUERY, spellings=LIST_DOWNLOAD_ITEMS_SPELLINGS)
        if "status" in given:
            message.status = given.enum("status", DOWNLOAD_ITEM_STATUS_NUMBERS)
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_download_items(message: pb.ListDownloadItemsResponse) -> Encoded:
    return Encoded([download_item_resource(one) for one in message.items], page_of(message.page))


def decode_pause_download(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.PauseDownloadRequest:
    """POST /api/v1/download-client/downloads/{download_id}/pause"""
    message = pb.PauseDownloadRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_pause_download(message: pb.PauseDownloadResponse) -> Encoded:
    return Encoded(download_session_resource(message.session) if message.HasField("session") else None)


def decode_resume_download(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ResumeDownloadRequest:
    """POST /api/v1/download-client/downloads/{download_id}/resume"""
    message = pb.ResumeDownloadRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_resume_download(message: pb.ResumeDownloadResponse) -> Encoded:
    return Encoded(download_session_resource(message.session) if message.HasField("session") else None)


def decode_retry_download(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.RetryDownloadRequest:
    """POST /api/v1/download-client/downloads/{download_id}/retry"""
    message = pb.RetryDownloadRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_retry_download(message: pb.RetryDownloadResponse) -> Encoded:
    return Encoded(download_session_resource(message.session) if message.HasField("session") else None)


def decode_cancel_download(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.CancelDownloadRequest:
    """DELETE /api/v1/download-client/downloads/{download_id}"""
    message = pb.CancelDownloadRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_cancel_download(_message: pb.CancelDownloadResponse) -> Encoded:
    return Encoded(None)


def decode_get_download_manifest(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetDownloadManifestRequest:
    """GET /api/v1/download-client/downloads/{download_id}/manifest"""
    message = pb.GetDownloadManifestRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_download_manifest(message: pb.GetDownloadManifestResponse) -> Encoded:
    return Encoded(manifest_reference_resource(message.manifest) if message.HasField("manifest") else None)


CREATE_DOWNLOAD_LINKS_MEMBERS = frozenset({"ids"})


def decode_create_download_links(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.CreateDownloadLinksRequest:
    """POST /api/v1/download-client/downloads/{download_id}/links"""
    message = pb.CreateDownloadLinksRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, CREATE_DOWNLOAD_LINKS_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("ids")) is not None:
            here = f"{ATTRIBUTES}/ids"
            for index, element in enumerate(array(value, ATTRIBUTES, "ids", problems, 1000)):
                message.ids.append(string(element, here, index, problems))
    return message


def encode_create_download_links(message: pb.CreateDownloadLinksResponse) -> Encoded:
    return Encoded([download_link_resource(one) for one in message.links])


REPORT_DOWNLOAD_MEMBERS = frozenset({"sequence", "items", "cdn"})


def decode_report_download(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ReportDownloadRequest:
    """POST /api/v1/download-client/downloads/{download_id}/report"""
    message = pb.ReportDownloadRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, REPORT_DOWNLOAD_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("sequence")) is not None:
            message.sequence = int64(value, ATTRIBUTES, "sequence", problems)
        if (value := members.get("items")) is not None:
            here = f"{ATTRIBUTES}/items"
            for index, element in enumerate(array(value, ATTRIBUTES, "items", problems, 1000)):
                fill_item_report(message.items.add(), element, f"{here}/{index}", problems)
        if (value := members.get("cdn")) is not None:
            here = f"{ATTRIBUTES}/cdn"
            for index, element in enumerate(array(value, ATTRIBUTES, "cdn", problems, 100)):
                fill_cdn_report(message.cdn.add(), element, f"{here}/{index}", problems)
    return message


def encode_report_download(message: pb.ReportDownloadResponse) -> Encoded:
    return Encoded(download_session_resource(message.session) if message.HasField("session") else None)


def request_watch_downloads(
    _path: Mapping[str, str],
    query: Query,
    last_event_id: str | None,
    problems: list[Problem],
) -> pb.WatchDownloadsRequest:
    message = pb.WatchDownloadsRequest()
    if query:
        Parameters(query, problems)
    if last_event_id is not None:
        message.last_event_id = last_event_id
    return message


def event_watch_downloads(message: pb.WatchDownloadsResponse) -> StreamedEvent:
    """One event of /api/v1/ws/download-progress."""
    time = timestamp_text(message.occurred_at) if message.HasField("occurred_at") else None
    match message.WhichOneof("payload"):
        case "progress":
            return StreamedEvent(
                "downloadProgressUpdate",
                message.event_id,
                time,
                download_progress_update_object(message.progress),
                f"downloadProgressUpdate:{message.progress.download_session_id}",
            )
        case "status_changed":
            return StreamedEvent(
                "downloadStatusChanged",
                message.event_id,
                time,
                download_status_changed_object(message.status_changed),
                None,
            )
        case "item_progress":
            return StreamedEvent(
                "downloadItemProgressUpdate",
                message.event_id,
                time,
                download_item_progress_update_object(message.item_progress),
                f"downloadItemProgressUpdate:{message.item_progress.download_item_id}",
            )
        case "error":
            return StreamedEvent("downloadError", message.event_id, time, download_error_object(message.error), None)
        case "queue_changed":
            return StreamedEvent(
                "queueChanged",
                message.event_id,
                time,
                queue_changed_object(message.queue_changed),
                f"queueChanged:{message.queue_changed.user_id}",
            )
        case "resync_required":
            return StreamedEvent(
                "resync_required",
                message.event_id,
                time,
                resync_required_object(message.resync_required),
                None,
            )
        case "update_available":
            return StreamedEvent(
                "updateAvailable",
                message.event_id,
                time,
                update_available_object(message.update_available),
                None,
            )
        case _:
            return StreamedEvent(UNKNOWN_EVENT, message.event_id, time, None, None)
