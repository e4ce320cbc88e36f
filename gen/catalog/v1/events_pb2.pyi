import datetime

from buf.validate import validate_pb2 as _validate_pb2
from catalog.v1 import product_pb2 as _product_pb2
from content.v1 import manifest_pb2 as _manifest_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VersionPublished(_message.Message):
    __slots__ = ("product_id", "version_id", "version_name", "platform", "release_date", "file_manifest_url", "total_size_bytes", "is_critical", "release_notes_url", "channel")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_NAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    RELEASE_DATE_FIELD_NUMBER: _ClassVar[int]
    FILE_MANIFEST_URL_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IS_CRITICAL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_NOTES_URL_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    version_id: str
    version_name: str
    platform: _manifest_pb2.Platform
    release_date: _timestamp_pb2.Timestamp
    file_manifest_url: str
    total_size_bytes: int
    is_critical: bool
    release_notes_url: str
    channel: str
    def __init__(self, product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., version_name: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., release_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., file_manifest_url: _Optional[str] = ..., total_size_bytes: _Optional[int] = ..., is_critical: _Optional[bool] = ..., release_notes_url: _Optional[str] = ..., channel: _Optional[str] = ...) -> None: ...

class VersionWithdrawn(_message.Message):
    __slots__ = ("product_id", "version_id", "withdrawn_at")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_AT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    version_id: str
    withdrawn_at: _timestamp_pb2.Timestamp
    def __init__(self, product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., withdrawn_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProductUpdated(_message.Message):
    __slots__ = ("product_id", "updated_fields", "new_title", "new_cover_image_url", "titles")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    NEW_TITLE_FIELD_NUMBER: _ClassVar[int]
    NEW_COVER_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    TITLES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    updated_fields: _containers.RepeatedScalarFieldContainer[str]
    new_title: str
    new_cover_image_url: str
    titles: _product_pb2.LocalizedText
    def __init__(self, product_id: _Optional[str] = ..., updated_fields: _Optional[_Iterable[str]] = ..., new_title: _Optional[str] = ..., new_cover_image_url: _Optional[str] = ..., titles: _Optional[_Union[_product_pb2.LocalizedText, _Mapping]] = ...) -> None: ...

class PriceUpdated(_message.Message):
    __slots__ = ("product_id", "discount_percent", "sale_id", "ends_at")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SALE_ID_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    discount_percent: int
    sale_id: str
    ends_at: _timestamp_pb2.Timestamp
    def __init__(self, product_id: _Optional[str] = ..., discount_percent: _Optional[int] = ..., sale_id: _Optional[str] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
