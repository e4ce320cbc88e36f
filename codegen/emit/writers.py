"""Writes the functions that make JSON of messages: resource objects, and plain objects for what stands inside them."""

import re
from collections.abc import Collection, Iterable, Sequence

from samovar.options.v1 import options_pb2

from codegen.emit.module_names import ModuleNames
from codegen.emit.python_source import attribute, fit, text
from codegen.read.endpoints import WRAPPED_KINDS, Endpoint, path_parameters, snake
from codegen.read.model import Field, Kind, MessageType, scalar

_KNOWN_WRITERS = {
    "google.protobuf.Timestamp": "timestamp_text",
    "google.protobuf.Duration": "duration_text",
    "google.protobuf.FieldMask": "mask_text",
    "google.protobuf.Struct": "struct_json",
    "google.protobuf.Value": "value_json",
    "google.protobuf.ListValue": "list_json",
}
_SCALAR_WRITERS = {Kind.DOUBLE: "double", Kind.FLOAT: "single", Kind.BYTES: "base64_text"}
"""Every other scalar is its own JSON value."""


def emit_resource(
    message: MessageType, resource: options_pb2.Resource, uuids: Collection[str], names: ModuleNames
) -> list[str]:
    """`<message>_resource(message)`: a resource object. Fields that it shows more than once are fetched once; those in `uuids` can
    stand in a link as they are.
    """
    id_name = resource.id_field or "id"
    attributes = [one for one in message.fields if one.name != id_name]
    related = [one for one in attributes if one.relationship is not None]
    templates = [resource.self, *(link for one in related for link in _link_templates(one).values())]
    linked = {id_name} & {name for template in templates for name in path_parameters(template)}
    fetched = {one.name for one in message.fields if one.name in linked or (one in related and not one.repeated)}
    lines = [
        f"def {snake(message.path)}_resource(message: {names.message_class(message)}) -> {names.shape('JsonValue')}:",
        f'    """A resource object of type {resource.type}."""',
        *_has(attributes),
        *(f"    its_{one.name} = {attribute('message', one.name)}" for one in message.fields if one.name in fetched),
        "    return {",
        f'        "type": {text(resource.type)},',
        f'        "id": {_field_value(id_name, fetched)},',
    ]
    if attributes:
        lines += ['        "attributes": {', *_members(attributes, fetched, names, " " * 12), "        },"]
    if related:
        lines.append('        "relationships": {')
        for one in related:
            lines += _relationship(message, one, fetched, uuids, names)
        lines.append("        },")
    if resource.self:
        lines.append(f'        "links": {{"self": {_link(message, resource.self, fetched, uuids, names)}}},')
    return [*lines, "    }"]


def emit_fields(message: MessageType, resource: options_pb2.Resource) -> list[str]:
    """`<MESSAGE>_FIELDS`: the names that `fields[…]` may say, attributes and relationships alike."""
    shown = [one for one in message.fields if one.name != (resource.id_field or "id")]
    fields = [one.name for one in shown]
    fields += [one.relationship.name for one in shown if one.relationship is not None]
    constant = f"{snake(message.path).upper()}_FIELDS"
    return fit(f"{constant} = frozenset({{", map(text, fields), "})") if fields else [f"{constant} = frozenset[str]()"]


def emit_linkage(
    message: MessageType, one: Field, target: str, uuids: Collection[str], names: ModuleNames
) -> list[str]:
    """Statements that build the answer of a relationship endpoint from the resource `target`: `data` and `links`."""
    links = [
        f"{text(name)}: {_link(message, template, frozenset(), uuids, names, target)}"
        for name, template in _link_templates(one).items()
    ]
    return [
        f"    data = {_linkage(one, attribute(target, one.name), names)}",
        *fit("links = {", links, "}", "    "),
    ]


def emit_object(message: MessageType, names: ModuleNames) -> list[str]:
    """`<message>_object(message)`: a plain JSON object."""
    head = f"def {snake(message.path)}_object(message: {names.message_class(message)}) -> {names.shape('JsonValue')}:"
    if not message.fields:
        return [head.replace("(message:", "(_message:"), "    return {}"]
    return [head, *_object(message.fields, names)]


def emit_meta(endpoint: Endpoint, names: ModuleNames) -> list[str]:
    """`meta_<method>(message)`: what of a response is neither data nor page."""
    assert endpoint.data is not None  # noqa: S101  # without data there is no document
    response, json = names.message_class(endpoint.response), names.shape("JsonValue")
    head = f"def meta_{endpoint.name}(message: {response}) -> dict[str, {json}]:"
    return [head, *_object(endpoint.data.meta, names)]


def _object(fields: Sequence[Field], names: ModuleNames) -> list[str]:
    return [*_has(fields), "    return {", *_members(fields, frozenset(), names, " " * 8), "    }"]


def _field_value(name: str, fetched: Collection[str]) -> str:
    return f"its_{name}" if name in fetched else attribute("message", name)


def _has(fields: Iterable[Field]) -> list[str]:
    return ["    has = message.HasField"] if any(one.has_presence for one in fields) else []


def _members(fields: Sequence[Field], fetched: Collection[str], names: ModuleNames, indent: str) -> list[str]:
    return [f'{indent}"{one.name}": {_member(one, _field_value(one.name, fetched), names)},' for one in fields]


def _member(one: Field, value: str, names: ModuleNames) -> str:
    """A field's whole value: null when it is unset."""
    entry = names.map_entry(one)
    if entry is not None:
        key = {Kind.STRING: "key", Kind.BOOL: '"true" if key else "false"'}.get(entry[0].kind, "str(key)")
        written = _written(entry[1], "value", names)
        if (key, written) == ("key", "value"):
            return f"dict(sorted({value}.items()))"
        return f"{{{key}: {written} for key, value in sorted({value}.items())}}"
    if one.repeated:
        written = _written(one, "one", names)
        return f"list({value})" if written == "one" else f"[{written} for one in {value}]"
    written = _written(one, value, names)
    return f'{written} if has("{one.name}") else None' if one.has_presence else written


def _written(one: Field, value: str, names: ModuleNames) -> str:
    """One value of a field."""
    if one.kind is Kind.ENUM:
        return f"{names.enum_texts(one.type_name)}[{value}]"
    if one.kind is not Kind.MESSAGE:
        writer = _SCALAR_WRITERS.get(one.kind)
        return f"{names.runtime(writer)}({value})" if writer else value
    if one.type_name in WRAPPED_KINDS:
        return _written(scalar(WRAPPED_KINDS[one.type_name]), f"{value}.value", names)
    if one.type_name == "google.protobuf.Empty":
        return "{}"
    if one.type_name in _KNOWN_WRITERS:
        return f"{names.runtime(_KNOWN_WRITERS[one.type_name])}({value})"
    return f"{names.object_writer(names.message(one.type_name))}({value})"


def _relationship(
    message: MessageType, one: Field, fetched: Collection[str], uuids: Collection[str], names: ModuleNames
) -> list[str]:
    relationship = one.relationship or options_pb2.Relationship()
    name, linkage = text(relationship.name), _linkage(one, _field_value(one.name, fetched), names)
    links = [
        f"{text(link)}: {_link(message, template, fetched, uuids, names)}"
        for link, template in _link_templates(one).items()
    ]
    if not links:
        return [f'            {name}: {{"data": {linkage}}},']
    return [
        f"            {name}: {{",
        *fit('"links": {', links, "},", " " * 16),
        f'                "data": {linkage},',
        "            },",
    ]


def _link_templates(one: Field) -> dict[str, str]:
    option = one.relationship or options_pb2.Relationship()
    return {name: template for name, template in (("self", option.self), ("related", option.related)) if template}


def _linkage(one: Field, value: str, names: ModuleNames) -> str:
    """Resource linkage as an expression."""
    kind = text(one.relationship.type if one.relationship is not None else "")
    if one.repeated:
        return f"{names.runtime('identifiers')}({kind}, {value})"
    # An empty foreign key is an empty relationship.
    return f'{{"type": {kind}, "id": {value}}} if {value} else None'


def _link(
    message: MessageType,
    template: str,
    fetched: Collection[str],
    uuids: Collection[str],
    names: ModuleNames,
    target: str = "message",
) -> str:
    link = template
    for one in message.fields:
        if one.name in path_parameters(template):
            value = f"its_{one.name}" if one.name in fetched else attribute(target, one.name)
            value = (
                f"{names.runtime('segment')}({value})" if one.kind is Kind.STRING and one.name not in uuids else value
            )
            link = link.replace(f"{{{one.name}}}", f"{{{value}}}")
            if f"{{{one.name}=" in link:
                # A resource name: segments, of which each is escaped.
                there = f"{names.runtime('segments')}({attribute(target, one.name)})"
                link = re.sub(rf"\{{{one.name}=[^}}]*\}}", f"{{{there}}}", link)
    return text(template) if link == template else f'f"{link}"'
