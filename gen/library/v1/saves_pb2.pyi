import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
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

class SavegameVersionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAVEGAME_VERSION_STATE_UNSPECIFIED: _ClassVar[SavegameVersionState]
    SAVEGAME_VERSION_STATE_CURRENT: _ClassVar[SavegameVersionState]
    SAVEGAME_VERSION_STATE_KEPT: _ClassVar[SavegameVersionState]
    SAVEGAME_VERSION_STATE_CONFLICT: _ClassVar[SavegameVersionState]

class SavegameKeep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAVEGAME_KEEP_UNSPECIFIED: _ClassVar[SavegameKeep]
    SAVEGAME_KEEP_CLOUD: _ClassVar[SavegameKeep]
    SAVEGAME_KEEP_LOCAL: _ClassVar[SavegameKeep]
    SAVEGAME_KEEP_BOTH: _ClassVar[SavegameKeep]
SAVEGAME_VERSION_STATE_UNSPECIFIED: SavegameVersionState
SAVEGAME_VERSION_STATE_CURRENT: SavegameVersionState
SAVEGAME_VERSION_STATE_KEPT: SavegameVersionState
SAVEGAME_VERSION_STATE_CONFLICT: SavegameVersionState
SAVEGAME_KEEP_UNSPECIFIED: SavegameKeep
SAVEGAME_KEEP_CLOUD: SavegameKeep
SAVEGAME_KEEP_LOCAL: SavegameKeep
SAVEGAME_KEEP_BOTH: SavegameKeep

class Savegame(_message.Message):
    __slots__ = ("id", "product_id", "save_slot_name", "version", "conflict_version", "file_size_bytes", "file_hash_sha256", "client_modified_at", "server_uploaded_at", "device_id", "comment")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SAVE_SLOT_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_VERSION_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_HASH_SHA256_FIELD_NUMBER: _ClassVar[int]
    CLIENT_MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVER_UPLOADED_AT_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    save_slot_name: str
    version: int
    conflict_version: int
    file_size_bytes: int
    file_hash_sha256: str
    client_modified_at: _timestamp_pb2.Timestamp
    server_uploaded_at: _timestamp_pb2.Timestamp
    device_id: str
    comment: str
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., save_slot_name: _Optional[str] = ..., version: _Optional[int] = ..., conflict_version: _Optional[int] = ..., file_size_bytes: _Optional[int] = ..., file_hash_sha256: _Optional[str] = ..., client_modified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., server_uploaded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., device_id: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class SavegameVersion(_message.Message):
    __slots__ = ("id", "savegame_id", "version", "state", "is_locked", "file_size_bytes", "file_hash_sha256", "client_modified_at", "server_uploaded_at", "device_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IS_LOCKED_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_HASH_SHA256_FIELD_NUMBER: _ClassVar[int]
    CLIENT_MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVER_UPLOADED_AT_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    savegame_id: str
    version: int
    state: SavegameVersionState
    is_locked: bool
    file_size_bytes: int
    file_hash_sha256: str
    client_modified_at: _timestamp_pb2.Timestamp
    server_uploaded_at: _timestamp_pb2.Timestamp
    device_id: str
    def __init__(self, id: _Optional[str] = ..., savegame_id: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[_Union[SavegameVersionState, str]] = ..., is_locked: _Optional[bool] = ..., file_size_bytes: _Optional[int] = ..., file_hash_sha256: _Optional[str] = ..., client_modified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., server_uploaded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., device_id: _Optional[str] = ...) -> None: ...

class PresignedUploadUrl(_message.Message):
    __slots__ = ("internal_save_id", "upload_url", "method", "headers", "expires_in_seconds", "savegame_id")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INTERNAL_SAVE_ID_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_URL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    internal_save_id: str
    upload_url: str
    method: str
    headers: _containers.ScalarMap[str, str]
    expires_in_seconds: int
    savegame_id: str
    def __init__(self, internal_save_id: _Optional[str] = ..., upload_url: _Optional[str] = ..., method: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., expires_in_seconds: _Optional[int] = ..., savegame_id: _Optional[str] = ...) -> None: ...

class PresignedDownloadUrl(_message.Message):
    __slots__ = ("savegame_id", "version", "download_url", "expires_in_seconds", "file_size_bytes", "file_hash_sha256")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_HASH_SHA256_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    version: int
    download_url: str
    expires_in_seconds: int
    file_size_bytes: int
    file_hash_sha256: str
    def __init__(self, savegame_id: _Optional[str] = ..., version: _Optional[int] = ..., download_url: _Optional[str] = ..., expires_in_seconds: _Optional[int] = ..., file_size_bytes: _Optional[int] = ..., file_hash_sha256: _Optional[str] = ...) -> None: ...

class SavegameQuota(_message.Message):
    __slots__ = ("user_id", "used_bytes", "reserved_bytes", "limit_bytes")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESERVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    used_bytes: int
    reserved_bytes: int
    limit_bytes: int
    def __init__(self, user_id: _Optional[str] = ..., used_bytes: _Optional[int] = ..., reserved_bytes: _Optional[int] = ..., limit_bytes: _Optional[int] = ...) -> None: ...

class SavegameChanges(_message.Message):
    __slots__ = ("comment",)
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    comment: str
    def __init__(self, comment: _Optional[str] = ...) -> None: ...

class ListSavegamesRequest(_message.Message):
    __slots__ = ("product_id", "page", "limit")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    page: int
    limit: int
    def __init__(self, product_id: _Optional[str] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListSavegamesResponse(_message.Message):
    __slots__ = ("savegames", "page")
    SAVEGAMES_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    savegames: _containers.RepeatedCompositeFieldContainer[Savegame]
    page: _page_pb2.PageInfo
    def __init__(self, savegames: _Optional[_Iterable[_Union[Savegame, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class GetSavegameRequest(_message.Message):
    __slots__ = ("savegame_id",)
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    def __init__(self, savegame_id: _Optional[str] = ...) -> None: ...

class GetSavegameResponse(_message.Message):
    __slots__ = ("savegame",)
    SAVEGAME_FIELD_NUMBER: _ClassVar[int]
    savegame: Savegame
    def __init__(self, savegame: _Optional[_Union[Savegame, _Mapping]] = ...) -> None: ...

class UpdateSavegameRequest(_message.Message):
    __slots__ = ("savegame_id", "savegame", "update_mask")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    SAVEGAME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    savegame: SavegameChanges
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, savegame_id: _Optional[str] = ..., savegame: _Optional[_Union[SavegameChanges, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateSavegameResponse(_message.Message):
    __slots__ = ("savegame",)
    SAVEGAME_FIELD_NUMBER: _ClassVar[int]
    savegame: Savegame
    def __init__(self, savegame: _Optional[_Union[Savegame, _Mapping]] = ...) -> None: ...

class DeleteSavegameRequest(_message.Message):
    __slots__ = ("savegame_id", "base_version")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    base_version: int
    def __init__(self, savegame_id: _Optional[str] = ..., base_version: _Optional[int] = ...) -> None: ...

class DeleteSavegameResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSavegameVersionsRequest(_message.Message):
    __slots__ = ("savegame_id", "page", "limit")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    page: int
    limit: int
    def __init__(self, savegame_id: _Optional[str] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListSavegameVersionsResponse(_message.Message):
    __slots__ = ("versions", "page")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[SavegameVersion]
    page: _page_pb2.PageInfo
    def __init__(self, versions: _Optional[_Iterable[_Union[SavegameVersion, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class CreateUploadUrlRequest(_message.Message):
    __slots__ = ("product_id", "save_slot_name", "file_size_bytes", "file_hash_sha256", "client_modified_at", "base_version", "device_id")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SAVE_SLOT_NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_HASH_SHA256_FIELD_NUMBER: _ClassVar[int]
    CLIENT_MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    save_slot_name: str
    file_size_bytes: int
    file_hash_sha256: str
    client_modified_at: _timestamp_pb2.Timestamp
    base_version: int
    device_id: str
    def __init__(self, product_id: _Optional[str] = ..., save_slot_name: _Optional[str] = ..., file_size_bytes: _Optional[int] = ..., file_hash_sha256: _Optional[str] = ..., client_modified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., base_version: _Optional[int] = ..., device_id: _Optional[str] = ...) -> None: ...

class CreateUploadUrlResponse(_message.Message):
    __slots__ = ("upload",)
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    upload: PresignedUploadUrl
    def __init__(self, upload: _Optional[_Union[PresignedUploadUrl, _Mapping]] = ...) -> None: ...

class ConfirmUploadRequest(_message.Message):
    __slots__ = ("internal_save_id", "s3_path")
    INTERNAL_SAVE_ID_FIELD_NUMBER: _ClassVar[int]
    S3_PATH_FIELD_NUMBER: _ClassVar[int]
    internal_save_id: str
    s3_path: str
    def __init__(self, internal_save_id: _Optional[str] = ..., s3_path: _Optional[str] = ...) -> None: ...

class ConfirmUploadResponse(_message.Message):
    __slots__ = ("savegame",)
    SAVEGAME_FIELD_NUMBER: _ClassVar[int]
    savegame: Savegame
    def __init__(self, savegame: _Optional[_Union[Savegame, _Mapping]] = ...) -> None: ...

class CreateDownloadUrlRequest(_message.Message):
    __slots__ = ("savegame_id", "version")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    version: int
    def __init__(self, savegame_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class CreateDownloadUrlResponse(_message.Message):
    __slots__ = ("download",)
    DOWNLOAD_FIELD_NUMBER: _ClassVar[int]
    download: PresignedDownloadUrl
    def __init__(self, download: _Optional[_Union[PresignedDownloadUrl, _Mapping]] = ...) -> None: ...

class RestoreSavegameVersionRequest(_message.Message):
    __slots__ = ("savegame_id", "version")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    version: int
    def __init__(self, savegame_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RestoreSavegameVersionResponse(_message.Message):
    __slots__ = ("savegame",)
    SAVEGAME_FIELD_NUMBER: _ClassVar[int]
    savegame: Savegame
    def __init__(self, savegame: _Optional[_Union[Savegame, _Mapping]] = ...) -> None: ...

class LockSavegameVersionRequest(_message.Message):
    __slots__ = ("savegame_id", "version")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    version: int
    def __init__(self, savegame_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class LockSavegameVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: SavegameVersion
    def __init__(self, version: _Optional[_Union[SavegameVersion, _Mapping]] = ...) -> None: ...

class UnlockSavegameVersionRequest(_message.Message):
    __slots__ = ("savegame_id", "version")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    version: int
    def __init__(self, savegame_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class UnlockSavegameVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: SavegameVersion
    def __init__(self, version: _Optional[_Union[SavegameVersion, _Mapping]] = ...) -> None: ...

class DeleteSavegameVersionRequest(_message.Message):
    __slots__ = ("savegame_id", "version")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    version: int
    def __init__(self, savegame_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class DeleteSavegameVersionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResolveSavegameConflictRequest(_message.Message):
    __slots__ = ("savegame_id", "keep", "conflict_version")
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_VERSION_FIELD_NUMBER: _ClassVar[int]
    savegame_id: str
    keep: SavegameKeep
    conflict_version: int
    def __init__(self, savegame_id: _Optional[str] = ..., keep: _Optional[_Union[SavegameKeep, str]] = ..., conflict_version: _Optional[int] = ...) -> None: ...

class ResolveSavegameConflictResponse(_message.Message):
    __slots__ = ("savegame",)
    SAVEGAME_FIELD_NUMBER: _ClassVar[int]
    savegame: Savegame
    def __init__(self, savegame: _Optional[_Union[Savegame, _Mapping]] = ...) -> None: ...

class GetSavegameQuotaRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSavegameQuotaResponse(_message.Message):
    __slots__ = ("quota",)
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    quota: SavegameQuota
    def __init__(self, quota: _Optional[_Union[SavegameQuota, _Mapping]] = ...) -> None: ...
