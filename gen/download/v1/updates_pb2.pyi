import datetime

from buf.validate import validate_pb2 as _validate_pb2
from download.v1 import downloads_pb2 as _downloads_pb2
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

class FileAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_ACTION_UNSPECIFIED: _ClassVar[FileAction]
    FILE_ACTION_KEEP: _ClassVar[FileAction]
    FILE_ACTION_COPY: _ClassVar[FileAction]
    FILE_ACTION_PATCH: _ClassVar[FileAction]
    FILE_ACTION_CHUNKS: _ClassVar[FileAction]
    FILE_ACTION_DELETE: _ClassVar[FileAction]

class UpdateStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPDATE_STATUS_UNSPECIFIED: _ClassVar[UpdateStatus]
    UPDATE_STATUS_AVAILABLE: _ClassVar[UpdateStatus]
    UPDATE_STATUS_DOWNLOADING: _ClassVar[UpdateStatus]
    UPDATE_STATUS_APPLIED: _ClassVar[UpdateStatus]
    UPDATE_STATUS_FAILED: _ClassVar[UpdateStatus]

class UpdateOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPDATE_OUTCOME_UNSPECIFIED: _ClassVar[UpdateOutcome]
    UPDATE_OUTCOME_SUCCESS: _ClassVar[UpdateOutcome]
    UPDATE_OUTCOME_FAILED: _ClassVar[UpdateOutcome]
FILE_ACTION_UNSPECIFIED: FileAction
FILE_ACTION_KEEP: FileAction
FILE_ACTION_COPY: FileAction
FILE_ACTION_PATCH: FileAction
FILE_ACTION_CHUNKS: FileAction
FILE_ACTION_DELETE: FileAction
UPDATE_STATUS_UNSPECIFIED: UpdateStatus
UPDATE_STATUS_AVAILABLE: UpdateStatus
UPDATE_STATUS_DOWNLOADING: UpdateStatus
UPDATE_STATUS_APPLIED: UpdateStatus
UPDATE_STATUS_FAILED: UpdateStatus
UPDATE_OUTCOME_UNSPECIFIED: UpdateOutcome
UPDATE_OUTCOME_SUCCESS: UpdateOutcome
UPDATE_OUTCOME_FAILED: UpdateOutcome

class InstalledProduct(_message.Message):
    __slots__ = ("id", "current_version_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    current_version_id: str
    def __init__(self, id: _Optional[str] = ..., current_version_id: _Optional[str] = ...) -> None: ...

class UpdateAvailability(_message.Message):
    __slots__ = ("id", "current_version_id", "is_update_available", "latest_version_id", "update_type", "update_size_bytes", "required_disk_space_bytes", "is_critical", "release_notes_url", "is_rollback")
    ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    IS_UPDATE_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    LATEST_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_DISK_SPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IS_CRITICAL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_NOTES_URL_FIELD_NUMBER: _ClassVar[int]
    IS_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    id: str
    current_version_id: str
    is_update_available: bool
    latest_version_id: str
    update_type: _downloads_pb2.UpdateType
    update_size_bytes: int
    required_disk_space_bytes: int
    is_critical: bool
    release_notes_url: str
    is_rollback: bool
    def __init__(self, id: _Optional[str] = ..., current_version_id: _Optional[str] = ..., is_update_available: _Optional[bool] = ..., latest_version_id: _Optional[str] = ..., update_type: _Optional[_Union[_downloads_pb2.UpdateType, str]] = ..., update_size_bytes: _Optional[int] = ..., required_disk_space_bytes: _Optional[int] = ..., is_critical: _Optional[bool] = ..., release_notes_url: _Optional[str] = ..., is_rollback: _Optional[bool] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("id", "product_id", "from_version_id", "to_version_id", "update_type", "size_bytes", "release_notes_url", "status", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_NOTES_URL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    from_version_id: str
    to_version_id: str
    update_type: _downloads_pb2.UpdateType
    size_bytes: int
    release_notes_url: str
    status: UpdateStatus
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., from_version_id: _Optional[str] = ..., to_version_id: _Optional[str] = ..., update_type: _Optional[_Union[_downloads_pb2.UpdateType, str]] = ..., size_bytes: _Optional[int] = ..., release_notes_url: _Optional[str] = ..., status: _Optional[_Union[UpdateStatus, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UpdateHistoryEntry(_message.Message):
    __slots__ = ("id", "product_id", "applied_version_id", "previous_version_id", "status", "applied_at", "error_message")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    APPLIED_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    applied_version_id: str
    previous_version_id: str
    status: UpdateOutcome
    applied_at: _timestamp_pb2.Timestamp
    error_message: str
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., applied_version_id: _Optional[str] = ..., previous_version_id: _Optional[str] = ..., status: _Optional[_Union[UpdateOutcome, str]] = ..., applied_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_message: _Optional[str] = ...) -> None: ...

class DownloadPlan(_message.Message):
    __slots__ = ("id", "from_version_id", "to_version_id", "update_type", "fetch_bytes", "required_disk_space_bytes", "total_files", "files", "next_after")
    ID_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    FETCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_DISK_SPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    from_version_id: str
    to_version_id: str
    update_type: _downloads_pb2.UpdateType
    fetch_bytes: int
    required_disk_space_bytes: int
    total_files: int
    files: _containers.RepeatedCompositeFieldContainer[FilePlan]
    next_after: str
    def __init__(self, id: _Optional[str] = ..., from_version_id: _Optional[str] = ..., to_version_id: _Optional[str] = ..., update_type: _Optional[_Union[_downloads_pb2.UpdateType, str]] = ..., fetch_bytes: _Optional[int] = ..., required_disk_space_bytes: _Optional[int] = ..., total_files: _Optional[int] = ..., files: _Optional[_Iterable[_Union[FilePlan, _Mapping]]] = ..., next_after: _Optional[str] = ...) -> None: ...

class FilePlan(_message.Message):
    __slots__ = ("path", "action", "size_bytes", "from_path", "on_disk", "fetch", "patch")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FROM_PATH_FIELD_NUMBER: _ClassVar[int]
    ON_DISK_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    path: str
    action: FileAction
    size_bytes: int
    from_path: str
    on_disk: _containers.RepeatedCompositeFieldContainer[DiskChunk]
    fetch: _containers.RepeatedCompositeFieldContainer[FetchChunk]
    patch: FilePatch
    def __init__(self, path: _Optional[str] = ..., action: _Optional[_Union[FileAction, str]] = ..., size_bytes: _Optional[int] = ..., from_path: _Optional[str] = ..., on_disk: _Optional[_Iterable[_Union[DiskChunk, _Mapping]]] = ..., fetch: _Optional[_Iterable[_Union[FetchChunk, _Mapping]]] = ..., patch: _Optional[_Union[FilePatch, _Mapping]] = ...) -> None: ...

class FilePatch(_message.Message):
    __slots__ = ("algorithm", "from_path", "from_sha256", "from_size_bytes", "to_sha256", "sha256", "size_bytes")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    FROM_PATH_FIELD_NUMBER: _ClassVar[int]
    FROM_SHA256_FIELD_NUMBER: _ClassVar[int]
    FROM_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TO_SHA256_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    algorithm: str
    from_path: str
    from_sha256: str
    from_size_bytes: int
    to_sha256: str
    sha256: str
    size_bytes: int
    def __init__(self, algorithm: _Optional[str] = ..., from_path: _Optional[str] = ..., from_sha256: _Optional[str] = ..., from_size_bytes: _Optional[int] = ..., to_sha256: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class DiskChunk(_message.Message):
    __slots__ = ("sha256", "size_bytes", "path", "offset_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    size_bytes: int
    path: str
    offset_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., path: _Optional[str] = ..., offset_bytes: _Optional[int] = ...) -> None: ...

class FetchChunk(_message.Message):
    __slots__ = ("sha256", "stored_size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    STORED_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    stored_size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., stored_size_bytes: _Optional[int] = ...) -> None: ...

class CheckUpdatesRequest(_message.Message):
    __slots__ = ("products",)
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    products: _containers.RepeatedCompositeFieldContainer[InstalledProduct]
    def __init__(self, products: _Optional[_Iterable[_Union[InstalledProduct, _Mapping]]] = ...) -> None: ...

class CheckUpdatesResponse(_message.Message):
    __slots__ = ("updates",)
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    updates: _containers.RepeatedCompositeFieldContainer[UpdateAvailability]
    def __init__(self, updates: _Optional[_Iterable[_Union[UpdateAvailability, _Mapping]]] = ...) -> None: ...

class ApplyUpdateRequest(_message.Message):
    __slots__ = ("product_id", "from_version_id", "to_version_id", "device_id", "installation_path", "priority", "client_free_space_bytes")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_PATH_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FREE_SPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    from_version_id: str
    to_version_id: str
    device_id: str
    installation_path: str
    priority: int
    client_free_space_bytes: int
    def __init__(self, product_id: _Optional[str] = ..., from_version_id: _Optional[str] = ..., to_version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., installation_path: _Optional[str] = ..., priority: _Optional[int] = ..., client_free_space_bytes: _Optional[int] = ...) -> None: ...

class ApplyUpdateResponse(_message.Message):
    __slots__ = ("session", "plan")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    session: _downloads_pb2.DownloadSession
    plan: DownloadPlan
    def __init__(self, session: _Optional[_Union[_downloads_pb2.DownloadSession, _Mapping]] = ..., plan: _Optional[_Union[DownloadPlan, _Mapping]] = ...) -> None: ...

class ListUpdatesRequest(_message.Message):
    __slots__ = ("status", "product_id", "page", "limit")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    status: UpdateStatus
    product_id: str
    page: int
    limit: int
    def __init__(self, status: _Optional[_Union[UpdateStatus, str]] = ..., product_id: _Optional[str] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListUpdatesResponse(_message.Message):
    __slots__ = ("updates", "page")
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    updates: _containers.RepeatedCompositeFieldContainer[Update]
    page: _page_pb2.PageInfo
    def __init__(self, updates: _Optional[_Iterable[_Union[Update, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class ListUpdateHistoryRequest(_message.Message):
    __slots__ = ("product_id", "page", "limit")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    page: int
    limit: int
    def __init__(self, product_id: _Optional[str] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListUpdateHistoryResponse(_message.Message):
    __slots__ = ("entries", "page")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[UpdateHistoryEntry]
    page: _page_pb2.PageInfo
    def __init__(self, entries: _Optional[_Iterable[_Union[UpdateHistoryEntry, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class RollbackUpdateRequest(_message.Message):
    __slots__ = ("product_id", "to_version_id", "device_id", "from_version_id", "installation_path", "priority", "client_free_space_bytes")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_PATH_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FREE_SPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    to_version_id: str
    device_id: str
    from_version_id: str
    installation_path: str
    priority: int
    client_free_space_bytes: int
    def __init__(self, product_id: _Optional[str] = ..., to_version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., from_version_id: _Optional[str] = ..., installation_path: _Optional[str] = ..., priority: _Optional[int] = ..., client_free_space_bytes: _Optional[int] = ...) -> None: ...

class RollbackUpdateResponse(_message.Message):
    __slots__ = ("session", "plan")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    session: _downloads_pb2.DownloadSession
    plan: DownloadPlan
    def __init__(self, session: _Optional[_Union[_downloads_pb2.DownloadSession, _Mapping]] = ..., plan: _Optional[_Union[DownloadPlan, _Mapping]] = ...) -> None: ...

class GetDownloadPlanRequest(_message.Message):
    __slots__ = ("download_id", "after", "limit", "action")
    DOWNLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    download_id: str
    after: str
    limit: int
    action: FileAction
    def __init__(self, download_id: _Optional[str] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ..., action: _Optional[_Union[FileAction, str]] = ...) -> None: ...

class GetDownloadPlanResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: DownloadPlan
    def __init__(self, plan: _Optional[_Union[DownloadPlan, _Mapping]] = ...) -> None: ...
