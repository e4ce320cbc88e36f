"""The protoc plugin `protoc-gen-samovar`: a CodeGeneratorRequest on standard input, the files of our part of gen/ on
standard output. Run by codegen/generate.py. The option `package=NAME` puts the output in another package than `rest`.
"""

import sys

from google.protobuf.compiler import plugin_pb2

from codegen import model
from codegen.emit_asyncapi import emit_asyncapi
from codegen.emit_openapi import emit_openapi
from codegen.emit_routes import emit_routes
from codegen.emit_transcoders import emit_transcoders
from codegen.faults import Faults
from codegen.resolve import find_endpoints

DEFAULT_PACKAGE = "rest"


def answer(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """All generated files, or `error` with every contradiction of the contract, one a line: file:line: rule: what to do."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    options = dict(option.partition("=")[::2] for option in request.parameter.split(",") if option)
    root = options.pop("package", DEFAULT_PACKAGE)
    if options:
        response.error = f"unknown options: {', '.join(sorted(options))}"
        return response
    contract = model.read(request)
    faults = Faults()
    endpoints, streams = find_endpoints(contract, faults)
    files = dict(emit_transcoders(contract, endpoints, streams, root, faults))
    if faults.found:
        response.error = "the contract contradicts itself\n" + "\n".join(map(str, sorted(set(faults.found))))
        return response
    whole = (
        emit_routes(endpoints, streams, root),
        emit_openapi(contract, endpoints, root),
        emit_asyncapi(contract, endpoints, streams, root),
    )
    files |= dict(whole)
    for name in sorted(files):
        response.file.add(name=name, content=files[name])
    return response


def main() -> None:
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(answer(request).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
