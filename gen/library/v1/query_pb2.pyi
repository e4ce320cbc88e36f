import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from library.v1 import achievements_pb2 as _achievements_pb2
from library.v1 import items_pb2 as _items_pb2
from library.v1 import playtime_pb2 as _playtime_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetLibraryItemsRequest(_message.Message):
    __slots__ = ("user_id", "product_ids_filter")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_IDS_FILTER_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_ids_filter: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., product_ids_filter: _Optional[_Iterable[str]] = ...) -> None: ...

class GetLibraryItemsResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[OwnedItem]
    def __init__(self, items: _Optional[_Iterable[_Union[OwnedItem, _Mapping]]] = ...) -> None: ...

class OwnedItem(_message.Message):
    __slots__ = ("product_id", "added_at", "installation_status", "total_playtime_seconds")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PLAYTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    added_at: _timestamp_pb2.Timestamp
    installation_status: _items_pb2.InstallationStatus
    total_playtime_seconds: int
    def __init__(self, product_id: _Optional[str] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., installation_status: _Optional[_Union[_items_pb2.InstallationStatus, str]] = ..., total_playtime_seconds: _Optional[int] = ...) -> None: ...

class CheckGameAccessRequest(_message.Message):
    __slots__ = ("user_id", "product_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ...) -> None: ...

class CheckGameAccessResponse(_message.Message):
    __slots__ = ("has_access", "acquisition_date")
    HAS_ACCESS_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_DATE_FIELD_NUMBER: _ClassVar[int]
    has_access: bool
    acquisition_date: _timestamp_pb2.Timestamp
    def __init__(self, has_access: _Optional[bool] = ..., acquisition_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetPlaytimeStatsRequest(_message.Message):
    __slots__ = ("user_id", "product_ids", "period")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    period: _playtime_pb2.PlaytimePeriod
    def __init__(self, user_id: _Optional[str] = ..., product_ids: _Optional[_Iterable[str]] = ..., period: _Optional[_Union[_playtime_pb2.PlaytimePeriod, str]] = ...) -> None: ...

class GetPlaytimeStatsResponse(_message.Message):
    __slots__ = ("statistics",)
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    statistics: _playtime_pb2.PlaytimeStatistics
    def __init__(self, statistics: _Optional[_Union[_playtime_pb2.PlaytimeStatistics, _Mapping]] = ...) -> None: ...

class GetUserAchievementsRequest(_message.Message):
    __slots__ = ("user_id", "product_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_id: str
    def __init__(self, user_id: _Optional[str] = ..., product_id: _Optional[str] = ...) -> None: ...

class GetUserAchievementsResponse(_message.Message):
    __slots__ = ("achievements",)
    ACHIEVEMENTS_FIELD_NUMBER: _ClassVar[int]
    achievements: _containers.RepeatedCompositeFieldContainer[_achievements_pb2.UserAchievementStatus]
    def __init__(self, achievements: _Optional[_Iterable[_Union[_achievements_pb2.UserAchievementStatus, _Mapping]]] = ...) -> None: ...
