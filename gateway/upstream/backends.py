"""The services behind the gateway: one channel per service, the call of a route on it, and what every call carries.

The only place that knows how a service is reached; everything else hands it messages.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from chassis.auth.access import defaults_for
from chassis.auth.service_tokens import ServiceTokenSource
from chassis.auth.tls import Tls
from chassis.concurrency.background import background
from chassis.errors import DomainError, Kind
from chassis.errors.reasons import learn_reasons
from chassis.errors.wire import from_any_rpc_error
from chassis.grpc_client.rpc_client import open_channel
from gateway.contract import Route, StreamRoute
from gateway.generated import backend_of
from gateway.request.context import RequestContext
from gateway.upstream.breaker import Breaker

HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_DEADLINE_SECONDS = 2.0

Metadata = tuple[tuple[str, str], ...]


def service_of(rpc: str) -> str:
    """Full name of a method's service."""
    return rpc.lstrip("/").partition("/")[0]


def call_metadata(context: RequestContext, token: str | None) -> Metadata:
    """Return metadata about the request for which a call is made. The channel adds our own identity, the trace and the deadline."""
    pairs = [
        ("x-request-id", context.request_id),
        ("x-client-ip", context.client_ip),
        ("accept-language", context.language),
    ]
    if token is not None:
        pairs.append(("authorization", f"Bearer {token}"))
    return tuple(pairs)


def error_of(rpc: str, failure: grpc.aio.AioRpcError) -> DomainError:
    """Return the error that a failed call means for the gateway's client."""
    return from_any_rpc_error(failure, defaults_for(rpc).status_messages)


def _is_always_telling(_: DomainError) -> bool:
    return True


def _is_no_timeout(error: DomainError) -> bool:
    return error.kind is not Kind.DEADLINE_EXCEEDED


class Backends:
    """The channels by backend (`library`, `download`), whose unary calls take at most `deadline_seconds`, by default."""

    def __init__(
        self, channels: Mapping[str, grpc.aio.Channel], deadline_seconds: float, start_deadline_seconds: float
    ) -> None:
        self._channels = channels
        self.deadline_seconds = deadline_seconds
        self.start_deadline_seconds = start_deadline_seconds
        self._breakers = {name: Breaker(name) for name in channels}
        self._unary: dict[str, tuple[Breaker, Callable[..., Any]]] = {}
        self._streams: dict[str, Callable[..., Any]] = {}

    @property
    def names(self) -> Iterable[str]:
        return self._channels.keys()

    def add(self, route: Route) -> None:
        """Register a route's methods, so that they can be called. Raises: KeyError when no backend has one."""
        self._add_unary(route.rpc, route.request_type, route.response_type)
        for fetch in route.fetches:
            self._add_unary(fetch.rpc, fetch.request_type, fetch.response_type)

    def _add_unary(self, rpc: str, request_type: type[Message], response_type: type[Message]) -> None:
        backend = backend_of(rpc)
        start = self._channels[backend].unary_unary(
            rpc,
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString,
        )
        self._unary[rpc] = self._breakers[backend], start

    def add_stream(self, stream: StreamRoute) -> None:
        """Register a stream's method, so that it can be called. Raises: KeyError when no backend has it."""
        self._streams[stream.rpc] = self._channels[backend_of(stream.rpc)].unary_stream(
            stream.rpc,
            request_serializer=stream.request_type.SerializeToString,
            response_deserializer=stream.response_type.FromString,
        )

    async def call(
        self, rpc: str, request: Message, metadata: Metadata, *, timeout_seconds: float | None = None
    ) -> Message:
        """One unary call, within `timeout_seconds` when that is less than what calls have anyway.

        Raises:
            DomainError: whatever the service or the way to it came up with.
        """
        # That a client gave it too little time says nothing about a service.
        is_telling = _is_always_telling if timeout_seconds is None else _is_no_timeout
        breaker, start = self._unary[rpc]
        with breaker.watch(is_telling=is_telling):
            try:
                response: Message = await start(request, metadata=metadata, timeout=timeout_seconds)
            except grpc.aio.AioRpcError as failure:
                raise error_of(rpc, failure) from failure
        return response

    def follow(self, rpc: str, request: Message, metadata: Metadata) -> "ServerStream":
        """Asks for a server stream. Raises: DomainError while the breaker is open."""
        self._breakers[backend_of(rpc)].check()
        return ServerStream(rpc, self._streams[rpc](request, metadata=metadata))

    async def check(self, backend: str) -> None:
        """Asks a service for its health; that it serves lets the breaker try again. One that answers and has no health service
        counts as serving, as it does for its connections.

        Raises:
            DomainError: it is unavailable or does not serve.
        """
        check = self._channels[backend].unary_unary(
            HEALTH_CHECK,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            response = await check(health_pb2.HealthCheckRequest(), timeout=HEALTH_DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as failure:
            if failure.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise error_of(HEALTH_CHECK, failure) from failure
            response = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        if response.status != health_pb2.HealthCheckResponse.SERVING:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        self._breakers[backend].heard_that_it_serves()

    async def notice_connections(self) -> None:
        """Runs as long as the backends are open. A service that can be reached again may be tried at once, however long its breaker
        meant to wait.
        """
        async with asyncio.TaskGroup() as tasks:
            for backend, channel in self._channels.items():
                tasks.create_task(_notice(channel, self._breakers[backend]), name=f"{backend} connections")


class ServerStream:
    """One call of a server-streaming method."""

    def __init__(self, rpc: str, call: grpc.aio.UnaryStreamCall[Message, Message]) -> None:
        self._rpc = rpc
        self._call = call

    async def begun(self) -> None:
        """Waits until the service's initial metadata show that it follows, or the call failed; `messages` raises that failure."""
        with suppress(DomainError):
            await self._call.initial_metadata()

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield the messages as they arrive. Closing the iterator cancels the call. Raises: DomainError."""
        try:
            async for message in self._call:
                yield message
        except grpc.aio.AioRpcError as failure:
            raise error_of(self._rpc, failure) from failure
        finally:
            self.cancel()

    def cancel(self) -> None:
        self._call.cancel()


async def _notice(channel: grpc.aio.Channel, breaker: Breaker) -> None:
    while True:
        state = channel.get_state()
        if state is grpc.ChannelConnectivity.READY:
            breaker.heard_that_it_serves()
        await channel.wait_for_state_change(state)


@asynccontextmanager
async def open_backends(
    addresses: Mapping[str, str],
    rpcs: Iterable[str],
    *,
    service_tokens: ServiceTokenSource | None,
    deadline_seconds: float,
    start_deadline_seconds: float,
    tls: Tls | None = None,
) -> AsyncIterator[Backends]:
    """Channels to the backends at `addresses`, closed at the end. `rpcs` are what will be called: their idempotency in the
    proto decides what is retried.
    """
    services: dict[str, set[str]] = {}
    for rpc in rpcs:
        services.setdefault(backend_of(rpc), set()).add(service_of(rpc))
    learn_reasons(service for names in services.values() for service in names)
    async with AsyncExitStack() as stack:
        channels = {}
        for backend, address in addresses.items():
            channel = open_channel(
                address,
                audience=f"{backend}-service",
                service_tokens=service_tokens,
                timeout_seconds=deadline_seconds,
                services=sorted(services.get(backend, ())),
                tls=tls,
            )
            channels[backend] = await stack.enter_async_context(channel)
        backends = Backends(channels, deadline_seconds, start_deadline_seconds)
        async with background(backends.notice_connections()):
            yield backends
