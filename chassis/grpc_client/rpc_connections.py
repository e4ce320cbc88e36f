"""The connections of one channel: its target's addresses, a connection to each that is opened again when it is lost, health by
grpc.health.v1 as the server reports it, and turns among those that serve.

chassis.grpc_client.rpc_client opens one per channel, chassis.grpc_client.rpc_unary takes connections from it. Targets are
gRPC's own (https://github.com/grpc/grpc/blob/master/doc/naming.md): `host:port`, `dns:///host:port`, `ipv4:a:p,b:p`, `ipv6:[a]:p`,
`unix:path`.
"""

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from ipaddress import ip_address
from logging import getLogger
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from chassis.auth.tls import Tls
from chassis.errors import DomainError
from chassis.grpc_client.http2 import ENHANCE_YOUR_CALM, ProtocolViolation
from chassis.grpc_client.http2_connection import Connection
from chassis.grpc_client.rpc_wire import (
    MESSAGE_HEAD_BYTES,
    Metadata,
    Outcome,
    metadata_fields,
    outcome_of,
    read_message,
    request_body,
    request_head,
)
from chassis.grpc_server.health import WATCHERS_FULL

CONNECT_SECONDS: Final = 5.0
RECONNECT_MIN_SECONDS: Final = 0.1
RECONNECT_MAX_SECONDS: Final = 2.0
RECONNECT_FACTOR: Final = 1.6
RECONNECT_JITTER: Final = 0.2
"""The values of gRPC's connection backoff."""
KEEPALIVE_MAX_SECONDS: Final = 7_200.0
"""However often a server complains of pings: TCP's own keepalive asks then."""
STEADY_SECONDS: Final = 1.0
"""A connection that lived this long is opened again at once."""
RESOLVE_SECONDS: Final = 2.0
"""The least time between two look-ups of a name, however often connections are lost."""
WATCH_SECONDS: Final = 1.0
"""The time until a server is asked for its health again, when it stopped reporting it."""
CHECK_SECONDS: Final = 2.0
HEALTH_LIMIT_BYTES: Final = 1024
"""The size limit of one health status, which has four bytes."""

_READY = grpc.ChannelConnectivity.READY
_CONNECTING = grpc.ChannelConnectivity.CONNECTING
_FAILING = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_IDLE = grpc.ChannelConnectivity.IDLE
_SHUTDOWN = grpc.ChannelConnectivity.SHUTDOWN

_WATCH = "/grpc.health.v1.Health/Watch"
_CHECK = "/grpc.health.v1.Health/Check"
_HEALTH_BODY = request_body(health_pb2.HealthCheckRequest().SerializeToString())

_log = getLogger(__name__)

PORT_MAX: Final = 65_535

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class Unreachable(Exception):
    """No replica can be called now; the text says why."""


class Connections:
    """Begun by the first call, on its loop. `identity` gives the metadata by which a server knows that it is a service of ours who
    asks for its health; without it, or while it cannot be had, the server is asked all the same.
    """

    def __init__(self, target: str, tls: Tls | None, identity: Callable[[], Awaitable[Metadata]] | None = None) -> None:
        self._identity = identity
        self.authority, self._name, self._addresses = _read_target(target)
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._replicas: dict[Address, _Replica] = {}
        self._ready: list[Connection] = []
        self._turn = 0
        self.state = _IDLE
        self._why = ""
        self._changed: asyncio.Future[None] | None = None
        self._stale = asyncio.Event()
        self._resolver: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[asyncio.Future[None], Connection] = {}
        """Every connection that has a socket, by the future that ends when the socket is closed."""

    @property
    def is_tls(self) -> bool:
        return self._tls is not None

    def pick(self) -> Connection | None:
        """Return the next connection in turn that serves; None while none does."""
        ready = self._ready
        if not ready:
            return None
        self._turn = turn = (self._turn + 1) % len(ready)
        return ready[turn]

    async def wait(self, *, wait_for_ready: bool) -> Connection:
        """A connection that serves, as soon as there is one.

        Raises:
            Unreachable: every replica is unavailable, and the caller does not want to wait for one.
            grpc.aio.UsageError: the channel is closed.
        """
        while True:
            self.connect()
            found = self.pick()
            if found is not None:
                return found
            if self.state is _FAILING and not wait_for_ready:
                raise Unreachable(self._why)
            await self.change()

    def connect(self) -> None:
        """Begins, unless it has already begun. Raises: grpc.aio.UsageError when the channel is closed."""
        if self.state is _SHUTDOWN:
            raise grpc.aio.UsageError("the channel is closed")
        if self._resolver is None:
            self._set_state(_CONNECTING)
            self._resolver = self._start(self._resolve(), f"addresses of {self.authority}")

    async def change(self) -> None:
        """Returns when connections came or went, or the state is another."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    async def close(self) -> None:
        """Ends every call that runs; no task and no socket is left."""
        self._ready = []
        self._set_state(_SHUTDOWN)
        try:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for connection in list(self._held.values()):
                connection.close()
        if self._held:
            await asyncio.wait(list(self._held))

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        # The channel outlives the call that came first: its user and its trace are not the channel's.
        task = asyncio.create_task(work, name=name, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open(self, address: Address, make: Callable[[], Connection]) -> Connection:
        name = _host_and_port(self._name)[0] if self._name else None
        connection = await _open(address, make, tls=self._context, server_name=name)
        self._held[connection.lost] = connection
        connection.lost.add_done_callback(self._held.pop)
        return connection

    async def _resolve(self) -> None:
        """Keeps a connection to every address of the target, also when the name gets others."""
        if self._tls is not None:
            try:
                self._context = await asyncio.to_thread(self._tls.client_context)
            except (OSError, ValueError) as error:
                self._why = f"{self.authority}: certificates that cannot be used: {error}"
                self._set_state(_FAILING)
                return
        if self._addresses:
            self._follow(self._addresses)
            return
        while True:
            self._stale.clear()
            try:
                addresses = await _look_up(self._name)
            except OSError as error:
                if not self._replicas:
                    self._why = f"{self.authority}: {error}"
                    self._set_state(_FAILING)
                self._stale.set()
            else:
                self._follow(addresses)
            await self._stale.wait()
            await asyncio.sleep(RESOLVE_SECONDS)

    def _follow(self, addresses: Sequence[Address]) -> None:
        for gone in self._replicas.keys() - set(addresses):
            self._replicas.pop(gone).task.cancel()
        for address in addresses:
            if address not in self._replicas:
                replica = _Replica(str(address), partial(self._open, address), self._health_head, self._notice)
                replica.task = self._start(replica.run(), f"connection to {address}")
                self._replicas[address] = replica
        self._notice()

    async def _health_head(self, method: str) -> bytes:
        """The head of a health call, with our identity where there is one."""
        head = request_head(method, self.authority, is_tls=self.is_tls)
        if self._identity is not None:
            with suppress(DomainError, TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    head += metadata_fields(await self._identity())
        return head

    def _notice(self) -> None:
        if self.state is _SHUTDOWN:
            return
        replicas = self._replicas.values()
        self._ready = [each.serving for each in replicas if each.serving is not None]
        if any(each.state is not _READY for each in replicas):
            self._stale.set()
        if self._ready:
            self._set_state(_READY)
        elif any(each.state is _CONNECTING for each in replicas):
            self._set_state(_CONNECTING)
        else:
            self._why = "; ".join(each.why for each in replicas if each.why)
            self._set_state(_FAILING)

    def _set_state(self, state: grpc.ChannelConnectivity) -> None:
        if state is not self.state:
            _log.info("connectivity", extra={"target": self.authority, "state": state.name, "reason": self._why})
        self.state = state
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)


class _Replica:
    """One address: connected for as long as its task runs. `serving` is its connection while it takes calls."""

    def __init__(
        self,
        address: str,
        open_one: Callable[[Callable[[], Connection]], Awaitable[Connection]],
        health_head: Callable[[str], Awaitable[bytes]],
        on_change: Callable[[], None],
    ) -> None:
        self._address = address
        self._open = open_one
        self._health_head = health_head
        self._on_change = on_change
        self._moved = asyncio.Event()
        self._keepalive_seconds: float | None = None
        self.task: asyncio.Task[None]
        self.serving: Connection | None = None
        self.state = _CONNECTING
        self.why = ""

    async def run(self) -> None:
        pause = RECONNECT_MIN_SECONDS
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await self._connect()
            except (OSError, TimeoutError, ValueError) as error:
                self._be(_FAILING, f"{self._address}: {str(error) or 'no answer in time'}")
            else:
                await self._use(connection)
                if time.monotonic() - began >= STEADY_SECONDS:
                    pause = RECONNECT_MIN_SECONDS
                    continue
            await asyncio.sleep(pause * random.uniform(1 - RECONNECT_JITTER, 1 + RECONNECT_JITTER))
            pause = min(pause * RECONNECT_FACTOR, RECONNECT_MAX_SECONDS)

    async def _connect(self) -> Connection:
        """Return a connection on which the peer has sent its settings.

        Raises:
            OSError, TimeoutError: no server answers.
            ValueError: the address or its name is invalid.
        """
        connection = await self._open(partial(Connection, self._notice, keepalive_seconds=self._keepalive_seconds))
        try:
            while not connection.is_ready:
                if connection.is_over:
                    raise ConnectionError(connection.why_closed)
                await self._move()
        except BaseException:
            connection.close()
            raise
        return connection

    async def _move(self) -> None:
        await self._moved.wait()
        self._moved.clear()

    def _notice(self) -> None:
        """A connection can be used, or not any more. Calls must not come to the latter even once."""
        self._moved.set()
        if self.serving is not None and not self.serving.is_ready:
            # Not unavailable yet, as in gRPC: calls wait until it is known whether it can be reached again.
            self._be(_CONNECTING, self.serving.why_closed)

    async def _use(self, connection: Connection) -> None:
        """Wait until the connection accepts no more calls, or the address is no longer the target's: running calls may end."""
        watch = asyncio.create_task(self._watch(connection), name=f"health of {self._address}")
        try:
            while connection.is_ready:
                await self._move()
        finally:
            if connection.pinged_too_often:
                self._keepalive_seconds = min(2 * connection.keepalive_seconds, KEEPALIVE_MAX_SECONDS)
            connection.retire()
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _watch(self, connection: Connection) -> None:
        """Follows the health that the server reports (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). One that
        has no place for another watcher, or breaks the watch off, is asked now and then. One that has no health service counts as
        serving.
        """
        while True:
            take = _Statuses(lambda serves: self._heed(connection, serves=serves))
            exchange = connection.exchange(await self._health_head(_WATCH), _HEALTH_BODY, take)
            try:
                await exchange.ended
            except asyncio.CancelledError:
                connection.cancel(exchange)
                raise
            if not connection.is_ready:
                return
            refused = None if exchange.trailers is None else outcome_of(exchange.trailers)
            if refused is not None and _is_full(refused):
                self._heed(connection, serves=await self._check(connection))
            elif refused is not None and refused.code is grpc.StatusCode.UNIMPLEMENTED:
                self._heed(connection, serves=True)
                return
            else:
                self._heed(connection, serves=False)
            await asyncio.sleep(WATCH_SECONDS)

    async def _check(self, connection: Connection) -> bool:
        """Return True when the server reports that it serves."""
        exchange = connection.exchange(await self._health_head(_CHECK), _HEALTH_BODY)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await exchange.ended
            is_ok = exchange.trailers is not None and outcome_of(exchange.trailers).code is grpc.StatusCode.OK
            return is_ok and _serves(read_message(exchange))
        except (TimeoutError, ValueError):
            return False
        finally:
            connection.cancel(exchange)

    def _heed(self, connection: Connection, *, serves: bool) -> None:
        if not connection.is_ready:
            return  # it says nothing of the next one
        if serves:
            self.serving = connection
            self.state, self.why = _READY, ""
            self._on_change()
        else:
            self._be(_FAILING, f"{self._address} does not serve")

    def _be(self, state: grpc.ChannelConnectivity, why: str) -> None:
        self.serving = None
        self.state, self.why = state, why
        self._on_change()


async def _open(
    address: Address, make: Callable[[], Connection], *, tls: ssl.SSLContext | None, server_name: str | None
) -> Connection:
    """Open a connection on which nothing has been sent yet. Raises: OSError."""
    loop = asyncio.get_running_loop()
    if isinstance(address, str):
        _, connection = await loop.create_unix_connection(make, address)
        return connection
    host, port = address
    name = (server_name or host) if tls is not None else None
    _, connection = await loop.create_connection(make, host, port, ssl=tls, server_hostname=name)
    return connection


class _Statuses:
    """Takes the stream of health statuses as it comes."""

    def __init__(self, heed: Callable[[bool], None]) -> None:
        self._heed = heed
        self._rest = b""

    def __call__(self, piece: bytes) -> None:
        self._rest += piece
        while len(self._rest) >= MESSAGE_HEAD_BYTES:
            end = MESSAGE_HEAD_BYTES + int.from_bytes(self._rest[1:MESSAGE_HEAD_BYTES], "big")
            if end > HEALTH_LIMIT_BYTES:
                raise ProtocolViolation(ENHANCE_YOUR_CALM, f"a health status of {end} bytes")
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[MESSAGE_HEAD_BYTES:end], self._rest[end:]
            self._heed(_serves(message))


def _serves(message: bytes) -> bool:
    """Return True when the health status is SERVING."""
    try:
        status = health_pb2.HealthCheckResponse.FromString(message).status
    except DecodeError:
        return False
    return bool(status == health_pb2.HealthCheckResponse.SERVING)


def _is_full(refused: Outcome) -> bool:
    """True when a server has no place for one more watcher, but can be asked."""
    return refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED or WATCHERS_FULL in refused.metadata


def _read_target(target: str) -> tuple[str, str, tuple[Address, ...]]:
    """Authority, the name to look up, and the addresses where they are given. Raises: ValueError."""
    scheme, _, rest = target.partition(":")
    if scheme in {"ipv4", "ipv6"}:
        addresses = tuple(_host_and_port(each) for each in rest.split(","))
        for host, _ in addresses:
            ip_address(host)
        return rest.split(",")[0], "", addresses
    if scheme == "unix":
        return "localhost", "", (rest.removeprefix("//"),)
    name = urlsplit(target).path.lstrip("/") if scheme == "dns" else target
    _host_and_port(name)
    return name, name, ()


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > PORT_MAX:
        raise ValueError(f"{text!r} is no host:port")
    return host.strip("[]"), int(port)


async def _look_up(name: str) -> tuple[Address, ...]:
    """Raises: OSError."""
    host, port = _host_and_port(name)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"no name of a host: {error}") from error
    return tuple(dict.fromkeys((str(address[0]), int(address[1])) for *_, address in found))
