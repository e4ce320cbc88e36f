import datetime

from download.v1 import downloads_pb2 as _downloads_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VerificationOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERIFICATION_OUTCOME_UNSPECIFIED: _ClassVar[VerificationOutcome]
    VERIFICATION_OUTCOME_SUCCESS: _ClassVar[VerificationOutcome]
    VERIFICATION_OUTCOME_FAILED_REPAIR_NEEDED: _ClassVar[VerificationOutcome]
    VERIFICATION_OUTCOME_FAILED_CANNOT_REPAIR: _ClassVar[VerificationOutcome]
VERIFICATION_OUTCOME_UNSPECIFIED: VerificationOutcome
VERIFICATION_OUTCOME_SUCCESS: VerificationOutcome
VERIFICATION_OUTCOME_FAILED_REPAIR_NEEDED: VerificationOutcome
VERIFICATION_OUTCOME_FAILED_CANNOT_REPAIR: VerificationOutcome

class DownloadSessionStatusChanged(_message.Message):
    __slots__ = ("download_session_id", "user_id", "product_id", "version_id", "new_status", "previous_status", "timestamp", "details")
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    download_session_id: str
    user_id: str
    product_id: str
    version_id: str
    new_status: _downloads_pb2.DownloadStatus
    previous_status: _downloads_pb2.DownloadStatus
    timestamp: _timestamp_pb2.Timestamp
    details: StatusDetails
    def __init__(self, download_session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., new_status: _Optional[_Union[_downloads_pb2.DownloadStatus, str]] = ..., previous_status: _Optional[_Union[_downloads_pb2.DownloadStatus, str]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., details: _Optional[_Union[StatusDetails, _Mapping]] = ...) -> None: ...

class StatusDetails(_message.Message):
    __slots__ = ("error_code", "error_message")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    error_code: str
    error_message: str
    def __init__(self, error_code: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class DownloadItemStatusChanged(_message.Message):
    __slots__ = ("download_session_id", "download_item_id", "file_metadata_id", "relative_path", "new_status", "previous_status", "downloaded_bytes", "total_file_size_bytes", "timestamp", "error_details")
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_METADATA_ID_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_PATH_FIELD_NUMBER: _ClassVar[int]
    NEW_STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATUS_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ERROR_DETAILS_FIELD_NUMBER: _ClassVar[int]
    download_session_id: str
    download_item_id: str
    file_metadata_id: str
    relative_path: str
    new_status: _downloads_pb2.DownloadItemStatus
    previous_status: _downloads_pb2.DownloadItemStatus
    downloaded_bytes: int
    total_file_size_bytes: int
    timestamp: _timestamp_pb2.Timestamp
    error_details: StatusDetails
    def __init__(self, download_session_id: _Optional[str] = ..., download_item_id: _Optional[str] = ..., file_metadata_id: _Optional[str] = ..., relative_path: _Optional[str] = ..., new_status: _Optional[_Union[_downloads_pb2.DownloadItemStatus, str]] = ..., previous_status: _Optional[_Union[_downloads_pb2.DownloadItemStatus, str]] = ..., downloaded_bytes: _Optional[int] = ..., total_file_size_bytes: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_details: _Optional[_Union[StatusDetails, _Mapping]] = ...) -> None: ...

class GameInstalled(_message.Message):
    __slots__ = ("user_id", "product_id", "version_id", "device_id", "remaining_installations", "timestamp")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    REMAINING_INSTALLATIONS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    version_id: str
    device_id: str
    remaining_installations: int
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., remaining_installations: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GameUninstalled(_message.Message):
    __slots__ = ("user_id", "product_id", "version_id", "device_id", "remaining_installations", "timestamp")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    REMAINING_INSTALLATIONS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    version_id: str
    device_id: str
    remaining_installations: int
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., remaining_installations: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DownloadUpdateAvailable(_message.Message):
    __slots__ = ("user_id", "product_id", "current_version_id", "new_version_id", "update_type", "update_size_bytes", "release_notes_summary", "timestamp")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_NOTES_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    current_version_id: str
    new_version_id: str
    update_type: _downloads_pb2.UpdateType
    update_size_bytes: int
    release_notes_summary: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., current_version_id: _Optional[str] = ..., new_version_id: _Optional[str] = ..., update_type: _Optional[_Union[_downloads_pb2.UpdateType, str]] = ..., update_size_bytes: _Optional[int] = ..., release_notes_summary: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FileVerificationCompleted(_message.Message):
    __slots__ = ("download_session_id", "user_id", "product_id", "version_id", "verification_status", "corrupted_files_count", "repaired_files_count", "timestamp", "device_id")
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    CORRUPTED_FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    download_session_id: str
    user_id: str
    product_id: str
    version_id: str
    verification_status: VerificationOutcome
    corrupted_files_count: int
    repaired_files_count: int
    timestamp: _timestamp_pb2.Timestamp
    device_id: str
    def __init__(self, download_session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., verification_status: _Optional[_Union[VerificationOutcome, str]] = ..., corrupted_files_count: _Optional[int] = ..., repaired_files_count: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., device_id: _Optional[str] = ...) -> None: ...
