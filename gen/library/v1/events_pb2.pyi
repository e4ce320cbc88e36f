import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from library.v1 import items_pb2 as _items_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RemovalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REMOVAL_REASON_UNSPECIFIED: _ClassVar[RemovalReason]
    REMOVAL_REASON_REFUND: _ClassVar[RemovalReason]
    REMOVAL_REASON_FAMILY_REVOKED: _ClassVar[RemovalReason]
    REMOVAL_REASON_ADMIN: _ClassVar[RemovalReason]
REMOVAL_REASON_UNSPECIFIED: RemovalReason
REMOVAL_REASON_REFUND: RemovalReason
REMOVAL_REASON_FAMILY_REVOKED: RemovalReason
REMOVAL_REASON_ADMIN: RemovalReason

class GameAdded(_message.Message):
    __slots__ = ("user_id", "product_id", "acquisition_type", "added_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_TYPE_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    acquisition_type: _items_pb2.AcquisitionType
    added_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., acquisition_type: _Optional[_Union[_items_pb2.AcquisitionType, str]] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GameRemoved(_message.Message):
    __slots__ = ("user_id", "product_id", "reason", "removed_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REMOVED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    reason: RemovalReason
    removed_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., reason: _Optional[_Union[RemovalReason, str]] = ..., removed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GameSettingsUpdated(_message.Message):
    __slots__ = ("user_id", "product_id", "updated_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WishlistItemAdded(_message.Message):
    __slots__ = ("user_id", "product_id", "wishlist_item_id", "added_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    WISHLIST_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    wishlist_item_id: str
    added_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., wishlist_item_id: _Optional[str] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WishlistItemRemoved(_message.Message):
    __slots__ = ("user_id", "product_id", "wishlist_item_id", "removed_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    WISHLIST_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    REMOVED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    wishlist_item_id: str
    removed_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., wishlist_item_id: _Optional[str] = ..., removed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WishlistItemOnSale(_message.Message):
    __slots__ = ("user_id", "product_id", "discount_percent", "sale_id", "ends_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SALE_ID_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    discount_percent: int
    sale_id: str
    ends_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., discount_percent: _Optional[int] = ..., sale_id: _Optional[str] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PlaytimeSessionEnded(_message.Message):
    __slots__ = ("user_id", "product_id", "session_id", "session_duration_seconds", "total_playtime_seconds", "ended_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PLAYTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    session_id: str
    session_duration_seconds: int
    total_playtime_seconds: int
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., session_id: _Optional[str] = ..., session_duration_seconds: _Optional[int] = ..., total_playtime_seconds: _Optional[int] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AchievementUnlocked(_message.Message):
    __slots__ = ("user_id", "product_id", "achievement_meta_id", "unlocked_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ACHIEVEMENT_META_ID_FIELD_NUMBER: _ClassVar[int]
    UNLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    achievement_meta_id: str
    unlocked_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., achievement_meta_id: _Optional[str] = ..., unlocked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
