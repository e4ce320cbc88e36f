"""The example contract, compiled once: its messages and its generated transcoders, importable as `example` and `example_rest`."""

import importlib
import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.unit.codegen import contract_compiler
from tests.unit.codegen.contract_compiler import EXAMPLE, EXAMPLE_FILES, Example


@pytest.fixture(scope="session")
def example_sources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    folder = tmp_path_factory.mktemp("image")
    return contract_compiler.generate(EXAMPLE, EXAMPLE_FILES, folder, "package=example_rest")


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory, example_sources: Mapping[str, str]) -> Iterator[Example]:
    folder = tmp_path_factory.mktemp("example")
    contract_compiler.run(EXAMPLE, f"--python_out={folder}", *EXAMPLE_FILES)
    for name, content in example_sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield Example(
        things_pb2=importlib.import_module("example.v1.things_pb2"),
        shared_pb2=importlib.import_module("example.v1.shared_pb2"),
        things=importlib.import_module("example_rest.example.v1.things"),
        routes=importlib.import_module("example_rest.routes"),
    )
    sys.path.remove(str(folder))
