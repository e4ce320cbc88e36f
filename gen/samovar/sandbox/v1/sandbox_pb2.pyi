from buf.validate import validate_pb2 as _validate_pb2
from catalog.v1 import product_pb2 as _product_pb2
from content.v1 import manifest_pb2 as _manifest_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IssueTokenRequest(_message.Message):
    __slots__ = ("user_id", "roles", "permissions", "ttl_seconds", "service", "audience")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    permissions: _containers.RepeatedScalarFieldContainer[str]
    ttl_seconds: int
    service: str
    audience: str
    def __init__(self, user_id: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., permissions: _Optional[_Iterable[str]] = ..., ttl_seconds: _Optional[int] = ..., service: _Optional[str] = ..., audience: _Optional[str] = ...) -> None: ...

class IssueTokenResponse(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class PutProductRequest(_message.Message):
    __slots__ = ("product", "achievements")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    ACHIEVEMENTS_FIELD_NUMBER: _ClassVar[int]
    product: _product_pb2.Product
    achievements: _containers.RepeatedCompositeFieldContainer[_product_pb2.Achievement]
    def __init__(self, product: _Optional[_Union[_product_pb2.Product, _Mapping]] = ..., achievements: _Optional[_Iterable[_Union[_product_pb2.Achievement, _Mapping]]] = ...) -> None: ...

class PutProductResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListProductsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListProductsResponse(_message.Message):
    __slots__ = ("products",)
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    products: _containers.RepeatedCompositeFieldContainer[_product_pb2.Product]
    def __init__(self, products: _Optional[_Iterable[_Union[_product_pb2.Product, _Mapping]]] = ...) -> None: ...

class AnnounceVersionRequest(_message.Message):
    __slots__ = ("product_id", "version_id", "version_name", "platform", "file_manifest_url", "total_size_bytes", "is_critical", "channel")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_NAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    FILE_MANIFEST_URL_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IS_CRITICAL_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    version_id: str
    version_name: str
    platform: _manifest_pb2.Platform
    file_manifest_url: str
    total_size_bytes: int
    is_critical: bool
    channel: str
    def __init__(self, product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., version_name: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., file_manifest_url: _Optional[str] = ..., total_size_bytes: _Optional[int] = ..., is_critical: _Optional[bool] = ..., channel: _Optional[str] = ...) -> None: ...

class AnnounceVersionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WithdrawVersionRequest(_message.Message):
    __slots__ = ("product_id", "version")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    version: str
    def __init__(self, product_id: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class WithdrawVersionResponse(_message.Message):
    __slots__ = ("version_ids",)
    VERSION_IDS_FIELD_NUMBER: _ClassVar[int]
    version_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class BuyRequest(_message.Message):
    __slots__ = ("user_id", "product_ids")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., product_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class BuyResponse(_message.Message):
    __slots__ = ("order_id",)
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    def __init__(self, order_id: _Optional[str] = ...) -> None: ...

class RefundRequest(_message.Message):
    __slots__ = ("order_id",)
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    def __init__(self, order_id: _Optional[str] = ...) -> None: ...

class RefundResponse(_message.Message):
    __slots__ = ("refund_id",)
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    refund_id: str
    def __init__(self, refund_id: _Optional[str] = ...) -> None: ...

class SetPriceRequest(_message.Message):
    __slots__ = ("product_id", "discount_percent", "duration_seconds")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    discount_percent: int
    duration_seconds: int
    def __init__(self, product_id: _Optional[str] = ..., discount_percent: _Optional[int] = ..., duration_seconds: _Optional[int] = ...) -> None: ...

class SetPriceResponse(_message.Message):
    __slots__ = ("sale_id",)
    SALE_ID_FIELD_NUMBER: _ClassVar[int]
    sale_id: str
    def __init__(self, sale_id: _Optional[str] = ...) -> None: ...

class DeleteUserRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class DeleteUserResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
