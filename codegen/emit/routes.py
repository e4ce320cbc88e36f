"""Writes the table of routes and streams: what the gateway serves, and for each the functions of emit_transcoders."""

from collections.abc import Iterator, Sequence

from samovar.options.v1 import options_pb2

from codegen.emit.python_source import Imports, alias, fit, pb2_module, rest_module, text
from codegen.read.constraints import most_elements
from codegen.read.endpoints import Endpoint, IncludePath, StreamEndpoint, snake
from codegen.read.model import Field, MessageType, Method

_RATE_CLASSES = {
    options_pb2.RATE_CLASS_READ: "read",
    options_pb2.RATE_CLASS_WRITE: "write",
    options_pb2.RATE_CLASS_NONE: "none",
}


def emit_routes(endpoints: Sequence[Endpoint], streams: Sequence[StreamEndpoint], root: str) -> tuple[str, str]:
    """Path and text of the module with ROUTES (in the order they should be tried) and STREAMS."""
    imports = Imports()
    shapes = "gateway.contract"
    imports.use(shapes, "Route")
    imports.use(shapes, "StreamRoute")
    body = ["ROUTES: tuple[Route, ...] = ("]
    for endpoint in endpoints:
        body += [f"    {line}" for line in _route(endpoint, imports, root)]
    body += [")", "", "STREAMS: tuple[StreamRoute, ...] = ("]
    for stream in streams:
        body += [f"    {line}" for line in _stream(stream, imports, root)]
    body.append(")")
    head = '"""Every route and stream of the gateway. Generated from proto/ by `./taskw gen`; do not edit."""'
    return f"{root.replace('.', '/')}/routes.py", "\n".join([head, "", *imports.lines(), "", *body]) + "\n"


def _type(message: MessageType, imports: Imports) -> str:
    package, module = pb2_module(message.file)
    return f"{imports.use(package, module, alias(message.file, '_pb2'))}.{message.path}"


def _function(method: Method, name: str, imports: Imports, root: str) -> str:
    return _named(method.file, name, imports, root)


def _named(file: str, name: str, imports: Imports, root: str) -> str:
    package, module = rest_module(root, file)
    return f"{imports.use(package, module, alias(file))}.{name}"


def _strings(values: Sequence[str]) -> str:
    return f"({', '.join(map(text, values))}{',' if len(values) == 1 else ''})"


def _access(method: Method, verb: str, imports: Imports) -> str:
    access = method.access or options_pb2.Access()
    rate = _RATE_CLASSES.get(access.rate_class, "read" if verb == "GET" else "write")
    rule = imports.use("gateway.contract", "AccessRule")
    return f"{rule}({access.public}, {_strings(access.roles)}, {_strings(access.services)}, {text(rate)})"


def _pointers(endpoint: Endpoint) -> Iterator[str]:
    for one in endpoint.path_fields:
        yield f'"{one.name}": "{{{one.name}}}"'
    yield from _name_pointers(endpoint)
    for one in endpoint.query_fields:
        yield f'"{one.name}": "?{one.name}"'
    if endpoint.include_field is not None:
        yield f'"{endpoint.include_field.name}": "?include"'
    if endpoint.linkage_field is not None:
        yield f'"{endpoint.linkage_field.name}": "/data{"/@" if endpoint.linkage_field.repeated else "/id"}"'
    body = endpoint.body_field
    if endpoint.takes_list and body is not None:
        yield f'"{body.name}": "/data/#"'
        return
    if body is not None:
        yield f'"{body.name}": "/data/attributes"'
    for one in endpoint.body_fields:
        yield f'"{body.name + "." if body else ""}{one.name}": "/data/attributes/{one.name}"'
    if endpoint.mask_field is not None:
        yield f'"{endpoint.mask_field.name}": "/data/attributes"'
    if endpoint.if_match_field is not None:
        yield f'"{endpoint.if_match_field.name}": ":If-Match"'


def _name_pointers(endpoint: Endpoint) -> Iterator[str]:
    for name in endpoint.path_names:
        yield f'"{".".join(name.field_path)}": "{{{name.parameters[-1]}}}"'


def _route(endpoint: Endpoint, imports: Imports, root: str) -> list[str]:
    method, rest, data = endpoint.method, endpoint.method.rest, endpoint.data
    parameter = endpoint.document_id_parameter if endpoint.has_body else None
    resource_type = data.resource.resource.type if data is not None and data.resource.resource is not None else ""
    request_types = [*(rest.request_types if rest else ())]
    if endpoint.element is not None and endpoint.element.resource is not None:
        request_types.append(endpoint.element.resource.type)
    most_items = most_elements(endpoint.body_field) if endpoint.takes_list and endpoint.body_field is not None else 0
    return [
        "Route(",
        f"    method={text(endpoint.verb)},",
        f"    path={text(endpoint.path)},",
        f"    rpc={text(method.rpc)},",
        f"    request_type={_type(endpoint.request, imports)},",
        f"    response_type={_type(endpoint.response, imports)},",
        f"    decode={_function(method, f'decode_{endpoint.name}', imports, root)},",
        f"    encode={_function(method, f'encode_{endpoint.name}', imports, root)},",
        *fit("pointers={", _pointers(endpoint), "},", " " * 4),
        f"    access={_access(method, endpoint.verb, imports)},",
        f"    has_body={endpoint.has_body},",
        f"    takes_list={endpoint.takes_list},",
        f"    resource_type={text(resource_type)},",
        f"    request_types={_strings(request_types)},",
        f"    document_id_parameter={text(parameter) if parameter else None},",
        f"    is_collection={data is not None and data.is_collection},",
        f"    success_status={endpoint.success_status},",
        f"    no_content={method.has_no_content},",
        f"    location={rest is not None and rest.location},",
        f"    signed_urls={rest is not None and rest.signed_urls},",
        f"    idempotent={method.idempotent},",
        *([f"    most_items={most_items},"] if most_items else []),
        *(["    body_is_optional=True,"] if endpoint.body_is_optional else []),
        *([f"    if_match_field={text(endpoint.if_match_field.name)},"] if endpoint.if_match_field else []),
        *(["    is_conditional=True,"] if endpoint.is_conditional else []),
        *(f"    {line}" for line in _compound(endpoint, imports, root)),
        "),",
    ]


def _compound(endpoint: Endpoint, imports: Imports, root: str) -> Iterator[str]:
    """Yield the arguments for the resources, orders and members that JSON:API lets a client request."""
    method = endpoint.method
    if endpoint.spellings:
        yield f"spellings={_function(method, f'{endpoint.name.upper()}_SPELLINGS', imports, root)},"
    if endpoint.sort_field is not None:
        yield f"sort_field={text(endpoint.sort_field.name)},"
    fieldsets = [
        f"{text(one.resource.type)}: {_named(one.file, f'{snake(one.path).upper()}_FIELDS', imports, root)}"
        for one in endpoint.shown_resources
        if one.resource is not None
    ]
    if fieldsets:
        yield from fit("fieldsets={", fieldsets, "},")
    if endpoint.includes:
        yield "includes={"
        for include in endpoint.includes:
            yield from _include(endpoint, include, imports, root)
        yield "},"
    if endpoint.include_field is not None:
        yield f"include_field={text(endpoint.include_field.name)},"
    if endpoint.linkage_field is not None:
        yield f"linkage={_linkage(endpoint.linkage_field, imports)},"
    if endpoint.linkages:
        made = [f"{text(name)}: {_linkage(one, imports)}" for name, one in endpoint.linkages.items()]
        yield from fit("linkages={", made, "},")
    if endpoint.fixed_relationships:
        yield from fit("fixed_relationships=frozenset({", map(text, endpoint.fixed_relationships), "}),")


def _linkage(one: Field, imports: Imports) -> str:
    linkage, kind = imports.use("gateway.contract", "Linkage"), one.relationship.type if one.relationship else ""
    most = f", {most_elements(one)}" if most_elements(one) else ""
    return f"{linkage}({text(one.name)}, {text(kind)}, {one.repeated}{most})"


def _include(endpoint: Endpoint, include: IncludePath, imports: Imports, root: str) -> Iterator[str]:
    suffix = f"{endpoint.name}_{include.path.replace('.', '_')}"
    read = _function(endpoint.method, f"included_{suffix}", imports, root)
    made = imports.use("gateway.contract", "Include")
    batch = include.batch
    if batch is None:
        yield f"    {text(include.path)}: {made}({read}),"
        return
    yield f"    {text(include.path)}: {made}("
    yield f"        {read},"
    yield f"        {imports.use('gateway.contract', 'Fetch')}("
    yield f"            rpc={text(batch.method.rpc)},"
    yield f"            request_type={_type(batch.request, imports)},"
    yield f"            response_type={_type(batch.response, imports)},"
    yield f"            ask={_function(endpoint.method, f'ask_{suffix}', imports, root)},"
    yield f"            batch_size={batch.size},"
    yield "        ),"
    yield "    ),"


def _stream(stream: StreamEndpoint, imports: Imports, root: str) -> list[str]:
    method = stream.method
    return [
        "StreamRoute(",
        f"    path={text(stream.path)},",
        f"    rpc={text(method.rpc)},",
        f"    request_type={_type(stream.request, imports)},",
        f"    response_type={_type(stream.response, imports)},",
        f"    request={_function(method, f'request_{stream.name}', imports, root)},",
        f"    encode={_function(method, f'event_{stream.name}', imports, root)},",
        f"    access={_access(method, 'GET', imports)},",
        f"    resumable={stream.resume_field is not None},",
        "),",
    ]
