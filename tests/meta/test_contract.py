"""Ratchets over the whole contract: nothing is callable, served or told without the proto saying how."""

import importlib
import re

import pytest
from google.protobuf.descriptor import EnumValueDescriptor, MethodDescriptor
from google.rpc import code_pb2
from rest.routes import ROUTES, STREAMS
from samovar.errors.v1 import errors_pb2
from samovar.options.v1 import options_pb2

from chassis.errors import Kind
from codegen.generate import PROTO, own_files

GATEWAY_CODES = {"UNIMPLEMENTED"}
"""gRPC codes of errors that only the gateway makes."""
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _methods() -> list[MethodDescriptor]:
    names = [file.removesuffix(".proto").replace("/", ".") for file in own_files(PROTO)]
    modules = [importlib.import_module(f"{name}_pb2") for name in names]
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return [method for service in services for method in service.methods]


def _rpc(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


METHODS = _methods()
REASONS = [value for value in errors_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values if value.number != 0]
every_method = pytest.mark.parametrize("method", METHODS, ids=_rpc)
every_reason = pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)


def test_the_contract_is_seen() -> None:
    """The other tests of this file run over what is found here."""
    assert len(METHODS) >= 20
    assert len(REASONS) >= 30


@every_method
def test_every_rpc_says_who_may_call_it(method: MethodDescriptor) -> None:
    options = method.GetOptions()
    assert options.HasExtension(options_pb2.access)
    access = options.Extensions[options_pb2.access]
    assert access.public or access.roles or access.services


@every_method
def test_every_rpc_has_a_route_or_a_stream_or_is_internal(method: MethodDescriptor) -> None:
    served = {route.rpc for route in ROUTES} | {stream.rpc for stream in STREAMS}
    access = method.GetOptions().Extensions[options_pb2.access]
    is_internal = bool(access.services) and not access.roles and not access.public
    assert (_rpc(method) in served) != is_internal


@every_method
def test_every_stream_has_the_stream_option(method: MethodDescriptor) -> None:
    assert not method.client_streaming
    assert method.server_streaming == method.GetOptions().HasExtension(options_pb2.stream)


def test_routes_and_streams_are_methods_of_the_contract() -> None:
    known = {_rpc(method) for method in METHODS}
    assert {route.rpc for route in ROUTES} | {stream.rpc for stream in STREAMS} <= known


def test_every_read_may_be_repeated() -> None:
    """GET and PUT and DELETE are idempotent in HTTP; a GET has no side effects, which is what lets the gateway retry it."""
    assert [route.rpc for route in ROUTES if route.method == "GET" and not route.idempotent] == []


@every_reason
def test_every_reason_has_texts_in_both_languages(reason: EnumValueDescriptor) -> None:
    spec = reason.GetOptions().Extensions[options_pb2.error]
    for text in (spec.title, spec.detail):
        assert re.search("[а-яё]", text.ru, re.IGNORECASE)
        assert re.search("[a-z]", text.en, re.IGNORECASE)
        assert set(PLACEHOLDER.findall(text.ru)) == set(PLACEHOLDER.findall(text.en))


@every_reason
def test_every_reason_has_an_http_status_and_a_grpc_code(reason: EnumValueDescriptor) -> None:
    spec = reason.GetOptions().Extensions[options_pb2.error]
    assert 400 <= spec.http <= 599
    assert code_pb2.Code.Name(spec.code) in {kind.value for kind in Kind} | GATEWAY_CODES


@every_reason
def test_the_codes_of_one_reason_do_not_contradict_each_other(reason: EnumValueDescriptor) -> None:
    """A client's fault on one wire is not the server's on the other; only disk space is 507 for a precondition of the client's."""
    spec = reason.GetOptions().Extensions[options_pb2.error]
    server_side = {"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
    if spec.http != 507:
        assert (spec.http >= 500) == (code_pb2.Code.Name(spec.code) in server_side)
