import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GameSettings(_message.Message):
    __slots__ = ("product_id", "settings_payload", "version", "last_updated_at", "last_synced_with_cloud_at")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LAST_UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SYNCED_WITH_CLOUD_AT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    settings_payload: _struct_pb2.Struct
    version: int
    last_updated_at: _timestamp_pb2.Timestamp
    last_synced_with_cloud_at: _timestamp_pb2.Timestamp
    def __init__(self, product_id: _Optional[str] = ..., settings_payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., version: _Optional[int] = ..., last_updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_synced_with_cloud_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GameSettingsContent(_message.Message):
    __slots__ = ("settings_payload",)
    SETTINGS_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    settings_payload: _struct_pb2.Struct
    def __init__(self, settings_payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class GameSettingsPatch(_message.Message):
    __slots__ = ("settings_payload",)
    SETTINGS_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    settings_payload: _struct_pb2.Struct
    def __init__(self, settings_payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class GetGameSettingsRequest(_message.Message):
    __slots__ = ("product_id",)
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    def __init__(self, product_id: _Optional[str] = ...) -> None: ...

class GetGameSettingsResponse(_message.Message):
    __slots__ = ("settings",)
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: GameSettings
    def __init__(self, settings: _Optional[_Union[GameSettings, _Mapping]] = ...) -> None: ...

class PutGameSettingsRequest(_message.Message):
    __slots__ = ("product_id", "settings", "if_match")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    IF_MATCH_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    settings: GameSettingsContent
    if_match: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, product_id: _Optional[str] = ..., settings: _Optional[_Union[GameSettingsContent, _Mapping]] = ..., if_match: _Optional[_Iterable[str]] = ...) -> None: ...

class PutGameSettingsResponse(_message.Message):
    __slots__ = ("settings",)
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: GameSettings
    def __init__(self, settings: _Optional[_Union[GameSettings, _Mapping]] = ...) -> None: ...

class PatchGameSettingsRequest(_message.Message):
    __slots__ = ("product_id", "settings", "update_mask", "if_match")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    IF_MATCH_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    settings: GameSettingsPatch
    update_mask: _field_mask_pb2.FieldMask
    if_match: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, product_id: _Optional[str] = ..., settings: _Optional[_Union[GameSettingsPatch, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., if_match: _Optional[_Iterable[str]] = ...) -> None: ...

class PatchGameSettingsResponse(_message.Message):
    __slots__ = ("settings",)
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: GameSettings
    def __init__(self, settings: _Optional[_Union[GameSettings, _Mapping]] = ...) -> None: ...
