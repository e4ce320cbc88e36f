"""The protoc plugin `protoc-gen-samovar`: a CodeGeneratorRequest on standard input, the files of our part of gen/ on
standard output. Run by codegen/generate.py. Options: `package=NAME` puts the output in another package than `rest`, `title=NAME`
is the documents' title, `pages=FOLDER` adds pages for people: the error codes, and our own options where those are generated.
"""

import sys

from google.protobuf.compiler import plugin_pb2

from codegen.emit.asyncapi import emit_asyncapi
from codegen.emit.errors import errors_page
from codegen.emit.openapi import emit_openapi
from codegen.emit.options import OPTIONS_FILE, options_page
from codegen.emit.python_names import check_files
from codegen.emit.routes import emit_routes
from codegen.emit.transcoders import emit_transcoders
from codegen.generate import DEFAULT_PACKAGE, DEFAULT_TITLE
from codegen.read import model
from codegen.read.faults import Faults
from codegen.read.resolve import find_endpoints


def answer(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """All generated files, or `error` with every contradiction of the contract, one a line: file:line: rule: what to do."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    options = dict(option.partition("=")[::2] for option in request.parameter.split(",") if option)
    root = options.pop("package", DEFAULT_PACKAGE)
    title, pages = options.pop("title", DEFAULT_TITLE), options.pop("pages", "")
    if options:
        response.error = f"unknown options: {', '.join(sorted(options))}"
        return response
    contract = model.read(request)
    faults = Faults()
    check_files(contract, faults)
    endpoints, streams = find_endpoints(contract, faults)
    files = dict(emit_transcoders(contract, endpoints, streams, root, faults))
    if faults.found:
        response.error = "the contract contradicts itself\n" + "\n".join(map(str, sorted(set(faults.found))))
        return response
    whole = (
        emit_routes(endpoints, streams, root),
        emit_openapi(contract, endpoints, root, title),
        emit_asyncapi(contract, endpoints, streams, root, title),
    )
    files |= dict(whole)
    if pages:
        files[f"{pages}/errors.md"] = errors_page(contract.reasons)
        if OPTIONS_FILE in contract.own_files:
            files[f"{pages}/options.md"] = options_page(request)
    for name in sorted(files):
        response.file.add(name=name, content=files[name])
    return response


def main() -> None:
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(answer(request).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
