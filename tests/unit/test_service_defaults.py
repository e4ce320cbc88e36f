"""What a proto says once for a file or a service, as the services and the gateway read it."""

from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from samovar.options.v1 import options_pb2

from chassis.auth.access import AccessRule, access_of, defaults_for

PUBLIC = options_pb2.Access(public=True)
USERS = options_pb2.Access(roles=["user"])
PROGRAMS = options_pb2.Access(services=["library-service"])


def declared(
    *,
    file: options_pb2.Defaults | None = None,
    service: options_pb2.Defaults | None = None,
    method: options_pb2.Access | None = None,
) -> str:
    """A method of a service that has just been made known; its path."""
    package = f"test_{uuid4().hex}"
    proto = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    proto.dependency.append("samovar/options/v1/options.proto")
    proto.message_type.add(name="Nothing")
    made = proto.service.add(name="S")
    call = made.method.add(name="M", input_type=f".{package}.Nothing", output_type=f".{package}.Nothing")
    if file is not None:
        proto.options.Extensions[options_pb2.file_defaults].CopyFrom(file)
    if service is not None:
        made.options.Extensions[options_pb2.service_defaults].CopyFrom(service)
    if method is not None:
        call.options.Extensions[options_pb2.access].CopyFrom(method)
    descriptor_pool.Default().AddSerializedFile(proto.SerializeToString())
    return f"/{package}.S/M"


def defaults(access: options_pb2.Access | None = None, **others: Any) -> options_pb2.Defaults:
    return options_pb2.Defaults(access=access, **others)


@pytest.mark.parametrize(
    ("file", "service", "method", "rule"),
    [
        (None, None, None, AccessRule()),
        (defaults(USERS), None, None, AccessRule(roles=frozenset({"user"}))),
        (defaults(USERS), defaults(PROGRAMS), None, AccessRule(services=frozenset({"library-service"}))),
        (defaults(PUBLIC), defaults(PUBLIC), USERS, AccessRule(roles=frozenset({"user"}))),
        (defaults(USERS), defaults(gateway_validates=True), None, AccessRule(roles=frozenset({"user"}))),
        (None, defaults(PUBLIC), None, AccessRule(public=True)),
    ],
)
def test_what_stands_nearest_to_the_method_says_who_may_call(
    file: options_pb2.Defaults | None,
    service: options_pb2.Defaults | None,
    method: options_pb2.Access | None,
    rule: AccessRule,
) -> None:
    assert access_of(declared(file=file, service=service, method=method)) == rule


def test_an_empty_access_of_ones_own_admits_nobody() -> None:
    """A method that says of itself that nobody may call it is not opened by what holds around it."""
    assert access_of(declared(service=defaults(PUBLIC), method=options_pb2.Access())) == AccessRule()


def test_each_field_counts_where_nothing_nearer_sets_it() -> None:
    shown = options_pb2.STATUS_MESSAGES_ALL
    rpc = declared(
        file=defaults(gateway_validates=True, status_messages=shown), service=defaults(USERS, gateway_validates=False)
    )
    found = defaults_for(rpc)
    assert (found.gateway_validates, found.status_messages, list(found.access.roles)) == (False, shown, ["user"])
    assert defaults_for("/nobody.knows.It/M") == options_pb2.Defaults()
