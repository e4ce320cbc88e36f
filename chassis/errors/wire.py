"""DomainError on the gRPC wire and back: google.rpc.Status with ErrorInfo, BadRequest and RetryInfo (AIP-193).

`to_rpc_status` is called by the errors interceptor, `from_rpc_error` by callers of another service of the platform,
`from_any_rpc_error` by the gateway, which calls services by other vendors too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from samovar.options.v1 import options_pb2

from chassis.errors import DomainError, FieldViolation, Kind
from chassis.errors.reasons import REASONS, texts

STATUS_DETAILS_KEY = "grpc-status-details-bin"

STATUS_LIMIT_BYTES = 6_000
"""Serialized errors stay below this: they travel in trailers, and a foreign client's default limit for those is 8 KiB."""

OMITTED = "violations_omitted"
"""Member of ErrorInfo.metadata: how many violations did not fit."""

MESSAGE_CHARACTERS = 1_000
"""The length to which the message of a plain status is cut."""

REFUSED = "the service refuses it"
"""A description where the service's own words are not shown."""

ANSWER_TOO_LARGE: Final = "the answer is too large"
"""The words of our own client for an answer over the limit; grpcio uses others."""

_ANSWER_TOO_LARGE = re.compile(f"{ANSWER_TOO_LARGE}|(CLIENT: )?Received message larger than max", re.IGNORECASE)
"""The words of our own client and of grpcio for an answer over the limit."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_Code = grpc.StatusCode
_PLAIN: Mapping[grpc.StatusCode, tuple[Kind, str]] = {
    _Code.INVALID_ARGUMENT: (Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    _Code.OUT_OF_RANGE: (Kind.INVALID_ARGUMENT, "OUT_OF_RANGE"),
    _Code.FAILED_PRECONDITION: (Kind.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
    _Code.NOT_FOUND: (Kind.NOT_FOUND, "NOT_FOUND"),
    _Code.ALREADY_EXISTS: (Kind.ALREADY_EXISTS, "ALREADY_EXISTS"),
    _Code.ABORTED: (Kind.ABORTED, "ABORTED"),
    _Code.PERMISSION_DENIED: (Kind.PERMISSION_DENIED, "PERMISSION_DENIED"),
    _Code.UNAUTHENTICATED: (Kind.UNAUTHENTICATED, "UNAUTHENTICATED"),
    _Code.RESOURCE_EXHAUSTED: (Kind.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"),
    _Code.UNIMPLEMENTED: (Kind.INTERNAL, "NOT_IMPLEMENTED"),
    _Code.UNAVAILABLE: (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    _Code.DEADLINE_EXCEEDED: (Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    # A call that we give up ends in CancelledError. One that the other side cancels has run out of its time there a moment earlier
    # than here.
    _Code.CANCELLED: (Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
}
"""Kind and reason of statuses without a reason of ours; every other is an internal error. HTTP statuses are those that
https://cloud.google.com/apis/design/errors has for the codes, but for CANCELLED.
"""
_INTERNAL = (Kind.INTERNAL, "INTERNAL_ERROR")
_ABOUT_THE_INSIDE = frozenset({Kind.INTERNAL, Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})

_KIND_OF_CODE = {grpc.StatusCode[kind.value]: kind for kind in Kind}
_CODE_OF_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def code_of(kind: Kind) -> grpc.StatusCode:
    return grpc.StatusCode[kind.value]


def to_rpc_status(error: DomainError, *, domain: str) -> Status:
    """The error as the wire carries it. `domain` is the service's name; the message is English, for developers."""
    title, detail = texts(error.reason, "en", error.details)
    status = Status(code=code_of(error.kind).value[0], message=title if error.violations else detail)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.details)
    status.details.add().Pack(info)
    if error.retry_after_seconds is not None:
        retry = error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after_seconds))
        status.details.add().Pack(retry)
    if error.violations:
        request, omitted = _bad_request(error.violations, STATUS_LIMIT_BYTES - status.ByteSize())
        if omitted:
            info.metadata[OMITTED] = str(omitted)
            status.details[0].Pack(info)
        status.details.add().Pack(request)
    return status


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(max(0, round(seconds * 1_000_000)))
    return duration


def _bad_request(violations: tuple[FieldViolation, ...], room_bytes: int) -> tuple[error_details_pb2.BadRequest, int]:
    request = error_details_pb2.BadRequest()
    for index, violation in enumerate(violations):
        entry = error_details_pb2.BadRequest.FieldViolation(
            field=violation.field,
            description=violation.description,
            reason=violation.rule,
        )
        # Tag and length of the entry are at most six bytes at this size.
        room_bytes -= entry.ByteSize() + 6
        if room_bytes < 0:
            return request, len(violations) - index
        request.field_violations.append(entry)
    return request, 0


def from_rpc_error(error: grpc.aio.AioRpcError) -> DomainError:
    """The error that the called service of the platform raised. One without ErrorInfo is read by its gRPC code, in the caller's own
    terms: unavailable, too late, or (whatever else) an internal error, because nobody promised what it means.
    """
    details = _details_of(error)
    kind = _KIND_OF_CODE.get(error.code())
    if details is not None and details.reason and kind is not None:
        return details.as_error(kind, details.reason, metadata=details.metadata)
    kind, reason = _PLAIN.get(error.code(), _INTERNAL)
    return DomainError(kind, reason) if kind in _ABOUT_THE_INSIDE - {Kind.INTERNAL} else DomainError(*_INTERNAL)


def from_any_rpc_error(error: grpc.aio.AioRpcError, shown: options_pb2.StatusMessages) -> DomainError:
    """The error that a called service of any make raised. One whose ErrorInfo names no reason that is declared becomes the generic
    reason of its gRPC code, with the standard details that it has (BadRequest, RetryInfo) and, as `shown` allows, its message.
    """
    details = _details_of(error) or _Details()
    declared = _KIND_OF_CODE.get(error.code())
    if details.reason in REASONS and declared is not None:
        return details.as_error(declared, details.reason, metadata=details.metadata)
    kind, reason = _PLAIN.get(error.code(), _INTERNAL)
    if kind is Kind.RESOURCE_EXHAUSTED and _ANSWER_TOO_LARGE.match(error.details() or ""):
        # The way to the service says so, and no quota of the caller's: asking again later would not help.
        kind, reason = _INTERNAL
    if shown == options_pb2.STATUS_MESSAGES_UNSPECIFIED:
        is_shown = kind not in _ABOUT_THE_INSIDE
    else:
        is_shown = shown == options_pb2.STATUS_MESSAGES_ALL
    if details.violations and kind is Kind.INVALID_ARGUMENT:
        violations = (
            details.violations if is_shown else [replace(one, description=REFUSED) for one in details.violations]
        )
        return DomainError(kind, "VALIDATION_ERROR", violations=violations)
    message = _UNPRINTABLE.sub(" ", error.details() or "")[:MESSAGE_CHARACTERS].strip() if is_shown else ""
    metadata = {"description": REFUSED} if reason == "INVALID_ARGUMENT" else {}
    return details.as_error(kind, reason, metadata=metadata, message=message)


def _status_of(error: grpc.aio.AioRpcError) -> Status | None:
    # At run time it is a sequence of pairs, whatever the stubs say.
    trailers: Any = error.trailing_metadata()
    for key, value in trailers or ():
        if key == STATUS_DETAILS_KEY and isinstance(value, bytes):
            try:
                status = Status.FromString(value)
            except DecodeError:
                return None
            # A status that contradicts the code it came with is not trusted.
            return status if _CODE_OF_NUMBER.get(status.code) is error.code() else None
    return None


@dataclass(frozen=True, slots=True)
class _Details:
    """The standard messages among a status's details (https://google.aip.dev/193)."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[FieldViolation] = ()
    retry_after_seconds: float | None = None

    def as_error(
        self, kind: Kind, reason: str, *, metadata: Mapping[str, str] | None = None, message: str = ""
    ) -> DomainError:
        return DomainError(
            kind,
            reason,
            details=metadata,
            violations=self.violations,
            retry_after_seconds=self.retry_after_seconds,
            message=message,
        )


def _details_of(error: grpc.aio.AioRpcError) -> _Details | None:
    """Return the status's details; None when it has none, or they cannot be read."""
    status = _status_of(error)
    if status is None:
        return None
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    request = error_details_pb2.BadRequest()
    retry_after_seconds: float | None = None
    for detail in status.details:
        try:
            if detail.Unpack(info):
                continue
            if detail.Unpack(retry):
                retry_after_seconds = retry.retry_delay.seconds + retry.retry_delay.nanos / 1_000_000_000
            else:
                detail.Unpack(request)
        except DecodeError:
            return None
    violations = [FieldViolation(entry.field, entry.description, entry.reason) for entry in request.field_violations]
    return _Details(info.reason, dict(info.metadata), violations, retry_after_seconds)
