"""Errors of services that are not made with our chassis: plain gRPC statuses, with the standard details or with none."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from samovar.options.v1 import options_pb2

from chassis.errors import DomainError, FieldViolation
from chassis.errors.reasons import spec
from chassis.errors.wire import MESSAGE_CHARACTERS, STATUS_DETAILS_KEY, from_any_rpc_error
from gateway.problems.errors import ErrorObject, of_error

BY_DEFAULT = options_pb2.STATUS_MESSAGES_UNSPECIFIED
SAID = "no such shelf"
PLAIN = {
    "CANCELLED": (504, "DEADLINE_EXCEEDED", False),
    "UNKNOWN": (500, "INTERNAL_ERROR", False),
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT", True),
    "DEADLINE_EXCEEDED": (504, "DEADLINE_EXCEEDED", False),
    "NOT_FOUND": (404, "NOT_FOUND", True),
    "ALREADY_EXISTS": (409, "ALREADY_EXISTS", True),
    "PERMISSION_DENIED": (403, "PERMISSION_DENIED", True),
    "UNAUTHENTICATED": (401, "UNAUTHENTICATED", True),
    "RESOURCE_EXHAUSTED": (429, "RESOURCE_EXHAUSTED", True),
    "FAILED_PRECONDITION": (400, "FAILED_PRECONDITION", True),
    "ABORTED": (409, "ABORTED", True),
    "OUT_OF_RANGE": (400, "OUT_OF_RANGE", True),
    "UNIMPLEMENTED": (501, "NOT_IMPLEMENTED", False),
    "INTERNAL": (500, "INTERNAL_ERROR", False),
    "UNAVAILABLE": (503, "SERVICE_UNAVAILABLE", False),
    "DATA_LOSS": (500, "INTERNAL_ERROR", False),
}
"""HTTP status, code, and whether the message is shown by default."""


def failed(code: grpc.StatusCode, *details: object, message: str = SAID) -> grpc.aio.AioRpcError:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    trailers = [(STATUS_DETAILS_KEY, status.SerializeToString())] if details else []
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), message)


def shown(error: DomainError) -> ErrorObject:
    (found,) = of_error(error, "en")
    return found


def test_every_status_is_in_the_table() -> None:
    assert PLAIN.keys() == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("code", PLAIN)
def test_a_plain_status_becomes_its_http_status_and_a_generic_code(code: str) -> None:
    status, reason, is_shown = PLAIN[code]
    found = shown(from_any_rpc_error(failed(grpc.StatusCode[code]), BY_DEFAULT))
    assert (found.status, found.code) == (status, reason)
    assert (found.detail == SAID) is is_shown
    assert SAID not in str(found.meta)
    assert "—" not in found.detail


@pytest.mark.parametrize("code", PLAIN)
def test_the_proto_can_show_every_message_and_none(code: str) -> None:
    error = failed(grpc.StatusCode[code])
    assert shown(from_any_rpc_error(error, options_pb2.STATUS_MESSAGES_ALL)).detail == SAID
    assert SAID not in shown(from_any_rpc_error(error, options_pb2.STATUS_MESSAGES_NONE)).detail


def test_foreign_reasons_and_standard_details_are_read() -> None:
    """AIP-193: another platform's ErrorInfo is no reason of ours; what is wrong with which field, and when to come again, is."""
    foreign = error_details_pb2.ErrorInfo(
        reason="API_DISABLED", domain="googleapis.com", metadata={"consumer": "projects/1"}
    )
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=7))
    error = from_any_rpc_error(failed(grpc.StatusCode.RESOURCE_EXHAUSTED, foreign, retry), BY_DEFAULT)
    assert (shown(error).code, shown(error).detail, error.retry_after_seconds, error.details) == (
        "RESOURCE_EXHAUSTED",
        SAID,
        7.0,
        {},
    )
    entry = error_details_pb2.BadRequest.FieldViolation(field="shelf.theme", description="must not be empty")
    bad = failed(grpc.StatusCode.INVALID_ARGUMENT, error_details_pb2.BadRequest(field_violations=[entry]))
    error = from_any_rpc_error(bad, BY_DEFAULT)
    assert (error.reason, error.violations) == (
        "VALIDATION_ERROR",
        (FieldViolation("shelf.theme", "must not be empty"),),
    )
    hidden = from_any_rpc_error(bad, options_pb2.STATUS_MESSAGES_NONE)
    assert [one.field for one in hidden.violations] == ["shelf.theme"]
    assert "empty" not in shown(hidden).detail


@pytest.mark.parametrize(
    "said", ["the answer is too large", "CLIENT: Received message larger than max (9000000 vs. 4194304)"]
)
def test_an_answer_that_is_too_large_is_no_quota_of_the_callers(said: str) -> None:
    found = shown(from_any_rpc_error(failed(grpc.StatusCode.RESOURCE_EXHAUSTED, message=said), BY_DEFAULT))
    assert (found.status, found.code) == (500, "INTERNAL_ERROR")
    assert said not in found.detail


def test_a_declared_reason_is_what_it_is() -> None:
    info = error_details_pb2.ErrorInfo(reason="LIBRARY_ITEM_NOT_FOUND", domain="library-service")
    found = shown(from_any_rpc_error(failed(grpc.StatusCode.NOT_FOUND, info), BY_DEFAULT))
    assert (found.code, found.detail) == (
        "LIBRARY_ITEM_NOT_FOUND",
        spec("LIBRARY_ITEM_NOT_FOUND").detail["en"],
    )


@given(st.text(max_size=3 * MESSAGE_CHARACTERS), st.sampled_from(grpc.StatusCode))
def test_no_message_carries_control_characters_or_is_long(message: str, code: grpc.StatusCode) -> None:
    got = from_any_rpc_error(failed(code, message=message), options_pb2.STATUS_MESSAGES_ALL)
    assert len(got.message) <= MESSAGE_CHARACTERS
    assert got.message.isprintable() or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in got.message)
