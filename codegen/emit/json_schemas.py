"""Messages as JSON Schemas, in the three forms that the platform writes and reads them: members of answers, members of requests,
data of events. Collected as components, used by codegen.emit.openapi and codegen.emit.asyncapi.

The schemas keep to what JSON Schema draft 7 and 2020-12 have in common, so nothing ever stands beside a `$ref`.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from codegen.read.constraints import Rules, collection_keywords, element_rules, enum_texts, is_required, keywords
from codegen.read.endpoints import WRAPPED_KINDS
from codegen.read.model import Contract, EnumType, Field, Kind, MessageType, scalar

Json = dict[str, Any]

_TYPES: Mapping[Kind, Json] = {
    Kind.STRING: {"type": "string"},
    Kind.BOOL: {"type": "boolean"},
    Kind.INT32: {"type": "integer", "format": "int32"},
    Kind.UINT32: {"type": "integer", "format": "uint32"},
    Kind.INT64: {"type": "integer", "format": "int64"},
    Kind.UINT64: {"type": "integer", "format": "uint64"},
    Kind.DOUBLE: {"type": "number", "format": "double"},
    Kind.FLOAT: {"type": "number", "format": "float"},
    Kind.BYTES: {"type": "string", "contentEncoding": "base64"},
}
_KNOWN: Mapping[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Empty": {"type": "object"},
}


class Form(Enum):
    """The use of a message; the value ends the names of its components."""

    ANSWER = ""
    """Every member is there; what is unset is null."""
    REQUEST = ".input"
    """A member that is absent or null is unset; others than these are refused."""
    EVENT = ".event"
    """camelCase; what is unset is absent."""


class Schemas:
    """Makes schemas and keeps those that have a name."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.components: dict[str, Json] = {}

    def keep(self, name: str, schema: Json) -> Json:
        """Keep a schema as a component; return the reference to it."""
        self.components[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    def message(self, message: MessageType, form: Form) -> Json:
        """A reference to a message's plain object."""
        name = message.full_name + form.value
        if name not in self.components:
            # Kept before it is built: a message may contain itself.
            self.keep(name, {})
            self.components[name] = self.members(message.fields, form, message.comment)
        return {"$ref": f"#/components/schemas/{name}"}

    def members(self, fields: Iterable[Field], form: Form, comment: str = "") -> Json:
        """An object with the fields for members."""
        listed = list(fields)
        schema: Json = {"type": "object"} | ({"description": comment} if comment else {})
        required = [_name(one, form) for one in listed if _is_always_there(one, form)]
        if required:
            schema["required"] = required
        schema["properties"] = {_name(one, form): self.field(one, form) for one in listed}
        if form is Form.REQUEST:
            schema["additionalProperties"] = False
            schema |= _exactly_one(listed)
        return schema

    def resource(self, message: MessageType) -> Json:
        """A reference to the resource object that a message becomes."""
        resource = message.resource
        assert resource is not None  # noqa: S101  only resources become data
        name = resource.type
        if name in self.components:
            return {"$ref": f"#/components/schemas/{name}"}
        self.keep(name, {})
        id_name = resource.id_field or "id"
        attributes = [one for one in message.fields if one.name != id_name]
        id_comment = next((one.comment for one in message.fields if one.name == id_name), "")
        schema: Json = {"type": "object", "required": ["type", "id"], "properties": {}}
        if message.comment:
            schema["description"] = message.comment
        parts = schema["properties"]
        parts["type"] = {"type": "string", "const": name}
        parts["id"] = {"type": "string"} | ({"description": id_comment} if id_comment else {})
        if attributes:
            parts["attributes"] = self.members(attributes, Form.ANSWER)
        related = [one for one in attributes if one.relationship is not None]
        if related:
            parts["relationships"] = _object(
                {one.relationship.name: _relationship(one) for one in related if one.relationship}
            )
        if resource.self:
            parts["links"] = _object({"self": {"type": "string", "format": "uri-reference"}})
        schema["required"] += [name for name in ("attributes", "relationships", "links") if name in parts]
        return self.keep(name, schema)

    def field(self, one: Field, form: Form) -> Json:
        """A field's whole value: with its description, and with null where null may stand."""
        schema = self.value(one, form)
        match form:
            case Form.ANSWER:
                is_nullable = one.has_presence
            case Form.REQUEST:
                is_nullable = not (is_required(one) or one.not_null)
            case Form.EVENT:
                is_nullable = False
        if is_nullable and schema:
            schema = nullable(schema)
        described = self.described(one)
        if not described:
            return schema
        return (
            {"description": described, "allOf": [schema]} if "$ref" in schema else {"description": described, **schema}
        )

    def described(self, one: Field) -> str:
        """Return the description of a field: its comment, and the rules that JSON Schema cannot express."""
        rules = one.rules.cel if one.rules is not None else ()
        return " ".join(text for text in (one.comment, *(rule.message for rule in rules)) if text)

    def value(self, one: Field, form: Form) -> Json:
        """A field's value when it is set."""
        rules = one.rules if form is Form.REQUEST else None
        entry = self._contract.messages.get(one.type_name) if one.kind is Kind.MESSAGE else None
        if entry is not None and entry.is_map_entry and one.repeated:
            values = self.one(entry.fields[1], form, element_rules(rules))
            return {"type": "object", "additionalProperties": values, **collection_keywords(rules)}
        if one.repeated:
            items = self.one(one, form, element_rules(rules))
            return {"type": "array", "items": items, **collection_keywords(rules)}
        return self.one(one, form, rules)

    def one(self, one: Field, form: Form, rules: Rules | None) -> Json:
        """One value of a field, be it repeated or not."""
        if one.kind is Kind.ENUM:
            return self._enum(self._contract.enums[one.type_name], rules)
        if one.kind is Kind.MESSAGE:
            if one.type_name in WRAPPED_KINDS:
                return self.one(scalar(WRAPPED_KINDS[one.type_name]), form, rules)
            if one.type_name in _KNOWN:
                return dict(_KNOWN[one.type_name])
            return self.message(self._contract.messages[one.type_name], form)
        return {**_TYPES[one.kind], **(keywords(one, rules) if form is Form.REQUEST else {})}

    def _enum(self, enum: EnumType, rules: Rules | None) -> Json:
        texts, every = enum_texts(enum, rules), enum_texts(enum, None)
        if texts != every:
            return {"type": "string", "enum": texts}
        said = dict.fromkeys(every, "")
        for (_, text), comment in zip(enum.texts, enum.comments, strict=True):
            if text is not None:
                said[text] = said[text] or comment
        lines = [enum.comment, *(f"* `{text}`: {comment}" for text, comment in said.items() if comment)]
        described = "\n".join(line for line in lines if line)
        schema: Json = {"type": "string"} | ({"description": described} if described else {})
        return self.keep(enum.full_name, {**schema, "enum": every})


def nullable(schema: Json) -> Json:
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    allowed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return (
        {"anyOf": [schema, {"type": "null"}]}
        if "const" in schema
        else {**schema, "type": [schema["type"], "null"], **allowed}
    )


def _name(one: Field, form: Form) -> str:
    return one.json_name if form is Form.EVENT else one.name


def _is_always_there(one: Field, form: Form) -> bool:
    match form:
        case Form.ANSWER:
            return True
        case Form.EVENT:
            return not one.has_presence
        case Form.REQUEST:
            return is_required(one)


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def linkage(one: Field, ids: Json | None = None) -> Json:
    """The resource linkage that a foreign key becomes, or is read from; `ids` is the schema of one id."""
    kind = one.relationship.type if one.relationship is not None else ""
    identifier = _object({"type": {"type": "string", "const": kind}, "id": ids or {"type": "string"}})
    if one.repeated:
        return {"type": "array", "items": identifier}
    is_needed = ids is not None and (is_required(one) or one.not_null)
    return identifier if is_needed else nullable(identifier)


def relationship_links(one: Field) -> Json:
    """The links of a relationship; empty when it has none."""
    option = one.relationship
    templates = {"self": option.self, "related": option.related} if option is not None else {}
    return {name: {"type": "string", "format": "uri-reference"} for name, template in templates.items() if template}


def _relationship(one: Field) -> Json:
    links = relationship_links(one)
    return _object({**({"links": _object(links)} if links else {}), "data": linkage(one)})


def _exactly_one(fields: Sequence[Field]) -> Json:
    """Return a schema that requires exactly one member of each required oneof; a member that is null counts as absent."""
    choices: dict[str, list[Json]] = {}
    for one in fields:
        if one.oneof_is_required:
            there = {"required": [one.name], "properties": {one.name: {"not": {"type": "null"}}}}
            choices.setdefault(one.oneof, []).append(there)
    every = [{"oneOf": names} for names in choices.values()]
    return {"allOf": every} if len(every) > 1 else every[0] if every else {}
