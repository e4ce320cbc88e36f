"""The caller of the running call, the access option of the proto, and the decision whether this caller may make the call.

Used by the access interceptor; servicers read `current_caller()`. Contract: section 5, "Who is calling".
"""

from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf import descriptor_pool
from samovar.options.v1 import options_pb2

from chassis.errors import DomainError, Kind

GATEWAY = "gateway"
"""The only program whose `x-client-ip` and `x-request-id` are believed."""

EXEMPT_SERVICES = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.reflection.v1.ServerReflection",
    },
)
"""Not ours, without an access option, open to anyone who reaches the port."""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """The proto's access option of one method. With nothing set, nobody may call it."""

    public: bool = False
    roles: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    rate_class: str = field(default="none", compare=False)
    """The budget that a user's call is counted against: `read`, `write` or `none`."""


class Caller(NamedTuple):
    """The caller of the running call. A tuple, because each call creates one or two: a frozen dataclass takes six times as long.

    `user_id`, `roles`, `permissions` come from the user's own token, `service` from a service token or a client certificate;
    either may be absent. `language` is `ru` or `en`.
    """

    user_id: UUID | None = None
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    service: str | None = None
    client_ip: str | None = None
    request_id: str = ""
    language: str = "ru"

    def require_user(self) -> UUID:
        """The user's id.

        Raises:
            DomainError: UNAUTHENTICATED when no user is calling.
        """
        if self.user_id is None:
            raise DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED")
        return self.user_id


_current: ContextVar[Caller] = ContextVar("samovar_caller")


def current_caller() -> Caller:
    """The caller of the call this code runs in.

    Raises:
        LookupError: outside of a call, which is a mistake of ours.
    """
    return _current.get()


def find_caller() -> Caller | None:
    """Like `current_caller`, for code that runs outside of calls too."""
    return _current.get(None)


def set_caller(caller: Caller) -> None:
    """Set the caller of the running call. For the access interceptor: each call has a context of its own, so nothing is reset."""
    _current.set(caller)


class caller_scope:  # noqa: N801  used like a function; a generator's context manager costs three times as much
    """Runs a block as if `caller` had called: for tests and for work done in a caller's name outside of a call."""

    __slots__ = ("_caller", "_token")

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def __enter__(self) -> Caller:
        self._token = _current.set(self._caller)
        return self._caller

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


@cache
def access_of(method: str) -> AccessRule:
    """The rule of `/package.Service/Method`: its own option, or its service's or file's default. A method that is unknown or has
    none of them admits nobody.
    """
    try:
        descriptor = descriptor_pool.Default().FindMethodByName(method.lstrip("/").replace("/", "."))
    except KeyError:
        return AccessRule()
    service = descriptor.containing_service
    option = effective_access(descriptor.GetOptions(), service.GetOptions(), service.file.GetOptions())
    if option is None:
        return AccessRule()
    return AccessRule(
        public=option.public,
        roles=frozenset(option.roles),
        services=frozenset(option.services),
        rate_class=_rate_class(descriptor, option.rate_class),
    )


def _rate_class(method: Any, option: Any) -> str:
    """Return the class that the gateway uses: that of the option, else reads for GET and streams, and writes for the rest."""
    named: dict[Any, str] = {
        options_pb2.RATE_CLASS_READ: "read",
        options_pb2.RATE_CLASS_WRITE: "write",
        options_pb2.RATE_CLASS_NONE: "none",
    }
    http: Any = annotations_pb2.http
    is_read = method.server_streaming or bool(method.GetOptions().Extensions[http].get)
    return named.get(option, "read" if is_read else "write")


@cache
def defaults_for(method: str) -> options_pb2.Defaults:
    """Return the defaults that the service and the file of `/package.Service/Method` set; empty ones for an unknown method."""
    try:
        service = descriptor_pool.Default().FindServiceByName(method.lstrip("/").partition("/")[0])
    except KeyError:
        return options_pb2.Defaults()
    return defaults_of(service.GetOptions(), service.file.GetOptions())


def effective_access(method: Any, service: Any, file: Any) -> options_pb2.Access | None:
    """The access option that counts for a method, of the options of it, its service and its file; None where nobody sets one.

    Untyped: the generated stubs say less of an extension than its type.
    """
    access: Any = options_pb2.access
    if method.HasExtension(access):
        found: options_pb2.Access = method.Extensions[access]
        return found
    defaults = defaults_of(service, file)
    return defaults.access if defaults.HasField("access") else None


def defaults_of(service: Any, file: Any) -> options_pb2.Defaults:
    """Merge the defaults of a service's methods: for each field the service's own value, or else that of its file."""
    merged = options_pb2.Defaults()
    for options, extension in ((file, options_pb2.file_defaults), (service, options_pb2.service_defaults)):
        found: Any = options.Extensions[extension]
        if found.HasField("access"):
            merged.access.CopyFrom(found.access)
        if found.HasField("gateway_validates"):
            merged.gateway_validates = found.gateway_validates
        if found.status_messages:
            merged.status_messages = found.status_messages
    return merged


def is_exempt(method: str) -> bool:
    """True for health and reflection."""
    return method.lstrip("/").partition("/")[0] in EXEMPT_SERVICES


def check_access(rule: AccessRule, caller: Caller) -> None:
    """Admits a caller who is one of those that the rule names.

    Raises:
        DomainError: UNAUTHENTICATED when the missing credential could be brought, PERMISSION_DENIED otherwise.
    """
    if rule.public:
        return
    if caller.service is not None and caller.service in rule.services:
        return
    if caller.user_id is not None and not caller.roles.isdisjoint(rule.roles):
        return
    user_is_missing = bool(rule.roles) and caller.user_id is None
    nobody_is_known = caller.user_id is None and caller.service is None
    if user_is_missing or (nobody_is_known and rule.services):
        raise DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED")
    raise DomainError(Kind.PERMISSION_DENIED, "PERMISSION_DENIED")
