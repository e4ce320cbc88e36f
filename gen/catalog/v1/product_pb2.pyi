import datetime

from buf.validate import validate_pb2 as _validate_pb2
from content.v1 import manifest_pb2 as _manifest_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LocalizedText(_message.Message):
    __slots__ = ("ru", "en")
    RU_FIELD_NUMBER: _ClassVar[int]
    EN_FIELD_NUMBER: _ClassVar[int]
    ru: str
    en: str
    def __init__(self, ru: _Optional[str] = ..., en: _Optional[str] = ...) -> None: ...

class Product(_message.Message):
    __slots__ = ("product_id", "titles", "cover_image_url", "product_type", "versions", "price_minor_units", "currency")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLES_FIELD_NUMBER: _ClassVar[int]
    COVER_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PRICE_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    titles: LocalizedText
    cover_image_url: str
    product_type: str
    versions: _containers.RepeatedCompositeFieldContainer[ProductVersion]
    price_minor_units: int
    currency: str
    def __init__(self, product_id: _Optional[str] = ..., titles: _Optional[_Union[LocalizedText, _Mapping]] = ..., cover_image_url: _Optional[str] = ..., product_type: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[ProductVersion, _Mapping]]] = ..., price_minor_units: _Optional[int] = ..., currency: _Optional[str] = ...) -> None: ...

class ProductVersion(_message.Message):
    __slots__ = ("version_id", "version_name", "platform", "release_date", "total_size_bytes", "is_withdrawn")
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_NAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    RELEASE_DATE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IS_WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    version_id: str
    version_name: str
    platform: _manifest_pb2.Platform
    release_date: _timestamp_pb2.Timestamp
    total_size_bytes: int
    is_withdrawn: bool
    def __init__(self, version_id: _Optional[str] = ..., version_name: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., release_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., total_size_bytes: _Optional[int] = ..., is_withdrawn: _Optional[bool] = ...) -> None: ...

class Achievement(_message.Message):
    __slots__ = ("achievement_meta_id", "names", "descriptions", "icon_url_unlocked", "total_progress_needed", "is_hidden")
    ACHIEVEMENT_META_ID_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    ICON_URL_UNLOCKED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PROGRESS_NEEDED_FIELD_NUMBER: _ClassVar[int]
    IS_HIDDEN_FIELD_NUMBER: _ClassVar[int]
    achievement_meta_id: str
    names: LocalizedText
    descriptions: LocalizedText
    icon_url_unlocked: str
    total_progress_needed: int
    is_hidden: bool
    def __init__(self, achievement_meta_id: _Optional[str] = ..., names: _Optional[_Union[LocalizedText, _Mapping]] = ..., descriptions: _Optional[_Union[LocalizedText, _Mapping]] = ..., icon_url_unlocked: _Optional[str] = ..., total_progress_needed: _Optional[int] = ..., is_hidden: _Optional[bool] = ...) -> None: ...

class GetProductRequest(_message.Message):
    __slots__ = ("product_id",)
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    def __init__(self, product_id: _Optional[str] = ...) -> None: ...

class GetProductResponse(_message.Message):
    __slots__ = ("product",)
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    product: Product
    def __init__(self, product: _Optional[_Union[Product, _Mapping]] = ...) -> None: ...

class GetProductsBatchRequest(_message.Message):
    __slots__ = ("product_ids",)
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, product_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetProductsBatchResponse(_message.Message):
    __slots__ = ("products",)
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    products: _containers.RepeatedCompositeFieldContainer[Product]
    def __init__(self, products: _Optional[_Iterable[_Union[Product, _Mapping]]] = ...) -> None: ...

class GetVersionManifestRequest(_message.Message):
    __slots__ = ("product_id", "version_id")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    version_id: str
    def __init__(self, product_id: _Optional[str] = ..., version_id: _Optional[str] = ...) -> None: ...

class GetVersionManifestResponse(_message.Message):
    __slots__ = ("manifest", "signature")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    signature: _manifest_pb2.ManifestSignature
    def __init__(self, manifest: _Optional[bytes] = ..., signature: _Optional[_Union[_manifest_pb2.ManifestSignature, _Mapping]] = ...) -> None: ...

class ListAchievementsRequest(_message.Message):
    __slots__ = ("product_id",)
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    def __init__(self, product_id: _Optional[str] = ...) -> None: ...

class ListAchievementsResponse(_message.Message):
    __slots__ = ("achievements",)
    ACHIEVEMENTS_FIELD_NUMBER: _ClassVar[int]
    achievements: _containers.RepeatedCompositeFieldContainer[Achievement]
    def __init__(self, achievements: _Optional[_Iterable[_Union[Achievement, _Mapping]]] = ...) -> None: ...
