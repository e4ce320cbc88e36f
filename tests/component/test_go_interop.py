"""The unary cases of gRPC's interoperability tests against the server of another implementation
(https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md). GO_INTEROP_SERVER is the path of grpc-go's server:
`go install google.golang.org/grpc/interop/server@v1.85.0`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory

from chassis.grpc_client.rpc_client import open_channel
from sandbox.devstack.free_port import free_port
from tests.component.http2_rig import failing, nothing_escapes, soon

__all__ = ["nothing_escapes"]

SERVER = os.environ.get("GO_INTEROP_SERVER")
pytestmark = pytest.mark.skipif(SERVER is None, reason="GO_INTEROP_SERVER does not name grpc-go's interop server")

SERVICE = "/grpc.testing.TestService/"
STRING, BYTES, INT32, MESSAGE = 9, 12, 5, 11


def _messages():
    """As much of grpc/testing/messages.proto as the cases need."""
    file = descriptor_pb2.FileDescriptorProto(name="interop.proto", package="grpc.testing", syntax="proto3")
    shapes = {
        "Payload": [("body", 2, BYTES, "")],
        "EchoStatus": [("code", 1, INT32, ""), ("message", 2, STRING, "")],
        "SimpleRequest": [
            ("response_size", 2, INT32, ""),
            ("payload", 3, MESSAGE, "Payload"),
            ("response_status", 7, MESSAGE, "EchoStatus"),
        ],
        "SimpleResponse": [("payload", 1, MESSAGE, "Payload")],
    }
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for field, number, kind, type_name in fields:
            full_name = f".grpc.testing.{type_name}" if type_name else None
            message.field.add(name=field, number=number, type=kind, label=1, type_name=full_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"grpc.testing.{name}"))
        for name in ("SimpleRequest", "SimpleResponse")
    ]


Request, Response = _messages()


@asynccontextmanager
async def _channel() -> AsyncIterator[grpc.aio.Channel]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(str(SERVER), f"-port={port}", stderr=asyncio.subprocess.DEVNULL)
    try:
        target = f"localhost:{port}"
        async with open_channel(target, audience="", service_tokens=None, services=(), timeout_seconds=30) as channel:
            await soon(channel.channel_ready())
            yield channel
    finally:
        process.terminate()
        await process.wait()


def _unary(channel: grpc.aio.Channel):
    return channel.unary_unary(SERVICE + "UnaryCall", Request.SerializeToString, Response.FromString)


async def test_empty_and_large_unary():
    async with _channel() as channel:
        empty = channel.unary_unary(
            SERVICE + "EmptyCall", empty_pb2.Empty.SerializeToString, empty_pb2.Empty.FromString
        )
        assert await soon(empty(empty_pb2.Empty())) == empty_pb2.Empty()
        request = Request(response_size=314_159)
        request.payload.body = bytes(271_828)
        assert len((await soon(_unary(channel)(request))).payload.body) == 314_159
        answers = await soon(asyncio.gather(*(_unary(channel)(request) for _ in range(50))))
        assert {len(answer.payload.body) for answer in answers} == {314_159}


@pytest.mark.parametrize(
    "text", ["test status message", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"]
)
async def test_status_code_and_message(text):
    async with _channel() as channel:
        request = Request()
        request.response_status.code, request.response_status.message = 2, text
        error = await failing(_unary(channel)(request))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNKNOWN, text)


async def test_custom_metadata_comes_back():
    sent = (("x-grpc-test-echo-initial", "initial"), ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"))
    async with _channel() as channel:
        call = _unary(channel)(Request(response_size=1), metadata=sent)
        await soon(call)
        assert sent[0] in list(await call.initial_metadata())
        assert sent[1] in list(await call.trailing_metadata())


async def test_unimplemented_method_and_service():
    async with _channel() as channel:
        for path in (SERVICE + "UnimplementedCall", "/grpc.testing.UnimplementedService/UnimplementedCall"):
            error = await failing(channel.unary_unary(path)(b""))
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_deadline_of_almost_nothing_is_exceeded():
    async with _channel() as channel:
        error = await failing(_unary(channel)(Request(response_size=1_000_000), timeout=0.000_001))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
