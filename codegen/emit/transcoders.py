"""Writes the transcoders: one Python module for each proto file that needs one, as straight code over the messages' attributes.
What single values look like is gateway.transcoding's business.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from codegen.emit.methods import emit_decode, emit_encode, emit_includes, emit_stream_event, emit_stream_request
from codegen.emit.module_names import ModuleNames
from codegen.emit.python_names import check_messages
from codegen.emit.python_source import fit, rest_module, text
from codegen.emit.readers import emit_fill, emit_members
from codegen.emit.writers import emit_fields, emit_meta, emit_object, emit_resource
from codegen.read.endpoints import Endpoint, StreamEndpoint, snake, uuid_placeholders, uuid_placeholders_of
from codegen.read.faults import Faults
from codegen.read.model import Contract, EnumType, Location, MessageType
from codegen.read.reach import Needs, find_needs

_T = TypeVar("_T", MessageType, EnumType)
_DEFINED = re.compile(r"(?:def )?(\w+)(?:\(.*| = .*|: dict.*)")


def emit_transcoders(
    contract: Contract, endpoints: Sequence[Endpoint], streams: Sequence[StreamEndpoint], root: str, faults: Faults
) -> Iterator[tuple[str, str]]:
    """Yield the path and text of each module. `root` is the package that contains all of them."""
    needs = find_needs(contract, endpoints, streams, faults)
    served = [message for one in endpoints for message in (one.request, one.response)]
    served += [message for stream in streams for message in (stream.request, stream.response)]
    check_messages({one.full_name: one for one in (*served, *needs.messages)}.values(), faults)
    # Of files that are not the contract's own, what its messages hold.
    for file in sorted(
        {*contract.own_files, *(one.file for one in needs.messages), *(one.file for one in needs.enums)}
    ):
        names = ModuleNames(contract, file, root)
        blocks = [
            *_types(needs, endpoints, names),
            *_methods(endpoints, names),
            *_streams([one for one in streams if one.method.file == file], names),
        ]
        if blocks:
            _check_clashes(blocks, names, faults)
            package, module = rest_module(root, file)
            yield f"{package.replace('.', '/')}/{module}.py", _source(blocks, names)


def _check_clashes(blocks: Iterable[list[str]], names: ModuleNames, faults: Faults) -> None:
    """A message called Struct would make a second `fill_struct` beside the runtime's."""
    defined = Counter(found[1] for block in blocks for line in block if (found := _DEFINED.match(line)))
    for name, count in sorted(defined.items()):
        if count > 1 or name in names.imports.names():
            faults.add(
                Location(names.file, 1),
                "name-clash",
                f"the generated module would have {name} twice; rename a message or enum",
            )


def _types(needs: Needs, endpoints: Sequence[Endpoint], names: ModuleNames) -> Iterator[list[str]]:
    sorts = {one.sort_field.type_name for one in endpoints if one.sort_field is not None}
    for enum in _of_file({**needs.enums_out, **needs.enums_in}, names.file):
        yield [*_enum(enum, needs, names), *(_sort_keys(enum) if enum.full_name in sorts else ())]
    for message in _of_file(needs.resources, names.file):
        if message.resource is not None:
            yield emit_fields(message, message.resource)
            yield emit_resource(message, message.resource, uuid_placeholders(message.resource, endpoints), names)
    for message in _of_file(needs.objects, names.file):
        yield emit_object(message, names)
    for message in _of_file(needs.fills, names.file):
        yield emit_members(snake(message.path), message.fields)
        yield emit_fill(message, names)


def _methods(everything: Sequence[Endpoint], names: ModuleNames) -> Iterator[list[str]]:
    own = (one for one in everything if one.method.file == names.file)
    # In the order of the proto, where the table of routes has them in the order of matching.
    for endpoint in sorted(own, key=lambda one: (one.method.location.line, one.name)):
        yield from emit_decode(endpoint, names)
        if endpoint.data is not None and endpoint.data.meta:
            yield emit_meta(endpoint, names)
        yield emit_encode(endpoint, uuid_placeholders_of(endpoint, everything), names)
        yield from emit_includes(endpoint, names)


def _streams(streams: Iterable[StreamEndpoint], names: ModuleNames) -> Iterator[list[str]]:
    for stream in streams:
        yield from emit_stream_request(stream, names)
        yield emit_stream_event(stream, names)


def _of_file(types: dict[str, _T], file: str) -> list[_T]:
    return sorted((one for one in types.values() if one.file == file), key=lambda one: one.location.line)


def _enum(enum: EnumType, needs: Needs, names: ModuleNames) -> Iterator[str]:
    name = snake(enum.path).upper()
    if enum.full_name in needs.enums_out:
        # Of two names for one number the first is written.
        texts = dict(reversed(enum.texts))
        items = [f"{number}: {text(written) if written else None}" for number, written in sorted(texts.items())]
        yield from fit(f"{name}_TEXTS = {names.runtime('EnumTexts')}({{", items, "})")
    if enum.full_name in needs.enums_in:
        items = [f"{text(written)}: {number}" for number, written in enum.texts if written]
        yield from fit(f"{name}_NUMBERS: dict[str, int] = {{", items, "}")


def _sort_keys(enum: EnumType) -> list[str]:
    items = [f"{text(key)}: {number}" for key, number in enum.sort_keys]
    return fit(f"{snake(enum.path).upper()}_KEYS: dict[str, int] = {{", items, "}")


def _source(blocks: Iterable[list[str]], names: ModuleNames) -> str:
    head = f'"""Transcoders of {names.file}. Generated from proto/ by `./taskw gen`; do not edit."""'
    lines = [head, "", *names.imports.lines()]
    for block in blocks:
        after_code = lines[-1].startswith(" ")
        lines += ["", *([""] if after_code or block[0].startswith("def ") else []), *block]
    return "\n".join(lines) + "\n"
