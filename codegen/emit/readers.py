"""Writes the functions that set messages from JSON: `fill_<message>` for objects inside documents, and the statements that
emit_methods puts where attributes are members of the request itself.
"""

from collections.abc import Iterable, Sequence

from codegen.emit.module_names import ModuleNames
from codegen.emit.python_source import assign, attribute, fit, text
from codegen.read.constraints import most_elements
from codegen.read.endpoints import WRAPPED_KINDS, snake
from codegen.read.model import Field, Kind, MessageType, scalar

KNOWN_FILLERS = {
    "google.protobuf.Timestamp": "fill_timestamp",
    "google.protobuf.Duration": "fill_duration",
    "google.protobuf.FieldMask": "fill_mask",
    "google.protobuf.Struct": "fill_struct",
    "google.protobuf.Value": "fill_value",
    "google.protobuf.ListValue": "fill_list",
    "google.protobuf.Empty": "fill_empty",
}
_READERS = {
    Kind.STRING: "string",
    Kind.BOOL: "boolean",
    Kind.INT32: "int32",
    Kind.UINT32: "uint32",
    Kind.INT64: "int64",
    Kind.UINT64: "uint64",
    Kind.DOUBLE: "number64",
    Kind.FLOAT: "number32",
    Kind.BYTES: "octets",
}


def emit_members(name: str, fields: Iterable[Field]) -> list[str]:
    """`<NAME>_MEMBERS`: what an object may name."""
    return emit_names(f"{name.upper()}_MEMBERS", [one.name for one in fields])


def emit_names(constant: str, names: Iterable[str]) -> list[str]:
    """A set of names."""
    quoted = [text(name) for name in names]
    return fit(f"{constant} = frozenset({{", quoted, "})") if quoted else [f"{constant} = frozenset[str]()"]


def emit_fill(message: MessageType, names: ModuleNames) -> list[str]:
    """`fill_<message>(message, value, at, problems)`: sets what the object `value` says; the object stands at the pointer `at`."""
    arguments = [
        f"message: {names.message_class(message)}",
        f"value: {names.shape('JsonValue')}",
        "at: str",
        f"problems: list[{names.shape('Problem')}]",
    ]
    if not message.fields:
        arguments[0] = "_" + arguments[0]
    return [
        *fit(f"def fill_{snake(message.path)}(", arguments, ") -> None:"),
        f"    {'members = ' if message.fields else ''}{names.runtime('members_of')}(value, {names.members(message)}, at, problems)",
        *(f"    {line}" for line in fill_statements(message.fields, message, "at", names)),
    ]


def fill_statements(fields: Sequence[Field], message: MessageType, at: str, names: ModuleNames) -> list[str]:
    """Statements that set fields of `message` to what `members` say. A member that is null counts as absent."""
    lines: list[str] = []
    ours = {one.name for one in fields}
    for group in message.oneofs().values():
        within = [text(name) for name in group if name in ours]
        if len(within) > 1:
            lines.append(f"{names.runtime('at_most_one')}(members, ({', '.join(within)}), {at}, problems)")
    for one in fields:
        name, target = text(one.name), attribute("message", one.name)
        if one.type_name == "google.protobuf.Value" and not one.repeated:
            # Null is one of its values, not its absence.
            lines += [f"if {name} in members:", f"    {_into(one, f'members[{name}]', at, name, target, names)}"]
            continue
        lines.append(f"if (value := members.get({name})) is not None:")
        lines += [f"    {line}" for line in _fill_field(one, at, names)]
    return lines


def _fill_field(one: Field, at: str, names: ModuleNames) -> list[str]:
    name, target = text(one.name), attribute("message", one.name)
    here = f'here = f"{{{at}}}/{one.name}"'
    entry = names.map_entry(one)
    most = f", {most_elements(one)}" if most_elements(one) else ""
    if entry is not None:
        into = f"{target}[{_key(entry[0], names)}]"
        each = f"for key, element in {names.runtime('entries')}(value, {at}, {name}, problems{most}).items():"
        if entry[1].kind is not Kind.MESSAGE:
            return [here, each, f"    {into} = {_value(entry[1], 'element', 'here', 'key', names)}"]
        return [here, each, f"    {_into(entry[1], 'element', 'here', 'key', into, names)}"]
    if one.repeated:
        each = f"for index, element in enumerate({names.runtime('array')}(value, {at}, {name}, problems{most})):"
        if one.kind is not Kind.MESSAGE:
            return [here, each, f"    {target}.append({_value(one, 'element', 'here', 'index', names)})"]
        return [here, each, f"    {_into(one, 'element', 'here', 'index', f'{target}.add()', names)}"]
    if one.kind is not Kind.MESSAGE:
        return [assign("message", one.name, _value(one, "value", at, name, names))]
    set_first = one.type_name not in KNOWN_FILLERS and one.type_name not in WRAPPED_KINDS
    # An empty object makes a message that is set and has nothing in it.
    return [*([f"{target}.SetInParent()"] if set_first else []), _into(one, "value", at, name, target, names)]


def _key(key: Field, names: ModuleNames) -> str:
    if key.kind is Kind.STRING:
        return "key"
    if key.kind is Kind.BOOL:
        return f"{names.runtime('key_boolean')}(key, here, key, problems)"
    return f"{names.runtime('key_integer')}(key, {names.runtime(_READERS[key.kind])}, here, key, problems)"


def _value(one: Field, value: str, at: str, name: str, names: ModuleNames) -> str:
    """An expression that reads one scalar."""
    if one.kind is Kind.ENUM:
        return f"{names.runtime('enum_number')}({value}, {names.enum_numbers(one.type_name)}, {at}, {name}, problems)"
    return f"{names.runtime(_READERS[one.kind])}({value}, {at}, {name}, problems)"


def _into(one: Field, value: str, at: str, name: str, target: str, names: ModuleNames) -> str:
    """A statement that reads one object, or known type, into the message `target`."""
    if one.type_name in WRAPPED_KINDS:
        wrapped = _value(scalar(WRAPPED_KINDS[one.type_name]), value, at, name, names)
        return f"{names.runtime('fill_wrapper')}({target}, {wrapped})"
    if one.type_name in KNOWN_FILLERS:
        return f"{names.runtime(KNOWN_FILLERS[one.type_name])}({target}, {value}, {at}, {name}, problems)"
    if name == "key":
        place = f"{names.runtime('pointer')}({at}, key)"
    else:
        place = f'f"{{{at}}}/{{index}}"' if name == "index" else f'f"{{{at}}}/{one.name}"'
    return f"{names.filler(names.message(one.type_name))}({target}, {value}, {place}, problems)"
