from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PageInfo(_message.Message):
    __slots__ = ("total_items", "current_page", "per_page")
    TOTAL_ITEMS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PAGE_FIELD_NUMBER: _ClassVar[int]
    PER_PAGE_FIELD_NUMBER: _ClassVar[int]
    total_items: int
    current_page: int
    per_page: int
    def __init__(self, total_items: _Optional[int] = ..., current_page: _Optional[int] = ..., per_page: _Optional[int] = ...) -> None: ...

class CursorInfo(_message.Message):
    __slots__ = ("next", "prev", "per_page", "total_items")
    NEXT_FIELD_NUMBER: _ClassVar[int]
    PREV_FIELD_NUMBER: _ClassVar[int]
    PER_PAGE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ITEMS_FIELD_NUMBER: _ClassVar[int]
    next: str
    prev: str
    per_page: int
    total_items: int
    def __init__(self, next: _Optional[str] = ..., prev: _Optional[str] = ..., per_page: _Optional[int] = ..., total_items: _Optional[int] = ...) -> None: ...
