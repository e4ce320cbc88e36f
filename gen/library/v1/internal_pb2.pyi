import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from library.v1 import events_pb2 as _events_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EntitlementSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTITLEMENT_SOURCE_UNSPECIFIED: _ClassVar[EntitlementSource]
    ENTITLEMENT_SOURCE_ORDER: _ClassVar[EntitlementSource]
    ENTITLEMENT_SOURCE_KEY: _ClassVar[EntitlementSource]
    ENTITLEMENT_SOURCE_GIFT: _ClassVar[EntitlementSource]
    ENTITLEMENT_SOURCE_FREE: _ClassVar[EntitlementSource]
ENTITLEMENT_SOURCE_UNSPECIFIED: EntitlementSource
ENTITLEMENT_SOURCE_ORDER: EntitlementSource
ENTITLEMENT_SOURCE_KEY: EntitlementSource
ENTITLEMENT_SOURCE_GIFT: EntitlementSource
ENTITLEMENT_SOURCE_FREE: EntitlementSource

class GrantEntitlementRequest(_message.Message):
    __slots__ = ("user_id", "product_id", "source", "source_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    source: EntitlementSource
    source_id: str
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., source: _Optional[_Union[EntitlementSource, str]] = ..., source_id: _Optional[str] = ...) -> None: ...

class GrantEntitlementResponse(_message.Message):
    __slots__ = ("is_new", "is_active", "granted_at")
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    IS_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    GRANTED_AT_FIELD_NUMBER: _ClassVar[int]
    is_new: bool
    is_active: bool
    granted_at: _timestamp_pb2.Timestamp
    def __init__(self, is_new: _Optional[bool] = ..., is_active: _Optional[bool] = ..., granted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RevokeEntitlementRequest(_message.Message):
    __slots__ = ("user_id", "product_id", "source", "source_id", "reason")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    source: EntitlementSource
    source_id: str
    reason: _events_pb2.RemovalReason
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., source: _Optional[_Union[EntitlementSource, str]] = ..., source_id: _Optional[str] = ..., reason: _Optional[_Union[_events_pb2.RemovalReason, str]] = ...) -> None: ...

class RevokeEntitlementResponse(_message.Message):
    __slots__ = ("was_active", "revoked_at")
    WAS_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    was_active: bool
    revoked_at: _timestamp_pb2.Timestamp
    def __init__(self, was_active: _Optional[bool] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
