"""Writes what the table of routes points to: decode and encode of each REST binding, request and event of each stream."""

from collections.abc import Collection, Iterator, Sequence

from codegen.emit.module_names import ModuleNames
from codegen.emit.python_source import assign, attribute, fit, text
from codegen.emit.readers import KNOWN_FILLERS, emit_members, emit_names, fill_statements
from codegen.emit.writers import emit_linkage
from codegen.read.endpoints import (
    NEXT_TOKEN,
    WRAPPED_KINDS,
    Endpoint,
    PathName,
    StreamedMember,
    StreamEndpoint,
    path_parameters,
)
from codegen.read.model import Field, Kind

_RANGES = {
    Kind.INT32: ("MIN_INT32", "MAX_INT32"),
    Kind.UINT32: ("", "MAX_UINT32"),
    Kind.INT64: ("MIN_INT64", "MAX_INT64"),
    Kind.UINT64: ("", "MAX_UINT64"),
}
_PARAMETER_READERS = {
    Kind.STRING: "string",
    Kind.BOOL: "boolean",
    Kind.ENUM: "enum",
    Kind.BYTES: "octets",
    Kind.DOUBLE: "number",
    Kind.FLOAT: "number",
} | dict.fromkeys(_RANGES, "integer")


def emit_decode(endpoint: Endpoint, names: ModuleNames) -> Iterator[list[str]]:
    """`decode_<method>(path, query, attributes, problems)` and the sets of names it knows."""
    name = endpoint.name
    if endpoint.has_body and endpoint.body_field is None and endpoint.linkage_field is None:
        yield emit_members(name, endpoint.body_fields)
    if endpoint.query_fields:
        yield _known_parameters(endpoint)
    json, mapping = names.shape("JsonValue"), names.imports.use("collections.abc", "Mapping")
    taken = f"{'attributes' if endpoint.has_body else '_attributes'}: {mapping}[str, {json}] | None"
    if endpoint.takes_list:
        taken = f"resources: {names.shape('ResourceList')} | None"
    if endpoint.linkage_field is not None:
        taken = f"linked: {names.shape('LinkedIds')} | None"
    arguments = [
        f"{'path' if path_parameters(endpoint.path) else '_path'}: {mapping}[str, str]",
        f"query: {names.shape('Query')}",
        taken,
        f"problems: list[{names.shape('Problem')}]",
    ]
    request = names.message_class(endpoint.request)
    query = _query(
        name, endpoint.query_fields, names, sort_field=endpoint.sort_field, is_spelled=bool(endpoint.spellings)
    )
    yield [
        *fit(f"def decode_{name}(", arguments, f") -> {request}:"),
        f'    """{endpoint.verb} {endpoint.path}"""',
        f"    message = {request}()",
        *(f"    {_path_field(one, names)}" for one in endpoint.path_fields),
        *(f"    {line}" for line in query),
        *(f"    {line}" for line in _body(endpoint, names)),
        *(f"    {line}" for one in endpoint.path_names for line in _path_name(one, endpoint, names)),
        "    return message",
    ]


def _known_parameters(endpoint: Endpoint) -> list[str]:
    """`<METHOD>_QUERY`, the names of parameters, and `<METHOD>_SPELLINGS`, JSON:API's other names of them."""
    once = [one.name for one in endpoint.query_fields if not one.repeated]
    once += ["sort"] if endpoint.sort_field is not None and "sort" not in once else []
    lines = emit_names(f"{endpoint.name.upper()}_QUERY", once)
    if endpoint.spellings:
        spelled = [f"{text(spelling)}: {text(name)}" for spelling, name in endpoint.spellings.items()]
        lines += fit(f"{endpoint.name.upper()}_SPELLINGS: dict[str, str] = {{", spelled, "}")
    return lines


def emit_includes(endpoint: Endpoint, names: ModuleNames) -> Iterator[list[str]]:
    """`included_<method>_<path>(message)`, the resources to include, and `ask_<method>_<path>(ids)` of a batch method."""
    json = names.shape("JsonValue")
    for include in endpoint.includes:
        suffix = f"{endpoint.name}_{include.path.replace('.', '_')}"
        writer = names.resource_writer(include.resource)
        batch, field, response = include.batch, include.response_field, endpoint.response
        if batch is not None:
            field, response = batch.data_field, batch.response
            request, ids = names.message_class(batch.request), names.imports.use("collections.abc", "Sequence")
            yield [
                f"def ask_{suffix}(ids: {ids}[str]) -> {request}:",
                f"    return {request}({batch.ids_field.name}=ids)",
            ]
        assert field is not None  # noqa: S101  # what is included comes from one of the two
        value = attribute("message", field.name)
        made = f"[{writer}(one) for one in {value}]"
        if not field.repeated:
            made = f'[{writer}({value})] if message.HasField("{field.name}") else []'
        yield [
            *fit(f"def included_{suffix}(", [f"message: {names.message_class(response)}"], f") -> list[{json}]:"),
            f"    return {made}",
        ]


def emit_encode(endpoint: Endpoint, uuids: Collection[str], names: ModuleNames) -> list[str]:
    """`encode_<method>(message)`: primary data and page, or a relationship's linkage. `uuids`: fields that links take as
    they are.
    """
    encoded, data = names.shape("Encoded"), endpoint.data
    response = names.message_class(endpoint.response)
    if data is None:
        return [f"def encode_{endpoint.name}(_message: {response}) -> {encoded}:", f"    return {encoded}(None)"]
    head = f"def encode_{endpoint.name}(message: {response}) -> {encoded}:"
    meta = _meta(endpoint)
    if endpoint.shown_linkage is not None:
        target = attribute("message", data.field.name) if data.field is not None else "message"
        made = emit_linkage(data.resource, endpoint.shown_linkage, "its_resource", uuids, names)
        return [
            head,
            f"    its_resource = {target}",
            *made,
            f"    return {encoded}({', '.join(['data', 'links=links', *meta])})",
        ]
    resource = names.resource_writer(data.resource)
    if data.field is None:
        return [head, f"    return {encoded}({', '.join([f'{resource}(message)', *_tag(endpoint, 'message')])})"]
    value = attribute("message", data.field.name)
    if not data.is_collection:
        one = f'{resource}({value}) if message.HasField("{data.field.name}") else None'
        return [head, *fit(f"return {encoded}(", [one, *_tag(endpoint, value), *meta], ")", "    ")]
    page = []
    if data.page is not None:
        page_of = names.runtime("cursor_of" if data.walks_by_cursor else "page_of")
        page = [f"{page_of}({attribute('message', data.page.name)})"]
    elif endpoint.walks_by_token:
        page = [f"{names.shape('Tokens')}({attribute('message', NEXT_TOKEN)})"]
    return [head, *fit(f"return {encoded}(", [f"[{resource}(one) for one in {value}]", *page, *meta], ")", "    ")]


def _meta(endpoint: Endpoint) -> list[str]:
    """The argument that carries what is neither data nor page, if there is something."""
    data = endpoint.data
    return [f"meta=meta_{endpoint.name}(message)"] if data is not None and data.meta else []


def _tag(endpoint: Endpoint, resource: str) -> list[str]:
    """The argument that carries the answer's entity tag, if the contract names one."""
    one = endpoint.etag_field
    if one is None:
        return []
    value = attribute(resource, one.name)
    return [f"tag={value if one.kind is Kind.STRING else f'str({value})'}"]


def emit_stream_request(stream: StreamEndpoint, names: ModuleNames) -> Iterator[list[str]]:
    """`request_<method>(path, query, last_event_id, problems)` and the set of names it knows."""
    if stream.query_fields:
        yield emit_names(f"{stream.name.upper()}_QUERY", [one.name for one in stream.query_fields if not one.repeated])
    request, resume = names.message_class(stream.request), stream.resume_field
    arguments = [
        f"{'path' if stream.path_fields else '_path'}: {names.imports.use('collections.abc', 'Mapping')}[str, str]",
        f"query: {names.shape('Query')}",
        f"{'last_event_id' if resume else '_last_event_id'}: str | None",
        f"problems: list[{names.shape('Problem')}]",
    ]
    lines = [
        *fit(f"def request_{stream.name}(", arguments, f") -> {request}:"),
        f"    message = {request}()",
        *(f"    {_path_field(one, names)}" for one in stream.path_fields),
        *(f"    {line}" for line in _query(stream.name, stream.query_fields, names)),
    ]
    if resume is not None:
        assigned = assign("message", resume.name, "last_event_id")
        lines += ["    if last_event_id is not None:", f"        {assigned}"]
    yield [*lines, "    return message"]


def emit_stream_event(stream: StreamEndpoint, names: ModuleNames) -> list[str]:
    """`event_<method>(message)`: one event in the form for the envelope."""
    event = names.shape("StreamedEvent")
    event_id = attribute("message", stream.id_field.name) if stream.id_field else '""'
    time = "None" if stream.time_field is None else "time"
    lines = [
        f"def event_{stream.name}(message: {names.message_class(stream.response)}) -> {event}:",
        f'    """One event of {stream.path}."""',
    ]
    if stream.time_field is not None:
        written = f"{names.runtime('timestamp_text')}({attribute('message', stream.time_field.name)})"
        lines.append(f'    time = {written} if message.HasField("{stream.time_field.name}") else None')
    first = stream.events[0].field
    if first is None:
        return [*lines, *_event(stream.events[0], event, "message", event_id, time, names, " " * 4)]
    lines.append(f'    match message.WhichOneof("{first.oneof}"):')
    for one in stream.events:
        assert one.field is not None  # noqa: S101  # the first one has it, so all have
        lines.append(f'        case "{one.field.name}":')
        payload = attribute("message", one.field.name)
        lines += _event(one, event, payload, event_id, time, names, " " * 12)
    unknown = names.runtime("UNKNOWN_EVENT")
    return [*lines, "        case _:", f"            return {event}({unknown}, {event_id}, {time}, None, None)"]


def _event(
    one: StreamedMember, event: str, payload: str, event_id: str, time: str, names: ModuleNames, indent: str
) -> list[str]:
    written = f"{names.object_writer(one.payload)}({payload})"
    key = one.option.superseded_by
    supersedes = f'f"{one.option.type}:{{{attribute(payload, key)}}}"' if key else "None"
    return fit(f"return {event}(", [text(one.option.type), event_id, time, written, supersedes], ")", indent)


def _path_field(one: Field, names: ModuleNames) -> str:
    if one.kind is Kind.STRING:
        return assign("message", one.name, f"{names.runtime('path_string')}(path, {text(one.name)}, problems)")
    lowest, highest = _range(one.kind, names)
    return assign(
        "message", one.name, f"{names.runtime('path_integer')}(path, {text(one.name)}, {lowest}, {highest}, problems)"
    )


def _path_name(one: PathName, endpoint: Endpoint, names: ModuleNames) -> list[str]:
    """Statements that set a field to several segments. Where the document could set it too, it must have the same value."""
    holder = "message"
    for part in one.field_path[:-1]:
        holder = attribute(holder, part)
    value = f"{names.runtime('path_name')}(path, {text(one.template)}, problems)"
    body = endpoint.body_field
    if body is not None and one.field_path == (body.name, one.field.name):
        given, at = attribute(holder, one.field.name), names.runtime("ATTRIBUTES")
        value = f"{names.runtime('agreeing')}({given}, {value}, {at}, {text(one.field.name)}, problems)"
    return [assign(holder, one.field.name, value)]


def _range(kind: Kind, names: ModuleNames) -> tuple[str, str]:
    lowest, highest = _RANGES[kind]
    return names.runtime(lowest) if lowest else "0", names.runtime(highest)


def _query(
    name: str, fields: Sequence[Field], names: ModuleNames, *, sort_field: Field | None = None, is_spelled: bool = False
) -> list[str]:
    parameters = names.runtime("Parameters")
    if not fields:
        return ["if query:", f"    {parameters}(query, problems)"]
    # What only JSON:API's `sort` names has no parameter of its own.
    fields = [one for one in fields if not (one is sort_field and one.name == "sort")]
    lists = [text(one.name) for one in fields if one.repeated]
    options = ["query", "problems", f"names={name.upper()}_QUERY"]
    options += [f"lists=frozenset({{{', '.join(lists)}}})"] if lists else []
    options += [f"spellings={name.upper()}_SPELLINGS"] if is_spelled else []
    lines = ["if query:", *fit(f"given = {parameters}(", options, ")", "    ")]
    for one in fields:
        lines += [f"    if {text(one.name)} in given:", f"        {_parameter(one, names)}"]
    return [*lines, *_sort(sort_field, names)]


def _sort(one: Field | None, names: ModuleNames) -> list[str]:
    if one is None:
        return []
    keys, target = names.sort_keys(one.type_name), attribute("message", one.name)
    other = "" if one.name == "sort" else f", instead_of={text(one.name)}"
    statement = assign("message", one.name, f"given.order({keys}{other})")
    if one.repeated:
        statement = f"{target}.extend(given.orders({keys}{other}))"
    return ['    if "sort" in given:', f"        {statement}"]


def _parameter(one: Field, names: ModuleNames) -> str:
    """A statement that sets a field from a query parameter that was given."""
    name, target = text(one.name), attribute("message", one.name)
    if one.type_name in KNOWN_FILLERS:
        return f"given.fill({name}, {names.runtime(KNOWN_FILLERS[one.type_name])}, {target})"
    kind = WRAPPED_KINDS.get(one.type_name, one.kind)
    arguments = [name]
    if kind is Kind.ENUM:
        arguments.append(names.enum_numbers(one.type_name))
    elif kind in _RANGES:
        arguments += _range(kind, names)
    elif kind is Kind.FLOAT:
        arguments.append(names.runtime("MAX_FLOAT32"))
    if one.repeated:
        reader = "octets_list" if kind is Kind.BYTES else f"{_PARAMETER_READERS[kind]}s"
        return f"{target}.extend(given.{reader}({', '.join(arguments)}))"
    value = f"given.{_PARAMETER_READERS[kind]}({', '.join(arguments)})"
    if one.kind is Kind.MESSAGE:
        return f"{names.runtime('fill_wrapper')}({target}, {value})"
    return assign("message", one.name, value)


def _body(endpoint: Endpoint, names: ModuleNames) -> list[str]:
    if not endpoint.has_body:
        return []
    if endpoint.takes_list:
        return _resources(endpoint, names)
    if endpoint.linkage_field is not None:
        return _linked(endpoint.linkage_field)
    at, body = names.runtime("ATTRIBUTES"), endpoint.body_field
    lines = ["if attributes is not None:"]
    if body is None:
        known = f"{endpoint.name.upper()}_MEMBERS"
        members = "members = " if endpoint.body_fields else ""
        lines.append(f"    {members}{names.runtime('members_of')}(attributes, {known}, {at}, problems)")
        lines += [f"    {line}" for line in fill_statements(endpoint.body_fields, endpoint.request, at, names)]
    else:
        message, target = names.message(body.type_name), attribute("message", body.name)
        known = names.members(message)
        lines += [f"    {target}.SetInParent()", f"    {names.filler(message)}({target}, attributes, {at}, problems)"]
    if endpoint.mask_field is not None:
        mask = attribute("message", endpoint.mask_field.name)
        lines += [
            f"    {mask}.SetInParent()",
            f"    {mask}.paths.extend({names.runtime('mask_paths')}(attributes, {known}))",
        ]
    return lines


def _linked(one: Field) -> list[str]:
    """Takes the ids of resource linkage: all of a to-many relationship's, at most one of a to-one's."""
    if one.repeated:
        return ["if linked is not None:", f"    {attribute('message', one.name)}.extend(linked)"]
    return ["if linked:", f"    {assign('message', one.name, 'linked[0]')}"]


def _resources(endpoint: Endpoint, names: ModuleNames) -> list[str]:
    """Reads a document whose data is a list: ids to ids, attributes to the rest."""
    body = endpoint.body_field
    assert body is not None  # noqa: S101  # what takes_list means
    filler, target = names.filler(names.message(body.type_name)), attribute("message", body.name)
    return [
        "if resources is not None:",
        "    for index, (resource_id, attributes) in enumerate(resources):",
        f"        element = {target}.add()",
        f'        {filler}(element, attributes, f"/data/{{index}}/attributes", problems)',
        "        element.id = resource_id",
    ]
