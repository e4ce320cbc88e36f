import datetime

from buf.validate import validate_pb2 as _validate_pb2
from content.v1 import manifest_pb2 as _manifest_pb2
from download.v1 import downloads_pb2 as _downloads_pb2
from download.v1 import updates_pb2 as _updates_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from samovar.options.v1 import options_pb2 as _options_pb2
from samovar.types.v1 import page_pb2 as _page_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VerificationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERIFICATION_STATUS_UNSPECIFIED: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_PENDING: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_IN_PROGRESS: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_COMPLETED_OK: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_COMPLETED_ERRORS: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_FAILED_TO_REPAIR: _ClassVar[VerificationStatus]

class IssueKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISSUE_KIND_UNSPECIFIED: _ClassVar[IssueKind]
    ISSUE_KIND_CORRUPTED: _ClassVar[IssueKind]
    ISSUE_KIND_MISSING: _ClassVar[IssueKind]
    ISSUE_KIND_EXTRA: _ClassVar[IssueKind]
    ISSUE_KIND_WRONG_MODE: _ClassVar[IssueKind]
VERIFICATION_STATUS_UNSPECIFIED: VerificationStatus
VERIFICATION_STATUS_PENDING: VerificationStatus
VERIFICATION_STATUS_IN_PROGRESS: VerificationStatus
VERIFICATION_STATUS_COMPLETED_OK: VerificationStatus
VERIFICATION_STATUS_COMPLETED_ERRORS: VerificationStatus
VERIFICATION_STATUS_FAILED_TO_REPAIR: VerificationStatus
ISSUE_KIND_UNSPECIFIED: IssueKind
ISSUE_KIND_CORRUPTED: IssueKind
ISSUE_KIND_MISSING: IssueKind
ISSUE_KIND_EXTRA: IssueKind
ISSUE_KIND_WRONG_MODE: IssueKind

class Verification(_message.Message):
    __slots__ = ("id", "product_id", "version_id", "device_id", "status", "checked_files_count", "corrupted_files_count", "repaired_files_count", "files_requiring_redownload", "download_session_id", "started_at", "completed_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKED_FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    CORRUPTED_FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    FILES_REQUIRING_REDOWNLOAD_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    product_id: str
    version_id: str
    device_id: str
    status: VerificationStatus
    checked_files_count: int
    corrupted_files_count: int
    repaired_files_count: int
    files_requiring_redownload: _containers.RepeatedScalarFieldContainer[str]
    download_session_id: str
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., status: _Optional[_Union[VerificationStatus, str]] = ..., checked_files_count: _Optional[int] = ..., corrupted_files_count: _Optional[int] = ..., repaired_files_count: _Optional[int] = ..., files_requiring_redownload: _Optional[_Iterable[str]] = ..., download_session_id: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class VerificationIssue(_message.Message):
    __slots__ = ("id", "path", "kind")
    ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    id: str
    path: str
    kind: IssueKind
    def __init__(self, id: _Optional[str] = ..., path: _Optional[str] = ..., kind: _Optional[_Union[IssueKind, str]] = ...) -> None: ...

class LocalFile(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256", "mode", "type", "link_target", "chunk_sha256s")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LINK_TARGET_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SHA256S_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    mode: int
    type: _manifest_pb2.EntryType
    link_target: str
    chunk_sha256s: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., mode: _Optional[int] = ..., type: _Optional[_Union[_manifest_pb2.EntryType, str]] = ..., link_target: _Optional[str] = ..., chunk_sha256s: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateVerificationRequest(_message.Message):
    __slots__ = ("product_id", "version_id", "device_id", "is_whole_tree")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    IS_WHOLE_TREE_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    version_id: str
    device_id: str
    is_whole_tree: bool
    def __init__(self, product_id: _Optional[str] = ..., version_id: _Optional[str] = ..., device_id: _Optional[str] = ..., is_whole_tree: _Optional[bool] = ...) -> None: ...

class CreateVerificationResponse(_message.Message):
    __slots__ = ("verification",)
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    verification: Verification
    def __init__(self, verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class GetVerificationRequest(_message.Message):
    __slots__ = ("verification_id",)
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    def __init__(self, verification_id: _Optional[str] = ...) -> None: ...

class GetVerificationResponse(_message.Message):
    __slots__ = ("verification",)
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    verification: Verification
    def __init__(self, verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class SubmitHashesRequest(_message.Message):
    __slots__ = ("verification_id", "files", "is_last")
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    IS_LAST_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    files: _containers.RepeatedCompositeFieldContainer[LocalFile]
    is_last: bool
    def __init__(self, verification_id: _Optional[str] = ..., files: _Optional[_Iterable[_Union[LocalFile, _Mapping]]] = ..., is_last: _Optional[bool] = ...) -> None: ...

class SubmitHashesResponse(_message.Message):
    __slots__ = ("verification",)
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    verification: Verification
    def __init__(self, verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class ListVerificationIssuesRequest(_message.Message):
    __slots__ = ("verification_id", "kind", "page", "limit")
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    kind: IssueKind
    page: int
    limit: int
    def __init__(self, verification_id: _Optional[str] = ..., kind: _Optional[_Union[IssueKind, str]] = ..., page: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListVerificationIssuesResponse(_message.Message):
    __slots__ = ("issues", "page")
    ISSUES_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    issues: _containers.RepeatedCompositeFieldContainer[VerificationIssue]
    page: _page_pb2.PageInfo
    def __init__(self, issues: _Optional[_Iterable[_Union[VerificationIssue, _Mapping]]] = ..., page: _Optional[_Union[_page_pb2.PageInfo, _Mapping]] = ...) -> None: ...

class RepairVerificationRequest(_message.Message):
    __slots__ = ("verification_id", "installation_path", "priority", "client_free_space_bytes")
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_PATH_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FREE_SPACE_BYTES_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    installation_path: str
    priority: int
    client_free_space_bytes: int
    def __init__(self, verification_id: _Optional[str] = ..., installation_path: _Optional[str] = ..., priority: _Optional[int] = ..., client_free_space_bytes: _Optional[int] = ...) -> None: ...

class RepairVerificationResponse(_message.Message):
    __slots__ = ("session", "plan")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    session: _downloads_pb2.DownloadSession
    plan: _updates_pb2.DownloadPlan
    def __init__(self, session: _Optional[_Union[_downloads_pb2.DownloadSession, _Mapping]] = ..., plan: _Optional[_Union[_updates_pb2.DownloadPlan, _Mapping]] = ...) -> None: ...
