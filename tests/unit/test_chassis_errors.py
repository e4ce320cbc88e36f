"""Reasons and the wire form of errors."""

import re

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from samovar.options.v1 import options_pb2

from chassis.errors import DomainError, FieldViolation, Kind, reasons
from chassis.errors.reasons import ABSENT, REASONS, learn_reasons, spec, texts
from chassis.errors.wire import OMITTED, STATUS_DETAILS_KEY, STATUS_LIMIT_BYTES, from_rpc_error, to_rpc_status


def over_the_wire(error: DomainError) -> DomainError:
    status = to_rpc_status(error, domain="library-service")
    trailers = grpc.aio.Metadata((STATUS_DETAILS_KEY, status.SerializeToString()))
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return from_rpc_error(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, status.message))


words = st.text(max_size=30)
violations = st.builds(FieldViolation, words, words, words)
errors = st.builds(
    DomainError,
    st.sampled_from(Kind),
    st.sampled_from(sorted(REASONS)),
    details=st.dictionaries(st.text("abcdef_", min_size=1, max_size=10), words, max_size=4),
    violations=st.lists(violations, max_size=5),
    retry_after_seconds=st.none() | st.integers(0, 10_000).map(lambda tenths: tenths / 10),
)


@given(errors)
def test_an_error_comes_back_from_the_wire_as_it_was(error):
    got = over_the_wire(error)
    assert (got.kind, got.reason, got.details) == (error.kind, error.reason, error.details)
    assert (got.violations, got.retry_after_seconds) == (error.violations, error.retry_after_seconds)


def test_an_error_on_the_wire_stays_within_its_limit():
    many = [FieldViolation(f"items[{index}].item_id", "must be a valid UUID", "string.uuid") for index in range(1000)]
    error = DomainError(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=many)
    assert to_rpc_status(error, domain="library-service").ByteSize() <= STATUS_LIMIT_BYTES + 100
    got = over_the_wire(error)
    assert got.violations == tuple(many[: len(got.violations)])
    assert int(got.details[OMITTED]) == 1000 - len(got.violations)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")),
        (grpc.StatusCode.DEADLINE_EXCEEDED, (Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")),
        (grpc.StatusCode.INTERNAL, (Kind.INTERNAL, "INTERNAL_ERROR")),
        (grpc.StatusCode.UNKNOWN, (Kind.INTERNAL, "INTERNAL_ERROR")),
        (grpc.StatusCode.UNIMPLEMENTED, (Kind.INTERNAL, "INTERNAL_ERROR")),
        (grpc.StatusCode.PERMISSION_DENIED, (Kind.INTERNAL, "INTERNAL_ERROR")),
        (grpc.StatusCode.CANCELLED, (Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")),
    ],
)
@pytest.mark.parametrize("trailers", [(), ((STATUS_DETAILS_KEY, b"\xff\xff"),), ((STATUS_DETAILS_KEY, b""),)])
def test_an_error_without_details_is_read_by_its_code(code, expected, trailers):
    got = from_rpc_error(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), "text"))
    assert (got.kind, got.reason) == expected


def test_details_that_contradict_the_code_are_not_believed():
    status = status_pb2.Status(code=5)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="LIBRARY_ITEM_NOT_FOUND"))
    trailers = grpc.aio.Metadata((STATUS_DETAILS_KEY, status.SerializeToString()))
    got = from_rpc_error(grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailers, ""))
    assert got.reason == "SERVICE_UNAVAILABLE"


def test_every_reason_says_all_it_must_in_both_languages():
    assert REASONS
    for reason, found in REASONS.items():
        assert 400 <= found.http <= 599, reason
        assert found.code is not grpc.StatusCode.OK, reason
        for texts_of in (found.title, found.detail):
            assert set(texts_of) == {"ru", "en"}, reason
            assert all(texts_of.values()), reason
        assert re.search("[а-яА-Я]", found.title["ru"]), reason
        assert not re.search("[а-яА-Я]", found.title["en"] + found.detail["en"]), reason
        members = [set(re.findall(r"\{(\w+)\}", text)) for text in found.detail.values()]
        assert members[0] == members[1], reason


NUMBERS = {"limit", "limit_bytes", "used_bytes", "current_version", "required_bytes", "available_bytes"}


def test_a_detail_is_in_one_language():
    """What it shows of an error is a number, a name in quotes, or a description, which the gateway has in both languages."""
    for reason, found in REASONS.items():
        for text in found.detail.values():
            bare = set(re.findall(r"\{(\w+)\}", re.sub(r"'\{\w+\}'", "", text)))
            assert bare <= NUMBERS | {"description"}, reason


def test_the_reasons_keep_the_contracts_codes():
    assert (spec("LIBRARY_ITEM_NOT_FOUND").http, spec("LIBRARY_ITEM_NOT_FOUND").code.name) == (404, "NOT_FOUND")
    assert (spec("TOKEN_EXPIRED").http, spec("TOKEN_EXPIRED").code.name) == (401, "UNAUTHENTICATED")
    assert (spec("RATE_LIMIT_EXCEEDED").http, spec("RATE_LIMIT_EXCEEDED").code.name) == (429, "RESOURCE_EXHAUSTED")
    assert (spec("CDN_ERROR").http, spec("CDN_ERROR").code.name) == (502, "UNAVAILABLE")


def test_a_reason_of_tomorrow_reads_as_an_internal_error():
    assert spec("NOT_INVENTED_YET") is spec("INTERNAL_ERROR")


def test_members_are_filled_in_and_never_interpreted():
    _, detail = texts("PRODUCT_ACCESS_DENIED", "en", {"product_id": "{status} {0.__class__} %s"})
    assert detail == "You may not download the product with ID '{status} {0.__class__} %s'."


def test_a_missing_member_leaves_a_mark_and_a_strange_language_is_russian():
    _, detail = texts("PRODUCT_ACCESS_DENIED", "fr", {})
    assert ABSENT in detail
    assert detail.startswith("У вас нет прав")


def test_a_service_brings_its_own_reasons_and_changes_nobody_elses(monkeypatch):
    """An enum in the file that declares the service, or in one that it imports."""
    file = descriptor_pb2.FileDescriptorProto(
        name="own_reasons/v1/own.proto",
        package="own_reasons.v1",
        syntax="proto3",
        dependency=["samovar/options/v1/options.proto"],
    )
    reason = file.enum_type.add(name="OwnReason")
    reason.value.add(name="OWN_REASON_UNSPECIFIED", number=0)
    for number, name in enumerate(("OWN_REASON_TEAPOT", "OWN_REASON_INTERNAL_ERROR"), start=1):
        options = reason.value.add(name=name, number=number).options.Extensions[options_pb2.error]
        options.http, options.code, options.title.en, options.detail.en = 418, 9, "Teapot", "A {colour} teapot."
    file.message_type.add(name="Empty")
    method = file.service.add(name="TeaService").method.add(name="Brew")
    method.input_type = method.output_type = ".own_reasons.v1.Empty"
    descriptor_pool.Default().Add(file)
    internal = spec("INTERNAL_ERROR")

    known = dict(REASONS)
    monkeypatch.setattr(reasons, "_known", known)
    monkeypatch.setattr(reasons, "REASONS", known)
    learn_reasons(["own_reasons.v1.TeaService", "no.such.Service"])
    assert (spec("TEAPOT").http, spec("TEAPOT").code) == (418, grpc.StatusCode.FAILED_PRECONDITION)
    assert texts("TEAPOT", "en", {"colour": "blue"}) == ("Teapot", "A blue teapot.")
    assert spec("INTERNAL_ERROR") is internal
