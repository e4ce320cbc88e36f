import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from library.v1 import categories_pb2 as _categories_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from samovar.types.v1 import page_pb2 as _page_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InstallationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTALLATION_STATUS_UNSPECIFIED: _ClassVar[InstallationStatus]
    INSTALLATION_STATUS_NOT_INSTALLED: _ClassVar[InstallationStatus]
    INSTALLATION_STATUS_INSTALLING: _ClassVar[InstallationStatus]
    INSTALLATION_STATUS_INSTALLED: _ClassVar[InstallationStatus]
    INSTALLATION_STATUS_UPDATING: _ClassVar[InstallationStatus]
    INSTALLATION_STATUS_REPAIR_NEEDED: _ClassVar[InstallationStatus]
    INSTALLATION_STATUS_ERROR: _ClassVar[InstallationStatus]

class AcquisitionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACQUISITION_TYPE_UNSPECIFIED: _ClassVar[AcquisitionType]
    ACQUISITION_TYPE_PURCHASE: _ClassVar[AcquisitionType]
    ACQUISITION_TYPE_GIFT: _ClassVar[AcquisitionType]
    ACQUISITION_TYPE_KEY_ACTIVATION: _ClassVar[AcquisitionType]
    ACQUISITION_TYPE_FAMILY_SHARED_ACCESS: _ClassVar[AcquisitionType]
    ACQUISITION_TYPE_FREE_TO_PLAY: _ClassVar[AcquisitionType]

class ItemSort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ITEM_SORT_UNSPECIFIED: _ClassVar[ItemSort]
    ITEM_SORT_NAME_ASC: _ClassVar[ItemSort]
    ITEM_SORT_NAME_DESC: _ClassVar[ItemSort]
    ITEM_SORT_LAST_PLAYED_DESC: _ClassVar[ItemSort]
    ITEM_SORT_ADDED_AT_DESC: _ClassVar[ItemSort]
    ITEM_SORT_PLAYTIME_DESC: _ClassVar[ItemSort]
INSTALLATION_STATUS_UNSPECIFIED: InstallationStatus
INSTALLATION_STATUS_NOT_INSTALLED: InstallationStatus
INSTALLATION_STATUS_INSTALLING: InstallationStatus
INSTALLATION_STATUS_INSTALLED: InstallationStatus
INSTALLATION_STATUS_UPDATING: InstallationStatus
INSTALLATION_STATUS_REPAIR_NEEDED: InstallationStatus
INSTALLATION_STATUS_ERROR: InstallationStatus
ACQUISITION_TYPE_UNSPECIFIED: AcquisitionType
ACQUISITION_TYPE_PURCHASE: AcquisitionType
ACQUISITION_TYPE_GIFT: AcquisitionType
ACQUISITION_TYPE_KEY_ACTIVATION: AcquisitionType
ACQUISITION_TYPE_FAMILY_SHARED_ACCESS: AcquisitionType
ACQUISITION_TYPE_FREE_TO_PLAY: AcquisitionType
ITEM_SORT_UNSPECIFIED: ItemSort
ITEM_SORT_NAME_ASC: ItemSort
ITEM_SORT_NAME_DESC: ItemSort
ITEM_SORT_LAST_PLAYED_DESC: ItemSort
ITEM_SORT_ADDED_AT_DESC: ItemSort
ITEM_SORT_PLAYTIME_DESC: ItemSort

class LibraryItem(_message.Message):
    __slots__ = ("id", "product_id", "title", "cover_image_url", "added_at", "last_played_at", "total_playtime_seconds", "installation_status", "installed_version_id", "acquisition_type", "shared_from_user_id", "is_hidden", "is_favorite", "user_rating", "notes", "category_ids")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    COVER_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_PLAYED_AT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PLAYTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    INSTALLED_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_TYPE_FIELD_NUMBER: _ClassVar[int]
    SHARED_FROM_USER_ID_FIELD_NUMBER: _ClassVar[int]
    IS_HIDDEN_FIELD_NUMBER: _ClassVar[int]
    IS_FAVORITE_FIELD_NUMBER: _ClassVar[int]
    USER_RATING_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_IDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    title: str
    cover_image_url: str
    added_at: _timestamp_pb2.Timestamp
    last_played_at: _timestamp_pb2.Timestamp
    total_playtime_seconds: int
    installation_status: InstallationStatus
    installed_version_id: str
    acquisition_type: AcquisitionType
    shared_from_user_id: str
    is_hidden: bool
    is_favorite: bool
    user_rating: int
    notes: str
    category_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., title: _Optional[str] = ..., cover_image_url: _Optional[str] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_played_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., total_playtime_seconds: _Optional[int] = ..., installation_status: _Optional[_Union[InstallationStatus, str]] = ..., installed_version_id: _Optional[str] = ..., acquisition_type: _Optional[_Union[AcquisitionType, str]] = ..., shared_from_user_id: _Optional[str] = ..., is_hidden: _Optional[bool] = ..., is_favorite: _Optional[bool] = ..., user_rating: _Optional[int] = ..., notes: _Optional[str] = ..., category_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Product(_message.Message):
    __slots__ = ("id", "title", "cover_image_url", "product_type")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    COVER_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_TYPE_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    cover_image_url: str
    product_type: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., cover_image_url: _Optional[str] = ..., product_type: _Optional[str] = ...) -> None: ...

class LibraryItemChanges(_message.Message):
    __slots__ = ("is_hidden", "is_favorite", "user_rating", "notes", "category_ids")
    IS_HIDDEN_FIELD_NUMBER: _ClassVar[int]
    IS_FAVORITE_FIELD_NUMBER: _ClassVar[int]
    USER_RATING_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_IDS_FIELD_NUMBER: _ClassVar[int]
    is_hidden: bool
    is_favorite: bool
    user_rating: int
    notes: str
    category_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, is_hidden: _Optional[bool] = ..., is_favorite: _Optional[bool] = ..., user_rating: _Optional[int] = ..., notes: _Optional[str] = ..., category_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListItemsRequest(_message.Message):
    __slots__ = ("status", "search", "include_hidden", "is_favorite", "sort_by", "page", "limit", "category_id", "include")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_HIDDEN_FIELD_NUMBER: _ClassVar[int]
    IS_FAVORITE_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    status: InstallationStatus
    search: str
    include_hidden: bool
    is_favorite: bool
    sort_by: ItemSort
    page: int
    limit: int
    category_id: str
    include: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, status: _Optional[_Union[InstallationStatus, str]] = ..., search: _Optional[str] = ..., include_hidden: _Optional[bool] = ..., is_favorite: _Optional[bool] = ..., sort_by: _Optional[_Union[ItemSort, str]] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ..., category_id: _Optional[str] = ..., include: _Optional[_Iterable[str]] = ...) -> None: ...

class ListItemsResponse(_message.Message):
    __slots__ = ("items", "page", "included_categories", "included_products")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[LibraryItem]
    page: _page_pb2.PageInfo
    included_categories: _containers.RepeatedCompositeFieldContainer[_categories_pb2.Category]
    included_products: _containers.RepeatedCompositeFieldContainer[Product]
    def __init__(self, items: _Optional[_Iterable[_Union[LibraryItem, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ..., included_categories: _Optional[_Iterable[_Union[_categories_pb2.Category, _Mapping]]] = ..., included_products: _Optional[_Iterable[_Union[Product, _Mapping]]] = ...) -> None: ...

class GetItemRequest(_message.Message):
    __slots__ = ("library_item_id", "include")
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    include: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, library_item_id: _Optional[str] = ..., include: _Optional[_Iterable[str]] = ...) -> None: ...

class GetItemResponse(_message.Message):
    __slots__ = ("item", "included_categories", "included_products")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    item: LibraryItem
    included_categories: _containers.RepeatedCompositeFieldContainer[_categories_pb2.Category]
    included_products: _containers.RepeatedCompositeFieldContainer[Product]
    def __init__(self, item: _Optional[_Union[LibraryItem, _Mapping]] = ..., included_categories: _Optional[_Iterable[_Union[_categories_pb2.Category, _Mapping]]] = ..., included_products: _Optional[_Iterable[_Union[Product, _Mapping]]] = ...) -> None: ...

class UpdateItemRequest(_message.Message):
    __slots__ = ("library_item_id", "item", "update_mask")
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    item: LibraryItemChanges
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, library_item_id: _Optional[str] = ..., item: _Optional[_Union[LibraryItemChanges, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateItemResponse(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: LibraryItem
    def __init__(self, item: _Optional[_Union[LibraryItem, _Mapping]] = ...) -> None: ...

class ListItemCategoriesRequest(_message.Message):
    __slots__ = ("library_item_id",)
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    def __init__(self, library_item_id: _Optional[str] = ...) -> None: ...

class ListItemCategoriesResponse(_message.Message):
    __slots__ = ("categories",)
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    categories: _containers.RepeatedCompositeFieldContainer[_categories_pb2.Category]
    def __init__(self, categories: _Optional[_Iterable[_Union[_categories_pb2.Category, _Mapping]]] = ...) -> None: ...

class GetItemCategoryLinkageRequest(_message.Message):
    __slots__ = ("library_item_id",)
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    def __init__(self, library_item_id: _Optional[str] = ...) -> None: ...

class GetItemCategoryLinkageResponse(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: LibraryItem
    def __init__(self, item: _Optional[_Union[LibraryItem, _Mapping]] = ...) -> None: ...

class AddItemCategoriesRequest(_message.Message):
    __slots__ = ("library_item_id", "category_ids")
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_IDS_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    category_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, library_item_id: _Optional[str] = ..., category_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class AddItemCategoriesResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReplaceItemCategoriesRequest(_message.Message):
    __slots__ = ("library_item_id", "category_ids")
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_IDS_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    category_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, library_item_id: _Optional[str] = ..., category_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ReplaceItemCategoriesResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RemoveItemCategoriesRequest(_message.Message):
    __slots__ = ("library_item_id", "category_ids")
    LIBRARY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_IDS_FIELD_NUMBER: _ClassVar[int]
    library_item_id: str
    category_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, library_item_id: _Optional[str] = ..., category_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RemoveItemCategoriesResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
