"""The contract as the emitters see it: files, messages, enums and methods of a CodeGeneratorRequest, with our options, comments
and the lines they stand on. Nothing here depends on the use of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from buf.validate import validate_pb2
from google.api import annotations_pb2  # type: ignore[import-untyped]  # googleapis-common-protos has no stubs of it
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from samovar.options.v1 import options_pb2

from chassis.auth.access import defaults_of, effective_access
from chassis.errors.reasons import REASONS, ReasonSpec, read_spec, reason_name

_FieldProto = descriptor_pb2.FieldDescriptorProto
_ERRORS: Any = options_pb2.errors

# Numbers of the members that make up a source path (google/protobuf/descriptor.proto, SourceCodeInfo.Location.path).
_FILE_MESSAGES, _FILE_ENUMS, _FILE_SERVICES = 4, 5, 6
_MESSAGE_FIELDS, _MESSAGE_NESTED, _MESSAGE_ENUMS = 2, 3, 4
_SERVICE_METHODS = 2
_ENUM_VALUES = 2


class Kind(StrEnum):
    """The kind of a field's value, as far as JSON distinguishes it."""

    STRING = "string"
    BOOL = "bool"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    DOUBLE = "double"
    FLOAT = "float"
    BYTES = "bytes"
    ENUM = "enum"
    MESSAGE = "message"
    GROUP = "group"


_KINDS: Mapping[int, Kind] = {
    _FieldProto.TYPE_STRING: Kind.STRING,
    _FieldProto.TYPE_BOOL: Kind.BOOL,
    _FieldProto.TYPE_INT32: Kind.INT32,
    _FieldProto.TYPE_SINT32: Kind.INT32,
    _FieldProto.TYPE_SFIXED32: Kind.INT32,
    _FieldProto.TYPE_UINT32: Kind.UINT32,
    _FieldProto.TYPE_FIXED32: Kind.UINT32,
    _FieldProto.TYPE_INT64: Kind.INT64,
    _FieldProto.TYPE_SINT64: Kind.INT64,
    _FieldProto.TYPE_SFIXED64: Kind.INT64,
    _FieldProto.TYPE_UINT64: Kind.UINT64,
    _FieldProto.TYPE_FIXED64: Kind.UINT64,
    _FieldProto.TYPE_DOUBLE: Kind.DOUBLE,
    _FieldProto.TYPE_FLOAT: Kind.FLOAT,
    _FieldProto.TYPE_BYTES: Kind.BYTES,
    _FieldProto.TYPE_ENUM: Kind.ENUM,
    _FieldProto.TYPE_MESSAGE: Kind.MESSAGE,
    _FieldProto.TYPE_GROUP: Kind.GROUP,
}


@dataclass(frozen=True, slots=True)
class Location:
    """The place of a declaration; lines count from 1, 0 = not known."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Field:
    """A field. `type_name` is the full name of its message or enum. `oneof` names the oneof it stands in, if it is a real one.
    `rules` are those of buf.validate; `is_uuid`: they let nothing else through. `json_name` is the field's name in events. `filter`
    is its name as a JSON:API filter.
    """

    name: str
    kind: Kind
    type_name: str
    repeated: bool
    has_presence: bool
    oneof: str
    is_uuid: bool
    rules: validate_pb2.FieldRules | None
    json_name: str
    not_null: bool
    relationship: options_pb2.Relationship | None
    stream_event: options_pb2.StreamEvent | None
    location: Location
    comment: str
    filter: str = ""
    oneof_is_required: bool = False
    """One of its oneof has to be there."""


def scalar(kind: Kind) -> Field:
    """The `value` of a wrapper message."""
    return Field("value", kind, "", False, False, "", False, None, "value", False, None, None, Location("", 0), "")


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message. `path` is its name within the file, outer messages included (`Outer.Inner`)."""

    full_name: str
    path: str
    file: str
    is_map_entry: bool
    fields: tuple[Field, ...]
    resource: options_pb2.Resource | None
    event: options_pb2.Event | None
    location: Location
    comment: str

    def field(self, name: str) -> Field | None:
        return next((field for field in self.fields if field.name == name), None)

    def oneofs(self) -> Mapping[str, tuple[str, ...]]:
        """Real oneofs by name, each with the names of its fields."""
        names = dict.fromkeys(field.oneof for field in self.fields if field.oneof)
        return {name: tuple(field.name for field in self.fields if field.oneof == name) for name in names}


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enum; `texts` are its values as JSON spells them (lower case, without the enum's name), None for the unspecified one;
    `comments` are what is said of them, in the same order. `sort_keys` are JSON:API's names of orders, with their values' numbers.
    """

    full_name: str
    path: str
    file: str
    texts: tuple[tuple[int, str | None], ...]
    comments: tuple[str, ...]
    location: Location
    comment: str
    sort_keys: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """An enum value with an `error` option. `name` is the reason as errors carry it."""

    name: str
    spec: ReasonSpec
    location: Location


@dataclass(frozen=True, slots=True)
class Binding:
    """One REST binding of a method (google.api.http)."""

    verb: str
    path: str
    body: str
    response_body: str


@dataclass(frozen=True, slots=True)
class Method:
    """A method with everything its options say."""

    name: str
    service: str
    file: str
    request: str
    response: str
    client_streaming: bool
    server_streaming: bool
    idempotent: bool
    bindings: tuple[Binding, ...]
    access: options_pb2.Access | None
    rest: options_pb2.Rest | None
    stream: options_pb2.Stream | None
    errors: tuple[str, ...]
    """Reasons of its own, as the option lists them."""
    location: Location
    comment: str
    defaults: options_pb2.Defaults
    """The defaults of its service and file; `access` is already merged."""
    has_plain_statuses: bool
    """No method of its service declares errors, so any status may come without a reason."""

    @property
    def has_no_content(self) -> bool:
        """True when the answer has no body: the contract says so, or has nothing to put into it."""
        return (self.rest is not None and self.rest.no_content) or self.response == "google.protobuf.Empty"

    @property
    def rpc(self) -> str:
        """The method's path on the wire."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that one run of protoc shows: types of all files, methods of the files to generate, in their order."""

    own_files: tuple[str, ...]
    proto2_files: frozenset[str]
    messages: Mapping[str, MessageType]
    enums: Mapping[str, EnumType]
    methods: tuple[Method, ...]
    services: Mapping[str, str]
    """The comment on each service of the files to generate, by full name."""
    declared_reasons: tuple[Reason, ...]
    """The reasons of all files, in their order."""

    @property
    def reasons(self) -> Mapping[str, ReasonSpec]:
        """Every program's reasons, and those that this contract declares."""
        return {**REASONS, **{reason.name: reason.spec for reason in self.declared_reasons}}


class _Lines:
    """Source paths of one file → line and leading comment."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        self._file = file.name
        self._found = {tuple(found.path): found for found in file.source_code_info.location}

    def location(self, *path: int) -> Location:
        found = self._found.get(path)
        return Location(self._file, found.span[0] + 1 if found else 0)

    def comment(self, *path: int) -> str:
        found = self._found.get(path)
        return " ".join(found.leading_comments.split()) if found else ""


def _qualified(package: str, name: str) -> str:
    return f"{package}.{name}" if package else name


def _option(options: Any, extension: Any) -> Any:
    """An option's value, None when it is not set. Untyped: protoc's stubs and protobuf's disagree on what an extension is."""
    return options.Extensions[extension] if options.HasExtension(extension) else None


def _fields(message: descriptor_pb2.DescriptorProto, lines: _Lines, path: Sequence[int]) -> Iterator[Field]:
    for index, field in enumerate(message.field):
        here = (*path, _MESSAGE_FIELDS, index)
        repeated = field.label == _FieldProto.LABEL_REPEATED
        in_oneof = field.HasField("oneof_index") and not field.proto3_optional
        kind = _KINDS[field.type]
        options = field.options
        rules = _option(options, validate_pb2.field)
        oneof = message.oneof_decl[field.oneof_index] if in_oneof else None
        oneof_rules = _option(oneof.options, validate_pb2.oneof) if oneof is not None else None
        yield Field(
            name=field.name,
            kind=kind,
            type_name=field.type_name.removeprefix("."),
            repeated=repeated,
            has_presence=not repeated and (field.proto3_optional or in_oneof or kind is Kind.MESSAGE),
            oneof=oneof.name if oneof is not None else "",
            oneof_is_required=oneof_rules is not None and oneof_rules.required,
            is_uuid=rules is not None and rules.string.uuid,
            rules=rules,
            json_name=field.json_name,
            not_null=bool(_option(options, options_pb2.not_null)),
            relationship=_option(options, options_pb2.relationship),
            stream_event=_option(options, options_pb2.stream_event),
            location=lines.location(*here),
            comment=lines.comment(*here),
            filter=_option(options, options_pb2.filter) or "",
        )


def _enum(
    full_name: str, path: str, enum: descriptor_pb2.EnumDescriptorProto, lines: _Lines, place: Sequence[int]
) -> EnumType:
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", enum.name).upper() + "_"
    texts: list[tuple[int, str | None]] = []
    for value in enum.value:
        text = value.name.removeprefix(prefix).lower()
        texts.append((value.number, None if value.number == 0 and text == "unspecified" else text))
    comments = tuple(lines.comment(*place, _ENUM_VALUES, index) for index in range(len(enum.value)))
    keys = tuple((key, value.number) for value in enum.value if (key := _option(value.options, options_pb2.sort_key)))
    location = lines.location(*place)
    return EnumType(full_name, path, location.file, tuple(texts), comments, location, lines.comment(*place), keys)


def _reasons(file: descriptor_pb2.FileDescriptorProto, lines: _Lines) -> Iterator[Reason]:
    for enum_index, enum in enumerate(file.enum_type):
        for index, value in enumerate(enum.value):
            spec = read_spec(value.options)
            if spec is not None:
                location = lines.location(_FILE_ENUMS, enum_index, _ENUM_VALUES, index)
                yield Reason(reason_name(enum.name, value.name), spec, location)


class _Types:
    """Collects the types of a file, nested ones too."""

    def __init__(self) -> None:
        self.messages: dict[str, MessageType] = {}
        self.enums: dict[str, EnumType] = {}

    def add_file(self, file: descriptor_pb2.FileDescriptorProto, lines: _Lines) -> None:
        for index, enum in enumerate(file.enum_type):
            full_name = _qualified(file.package, enum.name)
            self.enums[full_name] = _enum(full_name, enum.name, enum, lines, (_FILE_ENUMS, index))
        for index, message in enumerate(file.message_type):
            self._add_message(file, message, lines, message.name, (_FILE_MESSAGES, index))

    def _add_message(
        self,
        file: descriptor_pb2.FileDescriptorProto,
        message: descriptor_pb2.DescriptorProto,
        lines: _Lines,
        name: str,
        path: tuple[int, ...],
    ) -> None:
        full_name = _qualified(file.package, name)
        options = message.options
        self.messages[full_name] = MessageType(
            full_name=full_name,
            path=name,
            file=file.name,
            is_map_entry=options.map_entry,
            fields=tuple(_fields(message, lines, path)),
            resource=_option(options, options_pb2.resource),
            event=_option(options, options_pb2.event),
            location=lines.location(*path),
            comment=lines.comment(*path),
        )
        for index, enum in enumerate(message.enum_type):
            nested = f"{full_name}.{enum.name}"
            self.enums[nested] = _enum(nested, f"{name}.{enum.name}", enum, lines, (*path, _MESSAGE_ENUMS, index))
        for index, inner in enumerate(message.nested_type):
            self._add_message(file, inner, lines, f"{name}.{inner.name}", (*path, _MESSAGE_NESTED, index))


def _bindings(options: descriptor_pb2.MethodOptions) -> Iterator[Binding]:
    rule = _option(options, annotations_pb2.http)
    if rule is None:
        return
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern") or ""
        path = binding.custom.path if verb == "custom" else getattr(binding, verb) if verb else ""
        yield Binding(verb.upper(), path, binding.body, binding.response_body)


def _methods(file: descriptor_pb2.FileDescriptorProto, lines: _Lines) -> Iterator[Method]:
    for service_index, service in enumerate(file.service):
        is_plain = not any(method.options.HasExtension(_ERRORS) for method in service.method)
        for index, method in enumerate(service.method):
            path = (_FILE_SERVICES, service_index, _SERVICE_METHODS, index)
            options = method.options
            yield Method(
                name=method.name,
                service=_qualified(file.package, service.name),
                file=file.name,
                request=method.input_type.removeprefix("."),
                response=method.output_type.removeprefix("."),
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                idempotent=options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN,
                bindings=tuple(_bindings(options)),
                access=effective_access(options, service.options, file.options),
                rest=_option(options, options_pb2.rest),
                stream=_option(options, options_pb2.stream),
                errors=tuple(options.Extensions[_ERRORS].reasons),
                location=lines.location(*path),
                comment=lines.comment(*path),
                defaults=defaults_of(service.options, file.options),
                has_plain_statuses=is_plain,
            )


def read(request: plugin_pb2.CodeGeneratorRequest) -> Contract:
    """Build the model from the request that protoc passes to a plugin."""
    types = _Types()
    methods: list[Method] = []
    services: dict[str, str] = {}
    reasons: list[Reason] = []
    own = frozenset(request.file_to_generate)
    for file in request.proto_file:
        lines = _Lines(file)
        types.add_file(file, lines)
        reasons.extend(_reasons(file, lines))
        if file.name in own:
            methods.extend(_methods(file, lines))
            services |= {
                _qualified(file.package, service.name): lines.comment(_FILE_SERVICES, index)
                for index, service in enumerate(file.service)
            }
    return Contract(
        own_files=tuple(sorted(own)),
        proto2_files=frozenset(file.name for file in request.proto_file if file.syntax != "proto3"),
        messages=types.messages,
        enums=types.enums,
        methods=tuple(methods),
        services=services,
        declared_reasons=tuple(reasons),
    )
