import datetime

from buf.validate import validate_pb2 as _validate_pb2
from content.v1 import manifest_pb2 as _manifest_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from samovar.types.v1 import page_pb2 as _page_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProductVersion(_message.Message):
    __slots__ = ("id", "product_id", "version_name", "platform", "channel", "released_at", "total_size_bytes", "file_count", "is_critical", "release_notes_url")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_NAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RELEASED_AT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    IS_CRITICAL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_NOTES_URL_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    version_name: str
    platform: _manifest_pb2.Platform
    channel: str
    released_at: _timestamp_pb2.Timestamp
    total_size_bytes: int
    file_count: int
    is_critical: bool
    release_notes_url: str
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_name: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., channel: _Optional[str] = ..., released_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., total_size_bytes: _Optional[int] = ..., file_count: _Optional[int] = ..., is_critical: _Optional[bool] = ..., release_notes_url: _Optional[str] = ...) -> None: ...

class Installation(_message.Message):
    __slots__ = ("id", "product_id", "version_id", "device_id", "platform", "installation_path", "is_pinned", "auto_update", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_PATH_FIELD_NUMBER: _ClassVar[int]
    IS_PINNED_FIELD_NUMBER: _ClassVar[int]
    AUTO_UPDATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    version_id: str
    device_id: str
    platform: _manifest_pb2.Platform
    installation_path: str
    is_pinned: bool
    auto_update: bool
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., installation_path: _Optional[str] = ..., is_pinned: _Optional[bool] = ..., auto_update: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class InstallationChanges(_message.Message):
    __slots__ = ("is_pinned", "auto_update")
    IS_PINNED_FIELD_NUMBER: _ClassVar[int]
    AUTO_UPDATE_FIELD_NUMBER: _ClassVar[int]
    is_pinned: bool
    auto_update: bool
    def __init__(self, is_pinned: _Optional[bool] = ..., auto_update: _Optional[bool] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("product_id", "platform", "page", "limit")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    platform: _manifest_pb2.Platform
    page: int
    limit: int
    def __init__(self, product_id: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions", "page")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[ProductVersion]
    page: _page_pb2.PageInfo
    def __init__(self, versions: _Optional[_Iterable[_Union[ProductVersion, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class ListInstallationsRequest(_message.Message):
    __slots__ = ("product_id", "device_id", "page", "limit")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    device_id: str
    page: int
    limit: int
    def __init__(self, product_id: _Optional[str] = ..., device_id: _Optional[str] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListInstallationsResponse(_message.Message):
    __slots__ = ("installations", "page")
    INSTALLATIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    installations: _containers.RepeatedCompositeFieldContainer[Installation]
    page: _page_pb2.PageInfo
    def __init__(self, installations: _Optional[_Iterable[_Union[Installation, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class GetInstallationRequest(_message.Message):
    __slots__ = ("installation_id",)
    INSTALLATION_ID_FIELD_NUMBER: _ClassVar[int]
    installation_id: str
    def __init__(self, installation_id: _Optional[str] = ...) -> None: ...

class GetInstallationResponse(_message.Message):
    __slots__ = ("installation",)
    INSTALLATION_FIELD_NUMBER: _ClassVar[int]
    installation: Installation
    def __init__(self, installation: _Optional[_Union[Installation, _Mapping]] = ...) -> None: ...

class UpdateInstallationRequest(_message.Message):
    __slots__ = ("installation_id", "installation", "update_mask")
    INSTALLATION_ID_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    installation_id: str
    installation: InstallationChanges
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, installation_id: _Optional[str] = ..., installation: _Optional[_Union[InstallationChanges, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateInstallationResponse(_message.Message):
    __slots__ = ("installation",)
    INSTALLATION_FIELD_NUMBER: _ClassVar[int]
    installation: Installation
    def __init__(self, installation: _Optional[_Union[Installation, _Mapping]] = ...) -> None: ...

class DeleteInstallationRequest(_message.Message):
    __slots__ = ("installation_id",)
    INSTALLATION_ID_FIELD_NUMBER: _ClassVar[int]
    installation_id: str
    def __init__(self, installation_id: _Optional[str] = ...) -> None: ...

class DeleteInstallationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
