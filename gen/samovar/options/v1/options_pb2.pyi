from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.rpc import code_pb2 as _code_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusMessages(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_MESSAGES_UNSPECIFIED: _ClassVar[StatusMessages]
    STATUS_MESSAGES_ALL: _ClassVar[StatusMessages]
    STATUS_MESSAGES_NONE: _ClassVar[StatusMessages]

class RateClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RATE_CLASS_UNSPECIFIED: _ClassVar[RateClass]
    RATE_CLASS_READ: _ClassVar[RateClass]
    RATE_CLASS_WRITE: _ClassVar[RateClass]
    RATE_CLASS_NONE: _ClassVar[RateClass]
STATUS_MESSAGES_UNSPECIFIED: StatusMessages
STATUS_MESSAGES_ALL: StatusMessages
STATUS_MESSAGES_NONE: StatusMessages
RATE_CLASS_UNSPECIFIED: RateClass
RATE_CLASS_READ: RateClass
RATE_CLASS_WRITE: RateClass
RATE_CLASS_NONE: RateClass
FILE_DEFAULTS_FIELD_NUMBER: _ClassVar[int]
file_defaults: _descriptor.FieldDescriptor
SERVICE_DEFAULTS_FIELD_NUMBER: _ClassVar[int]
service_defaults: _descriptor.FieldDescriptor
ACCESS_FIELD_NUMBER: _ClassVar[int]
access: _descriptor.FieldDescriptor
REST_FIELD_NUMBER: _ClassVar[int]
rest: _descriptor.FieldDescriptor
STREAM_FIELD_NUMBER: _ClassVar[int]
stream: _descriptor.FieldDescriptor
ERRORS_FIELD_NUMBER: _ClassVar[int]
errors: _descriptor.FieldDescriptor
RESOURCE_FIELD_NUMBER: _ClassVar[int]
resource: _descriptor.FieldDescriptor
EVENT_FIELD_NUMBER: _ClassVar[int]
event: _descriptor.FieldDescriptor
RELATIONSHIP_FIELD_NUMBER: _ClassVar[int]
relationship: _descriptor.FieldDescriptor
STREAM_EVENT_FIELD_NUMBER: _ClassVar[int]
stream_event: _descriptor.FieldDescriptor
NOT_NULL_FIELD_NUMBER: _ClassVar[int]
not_null: _descriptor.FieldDescriptor
FILTER_FIELD_NUMBER: _ClassVar[int]
filter: _descriptor.FieldDescriptor
ERROR_FIELD_NUMBER: _ClassVar[int]
error: _descriptor.FieldDescriptor
SORT_KEY_FIELD_NUMBER: _ClassVar[int]
sort_key: _descriptor.FieldDescriptor

class Text(_message.Message):
    __slots__ = ("ru", "en")
    RU_FIELD_NUMBER: _ClassVar[int]
    EN_FIELD_NUMBER: _ClassVar[int]
    ru: str
    en: str
    def __init__(self, ru: _Optional[str] = ..., en: _Optional[str] = ...) -> None: ...

class Defaults(_message.Message):
    __slots__ = ("access", "gateway_validates", "status_messages")
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_VALIDATES_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    access: Access
    gateway_validates: bool
    status_messages: StatusMessages
    def __init__(self, access: _Optional[_Union[Access, _Mapping]] = ..., gateway_validates: _Optional[bool] = ..., status_messages: _Optional[_Union[StatusMessages, str]] = ...) -> None: ...

class Access(_message.Message):
    __slots__ = ("public", "roles", "services", "rate_class")
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    RATE_CLASS_FIELD_NUMBER: _ClassVar[int]
    public: bool
    roles: _containers.RepeatedScalarFieldContainer[str]
    services: _containers.RepeatedScalarFieldContainer[str]
    rate_class: RateClass
    def __init__(self, public: _Optional[bool] = ..., roles: _Optional[_Iterable[str]] = ..., services: _Optional[_Iterable[str]] = ..., rate_class: _Optional[_Union[RateClass, str]] = ...) -> None: ...

class Rest(_message.Message):
    __slots__ = ("request_types", "success_status", "no_content", "data_field", "update_mask_field", "location", "signed_urls", "if_match_field", "etag_field", "includes", "include_field", "sort_field", "relationship")
    REQUEST_TYPES_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_STATUS_FIELD_NUMBER: _ClassVar[int]
    NO_CONTENT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    SIGNED_URLS_FIELD_NUMBER: _ClassVar[int]
    IF_MATCH_FIELD_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_FIELD_NUMBER: _ClassVar[int]
    INCLUDES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIP_FIELD_NUMBER: _ClassVar[int]
    request_types: _containers.RepeatedScalarFieldContainer[str]
    success_status: int
    no_content: bool
    data_field: str
    update_mask_field: str
    location: bool
    signed_urls: bool
    if_match_field: str
    etag_field: str
    includes: _containers.RepeatedCompositeFieldContainer[Include]
    include_field: str
    sort_field: str
    relationship: str
    def __init__(self, request_types: _Optional[_Iterable[str]] = ..., success_status: _Optional[int] = ..., no_content: _Optional[bool] = ..., data_field: _Optional[str] = ..., update_mask_field: _Optional[str] = ..., location: _Optional[bool] = ..., signed_urls: _Optional[bool] = ..., if_match_field: _Optional[str] = ..., etag_field: _Optional[str] = ..., includes: _Optional[_Iterable[_Union[Include, _Mapping]]] = ..., include_field: _Optional[str] = ..., sort_field: _Optional[str] = ..., relationship: _Optional[str] = ...) -> None: ...

class Include(_message.Message):
    __slots__ = ("path", "response_field", "batch_method", "ids_field")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_FIELD_NUMBER: _ClassVar[int]
    BATCH_METHOD_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_FIELD_NUMBER: _ClassVar[int]
    path: str
    response_field: str
    batch_method: str
    ids_field: str
    def __init__(self, path: _Optional[str] = ..., response_field: _Optional[str] = ..., batch_method: _Optional[str] = ..., ids_field: _Optional[str] = ...) -> None: ...

class Errors(_message.Message):
    __slots__ = ("reasons",)
    REASONS_FIELD_NUMBER: _ClassVar[int]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class Stream(_message.Message):
    __slots__ = ("path", "resume_field", "id_field", "time_field", "event")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    path: str
    resume_field: str
    id_field: str
    time_field: str
    event: StreamEvent
    def __init__(self, path: _Optional[str] = ..., resume_field: _Optional[str] = ..., id_field: _Optional[str] = ..., time_field: _Optional[str] = ..., event: _Optional[_Union[StreamEvent, _Mapping]] = ...) -> None: ...

class StreamEvent(_message.Message):
    __slots__ = ("type", "superseded_by")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_BY_FIELD_NUMBER: _ClassVar[int]
    type: str
    superseded_by: str
    def __init__(self, type: _Optional[str] = ..., superseded_by: _Optional[str] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("type", "id_field", "self")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_FIELD_NUMBER: _ClassVar[int]
    SELF_FIELD_NUMBER: _ClassVar[int]
    type: str
    id_field: str
    self: str
    def __init__(self_, type: _Optional[str] = ..., id_field: _Optional[str] = ..., self: _Optional[str] = ...) -> None: ...

class Relationship(_message.Message):
    __slots__ = ("name", "type", "self", "related")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SELF_FIELD_NUMBER: _ClassVar[int]
    RELATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    self: str
    related: str
    def __init__(self_, name: _Optional[str] = ..., type: _Optional[str] = ..., self: _Optional[str] = ..., related: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("type", "topic", "key_field", "subject_field")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_FIELD_NUMBER: _ClassVar[int]
    type: str
    topic: str
    key_field: str
    subject_field: str
    def __init__(self, type: _Optional[str] = ..., topic: _Optional[str] = ..., key_field: _Optional[str] = ..., subject_field: _Optional[str] = ...) -> None: ...

class ErrorSpec(_message.Message):
    __slots__ = ("http", "code", "title", "detail")
    HTTP_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    http: int
    code: _code_pb2.Code
    title: Text
    detail: Text
    def __init__(self, http: _Optional[int] = ..., code: _Optional[_Union[_code_pb2.Code, str]] = ..., title: _Optional[_Union[Text, _Mapping]] = ..., detail: _Optional[_Union[Text, _Mapping]] = ...) -> None: ...
