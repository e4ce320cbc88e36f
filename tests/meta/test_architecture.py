"""The plan of the house (docs/architecture.md) as the imports have it: no circles, rooms one above another, layers."""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "chassis", "codegen", "depot", "download_svc", "gateway", "launcher", "library_svc", "operations", "sandbox",
)  # fmt: skip
ROOMED = ("chassis", "codegen", "gateway", "launcher", "sandbox")
SERVICES = ("download_svc", "library_svc")
FILES_OF_A_ROOM = 20

DOMAIN, APPLICATION, INFRASTRUCTURE, PRESENTATION, COMPOSITION = range(5)
FILES_OF_A_LAYER: Mapping[int, str] = {
    DOMAIN: "domain search progress manifests plans ids stamps text changes events paging",
    APPLICATION: "application reports outcomes live planning announcements sweeps transaction",
    INFRASTRUCTURE: "postgres postgres_reader postgres_announcements postgres_paging redis grpc sources signing schema "
    "outgoing audit peer_errors objects workers",
    PRESENTATION: "presentation messages callers masks consumers",
    COMPOSITION: "main __main__ settings",
}
LAYERS: Mapping[str, int] = {name: layer for layer, names in FILES_OF_A_LAYER.items() for name in names.split()}
"""What each file of a feature, or of a service's own, is: a new kind of file is given its layer here."""
SHOWS_OTHERS = {
    "library_svc.feed.presentation",  # an update is shown as its own feature shows it
    "library_svc.access.presentation",  # LibraryQueryService answers for several features
}


@cache
def modules() -> Mapping[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if "versions" not in path.parts or "migrations" not in path.parts:
                found[name] = path
    return found


@cache
def imports(module: str) -> tuple[str, ...]:
    """Everything that the module imports anywhere in it: ours by module, the rest by the name as written."""
    known, found = modules(), []
    for node in ast.walk(ast.parse(known[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [whole if (whole := f"{node.module}.{name.name}") in known else node.module for name in node.names]
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return tuple(dict.fromkeys(found))


def ours(module: str) -> Iterator[str]:
    return (name for name in imports(module) if name in modules() and name != module)


def room_of(module: str) -> str:
    """The folder; a file at a package's root is a room of its own."""
    parts = modules()[module].relative_to(ROOT).parts[:-1]
    return ".".join(parts) if len(parts) > 1 else module


def layer_of(module: str) -> int:
    name = module.rpartition(".")[2]
    assert name in LAYERS, f"{module}: give the file a layer in LAYERS, or a name that has one"
    return LAYERS[name]


def service_modules() -> list[str]:
    return [name for name in modules() if name.split(".")[0] in SERVICES and modules()[name].name != "__init__.py"]


def circle(graph: Mapping[str, set[str]]) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return None


def test_the_imports_are_read() -> None:
    assert "chassis.errors" in list(ours("library_svc.wishlist.domain"))
    assert len(modules()) > 300


def test_no_module_imports_one_that_imports_it() -> None:
    assert circle({module: set(ours(module)) for module in modules()}) is None


@pytest.mark.parametrize("package", ROOMED)
def test_no_room_stands_on_one_that_stands_on_it(package: str) -> None:
    rooms: dict[str, set[str]] = {}
    for module in modules():
        if module.split(".")[0] == package:
            others = {room_of(name) for name in ours(module) if name.split(".")[0] == package}
            rooms.setdefault(room_of(module), set()).update(others - {room_of(module)})
    assert circle(rooms) is None


def test_a_layer_imports_only_what_is_below_it() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in service_modules()
        for name in ours(module)
        if name in service_modules() and layer_of(name) > layer_of(module)
    ]
    assert wrong == []


def test_only_presentation_wires_and_databases_join_across_features() -> None:
    """A feature uses another's domain and application, and joins its tables; its presentation only where that is said."""
    wrong = [
        f"{module} imports {name}"
        for module in service_modules()
        for name in ours(module)
        if name in service_modules() and name.count(".") == 2 == module.count(".") and room_of(name) != room_of(module)
        if layer_of(name) == PRESENTATION and not name.endswith(".messages") and module not in SHOWS_OTHERS
    ]
    assert wrong == []


def test_presentation_and_storage_do_not_know_each_other() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in service_modules()
        for name in ours(module)
        if name in service_modules() and layer_of(module) == PRESENTATION and layer_of(name) == INFRASTRUCTURE
    ]
    assert wrong == []


def test_domain_and_application_know_no_framework_and_of_the_chassis_only_its_errors() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in service_modules()
        if layer_of(module) <= APPLICATION
        for name in imports(module)
        if name != "chassis.errors"
        and name.split(".")[0] not in {*sys.stdlib_module_names, "_typeshed"}
        and name.split(".")[0] != module.split(".")[0]
    ]
    assert wrong == []


def test_no_room_is_a_heap() -> None:
    folders: dict[Path, int] = {}
    for path in modules().values():
        if path.name != "__init__.py":
            folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {str(folder.relative_to(ROOT)): files for folder, files in folders.items() if files > FILES_OF_A_ROOM} == {}


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        str(path.parent.relative_to(ROOT))
        for name, path in modules().items()
        if path.name == "__init__.py"
        and name.split(".")[0] not in SERVICES
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
