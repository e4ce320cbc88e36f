"""Breaking changes that `buf breaking` does not see because they are in options: addresses, methods, statuses, names of parameters
and members, tighter rules, streams, events, permissions and error codes. Compares the contract with proto/contract.binpb and fails
on anything that breaks a client: `./taskw breaking`.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from samovar.options.v1 import options_pb2

from codegen.accept import IMAGE
from codegen.generate import tool
from codegen.read import model
from codegen.read.constraints import collection_keywords, element_rules, enum_texts, is_required, keywords
from codegen.read.endpoints import Endpoint, StreamEndpoint, path_shape
from codegen.read.faults import Faults
from codegen.read.model import Contract, Field, Kind, MessageType, Method
from codegen.read.resolve import find_endpoints

EXIT_BROKEN = 100
"""The same exit code as buf's."""

FOREIGN = frozenset({"google", "buf"})
"""The first folders of files that are not ours to change."""
_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_REASON = "samovar.errors.v1.ErrorReason"


@dataclass(frozen=True, slots=True)
class Breakage:
    """One thing that a client of today may trip over."""

    file: str
    about: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.about}: {self.what}"


@dataclass(frozen=True, slots=True)
class Image:
    """A contract with everything that follows from its options."""

    contract: Contract
    endpoints: Mapping[tuple[str, str], Endpoint]
    """The endpoints by method and the address's shape."""
    streams: Mapping[str, StreamEndpoint]
    reasons: Mapping[str, tuple[int, int]]
    """HTTP status and gRPC code of every error code."""


def read_image(image: bytes) -> Image:
    """Reads what `buf build` writes."""
    files = descriptor_pb2.FileDescriptorSet.FromString(image).file
    own = [file.name for file in files if file.name.partition("/")[0] not in FOREIGN]
    contract = model.read(plugin_pb2.CodeGeneratorRequest(file_to_generate=own, proto_file=files))
    # Contradictions are the generator's to report; here they are served as far as they go.
    endpoints, streams = find_endpoints(contract, Faults())
    by_address = {(endpoint.verb, path_shape(endpoint.path)): endpoint for endpoint in endpoints}
    return Image(contract, by_address, {stream.path: stream for stream in streams}, _reasons(files))


def _reasons(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> Mapping[str, tuple[int, int]]:
    extension: Any = options_pb2.error
    return {
        value.name: (value.options.Extensions[extension].http, value.options.Extensions[extension].code)
        for file in files
        for enum in file.enum_type
        if f"{file.package}.{enum.name}" == _REASON
        for value in enum.value
        if value.options.HasExtension(extension)
    }


def breakages(old: Image, new: Image) -> list[Breakage]:
    """Everything that worked by the old contract and does not by the new one."""
    return [*_endpoints(old, new), *_methods(old, new), *_streams(old, new), *_events(old, new), *_codes(old, new)]


def _endpoints(old: Image, new: Image) -> Iterator[Breakage]:
    for address, was in old.endpoints.items():
        about = f"{was.verb} {was.path}"
        now = new.endpoints.get(address)
        if now is None:
            yield Breakage(was.method.file, about, "there is no such endpoint any more")
            continue
        changes = (*_requests(was, now, old.contract, new.contract), *_answers(was, now))
        yield from (Breakage(now.method.file, about, what) for what in changes)


def _requests(was: Endpoint, now: Endpoint, old: Contract, new: Contract) -> Iterator[str]:
    yield from _fields("path parameter", was.path_fields, now.path_fields, old, new, by_place=True)
    yield from _fields("query parameter", was.query_fields, now.query_fields, old, new)
    if was.is_paged and not now.is_paged:
        yield "page[number] and page[size] are not taken any more"
    if was.has_body and not now.has_body:
        yield "the body is not read any more"
    elif now.has_body and not was.has_body:
        yield "a body has become required"
    if was.takes_list != now.takes_list:
        yield f"data has become {'a list' if now.takes_list else 'one object'}"
    yield from _fields("attribute", was.body_fields, now.body_fields, old, new)
    lost = set(_request_types(was)) - set(_request_types(now))
    yield from (f"type {one!r} is not taken any more" for one in sorted(lost))
    if was.document_id_parameter is not None and now.document_id_parameter is None:
        yield "data.id is not taken any more"
    if was.if_match_field is not None and now.if_match_field is None:
        yield "If-Match does not count any more"


def _request_types(endpoint: Endpoint) -> Iterator[str]:
    yield from endpoint.method.rest.request_types if endpoint.method.rest is not None else ()
    if endpoint.element is not None and endpoint.element.resource is not None:
        yield endpoint.element.resource.type
    elif endpoint.data is not None and endpoint.data.resource.resource is not None:
        yield endpoint.data.resource.resource.type


def _answers(was: Endpoint, now: Endpoint) -> Iterator[str]:
    if was.success_status != now.success_status:
        yield f"the status of a success was {was.success_status} and is {now.success_status}"
    if was.data is None or now.data is None:
        if was.data is not now.data:
            yield "there is a document no more" if now.data is None else "there is a document now"
        return
    if was.data.is_collection != now.data.is_collection:
        yield f"data is {'a list' if now.data.is_collection else 'one object'} now"
    if was.is_paged and not now.is_paged:
        yield "the answer has no pages any more"
    if was.etag_field is not None and now.etag_field is None:
        yield "the service's entity tag is not given any more"
    if was.method.rest is not None and was.method.rest.location and not (now.method.rest and now.method.rest.location):
        yield "there is no Location any more"
    yield from _resources(was.data.resource, now.data.resource)


def _resources(was: MessageType, now: MessageType) -> Iterator[str]:
    assert was.resource is not None  # noqa: S101  only resources become data
    assert now.resource is not None  # noqa: S101
    if was.resource.type != now.resource.type:
        yield f"the type of data was {was.resource.type!r} and is {now.resource.type!r}"
    if (was.resource.id_field or "id") != (now.resource.id_field or "id"):
        yield f"the id was {was.resource.id_field or 'id'!r} and is {now.resource.id_field or 'id'!r}"
    if path_shape(was.resource.self) != path_shape(now.resource.self):
        yield f"the self link was {was.resource.self!r} and is {now.resource.self!r}"
    for one in was.fields:
        other = now.field(one.name)
        if other is None:
            yield f"attribute {one.name!r} is not answered any more"
        elif one.relationship is not None and one.relationship != other.relationship:
            yield f"relationship {one.relationship.name!r} is gone or another one"


def _fields(
    what: str,
    was: Iterable[Field],
    now: Iterable[Field],
    old: Contract,
    new: Contract,
    *,
    by_place: bool = False,
) -> Iterator[str]:
    """`by_place`: clients know them by their order, not by their names."""
    there = list(now)
    before = list(was)
    pairs = zip(before, there, strict=False) if by_place else _by_name(before, there)
    for one, other in pairs:
        if other is None:
            yield f"{what} {one.name!r} is not known any more"
            continue
        yield from (f"{what} {one.name!r} {change}" for change in _narrowed(one, other, old, new))
    if not by_place:
        names = {one.name for one in before}
        yield from (
            f"{what} {one.name!r} is new and required" for one in there if one.name not in names and is_required(one)
        )


def _by_name(was: Iterable[Field], now: Iterable[Field]) -> Iterator[tuple[Field, Field | None]]:
    found = {one.name: one for one in now}
    return ((one, found.get(one.name)) for one in was)


def _narrowed(was: Field, now: Field, old: Contract, new: Contract) -> Iterator[str]:
    """Yield the values of a field that were valid and no longer are. Where the field is the same one, buf compares the kinds."""
    if (was.kind, was.repeated) != (now.kind, now.repeated):
        yield f"was {_shape(was)} and is {_shape(now)}"
        return
    if is_required(now) and not is_required(was):
        yield "has become required"
    if was.kind is Kind.ENUM:
        # Of one that is repeated, the rules of the elements count.
        rules = [element_rules(one.rules) if one.repeated else one.rules for one in (was, now)]
        lost = set(enum_texts(old.enums[was.type_name], rules[0])) - set(enum_texts(new.enums[now.type_name], rules[1]))
        yield from (f"does not take {text!r} any more" for text in sorted(lost))
    if was.kind is Kind.MESSAGE:
        yield from _nested(was, now, old, new)
    if was.repeated:
        yield from _tightened(collection_keywords(was.rules), collection_keywords(now.rules))
        yield from _tightened(keywords(was, element_rules(was.rules)), keywords(now, element_rules(now.rules)))
    else:
        yield from _tightened(keywords(was, was.rules), keywords(now, now.rules))


def _nested(was: Field, now: Field, old: Contract, new: Contract) -> Iterator[str]:
    here, there = old.messages.get(was.type_name), new.messages.get(now.type_name)
    if here is None or there is None or here.file.startswith("google/") or here.full_name in _ancestors(was, old):
        return
    yield from _fields("member", here.fields, there.fields, old, new)


def _ancestors(one: Field, contract: Contract) -> frozenset[str]:
    """Return the messages that a field leads to; one that contains itself could be compared without end."""
    found: set[str] = set()
    waiting = [one.type_name]
    while waiting:
        for field in contract.messages[waiting.pop()].fields:
            if field.kind is Kind.MESSAGE and field.type_name not in found:
                found.add(field.type_name)
                waiting.append(field.type_name)
    return frozenset(found)


def _shape(one: Field) -> str:
    return f"a list of {one.kind}" if one.repeated else str(one.kind)


def _tightened(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """JSON Schema keywords that let less through."""
    for name, limit in now.items():
        before = was.get(name)
        if name in _LOWEST:
            is_tighter = before is None or limit > before
        elif name in _HIGHEST:
            is_tighter = before is None or limit < before
        elif name == "enum":
            is_tighter = before is None or not set(before) <= set(limit)
        else:
            is_tighter = before != limit
        if is_tighter:
            yield f"had {_said(name, before)} and has {_said(name, limit)}"


def _said(name: str, limit: Any) -> str:
    return f"no {name}" if limit is None else f"{name} {limit!r}"


def _methods(old: Image, new: Image) -> Iterator[Breakage]:
    """Yield the breaking changes in access to methods. Removed methods are reported by buf."""
    now = {method.rpc: method for method in new.contract.methods}
    for was in old.contract.methods:
        if was.rpc in now:
            yield from (Breakage(was.file, was.rpc, what) for what in _rights(was, now[was.rpc]))


def _rights(was: Method, now: Method) -> Iterator[str]:
    before, after = was.access or options_pb2.Access(), now.access or options_pb2.Access()
    if before.public and not after.public:
        yield "needs a user now"
    if after.public:
        return
    for role in sorted(set(before.roles) - set(after.roles)):
        yield f"role {role!r} may not call it any more"
    for service in sorted(set(before.services) - set(after.services)):
        yield f"service {service!r} may not call it any more"


def _streams(old: Image, new: Image) -> Iterator[Breakage]:
    for path, was in old.streams.items():
        now = new.streams.get(path)
        about = f"stream {path}"
        if now is None:
            yield Breakage(was.method.file, about, "there is no such stream any more")
            continue
        if was.resume_field is not None and now.resume_field is None:
            yield Breakage(now.method.file, about, "cannot be resumed any more")
        types = {event.option.type for event in now.events}
        for event in was.events:
            if event.option.type not in types:
                yield Breakage(now.method.file, about, f"event {event.option.type!r} does not come any more")


def _events(old: Image, new: Image) -> Iterator[Breakage]:
    for name, was in old.contract.messages.items():
        if was.event is None:
            continue
        now = new.contract.messages.get(name)
        if now is None or now.event is None:
            yield Breakage(was.file, f"event {was.event.type}", "there is no such event any more")
            continue
        for member in ("type", "topic", "subject_field"):
            before, after = getattr(was.event, member), getattr(now.event, member)
            if before != after:
                yield Breakage(now.file, f"event {was.event.type}", f"its {member} was {before!r} and is {after!r}")


def _codes(old: Image, new: Image) -> Iterator[Breakage]:
    for name, was in old.reasons.items():
        now = new.reasons.get(name)
        if now != was:
            gone = (
                "is not an error any more"
                if now is None
                else f"was HTTP {was[0]}, gRPC {was[1]} and is {now[0]}, {now[1]}"
            )
            yield Breakage("samovar/errors/v1/errors.proto", name, gone)


def main() -> None:
    """Compares the contract of the working directory with its image."""
    built = subprocess.run([tool("buf"), "build", "-o", "-"], check=True, capture_output=True)  # noqa: S603  our own
    found = breakages(read_image(IMAGE.read_bytes()), read_image(built.stdout))
    if found:
        print(*found, sep="\n")
        print("Clients of the accepted contract would fail. Meant? ./taskw breaking:accept -- 'what broke and why'")
        sys.exit(EXIT_BROKEN)


if __name__ == "__main__":
    main()
