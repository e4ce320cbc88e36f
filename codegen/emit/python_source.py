"""The layout of generated Python: names, imports, lines that fit. Used by every emitter."""

import keyword
from collections.abc import Iterable

LINE_LENGTH = 120


def pb2_module(proto_file: str) -> tuple[str, str]:
    """Return the package and module that protoc generates for a file: `library/v1/items.proto` → (`library.v1`, `items_pb2`)."""
    package, _, name = module_path(proto_file).rpartition("/")
    return package.replace("/", "."), f"{name}_pb2"


def rest_module(root: str, proto_file: str) -> tuple[str, str]:
    """Return the package and module that we generate for a file: (`rest.library.v1`, `items`)."""
    package, _, name = module_path(proto_file).rpartition("/")
    return f"{root}.{package}".replace("/", ".").rstrip("."), name


def alias(proto_file: str, suffix: str = "") -> str:
    """A name for a file's module: `library_v1_items`. One in no folder gets something that no variable is called."""
    name = module_path(proto_file)
    return (name.replace("/", "_") if "/" in name else f"{name}_module") + suffix


def module_path(proto_file: str) -> str:
    """Return the module path as protoc writes it: a dash cannot be part of a name."""
    return proto_file.removesuffix(".proto").replace("-", "_")


def attribute(target: str, name: str) -> str:
    """Reads a field; one named like a Python keyword only getattr can reach."""
    return f'getattr({target}, "{name}")' if keyword.iskeyword(name) else f"{target}.{name}"


def assign(target: str, name: str, value: str) -> str:
    return f'setattr({target}, "{name}", {value})' if keyword.iskeyword(name) else f"{target}.{name} = {value}"


def fit(head: str, items: Iterable[str], tail: str, indent: str = "") -> list[str]:
    """`head` + items with commas + `tail` on one line if it fits, else one item a line."""
    items = list(items)
    line = f"{indent}{head}{', '.join(items)}{tail}"
    if len(line) <= LINE_LENGTH:
        return [line]
    return [f"{indent}{head}", *(f"{indent}    {item}," for item in items), f"{indent}{tail}"]


def text(value: str) -> str:
    """A string literal, double-quoted."""
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"', "\n": "\\n"}.get(char, char if char.isprintable() else f"\\U{ord(char):08x}")
        for char in value
    )
    return f'"{escaped}"'


class Imports:
    """The imports of one generated module, collected while its body is written."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._aliases: dict[str, tuple[str, str]] = {}

    def use(self, module: str, name: str, as_name: str = "") -> str:
        """Imports `name` from `module` and gives the name to use: `as_name`, or with a number where another import has it."""
        wanted, number = as_name or name, 1
        while self._aliases.setdefault(as_name or name, (module, name)) != (module, name):
            number += 1
            as_name = f"{wanted}_{number}"
        self._names.setdefault(module, set()).add(f"{name} as {as_name}" if as_name and as_name != name else name)
        return as_name or name

    def names(self) -> frozenset[str]:
        """Everything the module can call by a plain name because it imports it."""
        return frozenset(name.rpartition(" ")[2] for names in self._names.values() for name in names)

    def lines(self) -> list[str]:
        """Standard library, generated code, our own: three groups as a reader expects them."""
        groups: tuple[list[str], list[str], list[str]] = ([], [], [])
        for module in sorted(self._names):
            group = 0 if module.startswith("collections") else 2 if module.startswith("gateway") else 1
            names = sorted(self._names[module], key=lambda name: (not name.isupper(), not name[0].isupper(), name))
            if not module:
                groups[group].extend(f"import {name}" for name in names)
                continue
            line = f"from {module} import {', '.join(names)}"
            wrapped = fit(f"from {module} import (", names, ")") if len(line) > LINE_LENGTH else [line]
            groups[group].extend(wrapped)
        lines: list[str] = []
        for filled in (group for group in groups if group):
            lines += [*([""] if lines else []), *filled]
        return lines
