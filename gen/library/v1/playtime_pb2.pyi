import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlaytimeSessionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAYTIME_SESSION_STATUS_UNSPECIFIED: _ClassVar[PlaytimeSessionStatus]
    PLAYTIME_SESSION_STATUS_ACTIVE: _ClassVar[PlaytimeSessionStatus]
    PLAYTIME_SESSION_STATUS_COMPLETED: _ClassVar[PlaytimeSessionStatus]
    PLAYTIME_SESSION_STATUS_TIMED_OUT: _ClassVar[PlaytimeSessionStatus]
    PLAYTIME_SESSION_STATUS_TERMINATED: _ClassVar[PlaytimeSessionStatus]

class PlaytimePeriod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAYTIME_PERIOD_UNSPECIFIED: _ClassVar[PlaytimePeriod]
    PLAYTIME_PERIOD_ALL_TIME: _ClassVar[PlaytimePeriod]
    PLAYTIME_PERIOD_LAST_2_WEEKS: _ClassVar[PlaytimePeriod]
PLAYTIME_SESSION_STATUS_UNSPECIFIED: PlaytimeSessionStatus
PLAYTIME_SESSION_STATUS_ACTIVE: PlaytimeSessionStatus
PLAYTIME_SESSION_STATUS_COMPLETED: PlaytimeSessionStatus
PLAYTIME_SESSION_STATUS_TIMED_OUT: PlaytimeSessionStatus
PLAYTIME_SESSION_STATUS_TERMINATED: PlaytimeSessionStatus
PLAYTIME_PERIOD_UNSPECIFIED: PlaytimePeriod
PLAYTIME_PERIOD_ALL_TIME: PlaytimePeriod
PLAYTIME_PERIOD_LAST_2_WEEKS: PlaytimePeriod

class PlaytimeSession(_message.Message):
    __slots__ = ("id", "product_id", "start_time", "status", "heartbeat_interval_seconds", "end_time", "duration_seconds", "platform", "device_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    start_time: _timestamp_pb2.Timestamp
    status: PlaytimeSessionStatus
    heartbeat_interval_seconds: int
    end_time: _timestamp_pb2.Timestamp
    duration_seconds: int
    platform: str
    device_id: str
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[_Union[PlaytimeSessionStatus, str]] = ..., heartbeat_interval_seconds: _Optional[int] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_seconds: _Optional[int] = ..., platform: _Optional[str] = ..., device_id: _Optional[str] = ...) -> None: ...

class PlaytimeStatistics(_message.Message):
    __slots__ = ("user_id", "total_playtime_seconds", "last_2_weeks_seconds", "last_played_at", "products", "days")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PLAYTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_2_WEEKS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_PLAYED_AT_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    total_playtime_seconds: int
    last_2_weeks_seconds: int
    last_played_at: _timestamp_pb2.Timestamp
    products: _containers.RepeatedCompositeFieldContainer[ProductPlaytime]
    days: _containers.RepeatedCompositeFieldContainer[DailyPlaytime]
    def __init__(self, user_id: _Optional[str] = ..., total_playtime_seconds: _Optional[int] = ..., last_2_weeks_seconds: _Optional[int] = ..., last_played_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., products: _Optional[_Iterable[_Union[ProductPlaytime, _Mapping]]] = ..., days: _Optional[_Iterable[_Union[DailyPlaytime, _Mapping]]] = ...) -> None: ...

class ProductPlaytime(_message.Message):
    __slots__ = ("product_id", "total_playtime_seconds", "last_2_weeks_seconds", "last_played_at")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PLAYTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_2_WEEKS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_PLAYED_AT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    total_playtime_seconds: int
    last_2_weeks_seconds: int
    last_played_at: _timestamp_pb2.Timestamp
    def __init__(self, product_id: _Optional[str] = ..., total_playtime_seconds: _Optional[int] = ..., last_2_weeks_seconds: _Optional[int] = ..., last_played_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DailyPlaytime(_message.Message):
    __slots__ = ("date", "playtime_seconds")
    DATE_FIELD_NUMBER: _ClassVar[int]
    PLAYTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    date: str
    playtime_seconds: int
    def __init__(self, date: _Optional[str] = ..., playtime_seconds: _Optional[int] = ...) -> None: ...

class StartPlaytimeSessionRequest(_message.Message):
    __slots__ = ("product_id", "platform", "device_id")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    platform: str
    device_id: str
    def __init__(self, product_id: _Optional[str] = ..., platform: _Optional[str] = ..., device_id: _Optional[str] = ...) -> None: ...

class StartPlaytimeSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: PlaytimeSession
    def __init__(self, session: _Optional[_Union[PlaytimeSession, _Mapping]] = ...) -> None: ...

class GetPlaytimeSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetPlaytimeSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: PlaytimeSession
    def __init__(self, session: _Optional[_Union[PlaytimeSession, _Mapping]] = ...) -> None: ...

class PlaytimeHeartbeat(_message.Message):
    __slots__ = ("sequence", "client_time")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_TIME_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    client_time: _timestamp_pb2.Timestamp
    def __init__(self, sequence: _Optional[int] = ..., client_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordPlaytimeHeartbeatRequest(_message.Message):
    __slots__ = ("session_id", "heartbeat")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    heartbeat: PlaytimeHeartbeat
    def __init__(self, session_id: _Optional[str] = ..., heartbeat: _Optional[_Union[PlaytimeHeartbeat, _Mapping]] = ...) -> None: ...

class RecordPlaytimeHeartbeatResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndPlaytimeSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class EndPlaytimeSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: PlaytimeSession
    def __init__(self, session: _Optional[_Union[PlaytimeSession, _Mapping]] = ...) -> None: ...

class GetPlaytimeRequest(_message.Message):
    __slots__ = ("product_ids", "period")
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    period: PlaytimePeriod
    def __init__(self, product_ids: _Optional[_Iterable[str]] = ..., period: _Optional[_Union[PlaytimePeriod, str]] = ...) -> None: ...

class GetPlaytimeResponse(_message.Message):
    __slots__ = ("statistics",)
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    statistics: PlaytimeStatistics
    def __init__(self, statistics: _Optional[_Union[PlaytimeStatistics, _Mapping]] = ...) -> None: ...
