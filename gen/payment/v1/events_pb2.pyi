import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PurchaseCompleted(_message.Message):
    __slots__ = ("user_id", "order_id", "items", "purchase_timestamp")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PURCHASE_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    order_id: str
    items: _containers.RepeatedCompositeFieldContainer[PurchasedItem]
    purchase_timestamp: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., order_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[PurchasedItem, _Mapping]]] = ..., purchase_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TransactionCompleted(_message.Message):
    __slots__ = ("user_id", "order_id", "items", "purchase_timestamp")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PURCHASE_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    order_id: str
    items: _containers.RepeatedCompositeFieldContainer[PurchasedItem]
    purchase_timestamp: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., order_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[PurchasedItem, _Mapping]]] = ..., purchase_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PurchasedItem(_message.Message):
    __slots__ = ("product_id", "product_type", "quantity")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_TYPE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    product_type: str
    quantity: int
    def __init__(self, product_id: _Optional[str] = ..., product_type: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...

class RefundCompleted(_message.Message):
    __slots__ = ("user_id", "order_id", "refund_id", "items", "refunded_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    order_id: str
    refund_id: str
    items: _containers.RepeatedCompositeFieldContainer[RefundedItem]
    refunded_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., order_id: _Optional[str] = ..., refund_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[RefundedItem, _Mapping]]] = ..., refunded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RefundedItem(_message.Message):
    __slots__ = ("product_id",)
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    def __init__(self, product_id: _Optional[str] = ...) -> None: ...
