"""Endpoints that can be served: the options of a method resolved to the fields they name. Made by codegen.read.resolve."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from samovar.options.v1 import options_pb2

from codegen.read.constraints import is_required
from codegen.read.model import Field, Kind, MessageType, Method

FIELD_MASK = "google.protobuf.FieldMask"
TIMESTAMP = "google.protobuf.Timestamp"
PAGE_INFO = "samovar.types.v1.PageInfo"
CURSOR_INFO = "samovar.types.v1.CursorInfo"
WRAPPED_KINDS: Mapping[str, Kind] = {
    "google.protobuf.BoolValue": Kind.BOOL,
    "google.protobuf.Int32Value": Kind.INT32,
    "google.protobuf.Int64Value": Kind.INT64,
    "google.protobuf.UInt32Value": Kind.UINT32,
    "google.protobuf.UInt64Value": Kind.UINT64,
    "google.protobuf.FloatValue": Kind.FLOAT,
    "google.protobuf.DoubleValue": Kind.DOUBLE,
    "google.protobuf.StringValue": Kind.STRING,
    "google.protobuf.BytesValue": Kind.BYTES,
}
"""The kind of value in each wrapper message."""
SCALAR_MESSAGES = frozenset({TIMESTAMP, FIELD_MASK, "google.protobuf.Duration", *WRAPPED_KINDS})
"""Messages that JSON writes as one scalar value."""
WELL_KNOWN = SCALAR_MESSAGES | {f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue", "Empty")}
"""Messages that gateway.transcoding reads and writes itself."""

PATH_KINDS = frozenset({Kind.STRING, Kind.INT32, Kind.INT64, Kind.UINT32, Kind.UINT64})
"""The kinds that a path parameter can have."""

_PAGE_SPELLINGS: Mapping[str, str] = {"page[number]": "page", "page[size]": "limit"}
_CURSOR_SPELLINGS: Mapping[str, str] = {"page[after]": "after", "page[before]": "before", "page[size]": "limit"}
_TOKEN_SPELLINGS: Mapping[str, str] = {"page[token]": "page_token", "page[size]": "page_size"}
NEXT_TOKEN, TOKEN = "next_page_token", "page_token"
"""Fields of a list's response and request (AIP-158)."""
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_]+)(?:=([^{}]*))?\}")


@dataclass(frozen=True, slots=True)
class Data:
    """The part of a response that becomes primary data. `field` is None when the response is the resource itself."""

    field: Field | None
    resource: MessageType
    page: Field | None
    meta: tuple[Field, ...] = ()
    """Everything else that the response has: members of the document's meta."""

    @property
    def is_collection(self) -> bool:
        return self.field is not None and self.field.repeated

    @property
    def walks_by_cursor(self) -> bool:
        return self.page is not None and self.page.type_name == CURSOR_INFO


@dataclass(frozen=True, slots=True)
class PathName:
    """A field that takes several segments of the path, or stands in a message of the request: `book.name` of `segments`, of which
    those in braces are parameters. `field` is the last one of `field_path`.
    """

    field_path: tuple[str, ...]
    field: Field
    segments: tuple[str, ...]

    @property
    def template(self) -> str:
        return "/".join(self.segments)

    @property
    def parameters(self) -> tuple[str, ...]:
        return path_parameters(self.template)


@dataclass(frozen=True, slots=True)
class Batch:
    """A method that gives resources by their ids, `size` of them in one call (0 = any number)."""

    method: Method
    request: MessageType
    response: MessageType
    ids_field: Field
    data_field: Field
    size: int


@dataclass(frozen=True, slots=True)
class IncludePath:
    """A path that `include` may name, the resource at its end, and where that comes from: a response field, or a batch method."""

    path: str
    resource: MessageType
    response_field: Field | None
    batch: Batch | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route: a method and one of its bindings, its request fields dealt out to path, query, body and mask."""

    method: Method
    name: str
    verb: str
    path: str
    request: MessageType
    response: MessageType
    path_fields: tuple[Field, ...]
    query_fields: tuple[Field, ...]
    body_field: Field | None
    """The message field that receives the attributes; None with `body: "*"` and without a body. A repeated one receives a list of
    resource objects."""
    body_fields: tuple[Field, ...]
    """The fields that attributes are named by: of the request itself, or of `body_field`."""
    has_body: bool
    element: MessageType | None
    """With a repeated `body_field`: the resource that it is a list of."""
    mask_field: Field | None
    if_match_field: Field | None
    data: Data | None
    etag_field: Field | None
    """A field of the resource in `data`."""
    document_id_parameter: str | None
    success_status: int
    include_field: Field | None = None
    includes: tuple[IncludePath, ...] = ()
    sort_field: Field | None = None
    linkage_field: Field | None = None
    """The request field that takes the resource linkage of a relationship endpoint's document."""
    shown_linkage: Field | None = None
    """The foreign key of the resource in `data` that a relationship endpoint answers with, in the resource's place."""
    path_names: tuple[PathName, ...] = ()
    is_conditional: bool = False
    """If-Match and If-None-Match are honoured: what the change is about can be read by the GET route of the same address."""

    @property
    def is_tagged_read(self) -> bool:
        """True for a read that the client may cache: answers with signed URLs are never cached."""
        rest = self.method.rest
        return self.verb == "GET" and self.data is not None and not (rest is not None and rest.signed_urls)

    @property
    def takes_list(self) -> bool:
        """The document's data is a list of resource objects, each with an id."""
        return self.body_field is not None and self.body_field.repeated

    @property
    def body_is_optional(self) -> bool:
        """The document may be left out: its attributes go into a message that the request need not have."""
        body = self.body_field
        if (
            body is None or body.repeated or self.verb == "PUT"
        ):  # a PUT without a body would put nothing in the place of what is there
            return False
        return self.mask_field is None and not is_required(body)

    @property
    def walks_by_token(self) -> bool:
        """Pages by page_token and next_page_token (AIP-158)."""
        names = {one.name for one in self.query_fields}
        data = self.data
        return data is not None and TOKEN in names and any(one.name == NEXT_TOKEN for one in data.meta)

    @property
    def is_paged(self) -> bool:
        return self.data is not None and self.data.page is not None

    @property
    def spellings(self) -> Mapping[str, str]:
        """JSON:API's spelling of query parameters, with the name of the field that each sets."""
        found: dict[str, str] = {}
        if self.data is not None and self.data.page is not None:
            known = _CURSOR_SPELLINGS if self.data.walks_by_cursor else _PAGE_SPELLINGS
            names = {one.name for one in self.query_fields}
            found |= {spelling: name for spelling, name in known.items() if name in names}
        if self.walks_by_token:
            names = {one.name for one in self.query_fields}
            found |= {spelling: name for spelling, name in _TOKEN_SPELLINGS.items() if name in names}
        return found | {f"filter[{one.filter}]": one.name for one in self.query_fields if one.filter}

    @property
    def takes_resource(self) -> bool:
        """The document's data is one resource object."""
        return self.has_body and not self.takes_list and self.linkage_field is None

    @property
    def linkages(self) -> Mapping[str, Field]:
        """The relationships that the document may have, each with the field that it sets."""
        if not self.takes_resource:
            return {}
        return {one.relationship.name: one for one in self.body_fields if one.relationship is not None}

    @property
    def fixed_relationships(self) -> tuple[str, ...]:
        """The relationships of the resource that the document may not have."""
        if not self.takes_resource or self.data is None:
            return ()
        shown = (one.relationship.name for one in self.data.resource.fields if one.relationship is not None)
        return tuple(name for name in shown if name not in self.linkages)

    @property
    def shown_resources(self) -> tuple[MessageType, ...]:
        """The resources that a document of the answer can hold, the primary one first."""
        if self.data is None or self.shown_linkage is not None:
            return ()
        found = {one.full_name: one for one in (self.data.resource, *(one.resource for one in self.includes))}
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class StreamedMember:
    """One event of a stream: a member of the response's oneof, or (`field` None) the response itself."""

    field: Field | None
    payload: MessageType
    option: options_pb2.StreamEvent

    @property
    def comment(self) -> str:
        return (self.field.comment if self.field is not None else "") or self.payload.comment


@dataclass(frozen=True, slots=True)
class StreamEndpoint:
    """One address over a server-streaming method."""

    method: Method
    name: str
    path: str
    request: MessageType
    response: MessageType
    path_fields: tuple[Field, ...]
    query_fields: tuple[Field, ...]
    resume_field: Field | None
    id_field: Field | None
    time_field: Field | None
    events: tuple[StreamedMember, ...]


def path_parameters(path: str) -> tuple[str, ...]:
    return tuple(name for name, _ in _PLACEHOLDER.findall(path))


def path_shape(path: str) -> str:
    """The path without its parameters' names: two routes of one shape cannot be distinguished."""
    return _PLACEHOLDER.sub(lambda found: (found[2] or "*").replace("*", "{}"), path)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).replace(".", "_").lower()


def uuid_placeholders_of(endpoint: Endpoint, endpoints: Iterable[Endpoint]) -> frozenset[str]:
    """The same of the resource in the endpoint's data."""
    resource = endpoint.data.resource.resource if endpoint.data is not None else None
    return uuid_placeholders(resource, endpoints) if resource is not None else frozenset()


def uuid_placeholders(resource: options_pb2.Resource, endpoints: Iterable[Endpoint]) -> frozenset[str]:
    """Placeholders of a self link that can only be UUIDs, because the GET route behind the link takes nothing else."""
    if "=" in resource.self:
        return frozenset()
    for endpoint in endpoints:
        if endpoint.verb == "GET" and path_shape(endpoint.path) == path_shape(resource.self):
            uuids = {one.name for one in endpoint.path_fields if one.is_uuid}
            pairs = zip(path_parameters(resource.self), path_parameters(endpoint.path), strict=True)
            return frozenset(ours for ours, theirs in pairs if theirs in uuids)
    return frozenset()
