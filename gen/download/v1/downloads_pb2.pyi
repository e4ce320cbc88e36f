import datetime

from buf.validate import validate_pb2 as _validate_pb2
from content.v1 import manifest_pb2 as _manifest_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from samovar.types.v1 import page_pb2 as _page_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DownloadStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOWNLOAD_STATUS_UNSPECIFIED: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_QUEUED: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_INITIALIZING: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_DOWNLOADING: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_PAUSED: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_VERIFYING: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_COMPLETED: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_CANCELLED: _ClassVar[DownloadStatus]
    DOWNLOAD_STATUS_ERROR: _ClassVar[DownloadStatus]

class PauseReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAUSE_REASON_UNSPECIFIED: _ClassVar[PauseReason]
    PAUSE_REASON_CLIENT_SILENT: _ClassVar[PauseReason]

class DownloadItemStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOWNLOAD_ITEM_STATUS_UNSPECIFIED: _ClassVar[DownloadItemStatus]
    DOWNLOAD_ITEM_STATUS_PENDING: _ClassVar[DownloadItemStatus]
    DOWNLOAD_ITEM_STATUS_DOWNLOADING: _ClassVar[DownloadItemStatus]
    DOWNLOAD_ITEM_STATUS_VERIFYING: _ClassVar[DownloadItemStatus]
    DOWNLOAD_ITEM_STATUS_COMPLETED: _ClassVar[DownloadItemStatus]
    DOWNLOAD_ITEM_STATUS_ERROR: _ClassVar[DownloadItemStatus]

class UpdateType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPDATE_TYPE_UNSPECIFIED: _ClassVar[UpdateType]
    UPDATE_TYPE_FULL: _ClassVar[UpdateType]
    UPDATE_TYPE_DELTA: _ClassVar[UpdateType]
DOWNLOAD_STATUS_UNSPECIFIED: DownloadStatus
DOWNLOAD_STATUS_QUEUED: DownloadStatus
DOWNLOAD_STATUS_INITIALIZING: DownloadStatus
DOWNLOAD_STATUS_DOWNLOADING: DownloadStatus
DOWNLOAD_STATUS_PAUSED: DownloadStatus
DOWNLOAD_STATUS_VERIFYING: DownloadStatus
DOWNLOAD_STATUS_COMPLETED: DownloadStatus
DOWNLOAD_STATUS_CANCELLED: DownloadStatus
DOWNLOAD_STATUS_ERROR: DownloadStatus
PAUSE_REASON_UNSPECIFIED: PauseReason
PAUSE_REASON_CLIENT_SILENT: PauseReason
DOWNLOAD_ITEM_STATUS_UNSPECIFIED: DownloadItemStatus
DOWNLOAD_ITEM_STATUS_PENDING: DownloadItemStatus
DOWNLOAD_ITEM_STATUS_DOWNLOADING: DownloadItemStatus
DOWNLOAD_ITEM_STATUS_VERIFYING: DownloadItemStatus
DOWNLOAD_ITEM_STATUS_COMPLETED: DownloadItemStatus
DOWNLOAD_ITEM_STATUS_ERROR: DownloadItemStatus
UPDATE_TYPE_UNSPECIFIED: UpdateType
UPDATE_TYPE_FULL: UpdateType
UPDATE_TYPE_DELTA: UpdateType

class DownloadSession(_message.Message):
    __slots__ = ("id", "product_id", "version_id", "device_id", "status", "update_type", "total_size_bytes", "downloaded_bytes", "progress_percentage", "current_speed_bps", "estimated_time_left_seconds", "installation_path", "priority", "queue_position", "error", "created_at", "updated_at", "platform", "report_sequence", "from_version_id", "pause_reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_SPEED_BPS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_TIME_LEFT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_PATH_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    REPORT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    version_id: str
    device_id: str
    status: DownloadStatus
    update_type: UpdateType
    total_size_bytes: int
    downloaded_bytes: int
    progress_percentage: float
    current_speed_bps: int
    estimated_time_left_seconds: int
    installation_path: str
    priority: int
    queue_position: int
    error: DownloadFailure
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    platform: _manifest_pb2.Platform
    report_sequence: int
    from_version_id: str
    pause_reason: PauseReason
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., status: _Optional[_Union[DownloadStatus, str]] = ..., update_type: _Optional[_Union[UpdateType, str]] = ..., total_size_bytes: _Optional[int] = ..., downloaded_bytes: _Optional[int] = ..., progress_percentage: _Optional[float] = ..., current_speed_bps: _Optional[int] = ..., estimated_time_left_seconds: _Optional[int] = ..., installation_path: _Optional[str] = ..., priority: _Optional[int] = ..., queue_position: _Optional[int] = ..., error: _Optional[_Union[DownloadFailure, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., report_sequence: _Optional[int] = ..., from_version_id: _Optional[str] = ..., pause_reason: _Optional[_Union[PauseReason, str]] = ...) -> None: ...

class DownloadFailure(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class DownloadItem(_message.Message):
    __slots__ = ("id", "file_metadata_id", "relative_path", "status", "downloaded_bytes", "total_size_bytes", "retry_count", "cdn_provider", "error_code")
    ID_FIELD_NUMBER: _ClassVar[int]
    FILE_METADATA_ID_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_PATH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RETRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    CDN_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    id: str
    file_metadata_id: str
    relative_path: str
    status: DownloadItemStatus
    downloaded_bytes: int
    total_size_bytes: int
    retry_count: int
    cdn_provider: str
    error_code: str
    def __init__(self, id: _Optional[str] = ..., file_metadata_id: _Optional[str] = ..., relative_path: _Optional[str] = ..., status: _Optional[_Union[DownloadItemStatus, str]] = ..., downloaded_bytes: _Optional[int] = ..., total_size_bytes: _Optional[int] = ..., retry_count: _Optional[int] = ..., cdn_provider: _Optional[str] = ..., error_code: _Optional[str] = ...) -> None: ...

class ManifestReference(_message.Message):
    __slots__ = ("id", "manifest_url", "size_bytes", "sha256", "signature", "key_id", "expires_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_URL_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    manifest_url: str
    size_bytes: int
    sha256: str
    signature: bytes
    key_id: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., manifest_url: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., signature: _Optional[bytes] = ..., key_id: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DownloadLink(_message.Message):
    __slots__ = ("id", "stored_size_bytes", "stored_sha256", "candidates")
    ID_FIELD_NUMBER: _ClassVar[int]
    STORED_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_SHA256_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    id: str
    stored_size_bytes: int
    stored_sha256: str
    candidates: _containers.RepeatedCompositeFieldContainer[LinkCandidate]
    def __init__(self, id: _Optional[str] = ..., stored_size_bytes: _Optional[int] = ..., stored_sha256: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[LinkCandidate, _Mapping]]] = ...) -> None: ...

class LinkCandidate(_message.Message):
    __slots__ = ("url", "cdn_provider", "expires_at")
    URL_FIELD_NUMBER: _ClassVar[int]
    CDN_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    url: str
    cdn_provider: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, url: _Optional[str] = ..., cdn_provider: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StartDownloadRequest(_message.Message):
    __slots__ = ("product_id", "version_id", "installation_path", "device_id", "platform", "priority", "client_free_space_bytes")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_PATH_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FREE_SPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    version_id: str
    installation_path: str
    device_id: str
    platform: _manifest_pb2.Platform
    priority: int
    client_free_space_bytes: int
    def __init__(self, product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., installation_path: _Optional[str] = ..., device_id: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., priority: _Optional[int] = ..., client_free_space_bytes: _Optional[int] = ...) -> None: ...

class StartDownloadResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: DownloadSession
    def __init__(self, session: _Optional[_Union[DownloadSession, _Mapping]] = ...) -> None: ...

class ListDownloadsRequest(_message.Message):
    __slots__ = ("status", "product_id", "page", "limit")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    status: DownloadStatus
    product_id: str
    page: int
    limit: int
    def __init__(self, status: _Optional[_Union[DownloadStatus, str]] = ..., product_id: _Optional[str] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListDownloadsResponse(_message.Message):
    __slots__ = ("sessions", "page")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[DownloadSession]
    page: _page_pb2.PageInfo
    def __init__(self, sessions: _Optional[_Iterable[_Union[DownloadSession, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class GetDownloadRequest(_message.Message):
    __slots__ = ("download_id",)
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    def __init__(self, download_id: _Optional[str] = ...) -> None: ...

class GetDownloadResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: DownloadSession
    def __init__(self, session: _Optional[_Union[DownloadSession, _Mapping]] = ...) -> None: ...

class ListDownloadItemsRequest(_message.Message):
    __slots__ = ("download_id", "status", "page", "limit")
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    status: DownloadItemStatus
    page: int
    limit: int
    def __init__(self, download_id: _Optional[str] = ..., status: _Optional[_Union[DownloadItemStatus, str]] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListDownloadItemsResponse(_message.Message):
    __slots__ = ("items", "page")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[DownloadItem]
    page: _page_pb2.PageInfo
    def __init__(self, items: _Optional[_Iterable[_Union[DownloadItem, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class PauseDownloadRequest(_message.Message):
    __slots__ = ("download_id",)
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    def __init__(self, download_id: _Optional[str] = ...) -> None: ...

class PauseDownloadResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: DownloadSession
    def __init__(self, session: _Optional[_Union[DownloadSession, _Mapping]] = ...) -> None: ...

class ResumeDownloadRequest(_message.Message):
    __slots__ = ("download_id",)
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    def __init__(self, download_id: _Optional[str] = ...) -> None: ...

class ResumeDownloadResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: DownloadSession
    def __init__(self, session: _Optional[_Union[DownloadSession, _Mapping]] = ...) -> None: ...

class RetryDownloadRequest(_message.Message):
    __slots__ = ("download_id",)
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    def __init__(self, download_id: _Optional[str] = ...) -> None: ...

class RetryDownloadResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: DownloadSession
    def __init__(self, session: _Optional[_Union[DownloadSession, _Mapping]] = ...) -> None: ...

class CancelDownloadRequest(_message.Message):
    __slots__ = ("download_id",)
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    def __init__(self, download_id: _Optional[str] = ...) -> None: ...

class CancelDownloadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDownloadManifestRequest(_message.Message):
    __slots__ = ("download_id",)
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    def __init__(self, download_id: _Optional[str] = ...) -> None: ...

class GetDownloadManifestResponse(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: ManifestReference
    def __init__(self, manifest: _Optional[_Union[ManifestReference, _Mapping]] = ...) -> None: ...

class CreateDownloadLinksRequest(_message.Message):
    __slots__ = ("download_id", "ids")
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, download_id: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateDownloadLinksResponse(_message.Message):
    __slots__ = ("links",)
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.RepeatedCompositeFieldContainer[DownloadLink]
    def __init__(self, links: _Optional[_Iterable[_Union[DownloadLink, _Mapping]]] = ...) -> None: ...

class ReportDownloadRequest(_message.Message):
    __slots__ = ("download_id", "sequence", "items", "cdn")
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CDN_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    sequence: int
    items: _containers.RepeatedCompositeFieldContainer[ItemReport]
    cdn: _containers.RepeatedCompositeFieldContainer[CdnReport]
    def __init__(self, download_id: _Optional[str] = ..., sequence: _Optional[int] = ..., items: _Optional[_Iterable[_Union[ItemReport, _Mapping]]] = ..., cdn: _Optional[_Iterable[_Union[CdnReport, _Mapping]]] = ...) -> None: ...

class ItemReport(_message.Message):
    __slots__ = ("item_id", "status", "downloaded_bytes", "cdn_provider", "error_code")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CDN_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    status: DownloadItemStatus
    downloaded_bytes: int
    cdn_provider: str
    error_code: str
    def __init__(self, item_id: _Optional[str] = ..., status: _Optional[_Union[DownloadItemStatus, str]] = ..., downloaded_bytes: _Optional[int] = ..., cdn_provider: _Optional[str] = ..., error_code: _Optional[str] = ...) -> None: ...

class CdnReport(_message.Message):
    __slots__ = ("provider", "bytes", "duration_ms", "errors")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    provider: str
    bytes: int
    duration_ms: int
    errors: int
    def __init__(self, provider: _Optional[str] = ..., bytes: _Optional[int] = ..., duration_ms: _Optional[int] = ..., errors: _Optional[int] = ...) -> None: ...

class ReportDownloadResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: DownloadSession
    def __init__(self, session: _Optional[_Union[DownloadSession, _Mapping]] = ...) -> None: ...

class WatchDownloadsRequest(_message.Message):
    __slots__ = ("last_event_id",)
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    last_event_id: str
    def __init__(self, last_event_id: _Optional[str] = ...) -> None: ...

class WatchDownloadsResponse(_message.Message):
    __slots__ = ("event_id", "occurred_at", "progress", "status_changed", "item_progress", "error", "queue_changed", "resync_required", "update_available")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STATUS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ITEM_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    QUEUE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    RESYNC_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    UPDATE_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    occurred_at: _timestamp_pb2.Timestamp
    progress: DownloadProgressUpdate
    status_changed: DownloadStatusChanged
    item_progress: DownloadItemProgressUpdate
    error: DownloadError
    queue_changed: QueueChanged
    resync_required: ResyncRequired
    update_available: UpdateAvailable
    def __init__(self, event_id: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress: _Optional[_Union[DownloadProgressUpdate, _Mapping]] = ..., status_changed: _Optional[_Union[DownloadStatusChanged, _Mapping]] = ..., item_progress: _Optional[_Union[DownloadItemProgressUpdate, _Mapping]] = ..., error: _Optional[_Union[DownloadError, _Mapping]] = ..., queue_changed: _Optional[_Union[QueueChanged, _Mapping]] = ..., resync_required: _Optional[_Union[ResyncRequired, _Mapping]] = ..., update_available: _Optional[_Union[UpdateAvailable, _Mapping]] = ...) -> None: ...

class DownloadProgressUpdate(_message.Message):
    __slots__ = ("download_session_id", "product_id", "status", "progress_percentage", "downloaded_bytes", "total_size_bytes", "current_speed_bps", "estimated_time_left_seconds")
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CURRENT_SPEED_BPS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_TIME_LEFT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    download_session_id: str
    product_id: str
    status: DownloadStatus
    progress_percentage: float
    downloaded_bytes: int
    total_size_bytes: int
    current_speed_bps: int
    estimated_time_left_seconds: int
    def __init__(self, download_session_id: _Optional[str] = ..., product_id: _Optional[str] = ..., status: _Optional[_Union[DownloadStatus, str]] = ..., progress_percentage: _Optional[float] = ..., downloaded_bytes: _Optional[int] = ..., total_size_bytes: _Optional[int] = ..., current_speed_bps: _Optional[int] = ..., estimated_time_left_seconds: _Optional[int] = ...) -> None: ...

class DownloadStatusChanged(_message.Message):
    __slots__ = ("download_session_id", "product_id", "new_status", "previous_status", "error_details")
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_DETAILS_FIELD_NUMBER: _ClassVar[int]
    download_session_id: str
    product_id: str
    new_status: DownloadStatus
    previous_status: DownloadStatus
    error_details: DownloadFailure
    def __init__(self, download_session_id: _Optional[str] = ..., product_id: _Optional[str] = ..., new_status: _Optional[_Union[DownloadStatus, str]] = ..., previous_status: _Optional[_Union[DownloadStatus, str]] = ..., error_details: _Optional[_Union[DownloadFailure, _Mapping]] = ...) -> None: ...

class UpdateAvailable(_message.Message):
    __slots__ = ("product_id", "current_version_id", "new_version_id", "update_type", "update_size_bytes")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    current_version_id: str
    new_version_id: str
    update_type: UpdateType
    update_size_bytes: int
    def __init__(self, product_id: _Optional[str] = ..., current_version_id: _Optional[str] = ..., new_version_id: _Optional[str] = ..., update_type: _Optional[_Union[UpdateType, str]] = ..., update_size_bytes: _Optional[int] = ...) -> None: ...

class DownloadItemProgressUpdate(_message.Message):
    __slots__ = ("download_session_id", "download_item_id", "relative_path", "status", "downloaded_bytes", "total_size_bytes")
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_PATH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    download_session_id: str
    download_item_id: str
    relative_path: str
    status: DownloadItemStatus
    downloaded_bytes: int
    total_size_bytes: int
    def __init__(self, download_session_id: _Optional[str] = ..., download_item_id: _Optional[str] = ..., relative_path: _Optional[str] = ..., status: _Optional[_Union[DownloadItemStatus, str]] = ..., downloaded_bytes: _Optional[int] = ..., total_size_bytes: _Optional[int] = ...) -> None: ...

class DownloadError(_message.Message):
    __slots__ = ("download_session_id", "product_id", "error_code", "error_message")
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    download_session_id: str
    product_id: str
    error_code: str
    error_message: str
    def __init__(self, download_session_id: _Optional[str] = ..., product_id: _Optional[str] = ..., error_code: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class QueueChanged(_message.Message):
    __slots__ = ("user_id", "download_session_ids")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_SESSION_IDS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    download_session_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., download_session_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ResyncRequired(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
