"""grpc.health.v1 of one program, which anybody may ask. Served by chassis.grpc_server.server.

Callers without a verified name get a limited share: of the places for watchers, and of the requests that are read at once.
The rest is kept for our own services, which bring their token or certificate along.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, aclosing, nullcontext
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from chassis.concurrency.places import Places
from chassis.errors import DomainError

HEALTH_SERVICE = "grpc.health.v1.Health"
LIVENESS = "liveness"
"""The name whose health means that the process runs its loop, whatever it depends on: a restart repairs nothing else."""

WATCHERS_LIMIT = 1_000
WATCHERS_WITHOUT_NAME_LIMIT = 800
WATCHERS_PER_PEER = 50
"""The most watchers of one address without a verified name. gRPC's own clients watch once for each connection."""
WATCHERS_FULL = ("x-health-watchers", "full")
"""Trailer of a watch that found no place."""
UNREAD_LIMIT, UNREAD_PER_PEER = 64, 8
"""Requests of callers without a verified name that are being read. Each may be as long as any message (REQUEST_LIMIT_BYTES of
chassis.grpc_server.server), whatever its method needs: so much memory they can take.
"""
READ_SECONDS = 5.0

IdentifyService = Callable[[Any], Awaitable[str | None]]
"""Returns the verified name of a call's service; None without one. Takes the call's context."""


def peer_address(context: Any) -> str:
    """Return the caller's address without its port: one host has one share, however many connections it makes."""
    scheme, _, rest = context.peer().partition(":")
    return scheme if scheme == "unix" else str(rest.rpartition(":")[0])


class RequestReader:
    """Reads the only request of calls whose callers are not known: so many at once, in all and of one peer, and not for ever."""

    def __init__(self) -> None:
        self._places = Places(UNREAD_PER_PEER, total=UNREAD_LIMIT)

    async def read(self, requests: AsyncIterator[Any], context: Any, *, is_known: bool) -> Any:
        """Return the request.

        Raises:
            DomainError: RATE_LIMIT_EXCEEDED before anything is read, when too much is being read.
            TimeoutError: the request did not arrive in time.
            StopAsyncIteration: the client sent no message.
        """
        place: AbstractContextManager[None] = nullcontext() if is_known else self._places.taken(peer_address(context))
        with place:
            async with asyncio.timeout(READ_SECONDS):
                return await anext(aiter(requests))


class HealthService:
    """One status for the whole program. Watches end with the drain, or they would hold it up."""

    def __init__(self, services: Sequence[str], identify_service: IdentifyService, reader: RequestReader) -> None:
        self._services = frozenset({"", *services})
        self._identify_service = identify_service
        self._reader = reader
        self._status = health_pb2.HealthCheckResponse.NOT_SERVING
        self._changed = asyncio.Condition()
        self._ending = False
        self._watchers = Places(WATCHERS_LIMIT)
        self._unknown_watchers = Places(WATCHERS_PER_PEER, total=WATCHERS_WITHOUT_NAME_LIMIT)

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        """The handlers to register. They are those of streams, which look the same on the wire: gRPC would read the request of a
        unary call before it asks anybody.
        """
        answer = health_pb2.HealthCheckResponse.SerializeToString
        listing = health_pb2.HealthListResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            HEALTH_SERVICE,
            {
                "Check": grpc.stream_unary_rpc_method_handler(self._check, response_serializer=answer),
                "List": grpc.stream_unary_rpc_method_handler(self._list, response_serializer=listing),
                "Watch": grpc.stream_stream_rpc_method_handler(self._watch, response_serializer=answer),
            },
        )

    async def _check(self, requests: Any, context: Any) -> Any:
        service, _ = await self._read(requests, context)
        if service == LIVENESS:
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        if service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def _list(self, requests: Any, context: Any) -> Any:
        await self._read(requests, context)
        one = health_pb2.HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, one))

    async def _watch(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        service, is_known = await self._read(requests, context)
        with ExitStack() as stack:
            try:
                if not is_known:
                    stack.enter_context(self._unknown_watchers.taken(peer_address(context)))
                stack.enter_context(self._watchers.taken(None))
            except DomainError:
                # This code and no other: gRPC's own clients then go on without health. After any other they would take a server
                # for unavailable that only has no place for one more watcher. Ours reads the trailer, and asks by Check.
                details = "too many watchers: use Check"
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, details, trailing_metadata=(WATCHERS_FULL,))
            async with aclosing(self._statuses(service)) as statuses:
                async for status in statuses:
                    yield status

    async def _statuses(self, service: str) -> AsyncGenerator[Any]:
        sent = None
        while True:
            seen = self._status
            status = seen if service in self._services else health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != sent:
                sent = status
                yield health_pb2.HealthCheckResponse(status=status)
            if self._ending:
                return
            async with self._changed:
                if self._status == seen and not self._ending:
                    await self._changed.wait()

    async def _read(self, requests: Any, context: Any) -> tuple[str, bool]:
        """Return the requested service, and True for a caller with a verified name."""
        is_known = await self._identify_service(context) is not None
        try:
            raw = await self._reader.read(requests, context, is_known=is_known)
            return health_pb2.HealthCheckRequest.FromString(raw).service, is_known
        except DomainError:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests at once")
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come")
        except (StopAsyncIteration, DecodeError):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be parsed")
        raise AssertionError("abort raises")

    async def set_serving(self, *, serving: bool) -> None:
        """Say from now on that the program serves, or that it does not."""
        responses = health_pb2.HealthCheckResponse
        status = responses.SERVING if serving and not self._ending else responses.NOT_SERVING
        if status != self._status:
            async with self._changed:
                self._status = status
                self._changed.notify_all()

    async def end(self) -> None:
        """Say NOT_SERVING for good."""
        async with self._changed:
            self._ending = True
            self._status = health_pb2.HealthCheckResponse.NOT_SERVING
            self._changed.notify_all()
