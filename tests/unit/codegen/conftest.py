"""The example contract, compiled once: its messages and its generated transcoders, importable as `example` and `example_rest`."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import protoc
import pytest

EXAMPLE = Path(__file__).parent / "example" / "proto"
EXAMPLE_FILES = ("example/v1/shared.proto", "example/v1/things.proto")


class Example(NamedTuple):
    sources: Mapping[str, str]
    things_pb2: ModuleType
    shared_pb2: ModuleType
    things: ModuleType
    routes: ModuleType


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    folder = tmp_path_factory.mktemp("example")
    protoc.run(EXAMPLE, f"--python_out={folder}", *EXAMPLE_FILES)
    sources = protoc.generate(EXAMPLE, EXAMPLE_FILES, folder, "package=example_rest")
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield Example(
        sources=sources,
        things_pb2=importlib.import_module("example.v1.things_pb2"),
        shared_pb2=importlib.import_module("example.v1.shared_pb2"),
        things=importlib.import_module("example_rest.example.v1.things"),
        routes=importlib.import_module("example_rest.routes"),
    )
    sys.path.remove(str(folder))
