"""Resolves methods with options into endpoints: looks up every name, finds every contradiction."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from samovar.options.v1 import options_pb2

from codegen.read.compounds import Compounds, LinkageEndpoint, find_sort_field
from codegen.read.constraints import is_required
from codegen.read.endpoints import (
    CURSOR_INFO,
    FIELD_MASK,
    PAGE_INFO,
    PATH_KINDS,
    SCALAR_MESSAGES,
    TIMESTAMP,
    WELL_KNOWN,
    Data,
    Endpoint,
    PathName,
    StreamedMember,
    StreamEndpoint,
    path_parameters,
    path_shape,
    snake,
)
from codegen.read.faults import Faults
from codegen.read.model import Binding, Contract, Field, Kind, Location, Method
from codegen.read.paths import Paths
from codegen.read.rules import (
    check_events,
    check_method,
    check_names,
    check_reasons,
    check_reserved,
    check_resources,
    check_unique,
)

HANDSHAKE_PARAMETERS = frozenset({"token", "last_event_id"})
"""Query parameters of a stream that are the gateway's own."""
CONTROL_EVENTS = frozenset({"stream.end", "stream.error", "stream.unknown", "auth.token"})
"""Types of events that are the gateway's own."""
_USUAL_MASK = "update_mask"
"""The name that a mask has by AIP-134."""
_PAGE_MEMBERS = frozenset({"total_items", "current_page", "per_page", "total_pages"})
_BODYLESS_VERBS = frozenset({"GET", "DELETE"})


def find_endpoints(contract: Contract, faults: Faults) -> tuple[list[Endpoint], list[StreamEndpoint]]:
    """All endpoints of the contract in the order they should be tried; what cannot be served is reported and left out."""
    endpoints: list[Endpoint] = []
    streams: list[StreamEndpoint] = []
    check_reasons(contract, faults)
    reasons = contract.reasons
    for method in contract.methods:
        check_method(method, reasons, faults)
        for index, binding in enumerate(method.bindings):
            endpoint = _Resolver(contract, method, faults).endpoint(binding, index)
            if endpoint is not None:
                endpoints.append(endpoint)
        if method.stream is not None:
            stream = _Resolver(contract, method, faults).stream_endpoint(method.stream)
            if stream is not None:
                streams.append(stream)
    endpoints.sort(key=lambda endpoint: (_specific_first(endpoint.path), endpoint.verb))
    streams.sort(key=lambda stream: stream.path)
    check_names(endpoints, streams, faults)
    check_unique(endpoints, streams, faults)
    check_reserved(endpoints, streams, faults)
    check_resources(contract, endpoints, faults)
    check_events(contract, faults)
    return [replace(one, is_conditional=_is_conditional(one, endpoints)) for one in endpoints], streams


def _is_conditional(endpoint: Endpoint, endpoints: Iterable[Endpoint]) -> bool:
    """Return True when the gateway can read the target of a change: by a GET of the same address that returns entity tags, needs
    nothing beside the path and admits everybody who may make the change.
    """
    return endpoint.verb != "GET" and any(
        one.is_tagged_read
        and path_shape(one.path) == path_shape(endpoint.path)
        and not any(is_required(field) for field in one.query_fields)
        and _admits_all_of(one.method, endpoint.method)
        for one in endpoints
    )


def _admits_all_of(method: Method, other: Method) -> bool:
    ours, theirs = method.access, other.access
    if ours is None or theirs is None or ours.public:
        return ours is not None and theirs is not None
    return not theirs.public and {*theirs.roles} <= {*ours.roles}


def _specific_first(path: str) -> list[tuple[bool, str]]:
    return [(segment.startswith("{"), segment) for segment in path.split("/")]


class _Resolver:
    """Resolves the options of one method."""

    def __init__(self, contract: Contract, method: Method, faults: Faults) -> None:
        self._contract = contract
        self._method = method
        self._faults = faults
        self._request = contract.messages[method.request]
        self._response = contract.messages[method.response]
        self._paths = Paths(contract, self._request, self._fault)

    def _fault(self, rule: str, text: str, location: Location | None = None) -> None:
        self._faults.add(location or self._method.location, rule, f"{self._method.name}: {text}")

    def endpoint(self, binding: Binding, index: int) -> Endpoint | None:
        before = len(self._faults.found)
        template = self._paths.of_binding(binding)
        if template is None:
            return None
        binding = replace(binding, path=template.path)
        if binding.response_body:
            self._fault("http-response-body", "response_body has no meaning here; rest.data_field names the data")
        path_fields = tuple(self._paths.fields(template))
        path_names = tuple(self._paths.names(template))
        linkage = LinkageEndpoint(self._method, binding.verb, self._fault)
        linkage_field = linkage.body(self._request, binding.body) if linkage.is_one else None
        body_field, body_fields = (None, ()) if linkage.is_one else self._body(binding, path_fields)
        mask_field = None if linkage.is_one else self._mask_field(binding)
        if_match_field = self._if_match_field(binding)
        data = self._data()
        compounds = Compounds(self._contract, self._method, self._fault)
        includes = compounds.includes(data)
        include_field = compounds.include_field(self._request, includes)
        taken_fields = (*path_fields, body_field, mask_field, if_match_field, include_field, linkage_field)
        taken = {one.name for one in taken_fields if one} | {
            one.field_path[0] for one in path_names if len(one.field_path) == 1
        }
        if binding.body == "*":
            query_fields: tuple[Field, ...] = ()
            body_fields = tuple(one for one in self._request.fields if one.name not in taken)
        else:
            query_fields = tuple(one for one in self._request.fields if one.name not in taken)
        self._check_query(query_fields, has_includes=bool(includes))
        sort_field = find_sort_field(self._contract, self._method, query_fields, self._fault)
        self._check_page(data, query_fields)
        shown_linkage = linkage.shown(data) if linkage.is_one else None
        etag_field = self._etag_field(data)
        status = self._success_status(data)
        if len(self._faults.found) > before:
            return None
        return Endpoint(
            method=self._method,
            name=snake(self._method.name) + (f"_{index + 1}" if index else ""),
            verb=binding.verb,
            path=binding.path,
            request=self._request,
            response=self._response,
            path_fields=path_fields,
            query_fields=query_fields,
            body_field=body_field,
            body_fields=body_fields,
            has_body=bool(binding.body),
            element=self._contract.messages[body_field.type_name] if body_field and body_field.repeated else None,
            mask_field=mask_field,
            if_match_field=if_match_field,
            data=data,
            etag_field=etag_field,
            document_id_parameter=self._document_id_parameter(binding, data, path_names),
            success_status=status,
            include_field=include_field,
            includes=includes,
            sort_field=sort_field,
            linkage_field=linkage_field,
            shown_linkage=shown_linkage,
            path_names=path_names,
        )

    def _body(self, binding: Binding, path_fields: tuple[Field, ...]) -> tuple[Field | None, tuple[Field, ...]]:
        if not binding.body or binding.body == "*":
            if binding.body and binding.verb in _BODYLESS_VERBS:
                self._fault("http-body", f"a {binding.verb} has no body")
            return None, ()
        if binding.verb in _BODYLESS_VERBS:
            self._fault("http-body", f"a {binding.verb} has no body")
        found = self._request.field(binding.body)
        if found is None:
            self._fault("http-body", f"the body {binding.body!r} is not a field of {self._request.path}")
            return None, ()
        if found in path_fields:
            self._fault("http-body", f"the body {binding.body!r} stands in the path already", found.location)
            return None, ()
        if found.repeated and found.kind is Kind.MESSAGE and found.type_name not in WELL_KNOWN:
            return self._resource_list(found)
        why = (
            f"is a {found.kind}"
            if found.kind is not Kind.MESSAGE
            else f"is a {found.type_name}"
            if found.type_name in WELL_KNOWN
            else "is repeated"
            if found.repeated
            else ""
        )
        if why:
            text = f"the body {binding.body!r} {why}, not a message with fields to take the attributes"
            self._fault("http-body", text, found.location)
            return None, ()
        return found, self._contract.messages[found.type_name].fields

    def _resource_list(self, found: Field) -> tuple[Field | None, tuple[Field, ...]]:
        """A document whose data is a list: of resource objects with ids, so the element must say its type and have one."""
        message = self._contract.messages[found.type_name]
        id_field = message.field("id")
        has_id = id_field is not None and id_field.kind is Kind.STRING and not id_field.repeated
        if message.is_map_entry or message.resource is None or not message.resource.type or not has_id:
            self._fault(
                "http-body",
                f"the body {found.name!r} is a list, so {message.path} needs a resource option with a type, and a string id",
                found.location,
            )
            return None, ()
        return found, tuple(one for one in message.fields if one.name != "id")

    def _mask_field(self, binding: Binding) -> Field | None:
        name = self._method.rest.update_mask_field if self._method.rest else ""
        usual = self._request.field(_USUAL_MASK)
        if not name and binding.verb == "PATCH" and usual is not None and usual.type_name == FIELD_MASK:
            name = _USUAL_MASK
        if not name:
            if binding.verb == "PATCH":
                self._fault(
                    "update-mask",
                    "a PATCH needs rest.update_mask_field: without a mask an absent attribute looks like a cleared one",
                )
            return None
        found = self._request.field(name)
        if binding.verb != "PATCH":
            self._fault("update-mask", f"rest.update_mask_field means nothing on a {binding.verb}")
        if found is None:
            self._fault("update-mask", f"rest.update_mask_field {name!r} is not a field of {self._request.path}")
        elif any(one.name == binding.body and one.repeated for one in self._request.fields):
            self._fault("update-mask", "a list of resource objects has no one set of members to make a mask of")
            return None
        elif found.type_name != FIELD_MASK or found.repeated:
            self._fault("update-mask", f"rest.update_mask_field {name!r} is not a {FIELD_MASK}", found.location)
            return None
        return found

    def _if_match_field(self, binding: Binding) -> Field | None:
        name = self._method.rest.if_match_field if self._method.rest else ""
        if not name:
            return None
        found = self._request.field(name)
        if binding.verb == "GET":
            self._fault("if-match", "rest.if_match_field means nothing on a GET")
        if found is None or found.kind is not Kind.STRING or not found.repeated:
            self._fault("if-match", f"rest.if_match_field {name!r} is not a repeated string of {self._request.path}")
            return None
        return found

    def _etag_field(self, data: Data | None) -> Field | None:
        name = self._method.rest.etag_field if self._method.rest else ""
        if not name:
            return None
        found = data.resource.field(name) if data is not None and not data.is_collection else None
        if found is None or found.repeated or found.has_presence or found.kind not in PATH_KINDS:
            self._fault("etag", f"rest.etag_field {name!r} is not a plain string or integer of the resource in data")
            return None
        return found

    def _check_query(self, fields: Iterable[Field], *, has_includes: bool) -> None:
        fields = tuple(fields)
        filters = [one.filter for one in fields if one.filter]
        for name in {name for name in filters if filters.count(name) > 1}:
            self._fault("filter", f"there are several filters {name!r}")
        for one in fields:
            if one.name == "include" and has_includes:
                self._fault("include", "the query parameter include is JSON:API's; rest.include_field", one.location)
            if one.kind is Kind.MESSAGE and (one.repeated or one.type_name not in SCALAR_MESSAGES):
                self._fault(
                    "query-parameter",
                    f"{one.name} would be a query parameter, and a message cannot be one",
                    one.location,
                )

    def _data(self) -> Data | None:
        rest = self._method.rest
        pages = [one for one in self._response.fields if one.type_name in {PAGE_INFO, CURSOR_INFO} and not one.repeated]
        page = pages[0] if pages else None
        if len(pages) > 1:
            self._fault("page-fields", f"{self._response.path} has more than one page")
        included = {one.response_field for one in rest.includes} if rest is not None else frozenset[str]()
        if self._method.has_no_content:
            return None
        if self._response.resource is not None and not (rest and rest.data_field):
            return Data(None, self._response, None)
        candidates = [
            one
            for one in self._response.fields
            if one.kind is Kind.MESSAGE
            and one.name not in included
            and self._contract.messages[one.type_name].resource is not None
        ]
        if rest is not None and rest.data_field:
            candidates = [one for one in candidates if one.name == rest.data_field]
            if not candidates:
                self._fault(
                    "data-field",
                    f"rest.data_field {rest.data_field!r} is not a field of {self._response.path} that holds a resource",
                )
                return None
        if not candidates:
            self._fault(
                "data-field",
                f"{self._response.path} holds no resource to become data; say rest.no_content if that is meant",
            )
            return None
        if len(candidates) > 1:
            names = ", ".join(one.name for one in candidates)
            self._fault(
                "data-field", f"{self._response.path} holds several resources ({names}); rest.data_field must name one"
            )
            return None
        return self._data_of(candidates[0], page, included)

    def _data_of(self, chosen: Field, page: Field | None, included: AbstractSet[str]) -> Data:
        if not chosen.repeated:
            page = None
        shown = {chosen.name, *included} | ({page.name} if page is not None else set())
        meta = tuple(one for one in self._response.fields if one.name not in shown)
        for one in meta:
            if page is not None and one.name in _PAGE_MEMBERS:
                self._fault(
                    "meta-field", f"{one.name} is what the document's meta says of the page already", one.location
                )
        return Data(chosen, self._contract.messages[chosen.type_name], page, meta)

    def _check_page(self, data: Data | None, query_fields: Iterable[Field]) -> None:
        if data is None or data.page is None:
            return
        query_fields = tuple(query_fields)
        integers = {one.name for one in query_fields if one.kind is Kind.INT32 and not one.repeated}
        strings = {one.name for one in query_fields if one.kind is Kind.STRING and not one.repeated}
        if data.walks_by_cursor:
            if "limit" not in integers or "after" not in strings:
                self._fault(
                    "page-fields",
                    f"{self._response.path} has cursors, so {self._request.path} needs an int32 field limit and a string after",
                )
        elif not {"page", "limit"} <= integers:
            self._fault(
                "page-fields",
                f"{self._response.path} has a page, so {self._request.path} needs int32 fields page and limit",
            )

    def _success_status(self, data: Data | None) -> int:
        rest = self._method.rest
        no_content = self._method.has_no_content
        status = rest.success_status if rest is not None and rest.success_status else 204 if no_content else 200
        if not 200 <= status <= 299:
            self._fault("success-status", f"{status} is no status of success")
        if (status == 204) != no_content:
            self._fault("success-status", "204 and rest.no_content go together")
        if rest is not None and rest.location:
            resource = data.resource.resource if data is not None and not data.is_collection else None
            if resource is None or not resource.self:
                self._fault("location", "rest.location needs one resource with a self link")
        return status

    def _document_id_parameter(
        self, binding: Binding, data: Data | None, path_names: tuple[PathName, ...]
    ) -> str | None:
        names = path_parameters(binding.path)
        if path_names:
            # Of a method on a collection, or with a verb, the path names something else than the document does.
            return path_names[-1].template if binding.path.endswith(path_names[-1].segments[-1]) else None
        if not names or (self._method.rest is not None and self._method.rest.location and binding.verb == "POST"):
            return None
        resource = data.resource.resource if data is not None else None
        if resource is not None and resource.self:
            ours, theirs = binding.path.split("/"), resource.self.split("/")
            id_segment = f"{{{resource.id_field or 'id'}}}"
            if path_shape("/".join(ours[: len(theirs)])) == path_shape(resource.self) and id_segment in theirs:
                return ours[theirs.index(id_segment)].strip("{}")
        return names[-1]

    def stream_endpoint(self, stream: options_pb2.Stream) -> StreamEndpoint | None:
        before = len(self._faults.found)
        template = self._paths.of_stream(stream.path)
        if template is None:
            return None
        path_fields = tuple(self._paths.fields(template))
        resume_field = self._resume_field(stream, path_fields)
        taken = (*path_fields, resume_field)
        query_fields = tuple(one for one in self._request.fields if one not in taken)
        self._check_query(query_fields, has_includes=False)
        for one in query_fields:
            if one.name in HANDSHAKE_PARAMETERS:
                text = f"{one.name} is what a handshake itself says in the query; give the field another name"
                self._fault("stream-parameter", text, one.location)
        id_field, time_field = self._id_field(stream), self._time_field(stream)
        events = self._events(stream)
        if len(self._faults.found) > before:
            return None
        return StreamEndpoint(
            method=self._method,
            name=snake(self._method.name),
            path=stream.path,
            request=self._request,
            response=self._response,
            path_fields=path_fields,
            query_fields=query_fields,
            resume_field=resume_field,
            id_field=id_field,
            time_field=time_field,
            events=events,
        )

    def _resume_field(self, stream: options_pb2.Stream, path_fields: tuple[Field, ...]) -> Field | None:
        if not stream.resume_field:
            return None
        found = self._request.field(stream.resume_field)
        why = (
            f"is not a field of {self._request.path}"
            if found is None
            else "stands in the path already"
            if found in path_fields
            else "is repeated"
            if found.repeated
            else f"is a {found.type_name or found.kind}, not a string"
            if found.kind is not Kind.STRING
            else ""
        )
        if why:
            self._fault("stream-field", f"resume_field {stream.resume_field!r} {why}")
        if not stream.id_field:
            self._fault(
                "stream-field", "a stream with a resume_field needs an id_field: ids are what clients resume from"
            )
        return found

    def _id_field(self, stream: options_pb2.Stream) -> Field | None:
        found = self._response.field(stream.id_field)
        if stream.id_field and (found is None or found.kind is not Kind.STRING or found.repeated):
            self._fault("stream-field", f"id_field {stream.id_field!r} is not a string field of {self._response.path}")
        return found

    def _time_field(self, stream: options_pb2.Stream) -> Field | None:
        found = self._response.field(stream.time_field)
        if stream.time_field and (found is None or found.type_name != TIMESTAMP or found.repeated):
            self._fault(
                "stream-field", f"time_field {stream.time_field!r} is not a {TIMESTAMP} of {self._response.path}"
            )
        return found

    def _events(self, stream: options_pb2.Stream) -> tuple[StreamedMember, ...]:
        oneofs = self._response.oneofs()
        if stream.HasField("event"):
            if oneofs:
                text = f"{self._response.path} has a oneof, whose members are the events; stream.event is for a response without"
                self._fault("stream-events", text)
            whole = StreamedMember(None, self._response, stream.event)
            self._check_event(whole, self._response.path, self._method.location)
            return (whole,)
        if len(oneofs) != 1:
            text = f"{self._response.path} needs one oneof, whose members are the events, or none and the option stream.event"
            self._fault("stream-events", text)
            return ()
        members: list[StreamedMember] = []
        for one in (field for field in self._response.fields if field.oneof):
            if one.kind is not Kind.MESSAGE or one.type_name in WELL_KNOWN:
                self._fault("stream-event", f"{one.name}: an event's payload is a message of ours", one.location)
                continue
            payload = self._contract.messages[one.type_name]
            member = StreamedMember(one, payload, one.stream_event or options_pb2.StreamEvent())
            self._check_event(member, one.name, one.location)
            if member.option.type in {other.option.type for other in members}:
                text = f"{one.name}: {member.option.type!r} is another event's type already"
                self._fault("stream-event", text, one.location)
            members.append(member)
        return tuple(members)

    def _check_event(self, member: StreamedMember, name: str, location: Location) -> None:
        option = member.option
        if not option.type:
            self._fault("stream-event", f"{name} is an event and has no stream_event option with a type", location)
        if option.type in CONTROL_EVENTS:
            self._fault("stream-event", f"{name}: {option.type!r} is what the gateway itself says", location)
        found = member.payload.field(option.superseded_by)
        if option.superseded_by and (found is None or found.repeated or found.kind is not Kind.STRING):
            text = f"{name}: superseded_by {option.superseded_by!r} is not a string field of its payload"
            self._fault("stream-event", text, location)
