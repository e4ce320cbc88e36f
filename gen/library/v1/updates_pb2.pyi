import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from library.v1 import events_pb2 as _events_pb2
from library.v1 import items_pb2 as _items_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WishlistChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WISHLIST_CHANGE_UNSPECIFIED: _ClassVar[WishlistChange]
    WISHLIST_CHANGE_ADDED: _ClassVar[WishlistChange]
    WISHLIST_CHANGE_UPDATED: _ClassVar[WishlistChange]
    WISHLIST_CHANGE_REMOVED: _ClassVar[WishlistChange]
WISHLIST_CHANGE_UNSPECIFIED: WishlistChange
WISHLIST_CHANGE_ADDED: WishlistChange
WISHLIST_CHANGE_UPDATED: WishlistChange
WISHLIST_CHANGE_REMOVED: WishlistChange

class WatchLibraryUpdatesRequest(_message.Message):
    __slots__ = ("last_event_id",)
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    last_event_id: str
    def __init__(self, last_event_id: _Optional[str] = ...) -> None: ...

class WatchLibraryUpdatesResponse(_message.Message):
    __slots__ = ("event_id", "occurred_at", "item_added", "item_removed", "item_updated", "playtime_updated", "achievement_unlocked", "wishlist_updated", "wishlist_sale", "game_settings_updated", "category_updated", "savegame_sync_status", "resync_required")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    ITEM_ADDED_FIELD_NUMBER: _ClassVar[int]
    ITEM_REMOVED_FIELD_NUMBER: _ClassVar[int]
    ITEM_UPDATED_FIELD_NUMBER: _ClassVar[int]
    PLAYTIME_UPDATED_FIELD_NUMBER: _ClassVar[int]
    ACHIEVEMENT_UNLOCKED_FIELD_NUMBER: _ClassVar[int]
    WISHLIST_UPDATED_FIELD_NUMBER: _ClassVar[int]
    WISHLIST_SALE_FIELD_NUMBER: _ClassVar[int]
    GAME_SETTINGS_UPDATED_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_UPDATED_FIELD_NUMBER: _ClassVar[int]
    SAVEGAME_SYNC_STATUS_FIELD_NUMBER: _ClassVar[int]
    RESYNC_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    occurred_at: _timestamp_pb2.Timestamp
    item_added: LibraryItemAdded
    item_removed: _events_pb2.GameRemoved
    item_updated: LibraryItemUpdated
    playtime_updated: _events_pb2.PlaytimeSessionEnded
    achievement_unlocked: AchievementUnlockedUpdate
    wishlist_updated: WishlistUpdated
    wishlist_sale: _events_pb2.WishlistItemOnSale
    game_settings_updated: _events_pb2.GameSettingsUpdated
    category_updated: _events_pb2.CategoryChanged
    savegame_sync_status: _events_pb2.SavegameSyncStatusChanged
    resync_required: ResyncRequired
    def __init__(self, event_id: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., item_added: _Optional[_Union[LibraryItemAdded, _Mapping]] = ..., item_removed: _Optional[_Union[_events_pb2.GameRemoved, _Mapping]] = ..., item_updated: _Optional[_Union[LibraryItemUpdated, _Mapping]] = ..., playtime_updated: _Optional[_Union[_events_pb2.PlaytimeSessionEnded, _Mapping]] = ..., achievement_unlocked: _Optional[_Union[AchievementUnlockedUpdate, _Mapping]] = ..., wishlist_updated: _Optional[_Union[WishlistUpdated, _Mapping]] = ..., wishlist_sale: _Optional[_Union[_events_pb2.WishlistItemOnSale, _Mapping]] = ..., game_settings_updated: _Optional[_Union[_events_pb2.GameSettingsUpdated, _Mapping]] = ..., category_updated: _Optional[_Union[_events_pb2.CategoryChanged, _Mapping]] = ..., savegame_sync_status: _Optional[_Union[_events_pb2.SavegameSyncStatusChanged, _Mapping]] = ..., resync_required: _Optional[_Union[ResyncRequired, _Mapping]] = ...) -> None: ...

class LibraryItemAdded(_message.Message):
    __slots__ = ("library_item_id", "product_id", "acquisition_type", "added_at")
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_TYPE_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    product_id: str
    acquisition_type: _items_pb2.AcquisitionType
    added_at: _timestamp_pb2.Timestamp
    def __init__(self, library_item_id: _Optional[str] = ..., product_id: _Optional[str] = ..., acquisition_type: _Optional[_Union[_items_pb2.AcquisitionType, str]] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LibraryItemUpdated(_message.Message):
    __slots__ = ("library_item_id", "product_id", "changes")
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    product_id: str
    changes: _struct_pb2.Struct
    def __init__(self, library_item_id: _Optional[str] = ..., product_id: _Optional[str] = ..., changes: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class AchievementUnlockedUpdate(_message.Message):
    __slots__ = ("product_id", "achievement_id", "achievement_name", "unlocked_at")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ACHIEVEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACHIEVEMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    UNLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    achievement_id: str
    achievement_name: str
    unlocked_at: _timestamp_pb2.Timestamp
    def __init__(self, product_id: _Optional[str] = ..., achievement_id: _Optional[str] = ..., achievement_name: _Optional[str] = ..., unlocked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WishlistUpdated(_message.Message):
    __slots__ = ("wishlist_item_id", "product_id", "change")
    WISHLIST_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    wishlist_item_id: str
    product_id: str
    change: WishlistChange
    def __init__(self, wishlist_item_id: _Optional[str] = ..., product_id: _Optional[str] = ..., change: _Optional[_Union[WishlistChange, str]] = ...) -> None: ...

class ResyncRequired(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
