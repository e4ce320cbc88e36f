"""Writes docs/options.md: every option that a proto can carry for us, field by field, in the words of its own comments."""

from collections.abc import Iterator, Mapping, Sequence

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

OPTIONS_FILE = "samovar/options/v1/options.proto"

_HEAD = """# Options

Generated from the comments of `proto/samovar/options/v1/options.proto` by `./taskw gen`; do not edit. How they are used is shown
in `docs/adding-a-service.md` and `docs/adding-an-rpc.md`; what contradicts itself stops the generation with file, line and rule.
"""
_PLACES = {
    "google.protobuf.FileOptions": "files",
    "google.protobuf.ServiceOptions": "services",
    "google.protobuf.MethodOptions": "methods",
    "google.protobuf.MessageOptions": "messages",
    "google.protobuf.FieldOptions": "fields",
    "google.protobuf.EnumValueOptions": "values of enums",
}
_Field = descriptor_pb2.FieldDescriptorProto

# Numbers of the members that make up a source path (google/protobuf/descriptor.proto, SourceCodeInfo.Location.path).
_MESSAGES, _ENUMS, _EXTENSIONS, _FIELDS, _VALUES = 4, 5, 7, 2, 2


def options_page(request: plugin_pb2.CodeGeneratorRequest) -> str:
    """The page. The request must have the file of our options in it."""
    file = next(one for one in request.proto_file if one.name == OPTIONS_FILE)
    comments = {tuple(found.path): " ".join(found.leading_comments.split()) for found in file.source_code_info.location}
    lines = [_HEAD.rstrip("\n")]
    for place, name in _PLACES.items():
        lines += ["", f"## On {name}", "", *_extensions(file, place, comments)]
    lines += ["", "## What they hold"]
    for index, message in enumerate(file.message_type):
        lines += ["", f"### {message.name}", "", comments.get((_MESSAGES, index), ""), ""]
        lines += _fields(file.package, message, [comments.get((_MESSAGES, index, _FIELDS, at), "") for at in range(99)])
    for index, enum in enumerate(file.enum_type):
        lines += ["", f"### {enum.name}", "", comments.get((_ENUMS, index), ""), "", "| value | |", "| --- | --- |"]
        for at, value in enumerate(enum.value):
            lines.append(f"| `{value.name}` | {_cell(comments.get((_ENUMS, index, _VALUES, at), ''))} |")
    return "\n".join(lines) + "\n"


def _extensions(
    file: descriptor_pb2.FileDescriptorProto, place: str, comments: Mapping[tuple[int, ...], str]
) -> Iterator[str]:
    yield "| option | type | |"
    yield "| --- | --- | --- |"
    for index, one in enumerate(file.extension):
        if one.extendee == f".{place}":
            said = _cell(comments.get((_EXTENSIONS, index), ""))
            yield f"| `({file.package}.{one.name})` | {_type(one, file.package)} | {said} |"


def _fields(package: str, message: descriptor_pb2.DescriptorProto, comments: Sequence[str]) -> Iterator[str]:
    yield "| field | type | |"
    yield "| --- | --- | --- |"
    for one, said in zip(message.field, comments, strict=False):
        yield f"| `{one.name}` | {_type(one, package)} | {_cell(said)} |"


def _type(one: descriptor_pb2.FieldDescriptorProto, package: str) -> str:
    if one.type_name:
        name = one.type_name.removeprefix(".")
        own = name.removeprefix(f"{package}.")
        shown = f"[{own}](#{own.lower()})" if own != name else f"`{name}`"
    else:
        shown = _Field.Type.Name(one.type).removeprefix("TYPE_").lower()
    return f"list of {shown}" if one.label == _Field.LABEL_REPEATED else shown


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
