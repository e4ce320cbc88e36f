"""Rules that hold between methods, or for a method or resource as a whole; codegen.read.resolve has those for parts of a
binding.
"""

from collections.abc import Iterable, Mapping

import grpc
from samovar.options.v1 import options_pb2

from chassis.errors.reasons import REASONS, ReasonSpec
from codegen.read.endpoints import PATH_KINDS, Endpoint, StreamEndpoint, path_parameters, path_shape
from codegen.read.faults import Faults
from codegen.read.model import Contract, Field, Kind, Location, MessageType, Method

DOCS_PATH = "/api/v1/docs"
RESERVED = frozenset({"/healthz", "/readyz", "/api/v1/openapi.json", "/api/v1/asyncapi.json", DOCS_PATH})
"""Addresses of the gateway's own."""
_PLATFORM_REASONS = "samovar/errors/v1/errors.proto"


def check_reasons(contract: Contract, faults: Faults) -> None:
    """An error reason is one word on the wire, whatever enum declares it."""
    own = {reason.name: reason for reason in contract.declared_reasons if reason.location.file == _PLATFORM_REASONS}
    for reason in contract.declared_reasons:
        at, spec = reason.location, reason.spec
        other = own.setdefault(reason.name, reason)
        if other is not reason or (reason.name in REASONS and at.file != _PLATFORM_REASONS):
            faults.add(at, "reason-twice", f"{reason.name} is a reason already; one word has one meaning on the wire")
        if not 400 <= spec.http <= 599 or spec.code in {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN}:
            faults.add(
                at, "reason-codes", f"{reason.name}: an error has an HTTP status from 400 to 599 and a gRPC code"
            )
        if not all((*spec.title.values(), *spec.detail.values())):
            faults.add(at, "reason-texts", f"{reason.name}: title and detail are said in ru and en")


def check_method(method: Method, reasons: Mapping[str, ReasonSpec], faults: Faults) -> None:
    at, name = method.location, method.name
    if method.access is None:
        faults.add(at, "access-missing", f"{name} has no access option, so nobody could call it")
    elif not (method.access.public or method.access.roles or method.access.services):
        faults.add(at, "access-empty", f"{name}: the access option names nobody: no role, no service, not public")
    if method.client_streaming:
        faults.add(at, "client-streaming", f"{name}: a stream of requests has no form in REST or WebSocket")
    if method.stream is not None and not method.server_streaming:
        faults.add(at, "stream-on-unary", f"{name} has a stream option but answers with one message")
    if method.bindings and method.server_streaming:
        faults.add(
            at,
            "http-on-stream",
            f"{name} answers with a stream and has a google.api.http option; use the stream option",
        )
    for reason in method.errors:
        if reason not in reasons:
            text = f"{name}: {reason!r} is no reason: no enum value with an error option declares it"
            faults.add(at, "error-reason", text)
    if method.rest is not None and not method.bindings:
        faults.add(at, "rest-without-http", f"{name} has a rest option and no google.api.http binding")


def check_names(endpoints: Iterable[Endpoint], streams: Iterable[StreamEndpoint], faults: Faults) -> None:
    seen: dict[tuple[str, str], Method] = {}
    served = [(one.method, one.name) for one in endpoints] + [(one.method, one.name) for one in streams]
    for method, name in served:
        other = seen.setdefault((method.file, name), method)
        if other is not method:
            faults.add(method.location, "method-name", f"{method.rpc} and {other.rpc} stand in one file under one name")


def check_reserved(endpoints: Iterable[Endpoint], streams: Iterable[StreamEndpoint], faults: Faults) -> None:
    """Check that no endpoint is at an address where the gateway itself answers."""
    served = [(one.path, one.method) for one in endpoints] + [(one.path, one.method) for one in streams]
    for path, method in served:
        if path in RESERVED or path.startswith(f"{DOCS_PATH}/"):
            faults.add(method.location, "path-reserved", f"{method.name}: at {path} the gateway itself answers")


def check_unique(endpoints: Iterable[Endpoint], streams: Iterable[StreamEndpoint], faults: Faults) -> None:
    seen: dict[tuple[str, str], Method] = {}
    paths = [(endpoint.verb, endpoint.path, endpoint.method) for endpoint in endpoints]
    paths += [("GET", stream.path, stream.method) for stream in streams]
    for verb, path, method in paths:
        other = seen.setdefault((verb, path_shape(path)), method)
        if other is not method:
            faults.add(method.location, "route-twice", f"{method.name}: {verb} {path} is {other.rpc}'s already")


def check_events(contract: Contract, faults: Faults) -> None:
    """An event has a name and a topic, and the fields that it is keyed and found by are there."""
    types: dict[str, MessageType] = {}
    for message in contract.messages.values():
        event = message.event
        if event is None or message.file not in contract.own_files:
            continue
        at, name = message.location, message.path
        if not event.type or not event.topic:
            faults.add(at, "event-type", f"{name}: an event has a type and a topic")
        other = types.setdefault(event.type, message)
        if other is not message:
            faults.add(at, "event-type-twice", f"{name}: {event.type!r} is the type of {other.full_name} already")
        for role, wanted in (("key_field", event.key_field), ("subject_field", event.subject_field)):
            found = message.field(wanted)
            if wanted and (found is None or found.repeated or found.kind not in PATH_KINDS):
                text = f"{name}: {role} {wanted!r} is not a string or integer field of it"
                faults.add(at, "event-field", text)


def check_resources(contract: Contract, endpoints: Iterable[Endpoint], faults: Faults) -> None:
    endpoints = tuple(endpoints)
    shown = {one.full_name: one for endpoint in endpoints for one in endpoint.shown_resources}
    shown |= {endpoint.data.resource.full_name: endpoint.data.resource for endpoint in endpoints if endpoint.data}
    gets = {path_shape(endpoint.path) for endpoint in endpoints if endpoint.verb == "GET"}
    types: dict[str, MessageType] = {}
    for message in (message for message in contract.messages.values() if message.file in contract.own_files):
        if message.resource is None:
            continue
        other = types.setdefault(message.resource.type, message)
        if other is not message:
            faults.add(
                message.location,
                "resource-type-twice",
                f"{message.path}: {other.full_name} is of type {message.resource.type!r} already; a type and an id name one thing",
            )
    for message in shown.values():
        if message.resource is not None:
            _check_resource(message, message.resource, gets, faults)
            _check_relationship_links(message, endpoints, faults)
    _check_relationship_endpoints(shown.values(), endpoints, faults)


def _check_relationship_links(message: MessageType, endpoints: Iterable[Endpoint], faults: Faults) -> None:
    """Check that every link of a relationship can be fetched, and returns what JSON:API requires."""
    for one in message.fields:
        option = one.relationship
        if option is None:
            continue
        for template in filter(None, (option.self, option.related)):
            _check_placeholders(message, template, "relationship-link", one.location, faults)
        if option.self and not any(
            endpoint.verb == "GET"
            and path_shape(endpoint.path) == path_shape(option.self)
            and endpoint.shown_linkage == one
            for endpoint in endpoints
        ):
            said = (
                f"{message.path}.{one.name}: no GET method with rest.relationship {option.name!r} serves {option.self}"
            )
            faults.add(one.location, "relationship-link", said)
        if option.related and not any(
            endpoint.verb == "GET"
            and path_shape(endpoint.path) == path_shape(option.related)
            and endpoint.shown_linkage is None
            and endpoint.data is not None
            and endpoint.data.resource.resource is not None
            and endpoint.data.resource.resource.type == option.type
            and endpoint.data.is_collection == one.repeated
            for endpoint in endpoints
        ):
            said = f"{message.path}.{one.name}: no GET route serves {option.related} with type {option.type!r}"
            faults.add(one.location, "relationship-link", said)


def _check_relationship_endpoints(
    resources: Iterable[MessageType], endpoints: Iterable[Endpoint], faults: Faults
) -> None:
    """Check that an address that writes a relationship is also the one that reads it."""
    links = {
        path_shape(one.relationship.self): one.relationship
        for message in resources
        for one in message.fields
        if one.relationship is not None and one.relationship.self
    }
    for endpoint in endpoints:
        name = endpoint.method.rest.relationship if endpoint.method.rest is not None else ""
        if not name:
            continue
        linked = links.get(path_shape(endpoint.path))
        if linked is None or linked.name != name:
            said = f"{endpoint.method.name}: {endpoint.path} is the self link of no relationship {name!r}"
            faults.add(endpoint.method.location, "relationship-endpoint", said)
            continue
        written = endpoint.linkage_field.relationship if endpoint.linkage_field is not None else None
        if written is not None and written.type != linked.type:
            said = f"{endpoint.method.name}: {name!r} is of type {linked.type!r}, not {written.type!r}"
            faults.add(endpoint.method.location, "relationship-endpoint", said)


def _check_placeholders(message: MessageType, template: str, rule: str, location: Location, faults: Faults) -> None:
    for name in path_parameters(template):
        placeholder = message.field(name)
        if placeholder is None or placeholder.repeated or placeholder.kind not in PATH_KINDS:
            text = f"{message.path}: the link {template} names {name!r}, which is no string or integer field of it"
            faults.add(location, rule, text)


def _check_resource(message: MessageType, resource: options_pb2.Resource, gets: Iterable[str], faults: Faults) -> None:
    id_field = message.field(resource.id_field or "id")
    if not resource.type:
        faults.add(message.location, "resource-type", f"{message.path}: the resource option has no type")
    if id_field is None or id_field.kind is not Kind.STRING or id_field.repeated or id_field.has_presence:
        faults.add(
            message.location, "resource-id", f"{message.path} needs a plain string field {resource.id_field or 'id'!r}"
        )
    _check_placeholders(message, resource.self, "resource-self", message.location, faults)
    if resource.self and path_shape(resource.self) not in gets:
        faults.add(
            message.location, "resource-self", f"{message.path}: no GET route serves its self link {resource.self}"
        )
    _check_attributes(message, id_field, faults)


def _check_attributes(message: MessageType, id_field: Field | None, faults: Faults) -> None:
    attributes = [one for one in message.fields if one is not id_field]
    members = {one.name for one in attributes}
    for one in attributes:
        if one.name in {"id", "type"}:
            faults.add(
                one.location,
                "attribute-name",
                f"{message.path}.{one.name}: JSON:API keeps the name {one.name!r} for itself",
            )
        if one.relationship is None:
            continue
        if one.kind is not Kind.STRING:
            faults.add(one.location, "relationship", f"{message.path}.{one.name}: a foreign key is a string")
        if not one.relationship.name or not one.relationship.type:
            faults.add(one.location, "relationship", f"{message.path}.{one.name}: a relationship has a name and a type")
        if one.relationship.name in members:
            faults.add(
                one.location,
                "relationship",
                f"{message.path}: {one.relationship.name!r} is the name of something else too",
            )
        members.add(one.relationship.name)
