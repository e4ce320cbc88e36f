import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from library.v1 import items_pb2 as _items_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from samovar.types.v1 import page_pb2 as _page_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WishlistItem(_message.Message):
    __slots__ = ("id", "product_id", "title", "cover_image_url", "added_at", "priority", "notes")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    COVER_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    title: str
    cover_image_url: str
    added_at: _timestamp_pb2.Timestamp
    priority: int
    notes: str
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., title: _Optional[str] = ..., cover_image_url: _Optional[str] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., priority: _Optional[int] = ..., notes: _Optional[str] = ...) -> None: ...

class WishlistItemChanges(_message.Message):
    __slots__ = ("priority", "notes")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    priority: int
    notes: str
    def __init__(self, priority: _Optional[int] = ..., notes: _Optional[str] = ...) -> None: ...

class ListWishlistItemsRequest(_message.Message):
    __slots__ = ("page", "limit", "include")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    page: int
    limit: int
    include: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, page: _Optional[int] = ..., limit: _Optional[int] = ..., include: _Optional[_Iterable[str]] = ...) -> None: ...

class ListWishlistItemsResponse(_message.Message):
    __slots__ = ("items", "page", "included_products")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[WishlistItem]
    page: _page_pb2.PageInfo
    included_products: _containers.RepeatedCompositeFieldContainer[_items_pb2.Product]
    def __init__(self, items: _Optional[_Iterable[_Union[WishlistItem, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ..., included_products: _Optional[_Iterable[_Union[_items_pb2.Product, _Mapping]]] = ...) -> None: ...

class GetWishlistItemRequest(_message.Message):
    __slots__ = ("wishlist_item_id", "include")
    WISHLIST_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    wishlist_item_id: str
    include: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, wishlist_item_id: _Optional[str] = ..., include: _Optional[_Iterable[str]] = ...) -> None: ...

class GetWishlistItemResponse(_message.Message):
    __slots__ = ("item", "included_products")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    item: WishlistItem
    included_products: _containers.RepeatedCompositeFieldContainer[_items_pb2.Product]
    def __init__(self, item: _Optional[_Union[WishlistItem, _Mapping]] = ..., included_products: _Optional[_Iterable[_Union[_items_pb2.Product, _Mapping]]] = ...) -> None: ...

class AddWishlistItemRequest(_message.Message):
    __slots__ = ("product_id", "priority", "notes")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    priority: int
    notes: str
    def __init__(self, product_id: _Optional[str] = ..., priority: _Optional[int] = ..., notes: _Optional[str] = ...) -> None: ...

class AddWishlistItemResponse(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: WishlistItem
    def __init__(self, item: _Optional[_Union[WishlistItem, _Mapping]] = ...) -> None: ...

class UpdateWishlistItemRequest(_message.Message):
    __slots__ = ("wishlist_item_id", "item", "update_mask")
    WISHLIST_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    wishlist_item_id: str
    item: WishlistItemChanges
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, wishlist_item_id: _Optional[str] = ..., item: _Optional[_Union[WishlistItemChanges, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateWishlistItemResponse(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: WishlistItem
    def __init__(self, item: _Optional[_Union[WishlistItem, _Mapping]] = ...) -> None: ...

class RemoveWishlistItemRequest(_message.Message):
    __slots__ = ("wishlist_item_id",)
    WISHLIST_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    wishlist_item_id: str
    def __init__(self, wishlist_item_id: _Optional[str] = ...) -> None: ...

class RemoveWishlistItemResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
