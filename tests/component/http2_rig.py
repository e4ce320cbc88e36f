"""Peers of the HTTP/2 client: one that says whatever bytes a test wants (frames by hyperframe, header blocks by hpack), one that
is the h2 library, and one that is grpcio. None of them shares code with chassis.grpc_client.http2.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
import pytest
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from chassis.auth.tls import Tls
from chassis.grpc_client.http2_connection import Connection
from chassis.grpc_client.http2_exchange import Failure, Stream
from chassis.grpc_client.rpc_connections import Connections
from chassis.grpc_client.rpc_unary import RetryThrottle, UnaryMethod
from chassis.grpc_client.rpc_wire import read_message, request_body, request_head

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAMS, WINDOW, TABLE = (
    SettingsFrame.MAX_CONCURRENT_STREAMS,
    SettingsFrame.INITIAL_WINDOW_SIZE,
    SettingsFrame.HEADER_TABLE_SIZE,
)
LARGE = bytes(range(256)) * 128  # 32 KiB
SAY = "/test.Echo/Say"
WATCH = "/grpc.health.v1.Health/Watch"
HEAD = request_head(SAY, "test", is_tls=False)
OK_FIELDS = ((":status", "200"), ("content-type", "application/grpc"))
OK_TRAILERS = (("grpc-status", "0"),)
PATIENCE_SECONDS = 30.0
"""Of a wait for what must come; nothing is measured by it."""


@pytest.fixture(autouse=True)
async def nothing_escapes() -> AsyncIterator[None]:
    """No exception reaches the loop's handler, no task is left. The last tasks of grpcio's server end a moment after it says so."""
    loop = asyncio.get_running_loop()
    escaped: list[Any] = []
    loop.set_exception_handler(lambda _, context: escaped.append(context))
    before = asyncio.all_tasks()
    yield
    gc.collect()
    before.add(asyncio.current_task())
    with suppress(TimeoutError):
        await until(lambda: asyncio.all_tasks() <= before)
    assert (escaped, asyncio.all_tasks() - before) == ([], set())


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await awaitable


@dataclass
class Request:
    stream_id: int
    fields: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.fields[":path"]


class Peer:
    """A server's end of one connection, frame by frame; it opens no window and answers nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seen: list[Frame] = []
        self._encoder = hpack.Encoder()
        self._encoder.header_table_size = 0
        self._decoder = hpack.Decoder()

    async def greet(self, settings: Mapping[int, int] | None = None) -> None:
        await self.read_preface()
        self.send(SettingsFrame(0, settings=dict(settings or {})))

    async def read_preface(self) -> None:
        assert await soon(self.reader.readexactly(len(PREFACE))) == PREFACE
        self._decoder.max_allowed_table_size = 4096

    def block(self, fields: Iterable[tuple[str, str]]) -> bytes:
        return self._encoder.encode(list(fields), huffman=False)

    def fields(self, block: bytes) -> dict[str, str]:
        return dict(self._decoder.decode(block))

    def send(self, *frames: Frame | bytes) -> None:
        self.writer.write(b"".join(each if isinstance(each, bytes) else each.serialize() for each in frames))

    async def read(self) -> Frame:
        head = await soon(self.reader.readexactly(9))
        frame, length = Frame.parse_frame_header(memoryview(head))
        frame.parse_body(memoryview(await soon(self.reader.readexactly(length))))
        self.seen.append(frame)
        return frame

    async def expect(self, kind: type[Frame], *, ack: bool = False) -> Any:
        """The next frame of the kind; others are passed by."""
        while True:
            frame = await self.read()
            if isinstance(frame, kind) and ("ACK" in frame.flags) is ack:
                return frame

    async def ping(self) -> None:
        """Returns when the client has read everything that was sent before, and its answers to that have come."""
        self.send(PingFrame(0, opaque_data=b"testping"))
        await self.expect(PingFrame, ack=True)

    async def request(self) -> Request:
        """The next request, whole."""
        headers = await self.expect(HeadersFrame)
        fields = self.fields(headers.data)
        body = b""
        while True:
            frame = await self.expect(DataFrame)
            assert frame.stream_id == headers.stream_id
            body += frame.data
            if "END_STREAM" in frame.flags:
                return Request(headers.stream_id, fields, body)

    def headers(self, stream_id: int, fields: Iterable[tuple[str, str]], *flags: str, **options: Any) -> HeadersFrame:
        return HeadersFrame(stream_id, self.block(fields), flags=("END_HEADERS", *flags), **options)

    def answer(self, stream_id: int, message: bytes = b"", trailers: Iterable[tuple[str, str]] = OK_TRAILERS) -> bytes:
        """A whole answer in frames of at most 16 KiB, whatever the windows are."""
        body = request_body(message)
        return b"".join(
            each.serialize()
            for each in (
                self.headers(stream_id, OK_FIELDS),
                *(DataFrame(stream_id, body[at : at + 16_384]) for at in range(0, len(body), 16_384)),
                self.headers(stream_id, trailers, "END_STREAM"),
            )
        )

    def refuse(self, stream_id: int, code: int, *more: tuple[str, str]) -> HeadersFrame:
        """Trailers and nothing else."""
        return self.headers(stream_id, (*OK_FIELDS, ("grpc-status", str(code)), *more), "END_STREAM")

    async def without_health(self) -> None:
        request = await self.request()
        assert request.path == WATCH
        self.send(self.refuse(request.stream_id, 12))

    async def end(self) -> bytes:
        """Returns when the client has closed, with what it still said."""
        with suppress(ConnectionError):
            return await soon(self.reader.read())
        return b""

    def cut(self) -> None:
        self.writer.transport.abort()


class PeerServer:
    """Accepts connections; a test takes them as they come."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.all: list[Peer] = []

    @property
    def target(self) -> str:
        return f"ipv4:127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.accepted += 1
        self.all.append(peer)
        self._peers.put_nowait(peer)

    async def raw_peer(self) -> Peer:
        """The next connection, on which nothing has been said."""
        return await soon(self._peers.get())

    async def peer(self, settings: Mapping[int, int] | None = None) -> Peer:
        """The next connection, with the peer's settings said and no health service."""
        peer = await self.raw_peer()
        await peer.greet(settings)
        await peer.without_health()
        return peer


@asynccontextmanager
async def peer_server(port: int = 0, **options: Any) -> AsyncIterator[PeerServer]:
    peers = PeerServer()
    server = await asyncio.start_server(peers.accept, "127.0.0.1", port, limit=2**24, **options)
    peers.port = server.sockets[0].getsockname()[1]
    try:
        yield peers
    finally:
        server.close()
        for peer in peers.all:
            peer.cut()
            with suppress(OSError):
                await peer.writer.wait_closed()
        await server.wait_closed()


@asynccontextmanager
async def pair(settings: Mapping[int, int] | None = None) -> AsyncIterator[tuple[Connection, Peer]]:
    """A connection and its peer, both ready. At the end nothing may be left in the connection."""
    loop = asyncio.get_running_loop()
    async with peer_server() as server:
        _, connection = await loop.create_connection(lambda: Connection(lambda: None), "127.0.0.1", server.port)
        peer = await server.raw_peer()
        await peer.greet(settings)
        await until(lambda: connection.is_ready)
        try:
            yield connection, peer
        finally:
            connection.close()
            await soon(connection.lost)
        assert_clean(connection)


def assert_clean(connection: Connection) -> None:
    """It holds no exchange and no bytes."""
    assert not connection._exchanges
    assert not connection._queued
    assert not connection._blocked
    assert not connection._unsent


def request(connection: Connection, message: bytes = b"hello") -> Stream:
    return connection.exchange(HEAD, request_body(message))


async def outcome(exchange: Stream) -> Failure | None:
    return await soon(exchange.ended)


async def works(connection: Connection, peer: Peer) -> None:
    """A whole exchange comes through."""
    exchange = request(connection)
    asked = await peer.request()
    assert asked.body == request_body(b"hello")
    peer.send(peer.answer(asked.stream_id, b"world"))
    assert await outcome(exchange) is None
    assert read_message(exchange) == b"world"


async def dropped(connection: Connection, peer: Peer) -> int:
    """The connection gave up; the code that it said."""
    await soon(connection.lost)
    goodbye = await peer.expect(GoAwayFrame)
    assert connection.is_over
    return int(goodbye.error_code)


@asynccontextmanager
async def opened(target: str, tls: Any = None) -> AsyncIterator[Connections]:
    """Connections that are closed at the end, and leave nothing."""
    connections = Connections(target, tls)
    try:
        yield connections
    finally:
        held = list(connections._held.values())
        await soon(connections.close())
        assert not connections._held
        assert not connections._tasks
        for connection in held:
            assert_clean(connection)


async def say(
    connections: Connections,
    message: bytes = b"hello",
    *,
    path: str = SAY,
    seconds: float = PATIENCE_SECONDS,
    is_repeatable: bool = False,
    throttle: RetryThrottle | None = None,
    metadata: Any = (),
    wait_for_ready: bool = False,
) -> bytes:
    method = UnaryMethod(
        connections, path, bytes, bytes, throttle=throttle or RetryThrottle(), is_repeatable=is_repeatable
    )
    return await method.call(message, seconds, metadata, wait_for_ready=wait_for_ready)


async def failing(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await soon(call)
    return caught.value


class H2Server(asyncio.Protocol):
    """A gRPC server on the h2 library, without a health service. It sends back what it got; a message `answer N` gets N bytes."""

    def __init__(self, settings: Mapping[int, int], transports: set[asyncio.Transport]) -> None:
        self._state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._state.local_settings = h2.settings.Settings(
            client=False, initial_values={SettingsFrame.MAX_CONCURRENT_STREAMS: 1_000, **settings}
        )
        self._paths: dict[int, bytes] = {}
        self._bodies: dict[int, bytearray] = {}
        self._unsent: dict[int, memoryview] = {}
        self._transports = transports

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._transports.add(transport)
        self._state.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._state.receive_data(data):
                self._take(event)
        finally:
            self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._transports.discard(self._transport)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._paths[event.stream_id] = dict(event.headers)[b":path"]
                self._bodies[event.stream_id] = bytearray()
            case h2.events.DataReceived():
                self._bodies[event.stream_id] += event.data
                self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._answer(event.stream_id)
            case h2.events.StreamReset():
                self._unsent.pop(event.stream_id, None)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._send_rest()

    def _answer(self, stream_id: int) -> None:
        if self._paths.pop(stream_id).startswith(b"/grpc.health."):
            fields = (*OK_FIELDS, ("grpc-status", "12"))
            self._state.send_headers(stream_id, fields, end_stream=True)
            return
        body = bytes(self._bodies.pop(stream_id))
        if body[5:].startswith(b"answer "):
            body = request_body(bytes(int(body[5:].split()[1])))
        self._state.send_headers(stream_id, OK_FIELDS)
        self._unsent[stream_id] = memoryview(body)
        self._send_rest()

    def _send_rest(self) -> None:
        for stream_id, whole in list(self._unsent.items()):
            rest = whole
            while rest and (count := min(len(rest), 16_384, self._state.local_flow_control_window(stream_id))) > 0:
                self._state.send_data(stream_id, bytes(rest[:count]))
                rest = rest[count:]
            self._unsent[stream_id] = rest
            if not rest:
                del self._unsent[stream_id]
                self._state.send_headers(stream_id, OK_TRAILERS, end_stream=True)

    def _flush(self) -> None:
        data = self._state.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


@asynccontextmanager
async def h2_server(settings: Mapping[int, int] | None = None, **options: Any) -> AsyncIterator[str]:
    """Its target."""
    transports: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: H2Server(settings or {}, transports), "127.0.0.1", 0, **options)
    try:
        yield f"ipv4:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for transport in list(transports):
            transport.abort()
        await until(lambda: not transports)
        await server.wait_closed()


@dataclass
class Grpcio:
    """grpcio's server, which does what `behave` says."""

    behave: Callable[[bytes, Any], Any]
    port: int = 0
    target: str = ""
    calls: int = 0
    ended: list[str] = field(default_factory=list)

    async def say(self, message: bytes, context: Any) -> bytes:
        self.calls += 1
        try:
            answer = await self.behave(message, context)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return answer


async def echo(message: bytes, _context: Any) -> bytes:
    return message


@asynccontextmanager
async def grpcio_server(
    behave: Callable[[bytes, Any], Any] = echo, bind: str = "127.0.0.1:0", tls: Tls | None = None
) -> AsyncIterator[Grpcio]:
    rig = Grpcio(behave)
    options = [("grpc.max_receive_message_length", 8 * 1024 * 1024), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=options)
    handler = grpc.unary_unary_rpc_method_handler(rig.say)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Say": handler}),))
    async with AsyncExitStack() as stack:
        if tls is None:
            rig.port = server.add_insecure_port(bind)
        else:
            rig.port = server.add_secure_port(bind, tls.server_credentials())
        rig.target = f"ipv4:127.0.0.1:{rig.port}"
        await server.start()
        stack.push_async_callback(server.stop, None)
        yield rig


__all__ = ["DataFrame", "GoAwayFrame", "PingFrame", "RstStreamFrame", "WindowUpdateFrame"]
