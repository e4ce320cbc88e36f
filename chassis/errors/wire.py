"""DomainError on the gRPC wire and back: google.rpc.Status with ErrorInfo, BadRequest and RetryInfo (AIP-193).

`to_rpc_status` is called by the errors interceptor, `from_rpc_error` by whoever calls another service.
"""

from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from chassis.errors import DomainError, FieldViolation, Kind
from chassis.errors.reasons import texts

STATUS_DETAILS_KEY = "grpc-status-details-bin"

STATUS_LIMIT_BYTES = 6_000
"""Serialized errors stay below this: they travel in trailers, and a foreign client's default limit for those is 8 KiB."""

OMITTED = "violations_omitted"
"""Member of ErrorInfo.metadata: how many violations did not fit."""

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
    """The error that the called service raised. One without ErrorInfo is read by its gRPC code, in the caller's own terms:
    away, too late, or (whatever else) an internal error, because nobody promised what it means.
    """
    status = _status_of(error)
    kind = _KIND_OF_CODE.get(error.code())
    if status is not None and kind is not None:
        found = _read_details(status, kind)
        if found is not None:
            return found
    if kind is Kind.UNAVAILABLE:
        return DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    # A call that we give up ends in CancelledError. One that the other side cancels has run out of its time there a moment earlier
    # than here.
    if kind is Kind.DEADLINE_EXCEEDED or error.code() is grpc.StatusCode.CANCELLED:
        return DomainError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    return DomainError(Kind.INTERNAL, "INTERNAL_ERROR")


def _status_of(error: grpc.aio.AioRpcError) -> Status | None:
    # At run time it is a sequence of pairs, whatever the stubs say.
    trailers: Any = error.trailing_metadata()
    for key, value in trailers or ():
        if key == STATUS_DETAILS_KEY and isinstance(value, bytes):
            try:
                status = Status.FromString(value)
            except DecodeError:
                return None
            # A status that contradicts the code it came with is nobody's word.
            return status if _CODE_OF_NUMBER.get(status.code) is error.code() else None
    return None


def _read_details(status: Status, kind: Kind) -> DomainError | None:
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    request = error_details_pb2.BadRequest()
    known = False
    retry_after_seconds: float | None = None
    for detail in status.details:
        try:
            if detail.Unpack(info):
                known = True
            elif detail.Unpack(retry):
                retry_after_seconds = retry.retry_delay.ToMicroseconds() / 1_000_000
            else:
                detail.Unpack(request)
        except DecodeError:
            return None
    if not known or not info.reason:
        return None
    return DomainError(
        kind,
        info.reason,
        details=dict(info.metadata),
        violations=[FieldViolation(entry.field, entry.description, entry.reason) for entry in request.field_violations],
        retry_after_seconds=retry_after_seconds,
    )
