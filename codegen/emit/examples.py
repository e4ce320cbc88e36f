"""Examples of messages, built from the contract's rules for their fields: they keep every rule that a JSON Schema can state.
Fields without a possible example are left out.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from codegen.emit.json_schemas import Form
from codegen.read.constraints import Rules, element_rules, enum_texts, fits_text, is_required, keywords
from codegen.read.endpoints import WRAPPED_KINDS
from codegen.read.model import Contract, Field, Kind, MessageType, scalar

MAX_DEPTH = 5

UUID = "0190b7a6-5f3c-7c1e-9d2a-4b8f6e1c2d3a"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
URL = "https://cdn.example.org/content/object"
_TEXTS = ("text", "CODE", "0123456789abcdef", UUID, SHA256, URL, "a", "", "1.0.2")
_KNOWN: Mapping[str, Any] = {
    "google.protobuf.Timestamp": "2026-01-02T03:04:05Z",
    "google.protobuf.Duration": "1.500s",
    "google.protobuf.FieldMask": "",
    "google.protobuf.Struct": {},
    "google.protobuf.Value": "text",
    "google.protobuf.ListValue": [],
    "google.protobuf.Empty": {},
}


class NoExample(Exception):
    """A value that keeps the rules was not found."""


class Examples:
    """Creates examples of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def members(self, fields: Iterable[Field], form: Form, depth: int = 0) -> dict[str, Any]:
        """An object with the fields for members; of a oneof, the first.

        Raises:
            NoExample: for a member that must be there.
        """
        found: dict[str, Any] = {}
        chosen: set[str] = set()
        for one in fields:
            if one.oneof and one.oneof in chosen:
                if form is Form.ANSWER:
                    found[one.name] = None
                continue
            try:
                found[one.json_name if form is Form.EVENT else one.name] = self.value(one, form, depth)
            except NoExample:
                if form is Form.ANSWER and one.has_presence:
                    found[one.name] = None
                elif form is not Form.REQUEST or is_required(one):
                    raise
            if one.oneof:
                chosen.add(one.oneof)
        return found

    def resource(self, message: MessageType) -> dict[str, Any]:
        """A resource object. Raises: NoExample."""
        resource = message.resource
        assert resource is not None  # noqa: S101  only resources become data
        id_name = resource.id_field or "id"
        fields = {one.name: one for one in message.fields}
        values = self.members(message.fields, Form.ANSWER)
        found: dict[str, Any] = {"type": resource.type, "id": str(values.pop(id_name, UUID))}
        if values:
            found["attributes"] = values

        def filled(link: str) -> str:
            for name, value in {id_name: found["id"], **values}.items():
                link = link.replace(f"{{{name}}}", str(value))
            return link

        related = {one.relationship.name: one for one in fields.values() if one.relationship is not None}
        if related:
            found["relationships"] = {
                name: {**_links(one, filled), "data": linkage_example(one, values[one.name])}
                for name, one in related.items()
            }
        if resource.self:
            found["links"] = {"self": filled(resource.self)}
        return found

    def value(self, one: Field, form: Form, depth: int = 0) -> Any:
        """A field's value. Raises: NoExample."""
        rules = one.rules if form is Form.REQUEST else None
        entry = self._contract.messages.get(one.type_name) if one.kind is Kind.MESSAGE else None
        if entry is not None and entry.is_map_entry and one.repeated:
            key = (
                "text" if entry.fields[0].kind is Kind.STRING else "true" if entry.fields[0].kind is Kind.BOOL else "1"
            )
            return {key: self._one(entry.fields[1], form, element_rules(rules), depth)}
        if one.repeated:
            return [self._one(one, form, element_rules(rules), depth)]
        return self._one(one, form, rules, depth)

    def _one(self, one: Field, form: Form, rules: Rules | None, depth: int) -> Any:
        match one.kind:
            case Kind.ENUM:
                texts = enum_texts(self._contract.enums[one.type_name], rules)
                if not texts:
                    raise NoExample(one.name)
                return texts[0]
            case Kind.MESSAGE:
                return self._message(one, form, rules, depth)
            case Kind.STRING:
                return _text(one, rules)
            case Kind.BOOL:
                return bool(keywords(one, rules).get("const", True))
            case Kind.BYTES:
                return "dGV4dA=="
            case _:
                return _number(one, rules)

    def _message(self, one: Field, form: Form, rules: Rules | None, depth: int) -> Any:
        if one.type_name in WRAPPED_KINDS:
            return self._one(scalar(WRAPPED_KINDS[one.type_name]), form, rules, depth)
        if one.type_name in _KNOWN:
            return _KNOWN[one.type_name]
        if depth >= MAX_DEPTH:
            raise NoExample(one.name)
        return self.members(self._contract.messages[one.type_name].fields, form, depth + 1)


def _text(one: Field, rules: Rules | None) -> str:
    schema = keywords(one, rules)
    if schema.get("format") == "uuid" or (not schema and one.comment.startswith("UUID")):
        return UUID
    allowed = schema.get("enum", ())
    likely = (
        SHA256 if "sha256" in one.name or one.comment.startswith("SHA-256") else URL if "url" in one.name else "text"
    )
    candidates = (*allowed, likely, *_TEXTS)
    if schema.get("format") not in {None, "uuid"} and not allowed:
        raise NoExample(one.name)
    padded = "text".ljust(schema.get("minLength", 0), "t")[: schema.get("maxLength", 4096)]
    for candidate in (*candidates, padded):
        if fits_text(candidate, schema):
            return str(candidate)
    raise NoExample(one.name)


def _number(one: Field, rules: Rules | None) -> float:
    schema = keywords(one, rules)
    for candidate in (
        *schema.get("enum", ()),
        schema.get("const", 1),
        1,
        schema.get("minimum", 0),
        schema.get("exclusiveMinimum", 0) + 1,
        schema.get("maximum", 0),
    ):
        lowest, highest = schema.get("minimum", candidate), schema.get("maximum", candidate)
        over, under = schema.get("exclusiveMinimum", candidate - 1), schema.get("exclusiveMaximum", candidate + 1)
        if lowest <= candidate <= highest and over < candidate < under:
            return float(candidate) if one.kind in {Kind.DOUBLE, Kind.FLOAT} else int(candidate)
    raise NoExample(one.name)


def _links(one: Field, filled: Callable[[str], str]) -> dict[str, Any]:
    option = one.relationship
    templates = {"self": option.self, "related": option.related} if option is not None else {}
    links = {name: filled(template) for name, template in templates.items() if template}
    return {"links": links} if links else {}


def linkage_example(one: Field, value: Any) -> Any:
    """Resource linkage with the ids that a field has."""
    kind = one.relationship.type if one.relationship is not None else ""
    if one.repeated:
        return [{"type": kind, "id": each} for each in value]
    return {"type": kind, "id": value} if value else None
