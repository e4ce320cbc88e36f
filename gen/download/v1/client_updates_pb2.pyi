import datetime

from buf.validate import validate_pb2 as _validate_pb2
from content.v1 import manifest_pb2 as _manifest_pb2
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

class ClientChannel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLIENT_CHANNEL_UNSPECIFIED: _ClassVar[ClientChannel]
    CLIENT_CHANNEL_STABLE: _ClassVar[ClientChannel]
    CLIENT_CHANNEL_BETA: _ClassVar[ClientChannel]
    CLIENT_CHANNEL_TEST: _ClassVar[ClientChannel]

class ClientArch(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLIENT_ARCH_UNSPECIFIED: _ClassVar[ClientArch]
    CLIENT_ARCH_X86_64: _ClassVar[ClientArch]
    CLIENT_ARCH_ARM64: _ClassVar[ClientArch]
CLIENT_CHANNEL_UNSPECIFIED: ClientChannel
CLIENT_CHANNEL_STABLE: ClientChannel
CLIENT_CHANNEL_BETA: ClientChannel
CLIENT_CHANNEL_TEST: ClientChannel
CLIENT_ARCH_UNSPECIFIED: ClientArch
CLIENT_ARCH_X86_64: ClientArch
CLIENT_ARCH_ARM64: ClientArch

class ClientUpdate(_message.Message):
    __slots__ = ("id", "version", "is_available", "is_mandatory", "is_rollback", "minimum_version", "target_sha256", "target_size_bytes")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    IS_MANDATORY_FIELD_NUMBER: _ClassVar[int]
    IS_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_SHA256_FIELD_NUMBER: _ClassVar[int]
    TARGET_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    is_available: bool
    is_mandatory: bool
    is_rollback: bool
    minimum_version: str
    target_sha256: str
    target_size_bytes: int
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., is_available: _Optional[bool] = ..., is_mandatory: _Optional[bool] = ..., is_rollback: _Optional[bool] = ..., minimum_version: _Optional[str] = ..., target_sha256: _Optional[str] = ..., target_size_bytes: _Optional[int] = ...) -> None: ...

class ClientRelease(_message.Message):
    __slots__ = ("id", "version", "platform", "arch", "channel", "rollout_permille", "minimum_version", "is_rollback", "target_sha256", "target_size_bytes", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    TARGET_SHA256_FIELD_NUMBER: _ClassVar[int]
    TARGET_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    platform: _manifest_pb2.Platform
    arch: ClientArch
    channel: ClientChannel
    rollout_permille: int
    minimum_version: str
    is_rollback: bool
    target_sha256: str
    target_size_bytes: int
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., arch: _Optional[_Union[ClientArch, str]] = ..., channel: _Optional[_Union[ClientChannel, str]] = ..., rollout_permille: _Optional[int] = ..., minimum_version: _Optional[str] = ..., is_rollback: _Optional[bool] = ..., target_sha256: _Optional[str] = ..., target_size_bytes: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CheckClientUpdateRequest(_message.Message):
    __slots__ = ("platform", "arch", "channel", "version", "install_id", "is_manual")
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTALL_ID_FIELD_NUMBER: _ClassVar[int]
    IS_MANUAL_FIELD_NUMBER: _ClassVar[int]
    platform: _manifest_pb2.Platform
    arch: ClientArch
    channel: ClientChannel
    version: str
    install_id: str
    is_manual: bool
    def __init__(self, platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., arch: _Optional[_Union[ClientArch, str]] = ..., channel: _Optional[_Union[ClientChannel, str]] = ..., version: _Optional[str] = ..., install_id: _Optional[str] = ..., is_manual: _Optional[bool] = ...) -> None: ...

class CheckClientUpdateResponse(_message.Message):
    __slots__ = ("update",)
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    update: ClientUpdate
    def __init__(self, update: _Optional[_Union[ClientUpdate, _Mapping]] = ...) -> None: ...

class AddClientReleaseRequest(_message.Message):
    __slots__ = ("version", "platform", "arch", "channel", "minimum_version", "target_sha256", "target_size_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_SHA256_FIELD_NUMBER: _ClassVar[int]
    TARGET_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    platform: _manifest_pb2.Platform
    arch: ClientArch
    channel: ClientChannel
    minimum_version: str
    target_sha256: str
    target_size_bytes: int
    def __init__(self, version: _Optional[str] = ..., platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., arch: _Optional[_Union[ClientArch, str]] = ..., channel: _Optional[_Union[ClientChannel, str]] = ..., minimum_version: _Optional[str] = ..., target_sha256: _Optional[str] = ..., target_size_bytes: _Optional[int] = ...) -> None: ...

class AddClientReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: ClientRelease
    def __init__(self, release: _Optional[_Union[ClientRelease, _Mapping]] = ...) -> None: ...

class ListClientReleasesRequest(_message.Message):
    __slots__ = ("platform", "arch", "channel")
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    platform: _manifest_pb2.Platform
    arch: ClientArch
    channel: ClientChannel
    def __init__(self, platform: _Optional[_Union[_manifest_pb2.Platform, str]] = ..., arch: _Optional[_Union[ClientArch, str]] = ..., channel: _Optional[_Union[ClientChannel, str]] = ...) -> None: ...

class ListClientReleasesResponse(_message.Message):
    __slots__ = ("releases",)
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[ClientRelease]
    def __init__(self, releases: _Optional[_Iterable[_Union[ClientRelease, _Mapping]]] = ...) -> None: ...

class SetClientRolloutRequest(_message.Message):
    __slots__ = ("release_id", "rollout_permille")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    rollout_permille: int
    def __init__(self, release_id: _Optional[str] = ..., rollout_permille: _Optional[int] = ...) -> None: ...

class SetClientRolloutResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: ClientRelease
    def __init__(self, release: _Optional[_Union[ClientRelease, _Mapping]] = ...) -> None: ...

class RollBackClientReleaseRequest(_message.Message):
    __slots__ = ("release_id",)
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    def __init__(self, release_id: _Optional[str] = ...) -> None: ...

class RollBackClientReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: ClientRelease
    def __init__(self, release: _Optional[_Union[ClientRelease, _Mapping]] = ...) -> None: ...
