"""Runs protoc in this process, so that a test can look at what it and the plugin make of a contract."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import grpc_tools
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc

from codegen import plugin

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = Path(__file__).parent / "example" / "proto"
EXAMPLE_FILES = ("example/v1/books.proto", "example/v1/shared.proto", "example/v1/things.proto")
_INCLUDES = (ROOT / "proto", ROOT / "proto" / "third_party", Path(grpc_tools.__file__).parent / "_proto")


@dataclass(frozen=True, slots=True)
class Example:
    """The example contract, generated and imported."""

    things_pb2: ModuleType
    shared_pb2: ModuleType
    things: ModuleType
    books_pb2: ModuleType
    books: ModuleType
    routes: ModuleType


@contextmanager
def imported(sources: Mapping[str, str], folder: Path) -> Iterator[Example]:
    """The example contract with its generated `sources`, laid into the folder and imported from there."""
    run(EXAMPLE, f"--python_out={folder}", *EXAMPLE_FILES)
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield Example(
        things_pb2=importlib.import_module("example.v1.things_pb2"),
        shared_pb2=importlib.import_module("example.v1.shared_pb2"),
        things=importlib.import_module("example_rest.example.v1.things"),
        books_pb2=importlib.import_module("example.v1.books_pb2"),
        books=importlib.import_module("example_rest.example.v1.books"),
        routes=importlib.import_module("example_rest.routes"),
    )
    sys.path.remove(str(folder))


def run(folder: Path, *arguments: str) -> None:
    includes = [f"-I{include}" for include in (folder, *_INCLUDES)]
    assert protoc.main(["protoc", *includes, *arguments]) == 0


def request(folder: Path, files: Sequence[str], work: Path, parameter: str = "") -> plugin_pb2.CodeGeneratorRequest:
    """What protoc would pass to the plugin for `files` below `folder`."""
    image = work / "image.binpb"
    run(folder, "--include_imports", "--include_source_info", f"--descriptor_set_out={image}", *files)
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    return plugin_pb2.CodeGeneratorRequest(file_to_generate=files, proto_file=descriptors.file, parameter=parameter)


def generate(folder: Path, files: Sequence[str], work: Path, parameter: str = "") -> Mapping[str, str]:
    """The plugin's files by path."""
    response = plugin.answer(request(folder, files, work, parameter))
    assert not response.error, response.error
    return {file.name: file.content for file in response.file}
