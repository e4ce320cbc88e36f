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

class AchievementSort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACHIEVEMENT_SORT_UNSPECIFIED: _ClassVar[AchievementSort]
    ACHIEVEMENT_SORT_DEFAULT: _ClassVar[AchievementSort]
    ACHIEVEMENT_SORT_RARITY_ASC: _ClassVar[AchievementSort]
    ACHIEVEMENT_SORT_UNLOCKED_AT_DESC: _ClassVar[AchievementSort]
ACHIEVEMENT_SORT_UNSPECIFIED: AchievementSort
ACHIEVEMENT_SORT_DEFAULT: AchievementSort
ACHIEVEMENT_SORT_RARITY_ASC: AchievementSort
ACHIEVEMENT_SORT_UNLOCKED_AT_DESC: AchievementSort

class UserAchievementStatus(_message.Message):
    __slots__ = ("achievement_meta_id", "product_id", "name", "description", "icon_url_unlocked", "is_hidden", "is_unlocked", "unlocked_at", "current_progress", "rarity_percentage")
    ACHIEVEMENT_META_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ICON_URL_UNLOCKED_FIELD_NUMBER: _ClassVar[int]
    IS_HIDDEN_FIELD_NUMBER: _ClassVar[int]
    IS_UNLOCKED_FIELD_NUMBER: _ClassVar[int]
    UNLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RARITY_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    achievement_meta_id: str
    product_id: str
    name: str
    description: str
    icon_url_unlocked: str
    is_hidden: bool
    is_unlocked: bool
    unlocked_at: _timestamp_pb2.Timestamp
    current_progress: AchievementProgressState
    rarity_percentage: float
    def __init__(self, achievement_meta_id: _Optional[str] = ..., product_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., icon_url_unlocked: _Optional[str] = ..., is_hidden: _Optional[bool] = ..., is_unlocked: _Optional[bool] = ..., unlocked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., current_progress: _Optional[_Union[AchievementProgressState, _Mapping]] = ..., rarity_percentage: _Optional[float] = ...) -> None: ...

class AchievementProgressState(_message.Message):
    __slots__ = ("current", "total")
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    current: int
    total: int
    def __init__(self, current: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class ListAchievementStatusRequest(_message.Message):
    __slots__ = ("product_id", "sort_by")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    sort_by: AchievementSort
    def __init__(self, product_id: _Optional[str] = ..., sort_by: _Optional[_Union[AchievementSort, str]] = ...) -> None: ...

class ListAchievementStatusResponse(_message.Message):
    __slots__ = ("achievements",)
    ACHIEVEMENTS_FIELD_NUMBER: _ClassVar[int]
    achievements: _containers.RepeatedCompositeFieldContainer[UserAchievementStatus]
    def __init__(self, achievements: _Optional[_Iterable[_Union[UserAchievementStatus, _Mapping]]] = ...) -> None: ...

class AchievementProgress(_message.Message):
    __slots__ = ("current_progress", "increment")
    CURRENT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_FIELD_NUMBER: _ClassVar[int]
    current_progress: int
    increment: int
    def __init__(self, current_progress: _Optional[int] = ..., increment: _Optional[int] = ...) -> None: ...

class UpdateAchievementProgressRequest(_message.Message):
    __slots__ = ("product_id", "achievement_meta_id", "progress")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ACHIEVEMENT_META_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    achievement_meta_id: str
    progress: AchievementProgress
    def __init__(self, product_id: _Optional[str] = ..., achievement_meta_id: _Optional[str] = ..., progress: _Optional[_Union[AchievementProgress, _Mapping]] = ...) -> None: ...

class UpdateAchievementProgressResponse(_message.Message):
    __slots__ = ("achievement",)
    ACHIEVEMENT_FIELD_NUMBER: _ClassVar[int]
    achievement: UserAchievementStatus
    def __init__(self, achievement: _Optional[_Union[UserAchievementStatus, _Mapping]] = ...) -> None: ...
