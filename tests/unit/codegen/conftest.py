"""The example contract, compiled once: its messages and its generated transcoders, importable as `example` and `example_rest`."""

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
    with contract_compiler.imported(example_sources, tmp_path_factory.mktemp("example")) as example:
        yield example
