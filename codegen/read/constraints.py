"""The buf.validate rules of a field as JSON Schema keywords (JSON Schema 2020-12, validation vocabulary), and what follows from
them: whether a field may be left out. Used by codegen.emit.json_schemas and codegen.emit.examples.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from buf.validate import validate_pb2

from codegen.read.model import EnumType, Field, Kind

Rules = validate_pb2.FieldRules

_FORMATS: Mapping[str, str] = {
    "uuid": "uuid",
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
}
"""String rules that JSON Schema has a format for."""
_RANGES: Mapping[Kind, tuple[int, int]] = {
    Kind.INT32: (-(2**31), 2**31 - 1),
    Kind.UINT32: (0, 2**32 - 1),
    Kind.INT64: (-(2**63), 2**63 - 1),
    Kind.UINT64: (0, 2**64 - 1),
}


def of_kind(rules: Rules | None) -> Any:
    """The rules of the field's own kind (`rules.string`, `rules.repeated`, …), None without any."""
    kind = rules.WhichOneof("type") if rules is not None else None
    return getattr(rules, kind) if kind else None


def keywords(one: Field, rules: Rules | None) -> dict[str, Any]:
    """Return the JSON Schema keywords for one value of a field. Enums are left to `enum_texts`, as their texts name them."""
    if one.kind in _RANGES or one.kind in {Kind.DOUBLE, Kind.FLOAT}:
        return _number(one.kind, of_kind(rules))
    if one.kind is Kind.STRING and rules is not None:
        return dict(_string(rules.string))
    if one.kind is Kind.BOOL and rules is not None and rules.bool.HasField("const"):
        return {"const": rules.bool.const}
    return {}


def _number(kind: Kind, own: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if kind in _RANGES:
        found["minimum"], found["maximum"] = _RANGES[kind]
    if own is None:
        return found
    for rule, keyword in (
        ("gte", "minimum"),
        ("lte", "maximum"),
        ("gt", "exclusiveMinimum"),
        ("lt", "exclusiveMaximum"),
    ):
        if own.HasField(rule):
            found[keyword] = getattr(own, rule)
    if getattr(own, "in"):
        found["enum"] = list(getattr(own, "in"))
    if own.HasField("const"):
        found["const"] = own.const
    if own.not_in:
        found["not"] = {"enum": list(own.not_in)}
    return found


def _string(own: validate_pb2.StringRules) -> Iterator[tuple[str, Any]]:
    known = own.WhichOneof("well_known")
    if known in _FORMATS and getattr(own, known):
        yield "format", _FORMATS[known]
    lowest = own.len if own.HasField("len") else own.min_len
    if lowest:
        yield "minLength", lowest
    if own.HasField("len") or own.HasField("max_len"):
        yield "maxLength", own.len if own.HasField("len") else own.max_len
    if own.pattern or own.prefix or own.suffix or own.contains:
        parts = (own.pattern, own.prefix and f"^{re.escape(own.prefix)}", own.suffix and f"{re.escape(own.suffix)}$")
        found = [part for part in (*parts, re.escape(own.contains)) if part]
        yield from [("pattern", found[0])] if len(found) == 1 else [("allOf", [{"pattern": part} for part in found])]
    allowed = [own.const] if own.HasField("const") else list(getattr(own, "in"))
    if allowed:
        yield "enum", allowed
    if own.not_in:
        yield "not", {"enum": list(own.not_in)}


def collection_keywords(rules: Rules | None) -> dict[str, Any]:
    """Return the JSON Schema keywords for a repeated field or a map as a whole."""
    if rules is None:
        return {}
    listed, mapped = rules.repeated, rules.map
    pairs = (
        ("minItems", listed.min_items),
        ("maxItems", listed.max_items if listed.HasField("max_items") else None),
        ("uniqueItems", listed.unique),
        ("minProperties", mapped.min_pairs),
        ("maxProperties", mapped.max_pairs if mapped.HasField("max_pairs") else None),
    )
    return {name: value for name, value in pairs if value}


def most_elements(one: Field) -> int:
    """The most items that a repeated field may have, or entries a map; 0 where the contract sets no limit."""
    if one.rules is None:
        return 0
    return one.rules.repeated.max_items or one.rules.map.max_pairs


def element_rules(rules: Rules | None) -> Rules | None:
    """The rules of each element of a repeated field, or of each value of a map."""
    if rules is None:
        return None
    if rules.HasField("repeated"):
        return rules.repeated.items if rules.repeated.HasField("items") else None
    if rules.HasField("map"):
        return rules.map.values if rules.map.HasField("values") else None
    return None


def enum_texts(enum: EnumType, rules: Rules | None) -> list[str]:
    """The values of an enum that the rules let through, as JSON spells them."""
    own = rules.enum if rules is not None else validate_pb2.EnumRules()
    allowed = [own.const] if own.HasField("const") else list(getattr(own, "in"))
    return list(
        dict.fromkeys(
            text
            for number, text in enum.texts
            if text is not None and number not in own.not_in and (not allowed or number in allowed)
        )
    )


def is_required(one: Field) -> bool:
    """Return True when a document without the field is refused: by a rule that requires it, or because the default that then
    applies breaks the field's rules.
    """
    rules = one.rules
    if rules is None or rules.ignore == validate_pb2.IGNORE_ALWAYS:
        return False
    if rules.required or one.has_presence or rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        return rules.required
    own = of_kind(rules)
    return own is not None and _refuses_default(one, rules, own)


def _refuses_default(one: Field, rules: Rules, own: Any) -> bool:
    if one.repeated:
        return bool(own.min_items if rules.HasField("repeated") else own.min_pairs)
    if one.kind is Kind.STRING:
        return bool(own.WhichOneof("well_known")) or not _fits("", dict(_string(own)))
    if one.kind is Kind.ENUM:
        allowed = [own.const] if own.HasField("const") else list(getattr(own, "in"))
        return 0 in own.not_in or bool(allowed and 0 not in allowed)
    return one.kind in {Kind.BOOL, *_RANGES, Kind.DOUBLE, Kind.FLOAT} and not _fits(0, keywords(one, rules))


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, str):
        return fits_text(value, schema)
    lowest, highest = schema.get("minimum", value), schema.get("maximum", value)
    return (
        lowest <= value <= highest
        and schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)
        and value in schema.get("enum", [value])
        and value == schema.get("const", value)
        and value not in schema.get("not", {}).get("enum", [])
    )


def fits_text(value: str, schema: Mapping[str, Any]) -> bool:
    """Return True when a text satisfies the keywords that `keywords` returns, except for formats."""
    patterns = [part["pattern"] for part in schema.get("allOf", [])]
    patterns += [schema["pattern"]] if "pattern" in schema else []
    return (
        schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        and all(re.search(pattern, value) for pattern in patterns)
        and value in schema.get("enum", [value])
        and value not in schema.get("not", {}).get("enum", [])
    )
