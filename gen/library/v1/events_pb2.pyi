import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from library.v1 import items_pb2 as _items_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RemovalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REMOVAL_REASON_UNSPECIFIED: _ClassVar[RemovalReason]
    REMOVAL_REASON_REFUND: _ClassVar[RemovalReason]
    REMOVAL_REASON_FAMILY_REVOKED: _ClassVar[RemovalReason]
    REMOVAL_REASON_ADMIN: _ClassVar[RemovalReason]

class CategoryChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CATEGORY_CHANGE_UNSPECIFIED: _ClassVar[CategoryChange]
    CATEGORY_CHANGE_CREATED: _ClassVar[CategoryChange]
    CATEGORY_CHANGE_UPDATED: _ClassVar[CategoryChange]
    CATEGORY_CHANGE_DELETED: _ClassVar[CategoryChange]

class SavegameSyncStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAVEGAME_SYNC_STATUS_UNSPECIFIED: _ClassVar[SavegameSyncStatus]
    SAVEGAME_SYNC_STATUS_SYNC_STARTED: _ClassVar[SavegameSyncStatus]
    SAVEGAME_SYNC_STATUS_SYNC_COMPLETED: _ClassVar[SavegameSyncStatus]
    SAVEGAME_SYNC_STATUS_SYNC_FAILED: _ClassVar[SavegameSyncStatus]
    SAVEGAME_SYNC_STATUS_CONFLICT: _ClassVar[SavegameSyncStatus]
REMOVAL_REASON_UNSPECIFIED: RemovalReason
REMOVAL_REASON_REFUND: RemovalReason
REMOVAL_REASON_FAMILY_REVOKED: RemovalReason
REMOVAL_REASON_ADMIN: RemovalReason
CATEGORY_CHANGE_UNSPECIFIED: CategoryChange
CATEGORY_CHANGE_CREATED: CategoryChange
CATEGORY_CHANGE_UPDATED: CategoryChange
CATEGORY_CHANGE_DELETED: CategoryChange
SAVEGAME_SYNC_STATUS_UNSPECIFIED: SavegameSyncStatus
SAVEGAME_SYNC_STATUS_SYNC_STARTED: SavegameSyncStatus
SAVEGAME_SYNC_STATUS_SYNC_COMPLETED: SavegameSyncStatus
SAVEGAME_SYNC_STATUS_SYNC_FAILED: SavegameSyncStatus
SAVEGAME_SYNC_STATUS_CONFLICT: SavegameSyncStatus

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

class ItemUpdated(_message.Message):
    __slots__ = ("user_id", "product_id", "library_item_id", "changed_attributes")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGED_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    library_item_id: str
    changed_attributes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., library_item_id: _Optional[str] = ..., changed_attributes: _Optional[_Iterable[str]] = ...) -> None: ...

class WishlistItemUpdated(_message.Message):
    __slots__ = ("user_id", "product_id", "wishlist_item_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    WISHLIST_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    wishlist_item_id: str
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., wishlist_item_id: _Optional[str] = ...) -> None: ...

class CategoryChanged(_message.Message):
    __slots__ = ("user_id", "category_id", "change")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    category_id: str
    change: CategoryChange
    def __init__(self, user_id: _Optional[str] = ..., category_id: _Optional[str] = ..., change: _Optional[_Union[CategoryChange, str]] = ...) -> None: ...

class SavegameUploaded(_message.Message):
    __slots__ = ("user_id", "product_id", "savegame_id", "slot_name", "s3_path", "file_size_bytes", "client_timestamp", "server_timestamp")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    SLOT_NAME_FIELD_NUMBER: _ClassVar[int]
    S3_PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CLIENT_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    savegame_id: str
    slot_name: str
    s3_path: str
    file_size_bytes: int
    client_timestamp: _timestamp_pb2.Timestamp
    server_timestamp: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., savegame_id: _Optional[str] = ..., slot_name: _Optional[str] = ..., s3_path: _Optional[str] = ..., file_size_bytes: _Optional[int] = ..., client_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., server_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SavegameSyncStatusChanged(_message.Message):
    __slots__ = ("user_id", "product_id", "savegame_id", "slot_name", "status", "last_synced_at", "error_message")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SAVEGAME_ID_FIELD_NUMBER: _ClassVar[int]
    SLOT_NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LAST_SYNCED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    savegame_id: str
    slot_name: str
    status: SavegameSyncStatus
    last_synced_at: _timestamp_pb2.Timestamp
    error_message: str
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., savegame_id: _Optional[str] = ..., slot_name: _Optional[str] = ..., status: _Optional[_Union[SavegameSyncStatus, str]] = ..., last_synced_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_message: _Optional[str] = ...) -> None: ...
