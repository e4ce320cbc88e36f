"""The protoc plugin `protoc-gen-samovar`: a CodeGeneratorRequest on standard input, the files of our part of gen/ on
standard output. Run by codegen/generate.py.
"""

import sys

from google.protobuf.compiler import plugin_pb2


def main() -> None:
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    response = plugin_pb2.CodeGeneratorResponse(supported_features=1)
    sys.stdout.buffer.write(response.SerializeToString())


if __name__ == "__main__":
    main()
